"""Which worker of pytest-xdist runs which test: what is prepared for several tests is prepared once.

These go to one worker, one after the other: the tests that share a fixture of their module's or of their
folder's (scope "package"); those of one `xdist_group`; and, at the very end, the `serial` ones, beside
which nothing runs: so no worker waits for them before. All others go to whichever worker is free. xdist's
own `--dist loadgroup` writes the group into a test's id, which pytest 9.2 does not read any more.

Workers collect and the controlling process gives out: they tell it the groups in a file of their shared folder.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import plan

if TYPE_CHECKING:
    from pathlib import Path

    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

_SERIAL = "serial"
_FILE = "groups.json"


def group(item: pytest.Item) -> str | None:
    """The name of the tests that this one must share a worker with; None where it may run anywhere."""
    if item.get_closest_marker("serial"):
        return _SERIAL
    if marked := item.get_closest_marker("xdist_group"):
        return str(marked.args[0])
    defined = getattr(item, "_fixtureinfo", None)
    scopes = (
        {each[-1].scope for each in defined.name2fixturedefs.values() if each} if defined else set()
    )
    module = item.nodeid.partition("::")[0]
    if "package" in scopes:
        return module.rpartition("/")[0]
    return module if "module" in scopes else None


def arranged(items: list[pytest.Item]) -> list[pytest.Item]:
    """The same tests: first the long ones and their groups, then other groups, then what may run
    anywhere, and last what runs alone."""
    long = {group(item) or item.nodeid for item in items if plan.is_long(item)}

    def rank(item: pytest.Item) -> int:
        together = group(item)
        if together == _SERIAL:
            return 3
        return 0 if (together or item.nodeid) in long else 1 if together else 2

    return sorted(items, key=rank)


class Scheduler(LoadScopeScheduling):
    """Gives out one test after the other, or a whole group. folder: where the workers leave the groups."""

    def __init__(self, config: pytest.Config, log: Producer | None, folder: Path) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = (
            False  # the order is `arranged`, not by the number of tests
        )
        self._folder = folder

    @cached_property
    def _groups(self) -> dict[str, str]:
        # First asked for when the workers have collected.
        groups: dict[str, str] = json.loads((self._folder / _FILE).read_text("utf-8"))
        return groups

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid, nodeid)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """As xdist does, which then goes through all that a worker ever had: so what is done is forgotten."""
        super().mark_test_complete(node, item_index, duration)
        name = self._split_scope(self.registered_collections[node][item_index])
        work = self.assigned_work[node]
        if all(work.get(name, {}).values()):
            work.pop(name, None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler | None:
    """Ours in the place of xdist's loadgroup; any other that was asked for stays."""
    if config.getvalue("dist") != "loadgroup":
        return None
    return Scheduler(config, log, config._tmp_path_factory.getbasetemp())


@pytest.hookimpl(trylast=True)  # after pytest has put together what shares a costly fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Arrange the tests; a worker tells the groups to the controlling process."""
    items[:] = arranged(items)
    if hasattr(config, "workerinput"):
        groups = {item.nodeid: name for item in items if (name := group(item))}
        own: Path = config._tmp_path_factory.getbasetemp()
        (own / _FILE).write_text(json.dumps(groups), "utf-8")
        (own / _FILE).replace(own.parent / _FILE)  # each worker says the same
