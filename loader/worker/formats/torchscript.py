"""What the program in a TorchScript archive reaches besides arithmetic. Zone: worker.

ROOT/code/*.py is the program, in torch's own dialect of Python (torch/csrc/jit/serialization/import_source.cpp): `torch.NAME`
is an operator, so is `ops.LIBRARY.NAME`, and `__torch__` holds the program's own classes and those of libraries. torch compiles it
with a lexer of its own. So nothing here parses it: whatever may name something that reaches out is told, also in comments
and texts. ROOT/bytecode.pkl is the same for phones, with the operators as texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.callables import TORCH_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.zip_archive import Archive, Member

#: What is said of a program that reaches nothing, word for word; the judge weighs it as mild.
COMPUTES = "is TorchScript: it holds a program, whose operators only compute"
MAX_CODE = 16 << 20
#: Characters of a call of getattr.
MAX_CALL = 10_000
#: Libraries of operators that come with torch, or with torchvision and PyTorch Geometric, and compute.
_LIBRARIES = frozenset(
    "aten prim prims quantized _quantized quantized_decomposed sparse mkl mkldnn mkldnn_prepacked onednn prepacked xnnpack"
    " profiler torchvision torch_scatter torch_sparse torch_cluster torch_spline_conv".split()
)
#: Operators of those that write or map files, or call other machines or Python: all that torch 2.13 has.
REACHES = frozenset("save from_file rpc_async rpc_sync rpc_remote PythonOp IgnoredPythonOp".split())
#: What torch's lexer skips between two words.
_GAP = rb"(?:[\s\\]|#[^\n]*\n)*"
_REACHED = re.compile(rb"\." + _GAP + rb"(" + "|".join(sorted(REACHES)).encode() + rb")(?!\w)")
_OPS = re.compile(rb"(?<![\w.])ops(?!\w)(?!\s*:)(?:\.(\w{1,100})\.(\w{1,100}))?")
_CLASSES = re.compile(rb"(?<!\w)__torch__(?!\w)((?:\.\w{1,100}){0,30})(" + _GAP + rb"\.)?")
_OF_TORCH = re.compile(r"\.torch(?!\w)(?:\.classes(?!\w)(?:\.(\w+))?)?(\.\w+)?")
_GETATTR = re.compile(rb"(?<!\w)getattr(?!\w)")
_PIECE = re.compile(rb'"[^"\\\n]*"|[()\'"\\#]')
_OPERATOR = re.compile(rb"([A-Za-z_]\w{0,100})::(\w{1,100})")
_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")
_CLASS = re.compile(rb"torch\.classes\.(\w{1,100})")


def has_functions(archive: Archive, folder: str) -> bool:
    """Whether a module of the program has functions; one without them is the names of parameters."""
    for _, member in _code(archive, folder):
        text = archive.bytes_of(member).whole() if member.name.endswith(".py") else b"def "
        if any(line.lstrip().startswith(b"def ") for line in text.splitlines()):
            return True
    return False


def _code(archive: Archive, folder: str) -> Iterator[tuple[str, Member]]:
    """Its members, with their names in lower case: torch's reader heeds no case."""
    code, bytecode = f"{folder}/code/".lower(), f"{folder}/bytecode.pkl".lower()
    for member in archive.members:
        name = member.name.lower()
        inside = name.startswith(code) and not name.endswith(("/", ".debug_pkl"))
        if inside or name == bytecode:
            yield name, member


def reaches(archive: Archive, folder: str) -> Iterator[str]:
    """A sentence without its subject for each thing that its program may reach."""
    for name, member in _code(archive, folder):
        if member.size > MAX_CODE:
            yield f"holds {member.name[:200]!a}, code of more than {MAX_CODE >> 20} MiB, which is not read"
        elif name.endswith(".py"):
            yield from _of_text(archive.bytes_of(member).whole())
        elif name.endswith("/bytecode.pkl"):
            yield from _of_bytecode(archive.bytes_of(member).whole())
        else:
            yield f"holds {member.name[:200]!a} beside its code, which torch does not write"


def _of_text(text: bytes) -> Iterator[str]:
    for found in _REACHED.finditer(text):
        yield _operator("torch", _shown(found[1]))
    for found in _OPS.finditer(text):
        if found[1] is None:
            yield "gives torch's operators another name"
        elif _shown(found[1]) not in _LIBRARIES:
            yield _operator(_shown(found[1]), _shown(found[2]))
    for found in _CLASSES.finditer(text):
        chain = _OF_TORCH.match(_shown(found[1]))
        if found[2] or not found[1] or (chain is not None and not chain[2]):
            yield "gives classes of libraries another name"
        elif chain is not None and chain[1] and chain[1] not in TORCH_CLASSES:
            yield _class(chain[1])
    for found in _GETATTR.finditer(text):
        if not _takes_number(text, found.end()):
            yield "spells as a text the name of something that it takes"


def _takes_number(text: bytes, at: int) -> bool:
    """Whether the call of getattr whose arguments begin there takes a name that is no identifier. For others torch
    writes a dot."""
    depth, name = 0, b"_"
    for piece in _PIECE.finditer(text, at, at + MAX_CALL):
        if len(piece[0]) > 1:
            name = piece[0][1:-1]
        elif piece[0] not in b"()":
            return False
        else:
            depth += 1 if piece[0] == b"(" else -1
        if depth <= 0:
            last = text[: piece.start()].endswith(b'"') if piece[0] == b")" else False
            return last and _IDENTIFIER.fullmatch(name) is None
    return False


def _of_bytecode(data: bytes) -> Iterator[str]:
    for library, name in dict.fromkeys(_OPERATOR.findall(data)):
        if _shown(library) not in _LIBRARIES or _shown(name) in REACHES:
            yield _operator(_shown(library), _shown(name))
    for found in dict.fromkeys(_CLASS.findall(data)):
        if _shown(found) not in TORCH_CLASSES:
            yield _class(_shown(found))


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _operator(library: str, name: str) -> str:
    return f"calls the operator {library}.{name}, which may reach out of the program"


def _class(library: str) -> str:
    return f"uses classes of the library {library}, which may reach out of the program"
