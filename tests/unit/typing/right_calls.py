"""Calls that are right: a type checker says nothing of them, and gives each value its type."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import safe_load
import torch
from safe_load import (
    Egress,
    Finding,
    Options,
    Progress,
    Rejected,
    Report,
    Result,
    SafeLoadError,
    Session,
    Severity,
    Verdict,
)
from safe_load.transformers import AutoModelForCausalLM, AutoTokenizer, BertModel
from transformers import BertModel as UpstreamBertModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def told(step: Progress) -> None:
    print(step.stage, step.done)


assert_type(safe_load.scan("m"), Result)
assert_type(safe_load.scan(Path("m"), progress=told, fail_on="high", timeout=90), Result)
assert_type(safe_load.load("m", "out", memory=8 << 30, export_despite_findings=True), Result)
assert_type(safe_load.clear("hf://org/name@main", variant="fp16", refresh=True), Path)
assert_type(safe_load.load_file("m"), dict[str, torch.Tensor])
assert_type(safe_load.from_pretrained("m"), PreTrainedModel)
assert_type(safe_load.from_pretrained("m", "AutoTokenizer"), PreTrainedTokenizerBase)
assert_type(AutoModelForCausalLM.from_pretrained("m", revision="main"), PreTrainedModel)
assert_type(AutoTokenizer.from_pretrained("m"), PreTrainedTokenizerBase)
assert_type(BertModel.from_pretrained("m"), UpstreamBertModel)

result = safe_load.scan("m", profile=Path("mine.toml"), backend="docker", runtime="runsc")
assert_type(result.ok, bool)
assert_type(result.verdict, Verdict)
assert_type(result.findings, list[Finding])
assert_type(result.egress, list[Egress])
assert_type(result.report, Report)
assert_type(result.path, Path | None)
assert_type(result.findings[0].severity, Severity)

with Session(profile="strict", jobs=2, depth="weights") as session:
    for one in session.scan_all(["a", Path("b")]):
        assert_type(one, Result)
    for one in session.load_all([("a", "out")]):
        assert_type(one, Result)
    with safe_load.guard(session):
        pass
with safe_load.guard(fail_on="low"):
    pass
try:
    safe_load.load("m", "out", record="full", trace="calls.jsonl")
except Rejected as error:
    assert_type(error.result.verdict, Verdict)
except SafeLoadError as error:
    print(error.exit_code, error.result)
assert_type(Options(depth="run").timeout, float | None)
