"""One from_pretrained by way of the sandbox: the source is cleared, and the library reads the copy.

Zone: the caller's process, beside the controller. What is imported from transformers here is what
the caller has imported, and it is only shown cleared folders.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.dropin import compat
from safe_load.dropin.patches import Patch
from safe_load.sources import hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Arguments that say which files are meant. They are used up when the folder is chosen and cleared.
PLACE = (
    "subfolder", "revision", "cache_dir", "token", "local_files_only", "force_download", "proxies",
)  # fmt: skip
CHOICE = ("variant", "use_safetensors")
ADAPTER_CONFIG = "adapter_config.json"
#: What no argument may ask for, and what to do instead.
_REFUSED = {
    "trust_remote_code": "runs Python code that the model brings, which safe-load never does",
    "gguf_file": "names a GGUF file, which safe-load does not read yet",
    "from_tf": "asks for TensorFlow weights, which safe-load does not read",
    "from_flax": "asks for Flax weights, which safe-load does not read",
}


@dataclass(frozen=True)
class Scope:
    """What calls are led through. clear: gives the cleared folder of a source, with changed options."""

    clear: Callable[..., Path]


#: The folders that stock code is reading in this context: they are cleared already.
_reading: ContextVar[tuple[str, ...]] = ContextVar("safe_load_reading", default=())


def patches(scope: Callable[[], Scope | None]) -> Iterator[Patch]:
    """A patch for each from_pretrained of transformers that reads files by itself.

    scope: what calls go through at the time of the call; None: none, they are left alone.
    """
    for owner in _owners(tuple(sys.modules)):
        method = vars(owner)["from_pretrained"]
        yield Patch(owner, "from_pretrained", classmethod(_routed(method.__func__, scope)))
    for owner, name, instead in compat.upstream().left_out():
        replacement = _left_out(getattr(owner, name), instead, scope)
        yield Patch(
            owner, name, staticmethod(replacement) if isinstance(owner, type) else replacement
        )


@lru_cache(maxsize=1)
def _owners(_modules: tuple[str, ...]) -> list[type]:
    """The classes of transformers that define from_pretrained themselves, as far as loaded.

    Looked for again when other modules are loaded than the last time: no class of transformers comes
    without its module, and to look at thousands of them takes as long as a tenth of a load."""
    upstream = compat.upstream()
    pending = upstream.roots()
    owners: dict[type, None] = {}
    seen: set[type] = set()
    while pending:
        owner = pending.pop()
        if owner in seen:
            continue
        seen.add(owner)
        # A mixin reads the source before the class that it is mixed into does.
        pending += [*type.__subclasses__(owner), *owner.__mro__[1:-1]]
        own = isinstance(vars(owner).get("from_pretrained"), classmethod)
        # Classes of others may mean something else by it; when they read, they call one of these.
        if own and upstream.is_own(owner) and not upstream.asks_its_base(owner):
            owners[owner] = None
    return list(owners)


@cache
def _left_out(
    original: Callable[..., Any], instead: Callable[..., Any], scope: Callable[[], Scope | None]
) -> Callable[..., Any]:
    @wraps(original)
    def found(*args: Any, **kwargs: Any) -> Any:
        return (original if scope() is None else instead)(*args, **kwargs)

    return found


@cache
def _routed(original: Callable[..., Any], scope: Callable[[], Scope | None]) -> Callable[..., Any]:
    name_of_source = _first_parameter(original)

    @wraps(original)
    def from_pretrained(cls: type, *args: Any, **kwargs: Any) -> Any:
        through = scope()
        if through is None:
            return original(cls, *args, **kwargs)
        if args:
            source, args = args[0], args[1:]
        else:
            source = kwargs.pop(name_of_source, None)

        def read(place: object, **kwargs: Any) -> Any:
            return original(cls, place, *args, **kwargs)

        return _load(cls, read, through, source, kwargs)

    return from_pretrained


def _first_parameter(method: Callable[..., Any]) -> str:
    """What the source is called when it is named. The auto classes hide it in their *model_args."""
    first = list(inspect.signature(method).parameters.values())[1]
    positional = first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    return first.name if positional else "pretrained_model_name_or_path"


def _load(
    cls: type, read: Callable[..., Any], through: Scope, source: object, kwargs: dict[str, Any]
) -> Any:
    if not isinstance(source, (str, os.PathLike)) or is_cleared(os.fspath(source)):
        return read(source, **kwargs)
    refuse(kwargs)
    asked = str(os.fspath(source))
    where = {name: kwargs.pop(name) for name in PLACE if name in kwargs}
    choice = {name: kwargs.pop(name) for name in CHOICE if kwargs.get(name) not in (None, "")}
    upstream = compat.upstream()
    for name in (*CHOICE, *upstream.used_up):
        kwargs.pop(name, None)
    if isinstance(kwargs.get("config"), (str, os.PathLike)):
        kwargs["config"] = cleared(through, str(os.fspath(kwargs["config"])), where, {})
    if upstream.is_auto(cls):
        kwargs["trust_remote_code"] = False  # not even asked on the terminal
    if not upstream.is_model(cls):
        choice["weights_optional"] = True
    place = cleared(through, asked, where, choice)
    if upstream.is_model(cls) and base_of(place) == "":
        raise UsageError(no_base(asked))
    try:
        with read_freely(place, kwargs.get("config")):
            result = read(place, **kwargs)
    except (OSError, ValueError) as error:
        error.args = tuple(_named(part, place, asked) for part in error.args)
        raise
    _rename(result, place, asked)
    return result


def is_cleared(source: str) -> bool:
    """Whether it is, or lies in, a cleared copy that stock code is reading in this context."""
    path = os.path.abspath(source)  # noqa: PTH100 - cleared copies hold no links
    return any(
        source == place or path.startswith(f"{place.rstrip('/')}/") for place in _reading.get()
    )


def refuse(kwargs: Mapping[str, Any], more: Mapping[str, str] = MappingProxyType({})) -> None:
    """Raise UsageError for an argument that asks for what must not be. more: further names, with reasons."""
    for name, reason in (_REFUSED | dict(more)).items():
        if kwargs.get(name):
            raise UsageError(f"{name}={kwargs[name]!r} {reason}; remove this argument.")


def cleared(
    through: Scope, source: str, where: Mapping[str, Any], choice: Mapping[str, Any]
) -> str:
    """The cleared folder of a source, or the file in it that stands for a source that is a file."""
    if is_cleared(source):
        return source
    if os.path.lexists(source):
        path = Path(source, where.get("subfolder") or "")
        if not path.resolve().is_relative_to(Path(source).resolve()):
            raise UsageError(
                f"{visible(str(path))} leads out of {visible(source)}: pass that folder itself as the source."
            )
        found: Path | hub.Snapshot = path
    else:
        found = _fetched(source, where, choice)
        path = found.path
    if path.is_file() and path.suffix == ".json":
        # A configuration by its own name: what may be read of it is in its folder's copy.
        return str(through.clear(path.parent, **choice) / path.name)
    folder = through.clear(found, **choice)
    if path.is_file():
        return str(next(folder.glob("*.safetensors")))
    return str(folder)


def base_of(cleared: str) -> str | None:
    """The base model that a cleared copy of an adapter names, "" if none; None where it is no adapter."""
    folder = Path(cleared)
    if (folder / "config.json").is_file() or not (folder / ADAPTER_CONFIG).is_file():
        return None
    base = json.loads((folder / ADAPTER_CONFIG).read_bytes()).get("base_model_name_or_path")
    return base if isinstance(base, str) else ""


def no_base(source: str) -> str:
    """What to say of an adapter whose base somebody wants."""
    return (
        f"{visible(source)} is an adapter, and safe-load does not take its base model from the adapter's word: load "
        "the base model by its own name, and then the adapter with peft.PeftModel.from_pretrained; or confirm the "
        'base with the option base="ORG/NAME@REVISION".'
    )


def _fetched(source: str, where: Mapping[str, Any], choice: Mapping[str, Any]) -> hub.Snapshot:
    """What is on a hub under that name: "org/name", as from_pretrained has it, or hf://."""
    from safe_load.cache import lookup  # noqa: PLC0415 - which imports much
    from safe_load.cache.entries import Cache  # noqa: PLC0415

    if where.get("proxies"):
        raise UsageError(
            "proxies: safe-load takes them from the environment; set HTTPS_PROXY, and remove this argument."
        )
    if hub.is_name(source):
        name = hub.parse(source)
    else:
        revision, folder = where.get("revision"), where.get("subfolder")
        name = hub.named(source, revision and str(revision), folder or "")
    wanted = {key: value for key, value in choice.items() if key in CHOICE}
    wanted |= {key: where[key] for key in ("cache_dir", "token") if key in where}
    return lookup.fetch(
        name,
        Cache(lookup.home()),
        local_files_only=bool(where.get("local_files_only")),
        force_download=bool(where.get("force_download")),
        weights=not choice.get("weights_optional"),
        **wanted,
    )


@contextmanager
def read_freely(*places: object) -> Iterator[None]:
    """Let stock code read these folders, and what it calls in turn."""
    token = _reading.set((*_reading.get(), *(place for place in places if isinstance(place, str))))
    try:
        yield
    finally:
        _reading.reset(token)


def _named(part: object, place: str, asked: str) -> object:
    return part.replace(place, asked) if isinstance(part, str) else part


def _rename(result: object, place: str, asked: str) -> None:
    """Make what was loaded call itself what it was asked for by, as stock does. A cleared copy's path
    would end in model cards and adapters, and lead nowhere when the copy is gone. What stock reads more
    from, when it is used, stays the copy."""
    pending = list(result) if isinstance(result, tuple) else [result]
    if any(_reads_later(item) for item in pending):
        return
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if callable(modules := getattr(item, "modules", None)):
            pending += modules()
        names = getattr(item, "__dict__", {})
        for name in compat.upstream().names:
            if names.get(name) == place:
                setattr(item, name, asked)
        for part in names.values():
            if isinstance(part, dict) and part.get("name_or_path") == place:
                part["name_or_path"] = asked
            elif hasattr(type(part), "from_pretrained"):
                pending.append(part)


def _reads_later(result: object) -> bool:
    """Whether stock reads more weights by the name of the configuration once the model is used: those
    that predict further tokens (generation_config.json asks for it), and adapters of a language."""
    config = result if hasattr(result, "model_type") else getattr(result, "config", None)
    parts = [config, *(getattr(config, "__dict__", {}).values())]
    return any(getattr(part, name, None) for part in parts for name in compat.upstream().read_later)
