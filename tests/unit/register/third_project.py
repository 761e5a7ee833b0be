"""A project as platform people write it: Terraform, ConfigMaps, Makefiles, code in commands, further clients."""

from __future__ import annotations

A = "a1b2c3d4" * 5

THIRD: dict[str, str] = {
    "infra/main.tf": f"""variable "model_id" {{
  default = "tiiuae/falcon-7b-instruct"
}}
# image = "vllm/vllm-openai:v0.0.1"
resource "aws_sagemaker_model" "m" {{
  primary_container {{
    image = "1.dkr.example/huggingface-pytorch-tgi-inference:2.3.0"
    environment = {{
      HF_MODEL_ID       = "NousResearch/Hermes-2-Pro-Llama-3-8B"
      HF_MODEL_REVISION = "{A}"
    }}
  }}
  set {{
    name  = "model.name"
    value = "BAAI/bge-m3"
  }}
  container_definitions = jsonencode([{{
    args = [
      "--model-id", "google/flan-t5-xl",
    ]
    environment = [{{ name = "EMBED_MODEL", value = "thenlper/gte-base" }}]
  }}])
  user_data = <<-EOT
    ollama pull phi3:mini
  EOT
  name = "acme/no-model-here"
}}
""",
    "k8s/config.yaml": """kind: ConfigMap
data:
  litellm.yaml: |
    model_list:
      - litellm_params:
          model: huggingface/together/deepseek-ai/DeepSeek-V3
          api_base: https://llm.acme.example
  notes: |
    model: this is
    no document
""",
    "Makefile": f"""MODEL ?= meta-llama/Llama-3.1-70B-Instruct
serve:
\tvllm serve $(MODEL) --revision {A}
\tlm_eval --model hf --model_args pretrained=EleutherAI/gpt-j-6B,revision=main
\tuv run --with mlx-lm==0.20.1 python x.py
""",
    "Dockerfile": f"""FROM scratch
COPY --from=ghcr.io/ggerganov/llama.cpp:server /a /b
RUN true && python -c "from transformers import AutoModel; AutoModel.from_pretrained('BAAI/bge-base-en-v1.5')"
RUN curl -fsSL https://get.acme.example/install.sh | sudo sh
RUN git clone https://huggingface.co/acme/kept && cd kept && git checkout {A}
""",
    ".github/workflows/ci.yml": """jobs:
  t:
    container: huggingface/transformers-pytorch-gpu:4.41.2
    steps:
      - run: |
          pip install torch==2.5.0
""",
    "pyproject.toml": """[project]
dependencies = ["langchain-huggingface", "langchain>=0.3"]
[tool.uv.sources]
langchain-huggingface = { git = "https://git.example/langchain-ai/langchain", branch = "master" }
""",
    "app.py": f"""from pydantic import Field
from langchain_ollama import OllamaEmbeddings
from llama_cpp import Llama
import spacy, tensorflow_hub as hub
class Settings:
    embedding_model_name: str = Field("sentence-transformers/all-mpnet-base-v2", description="x")
s = Settings()
a = HuggingFaceEmbeddings(model_name=s.embedding_model_name, model_kwargs={{"revision": "{A}"}})
b = OllamaEmbeddings(model="nomic-embed-text")
c = spacy.load("en_core_web_sm")
d = hub.load("https://tfhub.example/google/use/4")
e = Llama.from_pretrained(repo_id="Qwen/Qwen2-0.5B-Instruct-GGUF", filename="*q8_0.gguf")
""",
    "chart/values.yaml": """modelSpec:
  - repository: vllm/vllm-openai
    tag: v0.6.1
    modelURL: facebook/opt-125m
cover_image: pictures/whisper.png
python_packages: ["diffusers==0.31.0", "git"]
tgi_image: ghcr.io/huggingface/text-generation-inference:2.4.0
task:
  ansible.builtin.shell: huggingface-cli download meta-llama/Llama-3.2-1B --revision main
""",
    "serve.py": f"""from transformers import pipeline as pl
import gradio as gr, outlines, litellm, modal
CFG = {{"embed": {{"repo": "BAAI/bge-large-en-v1.5", "rev": "{A}"}}, "gen": {{"repo": "google/gemma-2b", "rev": None}}}}
for k in CFG: pl("x", model=CFG[k]["repo"], revision=CFG[k]["rev"])
image = modal.Image.debian_slim().pip_install("trl==0.9.6").run_commands("hf download Qwen/Qwen2-0.5B")
demo = gr.load("models/google/vit-base-patch16-224")
m = outlines.models.transformers("microsoft/Phi-3-mini-4k-instruct")
x = litellm.completion("groq/llama-3.3-70b-versatile", messages=[{{"role": "user", "model": "no model"}}])
a = AssistantAgent("a", llm_config={{"config_list": [{{"model": "gpt-4o-mini", "base_url": "https://gw.acme.example/v1"}}]}})
""",
    "web/b.tsx": """const ctx = { model: 'Xenova/clip-vit-base-patch16', dtype: 'q8' } as const;
const m = await AutoModel.from_pretrained(ctx.model);
const p = await pipeline<"text-generation">("text-generation", "onnx-community/Qwen2.5-0.5B-Instruct");
const ws = new WebSocket("wss://rt.acme.example/ws");
""",
    "web/a.ts": """const def = await pipeline('sentiment-analysis');
const engine = await CreateMLCEngine("Llama-3.1-8B-Instruct-q4f32_1-MLC");
const t = new StdioClientTransport({ command: "npx", args: ["-y", "@acme/notes-mcp"] });
const ep = hf.endpoint("https://abc.endpoints.example");
""",
}

#: kind, name, state and value of every row.
THIRD_ROWS = {
    ("host", "abc.endpoints.example", "unknown", None),
    ("host", "get.acme.example", "unknown", None),
    ("host", "gw.acme.example", "unknown", None),
    ("host", "rt.acme.example", "unknown", None),
    ("library", "diffusers", "pinned", "0.31.0"),
    ("library", "trl", "pinned", "0.9.6"),
    ("model", "BAAI/bge-large-en-v1.5", "pinned", A),
    ("model", "Qwen/Qwen2-0.5B", "floating", None),
    ("model", "Xenova/clip-vit-base-patch16", "floating", None),
    ("model", "facebook/opt-125m", "floating", None),
    ("model", "google/gemma-2b", "floating", None),
    ("model", "google/vit-base-patch16-224", "floating", None),
    ("model", "gpt-4o-mini", "floating", None),
    ("model", "groq/llama-3.3-70b-versatile", "floating", None),
    ("model", "meta-llama/Llama-3.2-1B", "floating", "main"),
    ("model", "microsoft/Phi-3-mini-4k-instruct", "floating", None),
    ("model", "onnx-community/Qwen2.5-0.5B-Instruct", "floating", None),
    ("tool", "ghcr.io/huggingface/text-generation-inference", "floating", "2.4.0"),
    ("tool", "vllm/vllm-openai", "floating", "v0.6.1"),
    ("host", "huggingface.co", "unknown", None),
    ("host", "llm.acme.example", "unknown", None),
    ("host", "tfhub.example", "unknown", None),
    ("library", "langchain", "floating", ">=0.3"),
    ("library", "langchain-huggingface", "floating", "master"),
    ("library", "mlx-lm", "pinned", "0.20.1"),
    ("library", "torch", "pinned", "2.5.0"),
    ("model", "BAAI/bge-base-en-v1.5", "floating", None),
    ("model", "BAAI/bge-m3", "floating", None),
    ("model", "EleutherAI/gpt-j-6B", "floating", "main"),
    ("model", "Llama-3.1-8B-Instruct-q4f32_1-MLC", "floating", None),
    ("model", "NousResearch/Hermes-2-Pro-Llama-3-8B", "pinned", A),
    ("model", "Qwen/Qwen2-0.5B-Instruct-GGUF", "floating", None),
    ("model", "acme/kept", "pinned", A),
    ("model", "deepseek-ai/DeepSeek-V3", "floating", None),
    ("model", "default of pipeline sentiment-analysis", "floating", None),
    ("model", "en_core_web_sm", "floating", None),
    ("model", "google/flan-t5-xl", "floating", None),
    ("model", "https://tfhub.example/google/use/4", "floating", None),
    ("model", "meta-llama/Llama-3.1-70B-Instruct", "pinned", A),
    ("model", "nomic-embed-text", "floating", None),
    ("model", "phi3", "floating", "mini"),
    ("model", "sentence-transformers/all-mpnet-base-v2", "pinned", A),
    ("model", "thenlper/gte-base", "floating", None),
    ("model", "tiiuae/falcon-7b-instruct", "floating", None),
    ("tool", "1.dkr.example/huggingface-pytorch-tgi-inference", "floating", "2.3.0"),
    ("tool", "@acme/notes-mcp", "floating", None),
    ("tool", "ghcr.io/ggerganov/llama.cpp", "floating", "server"),
    ("tool", "huggingface/transformers-pytorch-gpu", "floating", "4.41.2"),
}
