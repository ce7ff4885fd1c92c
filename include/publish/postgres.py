"""PostgreSQL as a place where readers find releases.

A release is a schema of its own. What readers name (`cdp.customers`) is a view over the releases' tables that shows
the one in `tandem.current_release`, so that readers move on with the commit of one changed row: nobody waits for
anybody, a statement sees one release, and so does a whole transaction that is repeatable read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import adbc_driver_manager
import duckdb
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from include.extract.connectors.connections import Connection
from include.extract.connectors.postgres import explained, libpq_uri
from include.extract.connectors.rows import DatabaseAway, DatabaseRefused
from include.extract.sql import identifier, literal
from include.ledger import SourceUnreachable, StepFailed
from include.publish.content import schema_version_of
from include.publish.database import DATABASE
from include.publish.manifest import read_manifest
from include.publish.place import Edition
from include.publish.tables import published_tables
from include.settings import settings

SCALARS = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamptz",  # every time in a release is UTC
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
STATE = (
    "create schema if not exists tandem",
    "create table if not exists tandem.releases (name text primary key)",
    "create table if not exists tandem.release_tables ("
    "name text references tandem.releases on delete cascade, side text, table_name text, family text, "
    "primary key (name, side, table_name))",
    "create table if not exists tandem.current_release (name text references tandem.releases)",
)
LOCK = 0x7461_6E64_656D  # of the transactions that change what is held: two runs take turns
INDEXED_BYTES = 2000  # a B-tree of PostgreSQL takes no longer key
ROWS_A_BATCH = 50_000
WAIT_TO_SHOW, WAIT_TO_DROP = "2s", "500ms"
LOCK_NOT_AVAILABLE = "55P03"
TRIES, PAUSE = 5, 1.0

Execute = Callable[[str], list[tuple]]


@dataclass(frozen=True)
class Table:
    """One table of a release: `columns` map names to DuckDB types, `family` is the table over all releases that give
    it the same columns."""

    side: str
    name: str
    path: Path
    columns: dict[str, str]

    @property
    def child(self) -> str:
        return f"{self.side}_{self.name}"

    @property
    def family(self) -> str:
        return f"{self.child}_{schema_version_of(self.columns)[:8]}"

    @property
    def definition(self) -> str:
        return ", ".join(f"{identifier(name)} {postgres_type(kind)}" for name, kind in self.columns.items())


class PostgresPlace:
    """One connection to the database that readers use, and the role that may read there."""

    def __init__(self, connection: dbapi.Connection, reader: str) -> None:
        self._connection, self._reader = connection, reader

    def prepare(self) -> None:
        """Make the schema `tandem` and the reading role, when they are not there."""
        with self._transaction() as execute:
            execute(f"select pg_advisory_xact_lock({LOCK})")
            for statement in STATE:
                execute(statement)
            if not execute(f"select 1 from pg_roles where rolname = {literal(self._reader)}"):
                execute(f"create role {identifier(self._reader)} nologin")
            execute(f"grant usage on schema tandem to {identifier(self._reader)}")
            execute(f"grant select on tandem.current_release to {identifier(self._reader)}")

    def held(self) -> tuple[str, ...]:
        with self._transaction() as execute:
            return tuple(name for (name,) in execute("select name from tandem.releases order by name"))

    def load(self, edition: Edition) -> None:
        """One transaction: when it breaks off, nothing of it is there."""
        tables = _tables(edition.path)
        schema = _schema_of(edition.name)
        with self._transaction() as execute, _open_source() as source:
            execute(f"select pg_advisory_xact_lock({LOCK})")
            if execute(f"select 1 from tandem.releases where name = {literal(edition.name)}"):
                return  # another run was faster
            execute(f"create schema {identifier(schema)}")
            for table in tables:
                self._load_table(execute, table, source, schema, edition.name)
            execute(f"insert into tandem.releases values ({literal(edition.name)})")
            for table in tables:
                self._join_family(execute, table, schema, edition.name)
            _say(execute, _comments(edition.path / DATABASE, schema))
            reader = identifier(self._reader)
            execute(f"grant usage on schema {identifier(schema)} to {reader}")
            execute(f"grant select on all tables in schema {identifier(schema)} to {reader}")

    def point_readers_to(self, name: str) -> None:
        """One transaction. Only a table whose columns changed gets a new view, which waits for those who read it."""

        def show() -> None:
            with self._transaction() as execute:
                execute(f"select pg_advisory_xact_lock({LOCK})")
                if execute("select name from tandem.current_release") == [(name,)]:
                    return
                execute(f"set local lock_timeout = '{WAIT_TO_SHOW}'")
                self._make_views(execute, name)
                execute(_COMMENT_VIEWS.format(schema=_schema_of(name), name=name))
                execute("delete from tandem.current_release")
                execute(f"insert into tandem.current_release values ({literal(name)})")

        _while_locked(show)

    def drop(self, name: str) -> bool:
        def remove() -> None:
            with self._transaction() as execute:
                execute(f"select pg_advisory_xact_lock({LOCK})")
                execute(f"set local lock_timeout = '{WAIT_TO_DROP}'")
                execute(f"drop schema if exists {identifier(_schema_of(name))} cascade")
                families = execute(f"select family from tandem.release_tables where name = {literal(name)}")
                execute(f"delete from tandem.releases where name = {literal(name)}")
                for (family,) in families:
                    if not execute(f"select 1 from tandem.release_tables where family = {literal(family)}"):
                        execute(f"drop table tandem.{identifier(family)}")

        try:
            _while_locked(remove, tries=1)
        except _Locked:
            return False
        return True

    def _load_table(
        self, execute: Execute, table: Table, source: duckdb.DuckDBPyConnection, schema: str, name: str
    ) -> None:
        relation = f"{identifier(schema)}.{identifier(table.child)}"
        execute(
            f"create table {relation} ({table.definition}, release_name text not null default {literal(name)}, "
            f"check (release_name = {literal(name)}))"
        )
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table.child, _batches(source, table), mode="append", db_schema_name=schema)
        key = _indexed_columns(source, table)
        if key:
            unique = "unique " if _key_of(table) == key else ""
            columns = ", ".join(map(identifier, key))
            execute(f"create {unique}index on {relation} ({columns})")
        execute(f"analyze {relation}")

    def _join_family(self, execute: Execute, table: Table, schema: str, name: str) -> None:
        """Attaching takes no lock that readers of other releases would feel: the check says what the table holds."""
        family = f"tandem.{identifier(table.family)}"
        execute(
            f"create table if not exists {family} ({table.definition}, release_name text not null) "
            "partition by list (release_name)"
        )
        child = f"{identifier(schema)}.{identifier(table.child)}"
        execute(f"alter table {family} attach partition {child} for values in ({literal(name)})")
        values = ", ".join(map(literal, (name, table.side, table.name, table.family)))
        execute(f"insert into tandem.release_tables values ({values})")

    def _make_views(self, execute: Execute, name: str) -> None:
        shown = _views(execute, "(select name from tandem.current_release)")
        wanted = _views(execute, literal(name))
        for view in shown.keys() - wanted.keys():
            execute(f"drop view if exists {view}")
        reader = identifier(self._reader)
        for view, (family, columns) in sorted(wanted.items()):
            before = shown.get(view)
            if before and before[0] == family:
                continue
            if before and columns[: len(before[1])] != before[1]:
                # Only columns at the end may be added to a view that stays.
                execute(f"drop view {view}")
            schema = view.partition(".")[0]
            execute(f"create schema if not exists {schema}")
            names = ", ".join(column for column, _ in columns)
            execute(
                f"create or replace view {view} as select {names} from tandem.{identifier(family)} "
                "where release_name = (select name from tandem.current_release)"
            )
            execute(f"grant usage on schema {schema} to {reader}")
            execute(f"grant select on {view} to {reader}")

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        """One statement after the other, committed at the end, undone when one fails."""

        def execute(statement: str) -> list[tuple]:
            with self._connection.cursor() as cursor:
                try:
                    cursor.execute(statement)
                    return cursor.fetchall() if cursor.description else []
                except adbc_driver_manager.Error as error:
                    if error.sqlstate == LOCK_NOT_AVAILABLE:
                        raise _Locked("a reader holds a table that is to change") from None
                    raise

        try:
            with explained():
                yield execute
                self._connection.commit()
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """A connection that is lost has undone it already."""
        with suppress(adbc_driver_manager.Error):
            self._connection.rollback()


def _views(execute: Execute, name: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """What readers are to name while a release is shown: per view its family, and the columns with their types."""
    rows = execute(
        f"""
        select
            quote_ident(listed.side) || '.' || quote_ident(listed.table_name),
            listed.family,
            quote_ident(attribute.attname),
            format_type(attribute.atttypid, attribute.atttypmod)
        from tandem.release_tables as listed
        inner join pg_attribute as attribute
            on attribute.attrelid = ('tandem.' || quote_ident(listed.family))::regclass
        where listed.name = {name} and attribute.attnum > 0 and attribute.attname <> 'release_name'
        order by listed.side, listed.table_name, attribute.attnum
        """
    )
    views: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for view, family, column, kind in rows:
        views.setdefault(view, (family, []))[1].append((column, kind))
    return views


@contextmanager
def open_postgres(connection: Connection, reader: str) -> Iterator[PostgresPlace]:
    """Yield the place that a connection leads to. Raises SourceUnreachable, and StepFailed with the server's reason."""
    title = f"publish: PostgreSQL {'/'.join(part for part in (connection.host, connection.schema) if part)}"
    try:
        with explained(), dbapi.connect(libpq_uri(connection), autocommit=False) as opened:
            place = PostgresPlace(opened, reader)
            place.prepare()
            yield place
    except DatabaseAway as error:
        raise SourceUnreachable(f"{title} does not answer ({connection.hide(str(error))})") from None
    except DatabaseRefused as error:
        reason = connection.hide(str(error))
        raise StepFailed(f"{title} refuses, its readers stay on the release before: {reason}") from None


def postgres_type(kind: str) -> str:
    """The type in PostgreSQL of a DuckDB type; what has parts is jsonb."""
    if kind.startswith("DECIMAL("):
        return kind.lower().replace("decimal", "numeric")
    return SCALARS.get(kind, "jsonb")


class _Locked(StepFailed):
    """Somebody holds a lock for longer than others are to wait behind us."""


def _while_locked(attempt: Callable[[], None], tries: int = TRIES) -> None:
    """Try again while somebody reads what has to change. Between the tries those who wait behind us go on."""
    for number in range(1, tries + 1):
        try:
            attempt()
            return
        except _Locked:
            if number == tries:
                raise
            time.sleep(PAUSE)


def _tables(release: Path) -> list[Table]:
    manifest = read_manifest(release)
    return [
        Table(*entry["table"].split("/"), release / entry["path"], entry["columns"])
        for entry in manifest["files"]
        if "table" in entry
    ]


def _schema_of(name: str) -> str:
    return "release_" + name.replace("-", "_")


def _open_source() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config=settings().limits)


def _batches(source: duckdb.DuckDBPyConnection, table: Table) -> pa.RecordBatchReader:
    """The rows as a stream of Arrow batches of types that the driver copies in binary."""
    columns = ", ".join(
        f"{_as_sent(name, kind)} as {identifier(name)}" for name, kind in table.columns.items()
    )
    reader = source.execute(f"select {columns} from {_parquet(table)}").to_arrow_reader(ROWS_A_BATCH)
    is_json = [postgres_type(kind) == "jsonb" for kind in table.columns.values()]
    schema = pa.schema(
        pa.field(field.name, pa.json_(pa.string()) if json else field.type)
        for field, json in zip(reader.schema, is_json, strict=True)
    )
    batches = (
        pa.RecordBatch.from_arrays(
            [
                pa.ExtensionArray.from_storage(pa.json_(pa.string()), column) if json else column
                for column, json in zip(batch.columns, is_json, strict=True)
            ],
            schema=schema,
        )
        for batch in reader
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _as_sent(name: str, kind: str) -> str:
    """A column as PostgreSQL takes it. Its text knows no NUL, so a mark stands for one."""
    column = identifier(name)
    if kind == "VARCHAR":
        return f"replace({column}, chr(0), chr(65533))"
    if kind == "TINYINT":
        return f"cast({column} as smallint)"
    if postgres_type(kind) == "jsonb":
        return rf"replace(cast(to_json({column}) as varchar), '\u0000', '\ufffd')"
    return column


def _key_of(table: Table) -> tuple[str, ...]:
    return next(
        (each.key for each in published_tables() if (each.side, each.name) == (table.side, table.name)), ()
    )


def _indexed_columns(source: duckdb.DuckDBPyConnection, table: Table) -> tuple[str, ...]:
    """The grain, or the customer where no grain is promised; none when a value is too long for an index."""
    key = _key_of(table) or tuple(name for name in ("customer_id",) if name in table.columns)
    if not key:
        return ()
    length = " + ".join(f"coalesce(strlen(cast({identifier(column)} as varchar)), 0)" for column in key)
    longest = source.execute(f"select coalesce(max({length}), 0) from {_parquet(table)}").fetchone()[0]
    return key if longest <= INDEXED_BYTES else ()


def _comments(database: Path, schema: str) -> list[str]:
    """The release's own descriptions, as statements over its tables in a schema."""
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name || '_' || table_name, comment from duckdb_tables() "
            "where comment is not null order by all"
        ).fetchall()
        columns = connection.execute(
            "select schema_name || '_' || table_name, column_name, comment from duckdb_columns() "
            "where comment is not null and not internal order by all"
        ).fetchall()
    place = identifier(schema)
    return [
        *(f"comment on table {place}.{identifier(table)} is {literal(text)}" for table, text in tables),
        *(
            f"comment on column {place}.{identifier(table)}.{identifier(column)} is {literal(text)}"
            for table, column, text in columns
        ),
    ]


def _say(execute: Execute, statements: list[str]) -> None:
    if statements:
        execute(f"do $tandem$ begin {'; '.join(statements)}; end $tandem$")


# The views say what the tables of the release that they show say.
_COMMENT_VIEWS = """
do $tandem$
declare
    said record;
begin
    for said in
        select
            case when attribute.attname is null then 'view' else 'column' end as what,
            quote_ident(listed.side) || '.' || quote_ident(listed.table_name)
                || coalesce('.' || quote_ident(attribute.attname), '') as subject,
            description.description
        from tandem.release_tables as listed
        inner join pg_description as description
            on description.objoid = (
                quote_ident('{schema}') || '.' || quote_ident(listed.side || '_' || listed.table_name)
            )::regclass
            and description.classoid = 'pg_class'::regclass
        left join pg_attribute as attribute
            on attribute.attrelid = description.objoid and attribute.attnum = description.objsubid
            and description.objsubid > 0
        where listed.name = '{name}'
    loop
        execute format('comment on %s %s is %L', said.what, said.subject, said.description);
    end loop;
end
$tandem$
"""


def _parquet(table: Table) -> str:
    return f"read_parquet({literal(str(table.path))}, hive_partitioning = false)"
