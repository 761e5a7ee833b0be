"""The pieces for CI systems run as those systems would run them, on a repository with a good and a bad model."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from safe_load.render import FORMATS
from safe_load.sources.weight_names import EXTENSIONS, FURTHER
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CI = (ROOT / "docs" / "ci.md").read_text("utf-8")
BIN = Path(sys.executable).parent


class Payload:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> object:
        return os.system, ("echo hostile",)


def git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@mail.example")
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *command], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its main branch holds a good model and a policy; a change adds a bad one, and another policy."""
    root = tmp_path_factory.mktemp("repository")
    (root / "models" / "good").mkdir(parents=True)
    save_file({"w": np.ones((2, 2), "f4")}, root / "models" / "good" / "model.safetensors")
    (root / "models" / "train.py").write_text("import torch\n")
    (root / "safe-load.toml").write_text('fail-on = "medium"\n')
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "good")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    (root / "models" / "bad").mkdir()
    (root / "models" / "bad" / "model.pkl").write_bytes(pickle.dumps({"a": Payload()}))
    (root / "safe-load.toml").write_text('fail-on = "never"\n')
    git(root, "add", ".")
    git(root, "commit", "-qm", "bad")
    return root


def sh(
    script: str, folder: Path, shell: tuple[str, ...] = ("bash", "-e"), **more: str
) -> subprocess.CompletedProcess[str]:
    """A script as a CI system runs it: with the variables that it sets, and no others of this process."""
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SAFE_LOAD_NO_CACHE": "1",
        "SAFE_LOAD_DEPTH": "static",
    }
    return subprocess.run(
        [*shell, "-c", script],
        cwd=folder,
        env=environment | more,
        capture_output=True,
        text=True,
        check=False,
    )


ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())


def step(name: str) -> dict[str, Any]:
    return next(each for each in ACTION["runs"]["steps"] if each.get("name") == name)


def scan_step(repository: Path, tmp_path: Path, **inputs: str) -> tuple[str, str, dict[str, Any]]:
    """The step that scans: its output `code`, the summary, and the SARIF."""
    said = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | inputs
    values = {f"inputs.{name}": value for name, value in said.items()}
    values["github.event.pull_request.base.sha"] = git(repository, "rev-parse", "main~1")
    values["steps.environment.outputs.folder"] = str(BIN.parent)
    values |= {"github.server_url": "https://git.example", "github.action_ref": "v1"}
    values["github.action_repository"] = "owner/safe-load"
    scan = step("Scan")
    environment = {
        name: re.sub(r"\$\{\{ (.+?) \}\}", lambda found: values[found[1]], value)
        for name, value in scan["env"].items()
    }
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    done = sh(
        scan["run"],
        repository,
        ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
        **environment,
        **{name: str(path) for name, path in files.items()},
    )
    assert done.returncode == 0, done.stderr
    code = files["GITHUB_OUTPUT"].read_text().strip().removeprefix("code=")
    sarif = json.loads(Path(environment["SARIF"]).read_text()) if code != "2" else {}
    return code, files["GITHUB_STEP_SUMMARY"].read_text(), sarif


def test_the_action_writes_sarif_and_summary_and_then_fails(
    repository: Path, tmp_path: Path
) -> None:
    inputs = {"depth": "static", "sarif": str(tmp_path / "o.sarif"), "paths": "models\n\n"}
    code, summary, sarif = scan_step(repository, tmp_path, **inputs)
    assert code == "1"
    assert "models/bad" in summary
    assert "models/good" not in json.dumps(sarif)  # unchanged since the base
    assert "SL501" in json.dumps(sarif)
    page = "https://git.example/owner/safe-load/blob/v1/docs/findings.md"
    (run,) = sarif["runs"]
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["helpUri"] == f"{page}#{rule['id'].lower()}"
    assert sh(step("Fail where the scan did")["run"], tmp_path, CODE=code).returncode == 1
    assert sh(step("Fail where the scan did")["run"], tmp_path, CODE="").returncode == 4


def test_the_action_s_other_steps_run_and_name_an_environment(tmp_path: Path) -> None:
    found = step("Find the environment's name")
    for depth, extra in (("static", "static"), ("auto", "models")):
        output = tmp_path / depth
        done = sh(
            found["run"],
            tmp_path,
            DEPTH=depth,
            GITHUB_OUTPUT=str(output),
            GITHUB_ACTION_PATH=str(ROOT),
            RUNNER_OS="Linux",
        )
        assert done.returncode == 0, done.stderr
        said = dict(line.split("=", 1) for line in output.read_text().splitlines())
        assert said["extra"] == extra
        assert re.fullmatch(r"safe-load-Linux-\w+-3\.\d+-\w+-[0-9a-f]{16}", said["key"])
    assert sh(step("Install")["run"], tmp_path, ("bash", "-n")).returncode == 0
    # What a change may choose reaches a shell as a variable, never as text of the script.
    assert all("${{" not in each.get("run", "") for each in ACTION["runs"]["steps"])


def test_the_pre_commit_hook_refuses_the_bad_file_and_takes_the_good_one(repository: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    # Every ending of models; what packs anything, or is as common for other things, is left to CI.
    general = set(".zip .zst .tgz .gz .bz2 .xz .z .params .cb".split())
    endings = (EXTENSIONS | FURTHER) - general
    assert [each for each in sorted(endings) if not re.search(hook["files"], f"a{each}")] == []
    files = git(repository, "ls-files").splitlines()
    matched = [file for file in files if re.search(hook["files"], file)]
    assert matched == ["models/bad/model.pkl", "models/good/model.safetensors"]
    for given, code in ((matched[1:], 0), (matched, 1)):
        done = subprocess.run(
            [BIN / "safe-load", *hook["entry"].split()[1:], *given],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
    assert "models/bad/model.pkl" in done.stdout


def test_the_gitlab_component_takes_its_policy_from_the_default_branch(repository: Path) -> None:
    spec, job = yaml.safe_load_all((ROOT / "templates" / "scan.yml").read_text())
    inputs = {name: (each or {}).get("default") for name, each in spec["spec"]["inputs"].items()}
    inputs |= {"paths": "models", "policy": "safe-load.toml", "depth": "static"}
    text = re.sub(
        r"\$\[\[ inputs\.(\w+) \]\]", lambda found: str(inputs[found[1]]), json.dumps(job)
    )
    job = json.loads(text)["safe-load"]
    variables = {name: str(value) for name, value in job["variables"].items()}
    base = {
        "CI_DEFAULT_BRANCH": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": git(repository, "rev-parse", "main~1"),
    }
    done = sh("\n".join(job["script"]), repository, **variables, **base)
    assert done.returncode == 1, done.stderr
    reports = job["artifacts"]["reports"]
    ET.parse(repository / reports["junit"])
    quality = json.loads((repository / reports["codequality"]).read_text())
    assert any("SL501" in json.dumps(each) for each in quality)
    assert (repository / job["artifacts"]["paths"][0]).read_bytes().startswith(b"<!")
    assert sh("\n".join(job["before_script"]), repository, ("bash", "-n")).returncode == 0


def commands_of(name: str) -> Iterator[str]:
    text = (ROOT / "integrations" / name).read_text()
    if name == "Jenkinsfile":
        yield from re.findall(r"sh '''(.+?)'''", text, re.DOTALL)
    else:
        yield from (each["script"] for each in yaml.safe_load(text)["steps"] if "script" in each)


@pytest.mark.parametrize("name", ["Jenkinsfile", "azure-pipelines.yml"])
def test_the_snippets_fail_on_the_bad_model_and_leave_their_reports(
    repository: Path, name: str
) -> None:
    install, scan = commands_of(name)
    assert sh(install, repository, ("bash", "-n")).returncode == 0
    done = sh(scan, repository, MODELS="models", SAFE_LOAD_CONFIG="none")
    assert done.returncode == 1, done.stderr
    for format_, file in re.findall(r"--report (\w+)=(\S+)", scan):
        assert format_ in FORMATS
        assert (repository / file).stat().st_size > 100
    ET.parse(repository / "safe-load.xml")


def test_the_kubernetes_job_runs_the_image_s_command_without_rights(
    repository: Path, tmp_path: Path
) -> None:
    job, network = yaml.safe_load_all((ROOT / "integrations" / "kubernetes-job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secure = container["securityContext"]
    assert secure["capabilities"] == {"drop": ["ALL"]}
    assert secure["readOnlyRootFilesystem"]
    assert not secure["allowPrivilegeEscalation"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert job["spec"]["backoffLimit"] == 0
    assert set(network["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container["image"] == f"safe-load:{version}"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"/models", "/reports", "/tmp"}
    place = {"/models": str(repository / "models"), "/reports": str(tmp_path)}
    words = [
        re.sub("/(models|reports)", lambda found: place[found[0]], word)
        for word in container["args"]
    ]
    environment = {each["name"]: each["value"] for each in container["env"]}
    done = subprocess.run(
        [BIN / "safe-load", *words],
        env={"PATH": os.environ["PATH"], "SAFE_LOAD_DEPTH": "static", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert (tmp_path / "safe-load.json").stat().st_size
    assert (tmp_path / "safe-load.html").stat().st_size


@pytest.mark.parametrize(
    "name",
    [
        "integrations/Jenkinsfile",
        "integrations/azure-pipelines.yml",
        "integrations/kubernetes-job.yaml",
    ],
)
def test_the_page_on_ci_shows_each_piece_as_it_is(name: str) -> None:
    assert (ROOT / name).read_text().strip() in CI


def test_the_readme_shows_the_pages_pieces_and_they_name_what_is_there() -> None:
    shown = re.findall(r"```yaml\n(.+?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert all(f"```yaml\n{each}```" in CI for each in shown)
    workflow, hooks = map(yaml.safe_load, shown)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    checkout, gate = workflow["jobs"]["gate"]["steps"]  # no step needs a file that nobody has yet
    assert checkout["uses"].startswith("actions/checkout@")
    assert gate["uses"] == f"OWNER/safe-load@v{version}"
    assert set(gate["with"]) <= set(ACTION["inputs"])
    (repo,) = hooks["repos"]
    assert repo["rev"] == f"v{version}"
    assert repo["hooks"] == [{"id": "safe-load"}]


def test_the_page_s_inputs_are_those_of_the_pieces() -> None:
    spec, _ = yaml.safe_load_all((ROOT / "templates" / "scan.yml").read_text())
    for name in (*ACTION["inputs"], *spec["spec"]["inputs"]):
        assert f"`{name}`" in CI, name


def test_a_policy_taken_from_the_base_is_not_the_change_s(repository: Path, tmp_path: Path) -> None:
    """The pattern that docs/ci.md shows."""
    (command,) = re.findall(r"^ +(git show \"\$BASE:safe-load\.toml\".+)$", CI, re.MULTILINE)
    base = git(repository, "rev-parse", "main~1")
    done = sh(command, repository, BASE=base, RUNNER_TEMP=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "medium" in (tmp_path / "policy.toml").read_text()
    scan = "safe-load scan -q models"
    judged = sh(scan, repository, SAFE_LOAD_CONFIG=str(tmp_path / "policy.toml"))
    assert judged.returncode == 1
    found = sh(scan, repository)  # the change's own file says never, and is not believed
    assert found.returncode == 1
    assert "is ignored" in found.stderr
