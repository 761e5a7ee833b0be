"""Class: template. A chat template walks from a string to os (CVE-2024-34359)."""

from pathlib import Path

from tests.adversarial.craft import model, tokenizer, touch

EXPECT = {"finding": "SL504", "severity": "medium", "detail": "__"}


def make(folder: Path) -> Path:
    tokenizer(
        folder,
        "{{ ''.__class__.__mro__[1].__subclasses__() }}"
        f"{{{{ cycler.__init__.__globals__.os.popen({touch(folder)!r}).read() }}}}",
    )
    return model(folder)
