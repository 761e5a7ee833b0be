"""The commands that open nothing: the walls of this machine, the profiles, a folder's manifest."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from safe_load import profiles
from safe_load.cli import terminal
from safe_load.formats.escape import visible
from safe_load.formats.json import dump
from safe_load.formats.story import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sandbox.doctor import Diagnosis

_STATES = {"standing": ("✓", "green"), "weaker": ("!", "yellow"), "missing": ("✗", "red")}
_TIERS = {
    "A": "a namespace room of its own around the cell",
    "B": "the cell alone: no user namespaces here",
}


def doctor(*, as_json: bool, color: bool | None) -> int:
    """Build each wall and say which stand. Returns 0, or 4 where no room can be built at all."""
    from safe_load import rooms, settings  # noqa: PLC0415 (msgspec, and the backends)
    from safe_load.options import Options  # noqa: PLC0415
    from safe_load.sandbox import doctor  # noqa: PLC0415 (builds walls)

    chosen = settings.resolve({}, environ=os.environ, folder=Path.cwd()).options

    def make(profile: Profile, runtime: str | None) -> Backend:
        named = Options(backend="docker", image=chosen.image, runtime=runtime)
        return rooms.backend_of(named, profile)

    containers = doctor.Containers(chosen.image or rooms.default_image(), chosen.runtime, make)
    diagnosis = doctor.examine(containers)
    terminal.write(dump(diagnosis) if as_json else _diagnosis(diagnosis, color))
    return 0 if diagnosis.tier else 4


def _diagnosis(diagnosis: Diagnosis, color: bool | None) -> bytes:
    page = Page(color)
    if diagnosis.tier:
        page.line(
            f"✓ tier {diagnosis.tier}: {_TIERS.get(diagnosis.tier, '')}".rstrip(": "), "bold green"
        )
    elif any(room.stands for room in diagnosis.rooms):
        page.line("✗ no tier: nothing is opened here unless a room is chosen by hand", "bold red")
    else:
        page.line("✗ no tier: no room can be built here, so nothing will be opened", "bold red")
    rooms = []
    for room in diagnosis.rooms:
        mark, style = ("✓ stands", "green") if room.stands else ("✗ does not", "red")
        rooms.append((Text(mark, style), room.name, room.reason))
    page.table(rooms)
    if diagnosis.advice:
        page.line("What would help", "bold", gap=True)
    for hint in diagnosis.advice:
        page.table([(f"{hint.room}: {hint.text}" if hint.room else hint.text,)])
        page.command(hint.command)
    if diagnosis.walls:
        page.line("Its walls" if diagnosis.tier else "Walls", "bold", gap=True)
    rows = []
    for wall in diagnosis.walls:
        mark, style = _STATES.get(wall.state, ("?", ""))
        rows.append((Text(f"{mark} {wall.state}", style), wall.name, wall.detail))
    page.table(rows)
    if diagnosis.notes:
        page.line("Here", "bold", gap=True)
        page.table([(note,) for note in diagnosis.notes])
    return page.data()


def profile_list(*, as_json: bool, color: bool | None) -> int:
    """The shipped profiles, one line each."""
    loaded = [profiles.load(name) for name in profiles.names()]
    if as_json:
        terminal.write(dump([{"name": p.name, "description": p.description} for p in loaded]))
        return 0
    page = Page(color)
    page.table([(Text(visible(p.name), "bold"), p.description) for p in loaded])
    terminal.write(page.data())
    return 0


def profile(name: str, *, as_json: bool, color: bool | None) -> int:
    """One profile's effective values, what it extends included. Raises ProfileError."""
    values = msgspec.to_builtins(profiles.load(name))
    if as_json:
        terminal.write(dump(values))
        return 0
    page = Page(color)
    page.line(f"{values.pop('name')}: {values.pop('description')}", "bold")
    page.table([(Text(visible(key), "cyan"), value) for key, value in _flat(values)])
    terminal.write(page.data())
    return 0


def _flat(values: dict[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{above}{key}", ", ".join(str(item) for item in value) or "none"
        elif key in ("memory", "scratch", "result"):
            yield f"{above}{key}", f"{value / 2**20:g} MiB"
        elif key == "timeout":
            yield f"{above}{key}", f"{value:g} s"
        else:
            yield f"{above}{key}", str(value)


def verify(folder: str, *, quiet: bool, color: bool | None) -> int:
    """Check a cleared folder against its manifest. Returns 0, or 1 when something differs.

    Raises NotLoadable where there is no manifest.
    """
    from safe_load.verify import verify as check  # noqa: PLC0415

    result = check(Path(folder))
    if result.problems:
        page = Page(color)
        page.line(f"✗ {folder}: {plural(len(result.problems), 'problem')}", "bold red")
        page.table([(Text("·"), problem) for problem in result.problems])
        terminal.write(page.data())
        return 1
    if not quiet:
        page = Page(color)
        page.line(
            f"✓ {folder}: {plural(len(result.manifest.files), 'file')} as the manifest says",
            "bold green",
        )
        terminal.write(page.data())
    return 0


class Page:
    """Lines and tables for the terminal; strings in them are made visible."""

    def __init__(self, color: bool | None) -> None:
        view = terminal.view(color=color)
        self._out = StringIO()
        self._console = Console(
            file=self._out,
            width=max(view.width, 40),
            force_terminal=view.color,
            color_system="standard" if view.color else None,
            no_color=not view.color,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def line(self, text: str, style: str = "", *, gap: bool = False) -> None:
        if gap:
            self._console.print()
        self._console.print(Text(visible(text), style, overflow="fold"))

    def table(self, rows: Sequence[tuple[Text | str, ...]]) -> None:
        table = Table.grid(padding=(0, 2, 0, 0))
        for row in rows:
            cells = (Text(visible(c), overflow="fold") if isinstance(c, str) else c for c in row)
            table.add_row(Text(""), *cells)
        self._console.print(table)

    def command(self, text: str) -> None:
        """To be pasted: never folded, but by the terminal itself."""
        for line in text.splitlines():
            self._console.print(Text(f"    {visible(line)}", "cyan"), soft_wrap=True)

    def data(self) -> bytes:
        lines = [line.rstrip() for line in self._out.getvalue().splitlines()]
        return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
