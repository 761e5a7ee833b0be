"""The process that parses a project's files: started by `reading`, with limits of memory and of processor time.

It reads one order from standard input, and writes for each file its number (before it begins) and the result, a line
each. ast.parse and the parsers of YAML, TOML and JSON are C and Python code that a file can exhaust or crash: here that
costs this process, and the controller goes on with the next file.
"""

from __future__ import annotations

import ast
import os
import re
import stat
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace
from safe_load.core import typed
from safe_load.register import (
    commands,
    configs,
    documents,
    javascript,
    libraries,
    notebooks,
    packages,
    python_code,
    terraform,
)
from safe_load.register.documents import TooMuchError, line_of
from safe_load.register.names import masked
from safe_load.register.rows import Fact, Locked, Read, Reference
from safe_load.register.syntax import Module

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_REFERENCES = 5000
_MOST_LOCKED = 60_000
_LONGEST = 400
_MOST_MODULES = 200


class Order(msgspec.Struct):
    """files: (path, where it lies, kind, most bytes). python: path -> where, of every Python file, for imports."""

    files: list[tuple[str, str, str, int]]
    python: dict[str, str]
    memory: int
    cpu: int


class Project:
    """Modules of the project by the names that its imports use. Each is parsed once."""

    def __init__(self, python: dict[str, str]) -> None:
        self._python = python
        self._held: OrderedDict[str, Module | None] = OrderedDict()
        self._opening: set[str] = set()
        # The last parts of a path are what an import names, whatever folder is on sys.path.
        self._ends: dict[str, list[str]] = {}
        for path in python:
            name = re.sub(r"(?:/__init__)?\.py$", "", path)
            self._ends.setdefault(name.rpartition("/")[2], []).append(path)

    def find(self, dotted: str, level: int, of: str) -> Module | None:
        """The module that a file's import means; None where it is not of the project."""
        parts = dotted.split(".") if dotted else []
        if level:
            base = of.split("/")[:-level]
            candidates = ["/".join([*base, *parts])]
        else:
            here = of.split("/")[:-1]
            candidates = ["/".join([*here, *parts]), "/".join(parts)]
            last = parts[-1] if parts else ""
            suffix = "/".join(parts)
            for path in self._ends.get(last, [])[:50]:
                name = re.sub(r"(?:/__init__)?\.py$", "", path)
                if name.endswith(f"/{suffix}"):
                    candidates.append(name)
        for candidate in candidates:
            for path in (f"{candidate}.py", f"{candidate}/__init__.py"):
                if path in self._python:
                    return self._module(path)
        return None

    def own(self, path: str, text: str) -> Module:
        """The module of a file that is read. Raises what ast.parse raises."""
        held = self._held.get(path)
        if held is None:
            held = Module(ast.parse(text), path, self.find)
            if len(self._held) < _MOST_MODULES:
                self._held[path] = held
        return held

    def _module(self, path: str) -> Module | None:
        if path not in self._held:
            if path in self._opening or len(self._held) >= _MOST_MODULES:
                return None
            self._opening.add(path)
            try:
                self._held[path] = Module(
                    ast.parse(read_text(self._python[path], 2 << 20)), path, self.find
                )
            except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
                self._held[path] = None
            self._opening.discard(path)
        return self._held[path]


def read_text(real: str, most: int, *, exact: bool = False) -> str:
    """A file's text. exact: with its mark of byte order and its line breaks.

    Raises OSError, ValueError for one that is too large, no regular file or no UTF-8."""
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise TooMuchError(f"it is larger than {most // 1024} KiB")
    if b"\0" in data[:4096]:
        raise ValueError("it is no text: it holds zero bytes")
    try:
        return data.decode() if exact else data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None


def read_file(path: str, real: str, kind: str, most: int, project: Project) -> Read:
    """One file. Raises nothing: why it was not read is in the result."""
    try:
        text = read_text(real, most)
        references, locked = _references(path, kind, text, project)
    except TooMuchError as error:
        return Read(path, problem=_short(error), limit=True)
    except RecursionError:
        return Read(path, problem="it is nested too deep", limit=True)
    except MemoryError:
        return Read(path, problem="it needs more memory than the limit", limit=True)
    except OSError as error:
        return Read(path, problem=f"it cannot be read: {error.strerror}")
    except SyntaxError as error:
        return Read(
            path,
            problem=f"line {error.lineno or 1}: no Python that this version reads ({_short(error.msg)})",
        )
    except ValueError as error:
        return Read(path, problem=_short(error))
    taken = {_key(each): each for each in map(_plain, references[:_MOST_REFERENCES])}
    if len(references) > _MOST_REFERENCES or len(locked) > _MOST_LOCKED:
        return Read(
            path,
            list(taken.values()),
            [],
            f"it names more than {_MOST_REFERENCES} links",
            limit=True,
        )
    return Read(
        path,
        list(taken.values()),
        [replace(each, name=str(each.name), version=str(each.version)) for each in locked],
    )


def _short(error: object) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _key(reference: Reference) -> tuple[object, ...]:
    return (
        reference.kind,
        reference.name,
        reference.line,
        reference.state,
        reference.value,
        reference.weak,
    )


def _plain(reference: Reference) -> Reference:
    """Bounded texts without lines of their own; no secret that a link holds."""
    facts = tuple(
        Fact(str(fact.code), masked(str(fact.text))[:_LONGEST])
        for fact in dict.fromkeys(reference.facts)
    )
    value = masked(str(reference.value))[:_LONGEST] if reference.value is not None else None
    return replace(
        reference,
        name=masked(str(reference.name))[:_LONGEST],
        value=value,
        fix=masked(str(reference.fix))[:_LONGEST],
        lock=str(reference.lock),
        facts=facts[:60],
    )


def _references(
    path: str, kind: str, text: str, project: Project
) -> tuple[list[Reference], list[Locked]]:
    if kind == "python":
        return python_code.of_module(project.own(path, text), text) + _setup(path, text), []
    if kind == "notebook":
        return notebooks.read(text, path, project.find), []
    if kind == "requirements":
        locked = libraries.locked_requirements(text, path) if path.endswith(".txt") else ()
        return list(libraries.requirements(text, path)), list(locked)
    if kind in _TEXTS:
        return list(_TEXTS[kind](text)), []
    if kind == "text-lock":
        return [], list(libraries.text_lock(text, path))
    if kind == "dotenv":
        settings = []
        for number, line in enumerate(text.split("\n"), 1):
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and re.fullmatch(r"\w{1,100}", name):
                settings.append((name, value.strip().strip("\"'"), number))
        return list(commands.environment(settings)), []
    return _document(path, kind, text)


_TEXTS: dict[str, Any] = {
    "dockerfile": commands.dockerfile,
    "modelfile": commands.modelfile,
    "shell": commands.script,
    "makefile": commands.makefile,
    "terraform": terraform.read,
    "setup-cfg": libraries.setup_cfg,
    "npmrc": libraries.npmrc,
    "javascript": javascript.read,
}


def _document(path: str, kind: str, text: str) -> tuple[list[Reference], list[Locked]]:
    kind, servers_only, _ = kind.partition("-servers")
    if kind in {"yaml", "conda"}:
        return _yaml(path, kind, text), []
    if kind in {"pyproject", "toml", "pipfile", "python-lock"}:
        held = documents.read_toml(text)
        if kind == "python-lock":
            return [], list(libraries.python_lock(held, path, line_of))
        found: Iterable[Reference] = configs.walk(held, path)
        if kind == "pyproject":
            found = [*libraries.pyproject(held, path, line_of), *configs.walk(_tools(held), path)]
        elif kind == "pipfile":
            found = libraries.pipfile(held, path, line_of)
        return _only(found, servers_only), []
    data = documents.read_json(text)
    if kind in {"package-json", "package-lock", "pipfile-lock"} and not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    if kind == "package-lock":
        return [], list(libraries.package_lock(data, path, line_of))
    if kind == "pipfile-lock":
        return [], list(libraries.pipfile_lock(data, path, line_of))
    if kind == "package-json":
        return list(libraries.package_json(data, path, line_of)), []
    return _only(configs.walk(data, path), servers_only), []


def _tools(held: dict[str, Any]) -> dict[str, Any]:
    """pyproject's settings of tools, without those that declare packages."""
    tool = held.get("tool")
    held_by = {"uv", "poetry", "pdm", "hatch", "setuptools", "ruff", "mypy", "pytest", "pixi"}
    return (
        {name: each for name, each in tool.items() if name not in held_by}
        if isinstance(tool, dict)
        else {}
    )


def _only(found: Iterable[Reference], servers_only: str) -> list[Reference]:
    return [each for each in found if not servers_only or each.kind in {"tool", "host"}]


def _yaml(path: str, kind: str, text: str) -> list[Reference]:
    try:
        held = documents.read_yaml(text)
    except TooMuchError:
        raise
    except ValueError:
        if "{{" not in text and "{%" not in text:
            raise
        # A template of Helm, Jinja or Ansible is YAML only after it was filled in: by line, then.
        return list(_template(text))
    found: list[Reference] = []
    for document in held:
        if kind == "conda" and isinstance(document, dict):
            found += libraries.conda(document, line_of)
        found += configs.walk(document, path)
    return found


def _template(text: str) -> Iterable[Reference]:
    for number, line in enumerate(text.split("\n"), 1):
        pair = re.match(r"\s*-?\s*([\w.-]+):\s+(['\"]?)([^'\"#]+)\2\s*(?:#.*)?$", line)
        if pair and "{{" not in line:
            yield from configs.walk({pair[1]: documents.Text(pair[3].strip(), number)}, "")
        elif item := re.match(r"\s*-\s+(['\"]?)(--[\w-]+=\S+?)\1\s*$", line):
            yield from commands.command(["", item[2]], number, {})


def _setup(path: str, text: str) -> list[Reference]:
    """setup.py: the lists that it hands to setup()."""
    if path.rpartition("/")[2] != "setup.py":
        return []
    module = Module(ast.parse(text), path)
    found: list[Reference] = []
    for call, scope in module.calls:
        for keyword in call.keywords:
            if keyword.arg in {
                "install_requires",
                "extras_require",
                "setup_requires",
                "tests_require",
            }:
                for node in ast.walk(keyword.value):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        found += packages.requirement(node.value, node.lineno)
                if isinstance(keyword.value, ast.Name):
                    for held, where in module.values(keyword.value, scope):
                        for each in getattr(held, "elts", []):
                            for value in module.texts(each, where):
                                found += packages.requirement(value, each.lineno)
    return found


def main() -> None:
    """Read the order, answer each file, end."""
    import resource  # noqa: PLC0415

    order = typed.decode(sys.stdin.buffer.read(), Order)
    resource.setrlimit(resource.RLIMIT_AS, (order.memory, order.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (order.cpu, order.cpu))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    out = sys.stdout.buffer
    project = Project(order.python)
    encoder = msgspec.json.Encoder()
    for number, (path, real, kind, most) in enumerate(order.files):
        out.write(b"%d\n" % number)
        out.flush()
        try:
            answer = read_file(path, real, kind, most, project)
        except Exception as error:  # noqa: BLE001 (a file that breaks its reader is one that was not read)
            answer = Read(path, problem=f"the reader failed ({type(error).__name__})")
        out.write(encoder.encode(answer) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
