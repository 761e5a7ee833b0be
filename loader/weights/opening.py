"""Open two models as the product opens any source, and have a room compare their tensors.

Zone: controller. It reads no byte of a model. Safetensors are shown to the room as they are; every other
format becomes safetensors first, in a private folder and by the usual path of a load that runs nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import Interrupted, LimitHit, NotLoadable, SandboxError, UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import install
from safe_load.core.options import Options, Progress
from safe_load.core.report import SEVERITIES, Finding
from safe_load.core.weights import Weights
from safe_load.judge.findings import finding
from safe_load.loading import pipeline
from safe_load.rooms import choice, jobs
from safe_load.sandbox.backends.interface import Backend, Bind, Job
from safe_load.sources import hub
from safe_load.sources.inventory import take
from safe_load.weights import results
from safe_load.weights.classify import classify

if TYPE_CHECKING:
    from safe_load.core.claims import Claim
    from safe_load.core.weights import Difference
    from safe_load.sandbox.backends.interface import RoomResult
    from safe_load.sources.inventory import Entry

Source = str | hub.Snapshot
Watcher = Callable[[Progress], None]

ENTRY = "safe_load.worker.weights.main:main"
PACKAGES = ("numpy",)
_CARDS = ("README.md", "MODEL_CARD.md")
_SHOWN = "/model"
#: What a card says of its base -> what that claims of the tensors.
_CLAIMS: dict[str, Claim] = {"quantized": "quantisation"}
_ERRORS: dict[str, type[Exception]] = {
    "not_loadable": NotLoadable,
    "sandbox_error": SandboxError,
    "limit_hit": LimitHit,
}


@dataclass(frozen=True, repr=False)
class Comparison:
    """What came of a comparison. A notebook shows it.

    Attributes:
        source: The compared model, as it was named.
        weights: Base, kind, tensors and the rest, as a report has it.
        findings: Of the change, and of what had to be opened for it, the gravest first.
        ok: Whether no finding is at or above the threshold.
        notes: What a reader should know.
        peak_memory: Bytes that the room took which compared.
    """

    source: str
    weights: Weights
    findings: list[Finding] = field(default_factory=list)
    ok: bool = True
    notes: list[str] = field(default_factory=list)
    peak_memory: int = 0

    @property
    def difference(self) -> Difference:
        """The kind of change and the tensors, as `safe-load diff --format json` prints them."""
        return self.weights.difference

    def _repr_html_(self) -> str:
        from safe_load.render import weights  # noqa: PLC0415 - notebooks only

        return weights.card(self.source, self.weights, self.findings, self.notes)

    def __repr__(self) -> str:
        kind = self.weights.difference.kind
        return (
            f"<Comparison {kind}: {visible(self.source, 80)} with {visible(self.weights.base, 80)}>"
        )


@dataclass
class _Side:
    """files: what the room is shown, each with the prefix that its tensors' names get; card: of the model."""

    source: str
    files: list[tuple[Bind, str]]
    card: Bind | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(
    base: Source,
    source: Source,
    options: Options,
    *,
    claim: Claim | None = None,
    progress: Watcher | None = None,
    backend: Backend | None = None,
) -> Comparison:
    """How the tensors of `source` differ from those of `base`, and what kind of change that is.

    claim: what the user was told that the source is of the base; None: what a model card says. backend: made
    for the same options' profile; one of its own when None.

    Raises:
        NotLoadable: One of the two cannot be opened, or holds nothing that can be compared.
        SandboxError, LimitHit, Interrupted: As for a load.
    """
    options = replace(
        options, depth="static", export_despite_findings=True, hash=False, dtype=None, base=None,
        max_shard_size=None, record="standard", trace=None,
    )  # fmt: skip
    profile = choice.profile_of(options)
    tell = progress or (lambda _: None)
    with ExitStack() as ending:
        room = backend or ending.enter_context(closing(choice.backend_of(options, profile)))
        private = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="safe-load-diff-")))
        sides = [
            _open(each, letter, private / letter, options, room, progress)
            for letter, each in (("a", base), ("b", source))
        ]
        tell(Progress("compare", "start"))
        try:
            done = room.run(_job(sides, borrowed=room.uses_host_packages))
        finally:
            tell(Progress("compare", "end"))
    said = _said(done, sides)
    judged = classify(said)
    claimed = claim or _CLAIMS.get(said.relation or "")
    findings = [found for side in sides for found in side.findings]
    if claimed is not None and judged.difference.kind == "surgical":
        findings.insert(0, _surgical(claimed, judged.outliers, sides))
    notes = [note for side in sides for note in side.notes] + judged.notes
    if claimed is not None and judged.difference.kind not in ("identical", "rounding", "surgical"):
        notes.insert(
            0, f"a {claimed} is claimed, and the change is none: it is {_A[judged.difference.kind]}"
        )
    threshold = options.fail_on or profile.fail_on
    counting = [] if threshold == "never" else SEVERITIES[SEVERITIES.index(threshold) :]
    weights = Weights(
        sides[0].source, claimed, judged.sentence, list(judged.outliers), judged.difference
    )
    return Comparison(
        sides[1].source,
        weights,
        sorted(findings, key=lambda found: -SEVERITIES.index(found.severity)),
        all(found.severity not in counting for found in findings),
        notes,
        done.peak_memory,
    )


_A = {"adapter": "an adapter", "fine-tune": "a fine-tune", "unrelated": "another model"}


def _surgical(claim: Claim, outliers: tuple[str, ...], sides: list[_Side]) -> Finding:
    named = ", ".join(visible(name, 200) for name in outliers[:3])
    more = f" and {len(outliers) - 3} more" if len(outliers) > 3 else ""
    return finding(
        "SL801",
        f"a {claim} of {sides[0].source} is claimed, but {named}{more} changed by nearly rank one, as a model is edited",
        visible(outliers[0], 200) if outliers else "",
    )


def _open(
    source: Source, letter: str, private: Path, options: Options, room: Backend, progress: Watcher | None
) -> _Side:  # fmt: skip
    """The safetensors of one side: its own, or what becomes of it in `private`."""
    if isinstance(source, str) and hub.is_name(source):
        source = hub.fetch(
            hub.parse(source), variant=options.variant, use_safetensors=options.use_safetensors
        )
    if isinstance(source, hub.Snapshot):
        listed = take(str(source.name), source.path, source.files, options)
    else:
        listed = take(source, options=options)
    card = next((entry for entry in listed.entries if entry.path in _CARDS), None)
    shown = None if card is None else Bind(card.place, f"{_SHOWN}/{letter}.md", card.identity)
    if all(entry.path.lower().endswith(".safetensors") for entry in listed.weights):
        binds = [
            (Bind(entry.place, f"{_SHOWN}/{letter}/{entry.path}", entry.identity), _folder(entry))
            for entry in listed.weights
        ]
        return _Side(listed.source, _prefixed(binds), shown)
    report = pipeline.load(source, private, options, progress, backend=room)
    if report.outcome == "interrupted":
        raise Interrupted(report.outcome_detail or "interrupted")
    if report.export is None:
        raise _ERRORS.get(report.outcome, NotLoadable)(report.outcome_detail or report.outcome)
    found = []
    for place in sorted(private.rglob("*.safetensors")):
        state, name = place.stat(), place.relative_to(private)
        identity = state.st_dev, state.st_ino
        folder = "" if str(name.parent) == "." else str(name.parent)
        found.append((Bind(place, f"{_SHOWN}/{letter}/{name}", identity), folder))
    return _Side(listed.source, _prefixed(found), shown, list(report.findings))


def _folder(entry: Entry) -> str:
    return entry.path.rpartition("/")[0]


def _prefixed(files: list[tuple[Bind, str]]) -> list[tuple[Bind, str]]:
    """The folders of a model of several components become the beginning of their tensors' names."""
    several = len({folder for _, folder in files}) > 1
    return [
        (bind, f"{folder.replace('/', '.')}." if several and folder else "")
        for bind, folder in files
    ]


def _job(sides: list[_Side], *, borrowed: bool) -> Job:
    """Compare, in a room that shows numpy and the files of both sides."""
    if borrowed and jobs.lacking_packages(PACKAGES) is not None:
        raise SandboxError(
            f"the room that compares needs numpy, which this Python does not have: {install('numpy')}"
        )
    cards = [side.card for side in reversed(sides) if side.card is not None]
    argument: dict[str, Any] = {
        letter: [[bind.target, prefix] for bind, prefix in side.files]
        for letter, side in zip("ab", sides, strict=True)
    }
    argument["cards"] = [card.target for card in cards]
    return Job(
        name="weights",
        entry=ENTRY,
        argument=argument,
        preload=PACKAGES,
        distributions=PACKAGES,
        files=(*(bind for side in sides for bind, _ in side.files), *cards),
        # A worker has one thread when its walls close.
        environment={"OPENBLAS_NUM_THREADS": "1"},
    )


def _said(done: RoomResult, sides: list[_Side]) -> results.Said:
    """What the room said, typed. Raises for a room that ended otherwise."""
    if done.status == "broken":
        raise SandboxError(f"comparing the weights: {done.reason}")
    if done.status == "limit":
        raise LimitHit(done.reason)
    if done.status == "interrupted":
        raise Interrupted(done.reason)
    if done.status != "ok":
        raise NotLoadable(f"comparing the weights: {done.reason}")
    try:
        said = results.read(done.value)
    except ValueError as error:
        raise SandboxError(str(error)) from error
    if said.error is not None:
        raise NotLoadable(f"{sides[0].source} and {sides[1].source}: {said.error}")
    return said


def require_there(source: str) -> None:
    """Raises UsageError for a source that is no path and no name on a hub."""
    if hub.is_name(source):
        hub.parse(source)
    elif not os.path.lexists(source):
        raise UsageError(f"there is no file or folder {source!r}")
