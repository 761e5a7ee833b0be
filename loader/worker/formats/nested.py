"""Pickles and programs that stand as values in a file: as bytes, in base64, in hexadecimal, as text. Zone: worker.

Loading the file runs none of them. They are judged since programs that read such files unpickle or run them, and
since weights have no use for them.
"""

from __future__ import annotations

import ast
import base64
import binascii
import re
import textwrap
import warnings
from typing import TYPE_CHECKING

from safe_load.worker.formats import value_calls
from safe_load.worker.formats.interface import MAX_DEPTH as MAX_PACKED
from safe_load.worker.formats.interface import File
from safe_load.worker.pickle_vm.describe import describe
from safe_load.worker.pickle_vm.values import Stub, parts_of
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.worker.formats.interface import Reading

    #: pickles.second_look
    Unpickle = Callable[[File, Reading], object]

#: Values looked at in one file; pickles within it, and how deep they lie in each other.
MAX_VALUES, MAX_PICKLES, MAX_DEPTH = 20_000_000, 1000, 8
#: Bytes of the shortest pickle that calls something ("cos\na\n(tR."), and of a value that is looked at.
_SHORTEST, _LONGEST = 10, 64 << 20
#: Characters of a text that is read as a program.
_PROGRAM = 64 << 10

#: A pickle of protocol 2 to 5 in base64, and what may not stand before it: then it is the middle of something.
_IN_TEXT = re.compile(rb"gA[I-X][A-Za-z0-9+/]{12,}={0,2}")
_INNER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}\s*")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)\s*")
#: Opcodes with which a pickle that calls something can begin (Lib/pickletools.py), but for the rarest.
_FIRST = b"\x80ci(]})\x95\x8c"
#: What a pickle may be packed in: gzip, bzip2, xz, zlib, an array of objects.
_PACKED = (
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"\x93NUMPY",
)
#: CPython opens the file of this name to show the line of a SyntaxError (Python/errors.c, PyErr_ProgramText).
_NO_FILE = "/dev/null"
#: What a program that is worth a parse has.
_MARK = re.compile(
    r"\b(?:exec|eval|__import__|os|posix|nt|subprocess|pty|runpy|importlib|__\w+__)\b"
)
_RUNS = re.compile(
    r"(?:builtins\.)?(?:exec|eval|__import__)|(?:os|posix|nt)\.(?:system|popen|startfile|(?:posix_)?spawn\w*|exec[lv]\w*)"
    r"|subprocess\.(?:run|call|check_call|check_output|Popen|getoutput|getstatusoutput)|pty\.spawn|runpy\.run_\w+"
    r"|importlib\.import_module"
)
#: The same in a program that is too long for a parse.
_IMPORTS = re.compile(r"^[ \t]{0,40}(?:import|from)[ \t]{1,9}[A-Za-z_]", re.MULTILINE)
_CALLED = re.compile(
    r"(?<![\w.])((?:builtins\.)?(?:exec|eval|__import__)|(?:os|posix|nt)\.(?:system|popen|exec[lv]\w{0,9}|spawn\w{0,9})"
    r"|subprocess\.\w{1,20}|pty\.spawn|runpy\.\w{1,20})[ \t]{0,9}\("
)
#: The modules of these, of which a program may also take something by a text.
_POWERFUL = frozenset("os posix nt subprocess pty runpy builtins __builtins__".split())
#: Attributes by which a value leads to Python's own.
_LEADS = frozenset("__subclasses__ __globals__ __builtins__".split())


def encoded(text: bytes) -> Iterator[re.Match[bytes]]:
    """Where pickles may stand in a text, in base64."""
    for found in _IN_TEXT.finditer(text):
        if not found.start() or text[found.start() - 1] not in _INNER:
            yield found


def look(root: object, reading: Reading, unpickle: Unpickle) -> None:
    """Judge the texts and bytes within a value. Raises RefusedError beyond a bound."""
    called = value_calls.Called(reading)
    sources: list[object] = []  # what a finding of its own calls the code that the file brings
    seen, left = set[int](), MAX_VALUES
    for todo, are_sources in (([root], False), (sources, True)):
        while todo:
            item = todo.pop()
            left -= 1
            if left < 0:
                raise bomb("the file holds more values than safe-load looks through")
            if isinstance(item, (str, bytes, bytearray, Span)):
                if isinstance(item, Span) or len(item) >= _SHORTEST:
                    judge(item, reading, unpickle, is_source=are_sources)
            elif id(item) not in seen:
                parts = parts_of(item)
                if isinstance(item, Stub):
                    (sources if item.trust == "code" else parts).extend((item.args, item.kwargs))
                    parts += (item.state, item.items, item.pairs)
                if parts:
                    seen.add(id(item))
                    todo.extend(parts)
                    called.look(item)
    called.end()


def judge(
    value: str | bytes | bytearray | Span,
    reading: Reading,
    unpickle: Unpickle,
    *,
    is_source: bool = False,
) -> None:
    """Judge one value. is_source: its texts are known to be programs. Raises RefusedError beyond a bound."""
    if isinstance(value, str) and not is_source and (call := runs(value)):
        reading.carries(
            "SL506",
            f"holds a text that is a Python program and calls {call}: {describe(value)[:120]}; "
            "loading the file does not run it",
        )
    for span in _read_as_bytes(value):
        if _SHORTEST <= span.length <= _LONGEST:
            _judge_bytes(span, reading, unpickle)


def _judge_bytes(span: Span, reading: Reading, unpickle: Unpickle) -> None:
    """Judge what a value is as bytes: a pickle by its first byte and its last, or what a pickle may be packed in."""
    first, last = span.read(0, 1)[0], bytes(span.read(span.length - 1, 1))
    if first == 0x80 or (first in _FIRST and last == b"."):
        _unpickle(span, reading, unpickle)
    elif bytes(span.read(0, min(6, span.length))).startswith(_PACKED):
        try:
            reading.judge(File("value, packed", span))
        except RefusedError as refusal:
            if refusal.status == "bomb" or reading.depth >= MAX_PACKED:
                raise  # else it only begins as such a file


def runs(text: str) -> str:
    """The dotted name of what runs commands or code in a text that is a Python program, "" where it is none."""
    if not _MARK.search(text):
        return ""
    if len(text) > _PROGRAM:
        found = _CALLED.search(text) if _IMPORTS.search(text) else None
        return found[1] if found else ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that is none
            tree = ast.parse(textwrap.dedent(text).strip(), _NO_FILE)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    other = _other_names(tree)
    return next(filter(None, (_run_by(node, other) for node in ast.walk(tree))), "")


def _run_by(node: ast.AST, other: dict[str, str]) -> str:
    """What one node of a program calls that runs commands or code, or takes to do so; "" for nothing."""
    if isinstance(node, ast.Attribute) and node.attr in _LEADS:
        return node.attr
    if not isinstance(node, ast.Call):
        return ""
    name = _dotted(node.func, other)
    if name == "getattr" and node.args:
        owner = _dotted(node.args[0], other)
        return f"getattr of {owner}" if owner in _POWERFUL else ""
    return name if _RUNS.fullmatch(name) else ""


def _other_names(tree: ast.AST) -> dict[str, str]:
    """The names that a program's imports give to modules and to what it takes of them."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom) and node.module in _POWERFUL:
            for each in node.names:
                names = _STARRED if each.name == "*" else (each.name,)
                found |= {each.asname or name: f"{node.module}.{name}" for name in names}
    return found


#: What `from os import *` and the like give a program.
_STARRED = ("system", "popen", "execv", "spawnv", "run", "call", "Popen", "check_output", "spawn")


def _dotted(node: ast.expr, other: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([other.get(node.id, node.id), *reversed(parts)])


def _read_as_bytes(value: str | bytes | bytearray | Span) -> list[Span]:
    """What a value may stand for."""
    if isinstance(value, Span):
        return [value]
    if isinstance(value, str):
        return list(map(_in_memory, _decoded(value)))
    found = [_in_memory(bytes(value))]
    if value.isascii():
        found += map(_in_memory, _decoded(value.decode("ascii")))
    return found


def _decoded(text: str) -> Iterator[bytes]:
    if not _SHORTEST <= len(text) <= _LONGEST:
        return
    plain = text.rstrip()
    if plain.endswith(".") and plain.isascii():
        yield plain.encode("ascii")  # protocol 0 is text
    if len(text) % 2 == 0 and (found := _HEX.fullmatch(text)):
        yield bytes.fromhex(found[1])
    if _BASE64.fullmatch(text):
        try:
            yield base64.b64decode(text.strip().translate(_URL_SAFE))
        except (binascii.Error, ValueError):
            return


_URL_SAFE = str.maketrans("-_", "+/")


def _in_memory(data: bytes) -> Span:
    return Span(MemorySource(data), 0, len(data))


def _unpickle(span: Span, reading: Reading, unpickle: Unpickle) -> None:
    """Read a value as a pickle: what a complete one calls is kept, under the value's name."""
    reading.pickles_within += 1
    if reading.pickles_within > MAX_PICKLES:
        raise bomb(f"the file holds more than {MAX_PICKLES} pickles as values")
    outer = reading.member
    if outer.count("[value") >= MAX_DEPTH:
        raise RefusedError(f"pickles lie more than {MAX_DEPTH} deep in each other")
    number = reading.pickles_within
    reading.member = f"{outer}[value {number}, a pickle]"
    try:
        unpickle(File(f"value {number}", span), reading)
    finally:
        reading.member = outer
