"""Run the rooms of one load side by side, and hash the source beside them.

Zone: controller. Whatever fails meanwhile, what every room recorded comes back.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from safe_load.core.interrupts import held_back, until_done
from safe_load.rooms import jobs, named_packages
from safe_load.rooms.background_io import BackgroundIO
from safe_load.rooms.conversion import Conversion, Converted
from safe_load.rooms.named_packages import NamedPackages
from safe_load.rooms.results import RoomResults, extracted
from safe_load.rooms.rewriting import Rewriting, Rewritten
from safe_load.sandbox.backends.interface import RoomResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.core.options import Options
    from safe_load.core.stages import Stages
    from safe_load.export.staging import Staging
    from safe_load.rooms.decoys import Decoys
    from safe_load.sandbox.backends.interface import Backend, Job
    from safe_load.sources.inventory import Inventory

T = TypeVar("T")


def open_model(
    backend: Backend,
    inventory: Inventory,
    staging: Staging | None,
    decoys: Decoys,
    options: Options,
    stages: Stages,
    trace: Callable[[bytes], None] | None,
) -> RoomResults:
    """Run the rooms, and hash the source beside them. Returns when everything inside is dead.

    staging: takes the weights that are exported; None for a scan. trace: takes the call-by-call
    trace, a line at a time. Raises NotLoadable and SandboxError for what no room can be built for.
    Once the rooms run it raises nothing: what failed, and a Ctrl-C, is in the result's `failures`,
    beside all that was recorded until then.
    """
    reading = jobs.extraction_job(inventory, staging, options, borrowed=backend.uses_host_packages)
    depth = jobs.depth_of(inventory, options)
    loads = depth != jobs.STATIC
    conversion = Conversion.of(inventory, staging) if staging is not None and loads else None
    trusting = (
        jobs.detonation_job(inventory, depth, decoys, borrowed=backend.uses_host_packages)
        if loads
        else None
    )
    rewriting = Rewriting(inventory, staging)
    beside = BackgroundIO(inventory, stages.tell, time.monotonic() + backend.profile.limits.timeout)
    ended: dict[str, RoomResult] = {}
    failures: list[BaseException] = []

    def run(job: Job) -> RoomResult:
        with stages.timed(job.name):  # type: ignore[arg-type]
            ended[job.name] = backend.run(replace(job, trace=trace))
            return ended[job.name]

    def read() -> None:
        with stages.timed("extract"):
            ended["extract"] = result = backend.run(replace(reading, trace=trace))
            if staging is not None and result.status == "ok":
                beside.fill(staging, extracted(result))

    def convert() -> Converted:
        if conversion is None:
            return Converted()
        return conversion.read(run(jobs.conversion_job(conversion)))

    def rewrite() -> Rewritten:
        """At once; where tokenizers are converted, after that."""
        if not rewriting.files and conversion is None:
            return Rewritten()
        try:
            made = _value(running["convert"], Converted()).tokenizers if conversion else {}
            return rewriting.read(run(rewriting.job(made)))
        finally:
            if conversion is not None:
                conversion.discard()

    def beside_packages(trusting: Job) -> NamedPackages:
        """Once the files are read and opened: what pickles name is known then."""
        if ended["extract"].status != "ok" or ended["detonate"].status not in ("ok", "crashed"):
            return NamedPackages()
        named = named_packages.find(
            ended["extract"].value, trusting.distributions, borrowed=backend.uses_host_packages
        )
        return named_packages.open_beside(named, trusting, run)

    running: dict[str, Future[Any]] = {}
    with ThreadPoolExecutor(5, thread_name_prefix="room") as together:
        try:
            with held_back():
                if options.hash:
                    running["hash"] = together.submit(beside.digests)
                running["extract"] = together.submit(read)
                if trusting is not None:
                    running["detonate"] = together.submit(run, trusting)
                running["convert"] = together.submit(convert)
                running["rewrite"] = together.submit(rewrite)
            until_done(running.values())
            if trusting is not None and ended.keys() >= {"extract", "detonate"}:
                with held_back():
                    running["named"] = together.submit(beside_packages, trusting)
                until_done([running["named"]])
        except KeyboardInterrupt as error:
            failures.append(error)
            beside.end()
            stop_until_done(backend, together)
    done = [each for each in running.values() if not each.cancelled()]
    failures += [raised for each in done if (raised := each.exception()) is not None]
    return RoomResults(
        extraction=ended.get("extract", _NOT_ENDED),
        detonation=ended.get("detonate", _NOT_ENDED) if loads else None,
        digests=_value(running.get("hash"), {}),
        failures=tuple(failures),
        conversion=_value(running.get("convert"), Converted(room=ended.get("convert"))),
        rewriting=_value(running.get("rewrite"), Rewritten(room=ended.get("rewrite"))),
        named=_value(running.get("named"), NamedPackages(room=ended.get(named_packages.STAGE))),
    )


class Stoppable(Protocol):
    """A backend, or several."""

    def stop(self) -> None:
        """End every room that runs now."""


def stop_until_done(backend: Stoppable, loads: ThreadPoolExecutor) -> None:
    """End the rooms of all loads that run in this pool, also of one that has not come to its room yet,
    and cancel those that have not begun: nobody shall have to wait for a time limit."""
    loads.shutdown(wait=False, cancel_futures=True)
    ending = Thread(target=loads.shutdown, name="ending")
    ending.start()
    while ending.is_alive():
        backend.stop()
        ending.join(0.1)


def _value(ended: Future[T] | None, default: T) -> T:
    """What a call gave, once it has ended; `default` where it failed or never began."""
    if ended is None or ended.cancelled() or ended.exception() is not None:
        return default
    return ended.result()


#: Stands for a room that gave no result. Why is among the failures.
_NOT_ENDED = RoomResult("broken", "the room did not finish", None, tier="", walls=())
