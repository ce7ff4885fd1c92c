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
}


@dataclass(frozen=True)
class Proof:
    """One line: of `files_searched` in a place, `rows_found` (of a text, one per file) held the person, `rows_removed`
    were taken out or blanked, and `residue` hold them still. `person` is a keyed hash; of retention it is empty."""

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


def proofs_path(lake: Lake) -> Path:
    return lake.root / "privacy" / "proofs.parquet"


def keep_proofs(lake: Lake, proofs: Iterable[Proof]) -> None:
    """Add lines to those that are there; lines of the same request are replaced. Without any the file is made if it is
    missing, so that whoever reads it finds one."""
    path, lines = proofs_path(lake), sorted(proofs, key=lambda proof: (proof.request_id, proof.place))
    if not lines and path.exists():
        return
    with duckdb.connect(":memory:") as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in SCHEMA.items())
        connection.execute(f"create table proof ({columns})")
        if path.exists():
            connection.execute(f"insert into proof by name from read_parquet({literal(str(path))})")
        for request_id in sorted({proof.request_id for proof in lines}):
            connection.execute(f"delete from proof where request_id = {literal(request_id)}")
        for proof in lines:
            values = ", ".join(literal(str(value)) for value in astuple(proof))
            connection.execute(f"insert into proof values ({values})")
        with replacing(path) as temporary:
            connection.execute(
                f"copy (from proof order by done_on, request_id, place) to {literal(str(temporary))} ({PARQUET})"
            )
