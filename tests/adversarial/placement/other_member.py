"""Class: payload in another member. A pickle that torch does not load lies in the archive."""

from pathlib import Path

from tests.adversarial.craft import honest, members, saved, shell, stream, write, zipped

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    content = members(saved(honest())) | {"archive/extra/callbacks.pkl": stream(shell(folder))}
    return write(folder, "pytorch_model.bin", zipped(content))
