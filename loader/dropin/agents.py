"""What stable-baselines3 unpickles by itself, by way of the sandbox: the `data` of an agent, and replay buffers.

Zone: the caller's process, beside the controller. The library keeps a value that JSON lacks as a pickle in base64
(`common/save_util.py`). Each of these pickles is cleared and made again from data. Spaces of gymnasium and schedules,
of which they mostly consist, are made anew here from numbers; classes of the library itself (policies, buffers,
feature extractors) are given out if the caller has imported them. What else is no plain value is left out, as
the library leaves out what it cannot read, and a warning names it. Tried with stable-baselines3 2.9.
"""

from __future__ import annotations

import base64
import io
import pickletools
import sys
import warnings
from functools import cache, wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.dropin import unpickled
from safe_load.dropin.patches import everywhere
from safe_load.dropin.unmodelled import StandIn, StandInClass, StandInWarning
from safe_load.worker.strict_json import parse, require_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safe_load.dropin.patches import Patch
    from safe_load.dropin.pretrained import Scope

MODULE = "stable_baselines3.common.save_util"
_PACKAGES = ("stable_baselines3", "sb3_contrib")
#: Classes of these kinds are made by the library itself, of arguments that it checks.
_KINDS = (
    ("stable_baselines3.common.policies", "BaseModel"),
    ("stable_baselines3.common.buffers", "BaseBuffer"),
    ("stable_baselines3.common.torch_layers", "BaseFeaturesExtractor"),
)
_MAX_DATA = 256 << 20
_DEEPEST = 20
_SERIALIZED = ":serialized:"


class _Unknown(Exception):
    """A value is none of those that are made here."""


def patches(scope: Callable[[], Scope | None]) -> Iterator[Patch]:
    """A patch for each place that holds one of the two functions, once the module is imported."""
    held: Any = sys.modules.get(MODULE)
    if held is not None:
        yield from everywhere(held.json_to_data, _json_to_data(held.json_to_data, scope))
        yield from everywhere(held.load_from_pkl, _load_from_pkl(held.load_from_pkl, scope))


@cache
def _json_to_data(
    original: Callable[..., Any], scope: Callable[[], Scope | None]
) -> Callable[..., Any]:
    @wraps(original)
    def json_to_data(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
        through = scope()
        if through is None:
            return original(json_string, custom_objects)
        given = dict(custom_objects or {})
        text = json_string.encode("utf-8", "surrogatepass")
        table = parse(
            text, where="data", max_bytes=_MAX_DATA, max_string=_MAX_DATA, allow_nonfinite=True
        )
        data: dict[str, Any] = {}
        pickled: dict[str, bytes] = {}
        for key, value in require_object(table, "data").items():
            data[key] = given.get(key, value)
            if key not in given and isinstance(value, dict) and _SERIALIZED in value:
                pickled[key] = _decoded(key, value[_SERIALIZED])
        for key, value in zip(pickled, _values(through, [*pickled.values()]), strict=True):
            try:
                data[key] = _plain(value)
            except _Unknown as unknown:
                del data[key]
                warnings.warn(
                    f"{visible(key, 100)} is left out, for it is no value that a guard makes again ({unknown}): "
                    "where the agent needs it, pass it in custom_objects",
                    StandInWarning,
                    stacklevel=2,
                )
        return data

    return json_to_data


@cache
def _load_from_pkl(
    original: Callable[..., Any], scope: Callable[[], Scope | None]
) -> Callable[..., Any]:
    @wraps(original)
    def load_from_pkl(path: Any, verbose: int = 0) -> Any:
        through = scope()
        if through is None:
            return original(path, verbose)
        return unpickled.read(through, path, "load_from_pkl")

    return load_from_pkl


def _decoded(key: str, encoded: object) -> bytes:
    try:
        return base64.b64decode(encoded if isinstance(encoded, str) else b"?")
    except ValueError as error:
        raise NotLoadable(f"the agent's {visible(key, 100)} is no base64") from error


def _values(through: Scope, pickles: list[bytes]) -> Sequence[Any]:
    """What the pickles hold, all of them opened at once: each would need a room of its own."""
    if not pickles:
        return ()
    root, _ = unpickled.made(through, io.BytesIO(_joined(pickles)), "PPO.load and the like")
    if type(root) is not tuple or len(root) != len(pickles):
        raise NotLoadable("the agent's pickles take values of each other")
    return root


def _joined(pickles: list[bytes]) -> bytes:
    """One pickle that is a tuple of what these are. Nothing in them is run; what a pickle keeps under a number
    to use it again is kept under another one. Raises NotLoadable for what is no pickle."""
    out = [b"\x80\x05("]
    taken = 0
    for data in pickles:
        numbers: dict[int, int] = {}
        try:
            opcodes = list(pickletools.genops(data))
        except ValueError as error:
            raise NotLoadable("the agent holds a pickle that is damaged") from error
        for (opcode, argument, begin), (_, _, end) in pairwise(opcodes):
            assert begin is not None  # noqa: S101 - of bytes, it is known
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
                number = len(numbers) if argument is None else int(argument)
                numbers[number] = taken = taken + 1
                out.append(b"r" + taken.to_bytes(4, "little"))
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                # What is not there is not there in the joined one either.
                out.append(b"j" + numbers.get(int(argument or 0), 0xFFFFFFFF).to_bytes(4, "little"))
            elif opcode.name not in ("PROTO", "FRAME"):
                out.append(data[begin:end])
    return b"".join([*out, b"t."])


def _plain(value: Any, depth: int = 0) -> Any:
    """The value without stand-ins. Raises _Unknown."""
    if depth > _DEEPEST:
        raise _Unknown("it is nested too deep")
    if isinstance(value, StandInClass):
        return _class(value.stands_for)
    if isinstance(value, StandIn):
        return _object(value, depth)
    if type(value) in (list, tuple):
        return type(value)(_plain(item, depth + 1) for item in value)
    if type(value) is dict:
        return {_plain(key, depth + 1): _plain(item, depth + 1) for key, item in value.items()}
    return value


def _class(dotted: str) -> Any:
    """A class of the library, as far as the caller has imported it."""
    name, _, attribute = dotted.rpartition(".")
    found = vars(sys.modules[name]).get(attribute) if name in sys.modules else None
    kinds = tuple(
        vars(sys.modules[module])[kind] for module, kind in _KINDS if module in sys.modules
    )
    if (
        name.partition(".")[0] in _PACKAGES
        and isinstance(found, type)
        and found.__module__ == name
        and issubclass(found, kinds)
    ):
        return found
    raise _Unknown(visible(dotted, 200))


def _object(value: StandIn, depth: int) -> Any:
    dotted = value.stands_for
    held = {name: _held(item, depth) for name, item in vars(value).items()}
    try:
        if dotted.startswith("gymnasium.spaces."):
            return _space(dotted.rpartition(".")[2], held)
        return _of_library(dotted, held)
    except _Unknown:
        raise
    except Exception as error:
        raise _Unknown(f"{visible(dotted, 200)}: {visible(str(error), 200)}") from error


def _held(item: Any, depth: int) -> Any:
    """An attribute; what is not known is found where it is needed."""
    try:
        return _plain(item, depth + 1)
    except _Unknown:
        return item


def _space(kind: str, held: dict[str, Any]) -> Any:
    """A space as its constructor makes it, with a random generator of its own."""
    from gymnasium import spaces  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415

    match kind:
        case "Box":
            return spaces.Box(
                _numbers(held["low"]),
                _numbers(held["high"]),
                dtype=_numbers(held["low"]).dtype.type,
            )
        case "Discrete":
            return spaces.Discrete(int(held["n"]), start=int(held.get("start", 0)))
        case "MultiDiscrete":
            return spaces.MultiDiscrete(_numbers(held["nvec"]))
        case "MultiBinary":
            size = held["n"]
            return spaces.MultiBinary(
                int(size) if isinstance(size, int) else [int(n) for n in size]
            )
        case "Dict":
            return spaces.Dict({str(key): _checked(space) for key, space in held["spaces"].items()})
        case "Tuple":
            return spaces.Tuple([_checked(space) for space in held["spaces"]])
    raise _Unknown(f"gymnasium.spaces.{visible(kind, 100)}")


def _numbers(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    if type(value) is not np.ndarray or value.dtype.kind not in "biuf":
        raise _Unknown("a space's bounds are no array of numbers")
    return value


def _checked(space: Any) -> Any:
    from gymnasium import spaces  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415

    if not isinstance(space, spaces.Space):
        raise _Unknown("a part of a space is none")
    return space


def _of_library(dotted: str, held: dict[str, Any]) -> Any:
    """Schedules and settings of the library, of numbers."""
    utils: Any = sys.modules.get("stable_baselines3.common.utils")
    types: Any = sys.modules.get("stable_baselines3.common.type_aliases")
    match dotted:
        case "stable_baselines3.common.utils.ConstantSchedule":
            return utils.ConstantSchedule(float(held["val"]))
        case "stable_baselines3.common.utils.LinearSchedule":
            return utils.LinearSchedule(*(float(held[n]) for n in ("start", "end", "end_fraction")))
        case "stable_baselines3.common.utils.FloatSchedule":
            inner = held["value_schedule"]
            if not isinstance(inner, utils.ConstantSchedule | utils.LinearSchedule):
                raise _Unknown("a schedule of another kind")
            return utils.FloatSchedule(inner)
        case "stable_baselines3.common.type_aliases.TrainFreq":
            frequency, unit = held["_args"]
            return types.TrainFreq(int(frequency), types.TrainFrequencyUnit(unit.value))
    raise _Unknown(visible(dotted, 200))
