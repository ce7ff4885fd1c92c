"""A DuckDB for one job, with bounded memory, beside the warehouse and never in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from include.lake import Lake, scratch_folder
from include.settings import Settings


@contextmanager
def scratch_engine(
    lake: Lake, settings: Settings, job: str
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """An in-memory engine of its own in UTC, and a scratch folder."""
    with scratch_folder(lake.scratch, job) as folder:
        config = settings.limits | {"temp_directory": str(folder / "spill")}
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection, folder
