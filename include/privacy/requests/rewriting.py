"""Takes rows out of Parquet files and values out of texts. A file that holds nobody is not touched."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from include.extract.sql import identifier, literal
from include.lake import replacing
from include.privacy.requests.search import ROW, blanking, blanks, parquet, read_text

ROWS_PER_GROUP = 122_880
ABOUT_TYPES = (b"ARROW:schema", b"pandas")  # what the writer says of types, which would no longer be true


def rewrite_parquet(connection: duckdb.DuckDBPyConnection, path: Path, gone: str) -> bool:
    """Write a file again without the rows of `gone`, a query for row numbers, and without the values in `mentioned`
    in its other rows, in the same order and with what its writer noted about it. Returns whether that was needed.

    A row whose value stands in a column of another type than text goes as a whole.
    """
    connection.execute(
        f'create or replace temp table gone as select distinct "row" from ({gone}) as rows ("row")'
    )
    connection.execute('delete from mentioned where "row" in (select "row" from gone)')
    columns = connection.execute(f"describe select * exclude ({ROW}) from {parquet(path)}").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    cells = connection.execute(
        "select column_name, list(distinct token) from mentioned group by column_name order by column_name"
    ).fetchall()
    replaced = {}
    for name, tokens in cells:
        blank = blanking(name, types[name], set(tokens))
        if blank is None:
            connection.execute(
                f'insert into gone select distinct "row" from mentioned where column_name = {literal(name)}'
            )
        else:
            replaced[name] = blank
    (count,) = connection.execute("select count(*) from gone").fetchone()
    if not count and not replaced:
        return False
    changed = 'in (select "row" from mentioned)'
    selected = ", ".join(
        f"case when {ROW} {changed} then {replaced[name]} else {identifier(name)} end as {identifier(name)}"
        if name in replaced
        else identifier(name)
        for name in types
    )
    noted = pq.read_schema(path).metadata or {}
    noted = {key.decode(): value.decode() for key, value in noted.items() if key not in ABOUT_TYPES}
    listed = ", ".join(f"{identifier(key)}: {literal(value)}" for key, value in noted.items())
    notes = f", kv_metadata {{{listed}}}" if noted else ""
    with replacing(path) as temporary:
        connection.execute(
            f"""
            copy (
                select {selected} from {parquet(path)} as held
                where {ROW} not in (select "row" from gone)
                order by {ROW}
            ) to {literal(str(temporary))}
            (format parquet, compression zstd, row_group_size {ROWS_PER_GROUP}{notes})
            """
        )
    return True


def blank_text(path: Path, tokens: set[str]) -> None:
    """Write a text file again with (erased) in the place of these values. One that is no text goes: whoever wrote it
    writes it again."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        path.unlink()
        return
    with replacing(path) as temporary:
        temporary.write_text(blanks(tokens).sub("(erased)", text), encoding="utf-8")


def drop_lines(path: Path, tokens: set[str]) -> None:
    """Write a text file again without the lines that hold one of these values."""
    text, _ = lines_without(path, tokens)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def lines_without(path: Path, tokens: set[str]) -> tuple[str, int]:
    """The lines of a text file that hold none of these values, and how many did."""
    pattern = blanks(tokens)
    lines = read_text(path).splitlines(keepends=True)
    kept = [line for line in lines if not pattern.search(line)]
    return "".join(kept), len(lines) - len(kept)
