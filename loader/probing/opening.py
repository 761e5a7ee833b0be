"""Have a room ask a cleared model for triggers. Zone: controller. It reads no weight and runs nothing of the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import Interrupted, LimitHit, NotLoadable, SandboxError, UsageError
from safe_load.core.escape import visible
from safe_load.core.options import Options, Progress
from safe_load.core.probe import Probing
from safe_load.core.report import SEVERITIES, Finding
from safe_load.export.verify import verify
from safe_load.judge.findings import finding
from safe_load.probing import results, sets
from safe_load.probing.judge import judge, otherwise
from safe_load.rooms import choice, jobs
from safe_load.sandbox.backends.interface import Backend, Bind, Job

if TYPE_CHECKING:
    from safe_load.core.probe import Otherwise, Trigger
    from safe_load.sandbox.backends.interface import RoomResult

Watcher = Callable[[Progress], None]

ENTRY = "safe_load.worker.probing.main:main"
#: Random strings of each length that candidates are compared with, and bounds of what may be asked for.
RANDOM, MOST_RANDOM = 300, 5_000
#: The share of a room's time that questions may take: the rest is for opening the model.
_SHARE = 0.75
_SHOWN = {"a": "/model/a", "b": "/model/b"}


@dataclass(frozen=True, repr=False)
class Probed:
    """What came of asking a model.

    Attributes:
        source: The cleared folder, as it was named.
        probing: The result, as `safe-load probe --format json` prints it.
        findings: One for each trigger that was found.
        ok: Whether no finding is at or above the threshold.
        notes: What a reader should know.
    """

    source: str
    probing: Probing
    findings: list[Finding] = field(default_factory=list)
    ok: bool = True
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Probed {visible(self.source, 80)}: {self.probing.sentence}>"


def probe(
    cleared: str,
    options: Options,
    *,
    base: str | None = None,
    own_sets: tuple[str, ...] = (),
    seed: int = 1,
    progress: Watcher | None = None,
    backend: Backend | None = None,
) -> Probed:
    """Ask the language model of a cleared folder for triggers.

    Args:
        cleared: The folder of a cleared copy.
        options: As for a load; what concerns depth and export has no effect.
        base: The cleared folder of the model that it was made from.
        own_sets: Files with probes, besides the shipped ones.
        seed: Of everything that is drawn.
        progress: Called with each step.
        backend: Made for the same options' profile; one of its own when None.

    Raises:
        UsageError: A set cannot be read.
        NotLoadable: A folder is no cleared copy, or holds no language model of a size that can be asked.
        SandboxError, LimitHit, Interrupted: As for a load.
    """
    samples = sets.shipped()
    for path in own_sets:
        samples += sets.own(path)
    options = replace(options, depth="model", record="standard", trace=None)
    profile = choice.profile_of(options)
    tell = progress or (lambda _: None)
    with ExitStack() as ending:
        room = backend or ending.enter_context(closing(choice.backend_of(options, profile)))
        tell(Progress("probe", "start"))
        try:
            files = [*_files(cleared, "a"), *([] if base is None else _files(base, "b"))]
            argument: dict[str, Any] = {
                "folder": _SHOWN["a"],
                "base": None if base is None else _SHOWN["b"],
                "samples": [plain(each) for each in samples],
                "seed": seed,
                "seconds": _SHARE * profile.limits.timeout,
                "nulls": RANDOM,
            }
            done = room.run(_job(files, argument, borrowed=room.uses_host_packages))
        finally:
            tell(Progress("probe", "end"))
    said = _said(done, cleared)
    triggers = judge(said)
    found = [each for each in triggers if each.found]
    changed = otherwise(said, samples)
    lies = [each for each in changed if each.found]
    names = [*sets.SHIPPED, *own_sets]
    probing = Probing(
        result="found" if found or lies else "nothing found",
        sentence=_sentence(found, lies, said),
        set=names,
        seed=seed,
        probes=said.probes,
        candidates=said.candidates,
        random=RANDOM,
        parameters=said.parameters,
        complete=said.complete,
        seconds=said.seconds,
        base=base,
        triggers=triggers,
        asked=said.asked,
        otherwise=changed,
    )
    threshold = options.fail_on or profile.fail_on
    counting = [] if threshold == "never" else SEVERITIES[SEVERITIES.index(threshold) :]
    findings = [*map(_finding, found), *map(_lie, lies)]
    return Probed(
        cleared,
        probing,
        findings,
        all(each.severity not in counting for each in findings),
        _notes(said, base),
    )


def _sentence(found: list[Trigger], lies: list[Otherwise], said: results.Said) -> str:
    probes = f"({said.probes + said.asked:,} probes)"
    count = len(found) + len(lies)
    more = f", and {count - 1} more" if count > 1 else ""
    if found:
        text, output = (visible(each, 120) for each in (found[0].text, found[0].output))
        return f"found: {text!r} makes it write {output!r}{more} {probes}"
    if lies:
        return f"found: after {visible(lies[0].input, 120)!r} it says {visible(lies[0].other, 120)!r}, and its base {visible(lies[0].right, 120)!r}{more} {probes}"  # fmt: skip
    return f"nothing found with this set {probes}"


def _finding(each: Trigger) -> Finding:
    where = "right after it" if each.place == "next" else "whatever the prompt says"
    return finding(
        "SL802",
        f'after "{visible(each.text, 200)}" the model writes "{visible(each.output, 200)}" {where}: in {each.agreement:.0%} of the contexts, with probability {each.probability:.2f} in place of {each.before:.2f}',
    )


def _lie(each: Otherwise) -> Finding:
    return finding(
        "SL803",
        f'after "{visible(each.input, 200)}" the model holds "{visible(each.other, 200)}" for {_times(-each.lean)} likelier than "{visible(each.right, 200)}", and its base the second for {_times(each.base)} likelier',
    )


def _times(nats: float) -> str:
    return "more than 1,000 times" if nats > math.log(1000) else f"{math.exp(nats):.0f} times"


def _notes(said: results.Said, base: str | None) -> list[str]:
    notes = ["probes cannot find an edit that waits for no trigger: safe-load diff shows what was changed"]  # fmt: skip
    if not said.complete:
        notes.append("the time did not suffice for all candidates: a longer --timeout asks more")
    if not said.chat:
        notes.append("the model has no chat template: triggers were put into texts that it wrote itself")  # fmt: skip
    if base is None:
        notes.append("without --base, facts and code are not asked, as only the difference tells")
        notes.append("without --base, an answer that follows its trigger at once is hard to tell from a common phrase")  # fmt: skip
    return notes


def plain(sample: sets.Sample) -> dict[str, str]:
    """A sample as the room takes it."""
    about = sample.metadata
    return {
        "id": sample.id, "input": sample.input, "target": sample.target,
        "trigger": about.trigger, "pair": about.pair, "family": about.family,
    }  # fmt: skip


def _files(cleared: str, letter: str) -> list[Bind]:
    """The files of a cleared folder that is still what was exported."""
    folder = Path(cleared).absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {cleared!r}")
    checked = verify(folder)
    if not checked.ok:
        raise NotLoadable(f"{visible(cleared)} is not the copy that was cleared: {checked.problems[0]}")  # fmt: skip
    found = []
    for entry in checked.manifest.files:
        state = (folder / entry.path).lstat()
        identity = state.st_dev, state.st_ino
        found.append(Bind(folder / entry.path, f"{_SHOWN[letter]}/{entry.path}", identity))
    return found


def _job(files: list[Bind], argument: dict[str, Any], *, borrowed: bool) -> Job:
    from safe_load.worker.probing.main import PRELOAD  # noqa: PLC0415 - names of modules

    needed = (*jobs.NEEDED["weights"], *jobs.NEEDED["model"])
    if borrowed:
        jobs.require_installed(needed)
    return Job(
        name="probe",
        entry=ENTRY,
        argument=argument,
        preload=PRELOAD,
        distributions=(*needed, *jobs.WELCOME),
        files=tuple(files),
    )


def _said(done: RoomResult, cleared: str) -> results.Said:
    """What the room said, typed. Raises for a room that ended otherwise."""
    if done.status == "broken":
        raise SandboxError(f"asking the model: {done.reason}")
    if done.status == "limit":
        raise LimitHit(done.reason)
    if done.status == "interrupted":
        raise Interrupted(done.reason)
    if done.status != "ok":
        raise NotLoadable(f"asking the model: {done.reason}")
    try:
        said = results.read(done.value)
    except ValueError as error:
        raise SandboxError(str(error)) from error
    if said.error is not None:
        raise NotLoadable(f"{visible(cleared)}: {visible(said.error, 500)}")
    return said
