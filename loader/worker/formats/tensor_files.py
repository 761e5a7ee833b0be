"""safetensors: a table of tensors, then their numbers. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import nested, pickles, safetensors
from safe_load.worker.formats.interface import Content, Format

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading


class Safetensors(Format):
    """A safetensors file, checked as strictly as what is exported."""

    name, called, loader = "safetensors", "a safetensors file", "safetensors.torch.load_file"

    weights = "all"

    def recognise(self, file: File) -> bool:
        """By the length of its table and the brace that begins it."""
        head = file.head
        return (
            len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= file.size
        )

    def read(self, file: File, reading: Reading) -> Content:
        """Its tensors."""
        plan, notes = safetensors.read(
            file.span,
            reading.limit,
            lambda value: nested.judge(value, reading, pickles.second_look),
        )
        reading.notes += notes
        return Content(self.name, "opened", "read as data", plan)
