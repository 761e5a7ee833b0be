"""Hooks of mkdocs.yml: pages that are generated from the code, and pages that lie outside of docs/.

`make docs` builds the site into build/site; a warning is an error there. A link of a page to a file that is no
page becomes plain text: the site knows no address of the repository.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import safe_load
from safe_load.cli import policy_schema
from safe_load.cli.app import app
from safe_load.core import typed
from safe_load.core.errors import WORST_FIRST
from safe_load.judge.behaviour import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
#: Pages of the repository that are not in docs/ -> where they stand in the site.
OUTSIDE = {
    "README.md": "project/readme.md",
    "SECURITY.md": "project/security.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/RESULTS.md": "project/measurements.md",
    "images/README.md": "project/image.md",
}
#: Pictures of these pages.
PICTURES = {"benchmarks/growth.svg": "project/growth.svg"}
_LINK = re.compile(r"(!?)\[([^\]\n]*(?:\n[^\]\n]+)?)\]\(([^)\s]+)\)")
#: Code in the cell of a table. GitHub asks for a backslash before a bar there; Python-Markdown would show it.
_CELL = re.compile(r"(?<=[| ])`[^`\n]*\\\|[^`\n]*`")
#: What a line of code may hold on a page 1280 pixels wide.
_WIDTH = 100
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes):$", re.MULTILINE)


def commands() -> str:
    """The page on the command line: what `--help` prints, of every command."""
    parts = ["# The command line\n\nGenerated from the program: what `--help` prints.\n"]
    for name, command in _commands(app, "safe-load"):
        context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for each in sorted(command.commands):
            yield from _commands(command.commands[each], f"{name} {each}")


def python() -> str:
    """The page on the Python API: every public name with its signature and docstring."""
    parts = ["# The Python API\n\nGenerated from the code. `import safe_load` imports no torch.\n"]
    for name in sorted(safe_load.__all__):
        found = getattr(safe_load, name)
        said = inspect.getdoc(found) or ""
        if name == "__version__" or not (inspect.isclass(found) or callable(found)):
            continue
        shown = _shown(name, found)
        parts.append(f"## {name}\n\n```python\n{shown}\n```\n\n{_docstring(said)}\n")
    return "\n".join(parts)


def _shown(name: str, found: Any) -> str:
    """A name as one would write it: a type with its values, a function with an argument on each line if many."""
    if inspect.isclass(found):
        return f"class {name}"
    values = get_args(found)
    if values:
        return f"{name} = Literal[{', '.join(repr(each) for each in values)}]"
    line = f"{name}{_signature(found)}"
    if len(line) <= _WIDTH:
        return line
    opening, closing = line.index("("), line.rindex(")")
    # At each comma that stands in no brackets.
    each = re.split(r", (?![^\[\]]*\])", line[opening + 1 : closing])
    return "\n".join([line[: opening + 1], *(f"    {one}," for one in each), line[closing:]])


def _signature(found: Callable[..., Any]) -> str:
    return _bare(str(inspect.signature(found)))


def _bare(text: str) -> str:
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text.replace("'", ""))


def _docstring(text: str) -> str:
    """A docstring in Google's form as Markdown: its sections as lists."""
    head, *rest = _SECTION.split(text)
    parts = [_plain(head)]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        items: list[str] = []
        for line in inspect.cleandoc(body).splitlines():
            begins = re.match(r"(\**[\w, ]+): ", line)
            if begins and not line.startswith(" "):
                items.append(f"- `{begins[1]}`: {_plain(line[begins.end() :])}")
            elif items and line.strip():
                items[-1] += f" {_plain(line.strip())}"
            elif line.strip():
                items.append(f"- {_plain(line.strip())}")
        parts.append(f"**{title}**\n\n" + "\n".join(items))
    return "\n\n".join(parts)


def _plain(text: str) -> str:
    """A docstring's prose, in which nothing is markup but its code."""
    parts = re.split(r"(?m)^((?: {4}.*\n?)+)", text)
    parts[::2] = [
        re.sub(r"[<>*_\[\]](?![^`\n]*`)", lambda found: f"\\{found[0]}", part)
        for part in parts[::2]
    ]
    return "\n".join(parts).strip()


def configuration() -> str:
    """The page on configuration files, from their JSON Schema."""
    schema = policy_schema.schema()
    rows = [
        f"| `{name}` | {each['description']} | {_values(each)} |"
        for name, each in schema["properties"].items()
    ]
    tables = [
        f"## [[{name}]]\n\n{schema['properties'][name]['description']}\n\n"
        "| key | what it says | values |\n|---|---|---|\n"
        + "\n".join(
            f"| `{key}` | {each['description']} | {_values(each)} |"
            for key, each in schema["properties"][name]["items"]["properties"].items()
        )
        for name in ("exceptions", "paths")
    ]
    said = (
        "Generated from the schema that `safe-load profiles schema` prints. [Policies](../policy.md) shows how the "
        "tables are used, and [the report](../report.md#settings) which file is believed."
    )
    keys = "| key | what it says | values |\n|---|---|---|\n" + "\n".join(rows)
    return "\n\n".join(["# Configuration files", said, keys, *tables])


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    return {"boolean": "true, false", "array": "a list of tables"}.get(schema.get("type", ""), "")


def report_fields() -> str:
    """The page on the report's fields, from its JSON Schema."""
    data = typed.plain((ROOT / "loader" / "core" / "report.schema.json").read_bytes())
    parts = [
        "# Fields of the JSON report",
        "Generated from the schema that ships in the package. [The report](../report.md) explains them in words.",
    ]
    for name in ("Report", *sorted(set(data["$defs"]) - {"Report"})):
        rows = [
            f"| `{field}` | {each.get('description', '')} |"
            for field, each in data["$defs"][name].get("properties", {}).items()
        ]
        if rows:
            parts.append(f"## {name}\n\n| field | what it says |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def finding_list() -> str:
    """The page that lists the findings and the exit codes."""
    rows = [
        f"| [{ident}](../findings.md#{ident.lower()}) | {severity} | {title} |"
        for ident, (severity, title) in RULES.items()
    ]
    codes = ", ".join(map(str, WORST_FIRST))
    return (
        "# Findings and exit codes\n\nGenerated from the rules of the judge. The severity is the usual one; a finding "
        "may raise or lower it.\n\n| finding | severity | title |\n|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nOf several sources the worst exit code counts: {codes}. "
        "[The README](../project/readme.md#exit-codes) says what each means.\n"
    )


GENERATED = {
    "reference/cli.md": commands,
    "reference/python.md": python,
    "reference/configuration.md": configuration,
    "reference/report.md": report_fields,
    "reference/findings.md": finding_list,
}


def relinked(markdown: str, source: str, pages: set[str]) -> str:
    """A page's text with the links that the site has. source: the page in the site; pages: all of these."""
    inside = {site: repository for repository, site in OUTSIDE.items()}
    place = inside.get(source, f"docs/{source}")

    def link(found: re.Match[str]) -> str:
        picture, text, target = found[1], found[2], found[3]
        path, hash_, anchor = target.partition("#")
        if "://" in target or not path or source in GENERATED:
            return found[0]
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
        site = (OUTSIDE | PICTURES).get(aim, aim.removeprefix("docs/"))
        if not picture and site not in pages:
            return text
        there = posixpath.relpath(site, posixpath.dirname(source) or ".")
        return f"{picture}[{text}]({there}{hash_}{anchor})"

    return _LINK.sub(link, _CELL.sub(lambda found: found[0].replace("\\|", "|"), markdown))


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for path, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text("utf-8")))
    for path, uri in PICTURES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_bytes()))
    for uri, page in GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_: Any) -> str:
    """Make a page's links lead to pages of the site."""
    pages = {file.src_uri for file in files.documentation_pages()}
    return relinked(markdown, page.file.src_uri, pages)
