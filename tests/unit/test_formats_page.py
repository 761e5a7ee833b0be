"""docs/formats.md is what the registry says, and each library that a room shows is defended there."""

from __future__ import annotations

from pathlib import Path

from safe_load.rooms import jobs
from safe_load.worker.formats import registry

from dev import formats_table

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def test_the_page_of_formats_is_current() -> None:
    assert PAGE.read_text("utf-8") == formats_table.page(), (
        "run: python -m dev.formats_table > docs/formats.md"
    )


def test_every_library_of_a_format_is_shown_and_defended() -> None:
    taken = {name for each in registry.FORMATS for name in each.libraries}
    opened = {one.partition(":")[0] for each in registry.FORMATS for one in each.opens.split()}
    opened -= {module for module, _ in jobs._OPENERS.values()}
    assert taken <= set(jobs.LIBRARIES)
    assert opened <= {*jobs.LIBRARIES, *jobs.WELCOME}
    assert set(jobs.LIBRARIES) <= set(formats_table.DEFENCE)


def test_the_controller_knows_the_group_of_entry_points() -> None:
    assert jobs.FORMATS == registry.GROUP
