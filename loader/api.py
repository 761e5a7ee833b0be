"""The Python face of one load. Zone: controller."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load import hub, pipeline
from safe_load.errors import LimitHit, NotLoadable, Rejected, SafeLoadError, SandboxError
from safe_load.options import Options, Progress
from safe_load.watching import watching

if TYPE_CHECKING:
    import torch
    from safe_load.report import Egress, Finding, Report, Verdict
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.vault.cleared import Cleared

Target = str | os.PathLike[str]
#: A file or folder, hf://ORG/NAME@REVISION, or what hub.fetch gave.
Source = Target | hub.Snapshot
Watcher = Callable[[Progress], None]

_ERRORS: dict[str, type[SafeLoadError]] = {
    "not_loadable": NotLoadable,
    "sandbox_error": SandboxError,
    "limit_hit": LimitHit,
}


@dataclass(frozen=True)
class Result:
    """What came of one load. report: everything; path: the cleared copy, None after a scan."""

    report: Report
    path: Path | None = None

    @property
    def verdict(self) -> Verdict:
        """ "clean", "suspicious", "malicious" or "unknown"."""
        return self.report.verdict

    @property
    def findings(self) -> list[Finding]:
        """What speaks against the model, worst first."""
        return self.report.findings

    @property
    def egress(self) -> list[Egress]:
        """What it tried to reach."""
        return self.report.egress

    def _repr_html_(self) -> str:
        from safe_load.formats import html, style  # noqa: PLC0415 - notebooks only

        return f"<style>{style.STYLE}</style>{html.body(self.report)}"


def scan(source: Source, *, progress: Watcher | None = None, **options: object) -> Result:
    """Open a model file or folder in a room, watch it, and tell what it is and what it tried.

    options: the fields of safe_load.options.Options, e.g. profile="strict", depth="weights",
    timeout=90.0 (seconds), memory=8 << 30 (bytes). progress: called with each step, from whichever
    thread takes it; when None, a terminal shows a line and a notebook a bar. Whatever is found, this
    returns; it raises NotLoadable, SandboxError, LimitHit or UsageError when there is nothing to tell.
    """
    chosen = Options(**options)  # type: ignore[arg-type]
    with watching(_name(source), progress) as watcher:
        return judged(pipeline.scan(given(source), chosen, watcher))


def load(
    source: Source, target: Target, *, progress: Watcher | None = None, **options: object
) -> Result:
    """As `scan`, and put a cleared copy (safetensors, configuration, report, manifest) in `target`.

    Raises Rejected, with the Result, when findings speak against it: then nothing was exported.
    """
    chosen, path = Options(**options), os.fspath(target)  # type: ignore[arg-type]
    with watching(_name(source), progress) as watcher:
        return exported(pipeline.load(given(source), path, chosen, watcher), path)


def clear(
    source: Source,
    *,
    refresh: bool = False,
    verify: bool = False,
    progress: Watcher | None = None,
    **options: object,
) -> Path:
    """A cleared copy of a model, for any library that takes a folder: opened in a room the first
    time, and from the user's cache folder whenever the same bytes are asked for by the same policy.

    The folder is read-only and stays at least while this process runs. refresh: make it anew.
    verify: hash all of source and copy, instead of believing their sizes and times. progress and
    options: as for `scan`. Raises as `load`; NotLoadable when the copy was changed,
    UsageError when the cache folder cannot be used.
    """
    chosen = Options(**options)  # type: ignore[arg-type]
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
    from safe_load import rooms  # noqa: PLC0415
    from safe_load.vault import cleared as once  # noqa: PLC0415 - only who clears needs the vault

    room = backend or rooms.backend_of(options, rooms.profile_of(options))

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
    **options: object,
) -> dict[str, torch.Tensor]:
    """The tensors of one weight file, as safetensors.torch.load_file gives them: mapped from the
    cleared copy, which is kept as `clear` keeps it.

    The rest as for `clear`.
    """
    chosen = Options(**options)  # type: ignore[arg-type]
    done = cleared(source, chosen, refresh=refresh, verify=verify, progress=progress)
    from safetensors.torch import load_file as read  # noqa: PLC0415 - imports torch

    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(done.path.glob("*.safetensors")):
        tensors |= read(file)
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
    _raise_unless(report, "ok", "rejected")
    return Result(report)


def exported(report: Report, target: str) -> Result:
    """The result of a load. Raises where nothing was exported."""
    if report.export is None and report.outcome == "rejected":
        raise Rejected(report.outcome_detail or "rejected", Result(report))
    _raise_unless(report, "ok", "rejected")
    return Result(report, Path(target))


def _raise_unless(report: Report, *outcomes: str) -> None:
    if report.outcome not in outcomes:
        error = _ERRORS.get(report.outcome, SandboxError)
        raise error(report.outcome_detail or report.outcome, Result(report))
