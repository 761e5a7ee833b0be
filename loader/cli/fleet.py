"""The commands for fleets: have sources judged elsewhere, and be one who judges."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from safe_load.cli import terminal
from safe_load.core.errors import UsageError
from safe_load.core.interrupts import until_done

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from safe_load.core.options import Options
    from safe_load.core.report import Report
    from safe_load.sources.tree import Part

#: Sources that wait for a verdict at a time.
_MOST = 64
#: Seconds between two looks at a queue that is empty, and after a job that this machine broke on.
_PAUSE, _BROKEN = 1.0, 5.0
#: Broken jobs in a row after which this machine is of no use.
_USELESS = 3


def open_all(
    sources: Sequence[str | Part], options: Sequence[Options], on: str, store: str | None
) -> list[Report | BaseException]:
    """What came of each source, in their order, and a KeyboardInterrupt at their end after a Ctrl-C."""
    from safe_load.fleet import driver  # noqa: PLC0415 (not before the command line is known to be right)

    ended: list[Report | BaseException] = []
    with closing(driver.of(on, store)) as fleet:
        pool = ThreadPoolExecutor(min(_MOST, 2 * fleet.size), thread_name_prefix="fleet")
        running: list[Future[Report]] = []
        try:
            running.extend(map(pool.submit, [fleet.scan] * len(sources), sources, options))
            until_done(running)
        except KeyboardInterrupt as error:
            ended.append(error)
            fleet.close()
        finally:
            pool.shutdown(cancel_futures=True)
    return [*(_outcome(each) for each in running if not each.cancelled()), *ended]


def _outcome(done: Future[Report]) -> Report | BaseException:
    error = done.exception()
    return error if error is not None else done.result()


def work(store: str, name: str | None, *, until_empty: bool) -> int:
    """Take jobs of a folder's queue until Ctrl-C, or until it is empty. Returns 0, whatever the verdicts are, and 4 where this
    machine can judge nothing."""
    from safe_load.fleet import folder, objects, work  # noqa: PLC0415

    place = objects.of(store)
    if not isinstance(place, objects.Folder):
        raise UsageError(f"{store}: a queue lies in a folder that all machines mount, file:///DIR")
    name = name or socket.gethostname()
    broken = 0
    with closing(folder.Taker(place, name)) as taker, closing(work.Worker(place, name)) as worker:
        while broken < _USELESS:
            taken = taker.take()
            if taken is None:
                busy = taker.others()
                if until_empty and not busy and not os.listdir(place.root / "queue"):  # noqa: PTH208
                    return 0
                time.sleep(_PAUSE)
                continue
            token, job = taken
            try:
                ended = worker.done(job)
            except KeyboardInterrupt:
                taker.give_back(token)
                raise
            taker.finish(token, ended)
            terminal.write(
                f"{token.key[:12]} {ended.outcome} {ended.sentence[:200]}".rstrip().encode() + b"\n"
            )
            broken = 0 if ended.final else broken + 1
            if broken:
                time.sleep(_BROKEN)
    return terminal.complain(f"{_USELESS} jobs in a row could not be judged here", 4)
