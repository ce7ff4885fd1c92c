"""What an expectation found on the days before, as a line that fits into a cell of a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from include.lake import Lake, earlier_days

if TYPE_CHECKING:
    from include.quality.results import ExpectationResult, GateResult

RUNS = 30
WIDTH, HEIGHT, MARGIN = 120.0, 24.0, 3.0
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?")
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Point:
    """What was found on a day: rows that break the expectation, or the number that was seen, and whether it held."""

    day: date
    value: float
    held: bool


@dataclass(frozen=True)
class Trend:
    """The last runs of an expectation up to today's, the oldest first, and where they lie in a picture."""

    points: tuple[Point, ...]

    @property
    def low(self) -> float:
        return min(point.value for point in self.points)

    @property
    def high(self) -> float:
        return max(point.value for point in self.points)

    @property
    def places(self) -> list[tuple[float, float, Point]]:
        """Left and top of each point in a picture of WIDTH by HEIGHT; a line without change lies in the middle."""
        spread, steps = self.high - self.low, max(len(self.points) - 1, 1)
        return [
            (
                round(MARGIN + (WIDTH - 2 * MARGIN) * number / steps, 1),
                round(
                    HEIGHT / 2 if not spread
                    else HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (point.value - self.low) / spread,
                    1,
                ),
                point,
            )
            for number, point in enumerate(self.points)
        ]  # fmt: skip


def trends_of(lake: Lake, result: GateResult) -> dict[Key, Trend]:
    """The trend of each expectation that was seen before as well, by asset, expectation and subject."""
    kept = earlier_days(lake.ops(result.day, f"quality_{result.step}"))[1 - RUNS :]
    points: dict[Key, list[Point]] = {}
    for path in kept:
        for key, point in _points_of(path):
            points.setdefault(key, []).append(point)
    trends = {}
    for each in result.results:
        before, value = points.get(key_of(each)), _value(each.unexpected_count, each.observed)
        if before and value is not None:
            trends[key_of(each)] = Trend((*before, Point(result.day, value, each.success)))
    return trends


def key_of(result: ExpectationResult) -> Key:
    """What names an expectation from day to day."""
    return result.asset, result.expectation, result.subject


def _points_of(path: Path) -> list[tuple[Key, Point]]:
    columns = ["as_of_date", "asset", "expectation", "column_name", "success", "observed", "unexpected_count"]
    found = []
    for row in pq.read_table(path, columns=columns, partitioning=None).to_pylist():
        value = _value(row["unexpected_count"], row["observed"])
        if value is not None:
            key = (row["asset"], row["expectation"], row["column_name"] or "")
            found.append((key, Point(row["as_of_date"], value, row["success"])))
    return found


def _value(unexpected_count: int | None, observed: str) -> float | None:
    """The number that a result comes to; None when it is none, as of a set of columns."""
    if unexpected_count is not None:
        return float(unexpected_count)
    number = NUMBER.fullmatch(observed)
    return float(number.group().replace(",", "")) if number else None
