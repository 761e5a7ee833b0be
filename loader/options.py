"""What a caller may choose about one load, and how far it has come.

Zone: controller. Imported by every way in (command line, Python API) and by the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = ("auto", "native", "docker")
DEPTHS = ("auto", "weights", "model", "run")
Stage = Literal["fetch", "inventory", "wait", "extract", "detonate", "convert", "compare", "export"]
RECORDS = ("standard", "full")
FAIL_ON = ("low", "medium", "high", "critical", "never")


@dataclass(frozen=True)
class Options:
    """The choices of one load. What is None is the profile's to say.

    profile: a shipped profile's name, or a TOML file. runtime: of the docker backend, e.g. "runsc";
    image: its image, "safe-load:VERSION" when None.
    timeout: seconds. memory: bytes. hash: whether the report holds the SHA-256 of the source files. record: "standard", or "full" to
    write every call that can be notified to the file `trace`, one line of JSON each.

    variant, use_safetensors: which of a folder's weights are meant, as from_pretrained of
    transformers has it; the export holds them under their plain names. weights_optional: whether a
    folder without any may be opened, for its tokenizer or configuration. all_files: of a source on a
    hub, have what no load opens as well.
    """

    profile: str = "strict"
    backend: str = "auto"
    runtime: str | None = None
    depth: str = "auto"
    fail_on: str | None = None
    timeout: float | None = None
    memory: int | None = None
    export_despite_findings: bool = False
    hash: bool = True
    record: str = "standard"
    trace: Path | None = None
    image: str | None = None
    variant: str | None = None
    use_safetensors: bool | None = None
    weights_optional: bool = False
    all_files: bool = False


@dataclass(frozen=True)
class Progress:
    """One step of one load. done and total: bytes, None where a stage cannot count."""

    stage: Stage
    state: Literal["start", "progress", "end"]
    done: int | None = None
    total: int | None = None
