"""The Python face of one load. Zone: controller."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from safe_load.core.claims import CLAIMS, Claim
from safe_load.core.errors import (
    LimitHit,
    NotLoadable,
    Rejected,
    SafeLoadError,
    SandboxError,
    UsageError,
)
from safe_load.core.installed import need
from safe_load.core.options import Options, OptionsDict, Progress
from safe_load.core.result import BaseResult
from safe_load.loading import pipeline
from safe_load.render.watching import watching
from safe_load.sources import hub

if TYPE_CHECKING:
    import torch
    from safe_load.cache.lookup import Cleared
    from safe_load.core.report import Report
    from safe_load.probing.opening import Probed
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.weights.opening import Comparison

Target = str | os.PathLike[str]
#: A file or folder, hf://ORG/NAME@REVISION, or what hub.fetch gave.
Source = Target | hub.Snapshot
Watcher = Callable[[Progress], None]

_ERRORS: dict[str, type[SafeLoadError]] = {
    "not_loadable": NotLoadable,
    "sandbox_error": SandboxError,
    "limit_hit": LimitHit,
}


@dataclass(frozen=True, repr=False)
class Result(BaseResult):
    """The result of one load. A notebook shows its report.

    Attributes:
        report: The whole report.
        path: The folder of the cleared copy; None if nothing was exported.
    """

    def _repr_html_(self) -> str:
        from safe_load.render import html  # noqa: PLC0415 - notebooks only

        return html.card(self.report)


def scan(
    source: Source, *, progress: Watcher | None = None, **options: Unpack[OptionsDict]
) -> Result:
    """Open a model in a room, and report what it holds and what it tried to do. Exports nothing.

    A model with findings raises no error: read `ok`, `verdict` and `findings` of the result.

    Args:
        source: A file; a folder; hf://ORG/NAME@REVISION; or a snapshot of hub.fetch.
        progress: Called with each step, from the thread that takes the step. With None, a
            terminal shows a line and a notebook a bar.
        **options: The keys of `OptionsDict`, e.g. profile="strict", depth="weights", timeout=90.0
            (seconds), memory=8 << 30 (bytes).

    Returns:
        The result. `ok` is False if a finding is at or above `fail_on`.

    Raises:
        UsageError: An option is wrong; nothing was opened.
        NotLoadable: The source is corrupt, unsupported, or holds no model.
        SandboxError: A wall could not be built, or broke.
        LimitHit: The source used more time, memory, processes or disk than the profile grants.
    """
    chosen = Options(**options)
    with watching(_name(source), progress) as watcher:
        return judged(pipeline.scan(given(source), chosen, watcher))


def load(
    source: Source,
    target: Target,
    *,
    progress: Watcher | None = None,
    **options: Unpack[OptionsDict],
) -> Result:
    """Open a model as `scan` does, and put a cleared copy in a folder.

    The copy holds safetensors, rewritten configuration and tokenizer, the report and a manifest.

    Args:
        source: As for `scan`.
        target: The folder of the copy. It must not exist yet, or be empty. It appears complete, or
            not at all.
        progress: As for `scan`.
        **options: As for `scan`.

    Returns:
        The result, with the `path` of the copy.

    Raises:
        Rejected: A finding is at or above `fail_on`; nothing was exported. `result` has the findings.
        UsageError, NotLoadable, SandboxError, LimitHit: As for `scan`.
    """
    chosen, path = Options(**options), os.fspath(target)
    with watching(_name(source), progress) as watcher:
        return exported(pipeline.load(given(source), path, chosen, watcher), path)


def diff(
    base: Source,
    source: Source,
    /,
    *,
    claim: Claim | None = None,
    progress: Watcher | None = None,
    **options: Unpack[OptionsDict],
) -> Comparison:
    """Compare the weights of two models, in a room: which tensors differ, and what kind of change that is.

    Args:
        base: What the other is compared with. As for `scan`.
        source: The model in question. As for `scan`.
        claim: What the source is said to be of the base: "copy", "quantisation" or "conversion". A surgical
            change is then a finding. With None, the model card says it.
        progress: As for `scan`.
        **options: As for `scan`. What concerns depth and export has no effect.

    Returns:
        The comparison. `ok` is False if a finding is at or above `fail_on`.

    Raises:
        NotLoadable: One of the two is corrupt or unsupported, or holds no weights.
        UsageError, SandboxError, LimitHit: As for `scan`.
    """
    from safe_load.weights import opening  # noqa: PLC0415 - only who compares needs it

    if claim is not None and claim not in CLAIMS:
        raise UsageError(f"claim: {claim!r} is not one of {', '.join(CLAIMS)} or None")
    chosen = Options(**options)
    with watching(_name(source), progress) as watcher:
        return opening.compare(given(base), given(source), chosen, claim=claim, progress=watcher)


def probe(
    cleared: Target,
    /,
    *,
    cleared_base: Target | None = None,
    sets: Sequence[Target] = (),
    seed: int = 1,
    progress: Watcher | None = None,
    **options: Unpack[OptionsDict],
) -> Probed:
    """Ask the language model of a cleared folder for triggers, in a room and on the CPU.

    Args:
        cleared: The folder of a cleared copy, of a model of up to about 0.5 billion numbers.
        cleared_base: The cleared folder of the model that it was made from.
        sets: Files of own probes, in JSON Lines: a sample of Inspect each.
        seed: Of everything that is drawn.
        progress: As for `scan`.
        **options: As for `scan`; timeout (seconds) decides how much is asked. What concerns depth and export has no effect.

    Returns:
        What was found. `ok` is False if a finding is at or above `fail_on`; True says that nothing was found, and not that
        the model is clean.

    Raises:
        NotLoadable: A folder is no cleared copy, or holds no language model of a size that can be asked.
        UsageError, SandboxError, LimitHit: As for `scan`.
    """
    from safe_load.probing import opening  # noqa: PLC0415 - only who asks needs it

    chosen, name = Options(**options), os.fspath(cleared)
    with watching(name, progress) as watcher:
        return opening.probe(
            name,
            chosen,
            base=None if cleared_base is None else os.fspath(cleared_base),
            own_sets=tuple(str(os.fspath(each)) for each in sets),
            seed=seed,
            progress=watcher,
        )


def clear(
    source: Source,
    *,
    refresh: bool = False,
    verify: bool = False,
    progress: Watcher | None = None,
    **options: Unpack[OptionsDict],
) -> Path:
    """Make or find a cleared copy of a model, for any library that reads a folder.

    The first call opens the model in a room. Later calls with the same bytes and the same policy
    use the copy in the user's cache folder.

    Args:
        source: As for `scan`.
        refresh: Clear the model again, and replace the copy that is kept.
        verify: Hash all files of source and copy; do not trust their sizes and times.
        progress: As for `scan`.
        **options: As for `scan`.

    Returns:
        The folder of the copy. It is read-only, and stays at least while this process runs.

    Raises:
        NotLoadable: As for `scan`; also if the kept copy was changed.
        UsageError: As for `scan`; also if the cache folder cannot be used.
        Rejected, SandboxError, LimitHit: As for `load`.
    """
    chosen = Options(**options)
    return cleared(source, chosen, refresh=refresh, verify=verify, progress=progress).path


def cleared(
    source: Source,
    options: Options,
    *,
    refresh: bool = False,
    verify: bool = False,
    progress: Watcher | None = None,
    backend: Backend | None = None,
) -> Cleared:
    """As `clear`, with the report. backend: made for the same options' profile."""
    from safe_load.cache import lookup as once  # noqa: PLC0415 - only who clears needs the cache
    from safe_load.rooms import choice  # noqa: PLC0415

    room = backend or choice.backend_of(options, choice.profile_of(options))

    with watching(_name(source), progress) as watcher:

        def open_it(found: str | hub.Snapshot, target: Path, how: Options) -> Report:
            report = pipeline.load(found, target, how, watcher, backend=room)
            return exported(report, str(target)).report

        return once.clear(
            given(source),
            options,
            open_it,
            room,
            refresh=refresh,
            verify=verify,
            progress=watcher,
        )


def load_file(
    source: Source,
    *,
    refresh: bool = False,
    verify: bool = False,
    progress: Watcher | None = None,
    **options: Unpack[OptionsDict],
) -> dict[str, torch.Tensor]:
    """Load the tensors of one weight file, as safetensors.torch.load_file does.

    The tensors are mapped from a cleared copy in the cache (see `clear`). Those of types that
    safetensors lacks (complex128, quantised, sparse, nested) are what they are in the source; a meta
    tensor, which has no numbers, is left out.

    Args:
        source: As for `scan`.
        refresh: As for `clear`.
        verify: As for `clear`.
        progress: As for `scan`.
        **options: As for `scan`.

    Returns:
        A dictionary from name to tensor. Tied names share one tensor.

    Raises:
        UsageError, Rejected, NotLoadable, SandboxError, LimitHit: As for `clear`.
    """
    chosen = Options(**options)
    for package in ("torch", "safetensors"):
        need(package)
    done = cleared(source, chosen, refresh=refresh, verify=verify, progress=progress)
    from safe_load.export import views  # noqa: PLC0415
    from safetensors import safe_open  # noqa: PLC0415 - imports numpy
    from safetensors.torch import load_file as read  # noqa: PLC0415 - imports torch

    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(done.path.glob("*.safetensors")):
        with safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
        tensors |= views.undone(read(file), metadata)
    for group in done.report.tensors.tied:
        kept = next((name for name in group if name in tensors), None)
        if kept is not None:
            tensors |= dict.fromkeys(group, tensors[kept])
    return tensors


def given(source: Source) -> str | hub.Snapshot:
    """The source as the pipeline takes it."""
    return source if isinstance(source, hub.Snapshot) else os.fspath(source)


def _name(source: Source) -> str:
    return str(source.name) if isinstance(source, hub.Snapshot) else os.fspath(source)


def judged(report: Report) -> Result:
    """The result of a scan. Raises where there is none."""
    _raise_unless_opened(report)
    return Result(report)


def exported(report: Report, target: str) -> Result:
    """The result of a load. Raises where nothing was exported."""
    if report.export is None and report.outcome == "rejected":
        raise Rejected(report.outcome_detail or "rejected", Result(report))
    _raise_unless_opened(report)
    return Result(report, Path(target))


def result_of(report: Report) -> Result:
    """The result of a load that may have ended in any way."""
    return Result(report, Path(report.export.path) if report.export else None)


def _raise_unless_opened(report: Report) -> None:
    if report.outcome == "interrupted":
        raise KeyboardInterrupt(report.outcome_detail or "interrupted")
    if report.outcome not in ("ok", "rejected"):
        error = _ERRORS.get(report.outcome, SandboxError)
        raise error(report.outcome_detail or report.outcome, Result(report))
