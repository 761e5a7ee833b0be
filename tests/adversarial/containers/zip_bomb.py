"""Class: bomb. A deflated storage of a megabyte unpacks to a quarter of a gibibyte."""

import io
import zipfile
from pathlib import Path

import torch

from tests.adversarial.craft import members, saved, write

EXPECT = {"finding": "SL603"}


def make(folder: Path) -> Path:
    content = members(saved({"weight": torch.zeros(1)}))
    content["archive/data.pkl"] = content["archive/data.pkl"].replace(b"K\x01t", b"J\0\0\0\x04t", 1)
    content["archive/data.pkl"] = content["archive/data.pkl"].replace(
        b"K\x01\x85", b"J\0\0\0\x04\x85", 1
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, data in content.items():
            if not member.endswith("/data/0"):
                archive.writestr(member, data)
        with archive.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(16):
                stream.write(bytes(16 << 20))
    return write(folder, "pytorch_model.bin", file.getvalue())
