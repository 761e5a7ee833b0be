"""Class: text that is a pickle. It begins with a line that is longer than any that is read."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"finding": "SL507", "severity": "medium", "detail": "notes.txt"}


def make(folder: Path) -> Path:
    payload = f"cos\nsystem\n(S'{touch(folder)}'\ntR.".encode()
    write(folder, "notes.txt", b"S'" + b"a" * (17 << 20) + b"'\n0" + payload)
    return model(folder)
