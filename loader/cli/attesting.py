"""The command `attest`, `load --attest` and `verify --attestation`: statements signed, written and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.cli import terminal
from safe_load.cli.outputs import read_report
from safe_load.cli.show import Page
from safe_load.core.atomic_files import replace_file
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.render.story import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.attest.trust import Signer
    from safe_load.core.report import Report

EXTRA = "safe-load[signing]"


def attest(report: str, key: Path, output: Path, *, color: bool | None) -> int:
    """Write the statements about a saved report. Returns 0.

    Raises:
        UsageError: The key or the report does not read, the report is about several sources or has no hashes, or the
            file cannot be written.
    """
    need("cryptography", EXTRA)
    from safe_load.attest import keys  # noqa: PLC0415 - needs the extra

    signer = keys.private(key)
    reports = read_report(report)
    if len(reports) != 1:
        raise UsageError(
            f"{report} holds {len(reports)} reports; attest each source by its own report"
        )
    data = b"" if report == "-" else Path(report).read_bytes()
    if not data:
        raise UsageError(
            "a report on stdin has no file that the statements could refer to; save it first"
        )
    lines = _lines(reports[0], data, signer)
    _write(output, lines)
    page = Page(color)
    page.line(f"✓ {output}: {plural(lines.count(bytes([10])), 'statement')} signed", "bold green")
    page.line(
        f"  by the key {keys.hint(signer.public_key())[:12]}; whoever checks needs its public half."
    )
    terminal.write(page.data())
    return 0


def into(target: str, key: str) -> Callable[[Report], None]:
    """What writes the statements about a load into its folder. Raises UsageError for a key that does not read."""
    need("cryptography", EXTRA)
    from safe_load.attest import files_beside, keys  # noqa: PLC0415 - need the extra
    from safe_load.export.publish import REPORT  # noqa: PLC0415

    signer = keys.private(Path(key))

    def write(report: Report) -> None:
        if report.export is None:
            return
        folder = Path(target)
        lines = _lines(report, (folder / REPORT).read_bytes(), signer)
        _write(folder / files_beside.STATEMENTS, lines)
        terminal.note(f"{folder / files_beside.STATEMENTS}: signed statements of this load")

    return write


def check(folder: Path, file: Path, signers: list[Signer]) -> tuple[list[str], list[str]]:
    """What the statements say of a folder: what is so, and what is not. Raises UsageError, NotLoadable."""
    from safe_load.attest import attested, files_beside, folders  # noqa: PLC0415

    stock = folders.contents(folder)
    found = folders.every(stock, files_beside.NAMES)
    try:
        told = attested.read(file, signers, found)
    except attested.NotAccepted as error:
        return [], [str(error)]
    except OSError as error:
        raise UsageError(f"the attestation {visible(str(file))} cannot be read: {error}") from error
    policy = told.policy
    threshold = f"profile {policy.profile}, depth {policy.depth}, fail-on {policy.fail_on}"
    lines = [
        f"{plural(len(found), 'file')} attested by {told.who} on {told.time}",
        f"{told.uri} by safe-load {visible(told.version, 40)}: {visible(threshold)}",
        f"the report has the SHA-256 {told.report}",
    ]
    if not told.passed:
        return [], [f"{lines[0]}, and FAILED: {lines[1]}"]
    return lines, []


def _lines(report: Report, data: bytes, signer: object) -> bytes:
    from safe_load.attest import keys, statements  # noqa: PLC0415 - need the extra

    payloads = statements.of(report, data)
    return b"".join(keys.sign(each, signer) + b"\n" for each in payloads)  # type: ignore[arg-type]


def _write(path: Path, lines: bytes) -> None:
    try:
        replace_file(path, lines, mode=0o666)
    except OSError as error:
        raise UsageError(f"the statements {path} cannot be written: {error.strerror}") from error
