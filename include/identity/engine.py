"""Everything that differs between engines: how a table is made, a key is hashed, a file is read and written.

The other modules send plain statements in DuckDB's dialect, made with the functions below where a plain statement
does not do. DuckDB runs them as they are; for Spark they are translated, so that there is one copy of the logic.
What the translation cannot carry over without changing its meaning is an error, never a guess.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include import spark
from include.lake import scratch_folder

if TYPE_CHECKING:
    from include.spark import Session

DUCKDB, SPARK = "duckdb", "spark"
CODEC = "snappy"  # of what Spark keeps for minutes
ROWS_PER_GROUP = 122_880  # the size of DuckDB's row groups, fixed so that a file's bytes do not depend on it


class Engine(ABC):
    """Where the statements run; `statements` counts what it was asked to do."""

    def __init__(self) -> None:
        self.statements = 0

    @abstractmethod
    def create_table(self, name: str, query: str) -> None: ...

    @abstractmethod
    def create_view(self, name: str, query: str) -> None: ...

    @abstractmethod
    def insert(self, name: str, query: str) -> None: ...

    @abstractmethod
    def drop(self, *names: str) -> None: ...

    @abstractmethod
    def rows(self, query: str) -> list[tuple]: ...

    @abstractmethod
    def tables(self) -> set[str]:
        """The names of the tables that are there."""

    @abstractmethod
    def columns(self, path: Path) -> set[str]:
        """The column names of a Parquet file."""

    @abstractmethod
    def write(self, path: Path, schema: Mapping[str, str], query: str, order_by: str) -> None:
        """Write a query's rows, cast to `schema` and ordered by a unique key, as one Parquet file.

        The same rows give the same file.
        """

    @abstractmethod
    def beside(self) -> AbstractContextManager[DuckDBEngine]:
        """A DuckDB in this process for what is written for DuckDB alone, such as Splink's part; DuckDB's is itself."""

    @abstractmethod
    def show(self, name: str, query: str, beside: DuckDBEngine) -> None:
        """Have the rows of a query there under a name, which here is a relation with these columns."""

    @abstractmethod
    def take(self, name: str, beside: DuckDBEngine) -> None:
        """Have a table of DuckDB here, under its name."""

    def scalar(self, query: str) -> Any:
        """The first column of the first row, None when there is no row."""
        rows = self.rows(query)
        return rows[0][0] if rows else None


class DuckDBEngine(Engine):
    """An in-memory DuckDB that spills to its scratch folder."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__()
        self.connection = connection

    def create_table(self, name: str, query: str) -> None:
        self._execute(f"create table {name} as\n{query}")

    def create_view(self, name: str, query: str) -> None:
        self._execute(f"create view {name} as\n{query}")

    def insert(self, name: str, query: str) -> None:
        self._execute(f"insert into {name}\n{query}")

    def drop(self, *names: str) -> None:
        for name in names:
            self._execute(f"drop table if exists {name}")

    def rows(self, query: str) -> list[tuple]:
        return self._execute(query).fetchall()

    def tables(self) -> set[str]:
        return {row[0] for row in self.rows("select table_name from duckdb_tables()")}

    def columns(self, path: Path) -> set[str]:
        return {row[0] for row in self.rows(f"describe select * from {parquet(path)}")}

    def write(self, path: Path, schema: Mapping[str, str], query: str, order_by: str) -> None:
        self._execute(
            f"copy (\n{_typed(schema, query)}\norder by {order_by}\n)"
            f" to {text(str(path))} (format parquet, compression zstd, row_group_size {ROWS_PER_GROUP})"
        )

    @contextmanager
    def beside(self) -> Iterator[DuckDBEngine]:
        yield self

    def show(self, name: str, query: str, beside: DuckDBEngine) -> None:
        """It is there already."""

    def take(self, name: str, beside: DuckDBEngine) -> None:
        """It is here already."""

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        self.statements += 1
        return self.connection.execute(statement)


class SparkEngine(Engine):
    """A Spark session. A table is computed once, when it is made, and kept as Parquet in the scratch folder, which all
    executors must see: otherwise every round of an iteration would compute all before it. (Rows that are kept with
    the executors do not do: Spark goes on to estimate their number from what they came from, joins multiply, and
    after a few rounds it is busy with numbers of millions of digits.)
    """

    def __init__(self, session: Session, scratch: Path, threads: int, memory_limit: str) -> None:
        super().__init__()
        self.session = session
        self.scratch = scratch
        self._limits = (threads, memory_limit)
        self._tables: dict[str, Path] = {}

    def create_table(self, name: str, query: str) -> None:
        self._tables[name] = self.scratch / f"{name}-{self.statements}"
        self.statements += 1
        spark.write_files(self.session, _translated(query), self._tables[name], CODEC)
        spark.show_files(self.session, name, self._tables[name])

    def create_view(self, name: str, query: str) -> None:
        self.statements += 1
        self.session.sql(f"create temporary view {name} as\n{_translated(query)}")

    def insert(self, name: str, query: str) -> None:
        self.statements += 1
        added = _translated(query)
        kinds = spark.columns_of(self.session, f"select * from {name}")
        columns = [
            f"cast({spark.quoted(column)} as {kind}) as {spark.quoted(wanted)}"
            for column, (wanted, kind) in zip(
                spark.columns_of(self.session, added), kinds.items(), strict=True
            )
        ]
        cast = f"select {', '.join(columns)} from (\n{added}\n)"
        spark.append_files(self.session, cast, self._tables[name], CODEC)
        spark.show_files(self.session, name, self._tables[name])

    def drop(self, *names: str) -> None:
        for name in names:
            if name in self._tables:
                self.session.sql(f"drop view if exists {name}")
                shutil.rmtree(self._tables.pop(name))

    def rows(self, query: str) -> list[tuple]:
        self.statements += 1
        return [tuple(row) for row in self.session.sql(_translated(query)).collect()]

    def tables(self) -> set[str]:
        return set(self._tables)

    def columns(self, path: Path) -> set[str]:
        self.statements += 1
        return set(spark.columns_of(self.session, _translated(f"select * from {parquet(path)}")))

    def write(self, path: Path, schema: Mapping[str, str], query: str, order_by: str) -> None:
        self.statements += 1
        _, keys = _translated(f"select * from result order by {order_by}").split("ORDER BY ")
        with tempfile.TemporaryDirectory(prefix="write-", dir=self.scratch) as folder:
            files = Path(folder) / "files"
            spark.write_files(
                self.session, spark.in_one_part(_translated(_typed(schema, query)), keys), files
            )
            (part,) = files.glob("part-*.parquet")
            shutil.move(part, path)

    @contextmanager
    def beside(self) -> Iterator[DuckDBEngine]:
        with _duckdb(*self._limits, self.scratch / "beside") as engine:
            yield engine

    def show(self, name: str, query: str, beside: DuckDBEngine) -> None:
        folder = self.scratch / f"{name}-{self.statements}-shown"
        self.statements += 1
        rows = _translated(query)
        spark.write_files(self.session, rows, folder, CODEC)
        columns = [
            _number_of(column) if kind == "binary" else f'"{column}"'
            for column, kind in spark.columns_of(self.session, rows).items()
        ]
        beside.drop(name)
        beside.create_table(
            name, f"select {', '.join(columns)} from read_parquet({text(f'{folder}/*.parquet')})"
        )
        shutil.rmtree(folder)

    def take(self, name: str, beside: DuckDBEngine) -> None:
        described = beside.rows(f"describe select * from {name}")
        columns = [
            _bytes_of(column) if kind == "UHUGEINT" else f'"{column}"' for column, kind, *_ in described
        ]
        folder = self.scratch / f"{name}-{self.statements}"
        folder.mkdir()
        file = folder / "part-0.parquet"
        beside.connection.execute(f"copy (select {', '.join(columns)} from {name}) to {text(str(file))}")
        self._tables[name] = folder
        spark.show_files(self.session, name, folder)


@contextmanager
def opened(
    threads: int, memory_limit: str, scratch: Path, target: str = DUCKDB, spark_master: str = ""
) -> Iterator[Engine]:
    """The engine of that target; it spills below `scratch` and leaves nothing there."""
    with scratch_folder(scratch, "resolve") as folder:
        if target == SPARK:
            with spark.spark_session(threads, memory_limit, folder, spark_master) as session:
                yield SparkEngine(session, folder, threads, memory_limit)
        else:
            with _duckdb(threads, memory_limit, folder) as engine:
                yield engine


@contextmanager
def _duckdb(threads: int, memory_limit: str, folder: Path) -> Iterator[DuckDBEngine]:
    options = {
        "threads": threads,
        "memory_limit": memory_limit,
        "temp_directory": str(folder),
        # Files are written in an order of their own; in between, rows need not wait for each other.
        "preserve_insertion_order": False,
    }
    with duckdb.connect(":memory:", config=options) as connection:
        yield DuckDBEngine(connection)


def _number_of(column: str) -> str:
    """A key of 128 bits as DuckDB has it, of Spark's sixteen bytes."""
    halves = (
        f"cast(cast('0x' || substr(hex(\"{column}\"), {begin}, 16) as ubigint) as uhugeint)"
        for begin in (1, 17)
    )
    return f'{next(halves)} * 18446744073709551616::uhugeint + {next(halves)} as "{column}"'


def _bytes_of(column: str) -> str:
    """A key of 128 bits as Spark has it, of DuckDB's number."""
    return f'unhex(lpad(to_hex("{column}"), 32, \'0\')) as "{column}"'


def parquet(path: Path) -> str:
    """A relation over a Parquet file."""
    return f"read_parquet({text(str(path))}, hive_partitioning = false)"


def hashed(expression: str) -> str:
    """A key of 128 bits: joins and groups cost a quarter of what they cost on hex strings."""
    return f"md5_number({expression})"


def matches(expression: str, pattern: str) -> str:
    """Whether a regular expression is found anywhere in the text."""
    return f"regexp_matches({expression}, {text(pattern)})"


def folded(expression: str) -> str:
    """A text in lower case without accents."""
    return f"lower(strip_accents({expression}))"


def listed(expression: str) -> str:
    """An aggregate: the distinct texts in order, with commas."""
    return f"string_agg(distinct {expression}, ', ' order by {expression})"


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def _translated(query: str) -> str:
    # DuckDB's statements need no translator, which takes half a second to import.
    from include.dialect import translated

    return translated(query)


def _typed(schema: Mapping[str, str], query: str) -> str:
    columns = ",\n    ".join(f"cast({column} as {kind}) as {column}" for column, kind in schema.items())
    return f"select\n    {columns}\nfrom (\n{query}\n) as result"
