"""What is known of malicious packages: the advisories that were imported here.

Zone: controller. Without an import, known-malicious versions are "not checked", and never "none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.advisories import store, versions

if TYPE_CHECKING:
    from safe_load.advisories.osv import Advisory

OSV = {"pypi": "PyPI", "npm": "npm"}


class NotCheckedError(Exception):
    """Nobody can say whether a version is known to be malicious. The text is a clause that says why."""


def require() -> None:
    """Raise NotCheckedError where no advisories on packages were imported, or they do not read."""
    try:
        imported = any(each.kind == "osv" for each in store.imports())
    except store.Broken as error:
        raise NotCheckedError(str(error)) from None
    if not imported:
        raise NotCheckedError("no advisories were imported")


def known(ecosystem: str, name: str, wanted: str | None) -> list[tuple[Advisory, str]]:
    """The advisories on malicious packages that a range falls under, each with a version that it takes.

    Raises NotCheckedError."""
    try:
        held = store.packages(OSV[ecosystem], name)
    except store.Broken as error:
        raise NotCheckedError(str(error)) from None
    found = []
    for advisory in held:
        if not advisory.malicious or advisory.withdrawn:
            continue
        if advisory.every:
            found.append((advisory, "any version"))
            continue
        version = versions.takes_one(ecosystem, wanted, advisory.versions, advisory.ranges)
        if version is not None:
            found.append((advisory, version))
    return found
