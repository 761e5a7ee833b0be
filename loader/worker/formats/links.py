"""Names and links of archives that lead out of the folder in which they are unpacked. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading

#: Bytes of a link's target.
MAX_LINK = 4096


def symbolic(found: list[tuple[str, str]], reading: Reading) -> None:
    """Tell of symbolic links, each a name and a target, whose targets are elsewhere. A target may begin with as many
    steps upwards as its link has folders, as those of a Hugging Face cache do, if none of these is a link itself."""
    names = {_steps(name) for name, _ in found}
    for name, target in found:
        folder, plain = _steps(name)[:-1], target.replace("\\", "/")
        steps = plain.split("/")
        up = next((at for at, step in enumerate(steps) if step != ".."), len(steps))
        below = any(folder[:end] in names for end in range(1, len(folder) + 1))
        if up > len(folder) or (up and below) or ".." in steps[up:] or _is_absolute(plain):
            _tell(name, reading)


def hard(found: list[tuple[str, str]], symbolic: list[tuple[str, str]], reading: Reading) -> None:
    """Tell of hard links whose targets are elsewhere: they are named from the root of the archive. One to a symbolic link is
    that link in another folder, and leads from there."""
    names = {_steps(name) for name, _ in symbolic}
    for name, target in found:
        plain = target.replace("\\", "/")
        steps = _steps(plain)
        through = any(steps[:end] in names for end in range(1, len(steps) + 1))
        if _is_absolute(plain) or ".." in plain.split("/") or through:
            _tell(name, reading)


def _steps(name: str) -> tuple[str, ...]:
    parts = name.replace("\\", "/").casefold().split("/")
    return tuple(part for part in parts if part not in ("", "."))


def _is_absolute(plain: str) -> bool:
    return plain.startswith("/") or plain[1:2] == ":"


def _tell(name: str, reading: Reading) -> None:
    reading.carries("SL505", f"holds a link {name[:200]!a} that leads out of its folder")


def outside(name: str, reading: Reading) -> None:
    """Tell of a member that would be unpacked elsewhere."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or parts[0][1:2] == ":":
        reading.carries(
            "SL505", f"holds a member {name[:200]!a}, which would be unpacked outside of its folder"
        )
