"""The pickle machine reads what CPython's unpickler reads, and nothing else."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import warnings
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safe_load.worker.pickle_vm.callables import Allowlist, Ledger
from safe_load.worker.pickle_vm.machine import Machine
from safe_load.worker.pickle_vm.state import Budget, MalformedError
from safe_load.worker.pickle_vm.stubs import StubEnvironment
from safe_load.worker.pickle_vm.values import Mapping, Stub
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span


def run(data: bytes, **budget: int) -> object:
    """The value of one stream, as the machine sees it."""
    source = MemorySource(data)
    return Machine(
        source, 0, len(data), StubEnvironment(Ledger(Allowlist({}))), Budget(**budget)
    ).load()


def plain(value: Any) -> Any:
    """The value with what lies in the file fetched."""
    if isinstance(value, Span):
        return value.whole()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def same(one: Any, other: Any) -> bool:
    """Equal and of the same types all through; a NaN equals a NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other) or (
            math.isnan(one) and math.isnan(other)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    return bool(one == other)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.integers(-(1 << 70), 1 << 70) | st.just("x" * 70_000) | st.just(b"y" * 70_000)
)  # fmt: skip
keys = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.tuples(st.integers(), st.text())
)
data = st.recursive(
    scalars
    | st.frozensets(keys)
    | st.sets(keys)
    | st.complex_numbers(allow_nan=False)
    | st.binary().map(bytearray),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(data, st.integers(0, 5), st.booleans())
def test_plain_data_is_what_pickle_loads_gives(value: Any, protocol: int, shared: bool) -> None:
    value = [value, value] if shared else value
    stream = pickle.dumps(value, protocol)
    assert same(plain(run(stream)), pickle.loads(stream))


@settings(max_examples=100, deadline=None)
@given(data)
def test_streams_of_the_python_pickler_are_read_too(value: Any) -> None:
    file = io.BytesIO()
    pickle._Pickler(file, 4).dump(value)
    assert same(plain(run(file.getvalue())), pickle.loads(file.getvalue()))


# Opcodes whose effect is plain data: any string of them means the same here and to CPython.
_TEXTS = [
    b"01", b"00", b"1", b"-1", b"+1", b" 1", b"1 ", b"010", b"08", b"0x1F", b"0b11", b"0o7", b"1_0", b"1L", b"0x", b"",
    b"1\0z", b"\0", b"99999999999999999999", b"1.5", b".5", b"5.", b"1e3", b"1e999", b"inf", b"-Infinity", b"nan", b"1_0.0",
    b"'a'", b'"b"', b"'a\\x41'", b"'a\"", b"'", b"''", b"'\\q'", b"'\\x4'", b"a\\u0041", b"\\U0001F600", b"\\u12", b"\xe9", b"\r", b"\f1",
]  # fmt: skip
_TAKING_LINES = b"IJLFSVgp"
_PLAIN = [
    b"(", b"0", b"1", b"2", b"N", b"]", b"}", b")", b"\x8f", b"\x88", b"\x89", b"a", b"e", b"s", b"u", b"d", b"l", b"t",
    b"\x85", b"\x86", b"\x87", b"\x90", b"\x91", b"\x94", b"h\0", b"h\1", b"q\0", b"q\5", b"j\1\0\0\0", b"r\1\0\0\0",
    b"K\1", b"M\1\0", b"J\xff\xff\xff\xff", b"G\0\0\0\0\0\0\0\0", b"\x8a\1\xff", b"\x8a\0", b"\x8b\1\0\0\0\x80", b"\x8b\xff\xff\xff\xff",
    b"U\1a", b"T\1\0\0\0a", b"C\1a", b"B\1\0\0\0a", b"X\1\0\0\0a", b"\x8c\1a", b"\x8d\1\0\0\0\0\0\0\0a", b"\x8e\1\0\0\0\0\0\0\0a",
    b"\x96\1\0\0\0\0\0\0\0a", b"\x95\1\0\0\0\0\0\0\0", b"\x95\xff\0\0\0\0\0\0\0", b"\x80\2", b"\x80\5", b"\x80\6", b"\x98", b"\x97", b"\0", b"X\2\0\0\0\xed\xa0",
]  # fmt: skip
pieces = st.sampled_from(_PLAIN) | st.builds(
    lambda opcode, text: bytes([opcode]) + text + b"\n",
    st.sampled_from(list(_TAKING_LINES)),
    st.sampled_from(_TEXTS),
)


#: What cut or shifted pieces may come to read as, and what it does hangs on more than the stream.
_NOT_PLAIN = frozenset("cio\x93RbPQ\x81\x92\x82\x83\x84")


class _NamesSomethingError(Exception):
    """The stream asks for what lies outside of it."""


class _Oracle(pickle.Unpickler):
    """CPython's own, which imports nothing that a stream names."""

    def find_class(self, module: str, name: str) -> Any:
        raise _NamesSomethingError

    def persistent_load(self, pid: Any) -> Any:
        raise _NamesSomethingError


def _names_something(stream: bytes) -> bool:
    """Whether an opcode is read that is none of plain data's: a piece can end in another."""
    with suppress(Exception):  # where it does not read on, CPython may, or not
        return any(opcode.code in _NOT_PLAIN for opcode, _, _ in pickletools.genops(stream))
    return False


@settings(max_examples=2000, deadline=None)
@example([b"J-Infinity\n", b"I01\n"], False)  # reads on with INST, and names nity.I01
@given(st.lists(pieces, max_size=12), st.booleans())
def test_any_string_of_opcodes_means_what_it_means_to_cpython(
    parts: list[bytes], cut: bool
) -> None:
    stream = b"".join(parts) + b"."
    stream = stream[:-1] if cut else stream
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unknown escape in a STRING
        try:
            if _names_something(stream):
                raise _NamesSomethingError
            want = _Oracle(io.BytesIO(stream), encoding="latin-1").load()
        except _NamesSomethingError:
            with suppress(MalformedError, RefusedError):
                run(stream)
            return
        except Exception:  # noqa: BLE001 - whatever CPython calls it, the stream is none
            with pytest.raises(MalformedError):
                run(stream)
            return
    got = run(stream)
    if "<memory at" in repr(want):
        return  # CPython makes a read-only buffer a view; the machine keeps the bytes it views
    # A container may hold itself here, which only a traversal with a memory could compare.
    assert type(got) is type(want)
    assert repr(got) == repr(want)


@pytest.mark.parametrize("text", _TEXTS)
@pytest.mark.parametrize("opcode", [b"I", b"L", b"F", b"S", b"V"])
def test_every_text_argument_reads_as_in_cpython(opcode: bytes, text: bytes) -> None:
    test_any_string_of_opcodes_means_what_it_means_to_cpython.hypothesis.inner_test(
        [opcode + text + b"\n"], cut=False
    )  # type: ignore[attr-defined]


def test_there_is_no_opcode_that_the_machine_lacks() -> None:
    from safe_load.worker.pickle_vm.opcodes import _TABLE

    assert {opcode.code.encode("latin-1") for opcode in pickletools.opcodes} == _TABLE.keys() | {
        b"."
    }


def test_memoize_counts_as_the_c_unpickler_does() -> None:
    # PUT 5, then MEMOIZE takes index 1: the number of filled places, not the next one.
    stream = b"]p5\n]\x94h\1\x87."[:-2] + b"\x86."
    assert run(stream) == pickle.loads(stream)


@pytest.mark.parametrize("depth", [100_000])
def test_a_stream_of_any_depth_is_read_and_let_go(depth: int) -> None:
    for stream in (
        b"]" * depth + b"a" * (depth - 1) + b".",
        b"N" + b"\x85" * depth + b".",
        b"(" * depth + b"t" * depth + b".",
    ):
        value = run(stream)
        for _ in range(3):
            assert isinstance(value, (list, tuple))
            value = value[0] if value else ()


def test_a_malformed_stream_is_refused_at_its_place() -> None:
    with pytest.raises(MalformedError, match="at byte 3: there is no opcode 0xff"):
        run(b"\x80\x02]\xff.")
    with pytest.raises(MalformedError, match="at byte 1: the stack underflows"):
        run(b"]a.")


def test_a_tuple_key_that_hashes_for_ever_is_a_bomb() -> None:
    doubled = b"K\x01" + b"2\x86" * 60
    with pytest.raises(RefusedError) as refusal:
        run(b"}" + doubled + b"Ns.")
    assert refusal.value.status == "bomb"


@pytest.mark.parametrize(
    ("stream", "budget"),
    [
        (b"N0" * 100 + b"N.", {"opcodes": 50}),
        (b"]" * 100 + b".", {"containers": 50}),
        (b"N" + b"\x94" * 100 + b".", {"memo": 50}),
        (b"X\x64\0\0\0" + b"a" * 100 + b".", {"text": 50}),
    ],
)
def test_a_stream_that_takes_more_than_its_budget_is_a_bomb(
    stream: bytes, budget: dict[str, int]
) -> None:
    with pytest.raises(RefusedError) as refusal:
        run(stream, **budget)
    assert refusal.value.status == "bomb"
    run(stream)


def test_long_strings_of_bytes_stay_where_they_are() -> None:
    stream = pickle.dumps([b"x" * 100_000], 4)
    (span,) = run(stream)  # type: ignore[misc]
    assert isinstance(span, Span)
    assert span.whole() == b"x" * 100_000


def test_a_call_leaves_a_stub_and_nothing_else() -> None:
    value = run(b"cnowhere\nnothing\n(K\x01tR.")
    assert isinstance(value, Stub)
    assert (value.made_by, value.args) == ("nowhere.nothing", (1,))
