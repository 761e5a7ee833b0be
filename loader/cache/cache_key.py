"""What a clearance is worth: the bytes it was given for, and the policy that gave it.

Zone: controller. Two loads with the same key would say the same; anything that could change what a
load lets out is part of it, so no old cleared copy outlives a change of policy.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.attest import files_beside, trust
from safe_load.core.version import version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safe_load.cache.source_index import SourceIndex
    from safe_load.core.options import Options
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sources.inventory import Inventory

_FORMAT = 1
_CODE = (".py", ".json", ".toml")
#: What the effective profile holds already; what only decides what is told of a load; what only
#: decides which files there are, or whether there is a load. Any other option is part of the key.
_DECIDE_NOTHING = frozenset(
    "profile unsafe_profile origins timeout memory hash record trace export_despite_findings "
    "weights_optional all_files trust require_attestation".split()
)
_PACKAGE = Path(__file__).parent.parent


def policy(options: Options, backend: Backend, index: SourceIndex) -> dict[str, Any]:
    """All that decides what a load lets out, besides the source: our own code and tables, what the
    room is furnished with, the profile's effective values, and the options; and the day, where a certificate may end.
    Raises BackendError."""
    profile = backend.profile
    borrowed = _installed() if backend.uses_host_packages else []
    return {
        "format": _FORMAT,
        "day": datetime.now(UTC).date().isoformat() if options.trust else None,
        "safe_load": [version(), _code(index)],
        "python": sys.version,
        "room": [backend.packages_id(), *borrowed],
        "profile": msgspec.to_builtins(profile),
        "options": {
            option.name: getattr(options, option.name)
            for option in fields(options)
            if option.name not in _DECIDE_NOTHING
        }
        | {
            "fail_on": options.fail_on or profile.fail_on,
            "trust": trust.state(options.trust) if options.trust else None,
            "attester": trust.content(options.require_attestation),
            "exceptions": [each for each in options.exceptions if each.holds],
        },
    }


def key(inventory: Inventory, digests: Mapping[Path, str], policy: Mapping[str, Any]) -> str:
    """The name of this clearance: SHA-256, in hex, of the policy and of each file's name, part, size
    and content."""
    files = [
        (entry.path, entry.role, entry.export, entry.size, digests[entry.place])
        for entry in inventory.entries
    ]
    stated = {
        "policy": policy,
        "folder": inventory.folder,
        "files": files,
        "signature": files_beside.digest(inventory),
    }
    return hashlib.sha256(msgspec.json.encode(stated, order="sorted")).hexdigest()


@cache
def _code(index: SourceIndex) -> str:
    """A digest of this package's own files: what a version number says only of a release. Taken once:
    this process goes on with what it has loaded."""
    files = [
        Path(folder, name)
        for folder, _, names in os.walk(_PACKAGE)
        for name in names
        if name.endswith(_CODE)
    ]
    places = {file: file.resolve() if file.is_symlink() else file for file in files}
    known = index.digests(str(_PACKAGE), set(places.values()))
    lines = sorted(
        f"{file.relative_to(_PACKAGE)} {known[place][1]}" for file, place in places.items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _installed() -> list[str]:
    """name-version of each installed distribution: a room shows whichever a pickle names."""
    places = []
    for place in sys.path:
        with suppress(OSError):  # what installs or removes a distribution changes its folder's time
            places.append((place, os.stat(place).st_mtime_ns))  # noqa: PTH116
    return _listed(tuple(places))


@lru_cache(maxsize=8)
def _listed(places: tuple[tuple[str, int], ...]) -> list[str]:
    """As the folders of metadata are called: asking importlib.metadata would read every one of them."""
    found: dict[str, str] = {}
    for place, _ in places:
        try:
            entries = os.listdir(place)  # noqa: PTH208 (hundreds of names, no paths needed)
        except OSError:
            continue
        for entry in entries:
            stem, _, kind = entry.rpartition(".")
            name, _, number = stem.partition("-")
            if kind in ("dist-info", "egg-info"):
                found.setdefault(_normal(name), number)
    return sorted(f"{name}-{number}" for name, number in found.items())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
