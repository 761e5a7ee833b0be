"""MCP servers and tools: the configuration of clients, the registry's server.json, and commands that start one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from safe_load.register import names
from safe_load.register.rows import Fact, Reference
from safe_load.register.words import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.register.rows import State

Line = Callable[..., int]

#: Programs that fetch a package and run it: the ecosystem of its name.
RUNNERS = {"npx": "npm", "bunx": "npm", "pnpx": "npm", "uvx": "pypi", "pipx": "pypi"}
_PREFIXED = {("pnpm", "dlx"): "npm", ("yarn", "dlx"): "npm", ("npm", "exec"): "npm", ("npm", "x"): "npm", ("bun", "x"): "npm", ("uv", "tool"): "pypi", ("pipx", "run"): "pypi"}  # fmt: skip
#: Options of those programs that take the next word.
_TAKES = frozenset({"-c", "--call", "--python", "-w", "--workspace", "--index", "--index-url", "--extra-index-url", "--with", "--with-requirements", "--directory", "--project", "--env-file", "--registry", "--cache", "--default-index", "--find-links", "--constraints", "--userconfig"})  # fmt: skip
_NAMES_PACKAGE = frozenset({"-p", "--package", "--from", "--spec"})
#: Options of `docker run` that stand alone; others take a word.
_BARE = re.compile(
    r"-(?:[itdqP]+)$|--(?:rm|init|interactive|tty|detach|privileged|read-only|no-healthcheck|publish-all|quiet|oom-kill-disable|sig-proxy)(?:=.*)?$"
)
_SECRET = re.compile(
    r"(?i)key|token|secret|passw|credential|auth|cookie|session|dsn|private|pat$|_url$|connection"
)
_NPM = re.compile(r"(@[\w.~-]+/[\w.~-]+|[\w.~-]+)(?:@(.+))?")
_EXACT_NPM = re.compile(r"v?\d+\.\d+\.\d+(?:-[\w.-]+)?(?:\+[\w.-]+)?")
_EXACT_PYPI = re.compile(
    r"v?(?:\d+!)?\d+(?:\.\d+)*(?:[-._]?(?:a|b|c|rc|alpha|beta|pre|post|dev)[-._]?\d*)*(?:\+[\w.]+)?",
    re.IGNORECASE,
)
_SHELLS = frozenset({"sh", "bash", "zsh", "cmd", "cmd.exe", "env", "powershell"})
_GIT = re.compile(
    r"(?:git\+)?(?:https?|ssh|git)://[^\s#]+?/([\w.-]+/[\w.-]+?)(?:\.git)?(?:@([\w./-]+))?(?:#.*)?$"
)


def server(label: str, config: Mapping[str, Any], line: Line) -> Iterator[Reference]:
    """One server of a client's configuration. label: its name there. line: the line of one of its texts."""
    command = config.get("command")
    words = _texts(config.get("args"))
    if isinstance(command, list):  # opencode writes the whole command as a list
        command, words = (_texts(command)[:1] or [""])[0], _texts(command)[1:]
    if isinstance(command, Mapping):  # Zed: {"command": {"path": ..., "args": [...]}}
        words = words or _texts(command.get("args"))
        command = command.get("path")
    facts = [Fact("credential", name) for name in credentials(config, words)]
    if any(
        fact.code == "link-key" for word in words if "://" in word for fact in names.url_facts(word)
    ):
        facts.append(Fact("link-key", "an argument holds a password or a key"))
    url = next(
        (
            config[key]
            for key in ("url", "serverUrl", "httpUrl", "endpoint")
            if isinstance(config.get(key), str)
        ),
        "",
    )
    if isinstance(command, str) and command:
        if not words and " " in command.strip():
            command, *words = split(command) or [command]
        yield from _started(label, command, words, facts, line)
    elif url:
        yield from remote(label, url, facts, line(url))


def _started(
    label: str, command: str, words: list[str], facts: list[Fact], line: Line
) -> Iterator[Reference]:
    name, ecosystem, state, value, fix, more = package_of(command, words)
    facts = [*facts, *more]
    told = Fact("label", f"configured as {label}") if label else None
    if told is not None:
        facts.append(told)
    marks = [word for word in words if name and name in word]
    at = line(*marks[:1]) if marks else line(command)
    yield Reference(
        "tool", name or label or command, at, state, value, ecosystem, fix, tuple(facts)
    )
    for word in words:  # mcp-remote and others take the URL of another server
        if names.url_of(word):
            address = names.Host(word)
            yield Reference(
                "host", address.name, line(word), "unknown", None, "url", "", address.facts
            )


def remote(label: str, url: str, facts: Sequence[Fact], at: int) -> Iterator[Reference]:
    """A server at a URL: a tool whose code is the host's, and the host."""
    if names.url_of(url) is None:
        told = Fact("malformed", "its URL cannot be read")
        yield Reference(
            "tool", label or names.masked(url)[:100], at, "unknown", None, "url", "", (told, *facts)
        )
        return
    address = names.Host(url)
    told = Fact("remote", "a server at a URL: its tools may change at any time")
    of = (Fact("label", f"configured as {label}"),) if label else ()
    name = names.masked(url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0])
    yield Reference(
        "tool", name, at, "floating", None, "url", "", (told, *address.facts, *facts, *of)
    )
    yield Reference("host", address.name, at, "unknown", None, "url", "", address.facts)


def credentials(config: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """The names of what the server is given: variables, headers and -e options. Never a value."""
    given: dict[str, None] = {}
    for key in (
        "env",
        "environment",
        "environmentVariables",
        "env_vars",
        "headers",
        "http_headers",
        "env_http_headers",
        "requestInit",
    ):
        held = config.get(key)
        if key == "requestInit" and isinstance(held, Mapping):
            held = held.get("headers")
        if isinstance(held, Mapping):
            given |= dict.fromkeys(str(name) for name in held)
        elif isinstance(held, list):
            given |= dict.fromkeys(_name_of(each) for each in held)
    for key in ("bearer_token_env_var", "bearerTokenEnvVar"):
        if isinstance(config.get(key), str):
            given[config[key]] = None
    for number, word in enumerate(words):
        if word in {"-e", "--env"} and number + 1 < len(words):
            given[words[number + 1].partition("=")[0]] = None
        elif word.startswith("--env="):
            given[word[6:].partition("=")[0]] = None
        elif word == "--header" and number + 1 < len(words):
            given[words[number + 1].partition(":")[0]] = None
        elif match := re.match(
            r"--?([\w-]*(?:key|token|secret|password)[\w-]*)(?:=|$)", word, re.IGNORECASE
        ):
            given[match[1]] = None
    return [name[:100] for name in given if name and (_SECRET.search(name))][:50]


def _name_of(each: object) -> str:
    if isinstance(each, Mapping):
        return str(each.get("name", ""))
    return str(each).partition("=")[0]


def package_of(
    command: str, words: Sequence[str]
) -> tuple[str, str, State, str | None, str, list[Fact]]:
    """(name, ecosystem, pin, value, fix, facts) of what a command starts. ("", "", ...) of a program of this machine."""
    program = re.split(r"[/\\]", command)[-1].removesuffix(".cmd").removesuffix(".exe")
    rest = list(words)
    if program in {_.removesuffix(".exe") for _ in _SHELLS}:
        inner = [
            word
            for word in rest
            if word.lower() not in {"-c", "/c", "-lc", "-command", "-s"}
            and not re.fullmatch(r"\w+=.*", word)
        ]
        if len(inner) == 1:
            inner = split(inner[0])
        if not inner or inner[0] == command:
            return "", "", "unknown", None, "", []
        return package_of(inner[0], inner[1:])
    ecosystem = RUNNERS.get(program) or _PREFIXED.get((program, rest[0] if rest else ""), "")
    if (program, rest[:1]) in (("uv", ["tool"]), ("pipx", ["run"])) or (
        ecosystem and program not in RUNNERS
    ):
        rest = rest[2 if rest[:2] == ["tool", "run"] else 1 :]
    if program == "uv" and rest[:1] == ["run"]:
        named = next((rest[n + 1] for n, w in enumerate(rest[:-1]) if w == "--with"), "")
        return pinned_package("pypi", named) if named else ("", "", "unknown", None, "", _HERE)
    if ecosystem:
        return pinned_package(ecosystem, _package_word(rest))
    if program in {"docker", "podman", "nerdctl"}:
        image, _ = image_of(rest[1:] if rest[:1] == ["run"] else rest)
        name, state, value = names.image_pin(image)
        fix = "" if state == "pinned" else f"{name}@sha256:DIGEST"
        return name, "oci", state, value, fix, []
    if program == "deno":
        spec = next((w for w in rest if w.startswith(("npm:", "jsr:", "http"))), "")
        if spec.startswith("npm:"):
            return pinned_package("npm", spec[4:])
        return spec, "url", "floating", None, "", []
    return "", "", "unknown", None, "", _HERE


_HERE = [Fact("here-program", "a program of this machine: these files do not say which version")]


def _package_word(rest: Sequence[str]) -> str:
    bare = ""
    number = 0
    while number < len(rest):
        word = rest[number]
        option, equals, value = word.partition("=")
        if option in _NAMES_PACKAGE:
            return value if equals else (rest[number + 1] if number + 1 < len(rest) else "")
        if option in _TAKES and not equals:
            number += 1
        elif not word.startswith("-"):
            bare = bare or word
            break
        number += 1
    return bare


def pinned_package(
    ecosystem: str, spec: str
) -> tuple[str, str, State, str | None, str, list[Fact]]:
    """A package as a runner's command line names it: name@version, name==version, a git or other URL."""
    if git := _GIT.match(spec.rpartition(" @ ")[2] if " @ " in spec else spec):
        state = names.commit_state(git[2])
        told = [Fact("source", "installed from a repository, not from the registry")]
        fix = (
            ""
            if state == "pinned"
            else names.masked(spec.split("@", maxsplit=1)[0] if git[2] else spec) + "@COMMIT"
        )
        return git[1], "git", state, git[2], fix, told
    if ecosystem == "npm" and not spec.startswith("@"):
        github = re.fullmatch(r"(?:github:)?([\w.-]+/[\w.-]+)(?:#(.+))?", spec)
        if github:
            state = names.commit_state(github[2])
            told = [Fact("source", "installed from a repository, not from the registry")]
            return (
                github[1],
                "git",
                state,
                github[2],
                "" if state == "pinned" else f"github:{github[1]}#COMMIT",
                told,
            )
    if names.url_of(spec):
        told = [
            Fact("source", "installed from a link, not from the registry"),
            *names.url_facts(spec),
        ]
        return names.masked(spec), "url", "floating", None, "", told
    if names.is_local(spec) or not spec:
        return "", "", "unknown", None, "", _HERE
    if ecosystem == "npm":
        match = _NPM.fullmatch(spec)
        name, version = (match[1], match[2]) if match else (spec, None)
        exact = bool(version and _EXACT_NPM.fullmatch(version))
    else:
        bare = re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?(?:\s*(?:===?|@)\s*([^\s;,]+))?", spec)
        name, version = (bare[1], bare[2]) if bare else (spec, None)
        exact = bool(version and _EXACT_PYPI.fullmatch(version)) and "," not in spec
        if bare and version is None and spec != bare[0]:
            version = spec[bare.end() :].strip() or None
    fix = "" if exact else f"{name}@VERSION" if ecosystem == "npm" else f"{name}=={'VERSION'}"
    return name, ecosystem, "pinned" if exact else "floating", version, fix, []


def image_of(rest: Sequence[str]) -> tuple[str, list[str]]:
    """The image of `docker run`'s words, and the words behind it."""
    number = 0
    while number < len(rest):
        word = rest[number]
        if not word.startswith("-"):
            return word, list(rest[number + 1 :])
        number += 1 if _BARE.match(word) or "=" in word else 2
    return "", []


def typed(program: str, rest: Sequence[str], line: int) -> Iterator[Reference]:
    """A command that a script holds: npx, uvx, claude mcp add."""
    if program == "claude":
        words = list(rest[2:])
        if "--" in words:
            words = words[words.index("--") + 1 :]
            if words:
                yield from server("", {"command": words[0], "args": words[1:]}, lambda *_: line)
        else:
            for word in words:
                if names.url_of(word):
                    yield from remote("", word, (), line)
        return
    name, ecosystem, state, value, fix, facts = package_of(program, rest)
    if (
        ecosystem
        and name
        and re.search(r"(?i)mcp|agent|llm|model|hugging|\bai\b|claude|openai", name)
    ):
        yield Reference("tool", name, line, state, value, ecosystem, fix, tuple(facts))


def registry_file(config: Mapping[str, Any], line: Line) -> Iterator[Reference]:
    """server.json of the MCP registry: packages and remotes."""
    label = str(config.get("name", ""))[:200]
    for each in _maps(config.get("packages")):
        kind = str(
            each.get("registryType") or each.get("registry_type") or each.get("registry_name") or ""
        )
        name = str(each.get("identifier") or each.get("name") or "")
        version = each.get("version")
        given = [
            str(v.get("name"))
            for v in _maps(each.get("environmentVariables") or each.get("environment_variables"))
        ]
        facts = [Fact("credential", word) for word in given if _SECRET.search(word)]
        facts.append(Fact("label", f"published as {label}"))
        if kind in {"npm", "pypi"}:
            spec = (
                f"{name}@{version}"
                if version and kind == "npm"
                else f"{name}=={version}"
                if version
                else name
            )
            name, eco, state, value, fix, more = pinned_package(kind, spec)
            yield Reference("tool", name, line(name), state, value, eco, fix, (*facts, *more))
        elif kind == "oci":
            image, state, value = names.image_pin(
                name if "@" in name or not version or ":" in name else f"{name}:{version}"
            )
            fix = "" if state == "pinned" else f"{image}@sha256:DIGEST"
            yield Reference("tool", image, line(name), state, value, "oci", fix, tuple(facts))
        elif name:
            digest = each.get("fileSha256") or each.get("file_sha256")
            pin: State = (
                "pinned"
                if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest)
                else "floating"
            )
            yield Reference(
                "tool",
                names.masked(name),
                line(name),
                pin,
                str(digest or version or "") or None,
                kind,
                "",
                tuple(facts),
            )
    for each in _maps(config.get("remotes")):
        if isinstance(each.get("url"), str):
            facts = [
                Fact("credential", n)
                for h in _maps(each.get("headers"))
                if (n := str(h.get("name", "")))
            ]
            yield from remote(label, each["url"], facts, line(each["url"]))


def _texts(held: object) -> list[str]:
    if not isinstance(held, list):
        return []
    # A text keeps the line that it carries, so it is not copied where it is short.
    return [w if isinstance(w, str) and len(w) <= 2000 else str(w)[:2000] for w in held[:500]]


def _maps(held: object) -> list[Mapping[str, Any]]:
    return (
        [each for each in held[:500] if isinstance(each, Mapping)] if isinstance(held, list) else []
    )
