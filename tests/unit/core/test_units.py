"""Sizes are read and shown as people write them."""

from __future__ import annotations

import msgspec
import pytest
from safe_load.core.errors import UsageError
from safe_load.core.options import Options
from safe_load.core.report import Setting
from safe_load.core.units import format_limit, parse_shard_size, parse_size
from safe_load.render import story

from tests.unit import reports


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (20 << 30, "20 GiB"),
        (512 << 20, "512 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 * 10**9, "5 GB"),
        (40_000, "40 kB"),
        (1001, "1001 B"),
    ],
)
def test_a_limit_is_shown_in_the_unit_in_which_it_was_set(count: int, text: str) -> None:
    assert format_limit(count) == text


def test_a_shard_s_size_is_what_transformers_takes_it_for() -> None:
    assert parse_shard_size("5GB") == 5 * 10**9
    assert parse_shard_size("5GiB") == parse_shard_size("5G") == parse_size("5GB") == 5 << 30
    with pytest.raises(ValueError, match="is not a size"):
        parse_shard_size("5 files")


def test_the_settings_of_a_report_have_their_units() -> None:
    report = msgspec.structs.replace(
        reports.clean(),
        settings=[
            Setting("memory", 20 << 30, "--memory"),
            Setting("timeout", 90.0, "--timeout"),
            Setting("hash", False, "--no-hash"),
            Setting("depth", "model", "--depth"),
        ],
    )
    assert story.settings(report) == (
        "memory 20 GiB (--memory), timeout 90 s (--timeout), hash no (--no-hash), "
        "depth model (--depth)"
    )


def test_a_file_that_is_kept_whole_is_not_converted() -> None:
    for other in ({"dtype": "bf16"}, {"max_shard_size": 1 << 30}):
        with pytest.raises(UsageError, match="whole"):
            Options(whole=True, **other)  # type: ignore[arg-type]
