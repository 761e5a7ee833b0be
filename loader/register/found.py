"""References of what a text names: the one place where a name becomes a reference."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.register import names
from safe_load.register.rows import Call, Fact, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TORCH = re.compile(r"([\w.-]+/[\w.-]+)(?::([^\s]+))?")
_LONGEST = 300


def model(
    text: str,
    line: int,
    revision: str | None = None,
    *,
    known: bool = True,
    what: str = "hub",
    facts: Sequence[Fact] = (),
    fix: str = "",
    local: bool = True,
    weak: bool = False,
    call: Call | None = None,
) -> Iterator[Reference]:
    """The reference of a text that is surely meant as a model. known: whether the revision is."""
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return
    if names.url_of(text):
        yield from link(text, line, sure=True)
        return
    if what == "space":  # gradio: models/ORG/NAME, spaces/ORG/NAME
        kind, _, text = text.removeprefix("huggingface/").partition("/")
        told = Fact("hub-code", "a Space's own code is run")
        facts = (*facts, told) if kind == "spaces" else facts
    if what == "torch":
        yield from _torch(text, line, facts)
        return
    name, inside, prefixed = names.split_hub(text)
    revision = revision or inside
    if what in {"timm", "clip", "sized"} and not prefixed and "/" not in name:
        told = Fact(
            "builtin", "weights that the library's own table names: its version decides which"
        )
        yield Reference("model", name, line, "floating", None, "library", "", (*facts, told))
        return
    if not prefixed and local and names.is_local(text):
        told = Fact("local", "a folder: these files do not say where it comes from")
        yield Reference("model", text, line, "unknown", None, "local", "", (told, *facts))
        return
    if not names.is_hub_name(name) and not names.is_alone(name):
        # Neither a hub's name nor a path that says so: "models/encoder", "checkpoints/7b/last".
        told = Fact("local", "a folder, or a name that no hub has")
        yield Reference("model", name, line, "unknown", revision, "local", "", (told, *facts))
        return
    state = names.commit_state(revision) if known else "unknown"
    if not known:
        facts = (*facts, Fact("computed", "the revision is known only when the program runs"))
    fix = (fix or f"hf://{name}@COMMIT").replace("NAME", name) if state != "pinned" else ""
    yield Reference("model", name, line, state, revision, "hub", fix, tuple(facts), weak, call=call)


def default_of(task: str, line: int) -> Reference:
    """The model that a pipeline takes where none is named."""
    told = Fact("default", f"no model is named: the library's default for {task}")
    fix = f'pipeline("{task}", model="ORG/NAME", revision="COMMIT")'
    name = f"default of pipeline {task}"
    return Reference("model", name, line, "floating", None, "", fix, (told,))


def named(
    text: str,
    line: int,
    revision: str | None = None,
    *,
    known: bool = True,
    fix: str = "",
    weak: bool = False,
    strict: bool = False,
) -> Iterator[Reference]:
    """The reference of a text that may be a model: where it looks like one. strict: only where it surely does."""
    text = text.strip()
    if not text or len(text) > _LONGEST or any(c.isspace() for c in text):
        return
    if names.url_of(text):
        if names.hub_file(text):
            yield from link(text, line)
        return
    name, inside, prefixed = names.split_hub(text)
    served = names.hosted(text)
    if name.startswith(("ollama/", "ollama_chat/")) and not prefixed:
        yield from from_ollama(name.partition("/")[2], line, weak=weak)
        return
    if served is not None and not prefixed and not (revision and names.is_hub_name(name)):
        name, state, value = served
        date = Fact("date", "the provider's own dated name; nothing here proves it")
        facts = (date,) if value else ()
        yield Reference("model", name, line, state, value, "hosted", "", facts, weak)
    elif names.is_hub_name(name) and (prefixed or not strict or _looks_like_model(name)):
        yield from model(text, line, revision or inside, known=known, fix=fix, weak=weak)
    elif ollama := re.fullmatch(r"([a-z][\w.-]{1,60}):(latest|[\w.]*\d[\w.-]*)", text):
        yield from from_ollama(text, line, weak=weak) if _looks_like_model(ollama[1]) else ()


_MODELISH = re.compile(
    r"(?i)bert|gpt|llama|mistral|mixtral|qwen|phi|gemma|falcon|t5|bart|clip|vit|whisper|wav2vec|stable|diffusion|flux|sd|lora|minilm|mpnet|"
    r"bge|e5|gte|embed|rerank|instruct|chat|base|large|small|tiny|mini|xl|\d+b\b|-v\d|model|bloom|opt-|deberta|electra|mamba|yi-|deepseek|"
    r"starcoder|code|sam|dino|resnet|convnext|swin|detr|yolo|tts|bark|musicgen|llava|blip|orca|hermes|smol|olmo|granite|command|jina|nomic|colbert|encoder|ner|gguf|awq|gptq|kokoro|moondream|adapter|vicuna|alpaca|zephyr|solar|glm|kimi"
)


def _looks_like_model(name: str) -> bool:
    return bool(_MODELISH.search(name.rpartition("/")[2]))


def from_ollama(text: str, line: int, *, weak: bool = False) -> Iterator[Reference]:
    """A name of an Ollama library: name:tag; a tag moves. hf.co/ORG/NAME:QUANT is of the hub."""
    if text.startswith(("hf.co/", "huggingface.co/")):
        name, _, tag = text.partition("/")[2].partition(":")
        told = (Fact("tag", f"the quantisation {tag}"),) if tag else ()
        fix = f"hf download {name} FILE --revision COMMIT, and FROM ./FILE"
        yield from model(name, line, None, facts=told, weak=weak, fix=fix)
        return
    if (
        text == "scratch"
        or names.is_local(text)
        or text.lower().endswith((".gguf", ".bin", ".safetensors"))
    ):
        file = Fact("local", "a file: these files do not say where it comes from")
        yield Reference("model", text, line, "unknown", None, "local", "", (file,))
        return
    name, at, digest = text.partition("@")
    bare, _, tag = name.partition(":")
    pinned = bool(at) and bool(re.fullmatch(r"sha256:[0-9a-f]{64}", digest))
    value = digest if at else tag or None
    fix = (
        ""
        if pinned
        else "FROM ./model.gguf  # Ollama takes no digest: keep the file, and its SHA-256"
    )
    yield Reference(
        "model", bare, line, "pinned" if pinned else "floating", value, "ollama", fix, (), weak
    )


def _torch(text: str, line: int, facts: Sequence[Fact]) -> Iterator[Reference]:
    found = _TORCH.fullmatch(text)
    if found is None or names.is_local(text):
        yield Reference("model", text, line, "unknown", None, "local", "", tuple(facts))
        return
    name, ref = found[1], found[2]
    state = names.commit_state(ref)
    told = Fact("hub-code", "torch.hub runs the repository's code")
    fix = "" if state == "pinned" else f'torch.hub.load("{name}:COMMIT", ...)'
    yield Reference("model", name, line, state, ref, "github", fix, (told, *facts))


def link(url: str, line: int, *, sure: bool = False) -> Iterator[Reference]:
    """A URL that code fetches: a hub's file is a model, anything else a host. sure: what it gives is a model."""
    file = names.hub_file(url)
    if file is not None:
        name, revision = file
        state = names.commit_state(revision)
        fix = "" if state == "pinned" else names.masked(url).replace(f"/{revision}/", "/COMMIT/", 1)
        yield Reference(
            "model", name, line, state, revision, "hub", fix, tuple(names.url_facts(url))
        )
    elif sure:
        facts = (
            Fact("link", "a link to a file: whoever runs the host may change it"),
            *names.Host(url).facts,
        )
        yield Reference("model", names.masked(url), line, "floating", None, "url", "", facts)
    yield from host(url, line)


def host(url: str, line: int, facts: Sequence[Fact] = ()) -> Iterator[Reference]:
    """The reference of a URL's host; none of a text that is no URL."""
    if names.url_of(url) is None:
        return
    at = names.Host(url)
    told = (*at.facts, *facts)
    plain = any(fact.code == "plain" for fact in told)
    fix = names.masked(url).replace("http://", "https://", 1) if plain else ""
    if any(fact.code == "link-key" for fact in told):
        fix = fix or "take the key out of the link, revoke it, and read it from the environment"
    yield Reference("host", at.name, line, "unknown", None, "url", fix, told)
