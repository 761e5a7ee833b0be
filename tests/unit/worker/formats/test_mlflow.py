"""What MLflow imports, runs and installs for a model is told; the plain descriptions that it writes are data."""

from __future__ import annotations

import pytest
from safe_load.worker.formats import plain_yaml, registry
from safe_load.worker.formats.interface import Content, File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span

#: After the source of mlflow 3.18, for a model of scikit-learn; written by hand.
HONEST = b"""\
artifact_path: file:///C:/mlruns/0/models/m-1/artifacts
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
is_signature_from_type_hint: false
metadata: {}
mlflow_version: 3.18.0
model_id: m-1
prompts: null
run_id: ''
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1,
    4]}}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
tags: []
utc_time_created: '2026-11-29 02:00:00.000000'
"""
CONDA = b"""\
channels:
- conda-forge
dependencies:
- python=3.11.7
- pip<=23.2.1
- pip:
  - mlflow==3.18.0
  - scikit-learn==1.9.1
  - numpy>=1.26; python_version < "3.13"
name: mlflow-env
"""
PYTHON_ENV = b"""\
python: 3.11.7
build_dependencies:
- pip==23.2.1
- setuptools
dependencies:
- -r requirements.txt
"""
REQUIREMENTS = (
    b"mlflow==3.18.0\nscikit-learn==1.9.1  # pinned\ntorch[extra]>=2\n\n--no-binary :all:\n"
)
BESIDE = {"conda.yaml": CONDA, "python_env.yaml": PYTHON_ENV, "requirements.txt": REQUIREMENTS}


def carried(description: bytes, name: str = "MLmodel", **beside: bytes) -> set[str]:
    """The findings of a description and of the files beside it."""

    def file(path: str, data: bytes) -> File:
        return File(path, Span(MemorySource(data), 0, len(data)))

    reading = Reading(Allowlist({}), 1 << 30, registry.judge)
    reading.parts = {path: file(path, data) for path, data in beside.items()}
    try:
        content = registry.judge(file(name, description), reading)
    except RefusedError as refusal:
        pytest.fail(refusal.reason)
    assert isinstance(content, Content)
    assert content.format == "mlflow"
    return {finding for finding, _ in reading.carried}


def test_what_mlflow_writes_is_data() -> None:
    assert carried(HONEST, **BESIDE) == set()
    assert carried(HONEST, "description.yaml") == set()


RUNS = {
    "a module of its own": HONEST.replace(b"mlflow.sklearn", b"evil"),
    "a module that begins as one of MLflow's": HONEST.replace(b"mlflow.sklearn", b"mlflowx.sklearn"),
    "a quoted module": HONEST.replace(b"loader_module: mlflow.sklearn", b"'loader_module': \"evil\""),
    "a module in the next line": HONEST.replace(b"loader_module: mlflow.sklearn", b"loader_module:\n      evil"),
    "a module in a block": HONEST.replace(b"loader_module: mlflow.sklearn", b"loader_module: >-\n      evil"),
    "an escaped key": HONEST.replace(b"loader_module: mlflow.sklearn", b'"loader\\x5fmodule": evil'),
    "an alias": HONEST.replace(b"mlflow.sklearn", b"*module").replace(b"run_id: ''", b"run_id: &module evil"),
    "a merge": HONEST.replace(b"    loader_module", b"    <<: {loader_module: evil}\n    loader_module"),
    "a tag": HONEST.replace(b"mlflow.sklearn", b"!!str evil"),
    "braces": b"flavors: {python_function: {loader_module: evil}}\n",
    "JSON": b'{"flavors": {"python_function": {"loader_module": "evil"}}}\n',
    "a key twice": HONEST.replace(b"    loader_module", b"    loader_module: mlflow.sklearn\n    loader_module"),
    "two documents": HONEST + b"---\n" + HONEST,
    "a question mark": HONEST.replace(b"    loader_module: mlflow.sklearn", b"    ? loader_module\n    : evil"),
    "a folder of code": HONEST.replace(b"    loader_module", b"    code: code\n    loader_module"),
    "a folder of code of the flavour": HONEST.replace(b"code: null", b"code: code"),
    "a program": HONEST.replace(b"model_path: model.pkl", b"model_code_path: agent.py"),
}  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_what_loading_the_model_runs_is_told(kind: str) -> None:
    assert "SL506" in carried(RUNS[kind])


@pytest.mark.parametrize("path", ["../model.pkl", "/etc/model.pkl", "C:\\model.pkl", "a/../../b"])
def test_a_path_that_leaves_the_folder_is_told(path: str) -> None:
    assert carried(HONEST.replace(b": model.pkl", b": " + path.encode())) == {"SL505"}


INSTALLS = [
    "git+https://host.example/repository.git",
    "package @ https://host.example/package.whl",
    "package@ file:///tmp/package",
    "https://host.example/package.tar.gz",
    "--index-url https://host.example/simple",
    "--extra-index-url=https://host.example/simple",
    "-i https://host.example/simple",
    "-ihttps://host.example/simple",
    "--find-links wheels",
    "--find wheels",
    "--editab .",
    "--trusted-host host.example",
    "-e .",
    "./package",
    "wheels/package-1.0-py3-none-any.whl",
    "-r https://host.example/requirements.txt",
    "-r ../requirements.txt",
    "package \\\n @ https://host.example/package.whl",
]


@pytest.mark.parametrize("entry", INSTALLS)
def test_what_an_environment_installs_from_elsewhere_is_told(entry: str) -> None:
    beside = BESIDE | {"requirements.txt": REQUIREMENTS + entry.encode() + b"\n"}
    assert carried(HONEST, **beside) == {"SL503"}
    if "\n" not in entry:
        conda = CONDA.replace(b"mlflow==3.18.0", b"'" + entry.encode() + b"'")
        assert carried(HONEST, **BESIDE | {"conda.yaml": conda}) == {"SL503"}


def test_a_model_that_is_loaded_from_the_hub_is_told() -> None:
    flavor = b"  transformers:\n    pipeline_model_type: Evil\n    source_model_name: evil/x\n"
    for beside, told in ((b"", {"SL503"}), (b"    model_binary: model\n", set())):
        text = HONEST.replace(b"  sklearn:\n", flavor + beside + b"  sklearn:\n")
        assert carried(text) == told


def test_channels_of_conda_that_are_addresses_are_told() -> None:
    conda = CONDA.replace(b"- conda-forge", b"- https://host.example/channel")
    assert carried(HONEST, **{"conda.yaml": conda}) == {"SL503"}
    conda = CONDA.replace(b"- mlflow==3.18.0", b"- &a mlflow==3.18.0")
    assert carried(HONEST, **{"conda.yaml": conda}) == {"SL503"}  # nobody knows what it says


def test_plain_yaml_is_read_as_its_readers_do() -> None:
    text = b"""\
# a comment
a: 1 # more
b:
- x
- y: 2
  z: 'it''s'
-   - p
    - q
c: "two
  lines"
d: {}
e: |
  kept

  as it is
f: plain
  goes on
g: [u, 'v']
h:
"""
    assert plain_yaml.read(text) == {
        "a": "1",
        "b": ["x", {"y": "2", "z": "it's"}, ["p", "q"]],
        "c": "two lines",
        "d": {},
        "e": "  kept\n\n  as it is",
        "f": "plain goes on",
        "g": ["u", "v"],
        "h": None,
    }


def test_a_description_that_is_cut_or_deep_ends_in_one_sentence() -> None:
    for number in range(20):
        carried(HONEST[: 20 + len(HONEST) * number // 20] + b"\n", "x/MLmodel")
    deep = b"".join(b" " * depth + b"a:\n" for depth in range(200))
    assert carried(b"flavors:\n" + deep.replace(b"\n", b"\n ")) == {"SL506"}
    assert carried(b"flavors: '" + b"a\n\n" * 500_000) == {"SL506"}
    assert carried(b"flavors: {}\na" + b" " * 1_000_000) == {"SL506"}
    assert carried(HONEST, **{"requirements.txt": b"numpy\n" * 20_001}) == {"SL503"}
