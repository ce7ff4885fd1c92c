"""The layout of the DATA folder: every path that one step writes and another reads."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from filelock import FileLock

IN_USE = "in_use.lock"  # in a scratch folder
# The published tables that a day has of the day before.
HISTORY_TABLES = ("audiences", "audience_members", "audience_changes")


@dataclass(frozen=True)
class Lake:
    """Paths below one DATA folder. Folders are made by whoever writes, never by whoever reads."""

    data: Path

    @property
    def root(self) -> Path:
        return self.data / "lake"

    @property
    def warehouse(self) -> Path:
        """dbt's own DuckDB file; nothing but dbt opens it for writing."""
        return self.data / "warehouse.duckdb"

    @property
    def spark_warehouse(self) -> Path:
        """dbt's own folder of tables where Spark is the engine; nothing but dbt writes it."""
        return self.data / "warehouse"

    def landing(self, kind: str, channel: str | None = None, day: date | None = None) -> Path:
        return _partition(self.root / "landing" / kind, channel, day)

    def quarantine(self, kind: str, channel: str | None = None, day: date | None = None) -> Path:
        return _partition(self.root / "quarantine" / kind, channel, day)

    def receipts(self, channel: str | None = None, day: date | None = None) -> Path:
        """What was received, landed and quarantined, one row per source file."""
        return _partition(self.root / "receipts", channel, day)

    def dictionary(self, name: str) -> Path:
        """Each distinct landed value of a sort once, with what it is normalised to."""
        return self.root / "dictionaries" / f"{name}.parquet"

    def staged(self, table: str) -> Path:
        """A hand-over from dbt to Python."""
        return self.root / "staged" / f"{table}.parquet"

    def identity(self, day: date, table: str) -> Path:
        """What resolve hands to dbt, kept per business day because a day builds on the one before."""
        return self.root / "identity" / f"date={day:%Y-%m-%d}" / f"{table}.parquet"

    def ml(self, day: date, table: str) -> Path:
        """What learn and expand hand to dbt, kept per business day."""
        return self.root / "ml" / f"date={day:%Y-%m-%d}" / f"{table}.parquet"

    def ops(self, day: date, table: str) -> Path:
        """Gate results and costs of a run, kept per business day."""
        return self.root / "ops" / f"date={day:%Y-%m-%d}" / f"{table}.parquet"

    def audiences(self, day: date, table: str) -> Path:
        """What was published of audiences, one of HISTORY_TABLES, kept per business day: the next day says since when
        a member has been in and why one left."""
        return self.root / "audiences" / f"date={day:%Y-%m-%d}" / f"{table}.parquet"

    def activation(self, day: date) -> Path:
        """What a published business day was to send, `<destination>/<audience>/{full,add,remove}` with a manifest,
        because the next day says what changed, and `decisions.parquet`."""
        return self.root / "activation" / f"date={day:%Y-%m-%d}"

    def held(self, destination: str, audience: str) -> Path:
        """What a destination was sent of an audience, a file of it for each state that it may be in."""
        return self.root / "activation" / "held" / destination / audience

    def table(self, side: str, table: str) -> Path:
        """A published table as dbt wrote it, before a release takes it."""
        return self.root / "tables" / side / f"{table}.parquet"

    def quality_page(self, day: date, step: str) -> Path:
        """The readable result of a gate."""
        return self.data / "quality" / f"date={day:%Y-%m-%d}" / f"{step}.html"

    def run_file(self, day: date, name: str) -> Path:
        """A small file about the run itself: the dbt variables, the progress ledger, logs."""
        return self.data / "runs" / f"date={day:%Y-%m-%d}" / name

    @property
    def open_run(self) -> Path:
        """Says of which business day the run is that began last: the tables of the lake are that day's. An erasure
        removes it, and with it ends that run."""
        return self.data / "runs" / "open.json"

    @property
    def scratch(self) -> Path:
        """Where jobs keep parts and spilled data while they run, each in a `scratch_folder`."""
        return self.data / "tmp"

    def spread(self, day: date, task: str) -> Path:
        """What the tasks of a run hand to each other, of one learner or what is to be sent, until a run begins that
        sweeps it."""
        return self.scratch / f"{task}-{day:%Y-%m-%d}"

    @property
    def published(self) -> Path:
        return self.data / "published"

    def building_release(self, day: date) -> Path:
        """Where the release of a day is assembled and audited before any reader sees it."""
        return self.published / "releases" / f".building-{day:%Y-%m-%d}"

    @property
    def current(self) -> Path:
        """The pointer that readers follow: a symbolic link to one release."""
        return self.published / "current"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes its place in one step.

    A reader sees the old file or the new one, never half of one. On failure nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def sweep_temporary(lake: Lake) -> None:
    """Remove what a killed run left: files that never took their place, and scratch folders, whose spilled data may be
    larger than the lake."""
    remove_unfinished(lake.root)
    for folder in lake.scratch.glob("[!.]*/"):
        # A lock that is held is a Timeout, which is an OSError too; a job that ends now removes its folder itself.
        with suppress(OSError), FileLock(folder / IN_USE, timeout=0):
            shutil.rmtree(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove the files below a folder that never took their place, our own (see `replacing`) and DuckDB's."""
    for pattern in (".*.tmp", "tmp_*.parquet"):
        for path in folder.rglob(pattern):
            path.unlink(missing_ok=True)


def earlier_days(path: Path) -> list[Path]:
    """The files of that name of the days before it, the oldest first; `path` lies in a folder `date=<day>`."""
    return sorted(
        found
        for found in path.parent.parent.glob(f"date=*/{path.name}")
        if found.parent.name < path.parent.name
    )


def hash_file(path: Path) -> str:
    """SHA-256 of the file's bytes, lower-case hex, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _partition(folder: Path, channel: str | None, day: date | None) -> Path:
    if channel is not None:
        folder = folder / f"channel={channel}"
    if day is not None:
        folder = folder / f"date={day:%Y-%m-%d}"
    return folder
