"""The physical limit of a run: to read all that has landed once and sort it. Nobody can tell who did what, and when,
with less."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import date

import duckdb

from include.extract.kinds import kinds
from include.lake import Lake
from include.settings import Settings

REPEATS, ENOUGH = 5, 100.0  # so many times, or until so many CPU seconds are spent
BATCH = 100_000
# Of more rows of a kind, so many are sorted and the rest is reckoned from them: DuckDB writes what it sorts to the disk
# more than once, and a hundred million wide rows take more than 70 GB of it. Sorting all costs more for each row.
SORTED_AT_MOST = 20_000_000


@dataclass(frozen=True)
class Limit:
    """The landed rows, and the median CPU and wall seconds of reading and sorting them, at least."""

    rows: int
    cpu: float
    wall: float


def read_and_sort(settings: Settings, day: date) -> Limit:
    """Read every column of every row that has landed up to `day` and sort the rows of each kind by time and key, as
    often as is needed to trust the figure."""
    measured: list[tuple[float, float]] = []
    while len(measured) < REPEATS and sum(cpu for cpu, _ in measured) < ENOUGH:
        rows, cpu, wall = _read_and_sort(settings, day)
        measured.append((cpu, wall))
    return Limit(rows, *(round(statistics.median(each), 2) for each in zip(*measured, strict=True)))


def _read_and_sort(settings: Settings, day: date) -> tuple[int, float, float]:
    """The landed rows, and the CPU and wall seconds of all of them."""
    lake, total, cpu, wall = Lake(settings.data), 0, 0.0, 0.0
    with tempfile.TemporaryDirectory(dir=settings.data) as scratch:
        # Rows are sorted in any case; a limit that kept their order would gather them first.
        options = settings.limits | {"temp_directory": scratch, "preserve_insertion_order": False}
        with duckdb.connect(config=options) as connection:
            for kind in kinds().values():
                landed = [
                    str(path)
                    for path in sorted(lake.landing(kind.name).glob("*/date=*/*.parquet"))
                    if path.parent.name <= f"date={day:%Y-%m-%d}"
                ]
                files = f"{landed}, hive_partitioning = false"
                order = ", ".join([kind.ordered_by, *(key for key in kind.key if key != kind.ordered_by)])
                (rows,) = connection.execute(f"select count(*) from read_parquet({files})").fetchone()
                began, began_wall, found = time.process_time(), time.monotonic(), 0
                query = f"from (from read_parquet({files}) limit {SORTED_AT_MOST}) order by {order}"
                # Batches of Arrow: the rows leave DuckDB, as they would to whatever comes next, and are not written.
                for batch in connection.execute(query).to_arrow_reader(BATCH):
                    found += batch.num_rows
                share = rows / found if found else 1.0
                total += rows
                cpu += share * (time.process_time() - began)
                wall += share * (time.monotonic() - began_wall)
    return total, cpu, wall
