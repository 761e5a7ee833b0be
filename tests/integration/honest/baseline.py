"""What honest loads do, recorded and written down as data: `make baseline`.

Opens every file of the honest set from one warm room, at the depth that a user gets and, for model
folders, in a real from_pretrained with a forward pass, with every call recorded that can be; writes
what was opened besides the runtime and the model, and which system calls were made, to
profiles/rules/baseline.toml.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load import Session
from safe_load.sources import inventory

from tests.integration.honest import architectures, checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.core.report import Report

OUTPUT = Path(__file__).resolve().parents[3] / "profiles" / "rules" / "baseline.toml"
_HEAD = """\
# What honest loads did when they were recorded: {files} files of tests/integration/honest, the model
# folders also at depth run. Written by `make baseline`; do not edit.

"""


def main() -> int:
    """Record and write. Returns an exit code: 1 when a file of the set does not load."""
    with tempfile.TemporaryDirectory(prefix="safe-load-baseline-") as folder:
        sources = list(_written(Path(folder)))
        deep = [source for source in sources if inventory.take(source).named("config.json")]
        trace = Path(folder) / "trace.jsonl"
        reports: list[Report] = []
        for depth, chosen in (("auto", sources), ("run", deep)):
            with Session(record="full", trace=trace, depth=depth, hash=False) as session:
                reports += [result.report for result in session.scan_all(chosen)]
    for report in reports:
        if report.outcome != "ok":
            print(
                f"{report.source.path}: {report.outcome}: {report.outcome_detail}", file=sys.stderr
            )
    OUTPUT.write_text(_rendered(reports, len(sources)), encoding="utf-8")
    print(f"{len(reports)} loads of {len(sources)} files: {OUTPUT.name} is written")
    return int(any(report.outcome != "ok" for report in reports))


def _written(folder: Path) -> Iterable[str]:
    for name, make in (checkpoints.CASES | architectures.CASES).items():
        place = folder / name
        place.mkdir(parents=True)
        yield str(make(place)[0])


def _rendered(reports: list[Report], files: int) -> str:
    events = [event for report in reports for event in report.recording.events]
    reads = {
        str(event.args["path"])
        for event in events
        if event.syscall.startswith("open") and event.args["flags"].startswith("O_RDONLY")
    }
    counts = [(name, n) for report in reports for name, n in report.recording.syscalls.items()]
    tables = {
        "reads": {"recorded": reads},
        "calls": {
            "carried_out": {name for name, n in counts if n.allowed},
            "refused": {name for name, n in counts if n.denied},
        },
    }
    text = _HEAD.format(files=files)
    for table, lists in tables.items():
        text += f"[{table}]\n"
        for name, values in lists.items():
            lines = "".join(f'  "{value}",\n' for value in sorted(values))
            text += f"{name} = [\n{lines}]\n" if lines else f"{name} = []\n"
        text += "\n"
    return text.rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
