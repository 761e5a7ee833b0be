"""One from_pretrained by way of the sandbox: the source is cleared, and the library reads the copy.

Zone: the caller's process, beside the controller. What is imported from transformers here is what
the caller has imported, and it is only shown cleared folders.
"""

from __future__ import annotations

import inspect
import os
import sys
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load import hub
from safe_load.dropin import ties
from safe_load.dropin.patches import Patch
from safe_load.errors import UsageError
from safe_load.formats.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Arguments that say which files are meant. They are used up when the folder is chosen and cleared.
_PLACE = (
    "subfolder", "revision", "cache_dir", "token", "local_files_only", "force_download", "proxies",
)  # fmt: skip
_CHOICE = ("variant", "use_safetensors")
_USED_UP = ("code_revision", "use_auth_token", "resume_download", "mirror", "_commit_hash")
#: What no argument may ask for, and what to do instead.
_REFUSED = {
    "trust_remote_code": "runs Python code that the model brings, which safe-load never does",
    "gguf_file": "names a GGUF file, which safe-load does not read yet",
    "from_tf": "asks for TensorFlow weights, which safe-load does not read",
    "from_flax": "asks for Flax weights, which safe-load does not read",
}


#: The keys of configurations whose models read from their source again. num_mtp_layers:
#: MtpModel.from_pretrained; adapter_attn_dim: Wav2Vec2PreTrainedModel.load_adapter.
_READ_LATER = ("num_mtp_layers", "num_nextn_predict_layers", "adapter_attn_dim")


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
    pipelines = sys.modules.get("transformers.pipelines")
    for name in _PIPELINES:
        if original := getattr(pipelines, name, None):
            yield Patch(pipelines, name, _left_out(original, scope))


@lru_cache(maxsize=1)
def _owners(_modules: tuple[str, ...]) -> list[type]:
    """The classes of transformers that define from_pretrained themselves, as far as loaded.

    Looked for again when other modules are loaded than the last time: no class of transformers comes
    without its module, and to look at thousands of them takes as long as a tenth of a load."""
    import transformers as stock  # noqa: PLC0415 - only who loads models pays for it
    from transformers.models.auto import auto_factory, configuration_auto  # noqa: PLC0415

    backbones = auto_factory._BaseAutoBackboneClass
    pending: list[type] = [
        stock.PreTrainedModel,
        stock.PreTrainedConfig,
        stock.GenerationConfig,
        stock.PreTrainedTokenizerBase,
        stock.FeatureExtractionMixin,
        stock.ProcessorMixin,
        auto_factory._BaseAutoModelClass,
        configuration_auto.AutoConfig,
        stock.AutoTokenizer,
        stock.AutoProcessor,
        stock.AutoFeatureExtractor,
        *_hidden(),
    ]
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
        # A backbone asks the hub whether it knows the name as it was given, and then its base class.
        # Classes of others may mean something else by it; when they read, they call one of these.
        if own and owner is not backbones and owner.__module__.startswith("transformers."):
            owners[owner] = None
    return list(owners)


#: Where classes are that read the source by themselves, and that transformers shows nobody (for want
#: of a package, while its own code uses them) or imports only when they are asked for.
_HIDDEN = {
    "image_processing_base": "ImageProcessingMixin",
    "video_processing_utils": "BaseVideoProcessor",
    "models.auto.image_processing_auto": "AutoImageProcessor",
    "models.auto.video_processing_auto": "AutoVideoProcessor",
    "decision.configuration_utils": "DecisionConfig",
    "decision.modeling_utils": "DecisionMixin",
    "tokenization_mistral_common": "MistralCommonBackend",
    "models.clvp.configuration_clvp": "ClvpEncoderConfig",
    "models.bark.processing_bark": "BarkProcessor",
    "models.pop2piano.processing_pop2piano": "Pop2PianoProcessor",
    "models.wav2vec2_with_lm.processing_wav2vec2_with_lm": "Wav2Vec2ProcessorWithLM",
}


#: What pipeline() looks for in the source itself, where the package for it is installed: the model that
#: an adapter names, which it would fetch, and the pickled language model of a decoder.
_PIPELINES = ("find_adapter_config_file", "_maybe_load_ctc_decoder")


@cache
def _left_out(
    original: Callable[..., Any], scope: Callable[[], Scope | None]
) -> Callable[..., Any]:
    @wraps(original)
    def found(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if scope() is None else None

    return found


def _hidden() -> Iterator[type]:
    """Those that are imported by now. Who looks for what is imported later calls `uncover` before."""
    for module, name in _HIDDEN.items():
        found = getattr(sys.modules.get(f"transformers.{module}"), name, None)
        if isinstance(found, type):
            yield found


def uncover() -> None:
    """Import every class that reads a source by itself, so that `patches` finds it."""
    for module in _HIDDEN:
        # Not of this version, or it needs a package that is not there: then it loads nothing either.
        with suppress(ImportError):
            import_module(f"transformers.{module}")


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
    if not isinstance(source, (str, os.PathLike)) or os.fspath(source) in _reading.get():
        return read(source, **kwargs)
    refuse(kwargs)
    asked = str(os.fspath(source))
    where = {name: kwargs.pop(name) for name in _PLACE if name in kwargs}
    choice = {name: kwargs.pop(name) for name in _CHOICE if kwargs.get(name) not in (None, "")}
    for name in (*_CHOICE, *_USED_UP):
        kwargs.pop(name, None)
    if isinstance(kwargs.get("config"), (str, os.PathLike)):
        kwargs["config"] = _cleared(through, str(os.fspath(kwargs["config"])), where, {})
    if any(base.__module__.startswith("transformers.models.auto.") for base in cls.__mro__):
        kwargs["trust_remote_code"] = False  # not even asked on the terminal
    model = {"PreTrainedModel", "_BaseAutoModelClass"} & {base.__name__ for base in cls.__mro__}
    if not model:
        choice["weights_optional"] = True
    place = _cleared(through, asked, where, choice)
    try:
        with _read_freely(place, kwargs.get("config")):
            result = ties.load(read, place, kwargs) if model else read(place, **kwargs)
    except (OSError, ValueError) as error:
        error.args = tuple(_named(part, place, asked) for part in error.args)
        raise
    _rename(result, place, asked)
    return result


def refuse(kwargs: Mapping[str, Any]) -> None:
    """Raise UsageError for an argument that asks for what must not be."""
    for name, reason in _REFUSED.items():
        if kwargs.get(name):
            raise UsageError(f"{name}={kwargs[name]!r} {reason}; leave it out.")


def _cleared(
    through: Scope, source: str, where: Mapping[str, Any], choice: Mapping[str, Any]
) -> str:
    """The cleared folder of a source, or the file in it that stands for a source that is a file."""
    if source in _reading.get():
        return source
    if os.path.lexists(source):
        path = Path(source, where.get("subfolder") or "")
        if not path.resolve().is_relative_to(Path(source).resolve()):
            raise UsageError(
                f"{visible(str(path))} leads out of {visible(source)}: name it itself."
            )
        found: Path | hub.Snapshot = path
    else:
        found = _fetched(source, where, choice)
        path = found.path
    if path.is_file() and path.suffix == ".json":
        # A configuration by its own name: what may be read of it is in its folder's copy.
        return str(through.clear(path.parent, **choice) / path.name)
    folder = through.clear(found, **choice)
    if (path / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise UsageError(
            f"{visible(source)} is an adapter, and the model that it names is not fetched unasked: "
            "load that model by its own name, and then the adapter with peft."
        )
    if path.is_file():
        return str(next(folder.glob("*.safetensors")))
    return str(folder)


def _fetched(source: str, where: Mapping[str, Any], choice: Mapping[str, Any]) -> hub.Snapshot:
    """What is on a hub under that name: "org/name", as from_pretrained has it, or hf://."""
    from safe_load.vault import cleared  # noqa: PLC0415 - which imports much
    from safe_load.vault.entries import Vault  # noqa: PLC0415

    if where.get("proxies"):
        raise UsageError(
            "proxies are taken from the environment: set HTTPS_PROXY, and leave it out."
        )
    if hub.is_name(source):
        name = hub.parse(source)
    else:
        revision, folder = where.get("revision"), where.get("subfolder")
        name = hub.named(source, revision and str(revision), folder or "")
    wanted = {key: value for key, value in choice.items() if key in _CHOICE}
    wanted |= {key: where[key] for key in ("cache_dir", "token") if key in where}
    return cleared.fetch(
        name,
        Vault(cleared.home()),
        local_files_only=bool(where.get("local_files_only")),
        force_download=bool(where.get("force_download")),
        weights=not choice.get("weights_optional"),
        **wanted,
    )


@contextmanager
def _read_freely(*places: object) -> Iterator[None]:
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
        for name in ("name_or_path", "_name_or_path"):
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
    return any(getattr(part, name, None) for part in parts for name in _READ_LATER)
