"""What a caller may choose about one load, and how far it has come.

Zone: controller. Imported by every way in (command line, Python API) and by the pipeline. `Options`
is the one place that checks a choice; `OptionsDict` is where its type stands.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypedDict,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from safe_load.core import publisher_names
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.exceptions import Accepted
from safe_load.core.fail_on import FailOn  # noqa: TC002 - the types of OptionsDict are looked up
from safe_load.core.units import LARGEST_MEMORY, LONGEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BackendName = Literal["auto", "native", "docker"]
Depth = Literal["auto", "static", "weights", "model", "run"]
Record = Literal["standard", "full"]
Dtype = Literal["fp64", "fp32", "fp16", "bf16"]
Names = Literal["own", "path"]
Keep = Literal["weights", "all"]
Quantised = Literal["numbers", "blocks"]
Stage = Literal[
    "fetch",
    "inventory",
    "wait",
    "extract",
    "detonate",
    "convert",
    "rewrite",
    "installed",
    "compare",
    "probe",
    "export",
]

BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
DEPTHS: tuple[Depth, ...] = get_args(Depth)
RECORDS: tuple[Record, ...] = get_args(Record)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
NAMES: tuple[Names, ...] = get_args(Names)
KEEP: tuple[Keep, ...] = get_args(Keep)
QUANTISED: tuple[Quantised, ...] = get_args(Quantised)

_REPOSITORY = re.compile(
    r"(?!\.)(?:[\w.-]{1,96}/)?(?!\.)[\w.-]{1,96}(?:@[\w./-]{1,200})?", re.ASCII
)


class Choice(TypedDict, total=False):
    """The files of a source that are meant, chosen as from_pretrained of transformers does.

    variant: the weights with this word in their names, e.g. "fp16". use_safetensors: True: only
    safetensors weights; False: only other weights. weights_optional: also open a folder without
    weights, for its tokenizer or configuration. whole: of a single file, keep all values for
    `guard`, and no tensors by name.
    """

    variant: str | None
    use_safetensors: bool | None
    weights_optional: bool
    whole: bool


class OptionsDict(Choice, total=False):
    """The keyword arguments of `scan`, `load`, `clear`, `load_file`, `guard` and `Session`.

    profile: a shipped profile's name, or a TOML file. unsafe_profile: accept a profile file that is
    weaker than the shipped profile. exceptions: findings that do not count, each for one file's content.
    trust: the trust file, which names whose signatures count. require_signature: reject a source that none of these
    has signed. require_attestation: a public key in PEM: accept a source that its owner has attested, without opening
    it again, and no other. backend: what builds the rooms. runtime: the container runtime of
    the docker backend, e.g. "runsc". image: the image of that backend; None: "safe-load:VERSION".
    depth: how much of the model to load in the room; "static" loads nothing, reads the files as data and
    needs no torch. fail_on: the lowest severity that rejects.
    timeout: seconds. memory: bytes. export_despite_findings: write the copy even if the source is
    rejected. hash: the report holds the SHA-256 of the source's files. hash_export: manifest
    and report hold the SHA-256 of the cleared copy's files too, beside their BLAKE3. base: of an
    adapter, ORG/NAME@REVISION of the model that the copy shall name as its base. dtype: the
    element type of the copy's floating point tensors; None leaves it. max_shard_size: bytes of tensors in
    one file of the copy at most; None: as many files as the source has. record: "full" writes each
    system call that can be recorded to the file `trace`, one line of JSON each. all_files: of a source
    on a hub, also open the files that no load opens. weights_of: of a pickled checkpoint, export what
    lies under this key, e.g. "model_ema" or "ema.module". names: "own" names the weights that a
    checkpoint wraps as if they stood alone, "path" gives every tensor its full path. keep: "all" also
    exports what is no weights, e.g. an optimizer's state. quantised: of
    GGUF, "numbers" writes quantised tensors as float32, "blocks" as the bytes of their blocks. require_pin:
    reject a source whose name does not hold the full commit. require_publisher: reject a source of any other
    publisher: names, patterns such as "google-*", "listed" for the list of known publishers and the user's own,
    "verified" for organisations that the hub calls so. publishers: the user's own, as ORG or ORG/NAME; names that
    imitate them are findings. histograms: the report tells how the numbers of each listed tensor are spread, from a
    sample. An option that is None takes the profile's value.
    """

    profile: str | os.PathLike[str]
    unsafe_profile: bool
    exceptions: tuple[Accepted, ...]
    trust: str | os.PathLike[str] | None
    require_signature: bool
    require_attestation: str | os.PathLike[str] | None
    backend: BackendName
    runtime: str | None
    image: str | None
    depth: Depth
    fail_on: FailOn | None
    timeout: float | None
    memory: int | None
    export_despite_findings: bool
    hash: bool
    hash_export: bool
    base: str | None
    dtype: Dtype | None
    max_shard_size: int | None
    record: Record
    trace: str | os.PathLike[str] | None
    all_files: bool
    weights_of: str | None
    names: Names
    keep: Keep
    quantised: Quantised
    require_pin: bool
    require_publisher: tuple[str, ...]
    publishers: tuple[str, ...]
    histograms: bool


@dataclass(frozen=True, init=False)
class Options:
    """The checked options of one load. OptionsDict describes each option and its type.

    Raises UsageError for a wrong name or value and for options that contradict each other. The
    error names the option and the allowed values.
    """

    profile: str = "strict"
    backend: BackendName = "auto"
    runtime: str | None = None
    depth: Depth = "auto"
    fail_on: FailOn | None = None
    timeout: float | None = None
    memory: int | None = None
    export_despite_findings: bool = False
    hash: bool = True
    hash_export: bool = False
    base: str | None = None
    dtype: Dtype | None = None
    max_shard_size: int | None = None
    record: Record = "standard"
    trace: Path | None = None
    image: str | None = None
    variant: str | None = None
    use_safetensors: bool | None = None
    weights_optional: bool = False
    whole: bool = False
    all_files: bool = False
    weights_of: str | None = None
    names: Names = "own"
    keep: Keep = "weights"
    quantised: Quantised = "numbers"
    require_pin: bool = False
    require_publisher: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    histograms: bool = False
    unsafe_profile: bool = False
    trust: Path | None = None
    require_signature: bool = False
    require_attestation: Path | None = None
    exceptions: tuple[Accepted, ...] = ()
    #: Option -> what set it, for the report, where that is not the call itself.
    origins: Mapping[str, str] = field(init=False, compare=False, repr=False)

    def __init__(self, **given: Unpack[OptionsDict]) -> None:
        for option in fields(self):
            if option.name != "origins":
                object.__setattr__(self, option.name, option.default)
        object.__setattr__(self, "origins", {})
        for name, value in given.items():
            try:
                object.__setattr__(self, name, checked(name, value))
            except ValueError as error:
                raise UsageError(f"{name}: {error}") from None
        _require_agreement(self)

    def set_at(self, origins: Mapping[str, str]) -> Options:
        """The same choices, with what set each of them."""
        same = replace(self)
        object.__setattr__(same, "origins", dict(origins))
        return same


def checked(name: str, value: object) -> Any:
    """The value of that option, in the type that Options holds. Raises ValueError, which says what it
    may be, and UsageError when there is no such option."""
    kinds = _kinds()
    if name not in kinds:
        raise UsageError(
            f"there is no option {_shown(name)}{_nearest(name, kinds)}; the options are {', '.join(sorted(kinds))}"
        )
    if name in _CHECKS and value is not None:
        value = _CHECKS[name](value)
    allowed = kinds[name]
    if _is(value, allowed):
        return Path(value) if name in _PATHS and isinstance(value, str) else value
    words = [word for kind in allowed for word in get_args(kind)]
    if not words:
        raise ValueError(f"{_described(value)} is not {' or '.join(_KINDS[k] for k in allowed)}")
    none = " or None" if NoneType in allowed else ""
    raise ValueError(
        f"{_shown(value)} is not one of {', '.join(words)}{none}{_nearest(value, words)}"
    )


@cache
def _kinds() -> dict[str, tuple[Any, ...]]:
    """Option -> the types of which its value must be one."""
    kinds = {}
    for name, hint in get_type_hints(OptionsDict).items():
        union = get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else ()
        kinds[name] = tuple(
            get_origin(kind) if get_origin(kind) in (os.PathLike, tuple) else kind
            for kind in union or (hint,)
        )
    return kinds


def _is(value: object, kinds: tuple[Any, ...]) -> bool:
    for kind in kinds:
        if get_origin(kind) is Literal:
            if isinstance(value, str) and value in get_args(kind):
                return True
        elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return True
    return False


_KINDS: dict[Any, str] = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    os.PathLike: "a path",
    NoneType: "None",
    tuple: "a tuple",
}


def _text(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        fault = "holds a null character" if value else "is empty"
        raise ValueError(f"{_shown(value)} {fault}")
    return value


def _exceptions(value: object) -> object:
    if not isinstance(value, tuple):
        raise ValueError(f"{_described(value)} is not a tuple of safe_load.Accepted")
    if not all(isinstance(each, Accepted) for each in value):
        raise ValueError("not all of them are safe_load.Accepted")
    return value


def _repository(value: object) -> object:
    if isinstance(value, str) and not _REPOSITORY.fullmatch(value):
        raise ValueError(f"{_shown(value)} is not ORG/NAME or ORG/NAME@REVISION")
    return value


def _path(value: object) -> object:
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    return _text(os.fsdecode(path) if isinstance(path, bytes) else path)


def _seconds(value: object) -> float:
    """Seconds as a float. A text is refused: only the command line reads "5m"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_described(value)} is not a number of seconds, e.g. 300.0")
    if not 0 < value <= LONGEST_TIMEOUT:  # nan is neither
        raise ValueError(
            f"{_shown(value)} is not above 0 and at most {LONGEST_TIMEOUT:.0f} seconds (a week)"
        )
    return float(value)


def _bytes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{_described(value)} is not a number of bytes, e.g. 8 << 30")
    if not 0 < value <= LARGEST_MEMORY:
        raise ValueError(
            f"{_shown(value)} is not above 0 and at most {LARGEST_MEMORY} bytes (1 PiB)"
        )
    return value


_PATHS = frozenset({"trace", "trust", "require_attestation"})
_CHECKS: dict[str, Callable[[object], object]] = {
    "profile": _path,
    "trace": _path,
    "trust": _path,
    "require_attestation": _path,
    "exceptions": _exceptions,
    "runtime": _text,
    "image": _text,
    "variant": _text,
    "base": _repository,
    "weights_of": _text,
    "require_publisher": publisher_names.patterns,
    "publishers": publisher_names.names,
    "timeout": _seconds,
    "memory": _bytes,
    "max_shard_size": _bytes,
}


def _require_agreement(options: Options) -> None:
    """Raise UsageError for options that contradict each other."""
    if options.whole and (options.dtype or options.max_shard_size):
        raise UsageError(
            "dtype and max_shard_size change weights, and whole=True keeps a file's values as they are: "
            "choose one of them"
        )
    if options.backend == "native" and (options.runtime or options.image):
        name = "runtime" if options.runtime else "image"
        raise UsageError(
            f"{name}={_shown(getattr(options, name))}: only the docker backend has a runtime and an "
            "image, and backend is 'native'"
        )
    if options.require_signature and options.trust is None:
        raise UsageError(
            "require_signature: trust must name the file that says whose signature counts, e.g. "
            "trust='trust.toml'"
        )
    if options.require_signature and not options.hash:
        raise UsageError("require_signature: a signature is checked by the hashes: leave hash on")
    if options.record == "full" and options.trace is None:
        raise UsageError(
            "record='full': trace must name the file that every call is written to, e.g. "
            "trace='calls.jsonl'"
        )
    if options.record != "full" and options.trace is not None:
        raise UsageError(
            f"trace={_shown(str(options.trace))}: nothing is written there unless record='full'"
        )


def _described(value: object) -> str:
    return f"{_shown(value)} ({type(value).__name__})"


def _shown(value: object) -> str:
    try:
        return visible(repr(value), 80)
    except Exception:  # noqa: BLE001 - a caller's own type, or a number of thousands of digits
        return f"a value of type {type(value).__name__}"


def _nearest(word: object, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 - for who has made a mistake

    near = difflib.get_close_matches(word, known, 1) if isinstance(word, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""


@dataclass(frozen=True)
class Progress:
    """One step of one load. done, total: bytes; None for a stage that counts no bytes."""

    stage: Stage
    state: Literal["start", "progress", "end"]
    done: int | None = None
    total: int | None = None
