"""A block in which models are only opened by way of the sandbox, whoever opens them.

Zone: the caller's process. Libraries are patched while a block runs, in all threads, and are left
exactly as they were.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from safe_load.dropin import pretrained, unpickled
from safe_load.dropin.patches import Patch, Patches
from safe_load.dropin.pretrained import Scope
from safe_load.errors import UsageError
from safe_load.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.api import Source
    from safe_load.session import Session

#: The guards that are open in this process, innermost last.
_open: list[Scope] = []
#: What calls of this context alone go through, wherever no guard is open.
_here: ContextVar[Scope | None] = ContextVar("safe_load_scope", default=None)


@contextmanager
def guard(session: Session | None = None, **options: Any) -> Iterator[None]:
    """Within this block, every from_pretrained of transformers, torch.load, joblib.load and
    numpy.load with allow_pickle opens what it is given in the sandbox, in all threads of the process:

        with safe_load.guard():
            model = library.that_loads_a_model("org/name")

    session: the warm sandbox to use. options: the fields of safe_load.options.Options. What a model
    does raises Rejected; what cannot be given back from there, NotLoadable. pickle.load and
    unpicklers of other libraries are not covered.
    """
    scope = _scope(session, options)
    if find_spec("transformers") is not None:
        pretrained.uncover()  # what the block will import
    with _pretrained.installed(), _unpickling.installed():
        _open.append(scope)
        try:
            yield
        finally:
            _open.remove(scope)


@contextmanager
def here() -> Iterator[None]:
    """Within this block, what this context loads by from_pretrained goes through the sandbox, with the options of the guard that is open."""
    token = _here.set(_open[-1] if _open else _scope(None, {}))
    try:
        with _pretrained.installed():
            yield
    finally:
        _here.reset(token)


def _current() -> Scope | None:
    return _here.get() or (_open[-1] if _open else None)


def _scope(session: Session | None, options: dict[str, Any]) -> Scope:
    from safe_load import api  # noqa: PLC0415 - only who loads models pays for it

    if session is not None:
        if options:
            raise UsageError("a session has its options already: give guard() either, not both")
        return Scope(session.clear)
    given = Options(**options)
    return Scope(lambda source, **choice: api.cleared(source, replace(given, **choice)).path)


def _find_pretrained() -> Iterator[Patch]:
    if find_spec("transformers") is not None:
        yield from pretrained.patches(_current)


_pretrained = Patches(_find_pretrained)
_unpickling = Patches(lambda: unpickled.patches(_current))


def from_pretrained(source: Source, auto_class: str = "AutoModel", **kwargs: object) -> Any:
    """What the class of transformers that is called `auto_class` loads from a cleared copy.

    source: as it takes it; kwargs: its own. Raises Rejected, NotLoadable, SandboxError, LimitHit or
    UsageError.
    """
    from safe_load import transformers  # noqa: PLC0415 - only who loads models pays for it

    cls = getattr(transformers, auto_class, None)
    if not (isinstance(cls, type) and hasattr(cls, "from_pretrained")):
        raise UsageError(f"transformers has no class {auto_class!r} that loads models")
    return cls.from_pretrained(source, **kwargs)
