"""A warm session that takes orders on stdin and answers on stdout, one line of JSON each.

Its argument, also JSON, holds the options of the session; "denied_only": true makes one whose
recorder is not told of calls that are allowed; "cores" keeps it and its rooms to so many. Started by
benchmarks.warm.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import safe_load
from safe_load import profiles
from safe_load.export import copying

if TYPE_CHECKING:
    from collections.abc import Callable


def _record_denied_only(folder: str) -> str:
    """A strict profile that tells of no allowed call; gives its file.

    Nothing is notified that is not refused, so what `audited` names must be allowed by the seccomp
    profile itself.
    """
    strict = profiles.load("strict")
    seccomp = profiles.seccomp(strict.seccomp)
    audited = frozenset(strict.recording.audited)
    others = [
        msgspec.structs.replace(
            rule, names=tuple(name for name in rule.names if name not in audited)
        )
        for rule in seccomp.syscalls
    ]
    allowed = profiles.SeccompRule(names=tuple(sorted(audited)), action="SCMP_ACT_ALLOW")
    quiet = msgspec.structs.replace(seccomp, syscalls=(*others, allowed))
    profiles.seccomp = lambda _: quiet  # type: ignore[assignment]
    file = Path(folder) / "denied-only.toml"
    file.write_text(
        'extends = "strict"\ndescription = "Denied calls only."\n[recording]\naudited = []\n'
    )
    return str(file)


def _serve(session: safe_load.Session, tiny: str) -> None:
    def scan(order: dict[str, Any]) -> Any:
        return session.scan(order["source"]).report

    def load(order: dict[str, Any]) -> Any:
        return session.load(order["source"], order["target"]).report

    def scan_all(order: dict[str, Any]) -> None:
        for result in session.scan_all(order["sources"]):
            assert result.verdict == "clean", result.report.outcome_detail

    def digest(order: dict[str, Any]) -> None:
        for name in order["files"]:
            with open(name, "rb") as file:
                hashlib.file_digest(file, "sha256")

    def copy(order: dict[str, Any]) -> None:
        """What a load does to get the weights out, but for the hash that it makes in the same pass."""
        Path(order["target"]).mkdir()
        for name in order["files"]:
            with (
                open(name, "rb") as source,
                (Path(order["target"]) / Path(name).name).open("xb") as target,
            ):
                size = os.fstat(source.fileno()).st_size
                os.ftruncate(target.fileno(), size)
                copying.copy([source.fileno()], target.fileno(), [(0, 0, 0, size)])

    tasks: dict[str, Callable[[dict[str, Any]], Any]] = {
        "scan": scan,
        "load": load,
        "scan_all": scan_all,
        "digest": digest,
        "copy": copy,
    }
    # What is said to the measuring process is said here; anything else that prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] not in ("digest", "copy"):
            session.scan(
                tiny
            )  # a room that ended for want of work is made again before, not within
        began = time.perf_counter()
        report = tasks[order["do"]](order)
        took = time.perf_counter() - began
        stages = {stage.name: stage.duration_s for stage in report.stages} if report else {}
        print(json.dumps({"seconds": took, "stages": stages}), file=answers, flush=True)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    scratch = tempfile.mkdtemp(prefix="safe-load-bench-")
    try:
        if options.pop("denied_only", False):
            options["profile"] = _record_denied_only(scratch)
        if cores := options.pop("cores", None):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        with safe_load.Session(**options) as warm:
            _serve(warm, sys.argv[2])
    finally:
        shutil.rmtree(scratch)
