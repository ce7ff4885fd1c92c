"""A DuckDB for one job, with bounded memory, beside the warehouse and never in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from include.lake import Lake
from include.settings import Settings


@contextmanager
def scratch_engine(
    lake: Lake, settings: Settings, job: str
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """An in-memory engine of its own in UTC, and a folder for parts and spilled data that is gone afterwards. `job`
    is in the folder's name, for who finds one that a killed process left."""
    parent = lake.data / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{job}-", dir=parent))
    config = settings.limits | {"temp_directory": str(folder / "spill")}
    try:
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
