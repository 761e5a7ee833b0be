"""Links in a model's folder: where they may lead. Zone: controller."""

from __future__ import annotations

import os
from pathlib import Path

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible


def stores(root: Path) -> tuple[Path, ...]:
    """Where a hub's cache keeps the files that a snapshot, or a folder in one, links to:
    blobs/ of the repository, beside snapshots/, and blobs/ of the cache, which repositories share.
    The latter only with the mark that huggingface_hub puts there."""
    for snapshot in (root, *root.parents):
        if snapshot.parent.name == "snapshots":
            own, shared = snapshot.parent.parent / "blobs", snapshot.parents[2] / "blobs"
            marked = (shared / ".huggingface-shared-blobs").is_file()
            return (own, shared) if marked else (own,)
    return ()


def resolve(source: str, name: str, link: Path, root: Path, stores: tuple[Path, ...]) -> Path:
    """The file behind a link that stays in the model's folder or the cache's blobs. Any other link
    could put a file of the host's into the room."""
    place = Path(os.path.realpath(link))
    shown = f"{source}/{visible(name)}"
    if not place.exists():
        raise NotLoadable(f"{shown} is a link to nothing")
    if not any(place.is_relative_to(folder) for folder in (root, *stores)):
        raise NotLoadable(f"{shown} is a link that leads out of the model's folder")
    return place
