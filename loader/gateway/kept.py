"""What of the cleared files lies on this machine, within a bound of bytes.

Zone: controller. An entry is a folder or a file. The one that was served the longest ago goes first; none goes of which
a file is open, nor the newest. When an entry was last served is its modification time, so that the order outlives the
gateway. What goes gets a hidden name first: half an entry never stands in its place.
"""

from __future__ import annotations

import io
import os
import threading
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from safe_load.core.atomic_files import hidden_beside, remove_tree
from safe_load.core.hashing import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class Kept:
    """limit: bytes, None for any number. Its methods may be called from several threads."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.bytes = 0
        #: How many entries had to go.
        self.removed = 0
        self._entries: OrderedDict[Path, int] = OrderedDict()
        self._open: Counter[Path] = Counter()
        self._lock = threading.Lock()

    def find(self, places: Iterable[Path]) -> None:
        """Know of the entries that an earlier gateway left."""
        found = sorted((place.stat().st_mtime_ns, str(place), place) for place in places)
        with self._lock:
            for _, _, place in found:
                self._entries[place] = _size(place)
            self.bytes = sum(self._entries.values())
            gone = self._make_room()
        _remove(gone)

    def add(self, place: Path) -> None:
        """Know of a new entry, which is there."""
        with self._lock:
            self.bytes -= self._entries.pop(place, 0)
            self._entries[place] = _size(place)
            self.bytes += self._entries[place]
            _touch(place)
            gone = self._make_room()
        _remove(gone)

    def spare(self, count: int) -> None:
        """Let at least so many bytes go, if there are as many, the ones that were served the longest ago first."""
        with self._lock:
            gone = self._make_room(max(0, self.bytes - count))
        _remove(gone)

    def __contains__(self, place: object) -> bool:
        with self._lock:
            return place in self._entries

    def open(self, place: Path, path: Path) -> io.FileIO:
        """A file of an entry for reading. The entry stays while it is open. Raises OSError."""
        with self._lock:
            file = _Held(open_regular(path), lambda: self._closed(place))
            self._open[place] += 1
            if place in self._entries:
                self._entries.move_to_end(place)
                _touch(place)
        return file

    def _closed(self, place: Path) -> None:
        with self._lock:
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]
            gone = self._make_room()
        _remove(gone)

    def _make_room(self, most: int | None = None) -> list[Path]:
        """Hide what has to go until there are at most so many bytes, those of the limit by default. Returns where it lies
        now."""
        gone: list[Path] = []
        most = self.limit if most is None else most
        if most is None or self.bytes <= most:
            return gone
        for place in list(self._entries)[:-1]:
            if self.bytes <= most:
                break
            if place in self._open:
                continue
            hidden = hidden_beside(place)
            place.rename(hidden)
            gone.append(hidden)
            self.bytes -= self._entries.pop(place)
            self.removed += 1
        return gone


class _Held(io.FileIO):
    """A file whose end is told, once."""

    def __init__(self, descriptor: int, closed: Callable[[], None]) -> None:
        super().__init__(descriptor, "rb")
        self._tell = closed

    def close(self) -> None:
        first = not self.closed
        super().close()
        if first:
            self._tell()


def _remove(hidden: list[Path]) -> None:
    """Remove what is hidden, beside whoever serves: a large file takes its time."""

    def remove() -> None:
        for path in hidden:
            remove_tree(path)
            path.unlink(missing_ok=True)

    if hidden:
        threading.Thread(target=remove, daemon=True).start()


def _size(place: Path) -> int:
    if not place.is_dir():
        return place.stat().st_size
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _touch(place: Path) -> None:
    with suppress(OSError):  # the order is worth no failure
        os.utime(place)
