"""A load that opens no room: it clears a folder of safetensors by copying it, through the real export.
What the cache makes of it does not depend on how it was cleared. As a program, it clears its
arguments and says how that went, one line each."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from safe_load.cache import lookup
from safe_load.core.hashing import sha256_files
from safe_load.core.options import Options
from safe_load.core.report import (
    Export,
    ExportedFile,
    FileInfo,
    Report,
    SandboxInfo,
    Source,
    Tool,
    encode,
)
from safe_load.export import manifest
from safe_load.export.publish import REPORT
from safe_load.export.staging import Staging
from safe_load.rooms import choice
from safe_load.sources.inventory import take
from safetensors.numpy import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DEFAULT = Options()
TOOL = Tool("safe-load", "0")


def make_model(folder: Path, value: int = 1, *, size: int = 1000) -> Path:
    """A folder with weights of this value: so many float32."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(save({"w": np.full(size, value, "f4")}))
    return folder


@dataclass
class Loader:
    """pause: seconds after each of a load's steps; between: called when all was read; loads: how
    many there were."""

    pause: float = 0.0
    between: Callable[[], None] = lambda: None
    loads: int = 0

    def __call__(self, source: str, target: Path, options: Options) -> Report:
        self.loads += 1
        inventory = take(source, options=options)
        digests = sha256_files(entry.place for entry in inventory.entries)
        report = Report(
            tool=TOOL,
            source=Source(source),
            started=datetime.now(UTC).isoformat(),
            duration_s=0.1,
            verdict="clean",
            outcome="ok",
            sandbox=SandboxInfo("native", None, "A", options.profile),
            files=[
                FileInfo(entry.path, entry.size, digests[entry.place], "safetensors")
                for entry in inventory.entries
            ],
            export=Export(str(target)),
        )
        with Staging.create(target) as staging:
            for entry in inventory.weights:
                staging.write(str(entry.export), entry.place.read_bytes())
                time.sleep(self.pause)
            staging.write(REPORT, encode(report))
            time.sleep(self.pause)
            self.between()
            files = staging.publish(_manifest(source))
        time.sleep(self.pause)
        exported = [ExportedFile(file.path, file.size, file.digests) for file in files]
        return Report(
            **{
                name: getattr(report, name) for name in report.__struct_fields__ if name != "export"
            },
            export=Export(str(target), exported),
        )


def keep(source: str, loader: Loader, options: Options = _DEFAULT, **how: Any) -> lookup.Cleared:
    """As `cleared.clear`, with that loader."""
    backend = choice.backend_of(options, choice.profile_of(options))
    return lookup.clear(source, options, loader, backend, **how)


def _manifest(source: str) -> manifest.Manifest:
    return manifest.Manifest(
        tool=TOOL, policy="p", source=Source(source), sources=[], files=[], created="now"
    )


def main() -> None:
    pause, refresh, stay, *sources = sys.argv[1:]
    print("ready", flush=True)
    for source in sources:
        loader = Loader(pause=float(pause))
        done = keep(source, loader, refresh=refresh == "refresh")
        print(loader.loads, done.path, flush=True)
    time.sleep(float(stay))


if __name__ == "__main__":
    main()
