"""Protocol buffers written as text: graphs of TensorFlow, models of ONNX, nets of Caffe. Zone: worker.

tf.saved_model.load reads saved_model.pbtxt where there is no saved_model.pb, import_meta_graph and onnx.load take texts
too, and Caffe's nets are always texts. What runs is named as in their binary forms.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import onnx_tensors, saved_model
from safe_load.worker.refusal import bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

#: What such a text has where a message begins.
_MESSAGE = re.compile(
    rb"^[ \t]{0,200}(?:node|node_def|graph|graph_def|meta_graphs|library|layer|layers|model_operations)\s{0,200}:?\s{0,200}[{<]",
    re.MULTILINE,
)
_TOKEN = re.compile(
    rb"\#[^\n]*|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[A-Za-z_]\w*|[{}<>\[\];,]"
)
#: Fields with a text that says what runs, or what is read.
_FIELDS = frozenset((b"op", b"op_type", b"filename", b"module", b"value", b"op_library_filename"))
MAX_TOKENS = 20_000_000
MAX_SHOWN = 50


def look(text: bytes, reading: Reading) -> None:
    """Tell what a graph that is written as text runs and reads. Raises RefusedError for a bomb."""
    if _MESSAGE.search(text) is None:
        return
    for field, said in _texts(text):
        if field in (b"op", b"op_type") and saved_model.reaches(said):
            reading.carries("SL506", f"runs the operator {said}, which reaches out of the graph")
        elif field in (b"filename", b"value") and _leaves(field, said):
            reading.carries("SL505", f"names {said[:200]!a} as a file of its own")
        elif field == b"module":
            reading.carries(
                "SL506", f"has a layer of Python, of the module {said[:100]!a}, which Caffe imports"
            )
        elif field == b"op_library_filename":
            reading.carries(
                "SL506", f"names {said[:200]!a}, a compiled library that its server loads"
            )


def _leaves(field: bytes, said: str) -> bool:
    # Of a value, nobody here knows what it is for: one that climbs is none of a constant's.
    steps = said.replace("\\", "/").split("/")
    return ".." in steps if field == b"value" else onnx_tensors.leaves_folder(said)


def _texts(text: bytes) -> Iterator[tuple[bytes, str]]:
    """Each field that counts, with its text: texts that follow each other are one."""
    field, parts = b"", b""
    for number, found in enumerate(_TOKEN.finditer(text)):
        if number > MAX_TOKENS:
            raise bomb(f"the text has more than {MAX_TOKENS} words")
        token = found[0]
        if token[:1] in (b'"', b"'"):
            parts += token[1:-1] if field in _FIELDS else b""
        elif token[:1] not in b"#[],":
            if parts:
                yield field, _plain(parts)
            field, parts = token, b""
    if parts:
        yield field, _plain(parts)


def _plain(text: bytes) -> str:
    """A text without its escapes, which are those of C."""
    try:
        return codecs.escape_decode(text)[0].decode("utf-8", "replace")
    except ValueError:
        return text.decode("utf-8", "replace")
