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

from safe_load.core.errors import LimitHit, NotLoadable, SandboxError
from safe_load.core.escape import visible
from safe_load.core.hashing import open_regular, sha256_files
from safe_load.core.options import Progress
from safe_load.export.copying import BadRunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.core.options import Stage
    from safe_load.export.extracted import Extracted, ExtractedFile
    from safe_load.export.staging import Staging
    from safe_load.sources.inventory import Entry, Inventory

_TELL_EVERY_S = 0.1


class BackgroundIO:
    """The controller's own work on one source. tell: is told of the progress, in bytes; deadline: of
    time.monotonic(). `end` makes whatever runs stop soon."""

    def __init__(
        self, inventory: Inventory, tell: Callable[[Progress], None], deadline: float
    ) -> None:
        self._inventory = inventory
        self._tell = tell
        self._deadline = deadline
        self._ended = Event()

    def end(self) -> None:
        """Nobody waits for the result any more."""
        self._ended.set()

    def digests(self) -> dict[str, str]:
        """Relative path -> SHA-256 of every file of the source. Raises LimitHit, NotLoadable for a file
        that is another one by now."""
        places = {entry.path: entry.place for entry in self._inventory.entries}
        count = self._counter("inventory", sum(entry.size for entry in self._inventory.entries))
        try:
            expected = {entry.place: entry.identity for entry in self._inventory.entries}
            digests = sha256_files(places.values(), progress=count, identities=expected)
        except TimeoutError as error:
            raise LimitHit(
                f"time limit: hashing {error}; raise --timeout, or use --no-hash"
            ) from error
        except OSError as error:
            raise NotLoadable(visible(str(error))) from error
        return {path: digests[place] for path, place in places.items()}

    def fill(self, staging: Staging, extracted: Extracted) -> None:
        """Copy into the outputs of `staging` what extraction left out, several files at a time, and
        hash them. Raises LimitHit, NotLoadable for a file that changed, SandboxError for runs that
        no extraction of ours asks for."""
        entries = {entry.path: entry for entry in self._inventory.weights}
        places = {entry.path: entry for entry in self._inventory.entries}
        work = [(entries[file.name], file) for file in extracted.files if file.name in entries]
        # Of the weights alone: what else lies in the folder need not be a file of weights.
        if any(file.status not in ("ok", "no_tensors", "unsupported") for _, file in work):
            return  # there will be no export
        outputs = [os.fstat(staging.output(entry.export or "")).st_size for entry, _ in work]
        count = self._counter("extract", sum(outputs))

        def one(item: tuple[Entry, ExtractedFile]) -> None:
            entry, file = item
            _fill(staging, [entry, *(places[part] for part in entry.parts)], file, count)

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
                raise TimeoutError("took too long")
            with lock:
                done += size
                if now - shown > _TELL_EVERY_S:
                    shown = now
                    self._tell(Progress(stage, "progress", done, total))

        return count


def _fill(
    staging: Staging, entries: list[Entry], file: ExtractedFile, count: Callable[[int], None]
) -> None:
    """entries: the file, and those that were read with it."""
    name = visible(entries[0].path)
    sources: list[int] = []
    try:
        before = []
        for entry in entries:
            sources.append(open_regular(entry.place))
            before.append(os.fstat(sources[-1]))
            if (before[-1].st_dev, before[-1].st_ino) != entry.identity:
                raise NotLoadable(f"{visible(entry.path)} was replaced while it was read")
            if before[-1].st_size != entry.size:
                raise NotLoadable(f"{visible(entry.path)} was written to while it was read")
        staging.fill(entries[0].export or "", sources, file.runs, count)
        for entry, source, was in zip(entries, sources, before, strict=True):
            now = os.fstat(source)
            if (was.st_size, was.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                raise NotLoadable(f"{visible(entry.path)} was written to while it was read")
    except EOFError as error:
        raise NotLoadable(f"{name} was cut off while it was read: {error}") from error
    except BadRunError as error:
        raise SandboxError(
            f"the extract room asked for bytes that {name} does not hold: {error}"
        ) from error
    finally:
        for source in sources:
            os.close(source)
