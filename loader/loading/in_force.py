"""The settings that one load went by, and where each came from, for its report. Zone: controller."""

from __future__ import annotations

import os
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from safe_load.core.report import Setting

if TYPE_CHECKING:
    from safe_load.core.options import Options
    from safe_load.profiles import Profile


def settings(options: Options, profile: Profile) -> list[Setting]:
    """Each setting that has a value, by the name of its flag. profile: with the limits in force."""
    held = {
        "fail_on": profile.fail_on,
        "timeout": profile.limits.timeout,
        "memory": profile.limits.memory,
    }
    found = []
    for option in fields(options):
        value = getattr(options, option.name)
        if option.name in ("origins", "exceptions"):
            continue
        origin = options.origins.get(option.name)
        if origin is None:
            default = None if option.default is MISSING else option.default
            origin = "default" if value == default else "argument"
        if value is None and option.name in held:
            value, origin = held[option.name], f"profile {profile.name}"
        if value is not None and value != ():
            found.append(Setting(option.name.replace("_", "-"), _plain(value), origin))
    origins = {each.origin: 0 for each in options.exceptions}
    for each in options.exceptions:
        origins[each.origin] += 1
    found += [Setting("exceptions", count, origin) for origin, count in origins.items()]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value
