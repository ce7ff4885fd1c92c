"""What changed in the layout of a channel's files: columns that are new, that vanished, or that changed their type."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.kinds import Kind
from include.extract.sql import NUMBER, literal
from include.lake import Lake, replacing

if TYPE_CHECKING:
    from include.config import Channel

COMMON_SHARE = 0.9  # a JSON key in fewer rows may be missing from a file by chance
ROWS_LOOKED_AT = 20_000
UNKNOWN = "unknown"
DRIFT_SCHEMA = {
    "channel": "varchar",
    "source_column": "varchar",
    "change": "varchar",
    "from_type": "varchar",
    "to_type": "varchar",
    "since_file": "varchar",
    "times": "bigint",
    "files": "bigint",
    "is_current": "boolean",
    "since_date": "date",
}


def keys_found(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, landing: Path
) -> dict[str, str]:
    """The keys of a file of JSON and their types, read from what has landed of it, so that nothing is parsed again.

    A key that is kept in `attributes` has the type that its values look like; one that the map names has the type
    of its canonical column; of a spec without a map these are the canonical columns themselves. Keys that only an
    expression reads are not told. A type that ends in `?` is of a key that is missing from more than a few rows.
    """
    rows = f"read_parquet({literal(str(landing))}, hive_partitioning = false)"
    (count,) = connection.execute(f"select count(*) from {rows}").fetchone()
    if not count:
        return {}
    found = _attributes(connection, rows) | _canonical(connection, channel, kind, landing)
    return {
        name: (sql_type if present >= COMMON_SHARE * count else f"{sql_type}?")
        for name, (sql_type, present) in sorted(found.items())
    }


def write_drift(lake: Lake, day: date) -> None:
    """Write `schema_drift` of the day: one row per channel, column and change, see `find_drift`."""
    with duckdb.connect(":memory:") as connection, replacing(lake.ops(day, "schema_drift")) as path:
        receipts = f"""
            select * from read_parquet('{lake.receipts()}/*/*/receipts.parquet', hive_partitioning = false,
                union_by_name = true)
            where delivered_on <= date '{day:%Y-%m-%d}'
        """
        connection.execute(
            f"copy ({find_drift(receipts)}) to {literal(str(path))} (format parquet, compression zstd)"
        )


def find_drift(receipts: str) -> str:
    """SQL for the changes that the receipts of a query tell: a row per channel, column and change.

    A file is compared with the one before it, by day and name, of those whose name is the same but for its digits.
    `added` is a column that the files before did not have, `vanished` one that the file before had, `retyped` one
    with another type than before; a JSON key that may be missing by chance does not vanish. A row tells of the last
    time: since which day and file, in how many `files` it stayed so until the column changed again, whether it
    `is_current`, and how many `times` it has happened.
    """
    columns = ", ".join(f"{name}::{kind} as {name}" for name, kind in DRIFT_SCHEMA.items())
    return f"""
        with

        files as (

            select
                *,
                row_number() over (partition by channel, series order by delivered_on, source_file) as number,
                count(*) over (partition by channel, series) as last_number
            from (
                select
                    channel,
                    regexp_replace(source_file, '[0-9]+', '#', 'g') as series,
                    source_file,
                    delivered_on,
                    columns
                from ({receipts})
                where cardinality(columns) > 0
            )

        ),

        present as (

            select
                channel,
                series,
                number,
                last_number,
                entry.key as source_column,
                rtrim(entry.value, '?') as type,
                suffix(entry.value, '?') as is_rare
            from (select *, unnest(map_entries(columns)) as entry from files)

        ),

        neighbours as (

            select
                *,
                lag(number) over by_file as number_before,
                lag(type) over by_file as type_before,
                lag(is_rare) over by_file as was_rare,
                coalesce(lead(number) over by_file, last_number + 1) as number_after
            from present
            window by_file as (partition by channel, series, source_column order by number)

        ),

        changes as (

            select
                channel,
                series,
                source_column,
                number,
                last_number,
                case
                    when number_before is null or (number_before < number - 1 and not was_rare) then 'added'
                    else 'retyped'
                end as change,
                case when number_before = number - 1 or was_rare then type_before end as from_type,
                type as to_type
            from neighbours
            where
                number > 1
                and (
                    number_before is null
                    or (number_before < number - 1 and not was_rare)
                    or (type <> type_before and '{UNKNOWN}' not in (type, type_before))
                )

            union all

            select channel, series, source_column, number + 1, last_number, 'vanished', type, null
            from neighbours
            where not is_rare and number_after > number + 1

        ),

        lasting as (

            select
                changes.*,
                files.source_file as since_file,
                files.delivered_on as since_date,
                coalesce(lead(changes.number) over by_number, changes.last_number + 1) - changes.number as files,
                lead(changes.number) over by_number is null as is_current
            from changes
            inner join files
                on
                    changes.channel = files.channel
                    and changes.series = files.series
                    and changes.number = files.number
            window by_number as (
                partition by changes.channel, changes.series, changes.source_column order by changes.number
            )

        ),

        final as (

            select *, count(*) over (partition by channel, source_column, change) as times
            from lasting
            qualify row_number() over (
                partition by channel, source_column, change order by since_date desc, since_file desc
            ) = 1

        )

        select {columns} from final order by channel, source_column, change
    """


def _attributes(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, tuple[str, int]]:
    """Key to type and number of rows, of everything in `attributes`."""
    counts = connection.execute(
        f"""
        select name, sum(rows)::bigint
        from (
            select unnest(names) as name, rows
            from (select map_keys(attributes) as names, count(*) as rows from {rows} group by names)
        )
        group by name
        """
    ).fetchall()
    if not counts:
        return {}
    types = dict(
        connection.execute(
            f"""
            select name, case when min(type) = max(type) then min(type) else 'text' end
            from (
                select entry.key as name, {_type_of("entry.value")} as type
                from (
                    select unnest(map_entries(attributes)) as entry
                    from (select attributes from {rows} limit {ROWS_LOOKED_AT})
                )
            )
            group by name
            """
        ).fetchall()
    )
    return {name: (types.get(name, UNKNOWN), count) for name, count in counts}


def _canonical(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, landing: Path
) -> dict[str, tuple[str, int]]:
    """Source key (without a map: canonical column) to type and number of rows with a value, from the file's footer."""
    counts = dict(
        connection.execute(
            f"""
            select path_in_schema, sum(num_values - stats_null_count)::bigint
            from parquet_metadata({literal(str(landing))})
            group by path_in_schema
            """
        ).fetchall()
    )
    found = {}
    for column in kind.columns:
        entry = channel.map.get(column.name)
        if entry is not None and not isinstance(entry.column, str):
            continue  # a constant is no key, and of an expression or a list the keys are not known
        if entry is None and channel.spec == "mapped":
            continue
        if counts.get(column.name):
            found[entry.column if entry else column.name] = (column.type, counts[column.name])
    return found


def _type_of(text: str) -> str:
    return f"""case
        when {text} in ('true', 'false') then 'boolean'
        when starts_with({text}, '{{') then 'object'
        when starts_with({text}, '[') then 'array'
        when regexp_full_match({text}, '{NUMBER}') then 'number'
        else 'text'
    end"""
