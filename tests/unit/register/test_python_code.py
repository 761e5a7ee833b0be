"""Names, revisions and servers in Python code, one way to write them at a time."""

from __future__ import annotations

import pytest
from safe_load.register import python_code

pytestmark = pytest.mark.anyone

C = "0123456789abcdef0123456789abcdef01234567"
FLOATING = ("floating", None)
PINNED = ("pinned", C)


def told(code: str) -> dict[str, tuple[str, str | None]]:
    return {
        each.name: (each.state, each.value)
        for each in python_code.read(code, "a.py")
        if each.kind != "host"
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("D = {**{'e': 'BAAI/bge-m3'}}\nAutoModel.from_pretrained(D['e'])", {"BAAI/bge-m3": FLOATING}),
        ("class M(str, Enum):\n A = 'facebook/bart-base'\nAutoModel.from_pretrained(M.A.value)", {"facebook/bart-base": FLOATING}),
        ("client = InferenceClient('meta-llama/Llama-3.3-70B-Instruct')", {"meta-llama/Llama-3.3-70B-Instruct": FLOATING}),
        ("lm = dspy.LM('openai/gpt-4o-mini', api_base=x)", {"openai/gpt-4o-mini": FLOATING}),
        ("from ultralytics import YOLO\nYOLO('yolov8n.pt')", {"yolov8n.pt": FLOATING}),
        ("SequenceTagger.load('flair/ner-english-large')", {"flair/ner-english-large": FLOATING}),
        ("CausalLM.from_preset('hf://google/gemma-2b')", {"google/gemma-2b": FLOATING}),
        (f"CausalLM.from_preset('hf://google/gemma-2b@{C}')", {"google/gemma-2b": PINNED}),
        ("MultiServerMCPClient({'m': {'command': 'uvx', 'args': ['math-mcp==0.3']}})", {"math-mcp": ("pinned", "0.3")}),
        ("load = partial(AutoModel.from_pretrained, revision=R)\nload('org/a-model')", {"org/a-model": ("unknown", None)}),
        (f"R = '{C}'\nload = partial(AutoModel.from_pretrained, revision=R)\nload('org/a-model')", {"org/a-model": PINNED}),
        (f"for n, r in [('org/a', '{C}'), ('org/b', None)]:\n f.from_pretrained(n, revision=r)", {"org/a": PINNED, "org/b": FLOATING}),
        (f"M = {{'a': {{'id': 'org/a', 'rev': '{C}'}}, 'b': {{'id': 'org/b', 'rev': 'v1'}}}}\nf.from_pretrained(M[k]['id'], revision=M[k]['rev'])", {"org/a": PINNED, "org/b": ("floating", "v1")}),
        (f"f.from_pretrained('org/a', **{{'revision': '{C}'}})", {"org/a": PINNED}),
        ("f.from_pretrained('org/a', **options())", {"org/a": ("unknown", None)}),
        (f"f.from_pretrained('org/a', revision='{C[:7]}')", {"org/a": ("floating", C[:7])}),
        (f"f.from_pretrained('org/a', revision='{C.upper()}')", {"org/a": ("floating", C.upper())}),
        (f"f.from_pretrained('org/a', revision=x or '{C}')", {"org/a": PINNED}),
        (f"f.from_pretrained('org/a', revision='main' if x else '{C}')", {"org/a": ("floating", "main")}),
        ("hf_hub_download('org/a', 'x', repo_type='dataset')", {}),
        ("load_dataset('org/data')", {}),
        ("def load(name):\n return f.from_pretrained(name)\nload('org/a')", {"org/a": FLOATING}),
        ("x = 'org/a'\nx = 'org/b'\nf.from_pretrained(x)", {"org/a": FLOATING, "org/b": FLOATING}),
        ("f.from_pretrained(f'{O}/a')\nO = 'org'", {"org/a": FLOATING}),
        ("f.from_pretrained('{}/{}'.format('org', 'a'))", {"org/a": FLOATING}),
        ("f.from_pretrained('%s/a' % 'org')", {"org/a": FLOATING}),
        ("f.from_pretrained(name)", {"<name>": ("unknown", None)}),
        ("x = x\nf.from_pretrained(x)", {"<x>": ("unknown", None)}),
        ("class A:\n m = 'org/a'\n def g(self):\n  return f.from_pretrained(self.m)", {"org/a": FLOATING}),
        ("a = argparse.ArgumentParser()\na.add_argument('--base', default='org/a')\nf.from_pretrained(a.parse_args().base)", {"org/a": FLOATING}),
        ("subprocess.run(['vllm', 'serve', 'org/a', '--revision', 'main'])", {"org/a": ("floating", "main")}),
        ("os.system('ollama pull llama3')", {"llama3": FLOATING}),
        ("client.create(model='gpt-4o-2024-08-06')", {"gpt-4o-2024-08-06": ("pinned", "2024-08-06")}),
    ],
)  # fmt: skip
def test_so_it_is_read(code: str, expected: dict[str, tuple[str, str | None]]) -> None:
    assert told(code) == expected


def test_a_name_from_another_file_of_the_project_is_found() -> None:
    import ast

    from safe_load.register.syntax import Module

    other = Module(ast.parse(f"NAME = 'org/a'\nREV = '{C}'"), "pkg/names.py")
    code = "from pkg.names import NAME\nfrom pkg import names\nf.from_pretrained(NAME, revision=names.REV)"
    found = python_code.read(
        code, "main.py", lambda dotted, level, of: other if dotted == "pkg.names" else None
    )
    assert [(each.name, each.value) for each in found] == [("org/a", C)]


def test_a_file_of_many_names_takes_bounded_work() -> None:
    code = "\n".join(
        f"a{n} = [a{n - 1}, a{n - 1}, a{n - 1}] if x else a{n - 1}" for n in range(1, 200)
    )
    code += "\n" + "\n".join(f"f.from_pretrained(a{n})" for n in range(200))
    assert len(python_code.read(code, "a.py")) <= 400


def test_a_link_that_serves_a_model_is_a_host_and_one_row() -> None:
    code = "InferenceClient(model='https://llm.example/v1')\nAsyncInferenceClient('org/a-model')"
    found = [(each.kind, each.name) for each in python_code.read(code, "a.py")]
    assert found == [("host", "llm.example"), ("model", "org/a-model")]
