"""Charts as inline SVG that a page can theme, read aloud and print.

Widths are in percent of the page, heights and text in pixels: text keeps its size, so a chart is as readable on a
phone as on paper. Colours are classes of the page's style. A chart has one text for who cannot see it; every text is
escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from include.report.formats import shorten

ROW = 40  # pixels of a row: a line of text and what is drawn below it
WIDEST, WIDEST_COLUMN = 72, 36  # characters of a row, and of the head of a column
WIDEST_OF_PAGE = 130  # characters of a row that takes the whole width
LEFT, RIGHT = 13.0, 98.0  # percent between which lines are drawn
PLOT = 170  # pixels of the height of lines
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Bar:
    """A row of bars: parts of one bar beside each other, an interval of the first, and what it is held against."""

    label: str
    text: str
    parts: tuple[float, ...]
    low: float | None = None
    high: float | None = None
    mark: float | None = None


@dataclass(frozen=True)
class Dot:
    """An estimate with its interval."""

    label: str
    text: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """A series of points (x, y), maybe with (x, low, high) of a band around it."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Cell:
    """A field of a heat map: from -2, far below, over 0 to 4, far above; None where there is nothing to tell."""

    level: int | None
    text: str = ""


def bars(label: str, rows: Sequence[Bar], top: float | None = None) -> Markup:
    """Rows of bars on one scale from zero to `top`, by default the largest of them."""
    top = top or max((max(sum(row.parts), row.high or 0, row.mark or 0) for row in rows), default=0) or 1

    def percent(value: float) -> float:
        return round(100 * min(max(float(value), 0) / float(top), 1), 2)

    drawn = []
    for number, row in enumerate(rows):
        y = number * ROW
        drawn.append(_texts(y, row.label, row.text))
        drawn.append(Markup('<rect class="track" y="{}" width="100%" height="12" rx="2"/>').format(y + 20))
        start = 0.0
        for part, value in enumerate(row.parts):
            if not value:
                continue
            width = max(percent(value), 0.4)
            drawn.append(
                Markup('<rect class="s{}" x="{}%" y="{}" width="{}%" height="12" rx="2"/>').format(
                    part + 1, round(start, 2), y + 20, min(width, 100)
                )
            )
            start += width
        if row.low is not None and row.high is not None:
            drawn.append(_interval(percent(row.low), percent(row.high), y + 26, "over"))
        if row.mark is not None:
            drawn.append(_upright(percent(row.mark), y + 16, y + 36, "mark"))
    return _chart(label, len(rows) * ROW, drawn)


def dots(label: str, rows: Sequence[Dot], reference: float = 1.0, widest: int = WIDEST) -> Markup:
    """Ratios with their intervals on a scale on which twice and half are as far from one; `widest` characters of a
    row."""
    edges = [each for row in rows for each in (row.low, row.high) if each > 0] + [reference]
    low, high = math.log(min(edges) / 1.1), math.log(max(edges) * 1.1)

    def percent(value: float) -> float:
        return round(1 + 98 * (math.log(max(value, min(edges) / 1.1)) - low) / (high - low), 2)

    height = len(rows) * ROW
    drawn = []
    for number, row in enumerate(rows):
        y = number * ROW
        drawn.append(_texts(y, row.label, row.text, widest))
        drawn.append(_upright(percent(reference), y + 18, y + 36, "mark"))
        drawn.append(_interval(percent(row.low), percent(row.high), y + 27, "interval"))
        drawn.append(Markup('<circle class="s1" cx="{}%" cy="{}" r="5"/>').format(percent(row.value), y + 27))
    for tick in TICKS:
        if low <= math.log(tick) <= high:
            drawn.append(
                Markup('<text class="axis" x="{}%" y="{}" text-anchor="middle">{:g}×</text>').format(
                    percent(tick), height + 15, tick
                )
            )
    return _chart(label, height + 20, drawn)


def lines(
    label: str,
    series: Sequence[Line],
    say_x: Callable[[float], str],
    say_y: Callable[[float], str],
    reference: float | None = None,
) -> Markup:
    """Series over one x, from zero upwards, each with a dash pattern of its own."""
    across = sorted({x for line in series for x, _ in line.points})
    ys = [y for line in series for _, y in line.points]
    ys += [high for line in series for _, _, high in line.band] + ([reference] if reference else [])
    steps = _steps(max(ys))
    first, last, top = across[0], across[-1], steps[-1]

    def place(x: float, y: float) -> str:
        return f"{1000 * (x - first) / ((last - first) or 1):.1f},{1000 * (1 - y / top):.1f}"

    drawn = []
    for step in steps:
        y = round(10 + PLOT * (1 - step / top), 1)
        drawn.append(
            Markup('<line class="grid" x1="{}%" x2="{}%" y1="{}" y2="{}"/>').format(LEFT, RIGHT, y, y)
        )
        drawn.append(
            Markup('<text class="axis" x="{}%" y="{}" text-anchor="end">{}</text>').format(
                LEFT - 1.5, y + 4, say_y(step)
            )
        )
    inner = []
    if reference is not None:
        inner.append(_path("mark dashed", [place(first, reference), place(last, reference)]))
    for number, line in enumerate(series, 1):
        if line.band:
            upper = [place(x, high) for x, _, high in line.band]
            lower = [place(x, low) for x, low, _ in reversed(line.band)]
            inner.append(Markup('<polygon class="band" points="{}"/>').format(" ".join([*upper, *lower])))
        inner.append(_path(f"l{number}", [place(x, y) for x, y in line.points]))
    drawn.append(
        Markup('<svg x="{}%" y="10" width="{}%" height="{}" viewBox="0 0 1000 1000"{}>{}</svg>').format(
            LEFT, RIGHT - LEFT, PLOT, Markup(' preserveAspectRatio="none"'), Markup("").join(inner)
        )
    )
    shown = across if len(across) <= 4 else [across[0], across[len(across) // 2], across[-1]]
    for x in shown:
        at = LEFT + (RIGHT - LEFT) * (x - first) / ((last - first) or 1)
        anchor = "start" if x == first else "end" if x == last else "middle"
        drawn.append(
            Markup('<text class="axis" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>').format(
                at, PLOT + 28, anchor, say_x(x)
            )
        )
    return _chart(label, PLOT + 34, drawn)


def heat_map(label: str, rows: Sequence[tuple[str, Sequence[Cell]]], columns: Sequence[str]) -> Markup:
    """A field for each row and column, the deeper the farther from the middle; the numbers go where there is room."""
    head = 12 + 6.4 * max(len(shorten(column, WIDEST_COLUMN)) for column in columns)
    left, height = 24.0 if len(columns) > 8 else 36.0, 26
    width = (100 - left) / len(columns)
    drawn = [
        Markup(
            '<svg x="{:.2f}%" y="{:.0f}" overflow="visible">'
            '<text class="axis" transform="rotate(-90)" y="4">{}</text></svg>'
        ).format(left + width * (number + 0.5), head - 6, shorten(column, WIDEST_COLUMN))
        for number, column in enumerate(columns)
    ]
    for number, (name, cells) in enumerate(rows):
        y = head + number * height
        drawn.append(
            Markup(
                '<svg y="{:.0f}" width="{}%" height="{}"><text class="label" y="17">{}</text></svg>'
            ).format(y, left - 1, height, shorten(name, 34))
        )
        for place, cell in enumerate(cells):
            if cell.level is None:
                continue
            x = left + width * place
            drawn.append(
                Markup(
                    '<rect class="h{}" x="{:.2f}%" y="{:.0f}" width="{:.2f}%" height="{}" rx="2"/>'
                ).format(cell.level, x, y + 1, width * 0.95, height - 2)
            )
            drawn.append(
                Markup('<text class="cell t{}" x="{:.2f}%" y="{:.0f}" text-anchor="middle">{}</text>').format(
                    cell.level, x + width * 0.475, y + 17, cell.text
                )
            )
    return _chart(label, round(head + len(rows) * height + 4), drawn)


def _chart(label: str, height: float, drawn: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        label, height, Markup("\n").join(drawn)
    )


def _texts(y: float, label: str, text: str, widest: int = WIDEST) -> Markup:
    """A label and, on a ground of its own that hides the end of a label that is too long, what it amounts to."""
    room = round(7.6 * len(text)) + 8
    return Markup(
        '<text class="label" y="{}">{}</text>'
        '<rect class="ground" x="100%" y="{}" width="{}" height="18" transform="translate(-{} 0)"/>'
        '<text class="value" x="100%" y="{}" text-anchor="end">{}</text>'
    ).format(y + 14, shorten(label, widest - len(text)), y, room, room, y + 14, text)


def _interval(low: float, high: float, y: float, name: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" x2="{}%" y1="{}" y2="{}"/>').format(
        name, low, max(high, low + 0.3), y, y
    ) + Markup("").join(_upright(each, y - 4, y + 4, name) for each in (low, high))


def _upright(x: float, top: float, bottom: float, name: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" x2="{}%" y1="{}" y2="{}"/>').format(name, x, x, top, bottom)


def _path(name: str, points: Sequence[str]) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(name, " ".join(points))


def _steps(top: float) -> list[float]:
    """Four or five round numbers from zero to no less than the top."""
    size = 10 ** math.floor(math.log10(top / 4)) if top > 0 else 1
    step = next(each * size for each in (1, 2, 2.5, 5, 10) if each * size * 4 >= top) if top > 0 else 1
    return [step * each for each in range(math.ceil(top / step - 1e-9) + 1)] if top > 0 else [0, 1]
