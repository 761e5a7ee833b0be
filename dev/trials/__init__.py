"""What a trial is: a library loads by its own calls what it wrote, in a guarded block and from a cleared copy."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Distribution -> the module that is imported, the calls that are tried, and the trial. It gives what is
#: worth a word, and raises AssertionError where a value is not what it was.
TRIALS: dict[str, tuple[str, str, Callable[[Path], str]]] = {}


def trial(distribution: str, module: str, calls: str) -> Callable[..., Any]:
    """Enter a function in the table."""

    def enter(function: Callable[[Path], str]) -> Callable[[Path], str]:
        TRIALS[distribution] = module, calls, function
        return function

    return enter


def same(one: Any, other: Any) -> None:
    """Two modules hold the same weights; `other` may be a state dict."""
    import torch

    expected = one.state_dict()
    got = other if isinstance(other, dict) else other.state_dict()
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(value, got[name].to(value.dtype)), name


def gpt2() -> Any:
    """A tiny language model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=99, n_positions=32)
    )


@cache
def room() -> Any:
    """The warm sandbox of this process's guards, kept from one trial to the next."""
    from safe_load.dropin import warm

    return warm.acquire({})


def cleared(source: Path) -> Path:
    """A cleared copy, of a source without findings."""
    return Path(room().clear(source))


def use_it(folder: Path, **names: Any) -> dict[str, Any]:
    """Run what a report prints under "Use it" for this cleared copy. names: what the lines leave to the
    reader. Returns what they made."""
    import msgspec
    from safe_load.core import report, typed
    from safe_load.export.publish import REPORT
    from safe_load.render import story

    written = typed.decode((folder / REPORT).read_bytes(), report.Report)
    assert written.export is not None
    files = [
        report.ExportedFile(str(path.relative_to(folder)), path.stat().st_size, report.Digests(""))
        for path in folder.rglob("*.safetensors")
    ]
    export = msgspec.structs.replace(written.export, path=str(folder), files=files)
    exec("\n".join(story.next_step(msgspec.structs.replace(written, export=export))), names)
    return names


def complete_torchvision() -> None:
    """Let torchvision be imported beside a torch without CUDA, for which its wheel on PyPI is not built. Its own
    operators are not there then; it describes two of them all the same. No trial uses them."""
    import torch

    if find_spec("torchvision") is not None and torch.version.cuda is None:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
