"""The figures as an SVG picture for the README: one panel for each target, bars on a log scale, light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.figure import Figure, shown

PANELS = {
    "E1": ("Overhead of a task, microseconds", "less is better"),
    "S1": ("Events delivered per second, one at a time", "more is better"),
    "S2": ("Events delivered per second, bursts of 100", "more is better"),
    "S4": ("Resident memory per idle stream, KB", "less is better"),
}
"""The targets that have a panel: its title, and which direction is good."""

NAMES = {"reactor": "reactor", "send": "a queue and send() per client", "made": "ceiling: bytes made before"}
WIDTH, LABEL, BAR, GAP, HEAD = 760, 230, 18, 7, 42
VALUE = 80
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.hint { fill: #57606a; font-size: 12px }
.bar { fill: #9aa4af }
.ours { fill: #0969da }
.axis { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .hint { fill: #8d96a0 }
  .bar { fill: #57606a }
  .ours { fill: #4493f8 }
  .axis { stroke: #30363d }
}
"""


def svg(figures: Sequence[Figure], where: str) -> str:
    """The whole picture; figures that were not measured have no panel."""
    bars = {figure.id: dict(figure.bars) for figure in figures}
    if "E1" in bars and "E2" in bars:
        bars["E1"] |= bars["E2"] | {"bare asyncio": bars["E1"]["bare asyncio"]}
    if "E1" in bars:
        bars["E1"] |= bars.get("P", {})
    parts: list[str] = []
    top = 10
    for id, (title, hint) in PANELS.items():
        if bars.get(id):
            parts += panel(top, f"{title} ({id})", hint, bars[id])
            top += HEAD + len(bars[id]) * (BAR + GAP) + 14
    parts.append(f'<text class="hint" x="10" y="{top + 8}">{escape(where)}; log scale</text>')
    height = top + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img"><style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def panel(top: int, title: str, hint: str, bars: Mapping[str, float]) -> list[str]:
    """A title, and one bar for each system; the greatest value has the longest."""
    low = 10 ** math.floor(math.log10(min(bars.values()) / 1.5))
    span = math.log10(max(bars.values()) / low)
    first = top + HEAD - 14
    bottom = first + len(bars) * (BAR + GAP)
    parts = [
        f'<text class="title" x="10" y="{top + 14}">{escape(title)}</text>',
        f'<text class="hint" x="{WIDTH - 10}" y="{top + 14}" text-anchor="end">{escape(hint)}</text>',
        f'<line class="axis" x1="{LABEL}" y1="{first - 3}" x2="{LABEL}" y2="{bottom}"/>',
    ]
    for index, (name, value) in enumerate(sorted(bars.items(), key=lambda bar: bar[1])):
        y = first + index * (BAR + GAP)
        length = max(2.0, math.log10(value / low) / span * (WIDTH - LABEL - VALUE))
        kind = "ours" if name.startswith("reactor") else "bar"
        middle = y + BAR - 5
        parts += [
            f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(NAMES.get(name, name))}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{length:.0f}" height="{BAR}" rx="2"/>',
            f'<text x="{LABEL + length + 6:.0f}" y="{middle}">{shown(value)}</text>',
        ]
    return parts
