"""Whether a source is one that is known to be malicious, and what that was compared with.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.advisories import store
from safe_load.core.escape import visible
from safe_load.core.outside_words import Advisories
from safe_load.judge.behaviour import finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safe_load.core.report import Finding

#: Days after which the age of the lists is told among the first facts.
OLD = 30


def judge(
    digests: Mapping[str, str | None], *names: str | None
) -> tuple[Advisories, list[Finding]]:
    """What the lists say of a source. digests: path -> SHA-256, None where it was not taken; names: each ORG/NAME that it
    has on a hub, None where it has none."""
    try:
        lists = [each for each in store.imports() if each.kind == "models"]
        if not lists:
            return Advisories("not checked", "no list of known malicious models was imported"), []
        taken = {path: digest for path, digest in digests.items() if digest}
        known = store.models(taken.values(), *filter(None, names))
    except store.Broken as error:
        return Advisories("not checked", str(error)), []
    ages = [each.days for each in lists if each.days is not None]
    expired = [each.name.partition(":")[2] for each in lists if each.expired]
    why = f"expired: {', '.join(map(visible, expired))}" if expired else ""
    if len(taken) < len(digests):
        left = len(digests) - len(taken)
        why = "; ".join(filter(None, (why, f"{left} files without a SHA-256 were not compared")))
    state = Advisories("checked", why, max(ages, default=None), sum(each.entries for each in lists))
    return state, [found for each in known for found in _findings(each, taken)]


def _findings(known: store.Known, taken: Mapping[str, str]) -> list[Finding]:
    more = f" ({visible(known.reference, 200)})" if known.reference else ""
    said = f"is on the list {visible(known.list)!r}: {visible(known.reason)}{more}"
    if known.kind == "repository":
        return [finding("SL708", f"The repository {visible(known.value)} {said}", known.value)]
    return [
        finding("SL708", f"{visible(path)} {said}", path)
        for path, digest in taken.items()
        if digest == known.value
    ]
