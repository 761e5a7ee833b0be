"""Further files that are loaded in one guarded process, none of which was loaded before.

    python -m benchmarks.guarded FOLDER ROUNDS

prints {"stock": [seconds, ...], "guard": [...]}. The first load in the guard is not among them: it builds
the warm sandbox.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import safe_load
import torch


def main(folder: Path, rounds: int) -> None:
    """Measure."""
    layer = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 256))
    optimizer = torch.optim.AdamW(layer.parameters())
    paths = []
    for number in range(rounds + 1):
        layer(torch.randn(1, 256)).sum().backward()
        optimizer.step()
        held = {"state_dict": layer.state_dict(), "optimizer": optimizer.state_dict()}
        paths.append(folder / f"checkpoint-{number}.pt")
        torch.save(held | {"epoch": number}, paths[-1])
    times: dict[str, list[float]] = {"stock": [], "guard": []}
    for path in paths:
        began = time.perf_counter()
        torch.load(path)
        times["stock"].append(time.perf_counter() - began)
    with safe_load.guard():
        for path in paths:
            began = time.perf_counter()
            torch.load(path)
            times["guard"].append(time.perf_counter() - began)
    print(json.dumps({name: seconds[1:] for name, seconds in times.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
