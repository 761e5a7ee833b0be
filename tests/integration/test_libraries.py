"""The table of libraries says what `make trials` checks, with the versions that it installs."""

from __future__ import annotations

import re
from pathlib import Path

from dev import library_trials

_ROOT = Path(__file__).parents[2]
_TABLE = (_ROOT / "docs" / "compatibility.md").read_text("utf-8")


def _pins(name: str) -> dict[str, str]:
    text = (_ROOT / "dev" / "trials" / f"{name}.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def test_every_trial_has_its_row_with_the_version_that_is_installed_for_it() -> None:
    rows = re.findall(r"^\| (\S+) (\d[\w.]*) \| (.+?) \| .+ \|$", _TABLE, re.MULTILINE)
    assert {name: calls for name, _, calls in rows} == {
        name: calls for name, (_, calls, _) in library_trials.TRIALS.items()
    }
    pins = _pins("small") | _pins("whole")
    assert {name: version for name, version, _ in rows} == {
        name: pins[name.replace("_", "-")] for name, _, _ in rows
    }
    constraints = (_ROOT / "constraints.txt").read_text("utf-8").splitlines()
    for name in ("torch", "transformers"):
        (pin,) = (line for line in constraints if line.startswith(f"{name}=="))
        assert f"{name} {pin.partition('==')[2]}" in _TABLE


def test_ci_runs_trials_on_every_change_and_a_whole_run_all_of_them() -> None:
    makefile = (_ROOT / "Makefile").read_text("utf-8")
    (tried,) = re.findall(r"^\t\$\(TRY\) (?!whole)(.+)$", makefile, re.MULTILINE)
    assert set(tried.split()) <= library_trials.TRIALS.keys()
    assert set(tried.split()) <= _pins("small").keys()
    assert re.search(r"^test-all:.*\n.*\n\t\$\(MAKE\) trials-whole$", makefile, re.MULTILINE)
    ci = (_ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(r"whole\) .*trials=trials-whole ;;\n *\"\"\) trials=trials ;;", ci)
    assert re.search(r'^side_by_side lint .*"\$trials"', ci, re.MULTILINE)
