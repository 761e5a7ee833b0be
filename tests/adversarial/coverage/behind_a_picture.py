"""Class: polyglot. An archive with a pickle behind the end of a picture."""

import io
import pickle
from pathlib import Path

from PIL import Image

from tests.adversarial.craft import Shell, model, write, zipped

EXPECT = {"finding": "SL507", "severity": "medium"}


def make(folder: Path) -> Path:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    write(folder, "plot.png", file.getvalue() + zipped({"x": pickle.dumps(Shell(folder))}))
    return model(folder)
