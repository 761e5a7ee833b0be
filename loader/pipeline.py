"""One load, from start to finish: inventory, extract, detonate, compare, export, report.

Zone: controller. `_open` is that path; every stage that it names is a module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load import (
    clearing,
    describing,
    hub,
    inventory,
    judge,
    judge_files,
    manifest,
    report,
    rooms,
    trace,
)
from safe_load.compare import compare
from safe_load.decoys import Decoys, plant
from safe_load.errors import LimitHit, NotLoadable, SafeLoadError, SandboxError
from safe_load.export import Staging
from safe_load.options import Options, Progress
from safe_load.report import (
    SEVERITIES,
    Export,
    FileInfo,
    Finding,
    Report,
    SandboxInfo,
    Stage,
    Tensors,
)
from safe_load.version import version

if TYPE_CHECKING:
    from safe_load.compare import Difference
    from safe_load.inside import Detonated, Extracted
    from safe_load.inventory import Inventory
    from safe_load.opened import Opened
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend

Watcher = Callable[[Progress], None]


def scan(
    source: str | hub.Snapshot,
    options: Options | None = None,
    progress: Watcher | None = None,
    *,
    backend: Backend | None = None,
) -> Report:
    """Open `source` in a room, watch it, and tell; export nothing.

    source: a path, hf://ORG/NAME@REVISION, or what hub.fetch gave. backend: made for the same
    options' profile; a new one when None. What a model does never raises: it is the report's
    outcome. Raises UsageError for wrong options.
    """
    return _run(source, None, options or Options(), progress, backend)


def load(
    source: str | hub.Snapshot,
    target: str | Path,
    options: Options | None = None,
    progress: Watcher | None = None,
    *,
    backend: Backend | None = None,
) -> Report:
    """As `scan`, and then put a cleared copy in `target`: complete, or not at all.

    Raises UsageError for wrong options and for a target that is taken.
    """
    return _run(source, Path(target), options or Options(), progress, backend)


def _open(case: _Case, target: Path | None) -> None:
    """The path of one load. Raises a SafeLoadError where it ends early; the report tells the rest."""
    backend = case.backend or rooms.backend_of(case.options, case.profile)
    stock = _inventory(case)
    with (
        nullcontext() if case.backend else closing(backend),
        _staging(target, stock) as staging,
        trace.opened(case.source, case.options) as line,
        clearing.begun(stock) as configuration,
    ):
        opened = rooms.open_model(
            backend, stock, staging, case.decoys, case.options, case.stage, case.tell, line
        )
        case.saw(opened, backend.name, backend.runtime)
        try:
            extracted, detonated = opened.results()
            with case.stage("compare"):
                differences = compare(extracted, detonated)
            cleared = _judge(case, stock, opened, extracted, detonated, differences, configuration)
        finally:
            if case.findings:
                backend.distrust()
        if staging is not None and case.may_export:
            with case.stage("export"):
                case.export = clearing.publish(
                    staging, stock, extracted, cleared, case.report_with, case.manifest_of
                )


def _inventory(case: _Case) -> Inventory:
    """The files of the source; those of one on a hub once they are here and checked."""
    snapshot = case.snapshot
    if snapshot is None and hub.is_name(case.source):
        with case.stage("fetch"):
            snapshot = hub.fetch(
                hub.parse(case.source),
                variant=case.options.variant,
                use_safetensors=case.options.use_safetensors,
                every=case.options.all_files,
                progress=lambda done, total: case.tell(Progress("fetch", "progress", done, total)),
            )
    with case.stage("inventory"):
        if snapshot is None:
            return inventory.take(case.source, options=case.options)
        case.revision = snapshot.commit
        case.notes += snapshot.notes
        case.findings += judge_files.provenance(snapshot)
        return inventory.take(case.source, snapshot.path, snapshot.files, case.options)


def _judge(
    case: _Case,
    stock: Inventory,
    opened: Opened,
    extracted: Extracted,
    detonated: Detonated,
    differences: list[Difference],
    configuration: Callable[[dict[str, dict[str, bytes]]], clearing.Configuration],
) -> clearing.Configuration:
    """All that speaks for or against the model, into the case; the configuration that may be let
    out. Raises what makes it not loadable, after all that was found is in the case."""
    case.files = describing.files(stock, extracted, opened.digests)
    case.tensors = clearing.count(stock, extracted)
    case.findings = judge_files.joined(case.findings, extracted)
    case.findings += judge_files.content(extracted) + judge_files.integrity(differences)
    if opened.detonation.status == "ok":
        accounted = [file.name for file in detonated.files]
        case.findings += judge.account([entry.path for entry in stock.loaded], accounted)
    cleared = configuration(opened.conversion.tokenizers)
    case.findings += judge_files.folder(stock, cleared.asks)
    case.notes += [
        *stock.notes,
        *opened.conversion.notes,
        *cleared.notes,
        *describing.notes(extracted, detonated),
    ]
    describing.require_loadable(stock, opened, extracted)
    return cleared


def _staging(target: Path | None, stock: Inventory) -> Staging | nullcontext[None]:
    if target is None:
        return nullcontext()
    return Staging.create(target, expected=sum(entry.size for entry in stock.weights))


@dataclass
class _Case:
    """What is known of one load so far; becomes its report, however it ends."""

    source: str
    options: Options
    profile: Profile
    watcher: Watcher | None
    sandbox: SandboxInfo
    decoys: Decoys
    backend: Backend | None
    snapshot: hub.Snapshot | None = None
    revision: str | None = None
    started: float = field(default_factory=time.monotonic)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    stages: list[Stage] = field(default_factory=list)
    files: list[FileInfo] = field(default_factory=list)
    recording: report.Recording = field(default_factory=report.Recording)
    behaviour: judge.Behaviour = field(default_factory=lambda: judge.behaviour([]))
    resources: report.Resources = field(default_factory=report.Resources)
    findings: list[Finding] = field(default_factory=list)
    tensors: Tensors = field(default_factory=Tensors)
    export: Export | None = None
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage, and tell whoever watches."""
        began = time.monotonic()
        self.tell(Progress(name, "start"))  # type: ignore[arg-type]
        try:
            yield
        finally:
            self.stages.append(Stage(name, round(time.monotonic() - began, 6)))
            self.tell(Progress(name, "end"))  # type: ignore[arg-type]

    def tell(self, progress: Progress) -> None:
        if self.watcher is not None:
            self.watcher(progress)

    def saw(self, opened: Opened, backend: str, runtime: str | None) -> None:
        """Take over what was recorded, before anything else can go wrong."""
        self.recording = opened.recording(self.started, self.options.record)
        self.behaviour = judge.behaviour(
            self.recording.events, opened.heard(self.started), self.decoys
        )
        self.findings += self.behaviour.findings + judge.record(self.recording.dropped)
        self.resources = opened.resources()
        tier = opened.detonation.tier
        self.sandbox = SandboxInfo(backend, runtime, tier, self.profile.name, opened.walls())

    @property
    def rejected(self) -> bool:
        """Whether a finding is at or above the threshold."""
        threshold = self.options.fail_on or self.profile.fail_on
        return threshold != "never" and any(
            SEVERITIES.index(found.severity) >= SEVERITIES.index(threshold)
            for found in self.findings
        )

    @property
    def may_export(self) -> bool:
        return not self.rejected or self.options.export_despite_findings

    def report_with(self, export: Export | None, error: SafeLoadError | None = None) -> Report:
        """The report as it stands. The first cause is the outcome; a rejection beats every other
        end, since what was seen was seen."""
        findings = sorted(self.findings, key=lambda found: -SEVERITIES.index(found.severity))
        outcome: report.Outcome = "ok"
        detail = str(error) if error else None
        if self.rejected:
            outcome = "rejected"
            detail = f"{findings[0].title}: {findings[0].detail}"
        elif error is not None:
            outcome = _OUTCOMES[type(error)]
        return Report(
            tool=report.Tool("safe-load", version()),
            source=report.Source(self.source, self.revision),
            started=self.at,
            duration_s=round(time.monotonic() - self.started, 6),
            verdict=report.verdict_of(findings, loaded=error is None),
            outcome=outcome,
            outcome_detail=detail,
            sandbox=self.sandbox,
            files=self.files,
            stages=self.stages,
            recording=self.recording,
            egress=self.behaviour.egress,
            processes=self.behaviour.processes,
            findings=findings,
            tensors=self.tensors,
            export=export,
            resources=self.resources,
            notes=self.notes,
        )

    def manifest_of(self, entries: list[manifest.FileEntry]) -> bytes:
        """The manifest of the exported files."""
        return manifest.encode(
            manifest.Manifest(
                tool=report.Tool("safe-load", version()),
                policy=self.profile.name,
                source=report.Source(self.source, self.revision),
                sources=[
                    manifest.FileEntry(file.path, file.size, file.sha256)
                    for file in self.files
                    if file.sha256
                ],
                files=entries,
                created=self.at,
            )
        )


def _run(
    source: str | hub.Snapshot,
    target: Path | None,
    options: Options,
    watcher: Watcher | None,
    backend: Backend | None,
) -> Report:
    profile = rooms.profile_of(options)
    sandbox = SandboxInfo("native", None, None, profile.name)
    snapshot = source if isinstance(source, hub.Snapshot) else None
    shown = str(snapshot.name) if snapshot else str(source)
    decoys = plant(profile.decoys)
    case = _Case(shown, options, profile, watcher, sandbox, decoys, backend, snapshot)
    try:
        _open(case, target)
    except (NotLoadable, SandboxError, LimitHit) as error:
        return case.report_with(None, error)
    return case.report_with(case.export)


_OUTCOMES: dict[type[SafeLoadError], report.Outcome] = {
    NotLoadable: "not_loadable",
    SandboxError: "sandbox_error",
    LimitHit: "limit_hit",
}
