"""Class: gadget. timeit times a statement, and so runs it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "timeit:timeit",
            f"import os; os.system({touch(folder)!r})",
            "pass",
            call("builtins:getattr", call("importlib:import_module", "time"), "time"),
            1,
        ),
    )
