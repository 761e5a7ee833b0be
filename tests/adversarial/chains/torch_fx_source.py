"""Class: chain. torch.fx runs the source of a module that it made."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "_exec_with_source"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("torch.fx.graph_module:_exec_with_source", code(folder), {}))
