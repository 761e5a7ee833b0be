"""What is known of one load so far, and the report that it becomes, however the load ends.

Zone: controller. Every stage adds to one `Record`; `Record.kept` is the one place that catches what a
stage raises.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from safe_load.attest import judging
from safe_load.core import report, signed
from safe_load.core.errors import Interrupted, SafeLoadError, UsageError, code_of, sentence, worst
from safe_load.core.outside_words import Advisories
from safe_load.core.report import (
    SEVERITIES,
    Export,
    FileInfo,
    Finding,
    Report,
    SandboxInfo,
    Tensors,
)
from safe_load.core.result import BaseResult
from safe_load.core.version import version
from safe_load.export import manifest
from safe_load.judge import behaviour, exceptions, imports
from safe_load.judge.threshold import counts
from safe_load.loading import in_force
from safe_load.provenance import origin
from safe_load.rooms.named_packages import STAGE
from safe_load.sources import hub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.attest.trust import Signer
    from safe_load.core.card import Card
    from safe_load.core.options import Options
    from safe_load.core.stages import Stages
    from safe_load.core.weights import Weights
    from safe_load.profiles import Profile
    from safe_load.provenance.fingerprints import Model
    from safe_load.rooms.decoys import Decoys
    from safe_load.rooms.results import RoomResults
    from safe_load.sources.inventory import Inventory

_log = logging.getLogger(__name__)
_OUTCOMES: dict[int, report.Outcome] = {
    130: "interrupted",
    5: "limit_hit",
    4: "sandbox_error",
    3: "not_loadable",
    2: "sandbox_error",
}


@dataclass
class Record:
    """What is known of one load so far. source: its name, as the report shows it."""

    source: str
    options: Options
    profile: Profile
    decoys: Decoys
    stages: Stages
    sandbox: SandboxInfo
    advisories: Advisories = field(default_factory=Advisories)
    signature: signed.Signature | None = None
    attestation: signed.Attestation | None = None
    card: Card | None = None
    origin: report.Source | None = None
    """What is known of its publisher and its pin."""
    model: Model | None = None
    """What is compared with weights that were seen before."""
    repository: str | None = None
    """ORG/NAME, as the source's name or its path says."""
    started: float = field(default_factory=time.monotonic)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    files: list[FileInfo] = field(default_factory=list)
    recording: report.Recording = field(default_factory=report.Recording)
    behaviour: behaviour.Behaviour = field(default_factory=lambda: behaviour.behaviour([]))
    resources: report.Resources = field(default_factory=report.Resources)
    findings: list[Finding] = field(default_factory=list)
    tensors: Tensors = field(default_factory=Tensors)
    export: Export | None = None
    weights: Weights | None = None
    notes: list[str] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    seen: bool = False
    """Whether rooms have run."""

    @contextmanager
    def kept(self, *, interrupts: bool = False) -> Iterator[None]:
        """Keep what the block raises among the failures, and go on after it.

        interrupts: also a Ctrl-C; otherwise that ends the load.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the one place: what was seen must not be lost
            if not isinstance(error, SafeLoadError):
                _log.debug("an unexpected failure", exc_info=error)
            self.failures.append(error)
        except KeyboardInterrupt as error:
            if not interrupts:
                raise
            self.failures.append(error)

    def add_rooms(self, rooms: RoomResults, backend: str, runtime: str | None) -> None:
        """Take over what the rooms recorded, and judge what happened in them."""
        self.seen = True
        self.recording = rooms.recording(self.started, self.options.record)
        self.resources = rooms.resources()
        tier = rooms.chief.tier or None
        weaknesses = list(self.profile.weaknesses)
        self.sandbox = SandboxInfo(
            backend, runtime, tier, self.profile.name, rooms.walls(), weaknesses
        )
        self.behaviour = behaviour.behaviour(
            self.recording.events, rooms.heard(self.started), self.decoys
        )
        found = self.behaviour.findings
        if rooms.named.imported is not None:
            alone = rooms.recorded_alone(self.started)
            found, notes = imports.excused(found, self.recording.events, STAGE, *alone)
            self.notes += notes
        self.findings += found + behaviour.record(self.recording.dropped)

    def add_signature(self, inventory: Inventory, signers: Sequence[Signer]) -> None:
        """Judge the signature that lies beside the source. Needs the files, as they were opened."""
        asked = hub.parse(self.source).repo if hub.is_name(self.source) else None
        names = origin.names(asked, self.origin) if asked else ()
        required = self.options.require_signature
        judged = judging.judge(inventory, self.files, signers, names=names, required=required)
        self.signature = judged.signature
        if judged.signature is not None and judged.signature.state == "verified" and self.origin:
            self.origin = msgspec.structs.replace(self.origin, vouched="trust file")
        self.findings += judged.findings
        self.notes += judged.notes

    @property
    def names(self) -> tuple[str, ...]:
        """ORG/NAME as the source's name or its path says, and as the hub calls it."""
        return origin.names(self.repository, self.origin)

    @property
    def rejected(self) -> bool:
        """Whether a finding is at or above the threshold."""
        return bool(self._counting())

    def _counting(self) -> list[Finding]:
        """The findings at or above the threshold that no exception covers, the gravest first."""
        threshold = self.options.fail_on or self.profile.fail_on
        told, _ = exceptions.apply(self.findings, self.files, self.options.exceptions)
        return [
            found
            for found in _gravest_first(told)
            if found.accepted is None and counts(found, threshold)
        ]

    @property
    def may_export(self) -> bool:
        """Whether nothing failed, and nothing speaks against the model that the user does not accept."""
        return not self.failures and (not self.rejected or self.options.export_despite_findings)

    def report(self, export: Export | None = None) -> Report:
        """The report as it stands. A rejection beats every other end but a Ctrl-C, then the worst
        failure speaks, and the first of these. export: what is let out, None unless nothing failed."""
        told, notes = exceptions.apply(self.findings, self.files, self.options.exceptions)
        findings = _gravest_first(told)
        error = worst(self.failures)
        outcome = "ok" if error is None else _OUTCOMES[code_of(error)]
        detail = None if error is None else sentence(error)
        if (counting := self._counting()) and outcome != "interrupted":
            outcome = "rejected"
            detail = f"{counting[0].title}: {counting[0].detail}"
        return Report(
            tool=report.Tool("safe-load", version()),
            source=self.origin or report.Source(self.source),
            signature=self.signature,
            attestation=self.attestation,
            card=self.card,
            started=self.at,
            duration_s=round(time.monotonic() - self.started, 6),
            settings=in_force.settings(self.options, self.profile),
            verdict=report.verdict_of(findings, loaded=error is None),
            outcome=outcome,
            outcome_detail=detail,
            sandbox=self.sandbox,
            files=self.files,
            stages=self.stages.done,
            recording=self.recording,
            egress=self.behaviour.egress,
            processes=self.behaviour.processes,
            decoys=self.behaviour.decoys,
            findings=findings,
            advisories=self.advisories,
            tensors=self.tensors,
            export=None if error is not None else export,
            weights=self.weights,
            resources=self.resources,
            notes=[*notes, *self.notes],
        )

    def finish(self) -> Report:
        """The report at the end. Raises Interrupted, with the report, after a Ctrl-C; UsageError where
        nothing worse happened, with the report if rooms have run."""
        done = self.report(self.export)
        error = worst(self.failures)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(sentence(error), BaseResult(done)) from None
        if isinstance(error, UsageError) and done.outcome != "rejected":
            error.result = BaseResult(done) if self.seen else None
            raise error
        return done

    def manifest(self) -> manifest.Manifest:
        """The manifest of the export, its files still to be listed."""
        return manifest.Manifest(
            tool=report.Tool("safe-load", version()),
            policy=self.profile.name,
            source=self.origin or report.Source(self.source),
            sources=[
                manifest.SourceEntry(file.path, file.size, file.sha256)
                for file in self.files
                if file.sha256
            ],
            files=[],
            created=self.at,
        )


def _gravest_first(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda found: -SEVERITIES.index(found.severity))
