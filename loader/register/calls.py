"""Which calls of which libraries name a model, a host or a server, and with which argument. A table: one entry a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """at: the positional argument that names it, -1 for none; words: the keywords that may name it; revision: the
    keyword that pins it, "" where the call has none; inside: the keyword whose mapping takes it, "" for the call itself. of: the beginning of the module that the name must come from,
    "" for any. what: "hub", "torch", "timm", "clip", "url", "sized" (a name of the library's own), "ollama", "named" (the hub's or a provider's), "service" (of the hub, or the link of what serves it)."""

    at: int = 0
    words: tuple[str, ...] = ()
    revision: str = "revision"
    of: tuple[str, ...] = ()
    what: str = "hub"
    inside: str = ""


_NAME = ("pretrained_model_name_or_path", "model_name_or_path", "repo_id", "model_id", "model_name")
_HUB = Call(0, _NAME)
#: LangChain's classes take what is for the library behind them in a mapping, and nothing else.
_LANGCHAIN = Call(0, ("model_name", "model", "model_id"), inside="model_kwargs")
_MODEL = ("model", "model_name", "model_name_or_path", "model_id", "model_path")

#: By the last part of the called name.
CALLS: dict[str, tuple[Call, ...]] = {
    "from_pretrained": (Call(0, ("repo_id",), "", ("llama_cpp",)), _HUB),
    "hf_hub_download": (Call(0, ("repo_id",)),),
    "snapshot_download": (Call(0, ("repo_id", "model_id")),),
    "hf_hub_url": (Call(0, ("repo_id",)),),
    "hf_raise_for_status": (),
    "model_info": (),
    "pipeline": (
        Call(
            1,
            ("model",),
            of=("transformers", "safe_load.transformers", "diffusers", "optimum", "modelscope"),
        ),
    ),
    "SentenceTransformer": (Call(0, ("model_name_or_path",)),),
    "CrossEncoder": (Call(0, ("model_name_or_path", "model_name")),),
    "SparseEncoder": (Call(0, ("model_name_or_path",)),),
    "HuggingFaceEmbeddings": (_LANGCHAIN,),
    "HuggingFaceEmbedding": (Call(0, ("model_name",)),),
    "HuggingFaceBgeEmbeddings": (_LANGCHAIN,),
    "HuggingFaceInstructEmbeddings": (_LANGCHAIN,),
    "HuggingFaceCrossEncoder": (_LANGCHAIN,),
    "from_model_id": (_LANGCHAIN,),
    "SentenceTransformerEmbeddings": (_LANGCHAIN,),
    "SentenceTransformerEmbeddingFunction": (Call(0, ("model_name",)),),
    "LLM": (Call(0, ("model",), of=("vllm",)),),
    "AsyncEngineArgs": (Call(0, ("model",)),),
    "EngineArgs": (Call(0, ("model",)),),
    "Engine": (Call(-1, ("model_path",), of=("sglang",)),),
    "WhisperModel": (Call(0, ("model_size_or_path",), what="sized"),),
    "TextEmbedding": (Call(0, ("model_name",), ""),),
    "FlagModel": (Call(0, ("model_name_or_path",), ""),),
    "BGEM3FlagModel": (Call(0, ("model_name_or_path",), ""),),
    "FlagReranker": (Call(0, ("model_name_or_path",), ""),),
    "FastLanguageModel": (),
    "get_peft_model_id": (),
    "InferenceClient": (Call(0, ("model",), "", what="service"),),
    "AsyncInferenceClient": (Call(0, ("model",), "", what="service"),),
    "YOLO": (Call(0, ("model",), "", ("ultralytics",), "sized"),),
    "load_lora_weights": (Call(0, ("pretrained_model_name_or_path_or_dict",)),),
    "load_ip_adapter": (Call(0, ("pretrained_model_name_or_path_or_dict",)),),
    "load_textual_inversion": (Call(0, ("pretrained_model_name_or_path",)),),
    "load_adapter": (Call(0, ("peft_model_id", "model_id")),),
    "from_single_file": (Call(0, ("pretrained_model_link_or_path",), what="url"),),
    "load": (
        Call(0, ("repo_or_dir",), "", ("torch.hub", "torch"), "torch"),
        Call(0, ("path_or_hf_repo",), "revision", ("mlx_lm", "mlx_vlm")),
        Call(0, ("handle",), "", ("tensorflow_hub",), "url"),
        Call(0, ("name",), "", ("gradio",), "space"),
        Call(0, ("name",), "", ("spacy",), "sized"),
    ),
    "load_state_dict_from_url": (Call(0, ("url",), "", what="url"),),
    "create_model": (Call(0, ("model_name",), "", ("timm",), "timm"),),
    "create_model_and_transforms": (Call(0, ("model_name",), "", what="clip"),),
    "create_model_from_pretrained": (Call(0, ("model_name",), "", what="clip"),),
    "get_tokenizer": (
        Call(0, ("model_name",), "", ("open_clip",), "clip"),
        Call(0, (), "", ("vllm",)),
    ),
    "load_model": (
        Call(0, ("name",), "", ("whisper",), "sized"),
        Call(0, ("repo_id",), "", ("easynmt", "gliner", "fasttext")),
    ),
    "from_hparams": (Call(0, ("source",)),),
    "from_hf_hub": (Call(0, ("repo_id",)),),
    "load_from_hf_hub": (Call(0, ("repo_id",)),),
    "from_pretrained_keras": (Call(0, ("repo_id",)),),
    "push_to_hub": (),
    "transformers": (Call(0, ("model_name",), "", ("outlines",)),),
    "completion": (Call(0, ("model",), "", ("litellm",), "named"),),
    "acompletion": (Call(0, ("model",), "", ("litellm",), "named"),),
    "ChatOllama": (Call(0, ("model",), "", what="ollama"),),
    "OllamaLLM": (Call(0, ("model",), "", what="ollama"),),
    "OllamaEmbeddings": (Call(0, ("model",), "", what="ollama"),),
    "OllamaEmbedding": (Call(0, ("model_name",), "", what="ollama"),),
    "KerasLayer": (Call(0, ("handle",), "", ("tensorflow_hub",), "url"),),
    "load_tool": (
        Call(0, ("repo_id", "task_or_repo_id"), "revision", ("smolagents", "transformers")),
    ),
}
#: `PeftModel.from_pretrained(base, adapter)`: the second argument is the name.
SECOND = frozenset({"PeftModel", "PeftModelForCausalLM", "PeftMixedModel", "ControlLoraModel"})
#: Classes whose from_pretrained takes no weights from the hub, or whose name is a type of our own.
DATA = frozenset({"load_dataset", "load_metric", "load_dataset_builder"})
#: A further model in the same call: vLLM's tokenizer, an assistant; with the keyword that pins it.
BESIDE = {
    "tokenizer": "tokenizer_revision",
    "draft_model": "revision",
    "speculative_model": "speculative_model_revision",
    "assistant_model": "",
    "adapter_name_or_path": "",
    "tokenizer_name": "",
    "base_model": "",
    "feature_extractor": "",
}
#: Keywords of any call, fields, keys of configuration and options whose value may be a model's name.
MODEL_WORDS = frozenset(
    "model model_name model_id model_name_or_path model_path pretrained_model_name_or_path pretrained_model_name pretrained_model repo_id hf_repo "
    "hf_model hf_repo_id hf_model_id base_model base_model_name base_model_id base_model_name_or_path embedding_model embedding_model_name embed_model "
    "embedder_model embeddings_model reranker_model rerank_model llm llm_model llm_name chat_model completion_model tokenizer tokenizer_name tokenizer_id tokenizer_name_or_path "
    "checkpoint vae unet controlnet lora lora_model adapter adapter_name_or_path peft_model_id draft_model speculative_model reward_model judge_model "
    "vision_model whisper_model asr_model tts_model ner_model encoder_model teacher_model student_model model_repo model_uri modelid modelname deployment_name engine model_dir small_model default_model fallback_model served_model model_path_or_name "
    "model_url embedding encoder reranker text_encoder image_encoder audio_model fast_model smart_model".split()
)
#: The same, of names that only end so: MY_MODEL_ID, summary_model.
MODEL_ENDS = ("_model", "_model_id", "_model_name", "_repo_id", "_repo", "_checkpoint", "_tokenizer", "_llm", "_encoder", "_reranker", "_embedder", "_models", "_model_path", "_model_name_or_path")  # fmt: skip
HOST_WORDS = frozenset(
    "base_url api_base openai_api_base baseurl apibase endpoint endpoint_url api_url server_url inference_server_url azure_endpoint host ollama_host hf_endpoint "
    "url uri openai_base_url anthropic_base_url litellm_base_url openai_api_base_url inference_endpoint model_url llm_url embeddings_url service_url weaviate_url qdrant_url "
    "api_host hostname tei_url tgi_url vllm_url mcp_url proxy_url gateway_url webhook_url llm_endpoint api_endpoint".split()
)
HOST_ENDS = ("_base_url", "_api_base", "_endpoint", "_endpoint_url", "_api_url", "_host", "_server_url", "_url", "_uri", "_baseurl", "_base")  # fmt: skip
#: The rest of a pair whose name speaks against a model: a path, a page, a picture.
NOT_MODEL = frozenset("file_path template image icon logo".split())


def plain(word: str) -> str:
    """A key, option or constant's name as these tables write it: baseURL, BASE_URL and base-url are base_url."""
    text = "".join(
        f"_{c}" if c.isupper() and i and word[i - 1].islower() else c
        for i, c in enumerate(word[:80])
    )
    return text.lower().replace("-", "_").replace(".", "_").strip("_")


def names_model(word: str) -> bool:
    """Whether a key, keyword or constant of this name may hold a model's name."""
    text = plain(word)
    return text in MODEL_WORDS or text.rstrip("s") in MODEL_WORDS or text.endswith(MODEL_ENDS)


def names_host(word: str) -> bool:
    """Whether a key, keyword or constant of this name may hold a host's URL."""
    text = plain(word)
    return text in HOST_WORDS or text.endswith(HOST_ENDS)
