"""Where a model was changed, seen at a glance: layers by kinds of tensors, darker where more changed.

The same grid for the terminal (`lines`) and for pages and notebooks (`table`). Names are a model's text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.core.escape import visible
from safe_load.core.weights import place_of
from safe_load.render.html_parts import h

if TYPE_CHECKING:
    from safe_load.core.weights import TensorChange, Weights

#: Columns and rows at most. What is beyond is counted beneath.
MOST_KINDS, MOST_LAYERS = 26, 200
#: Relative changes from which a cell is one step darker; a change below the first is the faintest.
STEPS = (1e-3, 1e-2, 5e-2, 0.2)
_SHADES = "·░▒▓█"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Kinds that are no matrices, which are shown only where one of them changed and no matrix did.
_SMALL = (".bias", "norm.weight", "layernorm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight")


@dataclass
class Grid:
    """kinds: names of the columns; layers: numbers of the rows, None for what is in no layer; cells: (layer,
    kind) -> level and change; level: 0 the same, 1 to 5 changed, 6 far out; left: columns and rows that
    are not shown."""

    kinds: list[str] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    cells: dict[tuple[int, str], tuple[int, TensorChange]] = field(default_factory=dict)
    single: list[tuple[int, TensorChange]] = field(default_factory=list)
    left: int = 0


def grid(weights: Weights) -> Grid:
    """The grid of one comparison."""
    placed: dict[str, dict[int, TensorChange]] = {}
    made = Grid()
    outliers = set(weights.outliers)
    for tensor in weights.difference.tensors:
        kind, layer = place_of(tensor.name)
        if layer is not None:
            placed.setdefault(kind, {}).setdefault(layer, tensor)
        elif tensor.state != "identical" and len(made.single) < MOST_KINDS:
            made.single.append((_level(tensor, outliers), tensor))
    shown = _chosen(placed)
    made.kinds = shown[:MOST_KINDS]
    layers = sorted({layer for kind in made.kinds for layer in placed[kind]})
    made.layers = layers[:MOST_LAYERS]
    made.left = len(shown) - len(made.kinds) + len(layers) - len(made.layers)
    for kind in made.kinds:
        for layer, tensor in placed[kind].items():
            made.cells[layer, kind] = _level(tensor, outliers), tensor
    return made


def _chosen(placed: dict[str, dict[int, TensorChange]]) -> list[str]:
    """The kinds that are shown: those of matrices, and others where nothing else changed."""
    matrices = [kind for kind in placed if not kind.lower().endswith(_SMALL)]
    changed = {
        kind for kind, row in placed.items() if any(t.state != "identical" for t in row.values())
    }
    chosen = matrices if changed & set(matrices) else [*matrices, *(changed - set(matrices))]
    return sorted(chosen)


def _level(tensor: TensorChange, outliers: set[str]) -> int:
    if tensor.name in outliers:
        return 6
    if tensor.state == "identical":
        return 0
    if tensor.relative is None:
        return 5
    return 1 + sum(tensor.relative >= step for step in STEPS)


def lines(weights: Weights, width: int = 80) -> list[str]:
    """The grid in characters: a letter for each column, named beneath."""
    made = grid(weights)
    if not made.layers:
        return []
    room = max(1, min(len(made.kinds), (width - 10) // 2))
    kinds = made.kinds[:room]
    told = ["layer  " + " ".join(_LETTERS[number] for number in range(len(kinds)))]
    for layer in made.layers:
        cells = (_sign(made, layer, kind) for kind in kinds)
        told.append(f"{layer:>5}  {' '.join(cells)}".rstrip())
    told.append("")
    told += [
        f"{_LETTERS[number]}  {visible(_short(kind), max(20, width - 6))}"
        for number, kind in enumerate(kinds)
    ]
    left = made.left + len(made.kinds) - len(kinds)
    told.append(
        f"·░▒▓█ more changed: below {', '.join(f'{step:g}' for step in STEPS)} of the norm, and above; ! far out"
        + (f"; {left} more rows or columns" if left else "")
    )
    return told


def _sign(made: Grid, layer: int, kind: str) -> str:
    level = made.cells.get((layer, kind), (-1, None))[0]
    if level <= 0:
        return " " if level < 0 else "-"
    return "!" if level == 6 else _SHADES[level - 1]


def table(weights: Weights) -> str:
    """The grid as markup, for a page that holds the report's style sheet."""
    made = grid(weights)
    if not made.layers and not made.single:
        return ""
    parts = []
    if made.layers:
        head = "".join(f'<th scope="col">{h(_short(kind), 60)}</th>' for kind in made.kinds)
        rows = [
            f'<tr><th scope="row">{layer}</th>'
            + "".join(_cell(made.cells.get((layer, kind))) for kind in made.kinds)
            + "</tr>"
            for layer in made.layers
        ]
        parts.append(
            f'<div class="wide" tabindex="0"><table class="heat"><thead><tr><th scope="col">layer</th>{head}</tr></thead>'
            f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
        )
    if made.single:
        items = "".join(
            f"<li><code>{h(tensor.name, 200)}</code> {tensor.state}{_percent(tensor, ' by ')}</li>"
            for _, tensor in made.single
        )
        parts.append(f"<p>In no layer:</p><ul>{items}</ul>")
    if made.left:
        parts.append(f'<p class="quiet">{made.left} more rows or columns in the JSON form</p>')
    return "\n".join(parts)


def _cell(found: tuple[int, TensorChange] | None) -> str:
    if found is None:
        return '<td class="heat0"></td>'
    level, tensor = found
    told = "!" if level == 6 else ""
    said = "same" if level == 0 else f"{told} {_percent(tensor)}".strip() or h(tensor.state)
    return f'<td class="heat{level}">{said}</td>'


def _percent(tensor: TensorChange, before: str = "") -> str:
    return "" if tensor.relative is None else f"{before}{tensor.relative:.2%}"


def _short(kind: str) -> str:
    """The end of a kind, which says more than its beginning."""
    pieces = kind.removesuffix(".weight").split(".")
    return ".".join(pieces[-3:])
