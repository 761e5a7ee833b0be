"""Class: lying zip. DATA.PKL stands before data.pkl; torch's reader does not mind case."""

from pathlib import Path

from tests.adversarial.craft import honest, members, saved, shell, trapped, write, zipped

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    content = members(saved(honest()))
    trap = trapped(shell(folder))["archive/data.pkl"]
    return write(folder, "pytorch_model.bin", zipped({"archive/DATA.PKL": trap, **content}))
