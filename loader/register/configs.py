"""References in configuration of any program: keys that name a model or a host, commands, images, MCP servers."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from safe_load.register import calls, commands, documents, found, names, packages, servers
from safe_load.register.documents import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safe_load.register.rows import Reference

_SERVERS = frozenset({"mcpServers", "mcp_servers", "context_servers", "mcpservers"})
_SCRIPTS = frozenset({"run", "script", "before_script", "after_script", "cmd", "commands", "shell", "entrypoint", "cmds", "postCreateCommand", "command", "args", "arguments"})  # fmt: skip
_ENVIRONMENT = frozenset(
    {"environment", "env", "variables", "containerEnv", "remoteEnv", "build_args"}
)
#: Lists of Python's packages in files of BentoML and Cog.
_PACKAGES = frozenset({"python_packages", "pip_packages"})
_BENTO = ("packages", "bentofile.yaml")
_PICTURE = re.compile(r"(?i)\.(?:png|jpe?g|gif|svg|webp|ico|avif|bmp|tiff?)(?:[?#].*)?$")
_REVISIONS = (
    "revision",
    "model_revision",
    "hf_revision",
    "commit",
    "commit_hash",
    "sha",
    "git_revision",
    "rev",
)
#: Keys whose value speaks of text or a format, though their name ends as a model's.
_NOT_MODELS = frozenset({"type", "description", "title", "name"})


def walk(data: Any, path: str) -> Iterator[Reference]:
    """The references of a document. What several aliases bring is walked once."""
    seen: set[int] = set()
    stack: list[Any] = [data]
    if isinstance(data, dict) and posixpath.basename(path) == "server.json":
        yield from servers.registry_file(data, line_of)
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        if isinstance(node, list | dict):
            seen.add(id(node))
        if isinstance(node, list):
            stack += reversed(node)
        elif isinstance(node, dict):
            taken = set()
            for key, reference in _mapping(node, path):
                taken.add(key)
                if reference is not None:
                    yield reference
            stack += [
                value
                for key, value in reversed(node.items())
                if key not in taken and isinstance(value, dict | list)
            ]


def _mapping(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Reference | None]]:
    """(key, a reference in its value) of one mapping; (key, None) for a value that is read whole."""
    revision, name = _revision(node), posixpath.basename(path)
    for key, value in node.items():
        if key in _SERVERS or (key in {"servers", "mcp"} and _is_servers(value, path)):
            yield key, None
            for label, config in _labelled(value):
                for each in servers.server(label, config, _line(label)):
                    yield key, each
        elif _is_image(key, value, node):
            # A chart writes an image in parts.
            yield from ((key, each) for each in _image(node if key == "repository" else value))
        elif key.rpartition(".")[2] in _SCRIPTS:  # ansible.builtin.shell
            yield from ((key, each) for each in _command(key.rpartition(".")[2], value, node))
        elif isinstance(value, str) and value.count("\n") > 1 and key not in _NOT_MODELS:
            yield from ((key, each) for each in _inside(value, path))
        elif isinstance(value, list) and (key in _PACKAGES or (key, name) == _BENTO):
            for text in filter(lambda each: isinstance(each, str), value):
                yield from ((key, each) for each in packages.requirement(text, line_of(text)))
        elif key in _ENVIRONMENT:
            yield key, None
            for each in commands.environment(_settings(value)):
                yield key, each
        elif isinstance(value, str | list) and key not in _NOT_MODELS:
            pin = node.get(f"{key}_revision")
            pin = pin if isinstance(pin, str) else revision
            texts = [
                text
                for text in (value if isinstance(value, list) else [value])
                if isinstance(text, str)
            ]
            for text in texts:
                # The mapping is walked further: a text in it is no mapping.
                yield from (("", each) for each in _value(key, text, pin))
        elif isinstance(value, dict) and calls.names_model(key):
            yield from (("", each) for each in _part(value))


def _revision(node: Mapping[str, Any]) -> str | None:
    """What pins the names of a mapping."""
    for key in _REVISIONS:
        if isinstance(node.get(key), str):
            return str(node[key])
    named = [
        text
        for key, text in node.items()
        if isinstance(text, str) and key.lower().endswith("_revision")
    ]
    return named[0] if len(named) == 1 else None


def _is_image(key: str, value: object, node: Mapping[str, Any]) -> bool:
    if key == "image":
        return True
    if key == "repository":
        return isinstance(value, str) and isinstance(node.get("tag"), str)
    named = key == "container" or key.lower().replace("_", "").endswith("image")
    # Other images are pictures.
    return named and isinstance(value, str) and not _PICTURE.search(value)


def _inside(text: str, path: str) -> Iterator[Reference]:
    """A document in a text, as a ConfigMap and Ray Serve have it."""
    from msgspec.structs import replace  # noqa: PLC0415

    if not re.match(r"\s*(?:#.*\n\s*)*[\"']?[\w.-]+[\"']?:(?:\s|$)", text):
        return
    try:
        held = documents.read_yaml(str(text))  # C code, which takes no subclass
    except ValueError:
        return
    for document in held:
        for each in walk(document, path):
            yield replace(each, line=line_of(text) + each.line - 1)


def _part(model: Mapping[str, Any]) -> Iterator[Reference]:
    """model: {name: ORG/NAME, revision: COMMIT}."""
    pin = next((model[key] for key in _REVISIONS if isinstance(model.get(key), str)), None)
    for word in ("name", "id", "path", "repo", "default"):
        text = model.get(word)
        if isinstance(text, str):
            fix = f"{word}: {text} with revision: COMMIT beside it"
            yield from found.named(text, line_of(text), pin, strict="/" not in text, fix=fix)


def _value(key: str, text: str, revision: str | None) -> Iterator[Reference]:
    line = line_of(text)
    if names.url_of(text):
        if names.hub_file(text):
            yield from found.link(text, line)
        elif calls.names_host(key) or names.url_facts(text):
            yield from found.host(text, line)
    elif calls.names_model(key):
        # "model" names the architecture in many a configuration: only ORG/NAME and known names count.
        sure = "/" in text and (calls.plain(key) in calls.MODEL_WORDS)
        yield from found.named(
            text,
            line,
            revision,
            strict=not sure,
            fix=f"{key}: {text} with revision: COMMIT beside it",
        )
    elif text.startswith(("hf://", "hf-hub:", "huggingface://")):
        yield from found.named(text, line, revision)


def _is_servers(value: Any, path: str) -> bool:
    """VS Code, opencode and others write `servers` or `mcp`: each value starts a program or names a URL."""
    if not isinstance(value, dict) or not value:
        return False
    if isinstance(value.get("servers"), dict):
        value = value["servers"]
    known = {"command", "url", "serverUrl", "httpUrl"}
    told = "mcp" in path.lower() or all(
        isinstance(each, dict) and ({"args", "type"} & each.keys()) for each in value.values()
    )
    return told and any(isinstance(each, dict) and known & each.keys() for each in value.values())


def _labelled(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("servers"), dict):
            value = value["servers"]
        yield from (
            (str(label)[:100], config)
            for label, config in value.items()
            if isinstance(config, dict)
        )
    elif isinstance(value, list):  # Continue: a list of tables with a name
        yield from (
            (str(each.get("name", ""))[:100], each) for each in value if isinstance(each, dict)
        )


def _line(label: str) -> servers.Line:
    return lambda *texts: line_of(*texts, label)


def _image(value: Any) -> Iterator[Reference]:
    """An image as a text, or as repository, tag and digest."""
    if isinstance(value, str):
        yield from commands.from_image(value, line_of(value))
    elif isinstance(value, dict) and isinstance(value.get("repository"), str):
        name, tag, digest = value["repository"], value.get("tag"), value.get("digest")
        if isinstance(digest, str) and digest:
            text = f"{name}@{digest}"
        else:
            text = f"{name}:{tag}" if isinstance(tag, str) and tag else name
        yield from commands.from_image(text, line_of(name))


def _command(key: str, value: Any, node: Mapping[str, Any]) -> Iterator[Reference]:
    variables = {
        name: text for part in ("environment", "env") for name, text, _ in _settings(node.get(part))
    }
    if isinstance(value, str):
        yield from commands.script(str(value), line_of(value), variables)
    elif isinstance(value, list) and all(isinstance(each, str) for each in value):
        if key in {"command", "args", "entrypoint", "arguments"}:
            if key == "args" and isinstance(node.get("command"), list):
                return  # read with its command
            words = list(value)
            if key == "command" and isinstance(node.get("args"), list):
                words += [word for word in node["args"] if isinstance(word, str)]
            for each in commands.command(words, line_of(*value), variables):
                yield moved(each, words)
        else:
            for text in value:
                yield from commands.script(str(text), line_of(text), variables)


def moved(reference: Reference, words: Sequence[str]) -> Reference:
    """The reference at the line of the word that names it."""
    from msgspec.structs import replace  # noqa: PLC0415

    at = next((word for word in words if reference.name in word), None)
    return replace(reference, line=line_of(at)) if at is not None else reference


def _settings(value: Any) -> list[tuple[str, str, int]]:
    """Variables as compose, Kubernetes and CI systems write them."""
    if isinstance(value, dict):
        return [
            (str(name), str(text), line_of(text, name))
            for name, text in value.items()
            if isinstance(text, str)
        ]
    settings = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, str):
            name, _, text = each.partition("=")
            settings.append((name, text, line_of(each)))
        elif (
            isinstance(each, dict)
            and isinstance(each.get("name"), str)
            and isinstance(each.get("value"), str)
        ):
            settings.append((each["name"], each["value"], line_of(each["value"])))
    return settings
