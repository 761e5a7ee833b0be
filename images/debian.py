"""The image's first layer: files of Debian packages, unpacked without running any of their scripts."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from images import layers, sbom

if TYPE_CHECKING:
    from images.sbom import Component

#: The image's Debian, wherever it is built.
RELEASE = "bookworm"
USER = 65532
_LIST = Path(__file__).with_name("debian.txt")
_MERGED = ("bin", "lib", "lib64", "sbin")  # /lib is /usr/lib, and so on
# What is taken from the packages, and not all of that: copyright files stay.
_TAKEN = ("etc/os-release", "etc/python3.11", "usr/bin", "usr/lib", "usr/lib64")
_LEFT_OUT = ("audit", "binfmt.d", "engines-3", "gconv", "turtledemo")
_ETC = {
    "passwd": f"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    f"safe-load:x:{USER}:{USER}:safe-load:/home/safe-load:/sbin/nologin\n",
    "group": f"root:x:0:\nnogroup:x:65534:\nsafe-load:x:{USER}:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class BuildError(Exception):
    """The image cannot be made here; says why and what to do."""


def names() -> list[str]:
    """The packages that the image has."""
    lines = (line.strip() for line in _LIST.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def assemble(root: Path, work: Path) -> list[Component]:
    """Fill the empty folder `root`; work: for what is downloaded. Raises BuildError."""
    archives = _download(work)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "home/safe-load", "proc", "sys", "tmp", "var/lib/dpkg/status.d", "work"):
        (root / name).mkdir(parents=True)
    components = [_unpack(archive, root) for archive in archives]
    for name, text in _ETC.items():
        (root / "etc" / name).write_text(text)
    (root / "usr/bin/python3").symlink_to("python3.11")
    compile_all(root, root / "usr/lib/python3.11", "/usr/lib/python3.11")
    return components


def compile_all(root: Path, folder: Path, inside: str) -> None:
    """Compile the modules of a folder which the image shows as `inside`. The caches are never
    checked against their sources: nothing is written in the image, and no date is in its files."""
    command = [*python(root), "-m", "compileall", "-qq", "-j", "0", "-s", str(folder), "-p", inside]
    # Ends with 1 where some file is no Python of this version: a template, say. It stays as it is.
    subprocess.run(
        [*command, "--invalidation-mode", "unchecked-hash", str(folder)],
        stdin=subprocess.DEVNULL,
        check=False,
    )


def python(root: Path) -> list[str]:
    """How to start the Python of an unpacked layer, whatever this machine runs otherwise."""
    libraries = root / f"usr/lib/{platform.machine()}-linux-gnu"
    (loader,) = libraries.glob("ld-linux*.so.*")
    program = root / "usr/bin/python3.11"
    return [
        "/usr/bin/env",
        f"PYTHONHOME={root / 'usr'}",
        "PYTHONHASHSEED=0",
        "PYTHONDONTWRITEBYTECODE=1",
        str(loader),
        "--library-path",
        str(libraries),
        str(program),
        "-S",
        "-s",
        "-P",
    ]


def _download(work: Path) -> list[Path]:
    """The packages' newest archives, as Debian's signature vouches for them. apt keeps its state
    below `work`: the machine's own is not touched, and need not be up to date."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise BuildError(
            f"the image is made of packages of Debian {RELEASE}, which takes apt-get and dpkg-deb; "
            "where they are not, build images/Dockerfile"
        )
    debs = work / "debs"
    for folder in (debs, work / "lists/partial", work / "cache/archives/partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    # Whatever else this machine installs from, the image holds Debian's packages alone.
    (work / "preferences").write_text(
        f"Package: *\nPin: release o=Debian, n={RELEASE}*\nPin-Priority: 990\n\n"
        "Package: *\nPin: release o=*\nPin-Priority: -1\n"
    )
    apt = [
        "apt-get",
        "-q",
        *("-o", f"Dir::State={work}"),
        *("-o", f"Dir::State::status={work / 'status'}"),
        *("-o", f"Dir::Cache={work / 'cache'}"),
        *("-o", f"Dir::Etc::preferences={work / 'preferences'}"),
        *("-o", "Dir::Etc::preferencesparts=/dev/null"),
        *("-o", "APT::Sandbox::User=root"),
        *("-o", "Acquire::Languages=none"),
        *("-o", "Acquire::Retries=3"),
    ]
    try:
        _run([*apt, "update"])
    except BuildError as error:  # a repository that the packages are not from may be out of reach
        trouble = f"; {error}"
    else:
        trouble = ""
    try:
        _run([*apt, "download", *names()], debs)
    except BuildError as error:
        raise BuildError(
            f"the packages of Debian {RELEASE} cannot be downloaded ({error}{trouble}); where apt "
            "does not know that release, build images/Dockerfile"
        ) from None
    return sorted(debs.glob("*.deb"))


def _unpack(archive: Path, root: Path) -> Component:
    control = _run(["dpkg-deb", "--field", str(archive)])
    fields = dict(
        line.split(": ", 1) for line in control.splitlines() if line[:1].strip() and ": " in line
    )
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE
    ) as unpacked:
        assert unpacked.stdout is not None
        layers.unpack(unpacked.stdout, root, _place)
    if unpacked.returncode != 0:
        raise BuildError(f"{archive.name} cannot be unpacked")
    # Where scanners of images look for what no package manager looks after.
    (root / "var/lib/dpkg/status.d" / fields["Package"]).write_text(control)
    return sbom.debian(
        fields["Package"],
        fields["Version"],
        fields["Architecture"],
        RELEASE,
        hashlib.sha256(archive.read_bytes()).hexdigest(),
    )


def _place(name: str) -> str | None:
    """Where a package's file belongs; None where it is not wanted."""
    top, slash, rest = name.partition("/")
    if top in _MERGED:
        name = f"usr/{top}{slash}{rest}"
    if name.startswith("usr/share/doc/"):
        return name if name.endswith("/copyright") else None
    wanted = any(name == path or name.startswith(f"{path}/") for path in _TAKEN)
    return name if wanted and not set(name.split("/")) & set(_LEFT_OUT) else None


def _run(command: list[str], folder: Path | None = None) -> str:
    """What a command printed. Raises BuildError."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = said[0].removeprefix("E: ") if said else f"it ended with {done.returncode}"
        raise BuildError(f"{command[0]}: {reason}")
    return done.stdout
