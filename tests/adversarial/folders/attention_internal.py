"""Class: configuration. _attn_implementation_internal names a kernel on the hub (CVE-2026-4372)."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL503", "severity": "high", "detail": "trap/kernel"}


def make(folder: Path) -> Path:
    return model(folder, _attn_implementation_internal="trap/kernel")
