"""Class: configuration. tokenizer_class names something that is no tokenizer."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "TrainingArguments"}


def make(folder: Path) -> Path:
    return model(folder, tokenizer_class="TrainingArguments")
