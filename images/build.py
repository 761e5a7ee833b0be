"""make image: put the image together, layer by layer, and hand it to the container engine.

A layer is made again only when what it is made of has changed; it is kept below build/image.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import debian, layers, packages, sbom
from images.debian import BuildError
from images.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from images.sbom import Component

    Fill = Callable[[Path, Path], list[Component]]

_HERE = Path(__file__).resolve().parent
_STORE = packages.REPOSITORY / "build" / "image"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
#: The label, and the bill's property, with the checksum that safe_load.sandbox.code makes.
_CODE = "safe-load.code"


@dataclass(frozen=True)
class Image:
    """tag: its name; config: its configuration's bytes; identity: what engines call its id."""

    tag: str
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def identity(self) -> str:
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"


def build(store: Path, *, tag: str | None = None, epoch: int = 0) -> Image:
    """Every layer, made or found, and the configuration. tag: safe-load and the version, unless
    said; epoch: the date that all files get. Raises BuildError."""
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.platform != "linux":
        raise BuildError(f"there is no image for {sys.platform} on {platform.machine()}")
    store.mkdir(parents=True, exist_ok=True)
    with _locked(store):
        return _build(store, machine, tag, epoch)


def _build(store: Path, machine: str, tag: str | None, epoch: int) -> Image:
    version = str(packages.project()["version"])

    def fill_packages(root: Path, work: Path) -> list[Component]:
        return packages.install(_python(base, work), root)

    def fill_code(root: Path, work: Path) -> list[Component]:
        python = _python(base, work)
        ours = packages.install_ourselves(python, root, work)
        checksum = packages.code_checksum(python, root)
        ours[0]["properties"] = [{"name": _CODE, "value": checksum}]
        bill = root / sbom.INSIDE
        bill.parent.mkdir(parents=True)
        contents = (*base.components, *required.components, *ours)
        bill.write_bytes(sbom.document("safe-load", version, contents, epoch))
        return ours

    common = (epoch, machine, _text("layers.py"), _text("sbom.py"), _text("debian.py"))
    base = _layer(store, "debian", (*common, _text("debian.txt")), epoch, debian.assemble)
    how = (*common, _text("packages.py"), base.digest)
    constraints = (packages.REPOSITORY / "constraints.txt").read_text()
    what = (constraints, packages.requirements())
    required = _layer(store, "packages", (*how, *what), epoch, fill_packages)
    parts = (*how, required.digest, _text("build.py"), _tree())
    code = _layer(store, "code", parts, epoch, fill_code)
    made = (base, required, code)
    settings = _settings(version, code.components[0]["properties"][0]["value"])
    config = layers.configuration(made, settings, machine, epoch)
    return Image(tag or f"safe-load:{version}", config, made)


def _settings(version: str, code: str) -> dict[str, Any]:
    return {
        "Entrypoint": [f"/{packages.COMMAND}"],
        "Cmd": ["--help"],
        "User": f"{debian.USER}:{debian.USER}",
        "WorkingDir": "/work",
        "Env": ["PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8"],
        "Labels": {
            **_labels(version, code),
            "org.opencontainers.image.title": "safe-load",
            "org.opencontainers.image.description": packages.project()["description"],
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": packages.project()["license"],
        },
    }


def _labels(version: str, code: str) -> dict[str, str]:
    """What a backend must know of an image, whoever built it: that it holds the same safe-load, and
    where its Python and its packages are."""
    return {
        "safe-load.version": version,
        _CODE: code,
        "safe-load.python": "/usr/bin/python3",
        "safe-load.site": f"/{packages.SITE}",
    }


def _layer(store: Path, name: str, inputs: tuple[object, ...], epoch: int, fill: Fill) -> Layer:
    """The layer that was made of these inputs, or a new one, which replaces older ones.

    fill: puts the content into its first argument, an empty folder, and what it needs besides into
    its second; returns the components."""
    key = hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]
    path, notes = store / f"{name}-{key}.tar", store / f"{name}-{key}.json"
    if path.exists() and notes.exists():
        kept = json.loads(notes.read_text())
        return Layer(name, path, kept["digest"], kept["components"])
    began = time.monotonic()
    print(f"layer {name} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=store) as made:
        content, work = Path(made, "content"), Path(made, "work")
        content.mkdir()
        work.mkdir()
        components = fill(content, work)
        layer = layers.pack(content, Path(made, "layer.tar"), name, epoch, components)
        for old in store.glob(f"{name}-*"):
            old.unlink()
        layer.path.rename(path)
    notes.write_text(json.dumps({"digest": layer.digest, "components": components}))
    size = path.stat().st_size / 1e6
    print(f"layer {name}: {size:.0f} MB, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return Layer(name, path, layer.digest, components)


def _python(base: Layer, work: Path) -> Path:
    """The first layer, unpacked, for its Python."""
    root = work / "python"
    with base.path.open("rb") as archive:
        layers.unpack(archive, root)
    return root


def _text(name: str) -> str:
    return (_HERE / name).read_text()


def _tree() -> str:
    """A checksum of all that the wheel is made of."""
    digest = hashlib.sha256()
    files = [packages.REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    for folder in packages.SOURCES:
        files += sorted((packages.REPOSITORY / folder).rglob("*"))
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            data = path.read_bytes()
            digest.update(f"{path.relative_to(packages.REPOSITORY)} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load(image: Image, engine: str, epoch: int) -> None:
    """Give the image to the engine, a command such as docker or podman, if it does not have it. The
    one that had its name goes, unless it is in use. Raises BuildError."""
    try:
        before = _engine(
            engine, "image", "inspect", "--format", "{{.Id}}", image.tag
        ).stdout.strip()
        if before == image.identity:
            return
        with subprocess.Popen(
            [engine, "load", "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as loading:
            assert loading.stdin is not None
            assert loading.stderr is not None
            with suppress(BrokenPipeError):  # it says why
                layers.write_image(loading.stdin, image.layers, image.config, image.tag, epoch)
                loading.stdin.close()
            said = loading.stderr.read().decode(errors="replace").strip()
        if loading.returncode == 0 and before:
            _engine(engine, "image", "rm", before)
    except OSError as error:
        raise BuildError(f"{engine} could not be started: {error}") from None
    if loading.returncode != 0:
        raise BuildError(f"{engine} did not take the image: {said or loading.returncode}")


def _engine(engine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [engine, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__)
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--engine", default="docker", help="load the image into it (default: docker)")
    to.add_argument("--archive", type=Path, help="write a file for `docker load` instead")
    to.add_argument("--root", type=Path, help="unpack into a folder instead")
    to.add_argument("--labels", action="store_true", help="print what `docker build` must be given")
    parser.add_argument("--tag", help="its name (default: safe-load:VERSION)")
    parser.add_argument("--store", type=Path, default=_STORE, help="where layers are kept")
    options = parser.parse_args()
    if options.labels:
        from safe_load.sandbox import code  # not there where images/Dockerfile runs this

        labels = _labels(str(packages.project()["version"]), code.checksum())
        print(*(f"--label {name}={value}" for name, value in labels.items()))
        return
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    try:
        image = build(options.store, tag=options.tag, epoch=epoch)
        if options.root:
            for layer in image.layers:
                with layer.path.open("rb") as archive:
                    layers.unpack(archive, options.root)
        elif options.archive:
            with options.archive.open("wb") as archive:
                layers.write_image(archive, image.layers, image.config, image.tag, epoch)
        else:
            load(image, options.engine, epoch)
    except (BuildError, OSError) as error:
        sys.exit(f"make image: {error}")
    print(f"{image.tag} {image.identity}")


if __name__ == "__main__":
    main()
