"""What a report says, put the way people ask for it. Shared by the formats that people read.

The strings in it are still hostile: each format makes them visible where it writes them down.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safe_load.core.report import SEVERITIES, Reports
from safe_load.core.units import format_limit, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Export, Finding, Outcome, Reader, Report, Setting

Tone = Literal["good", "warn", "bad", "plain"]

OUTCOMES: dict[Outcome, str] = {
    "ok": "ok",
    "rejected": "rejected",
    "not_loadable": "not loadable",
    "sandbox_error": "sandbox error",
    "limit_hit": "limit hit",
    "interrupted": "interrupted",
}
_MARKS: dict[Tone, str] = {"good": "✓", "warn": "!", "bad": "✗", "plain": "?"}
_TONES: dict[str, Tone] = {
    "clean": "good",
    "suspicious": "warn",
    "malicious": "bad",
    "sandbox error": "bad",
    "limit hit": "bad",
}

#: Characters of a tensor's name beside others.
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Headline:
    """mark: one character. word: "clean", "malicious", "not loadable", "malicious, limit hit" ..."""

    mark: str
    word: str
    tone: Tone
    source: str
    sandbox: str


def headline(report: Report) -> Headline:
    """The one line that answers "can I use it?"."""
    word: str = report.verdict
    if report.outcome not in ("ok", "rejected"):
        ended = OUTCOMES[report.outcome]
        word = f"{word}, {ended}" if word in ("suspicious", "malicious") else ended
    tone = _TONES.get(word.partition(",")[0], "plain")
    if report.attestation is not None and report.attestation.instead:
        word += " (attested, not opened here)"
    elif not report.ran:
        word += " (nothing was run)"
    source = report.source.path
    if report.source.revision and report.source.revision not in source:
        source += f"{' at ' if '@' in source else '@'}{report.source.revision}"
    return Headline(_MARKS[tone], word, tone, source, sandbox(report))


def sandbox(report: Report) -> str:
    """Where it was opened: "docker (runsc), tier A, 2.1 s"."""
    room = report.sandbox
    runtime = f" ({room.runtime})" if room.runtime else ""
    tier = f"tier {room.tier}" if room.tier else "no tier"
    if report.attestation is not None and report.attestation.instead:
        return f"no room, {report.duration_s:.1f} s"
    return f"{room.backend}{runtime}, {tier}, {report.duration_s:.1f} s"


def outcome(report: Report) -> str:
    """How the load ended, in one sentence. Empty when there is nothing to add to the headline."""
    detail = report.outcome_detail or ""
    if report.outcome == "ok":
        return detail
    word = OUTCOMES[report.outcome]
    return f"{word}: {detail}" if detail else word


def worst_first(reports: Sequence[Report]) -> list[Report]:
    """The reports, those that need a reader first; equal ones in their order."""
    tones: tuple[Tone, ...] = ("bad", "warn", "plain", "good")
    ranks = ("critical", "high", "medium", "low")

    def rank(report: Report) -> tuple[int, int, int]:
        worst = by_severity(report.findings)[:1]
        severity = ranks.index(worst[0].severity) if worst else len(ranks)
        known = report.verdict != "malicious"
        return known, tones.index(headline(report).tone), severity

    return sorted(reports, key=rank)


def counting(report: Report) -> list[Finding]:
    """The findings that no exception of the user's covers, worst first."""
    return by_severity([finding for finding in report.findings if finding.accepted is None])


def accepted(finding: Finding) -> str:
    """Why a finding does not count, "" where it does: "accepted until 2027-01-01: reviewed (safe-load.toml)"."""
    if finding.accepted is None:
        return ""
    by = finding.accepted
    return f"accepted until {by.until}: {by.reason} ({by.origin})"


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, worst first, otherwise in the order of the report."""
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))


def weights(report: Report) -> str:
    """What the weights hold: "199 tensors, 124.4 M parameters, 548.1 MB, float32"."""
    held = report.tensors
    if not held.count:
        return ""
    dtypes = ", ".join(held.dtypes)
    parts = [
        plural(held.count, "tensor"),
        f"{amount(held.parameters)} parameters",
        format_size(held.bytes),
        *([dtypes] if dtypes else []),
        *([plural(len(held.tied), "tied group")] if held.tied else []),
    ]
    return ", ".join(parts)


def names(report: Report) -> str:
    """The first and the last tensor's name: what tells which library's names these are."""
    held = report.tensors
    if held.count < 2 or not held.last:
        return _clipped(held.first)
    return f"{_clipped(held.first)} … {_clipped(held.last)}"


def _clipped(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def files(report: Report) -> str:
    """What was read: "7 files, 1.9 GB"."""
    return f"{plural(len(report.files), 'file')}, {format_size(sum(f.size for f in report.files))}"


def unsafe_profile(report: Report) -> str:
    """In what the profile is weaker than the shipped one, "" where it is not."""
    if not report.sandbox.weaknesses:
        return ""
    return f"unsafe profile {report.sandbox.profile}: {'; '.join(report.sandbox.weaknesses)}"


def signed(report: Report) -> str:
    """Who signed the source, or why nobody is known to have; "" where no signature lies with it."""
    if (found := report.signature) is None:
        return ""
    if found.state == "verified":
        return f"by {found.signer}: {plural(found.covered, 'file')}, in {found.file}"
    return f"{found.state}: {found.file}"


def settings(report: Report) -> str:
    """The settings that somebody chose, and where; "" where none was."""
    chosen = [
        f"{one.name} {_shown(one)} ({one.origin})"
        for one in report.settings
        if one.origin != "default" and not one.origin.startswith("profile ")
    ]
    return ", ".join(chosen)


def _shown(setting: Setting) -> str:
    """Sizes and times in the units in which people set them."""
    value = setting.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if setting.name in ("memory", "max-shard-size") and isinstance(value, int):
        return format_limit(value)
    if setting.name == "timeout" and isinstance(value, int | float):
        return f"{value:g} s"
    return str(value)


def caveats(report: Report) -> list[str]:
    """What weakens the report's word: a weaker profile, walls that do not stand in full, a record with
    gaps."""
    weak = [wall for wall in report.sandbox.walls if wall.state != "standing"]
    said = [
        f"wall {wall.name}: {wall.state}" + (f", {wall.detail}" if wall.detail else "")
        for wall in weak
    ]
    if report.sandbox.tier == "B" and weak:
        weaker = plural(len(weak), "wall")
        said = [f"tier B, the cell alone: {weaker} weaker than in tier A; see docs/backends.md"]
    if unsafe := unsafe_profile(report):
        said.insert(0, unsafe)
    if not report.recording.complete:
        lost = report.recording.dropped
        said.append(
            "the record is incomplete" + (f": {plural(lost, 'event')} dropped" if lost else "")
        )
    return said


#: What reads an export, in its own words. {0}: the folder, {1}: "local-dir:" and the folder, {2}: the weights.
_CALLS: dict[Reader, list[str]] = {
    "transformers": [
        "from transformers import AutoModel",
        "model = AutoModel.from_pretrained({0})",
    ],
    "sentence-transformers": [
        "from sentence_transformers import SentenceTransformer",
        "model = SentenceTransformer({0})",
    ],
    "diffusers-pipeline": [
        "from diffusers import DiffusionPipeline",
        "pipeline = DiffusionPipeline.from_pretrained({0})",
    ],
    "diffusers-model": [
        "from diffusers import AutoModel",
        "model = AutoModel.from_pretrained({0})",
    ],
    "timm": ["import timm", "model = timm.create_model({1}, pretrained=True)"],
    "open_clip": ["import open_clip", "model = open_clip.create_model({1})"],
    "peft": [
        "from peft import PeftModel",
        "# base: the model that the adapter was made for, loaded by you",
        "model = PeftModel.from_pretrained(base, {0})",
    ],
    "lora": [
        "# pipeline: of diffusers, with the model that the LoRA was made for, loaded by you",
        "pipeline.load_lora_weights({2})",
    ],
}


def next_step(report: Report) -> list[str]:
    """Python that uses what was exported, [] when nothing was."""
    if report.export is None:
        return []
    names = [file.path for file in report.export.files]
    if report.export.reader is not None:
        return [line.format(*_places(report.export)) for line in _CALLS[report.export.reader]]
    weights = [name for name in names if name.endswith(".safetensors")]
    if not weights:
        return []
    if len(weights) == 1:
        path = f"{report.export.path.rstrip('/')}/{weights[0]}"
        return ["from safetensors.torch import load_file", f"state = load_file({_literal(path)})"]
    lines = ["from pathlib import Path", "from safetensors.torch import load_file", "state = {}"]
    lines.append(
        f'for file in sorted(Path({_literal(report.export.path)}).rglob("*.safetensors")):'
    )
    indexes = [name for name in names if name.endswith(".safetensors.index.json")]
    if len(indexes) == 1 and all("-of-" in name for name in weights):
        return [*lines, "    state |= load_file(file)"]
    return [*lines, "    state[str(file)] = load_file(file)"]


def _places(export: Export) -> tuple[str, str, str]:
    """The folder as a literal, the same as open_clip and timm take one, and its first file of weights."""
    weights = [file.path for file in export.files if file.path.endswith(".safetensors")]
    first = f"{export.path.rstrip('/')}/{weights[0]}" if weights else export.path
    return _literal(export.path), _literal(f"local-dir:{export.path}"), _literal(first)


def _literal(text: str) -> str:
    """A Python string literal in double quotes: JSON's escapes mean the same in Python."""
    return json.dumps(text)


def totals(reports: Sequence[Report]) -> str:
    """One line over several sources: "3 sources: 1 malicious, 2 clean"."""
    words = Counter(headline(report).word for report in reports)
    counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{plural(len(reports), 'source')}: {counted}" if words else "no sources"


def left_alone(reports: Sequence[Report]) -> list[str]:
    """What the trees that were given hold besides their sources: "12 files: excluded by --exclude"."""
    left = reports.left_alone if isinstance(reports, Reports) else []
    return [f"{plural(each.count, 'file')} left alone: {each.reason}" for each in left]


def amount(count: int) -> str:
    """A count for people: 512, 66.4 M, 7.2 B."""
    size = float(count)
    for unit in ("", "k", "M", "B"):
        if abs(size) < 1000:
            return f"{size:.1f} {unit}" if unit else str(count)
        size /= 1000
    return f"{size:.1f} T"


def plural(count: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
