"""Where nobody may make namespaces, a hostile program is rejected with the same evidence.

A sample of every class that the cell alone meets differently: TESTS_PROFILE=tests/adversarial/alone.toml
runs test_hostile.py on all programs so; docs/backends.md says which of them tell less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adversarial.conftest import HERE, run
from tests.adversarial.test_hostile import assert_rejected

if TYPE_CHECKING:
    from pathlib import Path

#: Models are written here, and so warnings are none of a promise's.
pytestmark = pytest.mark.filterwarnings("ignore")

SAMPLE = [
    "files/aws_credentials",
    "gadgets/ctypes_system",
    "gadgets/multiprocessing_spawn",
    "kernel/fork_bomb",
    "kernel/new_user",
    "kernel/pidfd_getfd",
    "kernel/process_memory",
    "late/double_fork",
    "late/thread",
    "network/datagram",
    "network/fast_open",
    "network/host_name",
    "network/listener",
    "network/netlink_socket",
    "network/unix_abstract",
    "network/web",
    "tamper/in_place",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_it_is_rejected_with_evidence_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    ran = run(name, tmp_path, profile=str(HERE / "alone.toml"))
    assert ran.report.sandbox.tier == "B"
    assert_rejected(ran)
