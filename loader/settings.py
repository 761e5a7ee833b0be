"""The command line's settings: flags first, then pyproject.toml, then the environment.

Zone: controller. One table says which settings there are, how each is read, and from where.

A pyproject.toml decides how strict a scan is, so it is only believed where a model could not have
brought it: one that lies in the very folder that is being judged, or in a folder that anyone may
write to, ends the run with an explanation.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safe_load.errors import UsageError
from safe_load.formats import FORMATS
from safe_load.options import BACKENDS, DEPTHS, FAIL_ON, RECORDS, Options
from safe_load.profiles.units import parse_seconds, parse_size

PREFIX = "SAFE_LOAD_"
#: Variables that are no settings of one run: where the pyproject.toml is, whether a traceback is
#: shown, where cleared models are kept, and how much room they may take.
OTHER_VARIABLES = (
    "SAFE_LOAD_CONFIG",
    "SAFE_LOAD_DEBUG",
    "SAFE_LOAD_HOME",
    "SAFE_LOAD_CACHE_SIZE",
)
_LARGEST_CONFIG = 1 << 20  # bytes

Parser = Callable[[object], Any]


@dataclass(frozen=True)
class Settings:
    """What the command line, the configuration and the environment amount to."""

    options: Options
    format: str
    quiet: bool
    color: bool | None
    """None: where there is a terminal that shows it."""
    warnings: tuple[str, ...]


def _choice(*allowed: str) -> Parser:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
        return value

    return parse


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a name")
    return value


def _flag(value: object) -> bool:
    word = str(value).lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a time; write e.g. 90, 90s or 5m")
    return parse_seconds(str(value))


def _bytes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a size; write e.g. 8GiB or 512M")
    size = parse_size(str(value))
    if not size:
        raise ValueError(f"{value!r} leaves no memory at all")
    return size


#: Every setting, named as its flag. What only the command line may say is not among them: a
#: report's file, and --export-despite-findings, which nobody should inherit unseen.
SETTINGS: dict[str, Parser] = {
    "profile": _text,
    "backend": _choice(*BACKENDS),
    "runtime": _text,
    "image": _text,
    "depth": _choice(*DEPTHS),
    "fail-on": _choice(*FAIL_ON),
    "record": _choice(*RECORDS),
    "timeout": _seconds,
    "memory": _bytes,
    "hash": _flag,
    "all-files": _flag,
    "format": _choice(*FORMATS),
    "quiet": _flag,
    "no-color": _flag,
}


def resolve(
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    folder: Path,
    sources: Sequence[str] = (),
    config: str | None = None,
    export_despite_findings: bool = False,
) -> Settings:
    """What holds for one run. Raises UsageError, naming the flag, key or variable that is wrong.

    flags: by setting name, None where not given. folder: where the search for a pyproject.toml
    starts. sources: what the run will judge. config: a pyproject.toml to use instead of a search,
    "none" for no file at all.
    """
    warnings: list[str] = []
    values = _environment(environ, warnings)
    chosen = config or environ.get("SAFE_LOAD_CONFIG")
    file = _find(folder, sources) if chosen is None else _named(chosen)
    if file is not None:
        values |= _file(file)
    values |= {
        name: _parsed(f"--{name}", SETTINGS[name], value)
        for name, value in flags.items()
        if value is not None
    }
    no_color = values.get("no-color", bool(environ.get("NO_COLOR")))
    options = {
        name.replace("-", "_"): values[name]
        for name in SETTINGS.keys() & values.keys() - {"format", "quiet", "no-color"}
    }
    return Settings(
        options=Options(**options, export_despite_findings=export_despite_findings),
        format=values.get("format", "human"),
        quiet=values.get("quiet", False),
        color=False if no_color else None,
        warnings=tuple(warnings),
    )


def _parsed(where: str, parse: Parser, value: object) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _environment(environ: Mapping[str, str], warnings: list[str]) -> dict[str, Any]:
    known = {PREFIX + name.replace("-", "_").upper(): name for name in SETTINGS}
    values = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if (name := known.get(variable)) is None:
            warnings.append(f"{variable} is no variable of safe-load and was ignored")
        elif environ[variable]:
            values[name] = _parsed(variable, SETTINGS[name], environ[variable])
    return values


def _named(config: str) -> Path | None:
    return None if config == "none" else Path(config)


def _find(folder: Path, sources: Sequence[str]) -> Path | None:
    """The nearest pyproject.toml from that folder upward, None if it has no table of ours."""
    folder = folder.resolve()
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if not file.is_file():
            continue
        if _table(file) is None:
            return None
        for source in sources:
            if source.startswith("hf://"):
                continue
            place = Path(source).resolve()
            judged = place if place.is_dir() else place.parent
            if parent == judged or judged in parent.parents:
                raise UsageError(
                    f"{file} lies in what is to be judged ({source}), so its settings are not "
                    f"believed: run from another folder, or say --config {file} or --config none"
                )
        if stat.S_IMODE(parent.stat().st_mode) & stat.S_IWOTH:
            raise UsageError(
                f"{file} lies in a folder that anyone may write to, so its settings are not "
                f"believed: say --config {file} or --config none"
            )
        return file
    return None


def _table(file: Path) -> dict[str, Any] | None:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_CONFIG + 1)
        if len(data) > _LARGEST_CONFIG:
            raise UsageError(f"{file} is larger than 1 MiB, which no configuration is")
        tool = tomllib.loads(data.decode("utf-8")).get("tool", {})
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    table = tool.get("safe-load") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{file}: tool.safe-load is not a table")
    return table


def _file(file: Path) -> dict[str, Any]:
    values = {}
    for key, value in (_table(file) or {}).items():
        if key not in SETTINGS:
            raise UsageError(
                f"{file}: [tool.safe-load] has no key {key!r}; it knows {', '.join(SETTINGS)}"
            )
        values[key] = _parsed(f"{file}: [tool.safe-load] {key}", SETTINGS[key], value)
    profile = values.get("profile", "")
    if profile.endswith(".toml"):
        # A path in a file is relative to the file, wherever the command is run.
        values["profile"] = os.path.normpath(file.parent / profile)
    return values
