"""Layers and images as files: the same folder gives the same bytes, whoever packs it and when."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from images.sbom import Component

_CHUNK = 1 << 20
_SHARED = {"tmp": 0o1777}


@dataclass(frozen=True)
class Layer:
    """path: an uncompressed tar; digest: its SHA-256, in hex, which engines call the diff id;
    components: what it holds, for the bill of materials."""

    name: str
    path: Path
    digest: str
    components: list[Component]


def pack(folder: Path, path: Path, name: str, epoch: int, components: list[Component]) -> Layer:
    """The folder's tree as a layer: sorted, owned by root, dated `epoch`, with no more of a mode
    than whether everyone may execute. Links stay links."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in sorted(folder.rglob("*")):
            inside = entry.relative_to(folder).as_posix()
            member = archive.gettarinfo(entry, inside)
            if member.islnk():  # a second name of one file is one more file
                member.type, member.linkname = tarfile.REGTYPE, ""
                member.size = entry.stat().st_size
            if not (member.isreg() or member.isdir() or member.issym()):
                raise ValueError(f"{entry} is neither a file, a folder nor a link")
            executable = member.isdir() or member.mode & stat.S_IXUSR
            member.mode = _SHARED.get(inside, 0o755 if executable else 0o644)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            if member.isreg():
                with entry.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)
    with path.open("rb") as packed:
        return Layer(name, path, hashlib.file_digest(packed, "sha256").hexdigest(), components)


def unpack(source: IO[bytes], folder: Path, place: Callable[[str], str | None] = str) -> None:
    """Files, folders and symbolic links of a tar; place: a member's name -> where it belongs in the
    folder, or None to leave it out. The tar is ours or Debian's: nothing here expects harm."""
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            name = place(member.name.removeprefix("./").strip("/"))
            if name in (None, "", "."):
                continue
            target = folder / str(name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                target.chmod(member.mode & 0o1777)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                target.symlink_to(member.linkname)
            elif content := archive.extractfile(member):
                with target.open("wb") as copy:
                    shutil.copyfileobj(content, copy, _CHUNK)
                target.chmod(member.mode & 0o755)
            else:
                raise ValueError(f"{member.name} is neither a file, a folder nor a link")


def configuration(
    layers: Sequence[Layer], settings: dict[str, Any], machine: str, epoch: int
) -> bytes:
    """The image's configuration; its SHA-256 is the image's id. settings: what `docker inspect`
    shows as Config."""
    created = datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "created": created,
            "config": settings,
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{layer.digest}" for layer in layers],
            },
            "history": [
                {"created": created, "created_by": f"images/build.py: {layer.name}"}
                for layer in layers
            ],
        },
        indent=1,
        sort_keys=True,
    ).encode()


def write_image(
    target: IO[bytes], layers: Sequence[Layer], config: bytes, tag: str, epoch: int
) -> None:
    """An archive that `docker load` and `podman load` read."""
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [
        {
            "Config": config_name,
            "RepoTags": [tag],
            "Layers": [f"{layer.digest}/layer.tar" for layer in layers],
        }
    ]
    with tarfile.open(
        fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK
    ) as archive:
        for name, data in ((config_name, config), ("manifest.json", json.dumps(manifest).encode())):
            archive.addfile(_member(name, len(data), epoch), io.BytesIO(data))
        for layer in layers:
            with layer.path.open("rb") as content:
                member = _member(f"{layer.digest}/layer.tar", layer.path.stat().st_size, epoch)
                archive.addfile(member, content)


def _member(name: str, size: int, epoch: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, epoch, 0o644
    return member
