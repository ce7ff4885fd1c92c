"""Published releases without a person: each is written again under the name of its new content, then readers move."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.extract.sql import literal
from include.lake import Lake, replacing
from include.privacy.requests.rewriting import blank_text, lines_without, rewrite_parquet
from include.privacy.requests.search import count_by_request, mark, parquet, read_text, requests_in, tokens_of
from include.publish.content import HISTORY, hash_of_release, read_content, read_contents, release_id_of
from include.publish.database import DATABASE, build_database
from include.publish.manifest import MANIFEST, read_manifest, reseal, write_manifest
from include.publish.release import (
    BUILDING,
    REMOVING,
    business_day,
    current_release,
    link,
    point_readers_to,
    sealed_releases,
    sweep,
    synchronise,
)

TABULAR = (".csv", ".jsonl", ".txt", ".gz")


@dataclass(frozen=True)
class Written:
    """What a release has become: its id, the hash of its content, and the rows of its tables but `ops/releases`."""

    release_id: str
    content_hash: str
    rows: int


def erase_in_releases(
    connection: duckdb.DuckDBPyConnection, lake: Lake, tokens: dict[str, set[str]]
) -> tuple[Counter[str], int]:
    """Write every sealed release that holds one of the people again without them, and point readers to the new one.

    `tokens` are the values to look for in texts, each with its requests; the tables of `find_values` exist. A release
    that holds nobody stays as it is. Whoever has a file of an old release open reads it to its end.
    Returns rows found per request, and how many files were searched.
    """
    sweep(lake)
    found: Counter[str] = Counter()
    files, written = 0, {}
    for release in sealed_releases(lake):
        searched, held = _search(connection, release, tokens)
        files += searched
        found.update(held)
        if held:
            _write_again(connection, lake, release, set(tokens), written)
    return found, files


def _search(
    connection: duckdb.DuckDBPyConnection, release: Path, tokens: dict[str, set[str]]
) -> tuple[int, Counter[str]]:
    found: Counter[str] = Counter()
    files = sorted(path for path in release.rglob("*") if path.is_file())
    for path in files:
        if path.suffix == ".parquet":
            mark(connection, parquet(path))
            found.update(count_by_request(connection))
        elif path.name != DATABASE:  # made of the same tables
            found.update(requests_in(path, tokens))
    return len(files), found


def _write_again(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    release: Path,
    tokens: set[str],
    written: dict[str, Written],
) -> None:
    """Adds what the release has become to `written`, by its id before."""
    building = release.with_name(f"{BUILDING}{release.name}")
    shutil.rmtree(building, ignore_errors=True)
    for path in sorted(
        path for path in release.rglob("*") if path.is_file() and path.name not in (DATABASE, MANIFEST)
    ):
        target = building / path.relative_to(release)
        target.parent.mkdir(parents=True, exist_ok=True)
        link(path, target)
        if path.suffix == ".parquet":
            mark(connection, parquet(target))
            if count_by_request(connection):
                rewrite_parquet(connection, target, 'select "row" from named')
        elif held := tokens_of(read_text(target)) & tokens:
            _without(target, held)
    contents = read_contents(building, connection)
    content_hash = hash_of_release({name: each.content_hash for name, each in contents.items()})
    release_id = release_id_of(f"{business_day(release):%Y-%m-%d}", content_hash)
    rows = sum(each.rows for name, each in contents.items() if name != HISTORY)
    written[release.name] = Written(release_id, content_hash, rows)
    _renew_history(connection, building / f"{HISTORY}.parquet", written)
    build_database(lake, building)
    contents[HISTORY] = read_content(HISTORY, building / f"{HISTORY}.parquet", connection)
    write_manifest(building, reseal(read_manifest(release), building, contents, release_id, content_hash))
    synchronise(building)
    is_current = current_release(lake) == release
    sealed = release.with_name(release_id)
    if sealed != release:
        if sealed.exists():
            shutil.rmtree(building)
        else:
            building.rename(sealed)
        if is_current:
            point_readers_to(lake, release_id)
    hidden = release.with_name(f"{REMOVING}{release.name}")
    release.rename(hidden)
    if sealed == release:  # only what stands beside the tables has changed
        building.rename(sealed)
    shutil.rmtree(hidden)


def _without(path: Path, tokens: set[str]) -> None:
    """A file of lines loses those of the people, any other text their values."""
    if path.suffix not in TABULAR:
        blank_text(path, tokens)
        return
    text, _ = lines_without(path, tokens)
    content = text.encode()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _renew_history(connection: duckdb.DuckDBPyConnection, path: Path, written: dict[str, Written]) -> None:
    """`ops/releases` tells of the releases as they are now."""
    if not path.exists():
        return
    now = ", ".join(
        f"({literal(old)}, {literal(new.release_id)}, {literal(new.content_hash)}, {new.rows})"
        for old, new in sorted(written.items())
    )
    with replacing(path) as temporary:
        connection.execute(
            f"""
            copy (
                select history.* replace (
                    coalesce(written.release_id, history.release_id) as release_id,
                    coalesce(written.rows, history.rows)::bigint as rows,
                    coalesce(written.content_hash, history.content_hash) as content_hash
                )
                from read_parquet({literal(str(path))}, hive_partitioning = false) as history
                left join (values {now}) as written (old_id, release_id, content_hash, rows)
                    on history.release_id = written.old_id
                order by history.as_of_date, release_id
            ) to {literal(str(temporary))} (format parquet, compression zstd)
            """
        )
