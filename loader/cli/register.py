"""The command `safe-load register`: the chain of a project, written, shown and compared."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from safe_load.cli import terminal
from safe_load.cli.show import Page
from safe_load.core.atomic_files import replace_file
from safe_load.core.errors import UsageError
from safe_load.core.units import parse_seconds
from safe_load.register import compare, form_markdown, further, judge, offers, reading, walk
from safe_load.register.rows import FILE_NAME, Chain, Read
from safe_load.render import places
from safe_load.render.json import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.register.compare import Comparison
    from safe_load.register.rows import Row

FORMATS = ("human", "json", "markdown", "cyclonedx", "sarif")
_SHOWN = 10
_TIMEOUT = 120.0
_STYLES = {"pinned": "green", "floating": "yellow", "unknown": "yellow"}


@dataclass(frozen=True)
class Asked:
    """The command line. See `safe-load register --help`."""

    folder: str
    check: bool
    against: str | None
    offers: Sequence[str]
    format: str | None
    output: str | None
    reports: Sequence[str]
    exclude: Sequence[str]
    user: bool
    timeout: str | None
    quiet: bool
    verbose: bool
    color: bool | None


@dataclass(frozen=True)
class Project:
    """What was found in a project. code: 0, or 3 or 5 where a file was not read; not_checked: why known-malicious
    versions were not looked up, "" where they were."""

    root: Path
    reads: list[Read]
    chain: Chain
    left: dict[str, int]
    code: int
    not_checked: str


def register(asked: Asked) -> int:
    """Make the register, write it or compare it, show it. Returns the exit code. Raises UsageError, LimitHit."""
    outputs = _outputs(asked)
    old = None
    if asked.check:
        old = compare.load(Path(asked.against) if asked.against else Path(asked.folder) / FILE_NAME)
    project = take(asked.folder, asked.exclude, asked.timeout, user=asked.user)
    project = _offered(project, asked, old)
    comparison = compare.compare(old, project.chain) if old is not None else None
    for form, path in outputs:
        if path is not None:
            _write(path, _rendered(form, project, comparison, asked))
    for form, path in outputs:
        if path is None and not (asked.quiet and form == "human"):
            terminal.write(_rendered(form, project, comparison, asked))
    for read in project.reads:
        if read.problem:
            terminal.warn(f"not read: {read.path}: {read.problem}")
    for what, count in project.left.items():
        if asked.verbose:
            terminal.note(f"left alone: {count} {what}")
    malicious = any(
        reason.startswith("known malicious") for row in project.chain.rows for reason in row.reasons
    )
    if malicious or (comparison is not None and comparison.red):
        return 1
    return project.code


def _offered(project: Project, asked: Asked, old: Chain | None) -> Project:
    """The project with the digests of what its servers offer. Raises UsageError."""
    chain = project.chain
    committed = Path(asked.folder) / FILE_NAME
    if old is None and committed.is_file():
        with suppress(UsageError):  # another version's, or no register: it is written anew
            chain = offers.carried(compare.load(committed), chain)
    found = [offer for path in asked.offers for offer in offers.load(Path(path))]
    if found:
        chain, left = offers.attach(chain, found)
        for name in left:
            terminal.warn(
                f"no server of this project is configured as {name}: its definitions are not kept"
            )
    if old is not None and (count := offers.not_compared(old, chain)):
        servers = "1 MCP server" if count == 1 else f"{count} MCP servers"
        terminal.warn(
            f"not compared: the definitions of {servers}; name a new report with --offers"
        )
    return replace(project, chain=chain)


def take(
    folder: str, exclude: Sequence[str] = (), timeout: str | None = None, *, user: bool = False
) -> Project:
    """Read a project. Raises UsageError, LimitHit."""
    try:
        seconds = parse_seconds(timeout) if timeout else _TIMEOUT
    except ValueError as error:
        raise UsageError(str(error)) from None
    root = Path(folder)
    deadline = time.monotonic() + seconds
    found = walk.walk(root, exclude, deadline)
    if user:
        own = walk.of_user(Path.home())
        found.files += own.files
        found.problems |= own.problems
    reads = reading.read(found.files, deadline)
    reads += [
        Read(path, problem=problem, limit=limit)
        for path, (problem, limit) in sorted(found.problems.items())
    ]
    lists = further.Lists()
    base = Path(os.path.realpath(root))
    chain = judge.chain(
        [*reads, *lists.locked(reads)], lambda name: (base / name).is_dir(), lists.facts
    )
    code = (
        5 if any(read.limit for read in reads) else 3 if any(read.problem for read in reads) else 0
    )
    return Project(root, reads, chain, found.left, code, lists.not_checked)


def pin(folder: str, exclude: Sequence[str], timeout: str | None, *, offline: bool = False) -> int:
    """Print the patch that pins what floats. Returns 0, or 3 where somebody who was asked did not answer.

    Raises UsageError, LimitHit."""
    from safe_load.register import pin as pins  # noqa: PLC0415 (libraries of an extra)
    from safe_load.register.reader import read_text  # noqa: PLC0415
    from safe_load.register.registry import Registry  # noqa: PLC0415
    from safe_load.register.resolving import Resolver  # noqa: PLC0415

    project = take(folder, exclude, timeout)
    base = os.path.realpath(project.root)

    def text_of(path: str) -> str:
        try:
            return read_text(os.path.join(base, path), 64 << 20, exact=True)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} changed while it was read: {error}") from None

    resolver = Resolver(Registry(offline=offline), offline=offline)
    patch = pins.make(project.reads, text_of, resolver, lambda name: Path(base, name).is_dir())
    terminal.write(patch.diff.encode("utf-8", "backslashreplace"))
    for place, name, why in patch.left:
        terminal.note(f"not pinned: {place}: {name}: {why}")
    terminal.note(
        f"{patch.pinned} pinned, {len(patch.left)} left"
        + (": apply with `patch -p1` or `git apply`" if patch.pinned else "")
    )
    for whom, count in resolver.not_asked.items():
        terminal.note(f"offline: {whom} not asked, for {count} link{'s' if count != 1 else ''}")
    return 3 if patch.failed else project.code


def _outputs(asked: Asked) -> list[tuple[str, Path | None]]:
    """(form, file or None for stdout). Raises UsageError, before any work is done."""
    outputs: list[tuple[str, Path | None]] = []
    form = asked.format or "human"
    if asked.output:
        outputs.append(
            (asked.format if asked.format and form != "human" else "json", Path(asked.output))
        )
        outputs += [("human", None)] if form == "human" else []
    else:
        outputs.append((form, None))
        if asked.format is None and not asked.check:
            outputs.append(("json", Path(asked.folder) / FILE_NAME))
    for pair in asked.reports:
        name, equals, file = pair.partition("=")
        if not equals or not file or name not in FORMATS:
            raise UsageError(
                f"--report {pair!r} is not FORMAT=FILE with FORMAT one of {', '.join(FORMATS)}"
            )
        outputs.append((name, Path(file)))
    from safe_load.cli.outputs import check  # noqa: PLC0415 (msgspec's types of reports)

    if not Path(asked.folder).is_dir():
        raise UsageError(f"{asked.folder!r} is not a folder")
    check(outputs)
    return outputs


def _write(path: Path, data: bytes) -> None:
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            replace_file(path.resolve(), data, mode=0o666)
    except OSError as error:
        raise UsageError(f"{str(path)!r} was not written: {error.strerror}") from error


def _rendered(form: str, project: Project, comparison: Comparison | None, asked: Asked) -> bytes:
    if form == "json":
        return dump({"schema": project.chain.schema, "rows": project.chain.rows})
    if form == "markdown":
        return form_markdown.render(project.chain, comparison)
    if form == "cyclonedx":
        from safe_load.register import form_cyclonedx  # noqa: PLC0415 (a library of an extra)

        return form_cyclonedx.render(project.chain)
    if form == "sarif":
        from safe_load.register import form_sarif  # noqa: PLC0415

        return form_sarif.render(project.chain, comparison, _prefix(project.root))
    return _human(project, comparison, asked)


def _prefix(root: Path) -> str:
    """The project's folder below the root of its checkout, "" where it is the root itself."""
    folder = os.path.realpath(root)
    top = places.repository(folder)
    relative = os.path.relpath(folder, top) if top else "."
    return "" if relative == "." or relative.startswith("..") else f"{relative}/"


def _human(project: Project, comparison: Comparison | None, asked: Asked) -> bytes:
    page = Page(asked.color)
    if comparison is not None:
        _compared(page, comparison)
    else:
        page.line(f"{project.root}: {form_markdown.summary(project.chain)}", "bold")
        told = [row for row in project.chain.rows if row.fix or row.reasons or asked.verbose]
        shown = told if asked.verbose else told[:_SHOWN]
        if shown:
            page.line(
                "Trusted least" if not asked.verbose else "Every link, the one trusted least first",
                "bold",
                gap=True,
            )
        for row in shown:
            _row(page, row)
        if len(told) > len(shown):
            page.line(f"{len(told) - len(shown)} more: -v shows them", gap=True)
    unread = sum(bool(read.problem) for read in project.reads)
    if any(word in row.fix for row in project.chain.rows for word in ("COMMIT", "VERSION")):
        page.line(
            "COMMIT, VERSION: `safe-load register pin` finds them and prints a patch.", gap=True
        )
    if unread:
        page.line(
            f"✗ {unread} file{'s' if unread != 1 else ''} not read: what they bring in is not known",
            "bold red",
            gap=True,
        )
    if project.not_checked:
        page.line(
            f"Not checked: known-malicious versions, because {project.not_checked}.", gap=True
        )
    if comparison is None and asked.format is None:
        where = asked.output or str(Path(asked.folder) / FILE_NAME)
        page.line(
            f"Written: {where}. Commit it; `safe-load register --check` then fails on what is new or looser.",
            gap=True,
        )
    return page.data()


def _row(page: Page, row: Row) -> None:
    place = f"{row.where[0].path}:{row.where[0].line}" if row.where else ""
    if len(row.where) > 1:
        place += f" (+{len(row.where) - 1})"
    pin = row.pin.state if row.kind != "host" else "host"
    value = f" {row.pin.value}" if row.pin.value and row.kind != "host" else ""
    page.table([(Text(f"{row.rank:>3}"), Text(row.kind, "cyan"), row.name)])
    page.table(
        [(Text("   "), Text(f"{pin}", _STYLES.get(pin, "")), f"{value.strip()}  {place}".strip())]
        if row.kind != "host"
        else [(Text("   "), place)]
    )
    if row.reasons:
        page.table([(Text("   "), "; ".join(row.reasons))])
    if row.fix:
        page.command(f"fix: {row.fix}")


def _compared(page: Page, comparison: Comparison) -> None:
    red = comparison.red
    if red:
        page.line(
            f"✗ {len(red)} link{'s differ' if len(red) != 1 else ' differs'} from the committed register",
            "bold red",
        )
    else:
        page.line("✓ no link is new, looser or changed", "bold green")
    for each in red:
        place = f"{each.row.where[0].path}:{each.row.where[0].line}" if each.row.where else ""
        page.table([(Text(each.what, "red"), each.told, place)])
        if each.what == "new" and each.row.reasons:
            page.table([(Text("   "), "; ".join(each.row.reasons))])
        if each.row.fix:
            page.command(f"fix: {each.row.fix}")
    if comparison.better:
        names = ", ".join(row.name for row in comparison.better[:5])
        page.line(f"pinned since: {names}. `safe-load register` writes the register anew", gap=True)
    if comparison.gone:
        names = ", ".join(row.name for row in comparison.gone[:5])
        page.line(f"no longer used: {names}", gap=True)
    if red:
        page.line(
            "If the change is meant: run `safe-load register`, and commit the register with the change.",
            gap=True,
        )
