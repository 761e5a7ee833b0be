"""What other lists say of a link: known-malicious versions, names like those of popular packages and known publishers.

Zone: controller. Offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.register import known, malicious, popular, publishers
from safe_load.register.rows import Fact, Read, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Lists:
    """The lists of this machine. not_checked: why known-malicious versions were not looked up; "" where they were."""

    def __init__(self) -> None:
        self.not_checked = ""
        try:
            malicious.require()
        except malicious.NotCheckedError as error:
            self.not_checked = str(error)

    def facts(self, reference: Reference) -> Iterator[Fact]:
        """What speaks against a link."""
        if reference.ecosystem in {"hub", "github"} and "/" in reference.name:
            told = publishers.imitated(reference.name.partition("/")[0])
            if told and reference.ecosystem == "hub":
                yield Fact("look-alike", told)
        if reference.ecosystem not in malicious.OSV or reference.kind not in {"library", "tool"}:
            return
        alike = popular.alike(reference.ecosystem, reference.name)
        if alike is not None and self._matters(reference, alike.name):
            yield Fact("look-alike", f"its name is like that of {alike.name} ({alike.kind})")
        if not self.not_checked:
            yield from self._malicious(reference)

    @staticmethod
    def _matters(reference: Reference, alike: str) -> bool:
        """Of libraries that touch no model, a likeness counts where it is to one that does."""
        if publishers.of(reference.kind, reference.ecosystem, reference.name)[1]:
            return False
        touches = known.touches_models(reference.ecosystem, reference.name)
        return reference.kind == "tool" or touches or known.touches_list(reference.ecosystem, alike)

    def locked(self, reads: Sequence[Read]) -> list[Read]:
        """The versions of lock files that are known to be malicious, as references: what a library brings in turn."""
        if self.not_checked:
            return []
        found = []
        for read in reads:
            bad = [
                Reference("library", each.name, each.line, "pinned", each.version, ecosystem)
                for each in read.locked
                for ecosystem in ["npm" if each.key.startswith("npm:") else "pypi"]
                if malicious.known(
                    ecosystem,
                    each.name,
                    each.version if ecosystem == "npm" else f"=={each.version}",
                )
            ]
            found += [Read(read.path, bad)] if bad else []
        return found

    def _malicious(self, reference: Reference) -> Iterator[Fact]:
        wanted = reference.value
        if reference.ecosystem == "pypi" and wanted and reference.state == "pinned":
            wanted = f"=={wanted}"
        for advisory, version in malicious.known(reference.ecosystem, reference.name, wanted):
            takes = (
                ""
                if reference.state == "pinned"
                else f", which {reference.value or 'no range'} takes"
            )
            yield Fact("malicious", f"known malicious: {advisory.ident}, {version}{takes}")
