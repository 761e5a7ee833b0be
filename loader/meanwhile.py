"""What the controller does with a model's bytes, as bytes, while its rooms are at work: hash the
source, and fill the export with the runs that extraction found.

Zone: controller. Opens the model's files and parses nothing in them.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import TYPE_CHECKING

from safe_load.copying import BadRunError
from safe_load.errors import LimitHit, NotLoadable, SandboxError
from safe_load.formats.escape import visible
from safe_load.hashing import open_regular, sha256_files
from safe_load.options import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.export import Staging
    from safe_load.inside import Extracted, ExtractedFile
    from safe_load.inventory import Entry, Inventory
    from safe_load.options import Stage

_TELL_EVERY_S = 0.1


class Meanwhile:
    """The controller's own work on one source. tell: is told of the progress, in bytes; deadline: of
    time.monotonic(). `end` makes whatever runs stop soon."""

    def __init__(self, stock: Inventory, tell: Callable[[Progress], None], deadline: float) -> None:
        self._stock = stock
        self._tell = tell
        self._deadline = deadline
        self._ended = Event()

    def end(self) -> None:
        """Nobody waits for the result any more."""
        self._ended.set()

    def digests(self) -> dict[str, str]:
        """Relative path -> SHA-256 of every file of the source. Raises LimitHit, NotLoadable for a file
        that is another one by now."""
        places = {entry.path: entry.place for entry in self._stock.entries}
        count = self._counter("inventory", sum(entry.size for entry in self._stock.entries))
        try:
            meant = {entry.place: entry.identity for entry in self._stock.entries}
            digests = sha256_files(places.values(), progress=count, identities=meant)
        except TimeoutError as error:
            raise LimitHit(f"time limit: hashing {error}; --no-hash leaves it out") from error
        except OSError as error:
            raise NotLoadable(visible(str(error))) from error
        return {path: digests[place] for path, place in places.items()}

    def fill(self, staging: Staging, extracted: Extracted) -> None:
        """Copy into the outputs of `staging` what extraction left out, several files at a time, and
        hash them. Raises LimitHit, NotLoadable for a file that changed, SandboxError for runs that
        no extraction of ours asks for."""
        entries = {entry.path: entry for entry in self._stock.weights}
        work = [(entries[file.name], file) for file in extracted.files if file.name in entries]
        # Of the weights alone: what else lies in the folder need not be a file of weights.
        if any(file.status not in ("ok", "no_tensors") for _, file in work):
            return  # there will be no export
        outputs = [os.fstat(staging.output(entry.export or "")).st_size for entry, _ in work]
        count = self._counter("extract", sum(outputs))

        def one(item: tuple[Entry, ExtractedFile]) -> None:
            _fill(staging, *item, count)

        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "fill") as pool:
            try:
                for _ in pool.map(one, work):
                    pass
            except TimeoutError as error:
                raise LimitHit(f"time limit: copying {error}") from error
            finally:
                pool.shutdown(cancel_futures=True)

    def _counter(self, stage: Stage, total: int) -> Callable[[int], None]:
        """Called with the bytes just done. Raises TimeoutError when it is time to stop."""
        lock = Lock()
        done, shown = 0, time.monotonic()

        def count(size: int) -> None:
            nonlocal done, shown
            now = time.monotonic()
            if self._ended.is_set():
                raise TimeoutError("ended with the load")
            if now > self._deadline:
                raise TimeoutError("took longer than it may")
            with lock:
                done += size
                if now - shown > _TELL_EVERY_S:
                    shown = now
                    self._tell(Progress(stage, "progress", done, total))

        return count


def _fill(
    staging: Staging, entry: Entry, file: ExtractedFile, count: Callable[[int], None]
) -> None:
    name = visible(entry.path)
    source = open_regular(entry.place)
    try:
        before = os.fstat(source)
        if (before.st_dev, before.st_ino) != entry.identity:
            raise NotLoadable(f"{name} was replaced while it was read")
        if before.st_size != entry.size:
            raise NotLoadable(f"{name} was written to while it was read")
        staging.fill(entry.export or "", source, file.runs, count)
        after = os.fstat(source)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise NotLoadable(f"{name} was written to while it was read")
    except EOFError as error:
        raise NotLoadable(f"{name} was cut off while it was read: {error}") from error
    except BadRunError as error:
        raise SandboxError(f"extraction asked for what {name} does not hold: {error}") from error
    finally:
        os.close(source)
