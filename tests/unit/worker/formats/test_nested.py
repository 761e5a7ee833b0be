"""A pickle or a program that is a value of a file is judged, however it is written there."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load import profiles
from safe_load.worker.formats import nested, registry
from safe_load.worker.formats.interface import File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span
from safetensors.torch import save

from tests.unit.worker.checkpoints import saved

if TYPE_CHECKING:
    from collections.abc import Callable


def read(data: bytes) -> Reading:
    reading = Reading(Allowlist(profiles.ordinary_callables()), 1 << 30, registry.judge)
    registry.judge(File("model.bin", Span(MemorySource(data), 0, len(data))), reading)
    return reading


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch /canary",)


def bomb(protocol: int = 4) -> bytes:
    return pickle.dumps(Bomb(), protocol)


def _holder(**attributes: object) -> Any:
    made = torch.nn.Linear(1, 1)
    vars(made).update(attributes)
    return made


def _mapping(value: object) -> Any:
    made: Any = OrderedDict(a=1)
    made.note = value
    return made


def _objects(value: object) -> Any:
    made = np.empty(1, dtype=object)
    made[0] = value
    return made


def _array_of_objects() -> bytes:
    file = io.BytesIO()
    np.save(file, _objects(Bomb()), allow_pickle=True)
    return file.getvalue()


WRITTEN: dict[str, Callable[[], object]] = {
    **{f"protocol {n}": lambda n=n: bomb(n) for n in range(6)},  # type: ignore[misc]
    "text of protocol 0": lambda: bomb(0).decode(),
    "a bytearray": lambda: bytearray(bomb()),
    "base64": lambda: base64.b64encode(bomb()).decode(),
    "base64 as bytes": lambda: base64.b64encode(bomb()),
    "base64 for addresses": lambda: base64.urlsafe_b64encode(bomb()).decode(),
    "base64 of protocol 0": lambda: base64.b64encode(bomb(0)).decode(),
    "base64 with a line's end": lambda: base64.encodebytes(bomb()).decode(),
    "hexadecimal": lambda: bomb().hex(),
    "hexadecimal with a prefix": lambda: "0x" + bomb().hex().upper(),
    "packed by gzip": lambda: gzip.compress(bomb()),
    "packed by zlib, in base64": lambda: base64.b64encode(zlib.compress(bomb())).decode(),
    "packed by xz": lambda: lzma.compress(bomb(2)),
    "packed by bzip2": lambda: bz2.compress(bomb()),
    "an array of objects as its file": _array_of_objects,
    "a pickle in a pickle": lambda: pickle.dumps({"stage": pickle.dumps({"two": bomb()})}),
    "long": lambda: pickle.dumps([b"x" * (1 << 20), Bomb()]),
}
PLACES: dict[str, Callable[[Any], object]] = {
    "a value": lambda value: {"weights": torch.ones(2), "extra": value},
    "a list": lambda value: [1, [value]],
    "a key": lambda value: {bytes(value) if isinstance(value, bytearray) else value: 1},
    "an attribute": lambda value: _holder(note=value),
    "a mapping's attribute": _mapping,
    "an array of objects": _objects,
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("place", PLACES)
def test_a_pickle_that_is_a_value_is_judged(written: str, place: str) -> None:
    for data in (
        pickle.dumps(PLACES[place](WRITTEN[written]())),
        saved(PLACES[place](WRITTEN[written]())),
    ):
        called = [entry["name"] for entry in read(data).callables if entry["called"]]
        assert "posix.system" in called


def test_a_text_file_and_the_metadata_of_safetensors_are_looked_through_too() -> None:
    encoded = base64.b64encode(bomb()).decode()
    files = {
        "json": json.dumps({"version": 1, "state": encoded}).encode(),
        "yaml": f"state: {encoded}\n".encode(),
        "csv": f"a,b\n1,{encoded}\n".encode(),
        "safetensors": save({"w": torch.ones(2)}, {"state": encoded}),
    }
    for name, data in files.items():
        assert [entry["name"] for entry in read(data).callables] == ["posix.system"], name


PROGRAMS = [
    "import os; os.system('echo pwned')",
    "__import__('os').popen('id')",
    "exec(compile(source, 'x', 'exec'))",
    "def f():\n    import subprocess\n    subprocess.Popen(['id'])\n",
    "  eval(data)  ",
    "import pty\npty.spawn('/bin/sh')",
    "from os import system as s\ns('id')",
    "from os import *\nsystem('id')",
    "import os as o\no.popen('id')",
    "import os\ngetattr(os, 'sys' + 'tem')('id')",
    "().__class__.__base__.__subclasses__()[100].__init__.__globals__['system']('id')",
    "    import os\n    os.system('id')\n",
    f"# {'x' * 70_000}\nimport os\nos.system('id')\n",
    "import importlib\nimportlib.import_module('o' + 's').system('id')",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_text_that_is_a_program_and_runs_commands_is_told(text: str) -> None:
    for data in (pickle.dumps({"note": text}), save({"w": torch.ones(2)}, {"note": text})):
        # `__import__(...).popen` has no name that can be read: the import is told.
        assert [ident for ident, _ in read(data).carried] == ["SL506"]


class Node:
    """As OmegaConf keeps a value."""

    def __init__(self, value: object) -> None:
        self._val = value


class Table(dict[str, object]):
    """A dictionary's subclass, as many libraries keep a configuration in."""


class Made:
    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


CONFIGURATIONS: dict[str, object] = {
    "a dictionary": {"_target_": "os.system"},
    "a node of OmegaConf": {"_target_": Node("os.system")},
    "an object of a dictionary's subclass": Table(_target_="os.system"),
    "a call of dict": Made(dict, [("_target_", "os.system")]),
    "a call of OrderedDict": Made(OrderedDict, [("_target_", "os.system")]),
    "attributes": _holder(_target_="os.system"),
    "a class of jsonargparse": {"class_path": "os.system", "init_args": {}},
    "a component of torchtune": {"_component_": "os.system"},
    "a maker of Lightning": {"_instantiator": "os.system"},
    "a target with params": {"target": "os.system", "params": {}},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_a_configuration_among_values_makes_a_library_call_is_told(name: str) -> None:
    value = {"state_dict": {}, "hyper_parameters": {"model": CONFIGURATIONS[name]}}
    for data in (pickle.dumps(value), saved(value)):
        assert [e["name"] for e in read(data).callables].count("os.system") == 1


def test_the_maker_that_lightning_writes_is_ordinary_and_any_other_one_is_called() -> None:
    for name, ordinary in {"lightning.pytorch.cli.instantiate_module": True, "evil.make": False}.items():  # fmt: skip
        found = read(pickle.dumps({"hyper_parameters": {"_instantiator": name}})).callables
        assert [entry["called"] for entry in found] == ([] if ordinary else [True])


HONEST: dict[str, object] = {
    "digests": [hashlib.sha256(bytes([n])).hexdigest() for n in range(50)],
    "a digest that begins as a pickle": "80" + "0" * 60 + "2e",
    "random bytes": [os.urandom(100) for _ in range(50)],
    "pictures in base64": [base64.b64encode(os.urandom(300)).decode() for _ in range(50)],
    "packed data": [
        zlib.compress(b"{}"),
        gzip.compress(b"a,b\n1,2\n"),
        b"\x78\x9cis no zlib",
        b"BZh is a word",
    ],
    "plain data as a pickle": pickle.dumps({"epoch": 3, "names": ["a", "b"]}),
    "tensors as a pickle": pickle.dumps({"w": OrderedDict(a=np.ones(3))}),
    "prose": "Do not call os.system(...) here. It runs a shell; import os is needed too.",
    "long prose": "import duties\n" + "Do not call os.system here. " * 4000,
    "a command line": "python train.py --lr 0.1 && echo done",
    "a shell script": '#!/bin/sh\neval "$(ssh-agent)"\n',
    "names": [f"model.layers.{n}.weight" for n in range(50)],
    "a program that runs nothing": "def forward(self, x):\n    return self.linear(x).eval()\n",
    "an expression": "lambda x: x ** 2",
}


@pytest.mark.parametrize("name", HONEST)
def test_values_that_call_nothing_are_no_finding(name: str) -> None:
    reading = read(pickle.dumps({"weights": np.ones(2), "extra": HONEST[name]}))
    assert (reading.carried, [e for e in reading.callables if e["called"]]) == ([], [])


def test_pickles_within_each_other_and_beside_each_other_come_to_an_end() -> None:
    data = bomb()
    for _ in range(nested.MAX_DEPTH + 2):
        data = pickle.dumps([data])
    with pytest.raises(RefusedError, match="deep in each other"):
        read(data)
    plain = pickle.dumps({"a": list(range(20))})
    with pytest.raises(RefusedError, match="more than 1000 pickles"):
        read(pickle.dumps([plain + b"" for _ in range(nested.MAX_PICKLES + 1)]))
