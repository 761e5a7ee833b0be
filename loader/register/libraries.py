"""Libraries in the files that declare them and in the lock files that pin them."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from safe_load.register import commands, found, packages
from safe_load.register.rows import Locked, Reference
from safe_load.register.words import logical_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from safe_load.register.rows import State

    Line = Callable[..., int]

_MOST = 50_000
#: A declaring file is pinned by a lock file of these beside it.
PYTHON_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")


def lock_key(path: str, ecosystem: str) -> str:
    """What a declaring file and its lock share: the folder, and the ecosystem."""
    return f"{ecosystem}:{posixpath.dirname(path)}"


def requirements(text: str, path: str) -> Iterator[Reference]:
    """requirements.txt and .in, constraints: one requirement a line, pip's options, continued lines."""
    # What pip-compile was given is pinned by what it wrote.
    lock = lock_key(path, "requirements") if path.endswith(".in") else ""
    for number, line in logical_lines(text):
        bare = line.strip()
        if bare.startswith("-"):
            yield from packages.indexes(bare, number)
            if editable := re.match(r"(?:-e|--editable)[=\s]+(\S+://\S+)", bare):
                yield from packages.requirement(editable[1], number)
        elif bare and not bare.startswith("#"):
            yield from packages.requirement(bare, number, lock)
            yield from packages.indexes(bare, number)


def locked_requirements(text: str, path: str) -> Iterator[Locked]:
    """The exact versions of a requirements file, for the .in file beside it."""
    for reference in requirements(text, path):
        if reference.state == "pinned" and reference.ecosystem == "pypi" and reference.value:
            hashed = any(fact.code == "hash" for fact in reference.facts)
            yield Locked(
                lock_key(path, "requirements"),
                reference.name,
                reference.value,
                reference.line,
                hashed,
            )


def pyproject(held: Mapping[str, Any], path: str, line: Line) -> Iterator[Reference]:
    """PEP 621, PEP 735, Poetry, and the indexes of uv, Poetry and PDM."""
    lock = lock_key(path, "python")
    project, tool = _map(held.get("project")), _map(held.get("tool"))
    groups = [project.get("dependencies"), *_map(project.get("optional-dependencies")).values()]
    groups += [
        *_map(held.get("dependency-groups")).values(),
        _map(tool.get("uv")).get("dev-dependencies"),
    ]
    groups += [*_map(_map(tool.get("pdm")).get("dev-dependencies")).values()]
    groups += [_map(held.get("build-system")).get("requires")]
    sources = _map(_map(tool.get("uv")).get("sources"))
    for group in groups:
        for text in group if isinstance(group, list) else []:
            if isinstance(text, str) and not _sourced(text, sources):
                yield from packages.requirement(text, line(text), lock)
    poetry = _map(tool.get("poetry"))
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += [_map(group).get("dependencies") for group in _map(poetry.get("group")).values()]
    for table in tables:
        for name, given in _map(table).items():
            yield from poetry_dependency(name, given, lock, line)
    for source in [
        *_list(_map(tool.get("uv")).get("index")),
        *_list(poetry.get("source")),
        *_list(_map(tool.get("pdm")).get("source")),
    ]:
        url = _map(source).get("url")
        if isinstance(url, str):
            kind = _map(source)
            extra = not (
                kind.get("default")
                or kind.get("explicit")
                or kind.get("priority") in ("primary", "explicit")
            )
            yield from packages.index(url, line(url), extra)
    for key in ("index-url", "extra-index-url"):
        urls = _map(tool.get("uv")).get(key) or _map(_map(tool.get("uv")).get("pip")).get(key)
        for url in urls if isinstance(urls, list) else [urls]:
            if isinstance(url, str):
                yield from packages.index(url, line(url), key == "extra-index-url")
    for name, source in sources.items():
        url = _map(source).get("git") or _map(source).get("url")
        if isinstance(url, str):
            revision = (
                _map(source).get("rev") or _map(source).get("tag") or _map(source).get("branch")
            )
            prefix = "git+" if _map(source).get("git") else ""
            text = f"{name} @ {prefix}{url}" + (f"@{revision}" if revision else "")
            yield from packages.requirement(text, line(name, url))


def _sourced(requirement: str, sources: Mapping[str, Any]) -> bool:
    """Whether uv takes a requirement from a repository or a link, and not from an index."""
    name = re.match(r"[\w.-]+", requirement)
    given = {canonicalize_name(key): _map(source) for key, source in sources.items()}
    return bool(name and given.get(canonicalize_name(name[0]), {}).keys() & {"git", "url"})


def poetry_dependency(name: str, given: object, lock: str, line: Line) -> Iterator[Reference]:
    """One line of Poetry's or Pipfile's: a range, or a table with one."""
    if name.lower() == "python":
        return
    table = _map(given)
    version = given if isinstance(given, str) else table.get("version")
    at = line(name, version) if isinstance(version, str) else line(name)
    git = table.get("git") or table.get("url")
    if isinstance(git, str):
        revision = table.get("rev") or table.get("ref") or table.get("tag") or table.get("branch")
        prefix = "git+" if table.get("git") else ""
        yield from packages.requirement(
            f"{name} @ {prefix}{git}" + (f"@{revision}" if revision else ""), at
        )
    elif isinstance(version, str):
        exact = re.fullmatch(r"(?:==\s*)?(\d[\w.!+-]*)", version)
        named = canonicalize_name(name)
        if exact:
            yield Reference("library", named, at, "pinned", exact[1], "pypi")
        else:
            fix = f'{name} = "==VERSION"'
            yield Reference("library", named, at, "floating", version, "pypi", fix, (), lock=lock)


def python_lock(held: Mapping[str, Any], path: str, line: Line) -> Iterator[Locked]:
    """uv.lock, poetry.lock, pdm.lock (a list `package`) and pylock.toml (`packages`)."""
    entries = held.get("package") or held.get("packages")
    for entry in _list(entries)[:_MOST]:
        table = _map(entry)
        name, version = table.get("name"), table.get("version")
        if isinstance(name, str) and isinstance(version, str):
            source = _map(table.get("source"))
            if source.keys() & {"virtual", "editable", "directory"}:
                continue
            hashed = bool(
                table.get("wheels")
                or table.get("sdist")
                or table.get("files")
                or table.get("archive")
            )
            yield Locked(
                lock_key(path, "python"), canonicalize_name(name), version, line(name), hashed
            )


def pipfile(held: Mapping[str, Any], path: str, line: Line) -> Iterator[Reference]:
    """Pipfile: packages, dev-packages and sources."""
    for part in ("packages", "dev-packages"):
        for name, given in _map(held.get(part)).items():
            yield from poetry_dependency(
                name, "" if given == "*" else given, lock_key(path, "python"), line
            )
    for number, source in enumerate(_list(held.get("source"))):
        if isinstance(url := _map(source).get("url"), str):
            yield from packages.index(url, line(url), number > 0)


def pipfile_lock(held: Mapping[str, Any], path: str, line: Line) -> Iterator[Locked]:
    """Pipfile.lock."""
    for part in ("default", "develop"):
        for name, given in _map(held.get(part)).items():
            version = _map(given).get("version")
            if isinstance(version, str) and version.startswith("=="):
                hashed = bool(_map(given).get("hashes"))
                yield Locked(
                    lock_key(path, "python"),
                    canonicalize_name(name),
                    version[2:],
                    line(name),
                    hashed,
                )


_NPM_PARTS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def package_json(held: Mapping[str, Any], path: str, line: Line) -> Iterator[Reference]:
    """package.json: its ranges, and its scripts."""
    for part in _NPM_PARTS:
        for name, version in _map(held.get(part)).items():
            if isinstance(version, str):
                yield from packages.npm_package(
                    name, line(name, version), lock_key(path, "npm"), version
                )
    for text in _map(held.get("scripts")).values():
        if isinstance(text, str):
            yield from commands.line_of(text, line(text), {})


def package_lock(held: Mapping[str, Any], path: str, line: Line) -> Iterator[Locked]:
    """package-lock.json: version 2 and 3 list `packages` by folder, version 1 `dependencies` by name."""
    entries = _map(held.get("packages"))
    if not entries:
        entries = {
            f"node_modules/{name}": each for name, each in _map(held.get("dependencies")).items()
        }
    for place, entry in list(entries.items())[:_MOST]:
        name, version = place.rpartition("node_modules/")[2], _map(entry).get("version")
        if (
            place.startswith("node_modules/")
            and place.count("node_modules/") == 1
            and isinstance(version, str)
        ):
            hashed = bool(_map(entry).get("integrity"))
            yield Locked(lock_key(path, "npm"), name, version, line(place), hashed)


def text_lock(text: str, path: str) -> Iterator[Locked]:
    """yarn.lock and pnpm-lock.yaml, by line: both write one package an entry."""
    name = ""
    for number, line in enumerate(text.split("\n")[: 2 * _MOST], 1):
        if path.endswith("yarn.lock"):
            if header := re.match(r'"?(@?[^@\s"]+)@[^:]*:?.*:$', line):
                name = header[1]
            elif name and (version := re.match(r'\s+version:? "?([^"\s]+)"?$', line)):
                yield Locked(lock_key(path, "npm"), name, version[1], number, True)
                name = ""
        elif entry := re.match(r"  '?/?(@?[^@\s']+)@(\d[^:'(\s]*)[^:]*'?:\s*$", line):
            yield Locked(lock_key(path, "npm"), entry[1], entry[2], number, True)


def conda(held: Mapping[str, Any], line: Line) -> Iterator[Reference]:
    """environment.yml: conda's packages, and pip's below them."""
    for each in _list(held.get("dependencies")):
        if isinstance(each, str):
            name, _, version = each.replace("==", "=").partition("=")
            exact = bool(re.fullmatch(r"\d[\w.]*(?:=\S+)?", version)) and "*" not in version
            bare = canonicalize_name(re.split(r"[<>! ]", name.rpartition("::")[2])[0])
            fix = "" if exact else f"{bare}={'VERSION'}"
            state: State = "pinned" if exact else "floating"
            yield Reference("library", bare, line(each), state, version or None, "conda", fix)
        for text in _list(_map(each).get("pip")):
            if isinstance(text, str):
                yield from packages.requirement(text, line(text))
                yield from packages.indexes(text, line(text))


def setup_cfg(text: str) -> Iterator[Reference]:
    """setup.cfg and pip.conf: requirements below install_requires and extras, indexes anywhere."""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if re.match(r"\[", line):
            inside = line.strip() == "[options.extras_require]"
        if key := re.match(r"(extra-index-url|index-url)\s*=\s*(\S+)", line.strip()):
            yield from packages.index(key[2], number, key[1].startswith("extra"))
        elif entry := re.match(r"([\w.-]+)\s*=\s*(.*)", line):
            inside = entry[1] in {"install_requires", "setup_requires", "tests_require"} or inside
            if inside and entry[2]:
                yield from packages.requirement(entry[2], number)
        elif inside and line.startswith((" ", "\t")) and line.strip():
            yield from packages.requirement(line.strip(), number)
        if re.match(r"\s*(?:trusted-host)\s*=", line):
            yield from packages.indexes(
                re.sub(r"\s*=\s*", " ", f"--{line.strip()}", count=1), number
            )


def npmrc(text: str) -> Iterator[Reference]:
    """.npmrc: where packages come from."""
    for number, line in enumerate(text.split("\n"), 1):
        if entry := re.match(r"(?:@[\w-]+:)?registry\s*=\s*(\S+)", line.strip()):
            yield from found.host(entry[1], number)


def _map(held: object) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def _list(held: object) -> list[Any]:
    return held[:_MOST] if isinstance(held, list) else []
