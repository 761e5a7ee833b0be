"""The patch that pins what floats: each name is resolved, and the line that names it gets the exact version, commit or digest.

Zone: controller. A name that nobody resolves, and a place that takes no pin, are told. Nothing but pins is in the patch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.register import edits, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.register.resolving import Resolver
    from safe_load.register.rows import Read, Reference

_CONTEXT = 3


@dataclass
class Patch:
    """diff: a unified diff, "" where nothing can be changed. left: (place, what is not pinned, why)."""

    diff: str = ""
    pinned: int = 0
    left: list[tuple[str, str, str]] = field(default_factory=list)
    failed: bool = False


class _File:
    """A file's lines as they are and as they shall be. An entry of `new` may have become several lines."""

    def __init__(self, text: str) -> None:
        self.old = text.split("\n")
        self.new = [line.removesuffix("\r") for line in self.old]

    def changes(self) -> dict[int, str]:
        """The entries that changed, with the line breaks of the file."""
        made = {}
        for number, (old, new) in enumerate(zip(self.old, self.new, strict=True)):
            end = "\r" if old.endswith("\r") else ""
            text = new.replace("\n", f"{end}\n") + end
            if text != old:
                made[number] = text
        return made


def make(
    reads: Sequence[Read],
    text_of: Callable[[str], str],
    resolver: Resolver,
    exists: Callable[[str], bool] = lambda _: False,
) -> Patch:
    """The patch for what was read.

    Args:
        text_of: a path's text, as it lies there. Raises what it likes.
        exists: as judge.chain's.
    """
    patch = Patch()
    files: dict[str, _File] = {}
    for path, each in judge.links(reads, exists):
        if each.state != "floating" or not each.fix or not judge.counts(each, ()):
            continue
        if path not in files:
            files[path] = _File(text_of(path))
        lines = files[path].new
        line = lines[each.line - 1] if 0 < each.line <= len(lines) else ""
        answer = resolver.exact(each, line)
        patch.failed |= answer.failed
        if answer.exact and edits.write(lines, each, answer.exact, path):
            patch.pinned += 1
        else:
            patch.left.append((f"{path}:{each.line}", each.name, _told(each, answer.exact) or answer.why or each.fix))  # fmt: skip
    patch.diff = "".join(_diff(path, file) for path, file in sorted(files.items()))
    return patch


def _told(each: Reference, exact: str) -> str:
    """The line to paste where the patch could not write it."""
    if not exact:
        return ""
    digest = exact.removeprefix("sha256:")
    return each.fix.replace("COMMIT", exact).replace("VERSION", exact).replace("DIGEST", digest)


def _diff(path: str, file: _File) -> str:
    """A unified diff."""
    changes = file.changes()
    hunks: list[list[int]] = []
    for number in changes:
        if hunks and number - hunks[-1][-1] <= 2 * _CONTEXT:
            hunks[-1].append(number)
        else:
            hunks.append([number])
    if not hunks:
        return ""
    last = len(file.old) - (file.old[-1] == "")
    name = [_name(f"{side}/{path}") for side in "ab"]
    parts = [f"--- {name[0]}\n+++ {name[1]}\n"]
    added = 0
    for hunk in hunks:
        start, end = max(0, hunk[0] - _CONTEXT), min(last, hunk[-1] + _CONTEXT + 1)
        more = sum(changes[number].count("\n") for number in hunk)
        parts.append(
            f"@@ -{start + 1},{end - start} +{start + 1 + added},{end - start + more} @@\n"
        )
        added += more
        for number in range(start, end):
            tail = "\n" if number < len(file.old) - 1 else "\n\\ No newline at end of file\n"
            if number in changes:
                plus = changes[number].replace("\n", "\n+")
                parts.append(f"-{file.old[number]}{tail}+{plus}{tail}")
            else:
                parts.append(f" {file.old[number]}{tail}")
    return "".join(parts)


def _name(path: str) -> str:
    """A path as git writes and reads it in a patch."""
    if any(char in '"\\' or ord(char) < 32 for char in path):
        quoted = path.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if ord(c) >= 32 else f"\\{ord(c):03o}" for c in quoted) + '"'
    return f"{path}\t" if " " in path else path
