"""The warm room of the guards of a process: one for all guards with the same options.

Zone: the caller's process. The first load begins it. It ends with the last guard that uses it, when no
load is under way any more; with the process; and after two minutes without a load, until the next one.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any, Unpack

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.options import Choice, OptionsDict
    from safe_load.session import Session

_lock = Lock()
_rooms: dict[str, Warm] = {}


class Warm:
    """A session that is begun when it is needed. Use `acquire`, and `release` once for each."""

    def __init__(self, key: str, options: OptionsDict) -> None:
        self._key = key
        self._options = options
        self._session: Session | None = None
        self._loads = 0
        self.users = 0

    def clear(self, source: Any, **choice: Unpack[Choice]) -> Path:
        """As Session.clear."""
        from safe_load.session import Session  # noqa: PLC0415 - only who loads models pays for it

        with _lock:
            if self._session is None:
                self._session = Session(**self._options)
            session = self._session
            self._loads += 1
        try:
            return session.clear(source, **choice)
        finally:
            with _lock:
                self._loads -= 1
            self._end_unused()

    def release(self) -> None:
        """One user less."""
        with _lock:
            self.users -= 1
            if self.users == 0 and _rooms.get(self._key) is self:
                del _rooms[self._key]
        self._end_unused()

    def _end_unused(self) -> None:
        with _lock:
            if self.users > 0 or self._loads > 0:
                return
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def forget(self) -> None:
        """In a process that was forked: the room is the parent's, and ends with it."""
        self._session, self._loads = None, 0


def acquire(options: OptionsDict) -> Warm:
    """The room for loads with these options, which another guard may use too."""
    key = repr(sorted((name, str(value)) for name, value in options.items()))
    with _lock:
        room = _rooms.setdefault(key, Warm(key, options))
        room.users += 1
        return room


def _forked() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = Lock()
    for room in _rooms.values():
        room.forget()


os.register_at_fork(after_in_child=_forked)
