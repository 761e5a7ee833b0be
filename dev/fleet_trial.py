"""Many tiny models on a fleet of this machine, a worker of which is killed every few seconds: every verdict is there, once.

    python -m dev.fleet_trial --on folder --models 200
    python -m dev.fleet_trial --on ray --models 200

A tenth of the models is hostile, and each has bytes of its own; scans them as a user does; compares
each verdict with what the model is; and counts what was judged, how often something was killed, and the time. Runs for
--minutes at most.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

BIN = Path(sys.executable).parent
_PAUSE = 10.0


class _Payload:
    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"true {self.number}",)


def make(home: Path, count: int) -> dict[str, str]:
    """Models below home: name -> the verdict that each must get."""
    import torch

    expected = {}
    for number in range(count):
        name = f"m{number:05}"
        (home / name).mkdir(parents=True)
        hostile = number % 10 == 9
        if hostile:
            (home / name / "pytorch_model.bin").write_bytes(pickle.dumps({"w": _Payload(number)}))
        else:
            torch.save({"w": torch.full((8, 8), float(number))}, home / name / "pytorch_model.bin")
        expected[name] = "malicious" if hostile else "clean"
    return expected


def workers(store: Path) -> dict[str, subprocess.Popen[bytes]]:
    """Two workers of the folder's queue."""
    return {name: _worker(store, name) for name in ("w-0", "w-1")}


def _worker(store: Path, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BIN / "safe-load", "fleet", "work", "--name", name, f"file://{store}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill_one_of_ray(scan: psutil.Process) -> bool:
    """Kill a Ray worker of this scan that has a job."""
    found = []
    for process in scan.children(recursive=True):
        try:
            if any("safe_load.fleet.work" in word for word in process.cmdline()):
                found.append(process.parent())
        except psutil.Error:
            continue
    chosen = [each for each in found if each is not None and each.pid != scan.pid]
    if chosen:
        random.choice(chosen).kill()
    return bool(chosen)


def trial(on: str, count: int, minutes: float, pause: float) -> dict[str, Any]:
    """Run one, and say what came of it."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        home, store, output = Path(folder, "models"), Path(folder, "store"), Path(folder, "r.json")
        expected = make(home, count)
        place = f"file://{store}"
        at = ["--on", place] if on == "folder" else ["--on", "ray://local", "--store", place]
        running = workers(store) if on == "folder" else {}
        began, killed, last = time.monotonic(), 0, time.monotonic()
        command: list[str | Path] = [
            BIN / "safe-load",
            "scan",
            home,
            "--depth",
            "static",
            "--format",
            "json",
            "--output",
            output,
            *at,
        ]
        scan = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            while scan.poll() is None and time.monotonic() - began < minutes * 60:
                time.sleep(0.2)
                if time.monotonic() - last < pause:
                    continue
                last = time.monotonic()
                if on == "folder":
                    name = random.choice(list(running))
                    running[name].kill()
                    running[name].wait()
                    running[name] = _worker(store, name)
                    killed += 1
                else:
                    killed += _kill_one_of_ray(psutil.Process(scan.pid))
            seconds = time.monotonic() - began
        finally:
            for process in (*running.values(), scan):
                process.terminate()
                process.wait()
        reports = json.loads(output.read_text())["reports"] if output.exists() else []
        found = [(Path(each["source"]["path"]).name, each["verdict"]) for each in reports]
        return {
            "on": on,
            "models": count,
            "exit": scan.returncode,
            "verdicts": len(found),
            "twice": len(found) - len(dict(found)),
            "wrong_or_missing": sum(
                dict(found).get(name) != verdict for name, verdict in expected.items()
            ),
            "results_in_store": len(list((store / "results").glob("*"))),
            "killed": killed,
            "seconds": round(seconds, 1),
            "models_per_hour": round(len(found) / seconds * 3600),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=("folder", "ray"), default="folder")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--pause", type=float, default=_PAUSE, help="seconds between two kills")
    given = parser.parse_args()
    done = trial(given.on, given.models, given.minutes, given.pause)
    print(json.dumps(done, indent=2))
    sys.exit(done["wrong_or_missing"] + done["twice"] > 0)


if __name__ == "__main__":
    main()
