"""Class: write outside. A .pth file among the installed packages, which every Python would run."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "*/trap.pth", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        run(
            "import os, torch; open(os.path.dirname(torch.__path__[0]) + '/trap.pth', 'w').write('x')"
        ),
    )
