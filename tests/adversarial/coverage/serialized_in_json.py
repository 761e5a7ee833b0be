"""Class: archives. A base64 pickle in the JSON of a zip, as stable-baselines3 keeps objects."""

import base64
import json
import pickle
from pathlib import Path

from tests.adversarial.craft import Shell, model, write, zipped

EXPECT = {"finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    text = base64.b64encode(pickle.dumps(Shell(folder))).decode()
    data = json.dumps({"lr_schedule": {":type:": "function", ":serialized:": text}})
    write(folder, "ppo.zip", zipped({"data": data.encode()}))
    return model(folder)
