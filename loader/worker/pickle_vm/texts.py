"""Does what a call was given look like code, a command, a path or an address? Zone: worker.

Judged by its looks alone, in time that grows with the length of the text: no pattern here repeats what
repeats.
"""

from __future__ import annotations

import re

from safe_load.worker.pickle_vm.describe import describe
from safe_load.worker.pickle_vm.values import Stub, parts_of

#: Characters of a text that are looked at, at its beginning and at its end.
MAX_TEXT = 4096
#: Values looked at in all calls of one file.
MAX_VALUES = 1_000_000
#: Characters of the excerpt.
_EXCERPT = 120

_CODE = re.compile(
    r"__\w{1,40}__|\b(?:exec|eval|compile|getattr|setattr|open|system|popen|Popen|globals|breakpoint)\s?\("
    r"|\b(?:os|sys|subprocess|builtins|posix|nt|importlib|socket|shutil|pty|ctypes|runpy|pickle)\.\w"
    r"|(?:^|[\n;])[ \t]{0,40}(?:import|from)[ \t]\w|\blambda\b[^:\n]{0,100}:|!!?python/|\{\{|\{%"
)
_COMMAND = re.compile(
    r"^\s{0,20}(?:\S{0,200}/)?(?:sh|bash|zsh|dash|cmd|powershell|pwsh|curl|wget|nc|ncat|touch|rm|mv|cp|cat|echo|chmod"
    r"|chown|mkdir|python[0-9.]{0,5}|perl|ruby|php|node|ssh|scp|sudo|kill|crontab|tar|base64|printf|tee|dd|ln|id"
    r"|whoami|env|calc(?:\.exe)?|pip[0-9.]{0,3}|git|xdg-open|open|start)(?:\.exe)?\s{1,20}\S"
    r"|\$\(|&&|\|\||`[^`]|;\s{0,9}(?:sh|rm|curl|wget|touch)\b|\|\s{0,9}(?:sh|bash)\b|>\s{0,9}/|/bin/(?:ba)?sh"
)
_ADDRESS = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://|\b\d{1,3}(?:\.\d{1,3}){3}\b")
_PATH = re.compile(
    r"^(?:~|\.{0,2})/[^/\s]|^[A-Za-z]:\\|^\\\\|(?:^|/)\.\./|^/dev/|\.(?:py|so|dll|sh|pyc|pth)$"
)
_KINDS = (("code", _CODE), ("command", _COMMAND), ("address", _ADDRESS), ("path", _PATH))


class Texts:
    """Looks through the arguments of the calls of one file, within a common bound."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def of(self, value: object) -> str:
        """ "KIND: excerpt" of the first text of the gravest kind, "" when there is none."""
        found: dict[str, str] = {}
        todo, seen = [value], set[int]()
        while todo:
            item = todo.pop()
            self._left -= 1
            if self._left < 0:
                found.setdefault("more", "there is more than can be looked through")
                break
            if isinstance(item, (str, bytes, bytearray)):
                if (kind := kind_of(item)) and kind not in found:
                    found[kind] = describe(item)[:_EXCERPT]
                    if kind == "code":
                        break
            elif id(item) not in seen:
                seen.add(id(item))
                todo += _parts(item)
        for kind in ("code", "command", "address", "path", "more"):
            if kind in found:
                return f"{kind}: {found[kind]}"
        return ""


def kind_of(text: str | bytes | bytearray) -> str:
    """ "code", "command", "address", "path" or ""."""
    if not isinstance(text, str):
        text = bytes(text[: 2 * MAX_TEXT]).decode("latin-1")
    if len(text) > 2 * MAX_TEXT:
        text = text[:MAX_TEXT] + text[-MAX_TEXT:]
    if len(text) < 3 or text.isalnum():
        return ""
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), "")


def _parts(item: object) -> list[object]:
    if isinstance(item, Stub):
        # Its state was looked through where it was given.
        return [item.args, item.kwargs]
    return parts_of(item)
