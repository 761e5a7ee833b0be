"""The programs of the class chain fire where nothing holds them: what extraction says is no false alarm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adversarial.conftest import PROGRAMS, program

_CHAINS = [name for name in PROGRAMS if name.startswith("chains/")]
#: Loads each the trusting way, in a fork of its own, then does with what the trap gave what USE says.
_LOAD = """
import io, json, os, pickle, sys, zipfile
import sympy, torch, transformers, yaml

class Reader(pickle._Unpickler):
    # Keeps what the trap gave: the checkpoint throws it away before the honest weights.
    dispatch = dict(pickle._Unpickler.dispatch)
    def pop(self):
        self.kept = vars(self).get("kept", self.stack[-1])
        del self.stack[-1]
    dispatch[pickle.POP[0]] = pop
    def persistent_load(self, pid):
        return None

def fire(path, canary, use):
    try:
        torch.load(path, weights_only=False)
    except Exception:
        pass
    if use:
        reader = Reader(io.BytesIO(zipfile.ZipFile(path).read("archive/data.pkl")))
        try:
            reader.load()
        except Exception:
            pass
        exec(use, {"value": vars(reader).get("kept"), "canary": canary, "sys": sys})

for path, canary, use in json.load(sys.stdin):
    if not (child := os.fork()):
        try:
            fire(path, canary, use)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The chains that left their canary."""
    where = tmp_path_factory.mktemp("chains")
    asked = {}
    for name in _CHAINS:
        folder = where / Path(name).name / "model"
        folder.mkdir(parents=True)
        path = program(name).make(folder)
        canary = folder.parent / "canary"
        asked[name] = (str(path), str(canary), getattr(program(name), "USE", ""))
    subprocess.run(
        [sys.executable, "-c", _LOAD],
        input=json.dumps(list(asked.values())),
        text=True,
        check=False,
        capture_output=True,
        timeout=240,
    )
    return {name for name, (_, canary, _) in asked.items() if Path(canary).exists()}


@pytest.mark.xdist_group("chains")
@pytest.mark.parametrize("name", _CHAINS)
def test_the_chain_fires_where_nothing_holds_it(name: str, fired: set[str]) -> None:
    assert name in fired
