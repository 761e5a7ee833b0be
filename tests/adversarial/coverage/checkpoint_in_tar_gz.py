"""Class: archives. A checkpoint in a compressed tar, as NeMo packs its models."""

import io
import tarfile
from pathlib import Path

from tests.adversarial.craft import TOUCHED, model, shell, trapped, write, zipped

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    data = zipped(trapped(shell(folder)))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("model_weights.ckpt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    write(folder, "model.nemo", file.getvalue())
    return model(folder)
