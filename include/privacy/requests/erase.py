"""Erases people from every place of the index, and proves it by searching every file below DATA once more.

The order is one that a crash cannot break: what is searched for is written down first, then tombstones are placed, then
rows go, readers move, and only after nothing was found any more the request is closed and its identifiers are gone. Run
again, it goes on where it was.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.landing import PARQUET
from include.extract.sql import literal
from include.lake import Lake
from include.ledger import StepFailed
from include.privacy.epochs import keys_at_hand
from include.privacy.requests.landed import UNION, erase_landed, erase_quarantined, find_records
from include.privacy.requests.ownership import own_people
from include.privacy.requests.people import find_people, find_values
from include.privacy.requests.places import HeldFile, Place, held_files, places
from include.privacy.requests.proofs import Proof
from include.privacy.requests.queue import Request, folder_of
from include.privacy.requests.releases import erase_in_releases
from include.privacy.requests.removals import remove_from_destinations
from include.privacy.requests.rewriting import blank_text, drop_lines, rewrite_parquet
from include.privacy.requests.search import (
    count_by_request,
    mark,
    parquet,
    read_text,
    requests_in,
    tables_of,
    tokens_of,
)
from include.privacy.requests.tombstones import place_tombstones
from include.settings import erasure_key

if TYPE_CHECKING:
    from include.config import Configuration

# What an erasure knows of whom it erases, kept until it is done.
KNOWN = (
    "person_customer", "person_node", "person_identifier", "person_value", "person_token", "own_identifier",
    "own_node", "own_interval", "own_record",
)  # fmt: skip


@dataclass(frozen=True)
class Erased:
    """What became of one place: files searched, and rows that held the people, by request."""

    files: int
    rows: Counter[str]


def erase_people(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    configuration: Configuration,
    requests: list[Request],
    day: date,
    scratch: Path,
) -> list[Proof]:
    """Erase everybody whom the requests name from every place. Returns the proof, a line per request and place.

    All are erased in one pass: each file is read once to change it and once to prove it, and only those that hold
    somebody are written. The caller has the DATA folder alone; `scratch` is the folder of the connection.

    Raises StepFailed naming the place when a value of theirs is found after all, or a file is in no place of the index.
    """
    _know(connection, lake, configuration, requests)
    place_tombstones(connection, lake, erasure_key(), day)
    remove_from_destinations(lake, configuration, _customers(connection), _visitors(connection))
    tokens = _tokens(connection)
    files: dict[Place, list[Path]] = {place: [] for place in places()}
    for file in held_files(lake.data):
        if not file.path.is_relative_to(scratch):
            files[_known_place(lake, file)].append(file.path)
    erased = {
        place.name: _erase_in_place(connection, lake, place, paths, tokens) for place, paths in files.items()
    }
    residue = find_residue(connection, lake, tokens, scratch)
    if residue:
        place, rows = next(iter(sorted(residue.items())))
        raise StepFailed(
            f"privacy: {sum(rows.values())} rows or files in {place} hold erased people still; run the request again, "
            "or mend places.yml"
        )
    lost = ", ".join(map(str, keys_at_hand(lake).lost))
    return [
        Proof(
            request.request_id,
            request.kind,
            request.person,
            place,
            request.decided_by,
            done.files,
            done.rows[request.request_id],
            done.rows[request.request_id],
            residue.get(place, Counter())[request.request_id],
            request.received_on,
            day,
            lost,
        )
        for request in requests
        for place, done in erased.items()
    ]


def forget_known(lake: Lake) -> None:
    """Remove what was searched for, when erasures are done."""
    shutil.rmtree(_known_folder(lake), ignore_errors=True)


def find_residue(
    connection: duckdb.DuckDBPyConnection, lake: Lake, tokens: dict[str, set[str]], scratch: Path
) -> dict[str, Counter[str]]:
    """Search every file below DATA but sources, the queue and what says whom others have to remove: rows, or files that
    are no table, with a value of the people, by place and request. Places without any are not listed."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for file in held_files(lake.data):
        place = _known_place(lake, file)
        if place.erase in ("source", "told") or place.name == "requests" or file.path.is_relative_to(scratch):
            continue
        rows = search_file(connection, file.path, tokens)
        if rows:
            found[place.name].update(rows)
    return dict(found)


def search_file(
    connection: duckdb.DuckDBPyConnection, path: Path, tokens: dict[str, set[str]]
) -> Counter[str]:
    """Rows of a file with a value of the people by request: of Parquet and DuckDB files, of any other one per file."""
    found: Counter[str] = Counter()
    if path.suffix == ".parquet":
        mark(connection, parquet(path))
        found.update(count_by_request(connection))
    elif path.suffix == ".duckdb":
        for table in tables_of(connection, path):
            mark(connection, table)
            found.update(count_by_request(connection))
    else:
        found.update(requests_in(path, tokens))
    return +found


def _know(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    configuration: Configuration,
    requests: list[Request],
) -> None:
    """Find the people, or read who they were when an erasure of the same requests did not come to its end."""
    folder = _known_folder(lake)
    names = "\n".join(sorted(request.request_id for request in requests))
    complete = folder / "requests.txt"
    if complete.exists() and complete.read_text() == names:
        for table in KNOWN:
            connection.execute(
                f"create or replace temp table {table} as from read_parquet({literal(str(folder / table))})"
            )
        return
    find_people(connection, lake, requests, configuration.normalisation)
    find_values(connection, lake, keys_at_hand(lake).keys)
    own_people(connection, lake)
    find_records(connection, lake)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for table in KNOWN:
        connection.execute(f"copy {table} to {literal(str(folder / table))} ({PARQUET})")
    complete.write_text(names)


def _erase_in_place(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    place: Place,
    paths: Iterable[Path],
    tokens: dict[str, set[str]],
) -> Erased:
    paths = list(paths)
    if place.erase == "landed":
        rows, files = erase_landed(connection, lake)
        return Erased(files, rows)
    if place.name == "quarantine":
        rows, files = erase_quarantined(connection, lake)
        return Erased(files, rows)
    if place.erase == "released":
        rows, files = erase_in_releases(connection, lake, tokens)
        return Erased(files, rows)
    if place.erase in ("kept", "source", "told"):
        return Erased(len(paths), Counter())
    found: Counter[str] = Counter()
    for path in paths:
        if place.erase == "removed" or place.erase == "rebuilt":
            path.unlink()
        elif path.suffix == ".parquet":
            mark(connection, parquet(path))
            if rows := count_by_request(connection):
                found.update(rows)
                gone = UNION if place.erase == "rows_with" else 'select "row" from named'
                rewrite_parquet(connection, path, gone)
        elif held := requests_in(path, tokens):
            found.update(held)
            if place.erase == "rows_with":
                path.unlink()
            elif place.erase == "unsent":
                drop_lines(path, tokens_of(read_text(path)) & tokens.keys())
            else:
                blank_text(path, tokens_of(read_text(path)) & tokens.keys())
    if place.name == "spark_warehouse":  # a folder is a table, also an empty one
        shutil.rmtree(lake.spark_warehouse, ignore_errors=True)
    return Erased(len(paths), found)


def _tokens(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    tokens: dict[str, set[str]] = defaultdict(set)
    for token, request_id in connection.execute("select token, request_id from person_token").fetchall():
        tokens[token].add(request_id)
    return dict(tokens)


def _customers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "select distinct customer_id from person_customer order by customer_id"
    ).fetchall()
    return [customer_id for (customer_id,) in rows]


def _visitors(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "select distinct value from person_value where what = 'pseudonym' order by value"
    ).fetchall()
    return [visitor_id for (visitor_id,) in rows]


def _known_place(lake: Lake, file: HeldFile) -> Place:
    if file.place is None:
        raise StepFailed(
            f"privacy: {file.path.relative_to(lake.data)} is in no place of include/privacy/requests/places.yml, so "
            "nobody knows how to erase a person there: move it out of DATA, and run the request again"
        )
    return file.place


def _known_folder(lake: Lake) -> Path:
    return folder_of(lake) / "known"
