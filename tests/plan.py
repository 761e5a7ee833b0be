"""Which tests run, in which order, and how long they took: a plugin of pytest's, and its data.

The data is plan.toml. TESTS_WHOLE=NAME,... runs more than the default: `cold` (every file in a room of
its own), `containers` (every promise of every kind of container), `moments` (every moment at which the
controller is killed), `loops` (all that a loop goes through, and each layer of the image made again), the
name of a backend (every file on it), or `all`. TESTS_COVERAGE=part measures coverage where that is cheap.
TESTS_SEED=N repeats the order of a run and what it chose; each run prints its own, and 0 is the order of the
files.
"""

from __future__ import annotations

import os
import random
import tomllib
import zlib
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

_HERE = Path(__file__).resolve().parent
DATA: dict[str, Any] = tomllib.loads((_HERE / "plan.toml").read_text("utf-8"))
BACKENDS = ("native-b", "docker", "gvisor")
_PARTS = {"cold", "containers", "moments", "loops", *BACKENDS}


def _whole() -> set[str]:
    asked = {name for name in os.environ.get("TESTS_WHOLE", "").split(",") if name}
    if unknown := asked - _PARTS - {"all"}:
        raise pytest.UsageError(
            f"TESTS_WHOLE names {', '.join(sorted(unknown))}; there are all, {', '.join(sorted(_PARTS))}"
        )
    return _PARTS if "all" in asked else asked


#: The parts of which everything runs, and not a sample.
WHOLE = _whole()


def whole(part: str) -> bool:
    """Whether all of that part runs, and not a sample."""
    return part in WHOLE


def sampled(name: str) -> bool:
    """Whether the promise of that name is one that every kind of container is asked for."""
    return zlib.crc32(name.encode()) % int(DATA["containers"]["every"]) == 0


def share(names: Iterable[str]) -> list[str]:
    """One in so many of these names, as plan.toml says (`shares`); TESTS_SEED chooses which, so that runs after
    each other have them all."""
    of = int(DATA["shares"]["of"])
    return sorted(names)[int(os.environ.get("TESTS_SEED", "0")) % of :: of]


def chosen(part: str, names: Iterable[str]) -> list[str]:
    """All of these names where that part runs whole, a share of them where it does not."""
    return sorted(names) if whole(part) else share(names)


def cold(kind: str) -> list[str]:
    """The files that are opened in a room of their own. kind: "hostile" or "honest". All that plan.toml names as
    an ordinary user, a share of them as root: CI runs both."""
    names: list[str] = DATA["cold"][kind]
    return share(names) if os.getuid() == 0 else names


def pytest_configure(config: pytest.Config) -> None:
    # The workers are this process's children, and must collect in the same order.
    os.environ.setdefault("TESTS_SEED", str(random.SystemRandom().randrange(1, 10**6)))


def pytest_report_header() -> str:
    """How this run can be repeated."""
    return f"order: TESTS_SEED={os.environ['TESTS_SEED']} runs the tests in this order again"


@pytest.hookimpl(tryfirst=True)  # pytest then puts together what shares a costly fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files in another order each time, and the tests in each; mark what CI runs once."""
    for item in items:
        if _is_anyones(item):
            item.add_marker("anyone")
        if os.environ.get("TESTS_COVERAGE") == "part" and not _is_measured(item):
            item.add_marker("no_cover")
    if seed := int(os.environ["TESTS_SEED"]):
        items[:] = shuffled(items, seed)


def shuffled(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """The same tests, file by file: what a file prepares for its tests it prepares once."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    order = random.Random(seed)
    names = list(files)
    order.shuffle(names)
    for name in names:
        order.shuffle(files[name])
    return [item for name in names for item in files[name]]


def is_long(item: pytest.Item) -> bool:
    """Whether it begins before others, so that no worker runs it while the other has none left."""
    return getattr(item, "originalname", item.name) in DATA["order"]["first"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read files of which no test would be left: for tens of files, that takes seconds of each worker."""
    if config.getoption("markexpr") != "not anyone" or collection_path.suffix != ".py":
        return None
    return (_lies_in(collection_path, "anyone") and not _has_others(collection_path)) or None


def _has_others(path: Path) -> bool:
    text = path.read_text("utf-8")
    return any(f"def {name}(" in text for name in DATA["anyone"]["but"])


def _is_anyones(item: pytest.Item) -> bool:
    name = getattr(item, "originalname", item.name)
    return name not in DATA["anyone"]["but"] and _lies_in(item.path, "anyone")


@cache
def _lies_in(path: Path, part: str) -> bool:
    """Whether a file of tests is among the `paths` of that part of the data."""
    return any(path.is_relative_to(_HERE.parent / each) for each in DATA[part]["paths"])


def _is_measured(item: pytest.Item) -> bool:
    """Whether CI measures which lines it runs; `make coverage` measures all."""
    name = getattr(item, "originalname", item.name)
    return name not in DATA["coverage"]["but"] and _lies_in(item.path, "coverage")


class Times:
    """Sums up what the tests of each folder took: with xdist, in the process that starts workers."""

    def __init__(self) -> None:
        self.took: dict[str, float] = defaultdict(float)
        self.tests: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        folder = "/".join(report.nodeid.split("/")[:2])
        self.took[folder] += report.duration
        self.tests[folder] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table that .ci/run shows in its summary."""
        terminalreporter.section("time of each folder")
        terminalreporter.write_line(f"{'folder':<24}{'tests':>7}{'seconds':>9}{'budget':>8}")
        for folder, took in sorted(self.took.items()):
            budget = DATA["budget"].get(folder)
            over = "  over its budget" if budget is not None and took > budget else ""
            line = f"{folder:<24}{self.tests[folder]:>7}{took:>9.0f}{budget or '-':>8}{over}"
            terminalreporter.write_line(line)
