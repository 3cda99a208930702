"""A picture of a measure in ratios: a bar for the median, a line from the least to the most; a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.figures import Figure, Findings

_PICTURED = {"peers": "share of the limit"}
_TITLES = {"peers": "Jobs per second, as a share of starting the job's program alone"}
_LEFT, _RIGHT, _TOP, _ROW = 330, 90, 56, 30
_WIDTH = 900
_OURS = "task-queue"
_STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:16px}.few{fill:#59636e}"
    ".ours{fill:#0969da}.bar{fill:#8c959f}.grid{stroke:#d1d9e0}.spread{stroke:#1f2328;stroke-width:1.5}"
    ".back{fill:#fff}"
    "@media(prefers-color-scheme:dark){.back{fill:#0d1117}text{fill:#e6edf3}.few{fill:#9198a1}.grid{stroke:#3d444d}"
    ".spread{stroke:#e6edf3}.bar{fill:#656c76}.ours{fill:#4493f8}}"
)


def drawn(found: Findings) -> str | None:
    """SVG of the part's main measure; None where it has none."""
    measure = _PICTURED.get(found.part)
    figures = [figure for figure in found.figures if figure.measure == measure]
    if not figures:
        return None
    figures.sort(key=lambda figure: -figure.median)
    lowest = 10 ** math.floor(math.log10(min(min(figure.values) for figure in figures)))
    highest = 10 ** math.ceil(math.log10(max(max(figure.values) for figure in figures)))
    scale = _Scale(lowest, highest)
    height = _TOP + _ROW * len(figures) + 46
    rows = [_row(figure, place, scale) for place, figure in enumerate(figures)]
    size = f"median, least and most of {len(figures[0].values)} rounds in turns; {found.before}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(_TITLES[found.part])}</title><style>{_STYLE}</style>",
            f'<rect class="back" width="{_WIDTH}" height="{height}"/>',
            f'<text class="title" x="16" y="30">{escape(_TITLES[found.part])}</text>',
            *_grid(scale, height),
            *rows,
            f'<text class="few" x="16" y="{height - 12}">{escape(size)}</text>',
            "</svg>\n",
        ]
    )


class _Scale:
    """From a ratio to a place between the left and the right edge."""

    def __init__(self, lowest: float, highest: float) -> None:
        self.lowest = lowest
        self._decades = max(math.log10(highest / lowest), 1.0)
        self.powers = [lowest * 10**step for step in range(round(self._decades) + 1)]

    def x(self, value: float) -> float:
        share = math.log10(value / self.lowest) / self._decades
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _grid(scale: _Scale, height: int) -> Sequence[str]:
    bottom = height - 40
    return [
        f'<line class="grid" x1="{scale.x(power)}" x2="{scale.x(power)}" y1="{_TOP - 8}" y2="{bottom}"/>'
        f'<text class="few" x="{scale.x(power)}" y="{bottom + 14}" text-anchor="middle">{power:g}</text>'
        for power in scale.powers
    ]


def _row(figure: Figure, place: int, scale: _Scale) -> str:
    top = _TOP + place * _ROW
    middle, end = top + _ROW / 2 - 3, scale.x(figure.median)
    kind = "ours" if figure.subject.startswith(_OURS) else "bar"
    least, most = scale.x(min(figure.values)), scale.x(max(figure.values))
    return (
        f'<text x="{_LEFT - 10}" y="{middle + 5}" text-anchor="end">{escape(figure.subject)}</text>'
        f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{round(end - _LEFT, 1)}" height="{_ROW - 10}"/>'
        f'<line class="spread" x1="{least}" x2="{most}" y1="{middle}" y2="{middle}"/>'
        f'<text x="{max(end, most) + 8}" y="{middle + 5}">{figure.median:.2f}</text>'
    )
