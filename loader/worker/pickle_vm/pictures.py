"""Pictures as a pickle of Pillow holds them: mode, size, palette and dots. Zone: worker.

PIL/Image.py (9 to 13), Image.__setstate__, makes room for a picture of the size that stands there and decodes the
bytes into it. So the size must be that of the bytes: anything else is no honest picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safe_load.worker.pickle_vm import held
from safe_load.worker.pickle_vm.arguments import expect, fields, integer, need
from safe_load.worker.spans import as_span

if TYPE_CHECKING:
    from safe_load.worker.pickle_vm.values import Stub

#: Mode -> bits of a dot, as Image.tobytes gives them.
_BITS = {
    "1": 1,
    **dict.fromkeys(("L", "P"), 8),
    **dict.fromkeys(("LA", "PA", "La", "I;16", "I;16L", "I;16B"), 16),
    **dict.fromkeys(("RGB", "YCbCr", "LAB", "HSV"), 24),
    **dict.fromkeys(("RGBA", "RGBX", "RGBa", "CMYK", "I", "F"), 32),
}
#: Its classes: a picture, and one that was opened from a file and holds that file's name besides.
CLASSES = (
    "PIL.Image.Image",
    "PIL.PngImagePlugin.PngImageFile",
    "PIL.JpegImagePlugin.JpegImageFile",
)


def check(stub: Stub, _: dict[Any, Any], __: object) -> None:
    """Raises UnexpectedArgument for a picture that is none. See native_states.check."""
    for state in stub.state:
        parts = expect(state, list)
        info, mode, size, palette, data, *more = fields(tuple(parts), 5, 8)
        wide, high = map(integer, fields(size, 2, 2))
        bits = _BITS[expect(mode, str)] * wide
        span = as_span(data)
        need(span is not None and span.length == (bits + 7) // 8 * high)
        need(palette is None or len(expect(palette, list)) <= 1024)
        need(held.is_data([expect(info, dict), palette, more]))
