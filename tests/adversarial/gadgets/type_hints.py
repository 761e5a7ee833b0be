"""Class: gadget. typing evaluates annotations that are text."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, namespace, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "medium"}


def make(folder: Path) -> Path:
    annotated = namespace(__annotations__={"x": f"__import__('os').system({touch(folder)!r})"})
    return checkpoint(folder, call("typing:get_type_hints", annotated))
