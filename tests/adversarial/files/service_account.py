"""Class: theft. A pod's service account."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "*/secrets/kubernetes.io/serviceaccount/token", "finding": "SL301"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("open('/var/run/secrets/kubernetes.io/serviceaccount/token').read()")
    )
