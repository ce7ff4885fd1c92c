"""Takes rows out of what has landed and what is in quarantine, and counts them in the receipts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb

from include.extract.landing import read_receipts, write_receipts
from include.extract.sql import literal
from include.lake import Lake
from include.privacy.requests.ownership import (
    RECORD_KEYS,
    Landed,
    landed_files,
    open_dictionaries,
    owned_rows,
    refused_files,
)
from include.privacy.requests.rewriting import rewrite_parquet
from include.privacy.requests.search import ROW, count_by_request, in_memory, mark, parquet

UNION = 'select "row", request_id from named union select "row", request_id from mentioned'


def find_records(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Complete `own_record`, from which `owned_rows` knows a record in all its versions, by the records of rows that
    carry an identifier of the people."""
    open_dictionaries(connection, lake)
    for file in landed_files(lake):
        if file.kind not in RECORD_KEYS:
            continue
        named, key = RECORD_KEYS[file.kind]
        relation = in_memory(connection, file.relation)
        if relation is None:
            continue
        connection.execute(
            f"""
            insert into own_record
            select distinct owned.request_id, {literal(named)}, {key}
            from ({_owned(connection, file, relation)}) as owned
            inner join {relation} as landed using ({ROW})
            where (owned.request_id, {key}) not in (
                select (request_id, record_key) from own_record where kind = {literal(named)}
            )
            """
        )


def mark_landed(connection: duckdb.DuckDBPyConnection, file: Landed) -> None:
    """Make `named` and `mentioned` of a landed file, as `mark` does; named are also rows that are theirs by what they
    are a record of."""
    relation = mark(connection, file.relation)
    if relation is None:
        return
    connection.execute(
        f"""
        insert into named
        select "row", request_id from ({_owned(connection, file, relation)}) as owned ("row", request_id)
        where ("row", request_id) not in (select ("row", request_id) from named)
        """
    )
    connection.execute('delete from mentioned where "row" in (select "row" from named)')


def erase_landed(connection: duckdb.DuckDBPyConnection, lake: Lake) -> tuple[Counter[str], int]:
    """Take the people's rows out of landing and their values out of the rows of others. Returns rows per request and
    how many files were searched."""
    open_dictionaries(connection, lake)
    found: Counter[str] = Counter()
    files = landed_files(lake)
    for file in files:
        mark_landed(connection, file)
        rows = count_by_request(connection)
        found.update(rows)
        if rows and rewrite_parquet(connection, file.path, 'select "row" from named'):
            recount(connection, lake, file.path)
    return found, len(files)


def erase_quarantined(connection: duckdb.DuckDBPyConnection, lake: Lake) -> tuple[Counter[str], int]:
    """Take refused rows that hold a value of the people out of quarantine. Returns rows per request and how many files
    were searched."""
    found: Counter[str] = Counter()
    files = refused_files(lake)
    for path in files:
        mark(connection, parquet(path))
        rows = count_by_request(connection)
        found.update(rows)
        if rows and rewrite_parquet(connection, path, f'select "row" from ({UNION})'):
            recount(connection, lake, path)
    return found, len(files)


def recount(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> None:
    """Have the receipts of a channel and day say what its files hold after rows were taken out: what is neither landed
    nor quarantined any more is erased."""
    kind, channel, day = path.parents[2].name, path.parents[1].name, path.parent.name
    folder = lake.root / "receipts" / channel / day
    held = {
        part: Counter(
            dict(
                connection.execute(
                    f"select source_file, count(*) from {parquet(file)} group by source_file"
                ).fetchall()
            )
        )
        for part in ("landing", "quarantine")
        if (file := lake.root / part / kind / channel / day / path.name).exists()
    }
    receipts = []
    for receipt in read_receipts(connection, lake, channel.removeprefix("channel=")):
        if f"date={receipt.delivered_on:%Y-%m-%d}" != day:
            continue
        if receipt.kind == kind:
            landed = held.get("landing", Counter())[receipt.source_file]
            quarantined = held.get("quarantine", Counter())[receipt.source_file]
            receipt = replace(
                receipt,
                landed=landed,
                quarantined=quarantined,
                erased=receipt.received - landed - quarantined,
            )
        receipts.append(receipt)
    if receipts:
        write_receipts(connection, folder / "receipts.parquet", receipts)


def _owned(connection: duckdb.DuckDBPyConnection, file: Landed, relation: str) -> str:
    prefix = f"{file.kind}:{file.channel}:"
    (nodes,) = connection.execute(
        f"select count(*) from own_node where starts_with(node_key, {literal(prefix)})"
    ).fetchone()
    return owned_rows(file.kind, relation, file.channel, with_nodes=bool(nodes))
