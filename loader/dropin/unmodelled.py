"""Inert objects in the place of those whose classes safe-load does not model.

Zone: the caller's process. A stand-in has the attributes of the object that it stands for, and no code.
Only what Python asks of every object (repr, copy, attributes, the items of a dict or list) is answered.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, NoReturn

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.dropin.called import is_special


class NotModelled(NotLoadable, TypeError):
    """A stand-in was called, or pickled."""


class NoSuchAttribute(NotModelled, AttributeError):
    """A stand-in was asked for a method or attribute that the file does not hold."""


class StandInWarning(UserWarning):
    """What was loaded holds stand-ins."""


def _advice(what: str) -> str:
    return (
        f"{what} is not modelled, and its code was not loaded: its attributes are there as data "
        "(vars() lists them); safe_load.load_file gives the tensors of the file; to have the object "
        "itself, load a file that you trust without the guard"
    )


class StandIn:
    """An object of a class that is not modelled. `stands_for`: the class, as the file names it."""

    stands_for: ClassVar[str] = ""

    def __repr__(self) -> str:
        return f"<stand-in for {visible(self.stands_for, 200)} (not modelled: its code was not loaded)>"

    def __getattr__(self, name: str) -> Any:
        if isinstance(self, dict) and not is_special(name) and name in self:
            return self[name]  # most dicts of a class of their own give their items so
        raise NoSuchAttribute(
            f"the stand-in for {visible(self.stands_for, 200)} has no {visible(name, 100)!r}: "
            + _advice("that class")
        )

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise NotModelled(_advice(visible(self.stands_for, 200)))

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise NotModelled(f"a stand-in cannot be pickled: {_advice(visible(self.stands_for, 200))}")

    def __copy__(self) -> StandIn:
        again = _empty(type(self), self)
        again.__dict__.update(self.__dict__)
        return again

    def __deepcopy__(self, memo: dict[int, Any]) -> StandIn:
        again = _empty(type(self))
        memo[id(self)] = again
        if isinstance(self, dict) and isinstance(again, dict):
            again.update(copy.deepcopy(dict(self), memo))
        if isinstance(self, list) and isinstance(again, list):
            again.extend(copy.deepcopy(list(self), memo))
        again.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return again


class StandInClass:
    """A class or function that is not modelled, named by the file and nothing more."""

    def __init__(self, stands_for: str) -> None:
        self.stands_for = stands_for
        self.__name__ = self.__qualname__ = visible(stands_for.rpartition(".")[2], 200)

    def __repr__(self) -> str:
        return f"<stand-in for {visible(self.stands_for, 200)} (not modelled: its code was not loaded)>"

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise NotModelled(_advice(visible(self.stands_for, 200)))

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise NotModelled(f"a stand-in cannot be pickled: {_advice(visible(self.stands_for, 200))}")

    def __copy__(self) -> StandInClass:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> StandInClass:
        return self


#: Each stand-in's class takes a kilobyte.
_MAX_CLASSES = 10_000
_BASES: dict[str, tuple[type, ...]] = {
    "": (StandIn,),
    "dict": (StandIn, dict),
    "list": (StandIn, list),
}


def _empty(cls: type, held: object = ()) -> StandIn:
    made: Any = cls.__new__(cls)  # type: ignore[call-overload]
    if isinstance(made, dict) and isinstance(held, dict):
        made.update(held)
    if isinstance(made, list) and isinstance(held, list):
        made.extend(held)
    assert isinstance(made, StandIn)  # noqa: S101 - all of these classes are
    return made


class StandIns:
    """The stand-ins of one file: one class for each class of the file.

    used: the names of the classes, with how many objects of each there are.
    """

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self._classes: dict[tuple[str, str], type] = {}
        self._names: dict[str, StandInClass] = {}

    def named(self, dotted: str) -> StandInClass:
        """What stands for a class or function itself. The same name gives the same object."""
        self.used.setdefault(dotted, 0)
        return self._names.setdefault(dotted, StandInClass(dotted))

    def empty(self, dotted: str, base: str = "") -> StandIn:
        """An object without attributes. base: "dict" or "list" where the file gives it items."""
        self.used[dotted] = self.used.get(dotted, 0) + 1
        cls = self._classes.get((dotted, base))
        if cls is None:
            if len(self._classes) >= _MAX_CLASSES:
                raise NotLoadable("it holds objects of more classes than any model")
            name = visible(dotted.rpartition(".")[2], 200) or "StandIn"
            fields = {"stands_for": dotted, "__module__": "safe_load.stand_ins", "__slots__": ()}
            cls = type(name, _BASES[base], {k: v for k, v in fields.items() if k != "__slots__"})
            self._classes[dotted, base] = cls
        return _empty(cls)

    def sentence(self, source: str) -> str | None:
        """What to tell of them, or None where there are none."""
        if not self.used:
            return None
        names = [visible(name, 200) for name in self.used]
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        return (
            f"{source}: stand-ins without code took the place of what is not modelled: "
            f"{', '.join(names[:10])}{more}; their attributes are there as data"
        )


def attributes(target: StandIn, state: object) -> None:
    """Give a stand-in what BUILD would give the object."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    if all(part is None or isinstance(part, dict) for part in parts):
        for part in parts:
            for key, value in (part if isinstance(part, dict) else {}).items():
                if isinstance(key, str) and not is_special(key):
                    target.__dict__[key] = value
    else:
        target.__dict__["_state"] = state
