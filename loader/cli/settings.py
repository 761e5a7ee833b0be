"""The command line's settings: flags first, then SAFE_LOAD_* variables, then a configuration file.

Zone: controller. One table says which settings there are, how each is read, and what a file that is
merely found may do with it: what is judged never configures its judge.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load import profiles
from safe_load.cli import config_files, policy, values
from safe_load.core.errors import UsageError
from safe_load.core.fail_on import FAIL_ON
from safe_load.core.options import (
    BACKENDS,
    DEPTHS,
    DTYPES,
    KEEP,
    NAMES,
    QUANTISED,
    RECORDS,
    Options,
    checked,
)
from safe_load.render import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safe_load.cli.config_files import ConfigFile
    from safe_load.cli.policy import PathRule
    from safe_load.core.claims import Claim
    from safe_load.core.exceptions import Accepted
    from safe_load.core.report import Report
    from safe_load.profiles import Profile
    from safe_load.render.progress import Lines

PREFIX = "SAFE_LOAD_"
#: Variables that are no settings of one run: where the configuration is, whether a traceback is
#: shown, where cleared models are kept, and how much room they may take.
OTHER_VARIABLES = (
    "SAFE_LOAD_CONFIG",
    "SAFE_LOAD_DEBUG",
    "SAFE_LOAD_HOME",
    "SAFE_LOAD_CACHE_SIZE",
)

#: Whether a value is at least as strict as the one in force (None: the profile's own).
Tightens = Callable[[Any, Any, "Profile"], bool]


@dataclass(frozen=True)
class Settings:
    """What the command line, the environment and the configuration amount to."""

    options: Options
    format: str
    quiet: bool
    cache: bool
    """Whether the record of an earlier run may answer."""
    color: bool | None
    """None: where there is a terminal that shows it."""
    warnings: tuple[str, ...]
    verbose: bool = False
    """Only the command line says so."""
    findings_url: str = ""
    """Where docs/findings.md can be read, "" for nowhere that is known."""
    lines: Lines | None = None
    """For --progress jsonl."""
    then: Callable[[Report], None] | None = None
    """What to do with the report of a load: --attest."""
    rules: tuple[PathRule, ...] = ()
    on: tuple[str, str | None] | None = None
    """Which fleet judges, and the store of its files: --on, --store."""
    #: What the source is compared with, and what it is said to be of that.
    against: tuple[str, Claim | None] | None = None
    """What holds for some sources only."""


@dataclass(frozen=True)
class Setting:
    """How one setting is read. tightens: whether a file that is merely found may set this value."""

    parse: values.Parser
    tightens: Tightens


@dataclass
class _Chosen:
    """Name -> value and where it was said, as far as it is known."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    exceptions: tuple[Accepted, ...] = ()
    rules: list[PathRule] = field(default_factory=list)

    def set(self, name: str, value: Any, where: str) -> None:
        self.values[name] = value
        self.origins[name] = where


def _never(_value: Any, _held: Any, _profile: Profile) -> bool:
    return False


def _presents(_value: Any, _held: Any, _profile: Profile) -> bool:
    return True


def _turns_on(value: Any, _held: Any, _profile: Profile) -> bool:
    return bool(value)


def _stricter(value: Any, held: Any, profile: Profile) -> bool:
    return FAIL_ON.index(value) <= FAIL_ON.index(held or profile.fail_on)


def _lower(limit: str) -> Tightens:
    return lambda value, held, profile: bool(value <= (held or getattr(profile.limits, limit)))


def _fewer(value: Any, held: Any, _profile: Profile) -> bool:
    return not held or set(value) <= set(held)


def _shipped_and_stronger(value: Any, _held: Any, profile: Profile) -> bool:
    """A file beside what is judged is not a profile; a shipped one that lacks nothing may be named."""
    return value in profiles.names() and not profiles.weaknesses(profiles.load(value), profile)


#: Every setting, named as its flag. What only the command line may say is not among them: a report's
#: file, and --export-despite-findings and --unsafe-profile, which nobody should inherit unseen.
SETTINGS: dict[str, Setting] = {
    "profile": Setting(values.text, _shipped_and_stronger),
    "backend": Setting(values.choice(*BACKENDS), _never),
    "runtime": Setting(values.text, _never),
    "image": Setting(values.text, _never),
    "depth": Setting(values.choice(*DEPTHS), _never),
    "fail-on": Setting(values.choice(*FAIL_ON), _stricter),
    "record": Setting(values.choice(*RECORDS), _never),
    "timeout": Setting(values.seconds, _lower("timeout")),
    "memory": Setting(values.size, _lower("memory")),
    "trust": Setting(values.text, _never),
    "require-signature": Setting(values.flag, _turns_on),
    "require-attestation": Setting(values.text, _never),
    "hash": Setting(values.flag, _turns_on),
    "base": Setting(values.text, _never),
    "dtype": Setting(values.choice(*DTYPES), _never),
    "max-shard-size": Setting(values.shard_size, _never),
    "hash-export": Setting(values.flag, _turns_on),
    "all-files": Setting(values.flag, _turns_on),
    "weights-of": Setting(values.text, _never),
    "names": Setting(values.choice(*NAMES), _never),
    "keep": Setting(values.choice(*KEEP), _never),
    "quantised": Setting(values.choice(*QUANTISED), _never),
    "require-pin": Setting(values.flag, _turns_on),
    "require-publisher": Setting(values.names, _fewer),
    "publishers": Setting(values.names, _never),
    "histograms": Setting(values.flag, _turns_on),
    "format": Setting(values.choice(*FORMATS), _presents),
    "findings-url": Setting(values.address, _never),
    "no-cache": Setting(values.flag, _turns_on),
    "quiet": Setting(values.flag, _presents),
    "no-color": Setting(values.flag, _presents),
}
#: What the load itself knows nothing of.
_PRESENTATION = frozenset({"format", "findings-url", "no-cache", "quiet", "no-color"})


def resolve(
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    folder: Path,
    sources: Sequence[str] = (),
    config: str | None = None,
    export_despite_findings: bool = False,
    unsafe_profile: bool = False,
    trace: Path | None = None,
) -> Settings:
    """What holds for one run. Raises UsageError, naming the flag, key or variable that is wrong.

    flags: by setting name, None where not given. folder: where the search for a file begins. sources:
    what the run will judge. config: the only file to read, "none" for no file at all. trace: where
    --record full writes to.
    """
    warnings: list[str] = []
    files = config_files.read(config or environ.get("SAFE_LOAD_CONFIG"), environ, folder, sources)
    tables = [(file, _keys(file)) for file in files]
    chosen = _Chosen()
    for file, table in tables:
        if file.doubted is None:
            for name, value in table.items():
                chosen.set(name, value, str(file.path))
            chosen.exceptions += policy.exceptions(file)
            warnings += [
                f"{each.origin}: the exception for {each.finding} of {each.sha256[:12]}... ended on "
                f"{each.until}; look at the file again, or remove it"
                for each in policy.exceptions(file)
                if not each.holds
            ]
    said = _Chosen()
    _add_environment(said, environ, warnings)
    for name, value in flags.items():
        if value is not None:
            flag = "--no-hash" if name == "hash" else f"--{name}"
            said.set(name, _parsed(flag, name, value), flag)
    chosen.values |= said.values
    chosen.origins |= said.origins
    for file, table in tables:
        if file.doubted is not None:
            left = {name: value for name, value in table.items() if name not in said.values}
            warnings += _tightened(chosen, file, left, unsafe_profile)
            if policy.exceptions(file):
                warnings.append(
                    f"{file.path}: the exceptions are ignored: {file.doubted}; if you trust it, use --config {file.path}"
                )
    for file, _ in tables:
        warnings += _add_rules(chosen, file, said, unsafe_profile)
    return _settings(chosen, environ, warnings, export_despite_findings, unsafe_profile, trace)


def _settings(
    chosen: _Chosen,
    environ: Mapping[str, str],
    warnings: list[str],
    export_despite_findings: bool,
    unsafe_profile: bool,
    trace: Path | None,
) -> Settings:
    values = chosen.values
    options = {
        name.replace("-", "_"): value for name, value in values.items() if name not in _PRESENTATION
    }
    if options.get("record") == "full":
        options["trace"] = trace
    origins = {name.replace("-", "_"): where for name, where in chosen.origins.items()}
    if export_despite_findings:
        options["export_despite_findings"] = True
        origins["export_despite_findings"] = "--export-despite-findings"
    if unsafe_profile:
        options["unsafe_profile"], origins["unsafe_profile"] = True, "--unsafe-profile"
    if chosen.exceptions:
        options["exceptions"] = chosen.exceptions
    no_color = values.get("no-color", bool(environ.get("NO_COLOR")))
    return Settings(
        options=Options(**options).set_at(origins),
        format=values.get("format", "human"),
        quiet=values.get("quiet", False),
        cache=not values.get("no-cache", False),
        findings_url=values.get("findings-url", ""),
        color=False if no_color else None,
        warnings=tuple(warnings),
        rules=tuple(chosen.rules),
    )


def _add_rules(chosen: _Chosen, file: ConfigFile, said: _Chosen, unsafe_profile: bool) -> list[str]:
    """Take a file's settings by path. What a flag or a variable says holds for all paths; of a file that is
    not believed, what does not tighten is left out with a warning."""
    warnings = []
    stated = policy.path_rules(file)
    if not stated:
        return []
    profile = profiles.load(chosen.values.get("profile", "strict"), unsafe=unsafe_profile)
    for where, match, table in stated:
        values = {}
        for key, raw in table.items():
            value = _parsed(f"{where}: {key}", key, raw)
            tightens = SETTINGS[key].tightens(value, chosen.values.get(key), profile)
            if file.doubted is not None and not tightens:
                warnings.append(
                    f"{where}: {key} = {raw!r} is ignored: {file.doubted}, so it may only tighten"
                )
            elif key not in said.values:
                values[key] = value
        if values:
            chosen.rules.append(policy.PathRule(match, values, str(file.path)))
    return warnings


def _tightened(
    chosen: _Chosen, file: ConfigFile, table: Mapping[str, Any], unsafe_profile: bool
) -> list[str]:
    """Take from a file that is not believed what tightens; a warning for each key that does not."""
    warnings = []
    # A profile comes first: what the others are compared with is the one that holds then.
    for name, value in sorted(table.items(), key=lambda item: item[0] != "profile"):
        profile = profiles.load(chosen.values.get("profile", "strict"), unsafe=unsafe_profile)
        held = chosen.values.get(name)
        if SETTINGS[name].tightens(value, held, profile):
            chosen.set(name, value, str(file.path))
        else:
            warnings.append(
                f"{file.path}: {name} = {file.table[name]!r} is ignored: {file.doubted}, so this "
                f"file may only tighten the settings; if you trust it, use --config {file.path}"
            )
    return warnings


def _parsed(where: str, name: str, value: object) -> Any:
    try:
        read = SETTINGS[name].parse(value)
        return read if name in _PRESENTATION else checked(name.replace("-", "_"), read)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _add_environment(said: _Chosen, environ: Mapping[str, str], warnings: list[str]) -> None:
    known = {PREFIX + name.replace("-", "_").upper(): name for name in SETTINGS}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if (name := known.get(variable)) is None:
            warnings.append(f"the variable {variable} is unknown to safe-load and was ignored")
        elif environ[variable]:
            said.set(name, _parsed(variable, name, environ[variable]), variable)


def _keys(file: ConfigFile) -> dict[str, Any]:
    """The settings of a file. Raises UsageError for a key that there is not, and for a wrong value."""
    values = {}
    for key, value in file.table.items():
        if key in policy.TABLES:
            continue
        if key not in SETTINGS:
            known = ", ".join((*SETTINGS, *policy.TABLES))
            raise UsageError(f"{file.path} has the unknown key {key!r}; the keys are {known}")
        values[key] = _parsed(f"{file.path}: {key}", key, value)
    # A path in a file is relative to the file, wherever the command is run.
    if values.get("profile", "").endswith(".toml"):
        values["profile"] = os.path.normpath(file.path.parent / values["profile"])
    for name in values.keys() & {"trust", "require-attestation"}:
        values[name] = Path(os.path.normpath(file.path.parent / values[name]))
    return values
