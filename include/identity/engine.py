"""Everything that differs between engines: how a table is made, a key is hashed, a file is read and written.

The other modules send plain statements (`create table … as select`, joins, aggregates) that DuckDB and Spark
both understand; what only one of them understands is spelled here and nowhere else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

ROWS_PER_GROUP = 122_880  # the size of DuckDB's row groups, fixed so that a file's bytes do not depend on it


class Engine:
    """An in-memory DuckDB that spills to `scratch`; `statements` counts what it was asked to do."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.statements = 0

    def create_table(self, name: str, query: str) -> None:
        self._execute(f"create table {name} as\n{query}")

    def create_view(self, name: str, query: str) -> None:
        self._execute(f"create view {name} as\n{query}")

    def insert(self, name: str, query: str) -> None:
        self._execute(f"insert into {name}\n{query}")

    def drop(self, *names: str) -> None:
        for name in names:
            self._execute(f"drop table if exists {name}")

    def drop_view(self, name: str) -> None:
        self._execute(f"drop view if exists {name}")

    def scalar(self, query: str) -> Any:
        """The first column of the first row, None when there is no row."""
        row = self._execute(query).fetchone()
        return None if row is None else row[0]

    def rows(self, query: str) -> list[tuple]:
        return self._execute(query).fetchall()

    def columns(self, path: Path) -> set[str]:
        """The column names of a Parquet file."""
        return {row[0] for row in self.rows(f"describe select * from {parquet(path)}")}

    def columns_of(self, relation: str) -> set[str]:
        """The column names of a table, view or other relation."""
        return {row[0] for row in self.rows(f"describe select * from {relation}")}

    def write(self, path: Path, schema: Mapping[str, str], query: str, order_by: str) -> None:
        """Write a query's rows, cast to `schema` and ordered by a unique key, as one Parquet file.

        The same rows give the same bytes.
        """
        columns = ",\n    ".join(f"cast({column} as {kind}) as {column}" for column, kind in schema.items())
        self._execute(
            f"copy (\nselect\n    {columns}\nfrom (\n{query}\n) as result\norder by {order_by}\n)"
            f" to {text(str(path))} (format parquet, compression zstd, row_group_size {ROWS_PER_GROUP})"
        )

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        self.statements += 1
        return self.connection.execute(statement)


@contextmanager
def opened(threads: int, memory_limit: str, scratch: Path) -> Iterator[Engine]:
    """An engine that spills below `scratch` and leaves nothing there."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="resolve-", dir=scratch)
    connection = duckdb.connect(
        ":memory:",
        config={"threads": threads, "memory_limit": memory_limit, "temp_directory": folder},
    )
    try:
        yield Engine(connection)
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


def parquet(path: Path) -> str:
    """A relation over a Parquet file."""
    return f"read_parquet({text(str(path))}, hive_partitioning = false)"


def hashed(expression: str) -> str:
    """A key as a 128-bit integer: joins and groups cost a quarter of what they cost on hex strings."""
    return f"md5_number({expression})"


def matches(expression: str, pattern: str) -> str:
    """Whether a regular expression is found anywhere in the text."""
    return f"regexp_matches({expression}, {text(pattern)})"


def listed(expression: str) -> str:
    """An aggregate: the distinct texts in order, with commas."""
    return f"string_agg(distinct {expression}, ', ' order by {expression})"


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def folded(expression: str) -> str:
    """A text in lower case without accents."""
    return f"lower(strip_accents({expression}))"
