"""What was done for each request in each place, without an identifier: what `ops.privacy_requests` publishes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

import duckdb

from include.extract.landing import PARQUET
from include.extract.sql import literal
from include.lake import Lake, replacing
from include.privacy.requests.people import insert_rows

SCHEMA = {
    "request_id": "varchar",
    "kind": "varchar",
    "person": "varchar",
    "place": "varchar",
    "decided_by": "varchar",
    "files_searched": "bigint",
    "rows_found": "bigint",
    "rows_removed": "bigint",
    "residue": "bigint",
    "received_on": "date",
    "done_on": "date",
    "lost_epochs": "varchar",
}


@dataclass(frozen=True)
class Proof:
    """One line: of `files_searched` in a place, `rows_found` (of a text, one per file) held the person, `rows_removed`
    were taken out or blanked, and `residue` hold them still. `person` is a keyed hash; of retention it is empty.
    `lost_epochs` are those whose visitors nobody could look for, since the key is gone: "1, 2", or empty."""

    request_id: str
    kind: str
    person: str
    place: str
    decided_by: str
    files_searched: int
    rows_found: int
    rows_removed: int
    residue: int
    received_on: date
    done_on: date
    lost_epochs: str = ""


def proofs_path(lake: Lake) -> Path:
    return lake.root / "privacy" / "proofs.parquet"


def keep_proofs(lake: Lake, proofs: Iterable[Proof]) -> None:
    """Add lines to those that are there; lines of the same request are replaced. Without any the file is made if it is
    missing or of an earlier version, so that whoever reads it finds one."""
    path, lines = proofs_path(lake), [astuple(proof) for proof in proofs]
    with duckdb.connect(":memory:") as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in SCHEMA.items())
        connection.execute(f"create table proof ({columns})")
        if path.exists():
            held = connection.execute(f"describe from read_parquet({literal(str(path))})").fetchall()
            if not lines and [name for name, *_ in held] == list(SCHEMA):
                return
            connection.execute(f"insert into proof by name from read_parquet({literal(str(path))})")
        connection.execute("create table line as from proof where false")
        insert_rows(connection, "line", [tuple(map(str, line)) for line in lines])
        connection.execute("delete from proof where request_id in (select request_id from line)")
        connection.execute("insert into proof from line")
        with replacing(path) as temporary:
            connection.execute(
                f"copy (from proof order by done_on, request_id, place) to {literal(str(temporary))} ({PARQUET})"
            )
