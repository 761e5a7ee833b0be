"""Class: lying zip. Two members are called data.pkl; torch takes the last."""

import warnings
from pathlib import Path

from tests.adversarial.craft import honest, members, saved, shell, trapped, write, zipped

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    first, last = members(saved(honest())), trapped(shell(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = zipped([*first.items(), ("archive/data.pkl", last["archive/data.pkl"])])
    return write(folder, "pytorch_model.bin", data)
