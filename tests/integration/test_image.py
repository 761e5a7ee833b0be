"""The container image: what is in it, what is not, that it is made the same twice, and that it works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.core.version import version
from safe_load.sandbox import code

from tests import backends, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    #: Path, whether it is a file, mode, names of extended attributes.
    File = tuple[str, bool, int, list[str]]

ROOT = Path(__file__).resolve().parents[2]
TAG = backends.IMAGE
#: Prints one line of JSON about everything that the image's file system holds.
WALK = """
import json, os, stat
found = []
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    for name in folders + files:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            continue
        found.append((path, stat.S_ISREG(mode), stat.S_IMODE(mode), os.listxattr(path)))
print(json.dumps(found))
"""
LISTING = """
import json, importlib.util
from importlib import metadata
print(json.dumps({
    "python": [[one.metadata["Name"], one.version] for one in metadata.distributions()],
    "pip": [name for name in ("pip", "ensurepip", "wheel") if importlib.util.find_spec(name)],
    "bill": json.load(open("/usr/share/safe-load/sbom.cdx.json")),
    "status": [open(f"/var/lib/dpkg/status.d/{name}").read() for name in __import__("os").listdir("/var/lib/dpkg/status.d")],
}))
"""


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more
    )


@pytest.fixture(scope="module")
def config() -> Mapping[str, Any]:
    """The configuration of this tree's image, as the engine has it."""
    try:
        engine = run("docker", "version", timeout=60)
    except FileNotFoundError:
        pytest.skip("no container engine: there is no program docker here")
    if engine.returncode != 0:
        pytest.skip(f"no container engine answers: {engine.stderr.strip()}")
    inspected = run("docker", "image", "inspect", TAG)
    if inspected.returncode != 0:
        pytest.skip(f"the engine has no image {TAG}: make image")
    (image,) = json.loads(inspected.stdout)
    return image["Config"] | {"Id": image["Id"]}


def inside(program: str) -> Any:
    """What a Python program in the image prints as JSON, with no network and nothing to write to."""
    done = run(
        *("docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"),
        *("--entrypoint", "/usr/bin/python3", TAG, "-I", "-c", program),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def files(config: Mapping[str, Any]) -> list[File]:
    return [tuple(entry) for entry in inside(WALK)]


@pytest.fixture(scope="module")
def listing(config: Mapping[str, Any]) -> dict[str, Any]:
    return dict(inside(LISTING))


def test_image_and_package_carry_the_same_version_and_the_same_code(
    config: Mapping[str, Any],
) -> None:
    assert config["Labels"]["safe-load.version"] == version()
    assert config["Labels"]["safe-load.code"] == code.checksum()


def test_the_code_inside_is_the_code_that_the_label_names(config: Mapping[str, Any]) -> None:
    program = "import json; from safe_load.sandbox import code; print(json.dumps(code.checksum()))"
    assert inside(program) == config["Labels"]["safe-load.code"]


def test_its_user_is_nobody_special(config: Mapping[str, Any]) -> None:
    assert config["User"] == "65532:65532"
    assert inside(
        "import json, os; print(json.dumps([os.getuid(), os.getgid(), os.getgroups()]))"
    ) == [
        65532,
        65532,
        [65532],
    ]


def test_nothing_in_it_lends_rights(files: list[File]) -> None:
    assert [path for path, _, mode, _ in files if mode & 0o6000] == []
    assert [path for path, _, _, attributes in files if "security.capability" in attributes] == []
    assert [path for path, _, mode, _ in files if mode & 0o022 and not mode & 0o1000] == []


def test_its_only_programs_are_python_and_ours(
    files: list[File],
) -> None:
    """No shell, no package manager, no compiler, no pip: not on the path, and nowhere else."""
    on_the_path = {path for path, *_ in files if re.match(r"/usr/(local/)?s?bin/", path)}
    assert on_the_path == {"/usr/bin/python3.11", "/usr/local/bin/safe-load"}
    tools = re.compile(
        r"(ba|da|a|z|k|tc|c)?sh|busybox|perl[\d.]*|apt(-get)?|dpkg(-deb)?|pip[\d.]*|g?cc(-\d+)?"
        r"|g\+\+|c\+\+|ld|as|make|ldconfig|curl|wget|git|ssh|sudo|su|mount|nsenter|unshare"
    )
    assert [path for path, file, *_ in files if file and tools.fullmatch(Path(path).name)] == []


def test_it_holds_no_caches_of_package_managers_and_no_pip(
    files: list[File], listing: dict[str, Any]
) -> None:
    assert listing["pip"] == []
    caches = ("/var/cache", "/var/lib/apt", "/root/.cache", "/home/safe-load/.cache")
    assert [path for path, *_ in files if path.startswith(caches)] == []


def test_torch_and_transformers_import_without_network_on_a_read_only_root(
    config: Mapping[str, Any],
) -> None:
    program = (
        "import json, torch, transformers, safe_load.api; "
        "print(json.dumps([torch.ones(2).sum().item(), transformers.__version__]))"
    )
    assert inside(program) == [2.0, metadata.version("transformers")]


def test_what_it_imports_is_compiled_ahead(config: Mapping[str, Any]) -> None:
    """A module that is not would be compiled again by every room: nothing can be written there."""
    program = """
import importlib.util, json, sys, torch, transformers
from safe_load.sandbox.room.monitor import supervisor
paths = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
caches = [
    importlib.util.cache_from_source(path)
    for path in paths
    if path.startswith("/usr") and path.endswith(".py")
]
flags = set()
for cache in caches:
    with open(cache, "rb") as compiled:
        flags.add(int.from_bytes(compiled.read(8)[4:], "little"))
print(json.dumps([len(caches) > 1000, sorted(flags)]))
"""
    # 1: named by its source's hash, which nobody checks again (PEP 552).
    assert inside(program) == [True, [1]]


def test_the_bill_of_materials_lists_everything_that_is_installed(listing: dict[str, Any]) -> None:
    bill = listing["bill"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["version"] == version()
    listed = {
        kind: sorted(
            (component["name"], component["version"])
            for component in bill["components"]
            if component["purl"].startswith(f"pkg:{kind}/")
        )
        for kind in ("pypi", "deb")
    }
    debian = [
        (re.search(r"^Package: (.*)$", one, re.M)[1], re.search(r"^Version: (.*)$", one, re.M)[1])  # type: ignore[index]
        for one in listing["status"]
    ]
    assert listed["pypi"] == sorted(map(tuple, listing["python"]))
    assert listed["deb"] == sorted(debian)
    assert {"torch", "transformers", "safe-load", "safetensors"} <= {
        name for name, _ in listed["pypi"]
    }
    assert {"libc6", "libseccomp2", "python3.11-minimal"} <= {name for name, _ in listed["deb"]}
    assert all(
        re.fullmatch(r"[0-9a-f]{64}", component["hashes"][0]["content"])
        for component in bill["components"]
        if component["purl"].startswith("pkg:deb/")
    )


def test_it_holds_the_versions_that_the_constraints_name(listing: dict[str, Any]) -> None:
    constraints = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    found = {
        name.lower().replace("_", "-"): held.partition("+")[0] for name, held in listing["python"]
    }
    found.pop("safe-load")
    assert {name: constraints.get(name) for name in found} == found


def test_made_again_elsewhere_it_is_the_same_image(
    config: Mapping[str, Any], tmp_path: Path
) -> None:
    """In another folder, under another umask and with another time zone: every layer anew, but for the largest,
    of other people's packages alone, which is made anew with TESTS_WHOLE=loops."""
    if not plan.whole("loops"):
        for kept in (ROOT / "build" / "image").glob("packages-*"):
            (tmp_path / kept.name).symlink_to(kept)
    done = run(
        *(sys.executable, "-m", "images.build", "--store", tmp_path, "--archive", os.devnull),
        *("--tag", TAG),
        cwd=ROOT,
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
        umask=0o077,
    )
    for layer in tmp_path.glob("*.tar"):
        layer.unlink()  # a gigabyte, which pytest would keep
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [TAG, config["Id"]], (
        "`make image` keeps layers: if Debian has renewed a package since, `make clean` and make it again"
    )


def test_the_dockerfile_says_of_its_image_what_make_image_says(config: Mapping[str, Any]) -> None:
    final = (ROOT / "images" / "Dockerfile").read_text().partition("FROM scratch\n")[2]
    said = dict(re.findall(r"^(ENV|WORKDIR|USER|ENTRYPOINT|CMD) (.*)$", final, re.MULTILINE))
    assert json.loads(said["ENTRYPOINT"]) == config["Entrypoint"]
    assert json.loads(said["CMD"]) == config["Cmd"]
    assert said["ENV"].split() == config["Env"]
    assert (said["USER"], said["WORKDIR"]) == (config["User"], config["WorkingDir"])
    labels = run(sys.executable, "-m", "images.build", "--labels", cwd=ROOT).stdout.split()
    named = dict(label.split("=", 1) for label in labels if label != "--label")
    assert named == {
        name: value for name, value in config["Labels"].items() if name.startswith("safe-load.")
    }


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"PATH": "/nonexistent"}, "takes apt-get and dpkg-deb"),
        ({"APT_CONFIG": "{}/no-sources"}, "cannot be downloaded (apt-get: Unable to locate"),
    ],
    ids=["no apt", "another distribution"],
)
def test_where_it_cannot_be_made_one_sentence_says_why(
    tmp_path: Path, environment: dict[str, str], reason: str
) -> None:
    if "APT_CONFIG" in environment and not shutil.which("apt-get"):
        pytest.skip("there is no apt-get here")
    none = 'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null";'
    (tmp_path / "no-sources").write_text(none)
    environment = {name: value.format(tmp_path) for name, value in environment.items()}
    done = run(
        *(sys.executable, "-m", "images.build", "--store", tmp_path, "--archive", os.devnull),
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1
    began, said = done.stderr.splitlines()
    assert began == "layer debian ..."
    assert said.startswith("make image: ")
    assert reason in said
    assert "images/Dockerfile" in said
    assert not list(tmp_path.glob("*.tar"))


#: Writes the demo's real model, and one that means harm, into the folder that is its argument.
MODELS = """
import sys
from pathlib import Path
from demo import encoder, payload
source, folder = encoder.installed_folder(), Path(sys.argv[1])
encoder.write_as_pickle(source, folder / "downloaded-model", {})
encoder.write_as_pickle(source, folder / "trap", {"x": payload.Payload(folder / "canary")})
print(source)
"""


def readme_line() -> str:
    """What the README says where there is nothing but Docker."""
    (line,) = re.findall(
        r"^docker run (?:.*\\\n)*.*$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return str(line)


def test_the_readmes_docker_line_clears_a_real_model_and_rejects_a_trapped_one(
    config: Mapping[str, Any], tmp_path: Path
) -> None:
    written = run(sys.executable, "-c", MODELS, tmp_path, cwd=ROOT)
    assert written.returncode == 0, written.stderr
    source, cleared = Path(written.stdout.strip()), tmp_path / "cleared"
    arguments = "load ./downloaded-model -o ./cleared"
    line = readme_line()
    assert f" safe-load:{version()} " in line
    line = line.replace(f"safe-load:{version()}", TAG)
    assert line.endswith(arguments)
    done = run("sh", "-c", line, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clean" in done.stdout.splitlines()[0]
    assert "tier B" in done.stdout.splitlines()[0]
    verified = run(sys.executable, "-m", "safe_load", "verify", cleared)
    assert verified.returncode == 0, verified.stdout

    from safetensors.torch import load_file

    before, after = (load_file(folder / "model.safetensors") for folder in (source, cleared))
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    natively = ("load", "./downloaded-model", "-o", "./natively", "--backend", "native")
    ours = {name: value for name, value in os.environ.items() if name != "SAFE_LOAD_IMAGE"}
    done = run(sys.executable, "-m", "safe_load", *natively, cwd=tmp_path, env=ours)
    assert done.returncode == 0, done.stdout + done.stderr
    assert backends.digests(cleared) == backends.digests(tmp_path / "natively")

    trapped = line.replace(arguments, "load ./trap -o ./not-cleared")
    done = run("sh", "-c", trapped, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("✗ malicious")
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "not-cleared").exists()
