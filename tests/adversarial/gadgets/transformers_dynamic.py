"""Class: gadget. transformers' own loader imports Python that the pickle wrote."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, method, then, touch

EXPECT = {
    "finding": "SL501",
    "severity": "high",
    "detail": "calls transformers.dynamic_module_utils.get_class_in_module",
}


def make(folder: Path) -> Path:
    written = method(
        call("pathlib:PosixPath", "/tmp/late.py"),
        "write_text",
        f"import os; os.system({touch(folder)!r})",
    )
    return checkpoint(
        folder,
        then(
            written,
            call("transformers.dynamic_module_utils:get_class_in_module", "X", "/tmp/late.py"),
        ),
    )
