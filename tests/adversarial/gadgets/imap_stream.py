"""Class: gadget. imaplib talks to a mail server through a command."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("imaplib:IMAP4_stream", touch(folder)))
