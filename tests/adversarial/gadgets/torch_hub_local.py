"""Class: gadget. torch.hub imports a hubconf.py that the pickle wrote."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, method, then, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    place = call("pathlib:PosixPath", "/tmp/hubconf.py")
    written = method(place, "write_text", f"import os\ndef entry(): os.system({touch(folder)!r})\n")
    loaded = call("torch.hub:_load_local", "/tmp", "entry")
    return checkpoint(folder, then(written, loaded))
