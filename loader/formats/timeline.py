"""When things happened during one load, as a drawing for the HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.report import Report

_MOST = 2000
_LANES = 8
_LEFT, _WIDTH, _HEIGHT, _TOP = 130, 850, 26, 8


def timeline(report: Report, h: Callable[[object], str]) -> str:
    """An SVG with a lane for each stage's recorded calls, one for programs, one for the network.

    Empty when nothing was recorded. h: makes hostile text safe in markup.
    """
    lanes: dict[str, list[tuple[float, str, str]]] = {}
    for event in report.recording.events[:_MOST]:
        what = f"{event.t:.3f} s  {event.syscall}  {event.decision}"
        lanes.setdefault(event.stage, []).append((event.t, event.decision, what))
    for process in report.processes[:_MOST]:
        what = f"{process.t:.3f} s  {' '.join(process.argv)}"
        lanes.setdefault("programs", []).append((process.t, "program", what))
    for egress in report.egress[:_MOST]:
        what = f"{egress.t:.3f} s  {egress.protocol} {egress.domain or egress.address}"
        lanes.setdefault("network", []).append((egress.t, "egress", what))
    if not lanes:
        return ""
    shown = list(lanes.items())[:_LANES]
    end = max(report.duration_s, *(t for _, marks in shown for t, _, _ in marks), 0.001)
    height = _TOP + _HEIGHT * len(shown) + 22
    durations = {stage.name: stage.duration_s for stage in report.stages}
    parts = [
        "<section><h3>Timeline</h3>",
        f'<svg viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" role="img" aria-label="timeline">',
    ]
    for row, (name, marks) in enumerate(shown):
        middle = _TOP + _HEIGHT * row + _HEIGHT / 2
        took = f" {durations[name]:.1f} s" if name in durations else ""
        parts.append(f'<text x="0" y="{middle + 4:.0f}">{h(name[:14])}{took}</text>')
        parts.append(
            f'<line class="lane" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{middle}" y2="{middle}"/>'
        )
        for t, kind, what in marks:
            x = _LEFT + _WIDTH * min(max(t, 0.0), end) / end
            parts.append(
                f'<rect class="{kind}" x="{x - 2:.1f}" y="{middle - 9}" width="4" height="18" rx="2">'
                f"<title>{h(what)}</title></rect>"
            )
    axis = _TOP + _HEIGHT * len(shown) + 16
    for step in range(5):
        x = _LEFT + _WIDTH * step / 4
        parts.append(
            f'<text class="tick" x="{x:.0f}" y="{axis}" text-anchor="middle">{end * step / 4:.1f} s</text>'
        )
    return "\n".join([*parts, "</svg></section>"])
