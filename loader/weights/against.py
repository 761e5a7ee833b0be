"""Scan or load a model that is compared with its base first, in one step. Zone: controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.core.options import Progress
from safe_load.loading import pipeline
from safe_load.sources import hub
from safe_load.sources.inventory import take
from safe_load.weights import opening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.core.claims import Claim
    from safe_load.core.options import Options
    from safe_load.core.report import Report
    from safe_load.sandbox.backends.interface import Backend

    Watcher = Callable[[Progress], None]

#: The finding that a comparison adds; those of files are made again by the scan or the load.
_OWN = "SL801"


def open_against(
    base: str,
    source: str,
    target: Path | None,
    options: Options,
    *,
    claim: Claim | None = None,
    progress: Watcher | None = None,
    backend: Backend | None = None,
) -> Report:
    """Compare the source with its base, then open it: into `target`, or for a scan with None.

    The report has the comparison and its finding, and a rejection keeps anything from being exported.

    Raises:
        NotLoadable: The two cannot be compared.
        SandboxError, LimitHit, Interrupted, UsageError: As for a load.
    """
    tell = progress or (lambda _: None)
    given: str | hub.Snapshot = source
    if hub.is_name(source):
        tell(Progress("fetch", "start"))
        try:
            given = hub.fetch(
                hub.parse(source),
                variant=options.variant,
                use_safetensors=options.use_safetensors,
                every=options.all_files,
            )
        finally:
            tell(Progress("fetch", "end"))
    before = _state(given, options)
    done = opening.compare(base, given, options, claim=claim, progress=progress, backend=backend)

    def require_unchanged() -> None:
        if _state(given, options) != before:
            raise NotLoadable(f"{visible(source)} was changed while it was opened")

    known = pipeline.Known(
        done.weights,
        [found for found in done.findings if found.id == _OWN],
        [f"compared with {done.weights.base}: {done.weights.sentence}", *done.notes],
        require_unchanged,
    )
    if target is None:
        return pipeline.scan(given, options, progress, backend=backend, known=known)
    return pipeline.load(given, target, options, progress, backend=backend, known=known)


def _state(source: str | hub.Snapshot, options: Options) -> list[tuple[object, ...]]:
    """What changes with any of the weight files: who writes a file cannot set its ctime."""
    if isinstance(source, hub.Snapshot):
        listed = take(str(source.name), source.path, source.files, options)
    else:
        listed = take(source, options=options)
    states = ((entry.path, entry.place.stat()) for entry in listed.read_for_export)
    return [
        (path, at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
        for path, at in states
    ]
