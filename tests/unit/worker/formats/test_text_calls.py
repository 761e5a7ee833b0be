"""What a text makes its reader call is told, however it is spelled; ordinary configuration is not."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING

import pytest
from safe_load.export.extracted import NamedCallable
from safe_load.judge import pickle_names
from safe_load.worker.formats import texts
from safe_load.worker.formats.interface import Content

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading

CALL = b"python/object/apply:os.system ['true']"
ESCAPED = base64.b64encode(b"cos\nsystem\n(S'true'\ntR.").decode()
LAYER = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
CALLING = {
    "tag": b"a: !!" + CALL,
    "verbatim tag": b"a: !<tag:yaml.org,2002:python/object/apply:os.system> ['true']",
    "escaped tag": b"a: !!py%74hon/object/apply:os.system ['true']",
    "handle of its own": b"%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system ['true']",
    "handle of a part": b"%TAG !p! tag:yaml.org,2002:pyth\n---\na: !p!on/object/apply:os.system ['true']",
    "primary handle": b"%TAG ! tag:yaml.org,2002:\n---\na: !" + CALL,
    "escaped directive": b"%TAG !p! tag:yaml.org,%32002:\n---\na: !p!" + CALL,
    "UTF-16": ("a: !!" + CALL.decode()).encode("utf-16"),
    "object of YAML": b"a: !!python/object:subprocess.Popen {}",
    "jsonpickle": b'{"py/reduce": []}',
    "jsonpickle with an escaped slash": b'{"py\\/reduce": []}',
    "jsonpickle with escapes": b'{"\\u0070y\\u002freduce": []}',
    "object of jsonpickle": b'{"py/object": "subprocess.Popen"}',
    "type of jsonpickle": b'{"py/type": "os.system"}',
    "pickle under an escaped key": json.dumps({":serialized:": ESCAPED}).replace(":ser", "\\u003aser").encode(),
    "target": b"model:\n  _target_: os.system\n",
    "target in JSON": b'{"a": {"_target_": "subprocess.run"}}',
    "quoted target": b"'_target_': 'builtins.exec'",
    "target behind an alias": b"x: &run os.system\nmodel:\n  _target_: *run\n",
    "target of escapes": b'_target_: "o\\x73.system"',
    "target of another key": b"_target_: ${which}",
    "skops": b'{"__class__": "system", "__module__": "os", "__loader__": "TypeNode"}',
    "function of skops": b'{"__class__": "x", "__module__": "y", "content": {"module_path": "os", "function": "popen"}}',
    "loader of MLflow": b"flavors:\n  python_function:\n    loader_module: evil\n",
    "layers as JSON": json.dumps({"class_name": "Sequential", "config": {"layers": [LAYER]}}).encode(),
    "tag of SpeechBrain": b"m: !apply:os.system [id]",
    "object of SpeechBrain": b"m: !new:subprocess.Popen\n  args: id",
    "entity": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
}  # fmt: skip
ORDINARY = {
    "configuration": b"model:\n  _target_: torch.optim.adam.Adam\n  lr: 0.1\n",
    "another library's": b'{"_target_": "nemo.collections.asr.models.EncDecCTCModel"}',
    "standard handle": b"%TAG !! tag:yaml.org,2002:\n---\na: !!int 3",
    "SpeechBrain": b"m: !new:speechbrain.lobes.X\n  a: !name:torch.optim.Adam",
    "own tags": b"%TAG !e! tag:example,2026:\n---\na: !e!thing 3",
    "percent": b"100% of !important python/object stuff",
    "MLflow": b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n",
    "haystack": b'{"class_name": "x", "module": "y"}',
    "escapes": b'{"a": "\\u003cs\\u003e \\/ \\u00e9"}',
    "document type": b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "x.dtd"><html></html>',
}


#: name -> text: a template of a file that no library of ours reads.
TEMPLATES = {
    "prompt.json": json.dumps({"_type": "prompt", "template": "{{ ''.__class__.__mro__ }}"}),
    "escaped.json": '{"a": "{{ x[\'\\u005f\\u005fclass\\u005f\\u005f\'] }}"}',
    "prompts.yaml": "template: \"{{ ''.__class__ }}\"",
    "x.j2": "{% set a = ''|attr('x') %}",
    "x.txt": "{{ x['\\x5f\\x5fclass'] }}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_judged_in_any_file_that_is_rendered(name: str) -> None:
    _, reading = judged(TEMPLATES[name].encode(), name)
    assert [found for found, _ in reading.carried] == ["SL504"]
    assert judged(TEMPLATES[name].encode(), "README.md")[1].carried == []
    assert (
        judged(b"{{ message['role'] + '_x' }} {{ user.__name }} ${{ secrets.A }}", name)[1].carried
        == []
    )


def told(reading: Reading) -> bool:
    """Whether what was found is at least medium."""
    return bool(reading.carried) or any(
        pickle_names.weigh(NamedCallable(**entry))[0] != "low"  # type: ignore[arg-type]
        for entry in reading.callables
    )


@pytest.mark.parametrize("how", CALLING)
def test_a_call_is_told_however_it_is_spelled(how: str) -> None:
    assert told(judged(CALLING[how])[1])


@pytest.mark.parametrize("how", ORDINARY)
def test_ordinary_texts_are_data(how: str) -> None:
    content, reading = judged(ORDINARY[how])
    assert isinstance(content, Content)
    assert (content.state, told(reading)) == ("data", False)


@pytest.mark.parametrize("at", [0, 90_000, 199_990])
def test_a_text_too_long_to_be_searched_is_not_called_data(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_SEARCHED", 100_000)
    text = bytearray(b"a: 1\n" * 40_000)
    assert judged(bytes(text))[0].state == "data"
    text[at : at + 4] = b"#!!p"
    text[at + 4 : at + 20] = b"ython/name:os.x\n"
    assert judged(bytes(text))[0].state == "not_judged"


def gguf(*pairs: tuple[str, str | list[str]]) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for key, value in pairs:
        out += text(key)
        if isinstance(value, list):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        else:
            out += struct.pack("<I", 8) + text(value)
    return out + bytes(-len(out) % 32)


@pytest.mark.parametrize(
    ("key", "several"),
    [("tokenizer.chat_template", False), ("tokenizer.ggml.any", False), ("tokenizer.chat_templates", True), ("x", True)],
)  # fmt: skip
def test_a_template_of_a_gguf_is_judged_under_any_key(key: str, several: bool) -> None:
    template = "{{ ''.__class__.__mro__ }}"
    value = ["default", template] if several else template
    assert judged(gguf((key, value)))[1].carried[0][0] == "SL504"
    assert judged(gguf((key, "x"), (key, template)))[1].carried
    honest = gguf(("tokenizer.chat_template", "{% for m in messages %}{{ m['role'] }}{% endfor %}"))
    assert judged(honest)[1].carried == []
    assert judged(gguf(("tokenizer.ggml.tokens", ["{{", "{%", "%}", "__init__"])))[1].carried == []


#: What a configuration has a library call, by the library's own key.
CALLED = {
    "ldm.yaml": "model:\n  target: os.system\n  params:\n    command: id\n",
    "ldm-behind.yaml": "model:\n  params:\n    command: id\n  target: os.system\n",
    "ldm.json": json.dumps({"model": {"params": {}, "target": "subprocess.call"}}),
    "logging.json": json.dumps({"handlers": {"h": {"()": "os.system", "command": "id"}}}),
    "logging.yaml": "handlers:\n  h:\n    (): os.system\n",
    "logging.ini": "[handlers]\nkeys=h\n[handler_h]\nclass=StreamHandler\nargs=(__import__('os').system('id'),)\n",
    "logging-class.cfg": "[handler_h]\nclass = os.system\n",
    "lightning.yaml": "model:\n  class_path: subprocess.Popen\n",
    "hydra-block.yaml": "_target_: # comment\n\n  os.system\n",
    "hydra-question.yaml": "? _target_\n: os.system\n",
    "hydra-wide.yaml": "_target_" + " " * 300 + ": os.system\n",
    "hydra-escaped.yaml": '"_targ\\x65t_": os.system\n',
    "hydra-folded.yaml": '"_tar\\\n  get_": os.system\n',
    "hydra-alias.yaml": "a: &k _target_\nb:\n  *k : os.system\n",
    "hydra-method.yaml": "_target_: hydra.utils.get_method\npath: os.system\n",
    "hydra-remote.yaml": "_target_: transformers.AutoModel.from_pretrained\ntrust_remote_code: True\n",
    "lines.jsonl": '{"a": 1}\n{"py\\u002freduce": []}\n',
    "hydra-anchor.yaml": "_target_: &a os.system\n",
    "hydra-anchor-and-tag.yaml": "a: &a !!str os.system\nb:\n  _target_: *a\n",
    "hydra-anchor-of-a-block.yaml": "a: &a\n  os.system\nb:\n  _target_: *a\n",
    "hydra-alias-of-nothing.yaml": "a: &a\n  - os.system\nb:\n  _target_: *b\n",
    "hydra-alias-after-tab.yaml": "a: &a\tos.system\nb: {_target_: *a}\n",
    "hydra-evaluates.yaml": "_target_: sympy.sympify\na: x\n",
    "hydra-unpickles.yaml": "_target_: pandas.io.pickle.read_pickle\nfilepath_or_buffer: x\n",
    "lightning-block.yaml": "model:\n  class_path: >-\n    subprocess.Popen\n",
    "lightning-anchor.yaml": "model:\n  class_path: &a subprocess.Popen\n",
    "lightning-tag.yaml": "model:\n  class_path: !!str 'subprocess.Popen'\n",
    "lightning-alias.yaml": "a: &a subprocess.Popen\nmodel:\n  class_path: *a\n",
    "torchtune.yaml": "model:\n  _component_: os.system\n  command: id\n",
    "pyannote.yaml": "preprocessors:\n  audio:\n    name: subprocess.Popen\n    params:\n      args: id\n",
    "pyannote-flow.yaml": "preprocessors: {audio: {params: {args: id}, name: subprocess.Popen}}\n",
    "pyannote-alias.yaml": "a: &a subprocess.Popen\npreprocessors:\n  audio:\n    name: *a\n",
    "pyannote-lines.yaml": "a: 1\u0085name: subprocess.Popen\u2028params: {args: id}\u0085",
    "ultralytics-lines.yaml": "train: x\rnames: [a]\rdownload: |\r  print(1)\r",
    "graph-lines.pbtxt": 'node {\r op: # c\r "WriteFile"\r}\r',
    "keras-deep.json": '{"keras_version": "2", "class_name": "Model", "config": {}, "x": '
    + "[" * 5000
    + "]" * 5000
    + "}",
    "haystack.yaml": "components:\n  x:\n    type: subprocess.Popen\n    init_parameters:\n      args: id\n",
    "rasa.json": json.dumps(
        {"nodes": {"a": {"uses": "subprocess.Popen", "config": {"args": "id"}}}}
    ),
    "mmengine.json": json.dumps({"model": {"type": "os.system", "command": "id"}}),
    "speechbrain-reference.yaml": "x: !applyref:os.system\n  - id\n",
    "speechbrain-escape.yaml": 'x: !apply:%6fs.system ["id"]\n',
    "speechbrain-handle.yaml": "%TAG !e! !app\n---\nx: !e!ly:os.system [id]\n",
    "monai.json": json.dumps({"imports": ["$import os"], "run": ["$os.system('id')"]}),
    "monai-import.json": json.dumps({"x": "$__import__('os').system('id')"}),
    "monai.yaml": "imports:\n- $import os\nx: \"$os.system('id')\"\n",
    "monai-single.yaml": "x: '$os.system(''id'')'\n",
    "ultralytics-block.yaml": "train: images\nnames:\n  0: a\ndownload: |\n  print(1)\n",
    "ultralytics-shell.yaml": "train: images\nnames:\n  0: a\ndownload: bash x.sh\n",
    "yolo-activation.yaml": "nc: 80\nactivation: __import__('os').system('id')\nbackbone:\n  - [-1, 1, Conv, [64]]\n",
    "yolo-layer.yaml": "nc: 80\nbackbone:\n  - [-1, 1, \"exec('x')\", [64]]\n",
    ".git/config": "[core]\n\tbare = false\n\tfsmonitor = id\n",
    "metadata.yaml": "stride: 32\nnames: __import__('os').system('id')\n",
    "model-symbol.json": json.dumps(
        {"nodes": [{"op": "_Native", "name": "x", "attrs": {"info": "0x41"}}], "arg_nodes": [0]}
    ),
    "saved_model.pbtxt": 'meta_graphs {\n  graph_def {\n    node {\n      name: "w"\n      op: "WriteFile"\n    }\n  }\n}\n',
    "graph-in-parts.pbtxt": 'node {\n  op: "Write" # a\n  \'Fi\' "le"\n}\n',
    "graph-escaped.pbtxt": 'node: <\n  op: "Wri\\164eFile"\n>\n',
    "graph-asset.pbtxt": 'meta_graphs {\n  asset_file_def {\n    filename: "../../x"\n  }\n}\n',
    "model.onnxtxt": 'graph {\n  initializer {\n    external_data {\n      key: "location"\n      value: "../../etc/passwd"\n    }\n  }\n}\n',
    "deploy.prototxt": 'layer {\n  type: "Python"\n  python_param {\n    module: "evil"\n    layer: "Evil"\n  }\n}\n',
    "config.pbtxt": 'model_operations { op_library_filename: [ "/tmp/x.so" ] }\n',
    "keras.yaml": "class_name: Sequential\nconfig:\n  layers:\n  - class_name: Lambda\n    config: {}\nkeras_version: 2.4.0\n",
    "keras-within.json": json.dumps(
        {
            "a": {"model": {"class_name": "Sequential", "config": {"layers": [LAYER]}}},
            "keras_version": "2",
        }
    ),
    "java.yaml": "!!javax.script.ScriptEngineManager [x]\n",
    "ruby.yaml": "--- !ruby/object:Gem::Installer\ni: x\n",
    "page.html": "<html>" + "x" * 5000 + "</html>\n_target_: os.system\n",
}


@pytest.mark.parametrize("name", CALLED)
def test_what_a_configuration_calls_is_told_by_the_key_of_each_library(name: str) -> None:
    _, reading = judged(CALLED[name].encode(), name)
    assert told(reading)


HONEST = {
    "ldm.yaml": "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    timesteps: 1000\n",
    "logging.ini": "[handlers]\nkeys=h\n[handler_h]\nclass=StreamHandler\nargs=(sys.stdout,)\n",
    "logging.json": json.dumps({"handlers": {"h": {"()": "rich.logging.RichHandler"}}}),
    "train.py": "def clear():\n    shutil.rmtree('out')\nwith torch.no_grad():\n    model.eval()\n",
    "README.md": "```python\ndef prepare(name: os.PathLike, config: dict):\n    pass\nif ready():\n    os.makedirs('out')\n```\n",
    "notebook.ipynb": json.dumps(
        {
            "cells": [
                {
                    "source": [
                        "def f(name: os.PathLike, args: list):\n",
                        "if g():\n",
                        "    os.remove(x)\n",
                    ]
                }
            ]
        }
    ),
    "lightning.yaml": "model:\n  class_path: project.Model\n  init_args:\n    lr: 0.1\n",
    "hydra-anchor.yaml": "a: &a torch.optim.Adam\nb:\n  _target_: *a\n",
    "pyannote.yaml": (
        "pipeline:\n  name: pyannote.audio.pipelines.SpeakerDiarization\n  params:\n    embedding: pyannote/embedding\n"
    ),
    "speechbrain-handle.yaml": "%TAG !e! !example\n---\nx: !e!y [a]\n",
    "monai.json": json.dumps(
        {
            "imports": ["$import glob", "$import os"],
            "a": "$os.path.join(@root, 'x')",
            "b": "$torch.device('cpu')",
            "network_def": {"_target_": "UNet", "spatial_dims": 3},
            "c": "$sorted(glob.glob(@root + '/*.nii'))",
        }
    ),
    "saved_model.pbtxt": 'meta_graphs {\n  graph_def {\n    node {\n      name: "ReadFile"\n      op: "MatMul"\n    }\n  }\n}\n',
    "deploy.prototxt": 'name: "Net"\nlayer {\n  name: "conv1"\n  type: "Convolution"\n  bottom: "data"\n}\n',
    "keras.yaml": "class_name: Sequential\nconfig:\n  layers:\n  - class_name: Dense\n    config: {}\nkeras_version: 2.4.0\n",
    "metadata.yaml": "stride: 32\nimgsz:\n- 640\nnames:\n  0: person\n  1: os.system('id')\n",
    "model-symbol.json": json.dumps(
        {"nodes": [{"op": "Convolution", "name": "x"}], "arg_nodes": [0]}
    ),
    "prices.json": json.dumps({"price": "$5 (eval)", "name": "os.path"}),
    "ultralytics.yaml": "train: images\nnames:\n  0: a\ndownload: https://example.com/coco8.zip\n",
    "roboflow.yaml": "train: ../train/images\nnc: 1\nnames: ['a']\nroboflow:\n  workspace: x\n",
    "yolo.yaml": (
        "nc: 80 # classes (of COCO)\nactivation: nn.SiLU(inplace=True)\nbackbone:\n"
        "  # [from, repeats, module, args]\n  - [-1, 1, Conv, [64, 3, 2]] # 0-P1/2\n"
        "head:\n  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]\n  - [[15, 18, 21], 1, Detect, [nc]] # Detect(P3, P4)\n"
    ),
    ".git/config": (
        '[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote "origin"]\n\turl = https://hub.example/a/b\n'
        '\tfetch = +refs/heads/*:refs/remotes/origin/*\n[filter "lfs"]\n\tclean = git-lfs clean -- %f\n'
        "\tsmudge = git-lfs smudge -- %f\n\tprocess = git-lfs filter-process\n\trequired = true\n"
    ),
    "train.yaml": "trust_remote_code: true\nbase_model: a/b\n",
    "hydra.yaml": "_target_: transformers.AutoModel.from_pretrained\npretrained_model_name_or_path: gpt2\n",
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_configuration_is_no_finding(name: str) -> None:
    _, reading = judged(HONEST[name].encode(), name)
    assert told(reading) is False


@pytest.mark.timeout(20)
def test_searching_a_long_text_takes_time_that_grows_with_its_length() -> None:
    for line in (
        "params: x\n",
        " target: a.b\n",
        "args=" + "_" * 5000 + "\n",
        "_target_ ",
        "()  ",
        "target: " + "a." * 400 + "\n",
    ):
        text = "[handlers]\n" + line * (2_000_000 // len(line))
        judged(text.encode(), "x.yaml")
