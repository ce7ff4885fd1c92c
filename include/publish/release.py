"""Write, audit, swap: how a release comes to be, and what readers see at any moment of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from filelock import FileLock

from include.activate.files import written_for
from include.lake import Lake, remove_unfinished, replacing
from include.ledger import StepFailed
from include.publish.content import HISTORY, hash_of_release, read_content, read_contents, release_id_of
from include.publish.database import build_database
from include.publish.manifest import build_manifest, read_manifest, verify_release, write_manifest
from include.settings import settings

if TYPE_CHECKING:
    from include.config import Configuration

BUILDING, REMOVING = ".building-", ".removing-"


@dataclass(frozen=True)
class Release:
    """A sealed release: how many tables and rows it has, whether readers were pointed to it, and why not."""

    release_id: str
    path: Path
    tables: int
    rows: int
    is_current: bool
    note: str


def write_release(lake: Lake, day: date, configuration: Configuration) -> Path:
    """Assemble the tables of the lake as the release of a day, in a folder where no reader looks.

    Folders that a killed run left are swept first. Files are linked, for whoever writes a table of the lake puts a
    new file in its place. Raises StepFailed when dbt has not written a table, or nothing says what is to be sent:
    destinations would be told to remove everybody.
    """
    building = lake.building_release(day)
    files = sorted(
        path for path in (lake.root / "tables").glob("*/*.parquet") if not path.name.startswith(".")
    )
    if not files:
        raise StepFailed(f"publish: there is no table in {lake.root / 'tables'}: run the steps before")
    to_send = written_for(lake, day)
    if configuration.destinations and not to_send.exists():
        raise StepFailed("publish: what is to be sent is not there: run the task activate before")
    with _publishing(lake):
        sweep(lake)
        _name_of_sealed(lake, day).unlink(missing_ok=True)
        for file in files:
            target = building / file.parent.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            link(file, target)
        _link_activation(to_send, building / "activation")
    return building


def seal_release(lake: Lake, day: date, configuration: Configuration, release: Path) -> Release:
    """Complete an audited release, give it the name of its content and point readers to it, unless they see a later
    business day already.

    A release with the same content that is there already and whole is kept as it is: running a day again changes
    nothing. A crash before the last step leaves readers where they were.

    Raises StepFailed when there is nothing to seal.
    """
    with _publishing(lake):
        return _seal(lake, day, configuration, release)


def _seal(lake: Lake, day: date, configuration: Configuration, release: Path) -> Release:
    release_id = _complete(lake, day, configuration, release) if release.is_dir() else _completed(lake, day)
    if release_id is None:
        raise StepFailed(f"publish: {release} is missing: write the release before it is sealed")
    sealed = _releases(lake) / release_id
    manifest = read_manifest(sealed)
    tables = [entry for entry in manifest["files"] if "table" in entry]
    is_current, note = publish_sealed(lake, day, release_id)
    return Release(release_id, sealed, len(tables), sum(entry["rows"] for entry in tables), is_current, note)


def _complete(lake: Lake, day: date, configuration: Configuration, release: Path) -> str:
    """Complete what was written and give it its name, or drop it for one of the same content. Returns the name."""
    remove_unfinished(release)  # by whoever was killed while completing it
    with duckdb.connect(config=settings().limits) as connection:
        _add_publish_gate(lake, day, release, connection)
        contents = read_contents(release, connection)
        content_hash = hash_of_release({name: each.content_hash for name, each in contents.items()})
        release_id = release_id_of(f"{day:%Y-%m-%d}", content_hash)
        sealed = _releases(lake) / release_id
        rows = sum(each.rows for each in contents.values())
        is_new = not sealed.exists() or bool(verify_release(sealed))
        if is_new:
            _write_history(lake, day, release, release_id, content_hash, len(contents) + 1, rows, connection)
            build_database(lake, release)
            _write_report(lake, day, release, configuration.models.value.horizon_days)
            contents[HISTORY] = read_content(HISTORY, release / f"{HISTORY}.parquet", connection)
            write_manifest(release, build_manifest(lake, day, configuration, release, contents, connection))
            synchronise(release)
    # Whoever is killed from here on finds what was written gone, and its name here.
    with replacing(_name_of_sealed(lake, day)) as path:
        path.write_text(release_id)
    if is_new:
        _take_place(lake, release, sealed)
    else:
        _remove(release)
    return release_id


def _completed(lake: Lake, day: date) -> str | None:
    """The release that this run has named before it was killed, when it is there and whole."""
    name = _name_of_sealed(lake, day)
    sealed = _releases(lake) / name.read_text() if name.exists() else None
    return sealed.name if sealed and sealed.is_dir() and not verify_release(sealed) else None


def _name_of_sealed(lake: Lake, day: date) -> Path:
    return lake.run_file(day, "sealed")


def point_readers_to(lake: Lake, release_id: str) -> None:
    """Make `current` lead to a release, in one step: a reader sees the old one or the new one.

    Raises StepFailed when the release is not there or not whole.
    """
    release = _releases(lake) / release_id
    problems = verify_release(release) if release.is_dir() else (f"{release} is missing",)
    if problems:
        raise StepFailed(
            f"publish: release {release_id} is not whole, readers stay where they are: {problems[0]}"
        )
    pointer = lake.published / f".current.{os.getpid()}.tmp"
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(release.relative_to(lake.published), target_is_directory=True)
    pointer.replace(lake.current)
    _synchronise_folder(lake.published)


def prune_releases(lake: Lake, keep_days: int) -> tuple[str, ...]:
    """Remove releases of business days more than `keep_days` before the one that readers see, never that one.

    Returns the ids of those removed.
    """
    current = current_release(lake)
    if current is None:
        return ()
    oldest = business_day(current) - timedelta(days=keep_days)
    removed = [path for path in sealed_releases(lake) if business_day(path) < oldest and path != current]
    for path in removed:
        _remove(path)
    return tuple(path.name for path in removed)


def current_release(lake: Lake) -> Path | None:
    """The folder that readers see, or None before the first release."""
    return lake.current.resolve() if lake.current.is_symlink() and lake.current.exists() else None


def sealed_releases(lake: Lake) -> list[Path]:
    """Every sealed release, by business day. A link is none: it would be removed where it leads to."""
    found = _releases(lake).resolve().glob("[0-9]*_*")
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def business_day(release: Path) -> date:
    """The business day in a release's name."""
    return date.fromisoformat(release.name.split("_")[0])


def sweep(lake: Lake) -> None:
    """Remove what a killed run left: unfinished releases, half-removed ones, pointers that never took their place."""
    left = [*_releases(lake).glob(f"{BUILDING}*"), *_releases(lake).glob(f"{REMOVING}*")]
    for path in left:
        shutil.rmtree(path)
    for path in lake.published.glob(".current.*.tmp"):
        path.unlink()


@contextmanager
def _publishing(lake: Lake) -> Iterator[None]:
    """Take turns with another run that writes or seals a release: each finds what it left, or nothing."""
    with FileLock(lake.data / ".publish.lock"):
        yield


def _releases(lake: Lake) -> Path:
    return lake.published / "releases"


def _link_activation(files: Path, target: Path) -> None:
    """What is to be sent goes with the release; who decided on whom stays in the lake."""
    for file in sorted(files.glob("*/*/*")):
        linked = target / file.relative_to(files)
        linked.parent.mkdir(parents=True, exist_ok=True)
        link(file, linked)


def link(file: Path, target: Path) -> None:
    """Link where the file system can, copy where it cannot: whoever writes a file again puts a new one in its place."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _add_publish_gate(lake: Lake, day: date, release: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Add the results of the gate that judged this release, which dbt could not know yet."""
    path, results = release / "ops" / "quality_results.parquet", lake.ops(day, "quality_publish")
    if not path.exists() or not results.exists():
        return
    connection.execute(
        f"create or replace table kept as select * from read_parquet('{path}', hive_partitioning = false)"
    )
    connection.execute("delete from kept where as_of_date = ? and step = 'publish'", [day])
    columns = {row[0] for row in connection.execute("describe kept").fetchall()}
    added = connection.execute(
        f"""
        create or replace table added as
        select *, row_number() over (order by asset, expectation, column_name, meaning) as result_number
        from read_parquet('{results}', hive_partitioning = false)
        """
    ).execute("describe added")
    shared = ", ".join(f'"{row[0]}"' for row in added.fetchall() if row[0] in columns)
    connection.execute(f"insert into kept by name select {shared} from added")
    with replacing(path) as temporary:
        connection.execute(
            f"copy (from kept order by as_of_date, step, asset, expectation, column_name, meaning) "
            f"to '{temporary}' (format parquet, compression zstd)"
        )
    connection.execute("drop table kept").execute("drop table added")


def _write_history(
    lake: Lake,
    day: date,
    release: Path,
    release_id: str,
    content_hash: str,
    tables: int,
    rows: int,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Write `ops/releases`: this release and every earlier one that is known, of business days up to this one's."""
    connection.execute(
        "create or replace table history (release_id varchar primary key, as_of_date date, tables bigint, "
        "rows bigint, content_hash varchar)"
    )
    sealed = sealed_releases(lake)
    for earlier in sealed:
        known = earlier / f"{HISTORY}.parquet"
        if known.exists():
            connection.execute(f"insert or ignore into history by name from read_parquet('{known}')")
    connection.execute("delete from history where as_of_date > ? or release_id = ?", [day, release_id])
    # Releases of a day go together: where some are there, another has a new name, since an erasure wrote it again.
    connection.execute(
        "delete from history where list_contains($days, as_of_date) and not list_contains($names, release_id)",
        {"days": [business_day(path) for path in sealed], "names": [path.name for path in sealed]},
    )
    connection.execute(
        "insert into history values (?, ?, ?, ?, ?)", [release_id, day, tables, rows, content_hash]
    )
    path = release / f"{HISTORY}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        connection.execute(
            f"copy (from history order by as_of_date, release_id) to '{temporary}' (format parquet, compression zstd)"
        )
    connection.execute("drop table history")


def _write_report(lake: Lake, day: date, release: Path, horizon_days: int) -> None:
    from include.report.html import write_report

    write_report(lake, release, day, horizon_days)


def _remove(release: Path) -> None:
    """Remove a release that nobody reads: first out of sight, so that none is ever half there."""
    hidden = release.with_name(REMOVING + release.name)
    release.rename(hidden)
    shutil.rmtree(hidden)


def _take_place(lake: Lake, release: Path, sealed: Path) -> None:
    """Give a release its name. One of that name that is there but not whole makes room first."""
    if sealed.exists():
        broken = sealed.with_name(REMOVING + sealed.name)
        sealed.rename(broken)
        release.rename(sealed)
        shutil.rmtree(broken)
    else:
        release.rename(sealed)
    _synchronise_folder(_releases(lake))


def publish_sealed(lake: Lake, day: date, release_id: str) -> tuple[bool, str]:
    """Point readers to a sealed release unless they see a later business day. Returns whether they do, and a note."""
    current = current_release(lake)
    if current is not None and current.name == release_id:
        return True, f"readers see {release_id} already"
    if current is not None and business_day(current) > day:
        return False, f"readers stay on the later business day: {current.name}"
    point_readers_to(lake, release_id)
    return True, f"readers see {release_id}"


def synchronise(release: Path) -> None:
    """Have every file and folder of a release on the disk before anybody is pointed to it."""
    for path in sorted(release.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        else:
            _synchronise_folder(path)
    _synchronise_folder(release)


def _synchronise_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
