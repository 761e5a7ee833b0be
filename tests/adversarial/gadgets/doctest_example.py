"""Class: gadget. doctest runs the example in an object's own docstring."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, namespace, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    example = namespace(
        __doc__=f">>> import os; os.system({touch(folder)!r})\n", __name__="x", __module__="x"
    )
    return checkpoint(folder, call("doctest:run_docstring_examples", example, {}, False, "x"))
