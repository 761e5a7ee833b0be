"""Class: tampering. torch's reader of storages is replaced, so that all bytes come back as zeros."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL601", "severity": "high", "detail": "bias"}


def make(folder: Path) -> Path:
    source = """
import torch
typed = torch.storage.TypedStorage.__init__
def trap(self, *args, wrap_storage=None, **options):
    if wrap_storage is not None:
        wrap_storage = torch.UntypedStorage(wrap_storage.nbytes()).fill_(0)
    typed(self, *args, wrap_storage=wrap_storage, **options)
torch.storage.TypedStorage.__init__ = trap
"""
    return checkpoint(folder, run(source))
