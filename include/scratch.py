"""Folders for what a job keeps while it runs, and a DuckDB for one job, beside the warehouse and never in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from include.lake import Lake
from include.settings import Settings

IN_USE = "in_use.lock"


@contextmanager
def scratch_folder(parent: Path, job: str) -> Iterator[Path]:
    """A folder below `parent` for parts and spilled data, with `job` in its name, that is gone afterwards. As long as
    it is in use a lock in it is held; what a killed process left is known by the lock that nobody holds."""
    parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{job}-", dir=parent))
    with FileLock(fresh / IN_USE):
        # Under the name by which it may be swept only when the lock is held.
        folder = fresh.rename(parent / fresh.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(parent: Path) -> None:
    """Remove the folders that killed processes left below `parent`: spilled data may be larger than the lake."""
    for folder in parent.glob("[!.]*/"):
        with suppress(Timeout), FileLock(folder / IN_USE, timeout=0):
            shutil.rmtree(folder)


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
