"""Class: text that is a pickle. Before the payload it nests calls deeper than extraction follows, which an
unpickler does not mind."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"finding": "SL507", "severity": "medium", "detail": "README.md"}
_DICT = b"ccollections\nOrderedDict\n"
_AGAIN = b"ctorch._tensor\n_rebuild_from_type_v2\n"


def make(folder: Path) -> Path:
    function, arguments = _DICT, b"(t"
    for _ in range(10):
        arguments = b"(" + function + _DICT + arguments + b"(dt"
        function = _AGAIN
    payload = f"cos\nsystem\n(S'{touch(folder)}'\ntR.".encode()
    write(folder, "README.md", function + arguments + b"R0" + payload)
    return model(folder)
