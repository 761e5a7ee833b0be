"""Jobs as tasks of a Ray cluster.

Zone: controller. A task has its job done by a process of its own beside the Ray worker, warm from job to job: what Ray puts into
a worker's Python is not in it, and it ends with the worker. Ray begins a task again whose worker or node ended; a task whose
machine could not judge says so by `BrokenMachineError`, and that alone is tried again too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from contextlib import ExitStack, redirect_stdout
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core.errors import SafeLoadError, UsageError
from safe_load.core.installed import need
from safe_load.fleet.jobs import Ended, read

if TYPE_CHECKING:
    from safe_load.fleet.jobs import Job

#: How often a task is begun again where a machine broke.
_RETRIES = 5
#: Seconds beside the time that one load may take, and for that where a job names none.
_SLACK, _DEFAULT = 400.0, 600.0
EXTRA = "safe-load[ray]"
_HINT = "; if the cluster has a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"


class BrokenMachineError(Exception):
    """A machine that could not judge. Another may."""


class Ray:
    """A cluster; driver.Workers describes the methods. on: ray://HOST:PORT, or ray://local for one on this machine, which ends with
    this object. store: which every machine of it reaches. Raises UsageError and SandboxError."""

    def __init__(self, on: str, store: str) -> None:
        self._ray: Any = need("ray", EXTRA)
        self._store = store
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would tell its makers of each cluster
        # Ray prints of workers that ended, whatever it is told; standard output is the report's.
        self._aside = ExitStack()
        self._aside.enter_context(redirect_stdout(sys.stderr))
        try:
            with warnings.catch_warnings(action="ignore"):
                if on == "ray://local":
                    self._ray.init(
                        include_dashboard=False, log_to_driver=False, logging_level="error"
                    )
                else:
                    self._ray.init(on, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError, ImportError) as error:
            self._aside.close()
            # Ray's client says of a missing token only that it waited in vain.
            hint = "" if os.environ.get("RAY_AUTH_TOKEN") else _HINT
            raise UsageError(f"{on} cannot be reached: {_last_line(error)}{hint}") from None
        self.size = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._task = self._ray.remote(
            num_cpus=1, max_retries=_RETRIES, retry_exceptions=[BrokenMachineError]
        )(_judged)

    def run(self, job: Job) -> Ended:
        patience = float(job.options.get("timeout", _DEFAULT)) + _SLACK
        try:
            answer = self._ray.get(
                self._task.remote(self._store, msgspec.json.encode(job), patience)
            )
        except Exception as error:  # noqa: BLE001 - a client whose cluster is gone raises also AssertionError and KeyError
            return Ended(
                outcome="sandbox_error",
                sentence=f"the cluster gave no verdict: {_last_line(error)}",
            )
        ended: Ended = read(answer, Ended)
        return ended

    def close(self) -> None:
        self._ray.shutdown()
        self._aside.close()


def _last_line(error: Exception) -> str:
    """What an error says, without the traceback of another machine that may come first."""
    lines = str(error).strip().splitlines() or [f"its connection ended ({type(error).__name__})"]
    return lines[-1].strip()[:400]


_processes: dict[str, subprocess.Popen[bytes]] = {}


def _judged(store: str, job: bytes, patience: float) -> bytes:
    """Runs in a Ray worker: have one job done by this worker's process. Raises BrokenMachineError."""
    process = _processes.pop(store, None)
    if process is None or process.poll() is not None:
        process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-X", "utf8", "-m", "safe_load.fleet.work", store],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101
    watch = threading.Timer(patience, process.kill)
    watch.start()
    try:
        process.stdin.write(job + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        ended: Ended | None = read(answer, Ended) if answer else None
    except (OSError, SafeLoadError) as error:
        process.kill()
        raise BrokenMachineError(f"the process that judged it broke: {error}") from None
    finally:
        watch.cancel()
    if ended is None or not ended.final:
        process.kill()
        process.wait()
        raise BrokenMachineError(
            ended.sentence if ended is not None else "the process that judged it ended"
        )
    _processes[store] = process
    return answer
