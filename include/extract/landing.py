"""Landed files, quarantine and receipts in the lake: one Parquet file per channel and day of delivery."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from include.extract.formats.reading import RAW, Source
from include.extract.kinds import Kind, kinds
from include.extract.sql import identifier, literal
from include.extract.validation import REASON
from include.lake import Lake, replacing
from include.ledger import StepFailed

QUARANTINE_SCHEMA = {
    "raw": "varchar",
    "reason": "varchar",
    "source_file": "varchar",
    "source_row": "bigint",
    # What `raw` is: a `line` (or record) of the file, a `row` as a JSON object, the `bytes` of a line as Latin-1
    # because they are no text; `mixed` bytes were recoded in part and cannot be read again.
    "form": "varchar",
}
RECEIPT_SCHEMA = {
    "channel": "varchar",
    "kind": "varchar",
    "party": "varchar",
    "source_file": "varchar",
    "delivered_on": "date",
    "file_hash": "varchar",
    "spec_hash": "varchar",
    "received": "bigint",
    "landed": "bigint",
    "quarantined": "bigint",
    "delivery": "varchar",
    "columns": "map(varchar, varchar)",  # of the source, in its order: name and type, see `drift.py` for JSON
    "erased": "bigint",
}
EMPTY_CHANNEL, EMPTY_DAY = "none", date(1970, 1, 1)
PARQUET = "format parquet, compression zstd, row_group_size 40960"


@dataclass(frozen=True)
class Receipt:
    """What became of one source file: `received` rows are its `landed`, `quarantined` and `erased` ones together, which
    were of erased people or older than they may be kept. Of an unpivoted file the rows are its statements (row and
    trait), and its rows that could not be read at all."""

    channel: str
    kind: str
    party: str
    source_file: str
    delivered_on: date
    file_hash: str
    spec_hash: str
    received: int
    landed: int
    quarantined: int
    delivery: str
    columns: dict[str, str]
    erased: int = 0


@dataclass(frozen=True)
class Part:
    """The rows of one source file, on their way to the lake: two Parquet files and what they hold."""

    receipt: Receipt
    landing: Path
    quarantine: Path


def complete_landing(lake: Lake) -> None:
    """Write an empty typed file per kind, of landing and of quarantine, and one of receipts, so that a pattern over
    all channels always matches. Files that are there stay as they are, unless an earlier version wrote them with other
    columns."""
    with duckdb.connect(":memory:") as connection:
        for kind in kinds().values():
            _write_empty(connection, lake.landing(kind.name, EMPTY_CHANNEL, EMPTY_DAY), kind.landing_schema())
            _write_empty(connection, lake.quarantine(kind.name, EMPTY_CHANNEL, EMPTY_DAY), QUARANTINE_SCHEMA)
        _write_empty(
            connection, lake.receipts(EMPTY_CHANNEL, EMPTY_DAY), RECEIPT_SCHEMA, file_name="receipts.parquet"
        )


def write_rows(
    connection: duckdb.DuckDBPyConnection, source: Source, query: str, kind: Kind, source_file: str,
    folder: Path, is_unpivoted: bool, remainder: Callable[[Path], str] | None = None,
) -> tuple[Path, Path, int, int, int]:  # fmt: skip
    """Write the good rows of a checked query to one Parquet file and the others to another, below `folder`.

    The rows that were refused are looked for only when some are missing, in a second pass over nothing else; the
    `remainder` is the checked query for it, when that is not the same one.
    Returns both paths and the counts received, landed and quarantined.
    Raises StepFailed when rows were lost, which would be a fault of this program.
    """
    landing, quarantine = folder / "landing.parquet", folder / "quarantine.parquet"
    columns = ", ".join(identifier(name) for name in kind.landing_schema())
    landed = source.run(
        connection,
        f"copy (select {columns} from ({query}) where {REASON} is null) to {literal(str(landing))} ({PARQUET})",
    )[0][0]
    expected = source.tally.good
    if is_unpivoted:
        (expected,) = source.run(connection, f"select count(*) from ({query})")[0]
    if landed == expected and not source.tally.rejects:
        write_nothing(connection, quarantine, QUARANTINE_SCHEMA)
        quarantined = 0
    else:
        refused, late = f"select * from ({query}) where {REASON} is not null", 0
        if landed == expected:
            refused = f"select * from ({query}) where false"
        elif remainder is not None:
            rest = folder / "remainder.parquet"
            source.run(
                connection, f"copy ({remainder(landing)}) to {literal(str(rest))} ({PARQUET})", landed=landing
            )
            refused = f"select * from read_parquet({literal(str(rest))}) where {REASON} is not null"
            late = _append(connection, landing, rest, columns)
        connection.register("tandem_rejects", source.rejects())
        undecodable = "mixed" if source.is_recoded else "bytes"
        quarantined = source.run(
            connection,
            f"""copy (
                select
                    raw::varchar as raw,
                    reason::varchar as reason,
                    {literal(source_file)} as source_file,
                    source_row::bigint as source_row,
                    form
                from (
                    select {RAW} as raw, {REASON} as reason, source_row, {literal(source.form)} as form
                    from ({refused})
                    union all by name
                    select raw, reason, source_row, case reason when 'encoding' then {literal(undecodable)}
                        else 'line' end as form
                    from tandem_rejects
                )
                order by source_row, raw, reason
            ) to {literal(str(quarantine))} ({PARQUET})""",
            landed=None if is_unpivoted else landing,
        )[0][0]
        landed += late
    received = expected + len(source.tally.rejects)
    if landed + quarantined != received:
        raise StepFailed(
            f"{source_file}: {received} rows received, but {landed} landed and {quarantined} quarantined: "
            "this is a fault of Tandem, please report it with the file"
        )
    return landing, quarantine, received, landed, quarantined


def _append(connection: duckdb.DuckDBPyConnection, landing: Path, rest: Path, columns: str) -> int:
    """Put the good rows of a second pass after those of the first; returns how many there were."""
    good = f"select {columns} from read_parquet({literal(str(rest))}) where {REASON} is null"
    (count,) = connection.execute(f"select count(*) from ({good})").fetchone()
    if count:
        both = landing.with_name("both.parquet")
        rows = f"select * from read_parquet({literal(str(landing))}) union all {good}"
        connection.execute(f"copy ({rows}) to {literal(str(both))} ({PARQUET})")
        both.replace(landing)
    return count


def read_receipts(connection: duckdb.DuckDBPyConnection, lake: Lake, channel: str) -> list[Receipt]:
    """Every receipt of a channel, by day of delivery and file. Those of an earlier version say less."""
    paths = sorted(lake.receipts(channel).glob("date=*/receipts.parquet"))
    if not paths:
        return []
    rows = connection.execute(
        f"select * replace (coalesce(delivery, 'increment') as delivery, coalesce(columns, map()) as columns, "
        f"coalesce(erased, 0) as erased)"
        f" from ({typed_rows(paths, RECEIPT_SCHEMA)}) order by delivered_on, source_file"
    ).fetchall()
    return [Receipt(*row) for row in rows]


def typed_rows(paths: list[Path], schema: dict[str, str]) -> str:
    """A query over Parquet files that gives the columns of `schema`, NULL where an earlier version wrote less."""
    listed = ", ".join(literal(str(path)) for path in paths)
    return f"""
        select {", ".join(identifier(name) for name in schema)}
        from (
            {_nothing(schema)}
            union all by name
            select * from read_parquet([{listed}], hive_partitioning = false, union_by_name = true)
        )
    """


def replace_partition(
    connection: duckdb.DuckDBPyConnection, lake: Lake, channel: str, day: date,
    parts: list[Part], kept: list[Receipt], stale: set[str],
) -> None:  # fmt: skip
    """Put new parts into the files of one channel and day, beside the rows of the `kept` receipts, and remove
    those of the `stale` kinds that the channel had before.

    Receipts come last: if the run dies in between, the same files are simply landed again.
    """
    kind = parts[0].receipt.kind
    names = [receipt.source_file for receipt in kept if receipt.kind == kind]
    for folder, new, key in (
        (lake.landing(kind, channel, day), [part.landing for part in parts], "source_file, source_row"),
        (
            lake.quarantine(kind, channel, day),
            [part.quarantine for part in parts],
            "source_file, source_row, raw",
        ),
    ):
        target = folder / "part.parquet"
        with replacing(target) as temporary:
            if len(new) == 1 and not names:
                shutil.copyfile(new[0], temporary)
            else:
                schema = QUARANTINE_SCHEMA if "raw" in key else kinds()[kind].landing_schema()
                _merge(connection, new, target if names else None, names, schema, key, temporary)
    for old in sorted(stale):
        for folder in (lake.landing(old, channel, day), lake.quarantine(old, channel, day)):
            (folder / "part.parquet").unlink(missing_ok=True)
    receipts = [receipt for receipt in kept if receipt.kind == kind] + [part.receipt for part in parts]
    write_receipts(connection, lake.receipts(channel, day) / "receipts.parquet", receipts)


def move_file(
    connection: duckdb.DuckDBPyConnection, lake: Lake, receipts: list[Receipt], file: Receipt, day: date, folder: Path
) -> None:  # fmt: skip
    """Have a file that landed on one day be of another. `receipts` are the channel's.

    If the run dies in between, the file is of both days, and `remove_file` of the first one is what is left to do.
    """
    moved = Part(replace(file, delivered_on=day), folder / "landing.parquet", folder / "quarantine.parquet")
    for (path, schema, key), target in zip(
        _files_of(lake, file), (moved.landing, moved.quarantine), strict=True
    ):
        _merge(connection, [], path, [file.source_file], schema, key, target)
    there = [receipt for receipt in receipts if receipt.delivered_on == day]
    replace_partition(connection, lake, file.channel, day, [moved], there, set())
    remove_file(connection, lake, receipts, file)


def remove_file(
    connection: duckdb.DuckDBPyConnection, lake: Lake, receipts: list[Receipt], file: Receipt
) -> None:
    """Take what one file brought out of the day that it landed on. `receipts` are the channel's."""
    others = [
        receipt
        for receipt in receipts
        if receipt.delivered_on == file.delivered_on and receipt.source_file != file.source_file
    ]
    names = [receipt.source_file for receipt in others if receipt.kind == file.kind]
    for path, schema, key in _files_of(lake, file):
        if names:
            with replacing(path) as temporary:
                _merge(connection, [], path, names, schema, key, temporary)
        else:
            path.unlink(missing_ok=True)
    path = lake.receipts(file.channel, file.delivered_on) / "receipts.parquet"
    if others:
        write_receipts(connection, path, others)
    else:
        path.unlink()


def _files_of(lake: Lake, file: Receipt) -> list[tuple[Path, dict[str, str], str]]:
    """The files that hold what a source file brought, landed rows and refused ones: path, columns, and their order."""
    place = file.kind, file.channel, file.delivered_on
    return [
        (
            lake.landing(*place) / "part.parquet",
            kinds()[file.kind].landing_schema(),
            "source_file, source_row",
        ),
        (lake.quarantine(*place) / "part.parquet", QUARANTINE_SCHEMA, "source_file, source_row, raw"),
    ]


def _merge(
    connection: duckdb.DuckDBPyConnection,
    new: list[Path],
    old: Path | None,
    names: list[str],
    schema: dict[str, str],
    key: str,
    target: Path,
) -> None:
    """Write all rows of new files and, of an old one, those that came from the source files of these names."""
    rows = [typed_rows(new, schema)] if new else []
    if old is not None:
        kept = ", ".join(literal(name) for name in names)
        rows.append(f"select * from ({typed_rows([old], schema)}) where source_file in ({kept})")
    connection.execute(
        f"copy (select * from ({' union all '.join(rows)}) order by {key}) to {literal(str(target))} ({PARQUET})"
    )


def write_receipts(connection: duckdb.DuckDBPyConnection, path: Path, receipts: list[Receipt]) -> None:
    """Replace the receipts of one channel and day."""
    schema = ", ".join(f"{name} {kind}" for name, kind in RECEIPT_SCHEMA.items())
    # Literals, since DuckDB imports pandas to look at the parameters of a statement, and that takes half a second.
    rows = ", ".join(
        f"({', '.join(_literal(getattr(receipt, name)) for name in RECEIPT_SCHEMA)})" for receipt in receipts
    )
    connection.execute(f"create or replace temp table tandem_receipts ({schema})")
    connection.execute(f"insert into tandem_receipts values {rows}")
    with replacing(path) as temporary:
        connection.execute(
            f"copy (from tandem_receipts order by source_file) to {literal(str(temporary))} ({PARQUET})"
        )


def _literal(value: str | int | date | dict[str, str]) -> str:
    if isinstance(value, dict):
        return f"map {{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    return literal(str(value))


def _write_empty(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    schema: dict[str, str],
    file_name: str = "part.parquet",
) -> None:
    path = folder / file_name
    if not path.exists() or _columns(connection, path) != list(schema):
        with replacing(path) as temporary:
            write_nothing(connection, temporary, schema)


def write_nothing(connection: duckdb.DuckDBPyConnection, path: Path, schema: dict[str, str]) -> None:
    """A typed file without rows."""
    connection.execute(f"copy ({_nothing(schema)}) to {literal(str(path))} ({PARQUET})")


def _nothing(schema: dict[str, str]) -> str:
    columns = ", ".join(f"null::{kind} as {identifier(name)}" for name, kind in schema.items())
    return f"select {columns} where false"


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    described = connection.execute(
        f"describe from read_parquet({literal(str(path))}, hive_partitioning = false)"
    )
    return [name for name, *_ in described.fetchall()]
