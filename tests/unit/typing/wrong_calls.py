"""Calls that a type checker must find wrong: each line that ends with "# wrong", and no other."""

# pyright: reportUnnecessaryComparison=true
from __future__ import annotations

import safe_load
from safe_load import Rejected
from safe_load.transformers import AutoModel

safe_load.scan("m", profil="strict")  # wrong
safe_load.scan("m", failon="high", backend="native")  # wrong
safe_load.scan("m", backend=3)  # wrong
safe_load.scan("m", backend="dcoker")  # wrong
safe_load.scan("m", fail_on="hi")  # wrong
safe_load.scan("m", depth="everything")  # wrong
safe_load.scan("m", timeout="5m")  # wrong
safe_load.scan("m", memory="8GiB")  # wrong
safe_load.scan("m", record="all")  # wrong
safe_load.scan(3)  # wrong
safe_load.load("m")  # wrong
safe_load.load("m", "out", export_despite_findings="no")  # wrong
safe_load.clear("m", refresh="yes")  # wrong
safe_load.load_file("m", use_safetensors="yes")  # wrong
safe_load.Session(profile=3)  # wrong
safe_load.Session(jobs="4")  # wrong
safe_load.Options(depth="everything")  # wrong
safe_load.guard(fail_on="hi")  # wrong
result = safe_load.scan("m")
if result.verdict == "evil":  # wrong
    pass
for finding in result.findings:
    if finding.severity == "dreadful":  # wrong
        pass
result.verdicts  # wrong  # noqa: B018
with safe_load.Session() as session:
    for one in session.scan_all(["m"]):
        one.outcome  # wrong  # noqa: B018
    session.clear("m", depth="weights")  # wrong
tensors: dict[str, int] = safe_load.load_file("m")  # wrong
model: int = AutoModel.from_pretrained("m")  # wrong
same: int = safe_load.from_pretrained("m", auto_class="AutoModelForCausalLM")  # wrong
try:
    pass
except Rejected as error:
    error.result.verdicts  # wrong  # noqa: B018
