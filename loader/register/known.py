"""The packages that load, serve, train or call models: an embedded list, kept by hand."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec
from safe_load.core import typed


def canonical(name: str) -> str:
    """A name of PyPI as it compares (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Known(msgspec.Struct, frozen=True):
    """known.json: names of packages that load, serve, train or call models; of each ecosystem."""

    pypi: list[str]
    npm: list[str]


@cache
def known() -> dict[str, frozenset[str]]:
    """ecosystem -> normalized names."""
    data = (Path(__file__).parent / "known.json").read_bytes()
    held = typed.decode(data, Known)
    return {"pypi": frozenset(map(canonical, held.pypi)), "npm": frozenset(held.npm)}


def touches_models(ecosystem: str, name: str) -> bool:
    """Whether a package is on the list, or says so by its name."""
    if ecosystem == "pypi":
        name = canonical(name)
    if name in known().get(ecosystem, ()):
        return True
    return bool(_TELLING.search(name))


_TELLING = re.compile(
    r"(?i)(?:^|[-/_.@])(?:llms?|mcp|transformers?|langchain|llama|openai|anthropic|gpt|huggingface|gguf|diffusers?|vllm|torch|onnx|embeddings?|litellm|ollama|mistralai?|gemini|genai|agents?|rag|whisper|bert|pytorch|tensorflow|keras|modelcontextprotocol)(?:[-/_.@\d]|$)"
)


def touches_list(ecosystem: str, name: str) -> bool:
    """Whether the list itself names the package."""
    return (canonical(name) if ecosystem == "pypi" else name) in known().get(ecosystem, ())
