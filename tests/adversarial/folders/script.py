"""Class: format. TorchScript is a program; its __setstate__ runs at load, and this one writes a file."""

from pathlib import Path

from tests.adversarial.craft import write, zipped

EXPECT = {"finding": "SL506", "severity": "medium"}

_CODE = b"""class Trap(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def __setstate__(self: __torch__.Trap, state: bool) -> NoneType:
    self.training = state
    torch.save(torch.ones([1]), "/tmp/canary")
    return None
"""


def make(folder: Path) -> Path:
    content = {
        "archive/data.pkl": b"\x80\x02c__torch__\nTrap\nq\x00)\x81\x88b.",
        "archive/constants.pkl": b"\x80\x02).",
        "archive/code/__torch__.py": _CODE,
        "archive/version": b"3\n",
        "archive/byteorder": b"little",
    }
    return write(folder, "model.pt", zipped(content))
