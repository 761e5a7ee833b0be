"""Models judged by other processes: by workers of a folder's queue, one of which is killed, by Ray, and for a gateway; and the
pieces for Kubernetes. Files are read as data (depth "static")."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import psutil
import pytest
import torch
import yaml
from safe_load.cli import fleet_flags
from safe_load.core.options import Options
from safe_load.export.verify import verify
from safe_load.fleet import work
from safe_load.gateway.judging import Order, policy_of
from safe_load.gateway.workers import Processes
from safe_load.rooms import choice

from tests.integration.fake_hub import FakeHub
from tests.integration.helm import rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("fleet")

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
#: The Kubernetes version that manifests are checked against.
KUBERNETES = "1.31"


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four models: "a0" and "same" hold the same bytes, "evil" is hostile."""
    home = tmp_path_factory.mktemp("fleet") / "models"
    for name, value in (("a0", 0.0), ("a1", 1.0), ("same", 0.0)):
        (home / name).mkdir(parents=True)
        torch.save({"w": torch.full((4, 4), value)}, home / name / "pytorch_model.bin")
    (home / "same" / "pytorch_model.bin").write_bytes(
        (home / "a0" / "pytorch_model.bin").read_bytes()
    )
    (home / "evil").mkdir()
    (home / "evil" / "pytorch_model.bin").write_bytes(pickle.dumps({"w": _Payload()}))
    return home


EXPECTED = dict.fromkeys(("a0", "a1", "same"), "clean") | {"evil": "malicious"}


def scan(models: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BIN / "safe-load", "scan", models, "--depth", "static", "--format", "json", "--output", output, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def verdicts(output: Path) -> dict[str, str]:
    reports = json.loads(output.read_text())["reports"]
    found = {Path(each["source"]["path"]).name: each["verdict"] for each in reports}
    assert len(found) == len(reports)
    return found


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Any]:
    """worker(name): a process that takes jobs of tmp_path/store, as a pod's container runs it."""
    with ExitStack() as ends:

        def start(name: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [BIN / "safe-load", "fleet", "work", "--name", name, f"file://{tmp_path}/store"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            ends.callback(process.wait, 30)
            ends.callback(process.send_signal, signal.SIGTERM)
            return process

        yield start


def test_a_killed_worker_takes_no_verdict_along_and_none_comes_twice(
    models: Path, tmp_path: Path, worker: Any
) -> None:
    first, store = worker("w-0"), tmp_path / "store"
    with scan(models, tmp_path / "report.json", "--on", f"file://{store}") as asked:
        deadline = time.monotonic() + 60
        while not list(store.glob("taken/w-0/*")):  # it judges, whatever that is
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
        first.wait()
        assert list(store.glob("taken/w-0/*"))
        worker("w-0")  # as Kubernetes starts a pod of the same index again
        assert asked.wait(120) == 1
        assert asked.stderr is not None
        assert asked.stderr.read() == ""
    assert verdicts(tmp_path / "report.json") == EXPECTED
    assert len(list(store.glob("results/*"))) == 3
    # What was judged is not judged again, and needs no worker.
    with scan(models, tmp_path / "again.json", "--on", f"file://{store}") as asked:
        assert asked.wait(60) == 1
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "report.json").read_bytes()


def test_a_cluster_of_ray_gives_the_same_verdicts_and_a_killed_worker_s_job_again(
    models: Path, tmp_path: Path
) -> None:
    store, killed = tmp_path / "store", False
    few = tmp_path / "few"
    for name in ("a1", "evil"):
        shutil.copytree(models / name, few / name)
    with scan(
        few, tmp_path / "r.json", "--on", "ray://local", "--store", f"file://{store}"
    ) as asked:
        process = psutil.Process(asked.pid)
        while asked.poll() is None:
            for each in () if killed else process.children(recursive=True):
                with suppress(psutil.Error):
                    if any("safe_load.fleet.work" in word for word in each.cmdline()):
                        worker = each.parent()
                        assert worker is not None
                        worker.kill()
                        killed = True
                        break
            time.sleep(0.1)
        out, error = asked.communicate()
    assert killed
    assert asked.returncode == 1, error
    assert out == ""  # what Ray says of a worker is no report
    assert verdicts(tmp_path / "r.json") == {"a1": "clean", "evil": "malicious"}
    assert len(list(store.glob("results/*"))) == 2


def test_a_gateway_s_models_are_opened_by_a_fleet(
    models: Path, tmp_path: Path, worker: Any
) -> None:
    worker("w-0")
    options = Options(depth="static", hash_export=True)
    backend = choice.backend_of(options, choice.profile_of(options))
    told: list[str] = []
    with FakeHub() as hub:
        commits = {name: hub.add(f"org/{name}", models / name) for name in ("a0", "evil")}
        judges = Processes(
            1, options={"depth": "static", "hash": True, "hash_export": True}, policy=policy_of(options, backend, tmp_path),
            environment=os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}, index=tmp_path,
            patience=60, on=(f"file://{tmp_path}/store", None),
        )  # fmt: skip

        async def judged() -> list[Any]:
            async def ask(_: str) -> bool:
                return True

            try:
                orders = [Order(f"org/{name}", commit, None, str(tmp_path / name)) for name, commit in commits.items()]  # fmt: skip
                for name in commits:
                    (tmp_path / name).mkdir()
                return [await judges.judge(order, ask, told.append) for order in orders]
            finally:
                await judges.close()

        good, evil = asyncio.run(judged())
    assert (good.outcome, good.verdict) == ("ok", "clean"), good.sentence
    assert "fleet" in told
    assert verify(Path(good.target)).ok
    assert (evil.outcome, evil.verdict, evil.target) == ("rejected", "malicious", None)
    assert "posix.system" in evil.sentence


# --- Kubernetes


def documents() -> dict[str, dict[str, Any]]:
    """All manifests, by kind and name: of the Job, and of the chart as it is and with a runtime class."""
    texts = [(ROOT / "integrations" / "kubernetes-fleet.yaml").read_text()]
    chart = ROOT / "integrations" / "helm" / "safe-load"
    texts += rendered(chart, "mine").values()
    changed = {"workers": {"runtimeClassName": "gvisor"}, "store": {"storageClassName": "nfs"}}
    texts += rendered(chart, "other", changed).values()
    found = [each for text in texts for each in yaml.safe_load_all(text)]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def test_kubernetes_takes_every_manifest_and_knows_each_of_its_keys() -> None:
    found = documents()
    assert len(found) == 18
    for document in found.values():
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    wrong = found["Job/safe-load-fleet"]
    wrong["spec"]["template"]["spec"]["automountToken"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_every_pod_has_no_rights_and_workers_have_no_network() -> None:
    found = documents()
    pods = {
        name: each["spec"]["template"]
        for name, each in found.items()
        if "template" in each.get("spec", {})
    }
    assert len(pods) == 5
    closed = [
        each["spec"]["podSelector"]["matchLabels"]["app"]
        for each in found.values()
        if each["kind"] == "NetworkPolicy"
        and set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not each["spec"].keys() & {"ingress", "egress"}
    ]
    for name, pod in pods.items():
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        if "gateway" not in name:
            assert pod["metadata"]["labels"]["app"] in closed
            assert container["args"][:2] == ["fleet", "work"]
            words = {word for word in container["args"][2:] if word.startswith("--")}
            assert words <= {option for each in fleet_flags.work.params for option in each.opts}
            assert container["args"][-1] == "file:///store"
    assert (
        found["StatefulSet/other-worker"]["spec"]["template"]["spec"]["runtimeClassName"]
        == "gvisor"
    )
    assert "runtimeClassName" not in found["StatefulSet/mine-worker"]["spec"]["template"]["spec"]
    job = found["Job/safe-load-fleet"]["spec"]
    assert (job["completionMode"], job["template"]["spec"]["restartPolicy"]) == ("Indexed", "Never")


def test_the_chart_s_gateway_reads_its_configuration() -> None:
    from safe_load.gateway import settings

    text = documents()["ConfigMap/mine-gateway"]["data"]["gateway.toml"]
    assert re.search(r"^\[load\]$", text, re.MULTILINE)
    table = settings.tomllib.loads(text)
    read = settings._checked(settings.msgspec.convert(table, settings._File))
    assert (read.on, read.store, read.workers) == ("file:///store", None, 4)


def test_the_pod_s_own_container_judges(models: Path, tmp_path: Path) -> None:
    """As the Job's manifest says it, in Docker: the image, without rights and network, over a store that another mounts too."""
    from tests.integration import test_image

    if test_image.run("docker", "image", "inspect", test_image.TAG).returncode != 0:
        pytest.skip(f"the engine has no image {test_image.TAG}: make image")
    job = documents()["Job/safe-load-fleet"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    store = tmp_path / "store"
    store.mkdir()
    for folder in (tmp_path, *tmp_path.parents[:2], models, models.parent):
        folder.chmod(folder.stat().st_mode | 0o755)
    store.chmod(0o777)
    user = job["securityContext"]["runAsUser"]
    common = [
        "docker", "run", "--rm", "--network", "none", "--user", f"{user}:{user}", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--tmpfs", "/tmp", "-e", "HOME=/tmp", "-v", f"{store}:/store",
    ]  # fmt: skip
    asked = [*common, "-v", f"{models}:/models:ro", test_image.TAG, "scan", "/models/a0", "/models/evil",
             "--depth", "static", "--on", "file:///store"]  # fmt: skip
    with subprocess.Popen(
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        deadline = time.monotonic() + 60
        while not (store / "queue").exists():
            assert time.monotonic() < deadline
            assert driver.poll() is None
            time.sleep(0.2)
        done = test_image.run(
            *common,
            "--hostname",
            "safe-load-fleet-0",
            test_image.TAG,
            *container["args"],
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "posix.system" in out
    assert done.stdout.count("\n") == 2


def test_a_worker_s_process_ends_with_whoever_started_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", work.__name__, f"file://{tmp_path}"], stdin=subprocess.PIPE
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0
