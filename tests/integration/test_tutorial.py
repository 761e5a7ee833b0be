"""Every command of the tutorial does what the page says, in the order of the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
#: How each command of the page ends, in their order; what is not listed is not run here.
CODES = {
    "scan models": 1,
    "scan models --report html=report.html --report json=report.json": 1,
    "load models/good -o cleared": 0,
    "verify cleared": 0,
    "load models/trap -o never": 1,
    "scan --depth static -q models/good": 0,
    "scan --depth static --config policy.toml models/trap": 0,
}
NOT_RUN = {"doctor"}


def reports(file: Path) -> list[dict[str, Any]]:
    """Those of the run that a JSON file tells of."""
    found: list[dict[str, Any]] = json.loads(file.read_text())["reports"]
    return found


def test_every_command_of_the_page_ends_as_it_says(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SAFE_LOAD_NO_CACHE": "1"}
    said = {}
    for language, text in BLOCKS:
        if language == "python":
            (tmp_path / "make.py").write_text(text)
            subprocess.run([sys.executable, "make.py"], cwd=tmp_path, check=True)
        elif language == "toml":
            told = reports(tmp_path / "report.json")
            (digest,) = [
                file["sha256"]
                for report in told
                for file in report["files"]
                if file["path"].endswith(".pkl")
            ]
            (tmp_path / "policy.toml").write_text(text.replace("SHA256", digest))
        for line in text.splitlines() if not language else ():
            command = line.removeprefix("safe-load ")
            if command == line or command in NOT_RUN:
                continue
            done = subprocess.run(
                [sys.executable, "-m", "safe_load", *command.split()],
                cwd=tmp_path,
                env=environment | {"SAFE_LOAD_DEPTH": "static"},
                capture_output=True,
                text=True,
                check=False,
            )
            said[command] = done.returncode
            assert "Traceback" not in done.stderr
    assert said == CODES
    assert not (tmp_path / "never").exists()
    assert (tmp_path / "cleared" / "model.safetensors").is_file()
    verdicts = {report["verdict"] for report in reports(tmp_path / "report.json")}
    assert verdicts == {"clean", "malicious"}
