"""Class: lying zip. The CRC of data.pkl is wrong; torch does not look (CVE-2025-10156)."""

import struct
import zlib
from pathlib import Path

from tests.adversarial.craft import TOUCHED, shell, trapped, write, zipped

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    content = trapped(shell(folder))
    crc = struct.pack("<I", zlib.crc32(content["archive/data.pkl"]))
    return write(folder, "pytorch_model.bin", zipped(content).replace(crc, b"\xde\xad\xbe\xef"))
