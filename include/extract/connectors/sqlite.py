"""SQLite through ADBC, as a stream of Arrow batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import adbc_driver_manager
from adbc_driver_sqlite import dbapi

from include.extract.connectors.connections import Connection
from include.extract.connectors.rows import DatabaseAway, DatabaseRefused, Request, Rows, guarded, missing
from include.extract.sql import identifier
from include.settings import Settings

EXACT = 2**53  # beyond it a float has no place for every whole number
# An empty row before the others tells the driver the types, which it otherwise guesses from the first rows.
SENTINELS = {"integer": "0", "real": "0.5", "text": "''"}


@contextmanager
def read_sqlite(source: Connection, request: Request, folder: Path, settings: Settings) -> Iterator[Rows]:
    """The rows of a request, from a file opened for reading only, in one transaction.

    A column of SQLite holds values of any type, so what its values are decides: whole numbers, numbers, else text
    (blobs as hexadecimal digits). A relative path is relative to the configuration's folder.
    """
    path = settings.config / _path(source)
    if not path.is_file():
        raise DatabaseRefused(f"there is no file {path}")
    failures: list[Exception] = []
    uri = f"file:{quote(str(path))}?mode=ro"
    with _explained(), dbapi.connect(uri, autocommit=False) as connection, connection.cursor() as cursor:
        names = _names(cursor, request)
        request.check_columns(names)
        relation = request.relation(identifier)
        condition = request.condition(identifier(request.watermark or ""), "?", "?")
        window = [value.isoformat() for value in (request.start, request.end) if value]
        types = _types(cursor, names, f"from {relation} where {condition}", window, request)
        row = ", ".join(f"{SENTINELS[kind]} as {identifier(name)}" for name, (kind, _) in types.items())
        values = ", ".join(value for _, value in types.values())
        cursor.execute(f"select {row} union all select {values} from {relation} where {condition}", window)
        batches = guarded(cursor.fetch_record_batch(), 1, failures, DatabaseRefused)
        yield Rows({name: identifier(name) for name in names}, batches=batches, failures=failures)


def _names(cursor: dbapi.Cursor, request: Request) -> list[str]:
    try:
        cursor.execute(f"select * from {request.relation(identifier)} limit 0")
        return cursor.fetch_arrow_table().schema.names
    except adbc_driver_manager.Error as error:
        found = re.search(r"no such table: (\S+)", str(error))
        if found is None:
            raise
    cursor.execute("select name from sqlite_master where type in ('table', 'view') order by name")
    raise missing("table", found.group(1), [name for (name,) in cursor.fetchall()])


def _types(
    cursor: dbapi.Cursor, names: list[str], rest: str, window: list[str], request: Request
) -> dict[str, tuple[str, str]]:
    """For each column its type and the SQL of its value."""
    looked = ", ".join(
        f"group_concat(distinct typeof({name})),"
        f" max(typeof({name}) = 'integer' and {name} not between -{EXACT} and {EXACT})"
        for name in map(identifier, names)
    )
    try:
        cursor.execute(f"select {looked} {rest}", window)
    except adbc_driver_manager.Error as error:
        found = re.search(r"no such column: (\S+)", str(error))  # one of `where`
        if found is None:
            raise
        raise missing("column", found.group(1).strip('"'), names) from None
    (seen,) = cursor.fetchall()
    types = {}
    for position, name in enumerate(names):
        classes = set((seen[2 * position] or "").split(",")) - {"", "null"}
        types[name] = _as(identifier(name), classes, is_large=bool(seen[2 * position + 1]))
    if request.watermark is not None and types[request.watermark][0] != "text":
        raise DatabaseRefused(
            f"the watermark {request.watermark!r} holds numbers, allowed: text as ISO 8601 writes dates and times; "
            "a query can give one"
        )
    return types


def _as(name: str, classes: set[str], is_large: bool) -> tuple[str, str]:
    if classes == {"integer"}:
        return "integer", name
    if classes and classes <= {"integer", "real"} and not is_large:
        return "real", f"cast({name} as real)"
    return "text", f"case typeof({name}) when 'blob' then lower(hex({name})) else cast({name} as text) end"


def _path(source: Connection) -> str:
    """Where the file is: Airflow's form has it as host, a URI with three slashes as schema."""
    path = "/".join(part for part in (source.host, source.schema) if part)
    if not path or path == ":memory:":
        raise DatabaseRefused("the connection names no file: sqlite:////data/shop.db is /data/shop.db")
    return path


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        reason = str(error).partition("\nquery:")[0].rpartition("[SQLite] ")[2].strip().splitlines()[0]
        if "locked" in reason or "busy" in reason:
            raise DatabaseAway(reason) from None
        raise DatabaseRefused(reason) from None
