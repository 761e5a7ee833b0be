"""What a text names: a model of a hub or of a provider, a revision, a host; and whether that is a pin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from safe_load.register.rows import Fact
from safe_load.worker import key_links

if TYPE_CHECKING:
    from safe_load.register.rows import State

COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
#: The hub's rule for names: letters, digits, "-", "_", ".", at most 96 characters each.
_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
HUB = re.compile(rf"{_PART}/{_PART}")
_ALONE = re.compile(r"[A-Za-z][\w.-]{2,95}")
_PREFIXES = ("hf://", "hf-hub:", "hf_hub:", "huggingface/", "huggingface://", "hf.co/", "hf:")
#: A model of a provider that serves it: the vendor's names as they stand in code.
_HOSTED = re.compile(
    r"(?:gpt-\d|chatgpt-|o[1-9](?:-|$)|text-embedding-|text-davinci-|davinci-|babbage-|dall-e-|whisper-1$|tts-1|sora-|"
    r"claude-|gemini-|palm-|command-|command$|embed-(?:english|multilingual|v\d)|rerank-|mistral-(?:large|small|medium|tiny|embed|ocr|saba)|"
    r"codestral-|pixtral-|ministral-|open-mi[sx]tral-|magistral-|devstral-|grok-|deepseek-(?:chat|reasoner|coder)$|qwen-(?:max|plus|turbo|long|vl)|sonar|jamba-|voyage-|"
    r"amazon\.|anthropic\.|meta\.llama|nova-|titan-|llama-\d[\w.-]*-(?:versatile|instant|preview)$|kimi-|moonshot-|glm-\d|ernie-)"
)
#: Prefixes by which LiteLLM and others name a provider (docs.litellm.ai, "Providers").
PROVIDERS = frozenset(
    "openai azure azure_ai anthropic gemini vertex_ai google google_genai bedrock cohere cohere_chat mistral groq together_ai togethercomputer "
    "fireworks_ai deepseek openrouter perplexity replicate xai ollama ollama_chat huggingface hosted_vllm vllm sagemaker "
    "deepinfra nvidia_nim cerebras databricks watsonx ai21 voyage cloudflare github sambanova moonshot text-completion-openai litellm_proxy".split()
)
#: Providers to which the hub routes a request (its "inference providers").
_ROUTES = frozenset(
    "together sambanova fireworks-ai novita hf-inference nebius cerebras hyperbolic replicate cohere fal-ai groq nscale featherless-ai".split()
)
_BOTH = frozenset("openai google cohere mistral github huggingface databricks deepseek".split())
_SERVED = re.compile(r"@?[A-Za-z][\w.-]*(?:/[\w.@-]+){0,4}(?::[\w.-]+)?")
_LOCAL = ("./", "../", "/", "~", "$", "file:", "C:\\")
_FILES = re.compile(
    r"\.(?:py|js|ts|json|ya?ml|toml|txt|md|csv|html?|png|jpe?g|svg|sh|pt|pth|bin|onnx|gguf|safetensors|pkl|h5|ckpt|jsonl|parquet|xml|lock|cfg|ini|log|css)$",
    re.IGNORECASE,
)
_DATED = re.compile(r"(?:[-@](20\d{2}-?\d{2}-?\d{2})|-(\d{4})|-(\d{3}))(?:-v\d+(?::\d+)?)?$")
#: Names of query parameters that let the bearer in: presigned and SAS links.
_KEYED = re.compile(
    r"[?&](?:sig|x-amz-signature|x-goog-signature|signature|token|access_token|api_?key|key|auth)=[^&\s]{6,}",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{30,}|xox[abp]-[\w-]{10,}|AKIA[0-9A-Z]{16})"
)
_PRIVATE = re.compile(
    r"(?:localhost|127\.\d+\.\d+\.\d+|\[?::1\]?|0\.0\.0\.0|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|172\.(?:1[6-9]|2\d|3[01])\.\d+\.\d+|host\.docker\.internal|[\w-]+)$"
)


def commit_state(revision: str | None) -> State:
    """Whether a revision of a hub's or git repository is a pin: all 40 digits of a commit."""
    return "pinned" if revision and COMMIT.fullmatch(revision) else "floating"


def image_pin(image: str) -> tuple[str, State, str | None]:
    """An image's name, and its digest or tag."""
    name, at, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    bare, _, tag = last.partition(":")
    if at:
        return f"{head}{slash}{bare}", "pinned" if _DIGEST.fullmatch(digest) else "floating", digest
    return f"{head}{slash}{bare}", "floating", tag or None


def split_hub(text: str) -> tuple[str, str | None, bool]:
    """(name, revision in the name, whether a prefix says that it is of the hub)."""
    prefixed = False
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            text, prefixed = text.removeprefix(prefix).removeprefix("models/"), True
            break
    name, at, revision = text.partition("@")
    if prefixed and not at:  # KServe: hf://ORG/NAME:REVISION
        name, at, revision = text.partition(":")
    parts = name.split("/")
    if prefixed and len(parts) > 2 and parts[0] in _ROUTES:
        parts = parts[1:]  # LiteLLM: huggingface/PROVIDER/ORG/NAME
        name = "/".join(parts)
    if prefixed and len(parts) > 2:
        name = "/".join(parts[:2])
    return name, (revision.split("/")[0] or None) if at else None, prefixed


def is_local(text: str) -> bool:
    """Whether a loader would take the text for a place on the disk and not for a name."""
    return text.startswith(_LOCAL) or "\\" in text or text in {"", ".", ".."}


def is_hub_name(text: str) -> bool:
    """ORG/NAME, with nothing that speaks for a path, a media type or a date."""
    if not HUB.fullmatch(text) or "--" in text or ".." in text or _FILES.search(text):
        return False
    org = text.split("/", maxsplit=1)[0].lower()
    return org not in _NO_ORGS and not re.fullmatch(r"[\d.]+/[\d.]+", text)


_NO_ORGS = frozenset(
    "application text image audio video multipart font src lib bin usr etc var tmp opt home data models model checkpoints weights output outputs "
    "results tests test docs api v1 v2 dev app actions hooks node_modules assets static public scripts config configs utils logs true yes n".split()
)


def is_alone(text: str) -> bool:
    """A name without an organisation, as the oldest models of the hub have."""
    return bool(_ALONE.fullmatch(text)) and not _FILES.search(text)


def hosted(text: str) -> tuple[str, State, str | None] | None:
    """A provider's model: its name, and the date in it, the only pin that providers have. None if it is none."""
    provider, slash, rest = text.partition("/")
    if not slash:
        separated = re.fullmatch(r"([a-z_]+):(.+)", text)  # pydantic-ai, LangChain
        if separated and separated[1].replace("-", "_") in PROVIDERS:
            provider, rest, slash = separated[1], separated[2], ":"
    named = bool(slash) and provider.lower() in PROVIDERS
    if "/" in text and not named:
        return None
    # Some providers are organisations of the hub too: there only their own models' names count.
    sure = named and provider.lower() not in _BOTH and bool(_SERVED.fullmatch(rest))
    if not sure and not _HOSTED.match(rest if named else text):
        return None
    dated = _DATED.search(text)
    date = next((group for group in dated.groups() if group), None) if dated else None
    return text, "pinned" if date else "floating", date


class Host:
    """A URL's host. name: host and port; facts: what speaks against the URL. No secret of it is kept."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = (parts.netloc.rpartition("@")[2] or "").lower()
        self.host = self.name.rpartition(":")[0] or self.name
        self.host = self.host if ":" in self.name else self.name
        self.scheme = parts.scheme.lower()
        self.here = bool(_PRIVATE.match(self.host))
        facts = url_facts(url)
        if self.scheme in {"http", "ws"} and not self.here:
            facts.append(Fact("plain", f"{self.scheme}:// without encryption"))
        if self.here:
            facts.append(Fact("here", "an address of this machine or of its own network"))
        self.facts = tuple(facts)


def url_of(text: str) -> str | None:
    """The text, if it is a URL with a host."""
    if not re.match(r"(?:https?|wss?)://[^\s/'\"]", text) or len(text) > 2000:
        return None
    try:
        parts = urlsplit(text)
        name = parts.hostname
    except ValueError:
        return None
    return text if name and re.fullmatch(r"[\w.:-]+", name) and not name.startswith(".") else None


def url_facts(url: str) -> list[Fact]:
    """Whether the link lets its bearer in. The secret itself is not told."""
    if keys := key_links.find(url):
        return [Fact("link-key", f"the link {key.what}") for key in keys[:3]]
    try:
        user = urlsplit(url).username
    except ValueError:
        return [Fact("malformed", "a URL that cannot be read")]
    # ${TOKEN} is a credential's name, and no credential.
    if (user and _TOKEN.search(user)) or _KEYED.search(url) or _TOKEN.search(url):
        return [Fact("link-key", "the link holds a key: whoever has the link is let in")]
    return []


def masked(text: str) -> str:
    """The text without a token that it holds."""
    text = re.sub(r"(://)[^/@\s]+@", r"\1***@", key_links.mask(text))
    return _TOKEN.sub("***", _KEYED.sub(lambda found: found[0].split("=")[0] + "=***", text))


def hub_file(url: str) -> tuple[str, str] | None:
    """(ORG/NAME, revision) of a link to a file of a hub: /ORG/NAME/resolve/REVISION/FILE."""
    found = re.match(
        rf"https?://[^/]+/({_PART}/{_PART})/(?:resolve|raw|blob)/([^/?#\s]+)/[^?#\s]", url
    )
    return (found[1], found[2]) if found else None
