"""Class: payload after STOP. data.pkl of a checkpoint goes on after its end; torch reads the first alone."""

from pathlib import Path

from tests.adversarial.craft import honest, members, saved, shell, stream, write, zipped

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    content = members(saved(honest()))
    content["archive/data.pkl"] += stream(shell(folder))
    return write(folder, "pytorch_model.bin", zipped(content))
