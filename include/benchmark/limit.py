"""The physical limit of a run: to read all that has landed once and sort it. Nobody can tell who did what, and when,
with less."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass

import duckdb

from include.extract.kinds import kinds
from include.lake import Lake
from include.settings import Settings

REPEATS, ENOUGH = 5, 20.0  # so many times, or until so many CPU seconds are spent
BATCH = 100_000


@dataclass(frozen=True)
class Limit:
    """The landed rows, and the median CPU and wall seconds of reading and sorting them."""

    rows: int
    cpu: float
    wall: float


def read_and_sort(settings: Settings) -> Limit:
    """Read every column of every landed row and sort the rows of each kind by time and key, as often as is needed to
    trust the figure."""
    measured: list[tuple[float, float]] = []
    while len(measured) < REPEATS and sum(cpu for cpu, _ in measured) < ENOUGH:
        cpu, wall = time.process_time(), time.monotonic()
        rows = _read_and_sort(settings)
        measured.append((time.process_time() - cpu, time.monotonic() - wall))
    return Limit(rows, *(round(statistics.median(each), 2) for each in zip(*measured, strict=True)))


def _read_and_sort(settings: Settings) -> int:
    lake, rows = Lake(settings.data), 0
    with tempfile.TemporaryDirectory(dir=settings.data) as scratch:
        options = settings.limits | {"temp_directory": scratch}
        with duckdb.connect(config=options) as connection:
            for kind in kinds().values():
                order = ", ".join([kind.ordered_by, *(key for key in kind.key if key != kind.ordered_by)])
                query = f"""
                    select * from read_parquet('{lake.landing(kind.name)}/**/*.parquet', hive_partitioning = false)
                    order by {order}
                """
                # Batches of Arrow: the rows leave DuckDB, as they would to whatever comes next, and are not written.
                for batch in connection.execute(query).to_arrow_reader(BATCH):
                    rows += batch.num_rows
    return rows
