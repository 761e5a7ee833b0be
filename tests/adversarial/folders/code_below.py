"""Class: configuration. auto_map in a nested part, where trust_remote_code=False is not passed on (CVE-2026-5241)."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "auto_map"}


def make(folder: Path) -> Path:
    write(folder, "configuration_trap.py", f"import os; os.system({touch(folder)!r})")
    part = {"model_type": "trap", "auto_map": {"AutoConfig": "configuration_trap.TrapConfig"}}
    return model(folder, model_type="vision-encoder-decoder", encoder=part, decoder=part)
