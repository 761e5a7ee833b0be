"""What a run would go by in this folder, each value with its origin; and the schema of what may say so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text
from safe_load import profiles
from safe_load.cli import policy_schema, settings, terminal
from safe_load.cli.show import Page, flat
from safe_load.core.escape import visible
from safe_load.loading import in_force
from safe_load.render.json import dump


def show(config: str | None, *, as_json: bool, color: bool | None) -> int:
    """Every setting and limit that a scan here would go by. config: as the flag. Returns 0. Raises UsageError."""
    from safe_load.rooms import choice  # noqa: PLC0415 - the backends

    resolved = settings.resolve({}, environ=os.environ, folder=Path.cwd(), config=config)
    for warning in resolved.warnings:
        terminal.warn(warning)
    profile = choice.profile_of(resolved.options)
    values = [
        {"name": each.name, "value": each.value, "from": each.origin}
        for each in in_force.settings(resolved.options, profile)
    ]
    said = {str(each["name"]): str(each["from"]) for each in values}
    values += _of_profile(profile, resolved.options.profile, said)
    by_path: list[dict[str, Any]] = [
        {"match": rule.match, "values": dict(rule.values), "from": rule.origin}
        for rule in resolved.rules
    ]
    excepted: list[dict[str, Any]] = [
        {
            "finding": each.finding,
            "sha256": each.sha256,
            "reason": each.reason,
            "until": each.until.isoformat(),
            "holds": each.holds,
            "from": each.origin,
        }
        for each in resolved.options.exceptions
    ]
    if as_json:
        terminal.write(dump({"values": values, "paths": by_path, "exceptions": excepted}))
        return 0
    page = Page(color)
    page.table([_row(each["name"], each["value"], each["from"]) for each in values])
    if by_path:
        page.line("By path", "bold", gap=True)
        page.table(
            [
                _row(
                    rule["match"],
                    ", ".join(f"{k} {v}" for k, v in rule["values"].items()),
                    rule["from"],
                )
                for rule in by_path
            ]
        )
    if excepted:
        page.line("Exceptions", "bold", gap=True)
        for each in excepted:
            ends = f"until {each['until']}" if each["holds"] else f"ended on {each['until']}"
            what = f"{each['sha256'][:12]}... {ends}: {each['reason']}"
            page.table([_row(each["finding"], what, each["from"])])
    terminal.write(page.data())
    return 0


def schema() -> int:
    """The JSON Schema of a configuration file. Returns 0."""
    terminal.write(policy_schema.text())
    return 0


def _of_profile(
    profile: profiles.Profile, named: str, said: dict[str, str]
) -> list[dict[str, Any]]:
    """The values that are the profile's. named: as the settings name it; said: the origins of settings."""
    own = profiles.own_keys(named)
    shown = msgspec.to_builtins(profile)
    rows = []
    for key, value in flat(shown):
        last = key.rpartition(".")[2].replace("_", "-")
        if key in ("name", "description", "weaknesses", "fail_on") or not value:
            continue
        where = f"profile {profile.name}"
        if key.startswith("limits.") and not said.get(last, "profile").startswith("profile"):
            where = said[last]
        elif own is not None and not any(key == each or key.startswith(f"{each}.") for each in own):
            where = f"the profile that {profile.name} extends"
        rows.append({"name": key, "value": value, "from": where})
    return rows


def _row(name: object, value: object, origin: object) -> tuple[Text | str, ...]:
    return Text(visible(str(name)), "cyan"), str(value), Text(visible(str(origin)), "dim")
