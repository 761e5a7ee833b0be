"""The commands that open nothing: the walls of this machine, the profiles."""

from __future__ import annotations

import os
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from safe_load import profiles
from safe_load.cli import terminal
from safe_load.core.escape import visible
from safe_load.render.json import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sandbox.doctor import Diagnosis

_STATES = {"standing": ("✓", "green"), "weaker": ("!", "yellow"), "missing": ("✗", "red")}
_TIERS = {
    "A": "namespaces and the cell around the worker",
    "B": "only the cell around the worker, because this user may not create namespaces here",
}


def doctor(*, as_json: bool, color: bool | None) -> int:
    """Build each wall and say which stand. Returns 0, or 4 where the default command would open nothing."""
    from safe_load.cli import settings  # noqa: PLC0415 (msgspec, and the backends)
    from safe_load.core.options import Options  # noqa: PLC0415
    from safe_load.rooms import choice, jobs  # noqa: PLC0415 (msgspec, and the backends)
    from safe_load.sandbox import doctor  # noqa: PLC0415 (builds walls)
    from safe_load.sandbox.hints import Hint  # noqa: PLC0415

    chosen = settings.resolve({}, environ=os.environ, folder=Path.cwd()).options

    def make(profile: Profile, runtime: str | None) -> Backend:
        named = Options(backend="docker", image=chosen.image, runtime=runtime)
        return choice.backend_of(named, profile)

    containers = doctor.Containers(chosen.image or choice.default_image(), chosen.runtime, make)
    diagnosis = doctor.examine(containers)
    lacking, refused = None, ""
    if chosen.backend == "docker" or chosen.image or chosen.runtime:  # its image has the packages
        works = any(room.stands for room in diagnosis.rooms if room.backend == "docker")
        refused = "" if works else "the settings name the docker backend, and no container stands"
    else:
        lacking = jobs.lacking_packages((*jobs.NEEDED["weights"], *jobs.NEEDED["model"]))
        works = diagnosis.tier is not None and lacking is None
    if lacking is not None:
        refused = f"tier {diagnosis.tier} stands, but nothing can be loaded: {lacking[0]}"
        hint = Hint("packages", f"{lacking[0]}:", lacking[1])
        diagnosis = replace(diagnosis, advice=[hint, *diagnosis.advice])
    terminal.write(dump(diagnosis) if as_json else _diagnosis(diagnosis, color, refused))
    return 0 if works else 4


def _diagnosis(diagnosis: Diagnosis, color: bool | None, refused: str) -> bytes:
    """refused: why the default command opens nothing although rooms stand."""
    page = Page(color)
    if diagnosis.tier and refused:
        page.line(f"✗ {refused}", "bold red")
    elif diagnosis.tier:
        page.line(
            f"✓ tier {diagnosis.tier}: {_TIERS.get(diagnosis.tier, '')}".rstrip(": "), "bold green"
        )
    elif any(room.stands for room in diagnosis.rooms):
        page.line(
            "✗ no tier: the default command opens nothing here; choose a room that works with --backend",
            "bold red",
        )
    else:
        page.line(
            "✗ no tier: no room can be built on this machine, so safe-load opens nothing",
            "bold red",
        )
    rooms = []
    for room in diagnosis.rooms:
        mark, style = ("✓ works", "green") if room.stands else ("✗ missing", "red")
        rooms.append((Text(mark, style), room.name, room.reason))
    page.table(rooms)
    if diagnosis.advice:
        page.line("What to do", "bold", gap=True)
    for hint in diagnosis.advice:
        page.table([(f"{hint.room}: {hint.text}" if hint.room else hint.text,)])
        page.command(hint.command)
    if diagnosis.walls:
        page.line("Walls of the default room" if diagnosis.tier else "Walls", "bold", gap=True)
    rows = []
    for wall in diagnosis.walls:
        mark, style = _STATES.get(wall.state, ("?", ""))
        rows.append((Text(f"{mark} {wall.state}", style), wall.name, wall.detail))
    page.table(rows)
    if diagnosis.notes:
        page.line("Notes", "bold", gap=True)
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
    values = msgspec.to_builtins(profiles.load(name, unsafe=True))
    if as_json:
        terminal.write(dump(values))
        return 0
    page = Page(color)
    page.line(f"{values.pop('name')}: {values.pop('description')}", "bold")
    page.table([(Text(visible(key), "cyan"), value) for key, value in flat(values)])
    terminal.write(page.data())
    return 0


def flat(values: dict[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Each value of nested tables by its dotted key, as text."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{above}{key}", ", ".join(str(item) for item in value) or "none"
        elif key in ("memory", "scratch", "result"):
            yield f"{above}{key}", f"{value / 2**20:g} MiB"
        elif key == "timeout":
            yield f"{above}{key}", f"{value:g} s"
        else:
            yield f"{above}{key}", str(value)


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
        bare = text.lstrip(" ")
        folded = Text(visible(bare), style, overflow="fold")
        # What is indented stays so where it is folded.
        self._console.print(Padding(folded, (0, 0, 0, len(text) - len(bare)), expand=False))

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
