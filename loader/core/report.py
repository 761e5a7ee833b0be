"""The report of one load, as it stands in JSON (schema safe-load/report/1).

Zone: controller. Every string of a model's is hostile text: kept as it is here, escaped where it is shown (render/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from safe_load.core import typed
from safe_load.core.card import Card  # noqa: TC002 (msgspec reads it)
from safe_load.core.histogram import Histogram  # noqa: TC002 - msgspec looks it up
from safe_load.core.outside_words import Advisories, HubWord
from safe_load.core.signed import Attestation, Signature  # noqa: TC002 (msgspec reads them)
from safe_load.core.tool_report import Connection, Offer  # noqa: TC002 - msgspec reads them
from safe_load.core.weights import Weights  # noqa: TC002 - msgspec reads the types of fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


SCHEMA = "safe-load/report/1"
#: Of a document that holds the reports of several sources.
RUN_SCHEMA = "safe-load/reports/1"

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
Verdict = Literal["clean", "suspicious", "malicious", "unknown"]
Outcome = Literal["ok", "rejected", "not_loadable", "sandbox_error", "limit_hit", "interrupted"]
FileState = Literal["opened", "data", "not_judged", "left_out", "attested"]
Decision = Literal["allowed", "denied", "redirected"]
#: Tensors that a report names one by one. The largest language models of one file have some hundred.
MOST_LISTED = 1000
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


Vouched = Literal["trust file", "hub", "list", "unknown"]


class Source(msgspec.Struct, frozen=True):
    """publisher: the organisation or user that the name gives; vouched: what speaks for it: the user's trust file, the
    hub's mark of a verified organisation, the list of known publishers, or nothing. pinned: whether the user named the
    full commit, None where nothing is published; pin: the name to write instead."""

    path: str
    revision: str | None = None
    publisher: str | None = None
    vouched: Vouched = "unknown"
    pinned: bool | None = None
    pin: str | None = None
    hub: HubWord | None = None


class Setting(msgspec.Struct, frozen=True):
    """One choice that the load went by. origin ("from" in JSON): "default", "argument" of a Python
    call, "profile NAME", a flag, a variable, or the path of a configuration file."""

    name: str
    value: str | int | float | bool
    origin: str = msgspec.field(name="from")


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
    weaknesses: list[str] = []


class FileInfo(msgspec.Struct, frozen=True):
    """One regular file of the source. path: relative to the source; format: as the bytes say.

    state: "opened": read as data, and tried as its usual loaders would; "data": proven to carry no
    code; "not_judged": may carry code, and was not opened; "left_out": the same where a load has no
    need of it; "attested": somebody trusted opened it, and nothing was opened here. why: one clause on the state.
    """

    path: str
    size: int
    sha256: str | None
    format: str
    state: FileState = "not_judged"
    why: str = ""


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
    """Data that a model tried to send; nothing left the room. t: seconds since the load began;
    domain: the name that was looked up before; payload_preview: the first bytes of payload_bytes;
    carries: what was planted in the room and is in the data, e.g. "an SSH key"."""

    t: float
    protocol: str
    address: str
    port: int | None
    domain: str | None
    payload_preview: str
    payload_bytes: int
    carries: list[str] = []


class Process(msgspec.Struct, frozen=True):
    """A program that was executed, or that something inside tried to execute."""

    t: float
    pid: int
    ppid: int
    argv: list[str]


class Origin(msgspec.Struct, frozen=True):
    """The call in a model's file that a finding is about, or comes from.

    file: its path; member: the part of an archive, "" for the file itself; offset: bytes within the member; at:
    bytes within the file, None where the member is packed; callable: what is called; arguments: what it is
    given, as Python would show it, cut.
    """

    file: str
    member: str
    offset: int
    at: int | None
    callable: str
    arguments: str = ""


class AcceptedBy(msgspec.Struct, frozen=True):
    """The exception that covers a finding. sha256: of the file that it is about; reason: the user's; until:
    the last day; origin ("from" in JSON): the configuration file that says so, or "argument"."""

    sha256: str
    reason: str
    until: str
    origin: str = msgspec.field(name="from")


class Finding(msgspec.Struct, frozen=True):
    """One statement against a model. id: SLnnn, see docs/findings.md; location: the file, and the place in it;
    evidence: indices into recording.events; origin: the call in a file, where it is known; line: of a file of text,
    from 1; accepted: the user's exception, for which the finding does not count."""

    id: str
    severity: Severity
    title: str
    detail: str
    location: str = ""
    evidence: list[int] = []
    origin: Origin | None = None
    line: int | None = None
    accepted: AcceptedBy | None = None


class Decoy(msgspec.Struct, frozen=True):
    """A fake credential that was planted in the room and that something in it opened. what: e.g. "an SSH key"."""

    path: str
    what: str


class Tensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tensor. dtype: as safetensors spells it; bytes: its size; histogram: where one was asked for."""

    name: str
    dtype: str
    shape: list[int]
    bytes: int
    histogram: Histogram | None = None


class Tensors(msgspec.Struct, frozen=True):
    """What the weights hold. bytes: of the exported tensors, tied ones counted once. first, last: names, in
    the order of the files; "" where there is none. listed: the first MOST_LISTED tensors, tied ones once."""

    count: int = 0
    parameters: int = 0
    bytes: int = 0
    dtypes: dict[str, int] = {}
    tied: list[list[str]] = []
    first: str = ""
    last: str = ""
    listed: list[Tensor] = []


class Digests(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Of one exported file, in hex. sha256: None where nobody asked for it; left out of JSON then."""

    blake3: str
    sha256: str | None = None


class ExportedFile(msgspec.Struct, frozen=True):
    path: str
    size: int
    digests: Digests


Reader = Literal[
    "transformers", "sentence-transformers", "diffusers-pipeline", "diffusers-model",
    "timm", "open_clip", "peft", "lora",
]  # fmt: skip


class Export(msgspec.Struct, frozen=True):
    path: str
    files: list[ExportedFile] = []
    reader: Reader | None = None


class Resources(msgspec.Struct, frozen=True):
    peak_memory_bytes: int = 0
    cpu_s: float = 0.0
    peak_processes: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one load; docs/report.md describes each field."""

    schema: str = SCHEMA
    tool: Tool
    source: Source
    signature: Signature | None = None
    attestation: Attestation | None = None
    card: Card | None = None
    started: str
    duration_s: float
    settings: list[Setting] = []
    verdict: Verdict
    outcome: Outcome
    outcome_detail: str | None = None
    sandbox: SandboxInfo
    files: list[FileInfo] = []
    stages: list[Stage] = []
    recording: Recording = Recording()
    egress: list[Egress] = []
    processes: list[Process] = []
    decoys: list[Decoy] = []
    connections: list[Connection] = []
    """Of a tool: what was handed to the controller. `egress` has what was not."""
    offers: list[Offer] = []
    """Of an MCP server that was inspected."""
    findings: list[Finding] = []
    advisories: Advisories = Advisories()
    tensors: Tensors = Tensors()
    export: Export | None = None
    weights: Weights | None = None
    resources: Resources = Resources()
    notes: list[str] = []
    """Facts a reader should know that are no findings: a key dropped from config.json, a class that
    is not installed, a file that was not opened and why."""

    @property
    def ran(self) -> bool:
        """Whether the model was loaded, and not only read: not at depth static."""
        return all(each.name != "depth" or each.value != "static" for each in self.settings)


class LeftAlone(msgspec.Struct, frozen=True):
    """Files of a tree that belong to no source. reason: why; paths: the first of them."""

    reason: str
    count: int
    paths: list[str] = []


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One document of the reports of several sources. sources: by verdict; exit_code: of the whole run, as far as
    the sources decide it."""

    schema: str = RUN_SCHEMA
    tool: Tool
    sources: dict[str, int]
    exit_code: int
    left_alone: list[LeftAlone] = []
    reports: list[Report] = []


class Reports(list[Report]):
    """The reports of one run. left_alone: what the trees that were given hold besides their sources."""

    def __init__(
        self, reports: Iterable[Report] = (), left_alone: Sequence[LeftAlone] = ()
    ) -> None:
        super().__init__(reports)
        self.left_alone = list(left_alone)


def verdict_of(findings: list[Finding], loaded: bool) -> Verdict:
    """The verdict that findings amount to: high or critical is malicious, medium is suspicious."""
    worst = {finding.severity for finding in findings if finding.accepted is None}
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
    return typed.decode(data, Report)
