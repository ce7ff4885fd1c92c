"""What the report is made of: figures and chapters, and where their numbers come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from markupsafe import Markup

from include.lake import Lake

MOST_BARS, MOST_ROWS = 12, 100
# Why an audience has no member, in words, or null: a query of `audiences`.
NOT_PUBLISHED = """
            case
                when audiences.status = 'below_min_size' and audiences.size > 0
                    then format('{:,} of {:,} people needed', audiences.size, audiences.min_size)
                when audiences.status = 'below_min_size' then 'nobody meets the condition'
            end"""


@dataclass(frozen=True)
class Figure:
    """What was found, in words, the chart of it and the table behind it.

    `unit` says what is measured; `key` has a class of the page's style and a text for each colour of the chart; `wide`
    takes the whole width of the page. Of `rows` the page has the first MOST_ROWS.
    """

    title: str
    says: str
    unit: str
    chart: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    key: tuple[tuple[str, str], ...] = ()
    wide: bool = False

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        return self.rows[:MOST_ROWS]

    @cached_property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold nothing but numbers."""
        return tuple(
            all(_NUMBER.fullmatch(cell) for cell in column) for column in zip(*self.rows, strict=True)
        )


@dataclass(frozen=True)
class Absent:
    """A figure that this release has nothing for, and why, in one sentence."""

    title: str
    why: str


@dataclass(frozen=True)
class Chapter:
    """Figures about one question. `name` is its anchor in the page."""

    name: str
    title: str
    says: str
    parts: tuple[Figure | Absent, ...]

    @property
    def figures(self) -> list[Figure]:
        return [each for each in self.parts if isinstance(each, Figure)]

    @property
    def absent(self) -> list[Absent]:
        return [each for each in self.parts if isinstance(each, Absent)]


@dataclass(frozen=True)
class Source:
    """A release, and the lake that it was made from, as of a day. Value is expected for the next `horizon_days`."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    release: Path
    day: date
    horizon_days: int

    def table(self, name: str, query: str, **others: str) -> list[tuple]:
        """Rows of a query over `released`, a table of the release, and over others under the names given; none when
        the release does not have one of them."""
        return self.file(
            self.release / f"{name}.parquet",
            query,
            **{each: self.release / f"{table}.parquet" for each, table in others.items()},
        )

    def file(self, path: Path, query: str, **others: Path) -> list[tuple]:
        """Rows of a query over `released`, a Parquet file or pattern, and over others; none when one is not there."""
        files = {"released": path} | others
        if not all(_is_there(each) for each in files.values()):
            return []
        named = ", ".join(f"{name} as (select * from {_read(each)})" for name, each in files.items())
        return self.connection.execute(f"with {named} {query}").fetchall()

    def orders(self, query: str) -> list[tuple]:
        """Rows of a query over `orders`, those on the timeline of the release. An order counts its total, which its
        lines on the timeline need not add up to: a discount or postage may hold for all of it."""
        purchases = "select customer_id, order_id from released where activity = 'purchase'"
        return self.file(
            self.release / "cdp/customer_timeline.parquet",
            f", orders as (from totals semi join ({purchases}) using (customer_id, order_id)) {query}",
            totals=self.lake.staged("customer_orders"),
        )

    def names(self) -> dict[str, str]:
        """The id of each audience, and what people call it."""
        found = self.table(
            "both/audiences", "select audience_id, coalesce(name, audience_id) from released order by 1"
        )
        return dict(found)

    @property
    def date(self) -> str:
        """The business day in SQL."""
        return f"date '{self.day:%Y-%m-%d}'"


def text_of(*cells: Any) -> tuple[str, ...]:
    """The cells of a row as text; nothing is an empty cell."""
    return tuple("" if cell is None else str(cell) for cell in cells)


def _is_there(path: Path) -> bool:
    folder = next(parent for parent in path.parents if "*" not in str(parent))
    return any(folder.glob(str(path.relative_to(folder))))


def _read(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}', hive_partitioning = false)"


_NUMBER = re.compile(r"[-+<]?\s?[\d,.]*( ?(%|×|s|MB|min \d+ s))?".replace(" ?", "[ \N{NO-BREAK SPACE}]?"))
