"""Class: links. torch's oldest format is a tar, and a member of it is a link to a file of the host."""

import io
import tarfile
from pathlib import Path

from tests.adversarial.craft import shell, stream, write

EXPECT = {"finding": "SL505", "severity": "high"}


def make(folder: Path) -> Path:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        data = stream(shell(folder))
        member = tarfile.TarInfo("pickle")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return write(folder, "model.tar", file.getvalue())
