"""On which line of its file a key stands, for people who look at the file. Zone: worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.worker.rewrite.files import File

#: Bytes of a file in which a key is looked for; a configuration has some thousand.
MAX_SEARCHED = 1 << 20
#: Characters of a text that are searched for.
MAX_BEGINNING = 200


class Lines:
    """The files of one model, each read once at most."""

    def __init__(self, files: Iterable[File]) -> None:
        self._files = {file.name: file for file in files}
        self._read: dict[str, bytes] = {}

    def of(self, location: str) -> int:
        """The line of "config.json: encoder.auto_map", from 1; 0 where it is not known.

        Each part of the path is looked for behind the one before. A key that stands twice is taken where it stands
        first: the line is for a reader, and nothing is decided by it.
        """
        name, colon, path = location.partition(": ")
        data, at = self._data(name) if colon else b"", 0
        for key in path.split("."):
            found = data.find(f'"{key}"'.encode("utf-8", "backslashreplace"), at)
            if found >= 0:
                at = found
        return data.count(b"\n", 0, at) + 1 if at else 0

    def of_text(self, name: str, text: str) -> int:
        """The line of a file on which a text begins, as it stands there or as JSON writes it; 0 where it is not
        known."""
        data, begins = self._data(name), text[:MAX_BEGINNING]
        for spelled in (
            begins,
            json.dumps(begins)[1:-1],
            json.dumps(begins, ensure_ascii=False)[1:-1],
        ):
            at = data.find(spelled.encode("utf-8", "backslashreplace"))
            if at >= 0:
                blanks = len(spelled) - len(spelled.lstrip())
                return data.count(b"\n", 0, at + blanks) + 1
        return 0

    def _data(self, name: str) -> bytes:
        """The file's content, b"" where it is too large to be searched."""
        file = self._files.get(name)
        if file is None or file.size > MAX_SEARCHED:
            return b""
        if name not in self._read:
            self._read[name] = file.read()
        return self._read[name]
