"""References in the code cells of a notebook."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from msgspec.structs import replace
from safe_load.register import commands, documents, python_code
from safe_load.register.documents import line_of
from safe_load.register.rows import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.register.rows import Reference
    from safe_load.register.syntax import Module

_MAGIC = re.compile(r"^\s*[!%]")


def read(text: str, path: str, find: Callable[[str, int, str], Module | None]) -> list[Reference]:
    """The code cells of a notebook, as one module: later cells use the names of earlier ones.

    A reference's line is that of the notebook's own file."""
    data = documents.read_json(text)
    cells = data.get("cells") if isinstance(data, dict) else None
    if cells is None and isinstance(data, dict) and isinstance(data.get("worksheets"), list):
        cells = [
            cell
            for sheet in data["worksheets"]
            if isinstance(sheet, dict)
            for cell in sheet.get("cells", [])
        ]
    if not isinstance(cells, list):
        raise ValueError("it is no notebook: it has no list of cells")
    found: list[Reference] = []
    code: list[str] = []
    places: list[int] = []
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", []))
        lines = (
            source
            if isinstance(source, list)
            else [documents.Text(line, line_of(source)) for line in str(source).split("\n")]
        )
        part: list[str] = []
        for line in lines:
            if not isinstance(line, str):
                continue
            bare = line.rstrip("\n")
            if _MAGIC.match(bare):
                found += commands.script(bare.strip().lstrip("!%"), line_of(line))
                bare = ""
            part.append(bare)
            places.append(line_of(line))
        try:
            ast.parse("\n".join(part))
        except (SyntaxError, ValueError):
            part = [""] * len(part)  # a cell that no Python runs
        code += part
    written = text.split("\n")
    for each in python_code.read("\n".join(code), path, find):
        at = places[each.line - 1] if 0 < each.line <= len(places) else 1
        found.append(replace(each, line=at, call=_call_in_cell(each.call, code, places, written)))
    return found


def _call_in_cell(
    call: Call | None, code: list[str], places: list[int], written: list[str]
) -> Call | None:
    """Where a call's revision stands in the notebook's own file: a line of code is a text of JSON there."""
    if call is None or not call.text or not 0 < call.line <= len(places):
        return None
    line, at = code[call.line - 1], places[call.line - 1]
    held = written[at - 1] if 0 < at <= len(written) else ""
    for ascii_ in (False, True):
        inner = json.dumps(line, ensure_ascii=ascii_)[1:-1]
        if inner and held.count(f'"{inner}') == 1:
            start = len(held[: held.index(f'"{inner}') + 1].encode())
            places_ = [
                start
                + len(json.dumps(line.encode()[:byte].decode(), ensure_ascii=ascii_)[1:-1].encode())
                for byte in (call.start, call.end)
            ]
            return Call(at, places_[0], places_[1], call.text)
    return None
