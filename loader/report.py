"""The report of one load, as it stands in JSON (schema safe-load/report/1).

Zone: controller. Every string that came from a model is hostile text: it is kept as it is here and
escaped where it is shown (formats/).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = "safe-load/report/1"

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
Verdict = Literal["clean", "suspicious", "malicious", "unknown"]
Outcome = Literal["ok", "rejected", "not_loadable", "sandbox_error", "limit_hit", "interrupted"]
Decision = Literal["allowed", "denied", "redirected"]
EXIT_CODES: dict[Outcome, int] = {
    "ok": 0,
    "rejected": 1,
    "not_loadable": 3,
    "sandbox_error": 4,
    "limit_hit": 5,
    "interrupted": 130,
}


class Tool(msgspec.Struct, frozen=True):
    name: str
    version: str


class Source(msgspec.Struct, frozen=True):
    path: str
    revision: str | None = None


class WallState(msgspec.Struct, frozen=True):
    """One wall. state: "standing", "weaker" (something stood in for it, see detail) or "missing"."""

    name: str
    state: Literal["standing", "weaker", "missing"]
    detail: str = ""


class SandboxInfo(msgspec.Struct, frozen=True):
    backend: str
    runtime: str | None
    tier: str | None
    profile: str
    walls: list[WallState] = []


class FileInfo(msgspec.Struct, frozen=True):
    """One regular file of the source. path: relative to the source; format: as the bytes say."""

    path: str
    size: int
    sha256: str | None
    format: str


class Stage(msgspec.Struct, frozen=True):
    name: str
    duration_s: float


class SyscallCount(msgspec.Struct, frozen=True):
    allowed: int = 0
    denied: int = 0


class Event(msgspec.Struct, frozen=True):
    """One recorded system call. t: seconds since the load began; pid and ppid as seen inside
    the room; count: how often this very call was made."""

    t: float
    stage: str
    pid: int
    comm: str
    syscall: str
    args: dict[str, Any]
    decision: Decision
    errno: str | None = None
    ppid: int = 0
    count: int = 1


class Recording(msgspec.Struct, frozen=True):
    level: Literal["standard", "full"] = "standard"
    complete: bool = True
    dropped: int = 0
    syscalls: dict[str, SyscallCount] = {}
    events: list[Event] = []


class Egress(msgspec.Struct, frozen=True):
    t: float
    protocol: str
    address: str
    port: int | None
    domain: str | None
    payload_preview: str
    payload_bytes: int


class Process(msgspec.Struct, frozen=True):
    """A program that was executed, or that something inside tried to execute."""

    t: float
    pid: int
    ppid: int
    argv: list[str]


class Finding(msgspec.Struct, frozen=True):
    """id: SLnnn, see docs/findings.md. evidence: indices into recording.events."""

    id: str
    severity: Severity
    title: str
    detail: str
    location: str = ""
    evidence: list[int] = []


class Tensors(msgspec.Struct, frozen=True):
    """What the weights hold. bytes: of the exported tensors, tied ones counted once."""

    count: int = 0
    parameters: int = 0
    bytes: int = 0
    dtypes: dict[str, int] = {}
    tied: list[list[str]] = []


class ExportedFile(msgspec.Struct, frozen=True):
    path: str
    size: int
    sha256: str


class Export(msgspec.Struct, frozen=True):
    path: str
    files: list[ExportedFile] = []


class Resources(msgspec.Struct, frozen=True):
    peak_memory_bytes: int = 0
    cpu_s: float = 0.0
    peak_processes: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one load has to say."""

    schema: str = SCHEMA
    tool: Tool
    source: Source
    started: str
    duration_s: float
    verdict: Verdict
    outcome: Outcome
    outcome_detail: str | None = None
    sandbox: SandboxInfo
    files: list[FileInfo] = []
    stages: list[Stage] = []
    recording: Recording = Recording()
    egress: list[Egress] = []
    processes: list[Process] = []
    findings: list[Finding] = []
    tensors: Tensors = Tensors()
    export: Export | None = None
    resources: Resources = Resources()
    notes: list[str] = []
    """Facts a reader should know that are no findings: a key dropped from config.json, a class that
    is not installed, a file that was not opened and why."""


def verdict_of(findings: list[Finding], loaded: bool) -> Verdict:
    """The verdict that findings amount to: high or critical is malicious, medium is suspicious."""
    worst = {finding.severity for finding in findings}
    if worst & {"high", "critical"}:
        return "malicious"
    if "medium" in worst:
        return "suspicious"
    return "clean" if loaded else "unknown"


def encode(report: Report) -> bytes:
    """The report as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def decode(data: bytes) -> Report:
    """Read a saved report back. Raises msgspec.ValidationError when it is not one."""
    return msgspec.json.decode(data, type=Report)
