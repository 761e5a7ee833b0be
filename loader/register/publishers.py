"""Who publishes a link, as its name says it, and whether that name is on a list of known ones.

The lists here are short and are kept by hand: providers of models and their hosts, scopes of npm, owners of images. They say
that a name is the one it seems to be, and nothing about what its owner publishes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.provenance import names, publishers
from safe_load.register import known

if TYPE_CHECKING:
    from safe_load.register.rows import Kind

_PROVIDERS: tuple[tuple[str, str], ...] = (
    (
        r"(?:gpt-|chatgpt-|o[1-9](?:-|$)|text-embedding-|text-davinci-|davinci-|babbage-|dall-e-|whisper-1|tts-1|sora-)",
        "openai",
    ),
    (r"(?:anthropic\.)?claude-", "anthropic"),
    (r"gemini-|palm-|gemma-", "google"),
    (r"command|embed-|rerank-", "cohere"),
    (r"mistral-|codestral-|pixtral-|ministral-|open-mi[sx]tral-|magistral-|devstral-", "mistralai"),
    (r"grok-", "xai"),
    (r"deepseek-", "deepseek"),
    (r"qwen", "alibaba"),
    (r"sonar", "perplexity"),
    (r"voyage-", "voyageai"),
    (r"jamba-", "ai21"),
    (r"amazon\.|nova-|titan-", "amazon"),
    (r"meta\.llama|llama", "meta"),
    (r"kimi-|moonshot-", "moonshotai"),
    (r"glm-", "zhipuai"),
)
#: The end of a host's name -> who runs it.
_HOSTS = {
    "openai.com": "openai", "openai.azure.com": "microsoft", "azure.com": "microsoft", "anthropic.com": "anthropic", "googleapis.com": "google",
    "cohere.com": "cohere", "cohere.ai": "cohere", "mistral.ai": "mistralai", "x.ai": "xai", "deepseek.com": "deepseek", "groq.com": "groq", "together.xyz": "together", "together.ai": "together",
    "fireworks.ai": "fireworks", "openrouter.ai": "openrouter", "perplexity.ai": "perplexity", "replicate.com": "replicate", "amazonaws.com": "amazon", "huggingface.co": "huggingface",
    "hf.co": "huggingface", "huggingface.cloud": "huggingface", "github.com": "github", "githubusercontent.com": "github", "githubcopilot.com": "github", "nvidia.com": "nvidia", "cloudflare.com": "cloudflare", "databricks.com": "databricks",
    "voyageai.com": "voyageai", "ai21.com": "ai21", "cerebras.ai": "cerebras", "sambanova.ai": "sambanova", "deepinfra.com": "deepinfra", "langchain.com": "langchain", "pytorch.org": "pytorch", "ollama.com": "ollama",
    "modelscope.cn": "modelscope", "aliyuncs.com": "alibaba", "moonshot.cn": "moonshotai", "bigmodel.cn": "zhipuai", "elevenlabs.io": "elevenlabs", "deepgram.com": "deepgram", "assemblyai.com": "assemblyai", "pinecone.io": "pinecone",
    "linear.app": "linear", "notion.com": "notion", "sentry.dev": "sentry", "stripe.com": "stripe", "atlassian.com": "atlassian", "context7.com": "upstash", "figma.com": "figma", "asana.com": "asana",
}  # fmt: skip
#: Hosts where anybody publishes: their name says nothing about what comes from there.
_SHARED = frozenset({"githubusercontent.com", "amazonaws.com", "azure.com", "cloudflare.com"})
_NPM_SCOPES = frozenset(
    "@modelcontextprotocol @anthropic-ai @openai @google @google-cloud @microsoft @azure @aws @aws-sdk @huggingface @mistralai @langchain @llamaindex @ai-sdk @vercel @playwright @upstash "
    "@cloudflare @sentry @stripe @notionhq @supabase @elastic @github @mastra @tensorflow @mlc-ai @mediapipe @qdrant @pinecone-database @lancedb @xenova @browserbasehq @figma @heroku @netlify @shopify @atlassian".split()
)
#: MCP servers of the protocol's own project, and of the companies whose service they serve, without a scope.
_TOOLS = frozenset(
    "mcp-server-fetch mcp-server-git mcp-server-time mcp-server-sqlite mcp-remote mcp-proxy fastmcp awslabs.core-mcp-server chrome-devtools-mcp".split()
)
_IMAGES = frozenset(
    "vllm nvidia nvcr.io ollama pytorch tensorflow huggingface ghcr.io/huggingface mcp rayproject intel amd rocm jupyter qdrant semitechnologies chromadb milvusdb ghcr.io/ggml-org ghcr.io/ggerganov ghcr.io/berriai ghcr.io/github "
    "ghcr.io/open-webui localai lmsysorg openmmlab kserve mcr.microsoft.com public.ecr.aws gcr.io langfuse bentoml ghcr.io/mlflow".split()
)


def of(kind: Kind, ecosystem: str, name: str) -> tuple[str | None, bool]:
    """(publisher, whether it is known) of a link. The publisher is None where the name carries none."""
    if kind == "host":
        return _host(name)
    if ecosystem == "hosted":
        bare = name.rpartition("/")[2].rpartition(":")[2] or name
        provider = next((who for pattern, who in _PROVIDERS if re.match(pattern, bare)), None)
        return (provider or (name.partition("/")[0] if "/" in name else None)), provider is not None
    if ecosystem in {"hub", "github", "git"}:
        return _hub(name, ecosystem)
    if ecosystem == "npm":
        scope = name.partition("/")[0] if name.startswith("@") else None
        listed = known.touches_list("npm", name) if kind == "library" else name in _TOOLS
        return scope, (scope in _NPM_SCOPES) if scope else listed
    if ecosystem == "conda":
        return None, known.touches_models("pypi", name)
    if ecosystem == "pypi":
        return None, known.touches_list("pypi", name) if kind == "library" else name in _TOOLS
    if ecosystem == "oci":
        owner = name.rpartition("/")[0] or None
        parts = (owner or "").split("/")
        return owner, any("/".join(parts[: n + 1]) in _IMAGES for n in range(len(parts))) or (
            owner is None
        )
    if ecosystem == "url":
        host = re.match(r"[a-z]+://([^/]+)", name)
        return _host(host[1]) if host else (None, False)
    return None, ecosystem in {"local", "library"} or (
        kind == "model" and ecosystem == "ollama" and "/" not in name
    )


def _host(name: str) -> tuple[str | None, bool]:
    host = name.rpartition(":")[0] if re.search(r":\d+$", name) else name
    parts = host.split(".")
    for start in range(len(parts) - 1):
        end = ".".join(parts[start:])
        if end in _HOSTS:
            return _HOSTS[end], end not in _SHARED
    return None, False


def _hub(name: str, ecosystem: str) -> tuple[str | None, bool]:
    organisation, slash, _ = name.partition("/")
    if not slash:
        # The hub's first models have no organisation: the hub's own team took them in.
        return None, ecosystem == "hub"
    return organisation, ecosystem == "hub" and publishers.known().holds(organisation)


def imitated(organisation: str) -> str | None:
    """What speaks against a publisher's name on the hub: the known one that it may be taken for."""
    alike = names.imitated(organisation, publishers.known())
    return (
        f"{organisation} is like {alike.name}, a known publisher ({alike.kind})" if alike else None
    )
