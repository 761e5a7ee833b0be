"""make demo: clear a real model, then a booby-trapped copy of it, and check every promise made on the way.

Works in .demo/, which it empties first. Exits with 1 as soon as something is not as promised.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo import encoder, payload

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".demo"
COMMAND = Path(sys.executable).parent / "safe-load"
SENTENCES = ["A sealed room has one door.", "The weights leave, the code stays."]


def say(text: str) -> None:
    print(text, flush=True)


def check(promise: str, kept: bool, otherwise: object = "") -> None:
    """Tick the promise off, or end the demo."""
    if not kept:
        say(f"  FAILED  {promise}\n          {otherwise}")
        raise SystemExit(1)
    say(f"  ok      {promise}")


def safe_load(*arguments: str) -> int:
    """Run the installed command on this terminal, as a user would. Returns its exit code."""
    say(f"\n$ safe-load {' '.join(arguments)}")
    began = time.monotonic()
    code = subprocess.run(
        [COMMAND, *arguments], check=False, cwd=ROOT, stdin=subprocess.DEVNULL
    ).returncode
    say(f"[exit code {code}, {time.monotonic() - began:.1f} s]\n")
    return code


def tensors_in(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def embed(weights: Path, tokenizer: Path) -> torch.Tensor:
    """Sentence vectors by stock transformers, with the mean over each sentence's tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModel.from_pretrained(weights, local_files_only=True).eval()
    batch = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)(
        SENTENCES, padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean: torch.Tensor = (hidden * mask).sum(1) / mask.sum(1)
    return mean


def honest_model(source: Path) -> None:
    say("1. A real model whose weights are in a pickle: .demo/encoder/pytorch_model.bin")
    encoder.write_as_pickle(source, WORK / "encoder", {})
    code = safe_load("load", ".demo/encoder", "-o", ".demo/cleared")
    check("the honest model passes: exit code 0", code == 0, f"exit code {code}")

    before, after = tensors_in(source), tensors_in(WORK / "cleared")
    check(
        "the cleared copy has every tensor, and no other",
        before.keys() == after.keys(),
        before.keys() ^ after.keys(),
    )
    changed = [name for name in before if not _same_bits(before[name], after[name])]
    check(f"all {len(before)} tensors are the same to the last bit", not changed, changed)
    left = sorted(
        path.name
        for path in (WORK / "cleared").rglob("*")
        if path.suffix in {".bin", ".py", ".pkl", ".pt"}
    )
    check("no pickle and no code is in the cleared copy", not left, left)
    gap = (embed(source, source) - embed(WORK / "cleared", source)).abs().max().item()
    check(
        "stock transformers reads it and gives the same sentence vectors",
        gap <= 1e-6,
        f"they differ by {gap}",
    )


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
    )


def trapped_model(source: Path) -> None:
    say(
        "\n2. The same weights with a trap in the pickle: it reads an SSH key, sends it away and runs a program"
    )
    canary = WORK / "canary"
    encoder.write_as_pickle(source, WORK / "trapped", {"trap": payload.Payload(canary)})
    report_file = WORK / "trapped.json"
    code = safe_load(
        "load",
        ".demo/trapped",
        "-o",
        ".demo/trapped-cleared",
        "--report",
        f"json={report_file.relative_to(ROOT)}",
    )
    check("the trapped model is rejected: exit code 1", code == 1, f"exit code {code}")
    check("nothing was exported", not (WORK / "trapped-cleared").exists())
    check("the program did nothing: its file is not there", not canary.exists())

    report: dict[str, Any] = json.loads(report_file.read_bytes())
    programs = [" ".join(process["argv"]) for process in report["processes"]]
    ran = [program for program in programs if str(canary) in program]
    check("the report names the program it tried to run", bool(ran), programs)
    lines = [f"{egress['address']}:{egress['port']}" for egress in report["egress"]]
    target = ":".join(map(str, payload.ADDRESS))
    check("the report names the address it tried to reach", target in lines, lines)
    opened = [str(event["args"].get("path", "")) for event in report["recording"]["events"]]
    secrets = [path for path in opened if path.endswith(payload.SECRET)]
    check(
        "the report names the secret it tried to read",
        bool(secrets),
        "no event's path ends with " + payload.SECRET,
    )
    check("the verdict is malicious", report["verdict"] == "malicious", report["verdict"])

    say("\nWhat happened, in short")
    say("  The honest encoder went in as a pickle and came out as safetensors, equal bit for bit.")
    say("  The trapped copy was opened in the sealed room, where it tried to")
    say(f"    read   {secrets[0]}")
    say(f"    reach  {target}")
    say(f"    run    {ran[0]}")
    say("  None of it left the room, no file was exported, and all of it is in .demo/trapped.json.")


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    source = encoder.installed_folder()
    honest_model(source)
    trapped_model(source)


if __name__ == "__main__":
    main()
