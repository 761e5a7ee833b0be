"""Class: gadget. operator's getters walk from a class to its module's os, nothing dangerous is named."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    namespace = call(call("operator:attrgetter", "__init__.__globals__"), name("random:Random"))
    system = call(
        call("operator:attrgetter", "system"), call(call("operator:itemgetter", "_os"), namespace)
    )
    return checkpoint(folder, call(system, touch(folder)))
