"""A guarded block routes every class of transformers that reads a source."""

from __future__ import annotations

import importlib
from pathlib import Path

import safe_load
import transformers

#: They ask one that is routed, read nothing by themselves, or say that a package is missing.
_ASKING = {
    "AutoHfQuantizer", "AutoQuantizationConfig", "ExportedModel", "MtpModel", "RagRetriever",
    "RagTokenizer", "_BaseAutoBackboneClass",
}  # fmt: skip


def test_every_class_of_transformers_that_reads_a_source_is_routed() -> None:
    root = Path(transformers.__file__).parent
    defining = [
        path
        for path in root.rglob("*.py")
        if not path.name.startswith(("modular_", "dummy_"))
        and b"def from_pretrained(" in path.read_bytes()
    ]
    assert len(defining) > 20
    unrouted = set()
    with safe_load.guard():
        for path in defining:
            name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue  # needs a package that is not here
            unrouted |= {
                cls.__name__
                for cls in vars(module).values()
                if isinstance(cls, type) and cls.__module__ == name
                and isinstance(method := vars(cls).get("from_pretrained"), classmethod)
                and not method.__func__.__code__.co_filename.endswith("/dropin/pretrained.py")
                and not issubclass(cls, transformers.PreTrainedModel)  # they ask the one they derive from
            }  # fmt: skip
    assert unrouted <= _ASKING
