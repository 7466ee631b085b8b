"""Memory over time as an SVG picture: the line under load, and a dot for each rest. Light and dark."""

from __future__ import annotations

import math
from html import escape
from typing import Final

from benchmarks.soak.measure import Soak

WIDTH: Final = 760
HEIGHT: Final = 316
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 44, 58
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; font-size: 13px; fill: #24292f }
.grid { stroke: #d0d7de; stroke-width: 1 }
.load { fill: none; stroke: #9aa4af; stroke-width: 1.2 }
.rest { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #8d96a0 }
  .title { fill: #e6edf3 }
  .grid { stroke: #30363d }
  .load { stroke: #57606a }
  .rest { fill: #4493f8 }
}
"""


def svg(soak: Soak, about: str) -> str:
    """The whole picture; ``about`` says where it was measured."""
    end = max(one.seconds for one in [*soak.samples, *soak.idles])
    step = _step(max(one.rss for one in soak.samples))
    top = step * math.ceil(max(one.rss for one in soak.samples) / step)

    def x(seconds: float) -> float:
        return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)

    def y(mb: float) -> float:
        return HEIGHT - BOTTOM - mb / top * (HEIGHT - TOP - BOTTOM)

    parts = ['<text class="title" x="10" y="20">Resident memory of the server over the soak, MB</text>']
    for mb in range(0, int(top) + 1, int(step)):
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y(mb):.1f}" x2="{WIDTH - RIGHT}" y2="{y(mb):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(mb) + 4:.1f}" text-anchor="end">{mb}</text>')
    minutes = range(0, int(end // 60) + 1, max(1, int(end // 600)))
    under = f'y="{HEIGHT - BOTTOM + 18}" text-anchor="middle"'
    parts += [f'<text x="{x(minute * 60):.1f}" {under}>{minute} min</text>' for minute in minutes]
    line = " ".join(f"{x(one.seconds):.1f},{y(one.rss):.1f}" for one in soak.samples)
    parts.append(f'<polyline class="load" points="{line}"/>')
    parts += [f'<circle class="rest" cx="{x(one.seconds):.1f}" cy="{y(one.rss):.1f}" r="4"/>' for one in soak.idles]
    said = f"dots: at rest; {soak.done.total():,} operations, {soak.streams:,} streams compared with the log"
    parts.append(f'<text x="10" y="{HEIGHT - 22}">{escape(said)}</text>')
    parts.append(f'<text x="10" y="{HEIGHT - 6}">{escape(about)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img"><style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _step(most: float) -> float:
    """A round distance of the lines, so that there are about five."""
    return next((step for step in (10, 20, 50, 100, 200, 500) if most / step <= 6), 1000)
