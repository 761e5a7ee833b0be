"""Where CI promises that a test runs, a skip is a failure.

With TESTS_MAY_NOT_SKIP set (as .ci/run does), every skip whose reason does not match
MAY_BE_SKIPPED fails, also one of a whole file. Hypothesis then tries the same examples each time,
without a deadline for each: what fails in CI must fail again on the desk.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator

#: Reasons (regular expressions, matched from the start) for which a test may be skipped in CI too.
MAY_BE_SKIPPED: tuple[str, ...] = (
    "only root may capture packets on the host",
    "only root may run runsc without an engine",
    "hiding processes in /proc takes root",
    "only root may look at gVisor's kernel",
    "a room without namespaces",
    "no promise of",  # tests/conformance/unpromised.json
)

_FORBIDDEN = bool(os.environ.get("TESTS_MAY_NOT_SKIP"))
if _FORBIDDEN:
    settings.load_profile("ci")  # one of hypothesis' own


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (_FORBIDDEN and report.skipped) or hasattr(report, "wasxfail"):
        return
    # A skip's longrepr is (file, line, "Skipped: reason").
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not any(re.match(allowed, reason) for allowed in MAY_BE_SKIPPED):
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI promises that it runs: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
