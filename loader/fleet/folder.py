"""A queue in a folder that all machines mount: whoever is free takes the next job. For Kubernetes, and for a few machines.

Zone: controller. A job waits as queue/KEY.N, N being how often it was taken; one that is taken lies in taken/WORKER/. Each
step is one rename, which one machine wins. A worker that starts puts back what it had taken under its name; one that shows
no life for a minute loses what it took to the others. A verdict is never asked for twice: only tokens whose
machine broke come back, three times at most.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import threading
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from safe_load.core.errors import UsageError
from safe_load.fleet.jobs import Ended, Job, read
from safe_load.fleet.work import result_of

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.fleet.objects import Folder

_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_TOKEN = re.compile(r"([0-9a-f]{64})\.([0-9])")
#: How often a job is begun before it is said that machines break on it.
ATTEMPTS = 3
#: Seconds: between two signs of life; without one until a worker is given up; until nobody is taken to work at all.
BEAT, DEAD, NOBODY = 5.0, 60.0, 600.0
#: Seconds between two looks of one who waits for a verdict, at first and at most; and at whether the job is still there.
_LOOK, _LONGEST_LOOK, _THERE = 0.1, 2.0, 30.0
#: Tokens that are looked at for one that is free.
_SEEN = 32


class Token(NamedTuple):
    """A job that was taken. times: how often, with this one."""

    key: str
    times: int

    def __str__(self) -> str:
        return f"{self.key}.{self.times}"


class FolderQueue:
    """Those who wait for verdicts; driver.Workers describes the methods."""

    size = 64

    def __init__(self, store: Folder) -> None:
        self._store = store
        self._closed = threading.Event()
        for part in ("queue", "taken", "workers"):
            (store.root / part).mkdir(mode=0o700, exist_ok=True)

    def run(self, job: Job) -> Ended:
        key, pause = job.key, _LOOK
        self._store.forget(f"failed/{key}.json")
        self._store.record(f"jobs/{key}.json", msgspec.json.encode(job))
        looked, alive = 0.0, time.monotonic()
        while not self._closed.is_set():
            if (ended := result_of(self._store, key)) is not None:
                self._store.forget(f"jobs/{key}.json")
                return ended
            if (data := self._store.recorded(f"failed/{key}.json")) is not None:
                broken: Ended = read(data, Ended)
                return broken
            if time.monotonic() - looked > _THERE or looked == 0.0:
                looked = time.monotonic()
                if not self._is_there(key) and result_of(self._store, key) is None:
                    self._store.record(f"jobs/{key}.json", msgspec.json.encode(job))
                    (self._store.root / "queue" / f"{key}.0").touch(0o600)
                if lives(self._store.root):
                    alive = looked
                elif looked - alive > NOBODY:
                    return Ended(
                        outcome="sandbox_error", sentence=f"nobody works on {self._store.url}"
                    )
            self._closed.wait(pause)
            pause = min(_LONGEST_LOOK, pause * 1.5)
        return Ended(outcome="sandbox_error", sentence="ended before there was a verdict")

    def close(self) -> None:
        self._closed.set()

    def _is_there(self, key: str) -> bool:
        root = self._store.root
        return any(_holds(folder, key) for folder in (root / "queue", *(root / "taken").glob("*")))


class Taker:
    """One who takes jobs. name: no other uses it at the same time. Raises UsageError for a name that is taken, or is none."""

    def __init__(self, store: Folder, name: str) -> None:
        if not _WORKER.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for a worker: letters, digits, dots and dashes, 63 at most"
            )
        self._store, self._root = store, store.root
        for part in ("queue", "taken", "workers"):
            (self._root / part).mkdir(mode=0o700, exist_ok=True)
        self._own = self._root / "taken" / name
        self._own.mkdir(mode=0o700, exist_ok=True)
        self._sign = self._root / "workers" / name
        self._held = os.open(
            self._sign, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._held)
            raise UsageError(
                f"another worker called {name} works on {store.url}: give --name"
            ) from None
        os.utime(self._sign)
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()
        self._put_back(self._own)

    def take(self) -> tuple[Token, bytes] | None:
        """The next job, and what it says. None where none waits.

        Two who ask for the same bytes at the same moment leave a token each: the second is dropped while
        somebody has the first.
        """
        while names := _some(self._root / "queue"):
            random.shuffle(names)  # many take at once
            for name in names:
                match = _TOKEN.fullmatch(name)
                if match is None:  # not ours
                    (self._root / "queue" / name).unlink(missing_ok=True)
                    continue
                token = Token(match[1], int(match[2]) + 1)
                if _holds(self._own, token.key):
                    (self._root / "queue" / name).unlink(missing_ok=True)
                    continue
                try:
                    (self._root / "queue" / name).rename(self._own / str(token))
                except FileNotFoundError:  # another was faster
                    continue
                # Afterwards, so that of two who take at once one sees the other. Where both do, whoever waits asks again.
                others = (each for each in (self._root / "taken").glob("*") if each != self._own)
                if any(_holds(each, token.key) for each in others):
                    (self._own / str(token)).unlink(missing_ok=True)
                    continue
                data = self._store.recorded(f"jobs/{token.key}.json")
                if data is not None and token.times <= ATTEMPTS:
                    return token, data
                if data is not None:
                    self._failed(token, f"{ATTEMPTS} machines ended or broke while they judged it")
                (self._own / str(token)).unlink(missing_ok=True)
        return None

    def finish(self, token: Token, ended: Ended) -> None:
        """Note what came of a job. One that a machine broke on goes back, if it may."""
        if ended.final:
            self._store.forget(f"jobs/{token.key}.json")
            (self._own / str(token)).unlink(missing_ok=True)
        elif token.times >= ATTEMPTS:
            self._failed(token, ended.sentence)
            (self._own / str(token)).unlink(missing_ok=True)
        else:
            self._back(self._own / str(token), token)

    def give_back(self, token: Token) -> None:
        """Put a job back that was not begun, or was stopped by no fault of its own."""
        self._back(self._own / str(token), Token(token.key, token.times - 1))

    def others(self) -> bool:
        """Put back what those who show no life had taken. Returns whether others still have jobs."""
        now, busy = (
            self._sign.stat().st_mtime,
            False,
        )  # by the clock of the folder's server, as theirs
        for folder in (self._root / "taken").glob("*"):
            if folder == self._own or not _some(folder):
                continue
            try:
                seen = (self._root / "workers" / folder.name).stat().st_mtime
            except FileNotFoundError:
                seen = 0.0
            if now - seen > DEAD:
                self._put_back(folder)
            else:
                busy = True
        return busy

    def close(self) -> None:
        """Work no more. What was taken goes back."""
        self._ended.set()
        self._put_back(self._own)
        with suppress(OSError):
            self._sign.unlink()
        os.close(self._held)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with suppress(OSError):
                os.utime(self._sign)

    def _put_back(self, folder: Path) -> None:
        for name in os.listdir(folder):  # noqa: PTH208
            if (match := _TOKEN.fullmatch(name)) is not None:
                self._back(folder / name, Token(match[1], int(match[2])))

    def _back(self, place: Path, token: Token) -> None:
        with suppress(FileNotFoundError):
            place.rename(self._root / "queue" / str(token))

    def _failed(self, token: Token, why: str) -> None:
        ended = Ended(outcome="sandbox_error", sentence=why, worker=self._own.name)
        self._store.record(f"failed/{token.key}.json", msgspec.json.encode(ended))
        self._store.forget(f"jobs/{token.key}.json")


def lives(root: Path) -> bool:
    """Whether any worker has shown life lately, by the clock of the folder's server."""
    probe = root / "new" / "clock"
    probe.touch(0o600)
    now = probe.stat().st_mtime
    for path in (root / "workers").glob("*"):
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime < DEAD:
                return True
    return False


def _holds(taken: Path, key: str) -> bool:
    """Whether whoever takes jobs into that folder has the job of that key."""
    return any((taken / f"{key}.{times}").exists() for times in range(ATTEMPTS + 1))


def _some(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, _SEEN)]
