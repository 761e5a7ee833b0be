"""Class: gadget. sqlite3 makes a database of any file."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, method

EXPECT = {"path": "/home/ubuntu/.ssh/authorized_keys", "finding": "SL501", "severity": "medium"}


def make(folder: Path) -> Path:
    database = call("sqlite3:connect", "/home/ubuntu/.ssh/authorized_keys")
    return checkpoint(folder, method(database, "execute", "create table t (x)"))
