"""PostgreSQL through ADBC: its COPY protocol as a stream of Arrow batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from include.extract.connectors.connections import Connection
from include.extract.connectors.rows import (
    DatabaseAway,
    DatabaseRefused,
    Request,
    Rows,
    guarded,
    missing,
)
from include.extract.sql import identifier
from include.settings import Settings

# What of a connection's extra libpq knows; Airflow keeps settings of its own hook beside it.
LIBPQ = (
    "application_name", "channel_binding", "connect_timeout", "gssencmode", "hostaddr", "keepalives",
    "keepalives_idle", "keepalives_interval", "keepalives_count", "krbsrvname", "options", "require_auth",
    "sslcert", "sslcrl", "sslkey", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert",
    "ssl_min_protocol_version", "target_session_attrs", "tcp_user_timeout",
)  # fmt: skip
PASSING_STATES = ("08", "40", "53", "57P", "58")
LASTING = re.compile(
    r"authentication failed|no password|does not exist|pg_hba|permission denied|certificate|SSL"
)
# The driver moves times to the epoch of 1970, and so moves PostgreSQL's infinities over the end of the integers.
SHIFTED_TIMES = (-(2**63) + 946_684_800_000_000 - 1, -(2**63) + 946_684_800_000_000)
SHIFTED_DATES = (-(2**31) + 10_957 - 1, -(2**31) + 10_957)


@contextmanager
def read_postgres(source: Connection, request: Request, folder: Path, settings: Settings) -> Iterator[Rows]:
    """The rows of a request, in one read-only transaction that sees one state of the database.

    The right to select is all that it needs. The window's ends are bound as settings of the transaction, because
    COPY itself takes no parameters.
    """
    failures: list[Exception] = []
    with (
        explained(),
        dbapi.connect(libpq_uri(source), autocommit=False) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("set transaction isolation level repeatable read read only")
        cursor.execute("set local timezone to 'UTC'")
        cursor.execute("set local datestyle to 'ISO'")
        schema = _schema(connection, cursor, request)
        request.check_columns(schema.names)
        condition = _condition(cursor, request, schema)
        columns = ", ".join(f"{_on_server(item)} as {identifier(item.name)}" for item in schema)
        query = f"select {columns} from {request.relation(identifier)} where {condition}"
        try:
            cursor.execute(query)
        except adbc_driver_manager.Error as error:
            if error.sqlstate == "42703":  # a column of `where`
                raise missing("column", _quoted(error), schema.names) from None
            raise
        batches = guarded(cursor.fetch_record_batch(), 0, failures, _broken_off)
        yield Rows({item.name: _in_duckdb(item) for item in schema}, batches=batches, failures=failures)


def _schema(connection: dbapi.Connection, cursor: dbapi.Cursor, request: Request) -> pa.Schema:
    """The columns of what is asked for. Raises DatabaseRefused with the nearest table when there is none."""
    try:
        cursor.execute(f"select * from {request.relation(identifier)} limit 0")
        return cursor.fetch_arrow_table().schema
    except adbc_driver_manager.Error as error:
        if error.sqlstate not in ("42P01", "3F000"):
            raise
        connection.rollback()
        cursor.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema not in ('pg_catalog', 'information_schema') order by table_schema, table_name"
        )
        named = request.table or _quoted(error)
        present = [f"{schema}.{table}" if "." in named else table for schema, table in cursor.fetchall()]
        raise missing("table", named, present) from None


def _condition(cursor: dbapi.Cursor, request: Request, schema: pa.Schema) -> str:
    """The condition of a request, with the ends of its window bound to settings of the transaction."""
    if request.watermark is None:
        return request.condition("", "", "")
    kind = schema.field(request.watermark).type
    if pa.types.is_timestamp(kind):
        cast = "timestamptz" if kind.tz else "timestamp"
    elif pa.types.is_date(kind):
        cast = "date"
    elif pa.types.is_string(kind):
        cast = "text"
    else:
        raise DatabaseRefused(
            f"the watermark {request.watermark!r} is of the type {kind}, allowed: a timestamp, a date, or text as "
            "ISO 8601 writes them; a query can give one"
        )
    for name, value in (("start", request.start), ("end", request.end)):
        cursor.execute(
            "select set_config($1, $2, true)", (f"tandem.{name}", value.isoformat() if value else "")
        )
        cursor.fetchall()
    start, end = (f"current_setting('tandem.{name}')::{cast}" for name in ("start", "end"))
    return request.condition(identifier(request.watermark), start, end)


def _on_server(column: pa.Field) -> str:
    """A column as it is asked for: as text what Arrow has no type for, and lists as JSON."""
    name, kind = identifier(column.name), column.type
    if _type_name(column) == "money":
        return f"{name}::numeric::text"
    if _type_name(column) == "inet":
        return f"abbrev({name})"  # as it is shown; a cast adds the mask of a single address
    if pa.types.is_list(kind):
        return f"to_json({name})::text"
    if pa.types.is_binary(kind):
        return f"encode({name}, 'hex')"
    is_plain = (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        or pa.types.is_string(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind)
    )  # fmt: skip
    return name if is_plain or _type_name(column) == "numeric" else f"{name}::text"


def _in_duckdb(column: pa.Field) -> str:
    name, kind = identifier(column.name), column.type
    if _type_name(column) == "numeric":
        modifier = int(column.metadata.get(b"POSTGRESQL:typmod", b"-1")) - 4
        precision, scale = modifier >> 16, modifier & 0x7FF
        return (
            f"{name}::decimal({precision}, {scale})" if modifier >= 0 and scale <= precision <= 38 else name
        )
    if pa.types.is_timestamp(kind):
        return _unshifted(name, f"epoch_us({name})", SHIFTED_TIMES, "timestamptz" if kind.tz else "timestamp")
    if pa.types.is_date(kind):
        return _unshifted(name, f"({name} - date '1970-01-01')", SHIFTED_DATES, "date")
    return name


def _unshifted(name: str, number: str, shifted: tuple[int, int], kind: str) -> str:
    positive, negative = shifted
    return (
        f"case {number} when {positive} then 'infinity'::{kind} when {negative} then '-infinity'::{kind}"
        f" else {name} end"
    )


def _type_name(column: pa.Field) -> str:
    return (column.metadata or {}).get(b"POSTGRESQL:type", b"").decode()


def libpq_uri(source: Connection) -> str:
    """libpq's URI; a socket's folder is a host too."""
    options = {key: str(value) for key, value in source.extra.items() if key in LIBPQ}
    options = {"application_name": "tandem", "connect_timeout": "10"} | options
    host = source.host
    if host.startswith("/"):
        options, host = {"host": host} | options, ""
    login = quote(source.login, safe="")
    if source.password:
        login += f":{quote(source.password, safe='')}"
    port = f":{source.port}" if source.port else ""
    return (
        f"postgresql://{login + '@' if login else ''}{quote(host, safe='[]:')}{port}/{quote(source.schema, safe='')}"
        f"?{urlencode(options, quote_via=quote)}"
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turn the driver's errors into DatabaseAway and DatabaseRefused, with what the server said in one line."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        reason = _reason(error)
        state = error.sqlstate or ""
        is_away = not state and error.status_code == adbc_driver_manager.AdbcStatusCode.IO
        if state.startswith(PASSING_STATES) or (is_away and not LASTING.search(reason)):
            raise DatabaseAway(reason) from None
        raise DatabaseRefused(reason) from None


def _broken_off(text: str) -> Exception:
    """What ended the rows before their end: an error of the query itself stays, a lost connection may not."""
    reason = _reason(text)
    lasts = (
        "ERROR:  " in text and "canceling statement" not in reason and "terminating connection" not in reason
    )
    return DatabaseRefused(reason) if lasts else DatabaseAway(f"it broke off, {reason}")


def _reason(error: object) -> str:
    """What the server or its client said, without what the driver puts around it."""
    text = str(error).partition("\nQuery was:")[0]
    for mark in ("ERROR:  ", "FATAL:  ", "[libpq] "):
        if mark in text:
            return text.partition(mark)[2].strip().splitlines()[0]
    return text.strip().splitlines()[0]


def _quoted(error: adbc_driver_manager.Error) -> str:
    """The name that the server did not find."""
    found = re.search(r'(?:relation|column|schema) "?([^\s"]+)"? does not exist', _reason(error))
    return found.group(1) if found else _reason(error)
