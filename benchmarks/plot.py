"""Line plots as SVG, by hand: no library, no fonts but the reader's own, readable light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 40, 48
_COLOURS = ("#c2410c", "#1d4ed8")


@dataclass(frozen=True)
class Panel:
    """One plot. lines: label -> a value for each x."""

    title: str
    unit: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]


def svg(panels: Sequence[Panel], x_title: str) -> str:
    """The panels side by side. Every axis begins at 0."""
    width = _WIDTH * len(panels)
    body = [_panel(panel, x_title, _WIDTH * number) for number, panel in enumerate(panels)]
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" '
                f'width="{width}" height="{_HEIGHT}" font-family="sans-serif" font-size="11">'
            ),
            f'<rect width="{width}" height="{_HEIGHT}" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, x_title: str, offset: int) -> str:
    right, bottom = max(panel.x) * 1.05, _HEIGHT - _BOTTOM
    top = max(max(values) for values in panel.lines.values()) * 1.1

    def across(value: float) -> float:
        return _LEFT + value / right * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return bottom - value / top * (bottom - _TOP)

    parts = [f'<g transform="translate({offset} 0)">']
    parts.append(
        _text(_LEFT, 18, f"{panel.title}, {panel.unit}", 'font-size="13" font-weight="bold"')
    )
    for value in _ticks(top):
        y = up(value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(_text(_LEFT - 6, y + 4, f"{value:g}", 'text-anchor="end"'))
    parts += [
        _text(across(value), bottom + 16, f"{value:g}", 'text-anchor="middle"')
        for value in _ticks(right)
    ]
    parts.append(_text(_WIDTH / 2, _HEIGHT - 12, x_title, 'text-anchor="middle"'))
    for number, (label, values) in enumerate(panel.lines.items()):
        colour = _COLOURS[number]
        points = [(across(x), up(y)) for x, y in zip(panel.x, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(_text(_LEFT + 10, _TOP + 12 + 15 * number, label, f'fill="{colour}"'))
    return "\n".join([*parts, "</g>"])


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'


def _ticks(top: float) -> list[float]:
    """Round values from 0 to `top`, four to eight of them."""
    step = next(
        unit * 10.0**power
        for power in range(-3, 9)
        for unit in (1, 2, 5)
        if top / (unit * 10.0**power) <= 7
    )
    return [step * number for number in range(int(top / step) + 1)]
