"""What the parts of the report are made of: bars, sections, and where their numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from include.lake import Lake

MOST_BARS, MOST_ROWS = 20, 200
# Why an audience has no member, in words, or null: a query of `audiences`.
NOT_PUBLISHED = """
            case
                when audiences.status = 'below_min_size' and audiences.size > 0
                    then format('{:,} of {:,} people needed', audiences.size, audiences.min_size)
                when audiences.status = 'below_min_size' then 'nobody meets the condition'
            end"""


@dataclass(frozen=True)
class Bar:
    """One bar of a chart. `left` and `width` are in percent of the scale, as are the ends of an interval and the mark
    of what the value is held against; None where there is none."""

    label: str
    value: str
    width: float
    low: float | None = None
    high: float | None = None
    mark: float | None = None


@dataclass(frozen=True)
class Section:
    """One part of the page: a sentence, a chart and the table behind it. `mark` says what the marks are."""

    title: str
    says: str
    bars: tuple[Bar, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    mark: str = ""


@dataclass(frozen=True)
class Source:
    """A release, and the lake that it was made from, as of a day."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    release: Path
    day: date

    def table(self, name: str, query: str) -> list[tuple]:
        """Rows of a query over `released`, a table of the release; none when the release does not have it."""
        return self.file(self.release / f"{name}.parquet", query)

    def file(self, path: Path, query: str) -> list[tuple]:
        """Rows of a query over `released`, a Parquet file or pattern; none when it is not there."""
        folder = next(parent for parent in path.parents if "*" not in str(parent))
        if not any(folder.glob(str(path.relative_to(folder)))):
            return []
        source = f"read_parquet('{str(path).replace(chr(39), chr(39) * 2)}', hive_partitioning = false)"
        return self.connection.execute(f"with released as (select * from {source}) {query}").fetchall()


def bars_of(rows: list[tuple]) -> tuple[Bar, ...]:
    """Bars of (label, number, text[, low, high, mark]) on one scale from zero."""
    shown = [(*row, *(None,) * (6 - len(row))) for row in rows[:MOST_BARS]]
    top = max((max(each for each in (row[1], *row[3:]) if each is not None) for row in shown), default=0) or 1

    def percent(value: float | None) -> float | None:
        return None if value is None else round(100 * max(float(value), 0) / float(top), 3)

    return tuple(
        Bar(row[0], row[2], percent(row[1]), percent(row[3]), percent(row[4]), percent(row[5]))
        for row in shown
    )
