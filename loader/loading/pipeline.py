"""One load, from start to finish: inventory, extract, detonate, compare, rewrite, judge, export, report.

Zone: controller. `_open` is that path; every stage that it names is a module. What each stage gives
goes forward to the next; what is known so far is in one `Record`, which becomes the report.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.advisories import judge as advisories
from safe_load.attest import judging
from safe_load.core.escape import visible
from safe_load.core.interrupts import held_back
from safe_load.core.options import Options, Progress
from safe_load.core.report import Export, Report, SandboxInfo
from safe_load.core.stages import Stages
from safe_load.export import publish, reader, shaping
from safe_load.export.extracted import Extracted
from safe_load.export.staging import Staging
from safe_load.judge import coverage, files
from safe_load.judge.compare import compare
from safe_load.loading import attestation, seen
from safe_load.loading.record import Record
from safe_load.provenance import origin
from safe_load.rewrite import base_model
from safe_load.rooms import choice, opening, trace
from safe_load.rooms.decoys import plant
from safe_load.rooms.worker_results import Detonated
from safe_load.sources import hub
from safe_load.sources.inventory import take
from safe_load.sources.tree import Part
from safe_load.worker.key_links import mask

if TYPE_CHECKING:
    from safe_load.core.report import Finding
    from safe_load.core.weights import Weights
    from safe_load.rewrite.results import Configuration
    from safe_load.rooms.results import RoomResults
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sources.inventory import Inventory

Watcher = Callable[[Progress], None]


@dataclass(frozen=True)
class Known:
    """What was found out about a source before it is opened. weights: how they differ from a base;
    require_unchanged: raises NotLoadable where its files are no longer what that was found out of."""

    weights: Weights
    findings: list[Finding]
    notes: list[str]
    require_unchanged: Callable[[], None]


@dataclass(frozen=True)
class Request:
    """What is to be opened. target: where the cleared copy goes, None for a scan; backend: what opens
    it, None for one of its own; known: what is known of it already."""

    source: str | hub.Snapshot | Part
    target: Path | None
    options: Options
    backend: Backend | None
    known: Known | None = None

    @property
    def name(self) -> str:
        """The source as the report shows it."""
        return self.source if isinstance(self.source, str) else str(self.source.name)


def scan(
    source: str | hub.Snapshot | Part,
    options: Options | None = None,
    progress: Watcher | None = None,
    *,
    backend: Backend | None = None,
    known: Known | None = None,
) -> Report:
    """Open `source` in a room, watch it, and report; export nothing.

    source: a path, hf://ORG/NAME@REVISION, what hub.fetch gave, or a part of a tree. backend: made for the same
    options' profile; a new one when None. Whatever the model does, and whatever fails, is the report's
    outcome. Raises UsageError for wrong options, and Interrupted, with the report, for a Ctrl-C.
    """
    return _run(Request(source, None, options or Options(), backend, known), progress)


def load(
    source: str | hub.Snapshot,
    target: str | Path,
    options: Options | None = None,
    progress: Watcher | None = None,
    *,
    backend: Backend | None = None,
    known: Known | None = None,
) -> Report:
    """As `scan`, and then put a cleared copy in `target`: complete, or not at all.

    Raises UsageError for wrong options and for a target that is taken.
    """
    return _run(Request(source, Path(target), options or Options(), backend, known), progress)


def _run(request: Request, progress: Watcher | None) -> Report:
    """The report of one load, however it ends."""
    profile = choice.profile_of(request.options)
    record = Record(
        source=visible(mask(request.name)),
        options=request.options,
        profile=profile,
        decoys=plant(profile.decoys),
        stages=Stages(progress),
        sandbox=SandboxInfo(
            "native", None, None, profile.name, weaknesses=list(profile.weaknesses)
        ),
    )
    if request.known is not None:
        record.weights = request.known.weights
        record.findings += request.known.findings
        record.notes += request.known.notes
    with record.kept(interrupts=True):
        _open(request, record)
    report = record.finish()
    seen.keep(record, report)
    return report


def _open(request: Request, record: Record) -> None:
    """The path of one load. What a stage raises once the rooms have run is kept in the record, and the
    stages after it still say what they find; nothing is exported then."""
    options, stages = request.options, record.stages
    signers, attester = judging.signers_of(options), attestation.signer_of(options)
    backend = request.backend or choice.backend_of(options, record.profile)
    with nullcontext() if request.backend else closing(backend):
        inventory = _inventory(request, record)
        exporting = request.target is not None
        if attestation.settles(record, inventory, signers, attester, exporting=exporting):
            return
        with ExitStack() as ending:
            with held_back():  # a Ctrl-C between making and entering would leave a folder
                staging = ending.enter_context(_staging(request, inventory))
            line = ending.enter_context(trace.opened(record.source, options))
            rooms = opening.open_model(
                backend, inventory, staging, record.decoys, options, stages, line
            )
            extracted, detonated = Extracted([]), Detonated([])
            rewritten = rooms.rewriting.configuration
            record.card = rewritten.card
            try:
                with record.kept():
                    record.add_rooms(rooms, backend.name, backend.runtime)
                rooms.require_uninterrupted()
                with record.kept():
                    extracted = rooms.extracted()
                    _judge_content(record, inventory, rooms, extracted)
                with record.kept():
                    record.add_signature(inventory, signers)
                with record.kept():
                    detonated = rooms.detonated()
                with record.kept(), stages.timed("compare"):
                    _judge_loading(record, inventory, rooms, extracted, detonated)
                with record.kept():
                    record.notes += _notes(inventory, rooms, extracted, detonated)
                    told = files.folder(inventory, rewritten, exporting=exporting)
                    record.findings = [*files.said_better(record.findings, told), *told]
                with record.kept():
                    rooms.rewriting.require_read()
                with record.kept():
                    coverage.require_loadable(inventory, rooms, extracted)
                with record.kept():
                    if request.known is not None:
                        request.known.require_unchanged()
            finally:
                if record.findings:
                    backend.discard_warm()
            if staging is not None and record.may_export:
                with stages.timed("export"):
                    written = publish.checked(staging, inventory, extracted)
                    written, notes = publish.apart(staging, inventory, extracted, written)
                    record.notes += notes
                    written, rewritten = _as_asked(options, record, staging, written, rewritten)
                    kind = reader.of(rewritten.files, written)
                    report = record.report(Export(str(staging.target), reader=kind))
                    record.export = publish.publish(
                        staging, written, rewritten, report, record.manifest()
                    )


def _as_asked(
    options: Options,
    record: Record,
    staging: Staging,
    written: list[publish.Written],
    rewritten: Configuration,
) -> tuple[list[publish.Written], Configuration]:
    """Weights and configuration in the form that the user's options name."""
    configs = base_model.name_it(rewritten.files, options.base)
    if options.dtype is not None or options.max_shard_size is not None:
        written, notes = shaping.shape(staging, written, options.dtype, options.max_shard_size)
        record.notes += notes
        record.tensors = publish.as_written(record.tensors, written)
    if options.dtype is not None:
        for name in configs:
            if name.rpartition("/")[2] == "config.json":
                configs[name] = shaping.name_in(configs[name], options.dtype)
    return written, replace(rewritten, files=configs)


def _inventory(request: Request, record: Record) -> Inventory:
    """The files of the source; those of one on a hub once they are here and checked."""
    source, options, stages = request.source, request.options, record.stages
    if isinstance(source, str) and hub.is_name(source):
        with stages.timed("fetch"):
            source = hub.fetch(
                hub.parse(source),
                variant=options.variant,
                use_safetensors=options.use_safetensors,
                every=options.all_files,
                progress=lambda done, total: stages.tell(
                    Progress("fetch", "progress", done, total)
                ),
            )
    with stages.timed("inventory"):
        snapshot = source if isinstance(source, hub.Snapshot) else None
        known = origin.of(record.source, snapshot, options)
        record.origin, record.repository = known.source, known.repository
        record.findings += known.findings
        record.notes += known.notes
        if isinstance(source, str):
            return take(source, options=options, every=request.target is None)
        if isinstance(source, Part):
            return take(source.name, only=source.only, options=options, every=True)
        record.notes += source.notes
        record.findings += files.provenance(source)
        every = request.target is None
        return take(record.source, source.path, source.files, options, every=every)


def _judge_content(
    record: Record, inventory: Inventory, rooms: RoomResults, extracted: Extracted
) -> None:
    """What the bytes of the files say, and which of them what happened came from."""
    record.files = coverage.files(inventory, extracted, rooms.digests)
    digests = {file.path: file.sha256 for file in record.files}
    record.advisories, known = advisories.judge(digests, *record.names)
    record.findings += known
    seen.judge(record, inventory, extracted)
    record.tensors = publish.count(inventory, extracted)
    joined = files.joined(record.findings, extracted)
    record.findings = files.beside(joined, record.recording.events, rooms.named)
    weights = frozenset(entry.path for entry in inventory.weights)
    record.findings += files.content(extracted, inventory, weights, rooms.named.inert)
    record.findings = files.proven(record.findings, inventory)
    record.findings += coverage.unjudged(
        inventory, extracted, complete=rooms.extraction.status == "ok"
    )
    record.notes += coverage.left_out(record.files)


def _judge_loading(
    record: Record,
    inventory: Inventory,
    rooms: RoomResults,
    extracted: Extracted,
    detonated: Detonated,
) -> None:
    """Whether loading gave what the bytes say, of every file, in each room that opened them."""
    record.findings += files.unshown(rooms.named, inventory.source)
    beside = rooms.detonated_beside()
    for room, gave in ((rooms.detonation, detonated), (rooms.named.room, beside)):
        if room is None or gave is None:
            continue
        found = files.integrity(compare(extracted, gave, computed=gave is beside))
        if room.status == "ok":
            accounted = [file.name for file in gave.files]
            loaded = [entry.path for entry in inventory.loaded]
            found += coverage.account(loaded, accounted)
        record.findings += [each for each in found if each not in record.findings]


def _notes(
    inventory: Inventory, rooms: RoomResults, extracted: Extracted, detonated: Detonated
) -> list[str]:
    """What a reader should know besides the findings."""
    static = [] if rooms.detonation is not None else [coverage.NOTHING_RAN]
    return [
        *static,
        *inventory.notes,
        *coverage.unkept(inventory, extracted),
        *rooms.named.notes,
        *rooms.conversion.notes,
        *rooms.rewriting.configuration.notes,
        *coverage.notes(extracted, rooms.detonated_beside() or detonated),
    ]


def _staging(request: Request, inventory: Inventory) -> Staging | nullcontext[None]:
    if request.target is None:
        return nullcontext()
    return Staging.create(
        request.target, expected=inventory.weighed, sha256=request.options.hash_export
    )
