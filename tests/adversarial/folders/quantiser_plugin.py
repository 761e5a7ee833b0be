"""Class: configuration. A quantiser that only a plugin would bring."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "trap_quantiser"}


def make(folder: Path) -> Path:
    return model(folder, quantization_config={"quant_method": "trap_quantiser"})
