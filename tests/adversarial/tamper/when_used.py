"""Class: tampering. The weights change when the checkpoint's keys are read, not when it is loaded."""

from pathlib import Path

from tests.adversarial.craft import call, honest, members, saved, write, zipped

EXPECT = {"finding": "SL601", "severity": "high", "detail": "weight"}
_SOURCE = """type('Weights', (__import__('collections').OrderedDict,), {
    'keys': lambda self: (self['weight'].zero_(), dict.keys(self))[1]})()"""


def make(folder: Path) -> Path:
    content = members(saved(honest()))
    pickled = content["archive/data.pkl"]
    # The items that honest() sets on its dict are set on the trap instead.
    start = pickled.index(b"(", 3)
    content["archive/data.pkl"] = b"\x80\x04" + call("builtins:eval", _SOURCE) + pickled[start:]
    return write(folder, "pytorch_model.bin", zipped(content))
