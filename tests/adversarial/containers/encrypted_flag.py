"""Class: lying zip. A flag claims that the members are encrypted (CVE-2025-1945)."""

from pathlib import Path

from tests.adversarial.craft import shell, trapped, write, zipped

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    data = bytearray(zipped(trapped(shell(folder))))
    position = 0
    while (position := data.find(b"PK\x01\x02", position)) >= 0:
        data[position + 8] |= 1
        position += 4
    return write(folder, "pytorch_model.bin", bytes(data))
