"""A project in other styles, written before the register first read it, to see what its readers miss."""

from __future__ import annotations

A = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"

SECOND: dict[str, str] = {
    "Makefile": """run:
	@ollama run qwen2.5-coder:7b
serve:
	llama-server -hf ggml-org/gemma-3-4b-it-GGUF --port 80
""",
    "environment.yml": """dependencies:
  - pytorch=2.3
  - pip:
      - diffusers==0.30.0
      - --extra-index-url https://e.example/s
""",
    "pyproject.toml": f"""[tool.poetry.dependencies]
python = "^3.11"
sentence-transformers = "^3.0"
accelerate = {{version = "1.0.1", extras=["x"]}}
trl = {{git = "https://github.com/huggingface/trl.git", rev = "{A}"}}
[[tool.poetry.source]]
name = "mine"
url = "https://user:s3cretpass@pypi.mine.example/simple"
priority = "supplemental"
""",
    "requirements-dev.in": """litellm
""",
    "requirements-dev.txt": f"""litellm==1.50.0 \\
    --hash=sha256:{A}{A[:24]}
    # via -r x
""",
    "server.json": """{"name": "io.github.acme/x", "packages": [{"registryType": "npm", "identifier": "@acme/x-mcp", "version": "1.0.2", "environmentVariables": [{"name": "ACME_TOKEN"}]},
 {"registryType": "oci", "identifier": "docker.io/acme/x:1.0"}], "remotes": [{"type":"sse","url":"https://x.example/sse"}]}
""",
    ".cursor/mcp.json": f"""{{"mcpServers": {{
 "a": {{"command": "uvx", "args": ["--from", "git+https://github.com/acme/mcp-thing@{A}", "thing"]}},
 "b": {{"command": "cmd", "args": ["/c", "npx", "-y", "@acme/weather-mcp@^2.0.0"]}},
 "c": {{"command": "docker", "args": ["run","--rm","-i","-v","/x:/y","mcp/postgres@sha256:{A}{A[:24]}","postgresql://u:hunter22@db/x"]}},
 "d": {{"command": "npx", "args": ["mcp-remote", "https://mcp.linear.app/sse"]}},
 "e": {{"command": "/usr/local/bin/own-server", "env": {{"API_KEY": "x"}}}},
 "f": {{"command": "pipx", "args": ["run", "mcp-server-time==1.2.3"]}},
 "g": {{"command": "npx", "args": ["-y", "https://files.example/pkg.tgz"]}}
}}}}
""",
    ".github/workflows/ci.yml": """jobs:
  t:
    steps:
      - run: |
          pip install -U "huggingface_hub[cli]"
          hf download google-bert/bert-base-uncased --local-dir m
          npx --yes @anthropic-ai/claude-code@1.0.3 -p hi
""",
    "conf/train.yaml": """base_model: &b meta-llama/Meta-Llama-3-8B
tokenizer: *b
reward:
  model_name_or_path: OpenAssistant/reward-model-deberta-v3-large-v2
datasets:
  - path: tatsu-lab/alpaca
optimizer: adamw
model_type: llama
""",
    "deploy/statefulset.yml": f"""apiVersion: v1
kind: Pod
spec:
  containers:
  - name: v
    image: vllm/vllm-openai:v0.6.2
    command: ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    args: ["--model", "google/gemma-2-9b-it", "--revision", "{A}"]
---
kind: InferenceService
spec:
  predictor:
    model:
      storageUri: hf://microsoft/Phi-3.5-mini-instruct:main
""",
    "deploy/helm/values.yaml": f"""image:
  repository: ghcr.io/huggingface/text-generation-inference
  tag: "2.3.1"
model:
  name: tiiuae/falcon-7b-instruct
  revision: {A}
""",
    "deploy/helm/templates/d.yaml": """{{- if .Values.on }}
spec:
  containers:
    - image: "vllm/vllm-openai:{{ .Values.tag }}"
      args:
        - --model=NousResearch/Hermes-3-Llama-3.1-8B
{{- end }}
""",
    "ops/Containerfile.gpu": f"""FROM ghcr.io/huggingface/text-generation-inference:latest AS base
ENV MODEL_ID=bigcode/starcoder2-7b REVISION={A}
ADD https://huggingface.co/acme/w/resolve/v2/model.safetensors /m/
RUN --mount=type=cache,target=/root uv pip install --system torch==2.5.1 && python -c "print(1)"
""",
    "ops/Modelfile.support": """from hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M
PARAMETER temperature 1
""",
    "src/pkg/__init__.py": """""",
    "src/pkg/constants.py": f"""import typing as t
REV = "{A}"
RERANK: t.Final[str] = "mixedbread-ai/mxbai-rerank-base-v1"
REGISTRY = {{
    "small": {{"id": "Alibaba-NLP/gte-base-en-v1.5", "rev": REV}},
    "large": {{"id": "Alibaba-NLP/gte-large-en-v1.5", "rev": "v1"}},
}}
BASE = "https://" + "api.groq.com" + "/openai/v1"
""",
    "src/pkg/load.py": f"""from __future__ import annotations
import functools, os, typing
import transformers as tf
import huggingface_hub as hub
from pkg import constants
from pkg.constants import REGISTRY, RERANK
from transformers import AutoTokenizer as Tok
import vllm
from faster_whisper import WhisperModel
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_openai import ChatOpenAI
from pydantic_settings import BaseSettings
from pydantic import Field

class S(BaseSettings):
    guard_model: str = Field("meta-llama/Llama-Guard-3-8B", alias="GUARD")
    openai_base: str = "https://oai.internal.example/v1"
s = S()
_load = functools.partial(tf.AutoModel.from_pretrained, revision=constants.REV)

class Engine:
    NAME = "Qwen/Qwen2-VL-2B-Instruct"
    def __init__(self, size: str):
        self.conf = REGISTRY[size]
        self.llm = vllm.LLM(model=self.NAME, revision=constants.REV, tokenizer="Qwen/Qwen2-VL-2B", trust_remote_code=True)
    def emb(self):
        return tf.AutoModel.from_pretrained(self.conf["id"], revision=self.conf["rev"])
    def rerank(self):
        kw = dict(revision="refs/pr/1", device_map="auto")
        return tf.AutoModelForSequenceClassification.from_pretrained(RERANK, **kw)
    def guard(self):
        return Tok.from_pretrained(s.guard_model)
for repo, rev in [("a-org/one", "{A}"), ("a-org/two", None)]:
    hub.snapshot_download(repo, revision=rev)
_load("facebook/dinov2-base")
w = WhisperModel("large-v3")
e = HuggingFaceEmbeddings(model_name="thenlper/gte-small", model_kwargs={{"revision": "{A}"}})
c = ChatOpenAI(model="gpt-4.1", base_url=constants.BASE)
p = tf.pipeline(task="text-generation", model=os.getenv("GEN_MODEL") or "HuggingFaceTB/SmolLM2-135M")
q = tf.AutoModel.from_pretrained("{{}}/{{}}".format("deepset", "roberta-base-squad2"))
r = tf.AutoModel.from_pretrained("%s/%s" % ("deepset", "tinyroberta-squad2"))
async def f(client):
    return await client.messages.create(model="claude-sonnet-4-20250514", max_tokens=1)
""",
}

#: kind, name, state and value of every row.
SECOND_ROWS = {
    ("host", "api.groq.com", "unknown", None),
    ("host", "e.example", "unknown", None),
    ("host", "files.example", "unknown", None),
    ("host", "huggingface.co", "unknown", None),
    ("host", "mcp.linear.app", "unknown", None),
    ("host", "oai.internal.example", "unknown", None),
    ("host", "pypi.mine.example", "unknown", None),
    ("host", "x.example", "unknown", None),
    ("library", "accelerate", "pinned", "1.0.1"),
    ("library", "diffusers", "pinned", "0.30.0"),
    ("library", "huggingface-hub", "floating", None),
    ("library", "litellm", "pinned", "1.50.0"),
    ("library", "pytorch", "pinned", "2.3"),
    ("library", "sentence-transformers", "floating", "^3.0"),
    ("library", "torch", "pinned", "2.5.1"),
    ("library", "trl", "pinned", A),
    ("model", "Alibaba-NLP/gte-base-en-v1.5", "pinned", A),
    ("model", "Alibaba-NLP/gte-large-en-v1.5", "floating", "v1"),
    ("model", "HuggingFaceTB/SmolLM2-135M", "floating", None),
    ("model", "NousResearch/Hermes-3-Llama-3.1-8B", "floating", None),
    ("model", "OpenAssistant/reward-model-deberta-v3-large-v2", "floating", None),
    ("model", "Qwen/Qwen2-VL-2B", "floating", None),
    ("model", "Qwen/Qwen2-VL-2B-Instruct", "pinned", A),
    ("model", "a-org/one", "pinned", A),
    ("model", "a-org/two", "floating", None),
    ("model", "acme/w", "floating", "v2"),
    ("model", "bartowski/Llama-3.2-3B-Instruct-GGUF", "floating", None),
    ("model", "bigcode/starcoder2-7b", "pinned", A),
    ("model", "claude-sonnet-4-20250514", "pinned", "20250514"),
    ("model", "deepset/roberta-base-squad2", "floating", None),
    ("model", "deepset/tinyroberta-squad2", "floating", None),
    ("model", "facebook/dinov2-base", "pinned", A),
    ("model", "ggml-org/gemma-3-4b-it-GGUF", "floating", None),
    ("model", "google-bert/bert-base-uncased", "floating", None),
    ("model", "google/gemma-2-9b-it", "pinned", A),
    ("model", "gpt-4.1", "floating", None),
    ("model", "large-v3", "floating", None),
    ("model", "meta-llama/Llama-Guard-3-8B", "floating", None),
    ("model", "meta-llama/Meta-Llama-3-8B", "floating", None),
    ("model", "microsoft/Phi-3.5-mini-instruct", "floating", "main"),
    ("model", "mixedbread-ai/mxbai-rerank-base-v1", "floating", "refs/pr/1"),
    ("model", "qwen2.5-coder", "floating", "7b"),
    ("model", "thenlper/gte-small", "pinned", A),
    ("model", "tiiuae/falcon-7b-instruct", "pinned", A),
    ("tool", "@acme/weather-mcp", "floating", "^2.0.0"),
    ("tool", "@acme/x-mcp", "pinned", "1.0.2"),
    ("tool", "@anthropic-ai/claude-code", "pinned", "1.0.3"),
    ("tool", "acme/mcp-thing", "pinned", A),
    ("tool", "docker.io/acme/x", "floating", "1.0"),
    ("tool", "e", "unknown", None),
    ("tool", "ghcr.io/huggingface/text-generation-inference", "floating", "2.3.1"),
    ("tool", "ghcr.io/huggingface/text-generation-inference", "floating", "latest"),
    ("tool", "https://files.example/pkg.tgz", "floating", None),
    ("tool", "https://x.example/sse", "floating", None),
    ("tool", "mcp-remote", "floating", None),
    ("tool", "mcp-server-time", "pinned", "1.2.3"),
    ("tool", "mcp/postgres", "pinned", f"sha256:{A}{A[:24]}"),
    ("tool", "vllm/vllm-openai", "floating", "v0.6.2"),
}
