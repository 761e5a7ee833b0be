"""A project with references of every kind: what the readers of the register were written on."""

from __future__ import annotations

C = "0123456789abcdef0123456789abcdef01234567"

FIRST: dict[str, str] = {
    ".mcp.json": """{"mcpServers": {
  "postmark": {"command": "npx", "args": ["-y", "postmark-mcp@1.0.15"], "env": {"POSTMARK_SERVER_TOKEN": "pm-secret-value-123456"}},
  "fs": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/data"]},
  "git": {"command": "uvx", "args": ["mcp-server-git==2025.1.14"]},
  "gh": {"command": "docker", "args": ["run", "-i", "--rm", "-e", "GITHUB_PERSONAL_ACCESS_TOKEN", "ghcr.io/github/github-mcp-server"]},
  "remote": {"type": "http", "url": "https://mcp.acme.example/mcp", "headers": {"Authorization": "Bearer abcdefghijkl"}}
}}
""",
    "Dockerfile": f"""FROM vllm/vllm-openai:latest
ARG MODEL=Qwen/Qwen2.5-7B-Instruct
ENV HF_ENDPOINT=https://mirror.example
RUN pip install --extra-index-url https://wheels.example/simple vllm "transformers==4.46.0"
CMD ["--model", "$MODEL", "--revision", "{C}"]
""",
    "Modelfile": """FROM llama3.2:3b
ADAPTER ./x.gguf
""",
    "config.toml": f"""[embedding]
model_name = "intfloat/multilingual-e5-small"
revision = "{C}"
""",
    "docker-compose.yml": f"""services:
  tgi:
    image: ghcr.io/huggingface/text-generation-inference@sha256:{C}{C[:24]}
    command: --model-id HuggingFaceH4/zephyr-7b-beta --revision main
    environment:
      - HF_TOKEN=${{HF_TOKEN}}
  ollama:
    image: ollama/ollama:0.3.1
    environment:
      OPENAI_BASE_URL: https://gw.example/v1
""",
    "litellm.yaml": """model_list:
  - model_name: fast
    litellm_params:
      model: azure/gpt-4o-mini
      api_base: https://acme.openai.azure.com
      api_key: os.environ/AZURE_API_KEY
""",
    "package-lock.json": """{"lockfileVersion": 3, "packages": {"": {}, "node_modules/openai": {"version": "4.52.0", "integrity": "sha512-x"}}}
""",
    "package.json": """{"dependencies": {"openai": "^4.0.0", "@huggingface/transformers": "3.0.0", "left-pad": "1"}}
""",
    "pyproject.toml": """[project]
name = "x"
dependencies = ["langchain>=0.2", "openai~=1.0", "flask"]
""",
    "requirements.txt": f"""--extra-index-url https://more.example/simple
transformers>=4.40
torch==2.4.0 --hash=sha256:{C}{C[:24]}
flask
git+https://github.com/huggingface/peft@main
""",
    "serve.sh": f"""#!/bin/bash
MODEL=${{MODEL:-meta-llama/Llama-3.1-8B-Instruct}}
vllm serve "$MODEL" --revision {C} \\
  --tokenizer hf-internal-testing/llama-tokenizer
huggingface-cli download org/thing --revision abcdef0
ollama pull mistral
git clone https://huggingface.co/gpt2
curl -L https://huggingface.co/TheBloke/x-GGUF/resolve/main/x.Q4.gguf -o x
npx -y some-mcp-thing@1.2.3
""",
    "uv.lock": """version = 1
[[package]]
name = "langchain"
version = "0.2.16"
source = { registry = "https://index.example/simple" }
sdist = { url = "x", hash = "sha256:1" }
""",
    ".vscode/mcp.json": """{
  // comment
  "servers": {"play": {"command": "npx", "args": ["@playwright/mcp@latest"],}},
}
""",
    "app/main.py": f"""import os, argparse
import torch, timm, open_clip
from transformers import AutoModel, AutoModelForCausalLM, pipeline, CLIPModel
from sentence_transformers import SentenceTransformer, CrossEncoder
from huggingface_hub import hf_hub_download, snapshot_download
from diffusers import DiffusionPipeline
from peft import PeftModel
from openai import OpenAI
from .settings import EMBEDDER, CHAT, PINS, MODELS, Config
cfg = Config()
a = SentenceTransformer(EMBEDDER)
b = AutoModelForCausalLM.from_pretrained(CHAT, revision=PINS["chat"], trust_remote_code=True)
c = CrossEncoder(MODELS["rank"], revision=PINS["rank"])
d = CLIPModel.from_pretrained(cfg.vision, revision="3d74acf")
e = hf_hub_download(repo_id="TheBloke/Llama-2-7B-GGUF", filename="x.gguf", revision="{C}")
f = snapshot_download(os.environ.get("MODEL", "google/flan-t5-base"))
g = pipeline("sentiment-analysis")
h = pipeline("ner", model="dslim/bert-base-NER", revision="{C}")
i = torch.hub.load("pytorch/vision:v0.10.0", "resnet18")
j = timm.create_model("hf-hub:timm/resnet50.a1_in1k@{C}", pretrained=True)
k, _, _ = open_clip.create_model_and_transforms("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K")
l = DiffusionPipeline.from_pretrained("stabilityai/sdxl-turbo")
m = PeftModel.from_pretrained(b, "acme/lora-adapter")
parser = argparse.ArgumentParser()
parser.add_argument("--reward-model", default="acme/reward-7b")
args = parser.parse_args()
n = AutoModel.from_pretrained(args.reward_model)
client = OpenAI(base_url="https://llm.acme.example/v1", api_key=os.environ["ACME_KEY"])
client.chat.completions.create(model="gpt-4o", messages=[])
client.chat.completions.create(model="gpt-4o-2024-08-06", messages=[])
def load(name="intfloat/e5-base-v2", revision=None):
    return AutoModel.from_pretrained(name, revision=revision)
load("intfloat/e5-large-v2", "{C}")
import requests
requests.post("http://inference.acme.example:8080/generate", json={{}})
AutoModel.from_pretrained(input())
AutoModel.from_pretrained("./local")
import litellm
litellm.completion(model="anthropic/claude-3-5-sonnet-20241022", api_base="https://proxy.example")
""",
    "app/settings.py": f"""import os
from dataclasses import dataclass, field
EMBEDDER = "BAAI/bge-small-en-v1.5"
ORG = "mistralai"
CHAT = f"{{ORG}}/Mistral-7B-Instruct-v0.3"
PINS = {{"chat": "{C}", "rank": "main"}}
MODELS = {{"rank": "cross-encoder/ms-marco-MiniLM-L-6-v2"}}
@dataclass
class Config:
    vision: str = "openai/clip-vit-base-patch32"
    speech_model: str = field(default="openai/whisper-small")
""",
    "k8s/deploy.yaml": f"""apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: tei
          image: ghcr.io/huggingface/text-embeddings-inference:1.5
          args: ["--model-id", "BAAI/bge-reranker-base"]
          env:
            - name: MODEL_ID
              value: nomic-ai/nomic-embed-text-v1.5
            - name: REVISION
              value: {C}
""",
    "notebooks/a.ipynb": """{"cells": [{"cell_type": "code", "source": ["!pip install sentence-transformers\\n", "NAME = 'distilbert-base-uncased'\\n"]},
 {"cell_type": "code", "source": ["from transformers import AutoModel\\n", "AutoModel.from_pretrained(NAME)\\n"]}], "nbformat": 4}
""",
    "web/app.ts": f"""const MODEL = process.env.M ?? "Xenova/all-MiniLM-L6-v2";
const x = await pipeline('feature-extraction', MODEL, {{ revision: '{C}' }});
const y = await pipeline('ner', 'Xenova/bert-base-NER');
const c = new OpenAI({{ baseURL: "https://js.example/v1" }});
const r = generateText({{ model: openai('gpt-4.1-mini') }});
""",
}

#: kind, name, state and value of every row.
FIRST_ROWS = {
    ("host", "acme.openai.azure.com", "unknown", None),
    ("host", "gw.example", "unknown", None),
    ("host", "huggingface.co", "unknown", None),
    ("host", "inference.acme.example:8080", "unknown", None),
    ("host", "js.example", "unknown", None),
    ("host", "llm.acme.example", "unknown", None),
    ("host", "mcp.acme.example", "unknown", None),
    ("host", "mirror.example", "unknown", None),
    ("host", "more.example", "unknown", None),
    ("host", "proxy.example", "unknown", None),
    ("host", "wheels.example", "unknown", None),
    ("library", "@huggingface/transformers", "pinned", "3.0.0"),
    ("library", "huggingface/peft", "floating", "main"),
    ("library", "langchain", "pinned", "0.2.16"),
    ("library", "openai", "floating", "~=1.0"),
    ("library", "openai", "pinned", "4.52.0"),
    ("library", "sentence-transformers", "floating", None),
    ("library", "torch", "pinned", "2.4.0"),
    ("library", "transformers", "floating", ">=4.40"),
    ("library", "transformers", "pinned", "4.46.0"),
    ("library", "vllm", "floating", None),
    ("model", "./local", "unknown", None),
    ("model", "./x.gguf", "unknown", None),
    ("model", "<input()>", "unknown", None),
    ("model", "BAAI/bge-reranker-base", "floating", None),
    ("model", "BAAI/bge-small-en-v1.5", "floating", None),
    ("model", "HuggingFaceH4/zephyr-7b-beta", "floating", "main"),
    ("model", "Qwen/Qwen2.5-7B-Instruct", "pinned", C),
    ("model", "TheBloke/Llama-2-7B-GGUF", "pinned", C),
    ("model", "TheBloke/x-GGUF", "floating", "main"),
    ("model", "Xenova/all-MiniLM-L6-v2", "pinned", C),
    ("model", "Xenova/bert-base-NER", "floating", None),
    ("model", "acme/lora-adapter", "floating", None),
    ("model", "acme/reward-7b", "floating", None),
    ("model", "anthropic/claude-3-5-sonnet-20241022", "pinned", "20241022"),
    ("model", "azure/gpt-4o-mini", "floating", None),
    ("model", "cross-encoder/ms-marco-MiniLM-L-6-v2", "floating", "main"),
    ("model", "default of pipeline sentiment-analysis", "floating", None),
    ("model", "distilbert-base-uncased", "floating", None),
    ("model", "dslim/bert-base-NER", "pinned", C),
    ("model", "google/flan-t5-base", "floating", None),
    ("model", "gpt-4.1-mini", "floating", None),
    ("model", "gpt-4o", "floating", None),
    ("model", "gpt-4o-2024-08-06", "pinned", "2024-08-06"),
    ("model", "hf-internal-testing/llama-tokenizer", "floating", None),
    ("model", "intfloat/e5-base-v2", "floating", None),
    ("model", "intfloat/e5-large-v2", "pinned", C),
    ("model", "intfloat/multilingual-e5-small", "pinned", C),
    ("model", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "floating", None),
    ("model", "llama3.2", "floating", "3b"),
    ("model", "meta-llama/Llama-3.1-8B-Instruct", "pinned", C),
    ("model", "mistral", "floating", None),
    ("model", "mistralai/Mistral-7B-Instruct-v0.3", "pinned", C),
    ("model", "nomic-ai/nomic-embed-text-v1.5", "pinned", C),
    ("model", "openai/clip-vit-base-patch32", "floating", "3d74acf"),
    ("model", "openai/whisper-small", "floating", None),
    ("model", "org/thing", "floating", "abcdef0"),
    ("model", "pytorch/vision", "floating", "v0.10.0"),
    ("model", "stabilityai/sdxl-turbo", "floating", None),
    ("model", "timm/resnet50.a1_in1k", "pinned", C),
    ("tool", "@modelcontextprotocol/server-filesystem", "floating", None),
    ("tool", "@playwright/mcp", "floating", "latest"),
    ("tool", "ghcr.io/github/github-mcp-server", "floating", None),
    ("tool", "ghcr.io/huggingface/text-embeddings-inference", "floating", "1.5"),
    ("tool", "ghcr.io/huggingface/text-generation-inference", "pinned", f"sha256:{C}{C[:24]}"),
    ("tool", "https://mcp.acme.example/mcp", "floating", None),
    ("tool", "mcp-server-git", "pinned", "2025.1.14"),
    ("tool", "ollama/ollama", "floating", "0.3.1"),
    ("tool", "postmark-mcp", "pinned", "1.0.15"),
    ("tool", "some-mcp-thing", "pinned", "1.2.3"),
    ("tool", "vllm/vllm-openai", "floating", "latest"),
}
