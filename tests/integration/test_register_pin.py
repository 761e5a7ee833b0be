"""`safe-load register pin`: the patch that it prints applies, and what it pins is pinned."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from safe_load.cli import exit_code

from tests.integration.fake_hub import FakeHub
from tests.integration.fake_registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyone

FILES = {
    "app.py": """\
from transformers import AutoModel, pipeline
NAME = "org/name"
a = AutoModel.from_pretrained(NAME)
b = AutoModel.from_pretrained("org/name", revision="main", trust_remote_code=False)
c = AutoModel.from_pretrained(
    "org/name",
    device_map="auto")
d = AutoModel.from_pretrained("org/name", )
é = pipeline("ner", "org/name") if "é" else None
f = AutoModel.from_pretrained("org/gone")
""",
    "serve.sh": "vllm serve org/name --port 80\nvllm serve --model org/name --revision main\n",
    "deploy.yaml": 'args: ["--model-id", "org/name"]\nmodel_name: org/name\n',
    "Dockerfile": "FROM scratch\nADD https://hub.example/org/name/resolve/main/model.bin /m\nRUN pip install 'vllm>=1' torch\n",
    "requirements.txt": "transformers[torch]>=4,<5  # why\nPeft ~= 0.1 ; python_version > '3'\n",
    "package.json": '{"dependencies": {"openai": "^4.0.0"}}\n',
    ".mcp.json": '{"mcpServers": {"a": {"command": "npx", "args": ["-y", "@acme/mail-mcp"]},\n "b": {"command": "uvx", "args": ["mcp-server-git"]}}}\n',
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for variable in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSF"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def hub(server: FakeHub) -> str:
    return server.add("org/name", {"config.json": b"{}"})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url)
        yield server


def test_the_patch_applies_and_pins_what_floats(
    tmp_path: Path, hub: str, registry: FakeRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.pypi("transformers", ["4.9.0", "4.57.1", "5.0.0"])
    registry.pypi("peft", ["0.1", "0.17.0", "1.0.0rc1"])
    registry.pypi("vllm", ["0.9", "1.2.3"])
    registry.pypi("torch", ["2.13.0"])
    registry.pypi("mcp-server-git", ["2025.1.14"])
    registry.npm("openai", ["4.0.0", "4.52.0", "5.1.0"])
    registry.npm("@acme/mail-mcp", ["1.0.15", "1.0.16"])
    project = tmp_path / "project"
    project.mkdir()
    for name, text in FILES.items():
        (project / name).write_text(text, "utf-8")
    code = exit_code(["register", "pin", str(project)])
    shown = capfd.readouterr()
    assert code == 3  # org/gone is on no hub
    assert "not pinned: app.py:10: org/gone" in shown.err
    assert "not pinned: deploy.yaml:2: org/name" in shown.err
    done = subprocess.run(
        ["git", "apply", "--verbose", "-"], input=shown.out, text=True, cwd=project, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    now = {name: (project / name).read_text("utf-8") for name in FILES}
    assert now["app.py"].split("\n") == [
        "from transformers import AutoModel, pipeline",
        'NAME = "org/name"',
        f'a = AutoModel.from_pretrained(NAME, revision="{hub}")',
        f'b = AutoModel.from_pretrained("org/name", revision="{hub}", trust_remote_code=False)',
        "c = AutoModel.from_pretrained(",
        '    "org/name",',
        f'    device_map="auto", revision="{hub}")',
        f'd = AutoModel.from_pretrained("org/name", revision="{hub}")',
        f'é = pipeline("ner", "org/name", revision="{hub}") if "é" else None',
        'f = AutoModel.from_pretrained("org/gone")',
        "",
    ]
    assert now["serve.sh"] == (
        f"vllm serve org/name --revision {hub} --port 80\nvllm serve --model org/name --revision {hub}\n"
    )
    assert now["deploy.yaml"].startswith(f'args: ["--model-id", "org/name", "--revision", "{hub}"]')
    assert f"/resolve/{hub}/model.bin" in now["Dockerfile"]
    assert "pip install 'vllm==1.2.3' torch==2.13.0\n" in now["Dockerfile"]
    assert now["requirements.txt"] == (
        "transformers[torch]==4.57.1  # why\nPeft==0.17.0 ; python_version > '3'\n"
    )
    assert json.loads(now["package.json"])["dependencies"]["openai"] == "4.52.0"
    assert '"@acme/mail-mcp@1.0.16"' in now[".mcp.json"]
    assert '"mcp-server-git==2025.1.14"' in now[".mcp.json"]
    compile(now["app.py"], "app.py", "exec")


DIGEST = "sha256:" + "5e" * 32
REF = "7a" * 20


def edited(image: str, git: str, commit: str, second: str) -> dict[str, tuple[str, str]]:
    """Path -> (text before, text after) of what people write in which the pin is more than a word in a line."""
    tgi = image.replace("/acme/mcp", "/acme/text-generation-inference")
    return {
        "Dockerfile": (
            f"FROM --platform=linux/amd64 {tgi}:2.4 AS serve\nENV MODEL_ID=org/second\nRUN git clone https://hf.example/org/name\n",
            f"FROM --platform=linux/amd64 {tgi}:2.4@{DIGEST} AS serve\nENV MODEL_ID=org/second\nENV REVISION={second}\nRUN git clone https://hf.example/org/name && git -C name checkout {commit}\n",
        ),
        "docker-compose.yml": (
            (
                f"services:\n  a:\n    image: {tgi}:2.4\n    command:\n      - --model-id\n      - org/name\n      - --port=80\n"
                f"  b:\n    image: '{tgi}:2.4'\n    command: >\n      --max-input-tokens 10\n      --model-id org/name\n"
                f"  c:\n    image: {tgi}:2.4\n    environment:\n      - MODEL_ID=org/name\n"
            ),
            (
                f"services:\n  a:\n    image: {tgi}:2.4@{DIGEST}\n    command:\n      - --model-id\n      - org/name\n      - --revision\n      - {commit}\n      - --port=80\n"
                f"  b:\n    image: '{tgi}:2.4@{DIGEST}'\n    command: >\n      --max-input-tokens 10\n      --model-id org/name --revision {commit}\n"
                f"  c:\n    image: {tgi}:2.4@{DIGEST}\n    environment:\n      - MODEL_ID=org/name\n      - REVISION={commit}\n"
            ),
        ),
        "k8s/tgi.yaml": (
            f"kind: Pod\nspec:\n  containers:\n    - image: {tgi}:2.4\n      args: ['--model-id=org/name']\n      env:\n        - name: MODEL_ID\n          value: org/name\n",
            f"kind: Pod\nspec:\n  containers:\n    - image: {tgi}:2.4@{DIGEST}\n      args: ['--model-id=org/name', '--revision', '{commit}']\n      env:\n        - name: MODEL_ID\n          value: org/name\n        - name: REVISION\n          value: {commit}\n",
        ),
        "chart/values.yaml": (
            f'image:\n  repository: {tgi}\n  tag: "2.4"\nmodel:\n  name: org/name\n  revision: main\n',
            f'image:\n  repository: {tgi}\n  tag: "2.4@{DIGEST}"\nmodel:\n  name: org/name\n  revision: {commit}\n',
        ),
        "kserve.yaml": (
            "spec:\n  storageUri: hf://org/name\n",
            f"spec:\n  storageUri: hf://org/name:{commit}\n",
        ),
        "mcp.json": (
            f'{{"mcpServers": {{"d": {{"command": "docker", "args": ["run", "-i", "--rm", "{image}:2.4"]}},\n "g": {{"command": "uvx", "args": ["--from", "git+{git}", "tool"]}}}}}}\n',
            f'{{"mcpServers": {{"d": {{"command": "docker", "args": ["run", "-i", "--rm", "{image}:2.4@{DIGEST}"]}},\n "g": {{"command": "uvx", "args": ["--from", "git+{git}@{REF}", "tool"]}}}}}}\n',
        ),
        "my app.py": (
            "m = AutoModel.from_pretrained(\r\n    'org/name',\r\n    device_map='auto',\r\n)\r\nn = AutoModel.from_pretrained(\r\n    'org/name'\r\n)",
            (
                f"m = AutoModel.from_pretrained(\r\n    'org/name',\r\n    device_map='auto',\r\n    revision=\"{commit}\",\r\n)\r\n"
                f"n = AutoModel.from_pretrained(\r\n    'org/name',\r\n    revision=\"{commit}\",\r\n)"
            ),
        ),
        "book.ipynb": (
            '{"cells": [{"cell_type": "code", "source": [\n    "é = \\"x\\"; m = AutoModel.from_pretrained(\\"org/name\\")\\n",\n    "n = AutoModel.from_pretrained(\\n",\n    "    \\"org/name\\"\\n",\n    ")"\n]}], "nbformat": 4}\n',
            f'{{"cells": [{{"cell_type": "code", "source": [\n    "é = \\"x\\"; m = AutoModel.from_pretrained(\\"org/name\\", revision=\'{commit}\')\\n",\n    "n = AutoModel.from_pretrained(\\n",\n    "    \\"org/name\\",\\n",\n    "    revision=\'{commit}\',\\n",\n    ")"\n]}}], "nbformat": 4}}\n',
        ),
        "serve.sh": (
            "exec vllm serve \\\n  org/name \\\n  --port 80\npython train.py --model org/name\n",
            f"exec vllm serve \\\n  org/name --revision {commit} \\\n  --port 80\npython train.py --model org/name\n",
        ),
        "web/a.ts": (
            "const a = await pipeline('ner', 'org/name');\nconst b = await AutoModel.from_pretrained('org/name', { dtype: 'q8' });\n",
            f"const a = await pipeline('ner', 'org/name', {{ revision: '{commit}' }});\nconst b = await AutoModel.from_pretrained('org/name', {{ revision: '{commit}', dtype: 'q8' }});\n",
        ),
        "rag.py": (
            'a = HuggingFaceEmbeddings(model_name="org/name")\nb = HuggingFaceCrossEncoder(\n    model_name="org/name",\n    model_kwargs={"device": "cpu"},\n)\n',
            f'a = HuggingFaceEmbeddings(model_name="org/name", model_kwargs={{"revision": "{commit}"}})\nb = HuggingFaceCrossEncoder(\n    model_name="org/name",\n    model_kwargs={{"device": "cpu", "revision": "{commit}"}},\n)\n',
        ),
        "package.json": (
            f'{{"dependencies": {{"openai": "git+{git}.git#main"}}}}\n',
            f'{{"dependencies": {{"openai": "git+{git}.git#{REF}"}}}}\n',
        ),
        "pyproject.toml": (
            f'[tool.poetry.dependencies]\ntorch = "^2.0"\nvllm = {{version = ">=0.9", extras = ["x"]}}\npeft = {{git = "{git}", branch = "main"}}\n',
            f'[tool.poetry.dependencies]\ntorch = "==2.13.0"\nvllm = {{version = "==1.2.3", extras = ["x"]}}\npeft = {{git = "{git}", rev = "{REF}"}}\n',
        ),
        "requirements.txt": (
            f"peft @ git+{git}@main\ntorch\n",
            f"peft @ git+{git}@{REF}\ntorch==2.13.0\n",
        ),
        "Modelfile": ("FROM llama3.2:3b\n", "FROM llama3.2:3b\n"),
    }


def apply(project: Path, patch: str) -> None:
    done = subprocess.run(["git", "apply", "-"], input=patch.encode(), cwd=project, capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


def test_a_pin_is_written_as_each_kind_of_file_has_it(
    tmp_path: Path,
    server: FakeHub,
    hub: str,
    registry: FakeRegistry,
    capfd: pytest.CaptureFixture[str],
) -> None:
    second = server.add("org/second", {"config.json": b"{}"})
    registry.pypi("torch", ["2.13.0"])
    registry.pypi("vllm", ["1.2.3"])
    registry.image("acme/text-generation-inference", "2.4", DIGEST)
    image = registry.image("acme/mcp", "2.4", DIGEST)
    files = edited(image, registry.git("acme/peft", {"main": REF}), hub, second)
    project = tmp_path / "project"
    for name, (text, _) in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(text.encode())
    assert exit_code(["register", "pin", str(project)]) == 0
    shown = capfd.readouterr()
    apply(project, shown.out)
    assert {name: (project / name).read_bytes().decode() for name in files} == {
        name: text for name, (_, text) in files.items()
    }
    assert "not pinned: Modelfile:1: llama3.2: FROM ./model.gguf" in shown.err
    assert "not pinned: serve.sh:4: org/name: --model org/name --revision" in shown.err
    # What was pinned is pinned for the register too: the next patch has nothing more to say of it.
    assert exit_code(["register", "pin", str(project)]) == 0
    assert capfd.readouterr().out == ""


def test_offline_only_what_is_here_pins_and_the_rest_is_told(
    tmp_path: Path, hub: str, registry: FakeRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.py").write_text('AutoModel.from_pretrained("org/name")\nAutoModel.from_pretrained("org/other")\n')  # fmt: skip
    (tmp_path / "requirements.txt").write_text("torch\n")
    image = registry.image("acme/mcp", "2.4", DIGEST)
    (tmp_path / "Dockerfile").write_text(f"FROM {image}:2.4\n")
    kept = tmp_path / "hf/hub/models--org--name"
    (kept / "snapshots" / hub).mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text(hub)
    assert exit_code(["register", "pin", str(tmp_path), "--offline"]) == 0
    shown = capfd.readouterr()
    assert f'+AutoModel.from_pretrained("org/name", revision="{hub}")' in shown.out
    assert "1 pinned, 3 left" in shown.err
    assert "offline: the hub not asked, for 1 link\n" in shown.err
    assert "offline: pip's index not asked, for 1 link\n" in shown.err
    assert "offline: the images' registries not asked, for 1 link\n" in shown.err
    assert registry.requests == []


def test_a_registry_that_does_not_answer_is_told_and_changes_nothing(
    tmp_path: Path, registry: FakeRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements.txt").write_text("torch>=2\ntransformers>=4\nvllm>=0\n")
    registry.raw["/torch/"] = (500, b"", {})
    registry.raw["/transformers/"] = (200, b"<html>", {})
    registry.raw["/vllm/"] = (302, b"", {"Location": "http://elsewhere.example/"})
    assert exit_code(["register", "pin", str(tmp_path)]) == 3
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "HTTP 500" in shown.err
    assert "not what its API says" in shown.err
    assert "HTTP 302" in shown.err  # it leads to an address without encryption, and is not followed
    assert [path for path, _ in registry.requests] == ["/torch/", "/transformers/", "/vllm/"]


def test_a_registry_of_images_or_a_repository_that_misbehaves_is_told_and_pins_nothing(
    tmp_path: Path, registry: FakeRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = {
        "gone": (404, b"", {}),
        "moved": (302, b"", {"Location": f"{registry.url}/elsewhere", "Docker-Content-Digest": DIGEST}),
        "odd": (200, b"", {"Docker-Content-Digest": "sha256:no\nnew: line"}),
        "mute": (200, b"", {}),
        "plain": (401, b"", {"WWW-Authenticate": 'Bearer realm="http://token.example/"'}),
        "locked": (401, b"", {"WWW-Authenticate": "Basic"}),
        "tokenless": (401, b"", {"WWW-Authenticate": f'Bearer realm="{registry.url}/none"'}),
    }  # fmt: skip
    registry.raw["/none?service=&scope=repository:mcp/tokenless:pull"] = (
        200,
        b'{"token": "a b"}',
        {},
    )
    place = registry.url.removeprefix("http://")
    for name, answer in answers.items():
        registry.raw[f"/v2/mcp/{name}/manifests/1"] = answer
    git = registry.git("acme/peft", {"other": REF})
    (tmp_path / "requirements.txt").write_text(
        f"peft @ git+{git}@main\ntrl @ git+ssh://x.example/a/trl\n"
    )
    (tmp_path / "Dockerfile").write_text(
        "".join(f"FROM {place}/mcp/{name}:1\n" for name in answers)
    )
    assert exit_code(["register", "pin", str(tmp_path)]) == 3
    shown = capfd.readouterr()
    assert shown.out == ""
    told = {line.split(": ")[2].rpartition("/")[2]: line.split(": ", 3)[3] for line in shown.err.splitlines() if line.startswith("not pinned")}  # fmt: skip
    assert told == {
        "gone": "its registry has no such image",
        "moved": "its registry answers HTTP 302",
        "odd": "its registry names no digest",
        "mute": "its registry names no digest",
        "plain": "its registry cannot be asked: it sends for a token to an address without encryption",
        "locked": "its registry wants a login",
        "tokenless": "its registry cannot be asked: it gives no token",
        "peft": "its repository has no main, or cannot be reached",
        "trl": "its repository has no https:// address in this line",
    }
    assert "/elsewhere" not in [path for path, _ in registry.requests]


def test_options_of_the_register_are_none_of_pins(capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["register", "pin", ".", "--check"]) == 2
    assert "takes no --check" in capfd.readouterr().err
