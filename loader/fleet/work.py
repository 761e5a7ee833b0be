"""Does jobs, one after another, with rooms that stay warm. Also a process of its own, for what would not survive a killed one.

Zone: controller. As a process (`python -m safe_load.fleet.work STORE NAME`) it reads a job a line on stdin, writes how
each ended, and ends with all its rooms when stdin does.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import tempfile
import threading
from contextlib import chdir, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.cache import cache_key
from safe_load.cache.source_index import SourceIndex
from safe_load.core.errors import SafeLoadError, sentence
from safe_load.core.report import Report, encode
from safe_load.fleet import objects as stores
from safe_load.fleet.jobs import LASTING, Ended, Job, JobFile, options_of, placed, read
from safe_load.loading import pipeline
from safe_load.rooms import choice
from safe_load.sources.tree import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.core.options import Options
    from safe_load.fleet.objects import Objects
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sources import hub

_TARGET = "cleared"
_LONGEST = 600


class Rooms:
    """Warm backends, one for each kind of room that options ask for, and what verdicts go by. warm: whether a room is kept."""

    def __init__(self, *, warm: bool = True) -> None:
        self._warm = warm
        self._of: dict[bytes, Backend] = {}
        self._policies: dict[bytes, str] = {}

    def of(self, options: Options) -> Backend:
        """The backend. Raises SandboxError where this machine has none, and UsageError."""
        profile = choice.profile_of(options)
        stated = (
            profile,
            options.backend,
            options.image,
            options.runtime,
            options.depth == "static",
        )
        key = msgspec.json.encode(stated)
        if key not in self._of:
            self._of[key] = choice.backend_of(options, profile, warm=self._warm)
        return self._of[key]

    def policy(self, options: Options) -> str:
        """All that a verdict hangs on beside the files, as SHA-256 in hex. Raises as `of` does, and BackendError."""
        key = repr(options).encode()
        if key not in self._policies:
            with tempfile.TemporaryDirectory(prefix="safe-load-") as folder:
                policy = cache_key.policy(options, self.of(options), SourceIndex(Path(folder)))
            stated = msgspec.json.encode(policy, order="sorted")
            self._policies[key] = hashlib.sha256(stated).hexdigest()
        return self._policies[key]

    def close(self) -> None:
        """Let go of all rooms."""
        for backend in self._of.values():
            backend.close()
        self._of.clear()


class Worker:
    """Does jobs whose files lie in a store. name: how it calls itself in what it answers."""

    def __init__(self, store: Objects, name: str) -> None:
        self._store = store
        self._name = name
        self._rooms = Rooms()

    def done(self, data: bytes) -> Ended:
        """Do one job, unless it was done already, and note how it ended. Whatever goes wrong is a "sandbox_error".

        Raises KeyboardInterrupt alone: nothing is noted then.
        """
        try:
            job = read(data, Job)
            if (known := result_of(self._store, job.key)) is not None:
                return known
            ended = self._opened(job)
            if not ended.final:
                return ended
            if self._store.record(_record(job.key), msgspec.json.encode(ended)):
                return ended
            return result_of(self._store, job.key) or ended  # another was first
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is no verdict
            return self._broken(sentence(error))

    def close(self) -> None:
        """Let go of all rooms."""
        self._rooms.close()

    def _broken(self, why: str) -> Ended:
        return Ended(outcome="sandbox_error", sentence=why[:_LONGEST], worker=self._name)

    def _opened(self, job: Job) -> Ended:
        options = options_of(job)
        if self._rooms.policy(options) != job.policy:
            return self._broken(
                f"{self._name} has another safe-load or other packages than who asked: use one image for all"
            )
        # A folder of this process, so that a report names no folder of this machine.
        with tempfile.TemporaryDirectory(prefix="safe-load-") as folder, chdir(folder):
            home = Path(job.place)
            home.mkdir(parents=True)
            fetch(self._store, home, job.files)
            report = self._run(job, home, options)
            if report.outcome in ("sandbox_error", "interrupted"):
                if report.outcome == "interrupted":
                    raise KeyboardInterrupt
                return self._broken(report.outcome_detail or "the sandbox broke")
            cleared = tuple(keep(self._store, Path(_TARGET))) if report.export is not None else ()
            place = Path("report.json")
            place.write_bytes(encode(report))
            return Ended(
                outcome=report.outcome, sentence=(report.outcome_detail or "")[:_LONGEST],
                report=self._store.put(place), cleared=cleared, worker=self._name,
            )  # fmt: skip

    def _run(self, job: Job, home: Path, options: Options) -> Report:
        backend = self._rooms.of(options)
        place = home if job.folder else home / job.files[0].path
        source: str | Part | hub.Snapshot = str(place)
        if job.published is not None:
            files = frozenset(file.path for file in job.files)
            source = job.published.snapshot(place.absolute(), files)
        elif job.beside:
            source = Part(str(place), None, beside=True)
        if job.clears and not isinstance(source, Part):
            return pipeline.load(source, _TARGET, options, backend=backend)
        return pipeline.scan(source, options, backend=backend)


def result_of(store: Objects, key: str) -> Ended | None:
    """How a job ended, where that holds for whoever asks. What does not is forgotten. Raises SafeLoadError."""
    data = store.recorded(_record(key))
    if data is None:
        return None
    ended: Ended = read(data, Ended)
    return ended if ended.final else None


def forget_passing(store: Objects, key: str) -> None:
    """Before a job is asked for: forget an end that was one of that day's machine, such as a limit of time."""
    ended = result_of(store, key)
    if ended is not None and ended.outcome not in LASTING:
        store.forget(_record(key))


def fetch(store: Objects, home: Path, files: Sequence[JobFile]) -> None:
    """Write files of a store below a folder. Raises StoreError for other bytes, and SafeLoadError for paths that lead elsewhere."""
    for file, place in placed(home, files).items():
        place.parent.mkdir(parents=True, exist_ok=True)
        store.get(file.sha256, place)
        if place.stat().st_size != file.size:
            raise stores.StoreError(f"the store holds another size of {file.path!r}")


def keep(store: Objects, folder: Path) -> Iterable[JobFile]:
    """Put all files of a cleared folder into a store."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield JobFile(path.relative_to(folder).as_posix(), path.stat().st_size, store.put(path))


def _record(key: str) -> str:
    return f"results/{key}.json"


def main() -> None:
    """Do the job of each line on stdin, until that ends. Arguments: the store, and a name."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    name = sys.argv[2] if len(sys.argv) > 2 else socket.gethostname()
    arrived = threading.Condition()
    waiting: list[bytes] = []

    def listen() -> None:
        for line in iter(sys.stdin.buffer.readline, b""):
            with arrived:
                waiting.append(line)
                arrived.notify()
        # Nobody waits any more. Rooms end with the process that holds their lifeline.
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        worker: Worker | None = Worker(stores.of(sys.argv[1]), name)
    except (SafeLoadError, OSError) as error:
        worker, why = None, sentence(error)
    while True:
        with arrived:
            arrived.wait_for(lambda: waiting)
            data = waiting.pop(0)
        ended = (
            Ended(outcome="sandbox_error", sentence=why) if worker is None else worker.done(data)
        )
        with suppress(BrokenPipeError):
            answers.write(msgspec.json.encode(ended) + b"\n")


if __name__ == "__main__":
    main()
