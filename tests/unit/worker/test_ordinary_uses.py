"""What pickles of scipy, statsmodels, pandas and scikit-learn hold that looks odd: ordinary in its honest form
alone."""

from __future__ import annotations

import argparse
import io
import operator
import os
import pickle
import struct
import types
from typing import Any

import pytest
from PIL import Image
from safe_load.profiles import ordinary_callables
from safe_load.worker.formats.pickled import Reader
from safe_load.worker.pickle_vm.callables import Allowlist, Ledger
from safe_load.worker.spans import MemorySource, Span

#: As scipy.stats.beta has it.
TEMPLATE = (
    "\ndef _parse_args(self, a, b,  loc=0, scale=1):\n    return (a, b, ), loc, scale\n\n"
    "def _parse_args_rvs(self, a, b,  loc=0, scale=1, size=None):\n"
    "    return self._argcheck_rvs(a, b,  loc, scale, size=size)\n\n"
    "def _parse_args_stats(self, a, b,  loc=0, scale=1, moments='mv'):\n"
    "    return (a, b, ), loc, scale, moments\n"
)
OFFSETS = struct.pack("<4q", 0, 2, 2, 5)


class Made:
    """What a function gives, for pickle."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def told(value: object) -> list[tuple[object, object]]:
    """The names and uses that are not ordinary."""
    return _of(pickle.dumps(value, 4))


def _of(data: bytes) -> list[tuple[object, object]]:
    ledger = Ledger(Allowlist(ordinary_callables()))
    Reader(ledger).read(Span(MemorySource(data), 0, len(data)))
    return [(entry["name"], entry["use"]) for entry in ledger.entries()]


def with_state(cls: type, **state: object) -> object:
    item = cls()
    item.__dict__.update(state)
    return item


def test_a_distribution_with_the_template_of_its_arguments_is_ordinary(name: Any) -> None:
    beta = name("scipy.stats._continuous_distns.beta_gen", "class")
    assert told(with_state(beta, _parse_arg_template=TEMPLATE)) == []
    short = TEMPLATE.replace("a, b, ", "").replace("loc=0, scale=1", "loc=0")
    assert told(with_state(beta, _parse_arg_template=short.replace("loc, scale", "loc, 1"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "\nimport os\n" + TEMPLATE,
        TEMPLATE + "open('x')\n",
        TEMPLATE.replace("(a, b, )", "(a, b, print(), )"),
        TEMPLATE.replace("self, a, b,", "self, a=print(), b=1,"),
        TEMPLATE.replace("return (a, b, ), loc, scale\n", "return (a, b, ), loc, open\n", 1),
        b"\nimport os\n",
        TEMPLATE.replace("a, b,", "c, b,", 1),
    ],
)
def test_one_with_another_text_in_its_place_is_told(name: Any, text: object) -> None:
    beta = name("scipy.stats._continuous_distns.beta_gen", "class")
    (entry,) = told(with_state(beta, _parse_arg_template=text))
    assert entry == ("scipy.stats._continuous_distns.beta_gen.__setstate__", "state")


def test_a_model_that_restores_its_formula_is_told_and_one_without_is_not(name: Any) -> None:
    data = name("statsmodels.base.data.PandasData", "class")
    assert told(with_state(data, const_idx=0)) == []
    for key in ("restore_design_info", "restore_model_spec"):
        entries = told(with_state(data, formula="y ~ a", **{key: True}))
        assert ("statsmodels.base.data.PandasData.__setstate__", "state") in entries


def arrow(name: Any, kind: str, *parts: object) -> object:
    """A pyarrow array: length, offset and buffers."""
    length, offset, *buffers = parts
    buffer = name("pyarrow.lib.py_buffer")
    made = [None if each is None else Made(buffer, each) for each in buffers]
    type_ = Made(name("pyarrow.lib.type_for_alias"), kind)
    return Made(name("pyarrow.lib._restore_array"), (type_, length, 0, offset, made, [], None))


def test_an_array_of_texts_whose_offsets_lie_in_its_bytes_is_ordinary(name: Any) -> None:
    assert told(arrow(name, "large_string", 3, 0, None, OFFSETS, b"abcde")) == []
    assert told(arrow(name, "double", 2, 1, b"\xff", bytes(24))) == []
    assert told(arrow(name, "string", 0, 0, None, None, None)) == []


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("large_string", (3, 0, None, OFFSETS, b"abcd")),
        ("large_string", (4, 0, None, OFFSETS, b"abcde")),
        ("large_string", (2, 2, None, OFFSETS, b"abcde")),
        ("large_string", (2, 0, None, struct.pack("<3q", 0, 9, 2), b"abcde")),
        ("large_string", (1, 0, None, struct.pack("<2q", -8, 2), b"abcde")),
        ("large_string", (9, 0, b"\xff", bytes(80), b"")),
        ("double", (4, 0, None, bytes(24))),
        ("double", (-1, 0, None, bytes(24))),
        ("double", (1, 0, None, None)),
        ("extension<x>", (1, 0, None, bytes(24))),
        ("list", (1, 0, None, bytes(24))),
    ],
)
def test_one_that_leads_out_of_its_bytes_is_told(
    name: Any, kind: str, parts: tuple[Any, ...]
) -> None:
    assert told(arrow(name, kind, *parts))


def test_a_plain_method_of_text_is_ordinary_and_one_that_formats_is_not() -> None:
    assert told({"tokenizer": str.split, "lower": [str.lower]}) == []
    assert told({"tokenizer": str.format}) == [("builtins.getattr", "call")] or told(
        {"tokenizer": str.format}
    )


def test_an_object_that_can_be_pickled_only_once_has_its_numbers_in_both_rooms() -> None:
    pytest.importorskip("torch")
    import numpy as np
    from safe_load.worker.detonate.tensor_table import Tables

    class Once:
        def __init__(self) -> None:
            self.mean = np.ones(2)

        def __getstate__(self) -> dict[str, object]:
            raise KeyError("venv")

    assert [row["name"] for row in Tables(0).rows({"rms": Once()})] == ["rms.mean"]


def test_a_picture_of_pillow_is_ordinary_and_one_of_another_size_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = Image.new("RGB", (40, 30), "red")
    assert told([image, image.convert("L"), image.convert("1"), image.convert("P")]) == []
    state = image.__getstate__()

    names = ("info", "mode", "size", "palette", "data")

    def other(**changed: object) -> list[tuple[object, object]]:
        parts = [changed.get(name, part) for name, part in zip(names, state, strict=True)]
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "__getstate__", lambda _: parts)
            return told(image)

    assert other() == []
    name = "PIL.Image.Image.__setstate__"
    for changed in ({"size": (1 << 20, 1 << 20)}, {"data": b"x"}, {"mode": "Q"}, {"info": [1]}):
        assert other(**changed) == [(name, "native")]
    assert ("posix.system", "held") in other(info={"hook": os.system})


def test_a_getter_of_an_index_or_a_word_is_ordinary_and_its_call_is_not() -> None:
    words = operator.itemgetter("name", "last name"), operator.attrgetter("a")
    assert told([operator.itemgetter(1), *words, operator.add]) == []
    for reaching in (
        operator.attrgetter("a.b"),
        operator.attrgetter("__class__"),
        operator.itemgetter("__init__"),
    ):
        assert [use for _, use in told(reaching)] == ["call"]
    assert told(operator.methodcaller("system", "id")) != []
    called = pickle.dumps(operator.itemgetter(1), 4)[:-1] + b"K\x01\x85R."
    assert ("operator.itemgetter()", "call") in _of(called)


def test_a_function_of_numpy_is_ordinary_by_its_own_modules_alone(name: Any) -> None:
    make = name("numpy.core._ufunc_reconstruct")
    for given in (
        ("numpy.core._multiarray_umath", "add"),
        ("numpy", "add"),
        ("scipy.special._ufuncs", "expit"),
    ):
        assert told(Made(make, *given)) == []
    for given in (
        ("os", "system"),
        ("beside", "x"),
        ("numpy", "load"),
        ("numpy.f2py", "main"),
        ("numpy", "__loader__"),
    ):
        assert told(Made(make, *given)) == [("numpy.core._ufunc_reconstruct", "call")]


def test_a_class_that_slots_replace_is_told() -> None:
    for state in ((None, {"__class__": argparse.Namespace}), (None, {"x": 1})):
        data = _built(types.SimpleNamespace, state)
        assert any("__class__" in str(entry) for entry in _of(data)) is ("__class__" in state[1])


def _built(cls: type, state: object) -> bytes:
    """A pickle of an object of that class that BUILD gives that state."""
    out = io.BytesIO()
    pickler = pickle._Pickler(out, 2)  # type: ignore[attr-defined]
    pickler.proto, pickler.fast = 2, False
    pickler.write(b"\x80\x02")
    pickler.save(cls)
    pickler.write(b")\x81")
    pickler.save(state)
    pickler.write(b"b.")
    return out.getvalue()
