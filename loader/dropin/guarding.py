"""A block in which models are only opened by way of the sandbox, whoever opens them.

Zone: the caller's process. Libraries are patched while a block runs, in all threads, and are left
exactly as they were.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Unpack

from safe_load.core.errors import UsageError
from safe_load.core.options import Options, OptionsDict
from safe_load.dropin import compat, libraries, on_import, pretrained, unpickled, warm
from safe_load.dropin.patches import Patch, Patches
from safe_load.dropin.pretrained import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.session import Session

#: The guards that are open in this process, innermost last.
_open: list[Scope] = []
#: What calls of this context alone go through, wherever no guard is open.
_here: ContextVar[Scope | None] = ContextVar("safe_load_scope", default=None)


@contextmanager
def guard(session: Session | None = None, **options: Unpack[OptionsDict]) -> Iterator[None]:
    """Send every load of a model in a block through the sandbox, in all threads of the process.

    This covers from_pretrained of transformers, what peft, diffusers and sentence-transformers read
    by themselves, torch.load, joblib.load, and numpy.load with allow_pickle. The first load of the process builds a warm sandbox, which the later ones use and
    which ends with the last guard:

        with safe_load.guard():
            model = library.that_loads_a_model("org/name")

    It does not cover pickle.load and the unpicklers of other libraries.

    What torch.load and joblib.load return is made again from data: numbers, text, containers, tensors,
    arrays, dates, paths and the like are what they were. An object of any other class is a stand-in,
    which has its attributes and no code; a StandInWarning names the classes.

    Args:
        session: The warm sandbox to use, with its options. None: one for all guards of this process
            with the same options.
        **options: As for `scan`, if no session is given.

    Raises:
        UsageError: An option is wrong, or both a session and options are given.
        Rejected: From a load in the block: the model was rejected.
        NotLoadable: From a load in the block; also if a stand-in is called or pickled.
    """
    scope = _scope(session, options)
    if find_spec("transformers") is not None:
        compat.upstream().uncover()  # what the block will import
    room = warm.acquire(options) if session is None else None
    if room is not None:
        scope = Scope(room.clear)
    try:
        with _all_installed():
            _open.append(scope)
            try:
                yield
            finally:
                _open.remove(scope)
    finally:
        if room is not None:
            room.release()


@contextmanager
def here() -> Iterator[None]:
    """Within this block, what this context loads by from_pretrained goes through the sandbox, with the options of the guard that is open."""
    token = _here.set(_open[-1] if _open else _scope(None, {}))
    try:
        with _all_installed(unpickling=False):
            yield
    finally:
        _here.reset(token)


def _current() -> Scope | None:
    return _here.get() or (_open[-1] if _open else None)


def _scope(session: Session | None, options: OptionsDict) -> Scope:
    from safe_load import api  # noqa: PLC0415 - only who loads models pays for it

    if session is not None:
        if options:
            raise UsageError(
                "guard() takes a session or options, not both: a session has its own options"
            )
        return Scope(session.clear)
    from safe_load.rooms import choice  # noqa: PLC0415 - only who loads models pays for it

    given = Options(**options)
    choice.profile_of(given)  # a wrong profile is told here, and not by the first load
    return Scope(lambda source, **choice: api.cleared(source, replace(given, **choice)).path)


def _find_pretrained() -> Iterator[Patch]:
    if find_spec("transformers") is not None:
        yield from pretrained.patches(_current)


def _find_libraries() -> Iterator[Patch]:
    for module in libraries.modules():
        yield from libraries.patches(module, _current)


@contextmanager
def _all_installed(*, unpickling: bool = True) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_pretrained.installed())
        if unpickling:
            stack.enter_context(_unpickling.installed())
        stack.enter_context(_libraries.installed())
        # After the patches: what is imported in between is looked for once more.
        stack.enter_context(on_import.told(libraries.modules(), _imported))
        yield


def _imported(module: str) -> None:
    _libraries.extend(libraries.patches(module, _current))


_pretrained = Patches(_find_pretrained)
_libraries = Patches(_find_libraries)
_unpickling = Patches(lambda: unpickled.patches(_current))
