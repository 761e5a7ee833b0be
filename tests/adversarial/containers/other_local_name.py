"""Class: lying zip. The member's own header names it differently than the directory (CVE-2025-1944)."""

from pathlib import Path

from tests.adversarial.craft import shell, trapped, write, zipped

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    data = zipped(trapped(shell(folder)))
    return write(
        folder, "pytorch_model.bin", data.replace(b"archive/data.pkl", b"archive/data.txt", 1)
    )
