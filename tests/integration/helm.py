"""Renders our Helm chart where there is no helm: the few constructs of Go's templates that the chart may use, and no others.

These are `{{ .Values.a.b }}`, `.Release.Name`, the filters quote, toYaml and nindent, `if` of a value with its `end`, and the
dash that eats the white space before. What else stands in braces is an error: the chart keeps to these.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

_TAG = re.compile(r"(\s*\{\{-|\{\{)\s*(.*?)\s*\}\}")
_VALUE = re.compile(r"(toYaml )?\.((?:Values|Release)(?:\.\w+)+)((?: \| (?:quote|nindent \d+))*)")


def rendered(
    chart: Path, release: str, changed: dict[str, dict[str, Any]] | None = None
) -> dict[str, str]:
    """Template -> manifest. changed: values in the place of the chart's own, one level deep."""
    values = yaml.safe_load((chart / "values.yaml").read_text())
    for key, more in (changed or {}).items():
        values[key] |= more
    given = {"Values": values, "Release": {"Name": release}}
    return {
        path.name: _rendered(path.read_text(), given)
        for path in sorted((chart / "templates").iterdir())
    }


def _rendered(text: str, given: dict[str, Any]) -> str:
    made, at, shown = "", 0, [True]
    for tag in _TAG.finditer(text):
        before = text[at : tag.start()]
        at = tag.end()
        made += before if shown[-1] else ""
        said = tag[2]
        if said == "end":
            shown.pop()
        elif said.startswith("if "):
            shown.append(shown[-1] and bool(_value(said[3:], given)))
        elif shown[-1]:
            made += _value(said, given)
    assert shown == [True], "an if without its end"
    made += text[at:]
    assert "{{" not in made
    return made


def _value(said: str, given: dict[str, Any]) -> Any:
    match = _VALUE.fullmatch(said)
    assert match is not None, f"{said!r} is none of what the chart may use"
    value: Any = given
    for part in match[2].split("."):
        value = value[part]
    value = yaml.safe_dump(value).strip() if match[1] else str(value)
    for step in match[3].split(" | ")[1:]:
        if step == "quote":
            value = json.dumps(value)
        else:
            value = "\n" + "\n".join(
                " " * int(step.split()[1]) + line for line in value.split("\n")
            )
    return value
