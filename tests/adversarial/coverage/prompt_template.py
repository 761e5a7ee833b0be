"""Class: coverage. A prompt of another library is a template that reaches for more than text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.adversarial.craft import model, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL504", "severity": "medium"}


def make(folder: Path) -> Path:
    prompt = {
        "_type": "prompt",
        "template_format": "jinja2",
        "template": "{{ ''.__class__.__mro__ }}",
    }
    write(folder, "prompts/system.json", json.dumps(prompt))
    return model(folder)
