"""References in command lines: shell scripts, Dockerfiles, Modelfiles, and the commands in other files."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from safe_load.register import calls, found, names, packages, servers
from safe_load.register.rows import Fact, Reference
from safe_load.register.words import MOST_WORDS, expand, logical_lines, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_ASSIGNED = re.compile(
    r"(?:export\s+|set\s+-x\s+|readonly\s+|local\s+|declare\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)=(.*)"
)
_SEPARATORS = frozenset({"&&", "||", ";", "|", "&", "do", "then", "else"})
_PINS = ("--revision", "--model-revision", "--model_revision")
#: Programs (and modules of Python) that take --revision; "": what an image starts with these arguments.
_TAKES_REVISION = re.compile(
    r"|vllm|sglang|lmdeploy|hf|huggingface-cli|transformers|transformers-cli|modelscope|text-generation-launcher|text-embeddings-router"
)
#: Words that stand before the program itself.
_BEFORE = frozenset({"sudo", "exec", "env", "time", "nohup", "nice", "command", "poetry", "uv", "pipenv", "run", "accelerate", "launch", "xargs", "then", "do"})  # fmt: skip
#: The program (and its first word) after which a bare name is a model; whether it is Ollama's.
_POSITIONAL = {
    ("vllm", "serve"): False,
    ("hf", "download"): False,
    ("huggingface-cli", "download"): False,
    ("modelscope", "download"): False,
    ("ollama", "pull"): True,
    ("ollama", "run"): True,
    ("ollama", "show"): True,
    ("llm", "install"): False,
    ("lms", "get"): False,
    ("transformers", "serve"): False,
    ("transformers", "chat"): False,
}
#: A script of the network that is run as it comes: what fetches it, and what runs it behind the "|".
_FETCHED = re.compile(r"(?:^|[\s;&(])(?:curl|wget)\s")
_SHELL = re.compile(r"\s*(?:sudo\s+(?:-\S+\s+){0,5})?(?:ba|z|da)?sh\b")
_URL = re.compile(r"https?://[^\s'\"|;&)]+")
#: What reads the code of `python -c`: python_code puts itself here, since code starts commands in turn.
CODE: list[Callable[[str], Iterable[Reference]]] = []
_SHORT_MODEL = {"-hf": False, "-hfr": False, "--hf-repo": False, "-m": None}
#: Images that bring or serve models, or tools for them.
IMAGES = re.compile(
    r"(?i)vllm|text-generation-inference|text-embeddings-inference|\btgi\b|\btei\b|ollama|triton|pytorch|tensorflow|transformers|huggingface|mcp|llama[.-]?cpp|"
    r"localai|litellm|open-webui|sglang|comfyui|lmdeploy|torchserve|nvidia/cuda|tensorrt|ray-ml|rayproject|mlflow|kserve|seldon|bentoml|whisper|stable-diffusion|"
    r"qdrant|weaviate|chroma|milvus|langfuse|flowise|dify|n8n|jupyter|deepspeed|xinference|llamafile|infinity|lancedb|unstructured"
)


def script(
    text: str, first: int = 1, variables: Mapping[str, str] | None = None
) -> Iterator[Reference]:
    """A shell script, or a part of one that begins in line `first` of its file."""
    held = dict(variables or {})
    settings: list[tuple[str, str, int]] = []
    for number, line in logical_lines(text):
        at = number + first - 1
        bare = re.sub(r"^\s*[-@+](?![-\w]*-)", "", line).strip()
        assigned = _ASSIGNED.fullmatch(bare)
        if assigned and not re.search(r"\s", assigned[2].strip("\"' ")):
            value = expand(assigned[2].strip("\"' "), held)
            held[assigned[1]] = value
            settings.append((assigned[1], value, at))
        elif bare and not bare.startswith("#"):
            yield from line_of(bare, at, held)
    yield from environment(settings, weak=True, strict=True)


def makefile(text: str) -> Iterator[Reference]:
    """A Makefile: $(NAME) is a variable there, and ?= and := set one too."""
    text = re.sub(r"(?m)^(\w+)[ \t]*[:?]?:?=[ \t]*(.*)$", r"\1=\2", text)
    return script(re.sub(r"\$\((\w+)\)", r"${\1}", text))


def line_of(line: str, at: int, variables: Mapping[str, str]) -> Iterator[Reference]:
    """Each command of one line."""
    words: list[str] = []
    parts = line.split("|")
    for fetching, running in pairwise(parts):
        url = _URL.search(fetching) if _SHELL.match(running) and _FETCHED.search(fetching) else None
        if url:
            yield from found.host(url[0], at, [Fact("piped", "what it sends is run by a shell")])
    kept = re.search(r"\bcheckout\s+([0-9a-f]{40})\b", line)
    for word in [*split(line), ";"]:
        if word in _SEPARATORS or re.fullmatch(r"[;|&]+", word):
            for each in command(words, at, variables) if words else ():
                yield _checked_out(each, kept[1]) if kept else each
            words = []
        else:
            words.append(word if " " in word else word.strip("()`"))


def _checked_out(reference: Reference, commit: str) -> Reference:
    """What a line clones, where the line then takes one commit of it."""
    if not any(fact.code == "clone" for fact in reference.facts):
        return reference
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(reference, state="pinned", value=commit, fix="", facts=())


def environment(
    settings: Sequence[tuple[str, str, int]], *, weak: bool = False, strict: bool = False
) -> Iterator[Reference]:
    """Variables that are set together, e.g. MODEL_ID and REVISION."""
    pins = {calls.plain(name): value for name, value, _ in settings if "revision" in name.lower()}
    revision = pins.get("revision") or next(iter(pins.values()), None)
    for name, value, line in settings:
        if not value or len(value) > 2000:
            continue
        if names.url_of(value) and not names.hub_file(value):
            if calls.names_host(name) or names.url_facts(value):
                if "index_url" in calls.plain(name):
                    yield from packages.index(
                        value, line, "pip" in name.lower() or "uv" in name.lower()
                    )
                else:
                    yield from found.host(value, line)
        elif calls.names_model(name):
            for each in value.split(",")[:20]:
                fix = f"{name}={each.strip()} with REVISION=COMMIT beside it"
                yield from found.named(each, line, revision, weak=weak, strict=strict, fix=fix)


def command(words: Sequence[str], line: int, variables: Mapping[str, str]) -> Iterator[Reference]:
    """One command: the models that it loads, the packages that it installs, the server that it starts."""
    words = [expand(word, variables) for word in words[:MOST_WORDS]]
    settings = []
    while words and (assigned := _ASSIGNED.fullmatch(words[0])):
        settings.append((assigned[1], assigned[2], line))
        words = words[1:]
    if not words:
        yield from environment(settings, weak=True, strict=True)
        return
    yield from environment(settings)
    yield from packages.beside(words, line)
    start = 0
    while (
        start < len(words) - 1
        and words[start].rpartition("/")[2] in _BEFORE
        and words[start + 1] not in {"pip", "add"}
    ):
        start += 1
    if words[start].startswith("-"):  # arguments of a program that the image names
        start -= 1
    program = words[start].rpartition("/")[2] if start >= 0 else ""
    rest = list(words[start + 1 :])
    if program in {"bash", "sh", "zsh"} and "-c" in rest[:3]:
        inner = rest[rest.index("-c") + 1 :]
        if inner:
            yield from line_of(inner[0], line, variables)
        return
    if re.fullmatch(r"python[\d.]*", program) and "-c" in rest[:-1]:
        yield from _inline(rest[rest.index("-c") + 1], line)
        return
    yield from packages.install(program, rest, line)
    if (program, rest[0] if rest else "") == ("claude", "mcp") or program in servers.RUNNERS:
        yield from servers.typed(program, rest, line)
    if program in servers.RUNNERS:  # uvx --from huggingface_hub hf download ...
        bare = [
            n
            for n, word in enumerate(rest)
            if word in {"hf", "huggingface-cli", "vllm", "ollama", "litellm"}
        ]
        if bare:
            program, rest = rest[bare[0]], rest[bare[0] + 1 :]
    yield from _models(program, rest, line)
    if program in {"docker", "podman", "nerdctl"} and rest[:1] in (["run"], ["pull"], ["create"]):
        yield from _container(rest[1:], line)
    if program in {"curl", "wget", "aria2c"} or (program == "git" and "clone" in rest[:2]):
        yield from _fetched(program, rest, line)


def _inline(code: str, line: int) -> Iterator[Reference]:
    """python -c CODE: the models that it loads."""
    from msgspec.structs import replace  # noqa: PLC0415

    for read in CODE:
        try:
            yield from (replace(each, line=line, call=None) for each in read(code))
        except (SyntaxError, ValueError, RecursionError):
            return


def options(rest: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) of --option value and --option=value."""
    for number, word in enumerate(rest):
        if not word.startswith("-"):
            continue
        option, equals, value = word.partition("=")
        if equals:
            yield option, value
        elif number + 1 < len(rest) and not rest[number + 1].startswith("--"):
            yield option, rest[number + 1]


def _models(program: str, rest: Sequence[str], line: int) -> Iterator[Reference]:
    given = list(options(rest))
    revision = next((value for option, value in given if option in _PINS), None)
    module = (
        rest[rest.index("-m") + 1] if program.startswith("python") and "-m" in rest[:-1] else ""
    )
    runs = module.partition(".")[0] or program
    remote = any(word.startswith(("--trust-remote-code", "--trust_remote_code")) for word in rest)
    facts = (
        (Fact("remote-code", "--trust-remote-code: code of the repository is run"),)
        if remote
        else ()
    )
    first = rest[0] if rest else ""
    ollama = _POSITIONAL.get((program, first))
    if ollama is not None:
        bare = next((word for word in rest[1:] if not word.startswith("-")), "")
        if bare and ollama:
            yield from found.from_ollama(bare, line)
        elif bare and "dataset" not in rest:
            yield from found.model(bare, line, revision, facts=facts, fix=_fix(program, first))
    for option, value in given:
        word = option.lstrip("-")
        if word in {"model_args", "model-args"}:  # lm_eval: pretrained=ORG/NAME,revision=REF
            pairs = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
            fix = f"{option} pretrained={pairs.get('pretrained')},revision=COMMIT"
            yield from found.named(
                pairs.get("pretrained", ""), line, pairs.get("revision"), fix=fix
            )
            continue
        if option in _SHORT_MODEL or (option.startswith("--") and calls.names_model(word)):
            pin = dict(given).get("--tokenizer-revision") if "tokenizer" in word else revision
            name = value.partition(":")[0] if option in ("-hf", "-hfr", "--hf-repo") else value
            if option == "-m" and not names.is_hub_name(name):
                continue
            pins = "tokenizer-" if "tokenizer" in word else "model_" if word == "model_id" else ""
            fix = f"{option} {value} --{pins}revision COMMIT"
            if not _TAKES_REVISION.fullmatch(runs):
                fix += f", where {runs} takes it"
            if option in ("-hf", "-hfr", "--hf-repo"):  # llama.cpp takes no revision
                fix = f"hf download {name} --revision COMMIT, and --model FILE"
            for each in found.named(name, line, pin, fix=fix):
                yield found_with(each, facts)
        elif option.startswith("--") and calls.names_host(word):
            if "index" in word or "registry" in word or "find-links" in word:
                continue
            yield from found.host(value, line)
        elif word in {"lora-modules", "lora_modules"}:
            for pair in value.split():
                yield from found.named(pair.partition("=")[2], line)


def found_with(reference: Reference, facts: Sequence[Fact]) -> Reference:
    """The reference with further facts."""
    if not facts or reference.kind != "model":
        return reference
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(reference, facts=(*reference.facts, *facts))


def _fix(program: str, first: str) -> str:
    return f"{program} {first} NAME --revision COMMIT"


def _container(rest: Sequence[str], line: int) -> Iterator[Reference]:
    image, after = servers.image_of(rest)
    if image:
        yield from from_image(image, line)
        yield from _models("", after, line)


def from_image(image: str, line: int) -> Iterator[Reference]:
    """A container image that brings models or serves them; none of another."""
    if not IMAGES.search(image) or "$" in image or "{{" in image:
        return
    name, state, value = names.image_pin(image)
    fix = "" if state == "pinned" else f"{name}@sha256:DIGEST"
    yield Reference(
        "tool", name, line, state, value, "oci", fix, (Fact("image", "a container image"),)
    )


def _fetched(program: str, rest: Sequence[str], line: int) -> Iterator[Reference]:
    for word in rest:
        if names.url_of(word) is None:
            continue
        path = word.split("?")[0]
        weights = re.search(
            r"\.(?:bin|pt|pth|ckpt|safetensors|gguf|onnx|h5|pkl|tar\.gz|zip|model|mar|nemo)$", path
        )
        repository = re.fullmatch(r"https?://[^/]+/([\w.-]+/[\w.-]+?)(?:\.git)?/?", path)
        if program == "git" and repository and re.match(r"https?://(?:www\.)?(?:hugging|hf)", word):
            told = Fact("clone", "git clone takes whatever the branch holds")
            fix = f"git clone {names.masked(word)} && git checkout COMMIT"
            yield Reference("model", repository[1], line, "floating", None, "hub", fix, (told,))
            yield from found.host(word, line)
        elif names.hub_file(word):
            yield from found.link(word, line)
        elif weights and program != "git":
            yield from found.link(word, line, sure=True)


def dockerfile(text: str) -> Iterator[Reference]:
    """FROM, ENV, ARG, RUN, CMD and ENTRYPOINT of a Dockerfile."""
    variables: dict[str, str] = {}
    settings: list[tuple[str, str, int]] = []
    for number, line in logical_lines(text):
        parts = line.strip().split(None, 1)
        if len(parts) < 2:
            continue
        word, rest = parts[0].upper(), parts[1]
        if word == "FROM":
            image = next((w for w in rest.split() if not w.startswith("--")), "")
            yield from from_image(expand(image, variables), number)
        elif word in {"ENV", "ARG"}:
            for name, written in _settings(rest):
                value = expand(written, variables)
                variables[name] = value
                settings.append((name, value, number))
        elif word == "RUN":
            yield from line_of(re.sub(r"^(?:--\S+\s+)+", "", rest), number, variables)
        elif word in {"CMD", "ENTRYPOINT", "HEALTHCHECK"}:
            yield from command(_form(rest), number, variables)
        elif word in {"ADD", "COPY"}:
            if source := re.match(r"(?:--\S+\s+)*?--from=(\S+)", rest):
                yield from from_image(expand(source[1], variables), number)
            yield from _fetched("wget", rest.split(), number)
    yield from environment(settings, weak=True)


def _settings(rest: str) -> Iterable[tuple[str, str]]:
    words = split(rest)
    if words and "=" not in words[0]:
        return [(words[0], " ".join(words[1:]))] if len(words) > 1 else []
    return [(name, value) for name, equals, value in (w.partition("=") for w in words) if equals]


def _form(rest: str) -> list[str]:
    """CMD in either of its forms: a JSON list, or a line for the shell."""
    if rest.startswith("["):
        quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
        if quoted:
            return quoted
    return split(rest)


def modelfile(text: str) -> Iterator[Reference]:
    """FROM and ADAPTER of an Ollama Modelfile."""
    for number, line in enumerate(text.split("\n"), 1):
        found_at = re.match(r"(?i)\s*(FROM|ADAPTER)\s+(\S+)", line)
        if found_at:
            yield from found.from_ollama(found_at[2], number)
