"""Whether Spark made the tables that DuckDB made: row by row, floats within a stated tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

DECIMALS = 6  # floats are compared after rounding to so many: engines add in another order
# Shares of whole numbers often end in a five: they are moved to where none is half-way between two roundings.
SHIFT = 3.1415926e-7
# It says what the run itself took.
OF_THE_RUN = ("model_costs",)
# Numbers of 128 bits, which Parquet does not know: Spark keeps their bytes.
KEYS = ("UHUGEINT",)


@dataclass(frozen=True)
class Parity:
    """One table on both engines: rows of each, and how many rows of Spark's DuckDB does not have.

    `columns` names those that differ in themselves. `problem` says why nothing could be compared.
    """

    table: str
    rows: int
    spark_rows: int
    different: int
    columns: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_equal(self) -> bool:
        return not self.problem and not self.different and self.rows == self.spark_rows


def compare(warehouse: Path, folder: Path) -> list[Parity]:
    """Each table and view of a DuckDB file, but those about the run itself, beside that of the same name in Spark's
    folder, in order of name."""
    with duckdb.connect(str(warehouse), read_only=True, config={"threads": 2}) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'main' order by 1"
        ).fetchall()
        return [_compared(connection, name, folder / name) for (name,) in names if name not in OF_THE_RUN]


def compare_files(theirs: Path, ours: Path) -> list[Parity]:
    """Each Parquet file of a folder of DuckDB's beside that of the same name in one of Spark's, in order of name."""
    names = [path.stem for path in sorted(theirs.glob("*.parquet"))]
    with duckdb.connect(config={"threads": 2}) as connection:
        for name in names:
            file = theirs / f"{name}.parquet"
            connection.execute(
                f"create view \"{name}\" as from read_parquet('{file}', hive_partitioning = false)"
            )
        return [_compared(connection, name, ours / f"{name}.parquet") for name in names]


def _compared(connection: duckdb.DuckDBPyConnection, name: str, files: Path) -> Parity:
    if not files.exists():
        return Parity(name, 0, 0, 0, problem="not on Spark")
    theirs, ours = (
        f'main."{name}"',
        f"read_parquet('{files}{'' if files.is_file() else '/*.parquet'}', hive_partitioning = false)",
    )
    declared = _types(connection, theirs)
    found = _types(connection, ours)
    if set(declared) != set(found):
        return Parity(name, 0, 0, 0, problem=f"columns: {sorted(set(declared) ^ set(found))}")
    left = {column: _comparable(column, kind, kind) for column, kind in declared.items()}
    right = {column: _comparable(column, kind, found[column]) for column, kind in declared.items()}
    rows, spark_rows = (
        connection.execute(f"select count(*) from {each}").fetchone()[0] for each in (theirs, ours)
    )
    try:
        different = _different(connection, ours, right, theirs, left)
        columns = [
            column
            for column in declared
            if different
            and _different(connection, ours, {column: right[column]}, theirs, {column: left[column]})
        ]
    except duckdb.Error as error:
        return Parity(name, rows, spark_rows, 0, problem=str(error).splitlines()[0])
    return Parity(name, rows, spark_rows, different, tuple(columns))


def _types(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe select * from {relation}").fetchall()}


def _comparable(column: str, declared: str, found: str) -> str:
    value = f'"{column}"'
    if declared in KEYS:
        return value if found == "BLOB" else f"unhex(lpad(hex({value}), 32, '0'))"
    if declared in ("DOUBLE", "FLOAT"):
        return f"round(cast({value} as double) + {SHIFT}, {DECIMALS})"
    if declared.startswith("MAP"):
        return f"list_sort(map_entries(cast({value} as {declared})))"
    return value if found == declared else f"cast({value} as {declared})"


def _different(
    connection: duckdb.DuckDBPyConnection,
    ours: str,
    right: dict[str, str],
    theirs: str,
    left: dict[str, str],
) -> int:
    return connection.execute(
        f"select count(*) from (select {', '.join(right.values())} from {ours}"
        f" except all select {', '.join(left.values())} from {theirs})"
    ).fetchone()[0]
