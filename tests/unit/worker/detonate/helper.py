"""One process that imports what the room would import, and forks for each detonation."""

from __future__ import annotations

import argparse
import collections
import functools
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.judge.compare import compare
from safe_load.worker import extract

if TYPE_CHECKING:
    from collections.abc import Callable


np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")


HELPER = """
import importlib, json, os, sys
from safe_load.worker.detonate import main as detonate
detonate.prepare()
for name in detonate.PRELOAD[sys.argv[1]]:
    importlib.import_module(name)
for line in sys.stdin:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        value = detonate.main(json.loads(line), ())
        threads = len(os.listdir("/proc/self/task"))
        with os.fdopen(writer, "w") as out:
            json.dump([threads, value], out)
        sys.stdout = sys.stderr
        sys.exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        text = result.read()
    os.waitpid(child, 0)
    print(text or "null", flush=True)
"""
BUDGET = 1 << 16
SUFFIXES = {".bin", ".pt", ".pkl", ".safetensors", ".ckpt"}


def table(file: dict[str, Any]) -> dict[str, tuple[str, list[int]]]:
    return {row["name"]: (row["dtype"], row["shape"]) for row in file["tensors"]}


def said(folder: Path) -> dict[str, Any]:
    """What extraction says of the folder's files."""
    weights = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    files = [{"path": str(path), "name": path.name} for path in weights]
    result = extract.main({"files": files, "fingerprint_budget": BUDGET}, ())
    assert [
        (file["name"], file["reason"]) for file in result["files"] if file["status"] != "ok"
    ] == []
    return result


def differences(folder: Path, result: dict[str, Any]) -> list[tuple[str, str]]:
    assert [file["error"] for file in result["files"] if not file["ok"]] == []
    return [(found.tensor, found.kind) for found in compare(said(folder), result)]


class Slotted:
    __slots__ = ("weight",)


Pair = collections.namedtuple("Pair", ["first", "second"])  # noqa: PYI024 - old checkpoints do


def honest() -> dict[str, Callable[[], Any]]:
    """Values that checkpoints hold, by what is special about them."""

    def views() -> Any:
        base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
        return {
            "base": base,
            "again": base,
            "row": base[1],
            "transposed": base.t(),
            "column": base[:, 2],
            "expanded": base[0].expand(3, 6),
            "scalar": torch.tensor(7),
            "empty": torch.empty(0, 3),
        }

    def types() -> Any:
        names = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64"
        names += " complex64 complex128"
        numbers = torch.arange(6).reshape(2, 3)
        state = {name: numbers.to(getattr(torch, name)) for name in names.split()}
        return {
            **state,
            "conjugate": state["complex128"].conj(),
            "imaginary": numbers.to(torch.complex64).conj().imag,
        }

    def training() -> Any:
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(4, 2)).sum().backward()
        optimizer.step()
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        return {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "random": (random.getstate(), torch.get_rng_state(), np.random.get_state()),
            "args": argparse.Namespace(start=torch.zeros(2), path=Path("a"), steps=[1, 2]),
        }

    def objects() -> Any:
        slotted = Slotted()
        slotted.weight = torch.ones(2)
        linear = torch.nn.Linear(2, 2)
        return {
            "module": torch.nn.Sequential(linear, torch.nn.Linear(2, 2)),
            "parameter": linear.weight,
            "slotted": slotted,
            "pair": Pair(torch.ones(1), [torch.zeros(1)]),
            "deque": collections.deque([torch.ones(3)]),
            "default": collections.defaultdict(list, {1: [torch.ones(4)]}),
            "partial": functools.partial(print, torch.ones(5), end=torch.ones(6)),
        }

    def quantised() -> Any:
        numbers = torch.arange(6, dtype=torch.float32).reshape(2, 3)
        scales, zeros = torch.tensor([0.5, 0.25], dtype=torch.float64), torch.tensor([0, 3])
        return {
            "tensor": torch.quantize_per_tensor(numbers, 0.1, 2, torch.qint8),
            "channel": torch.quantize_per_channel(numbers, scales, zeros, 0, torch.quint8),
        }

    return {made.__name__: made for made in (views, types, training, objects, quantised)}
