"""Every other database that SQLAlchemy has a dialect for, through cursors on its server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from include.extract.connectors.connections import Connection
from include.extract.connectors.rows import DatabaseAway, DatabaseRefused, Request, Rows, missing
from include.extract.sql import identifier, literal
from include.settings import Settings

ROWS_AT_ONCE = 20_000
DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}
MYSQL_PASSING = (1040, 1205, 1213, 2002, 2003, 2006, 2013)
MYSQL_MISSING_TABLE, MYSQL_MISSING_COLUMN = 1146, 1054
MYSQL_EXTRA = ("charset", "unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname")
WHOLE_NUMBERS = range(-(2**63), 2**63)
MAX_DIGITS = 38


@contextmanager
def read_any_database(
    source: Connection, request: Request, folder: Path, settings: Settings
) -> Iterator[Rows]:
    """The rows of a request, in one transaction, by parts that are written to `folder` as Parquet files.

    A driver gives Python objects, so each part has the types of its own values; together they have the types that
    hold them all.
    """
    parts = folder / "parts"
    parts.mkdir(exist_ok=True)
    for old in parts.iterdir():  # of a try that broke off
        old.unlink()
    with _explained(source), _open(source) as connection:
        quote = connection.dialect.identifier_preparer.quote
        names = _names(connection, request, quote)
        request.check_columns(names)
        columns = ", ".join(quote(name) for name in names)
        condition = request.condition(quote(request.watermark or "tandem"), ":tandem_start", ":tandem_end")
        query = f"select {columns} from {request.relation(quote)} where {condition}"
        window = _window(connection, request, quote)
        try:
            result = connection.execution_options(stream_results=True, max_row_buffer=ROWS_AT_ONCE).execute(
                _text(query), window
            )
        except DBAPIError as error:
            if _code(error) == MYSQL_MISSING_COLUMN:
                raise missing("column", str(error.orig).split("'")[1], names) from None
            raise
        present = {}
        with result:
            for number, rows in enumerate(result.partitions(ROWS_AT_ONCE)):
                arrays = {
                    name: array
                    for name, values in zip(names, zip(*rows, strict=True), strict=True)
                    if (array := as_array(values)) is not None
                }
                # A part with nothing but empty columns still has its rows.
                arrays |= {"tandem_part": pa.array([number] * len(rows), pa.int64())}
                present |= arrays
                pq.write_table(pa.table(arrays), parts / f"{number:06}.parquet", compression="zstd")
    values = {name: identifier(name) if name in present else "null::varchar" for name in names}
    if present:
        yield Rows(values, f"read_parquet({literal(str(parts / '*.parquet'))}, union_by_name = true)")
    else:
        yield Rows(dict.fromkeys(names, "null::varchar"), "(select 1 where false)")


def as_array(values: Sequence[Any]) -> pa.Array | None:
    """Python values of a column as Arrow; None when there are none. Decimals of one scale stay decimals, and what
    Arrow has no type for becomes text: other decimals digit by digit, bytes in hexadecimal, lists as JSON."""
    types = {type(value) for value in values if value is not None}
    if not types:
        return None
    if types == {bool} or types == {str} or types == {date}:
        return pa.array(values)
    if types == {int} and all(value is None or value in WHOLE_NUMBERS for value in values):
        return pa.array(values, pa.int64())
    if types == {float}:
        return pa.array(values, pa.float64())
    if types == {datetime}:
        zones = {value.tzinfo is not None for value in values if value is not None}
        if len(zones) == 1:
            return pa.array(values, pa.timestamp("us", tz="UTC" if zones.pop() else None))
    if types == {Decimal}:
        scales = {value.as_tuple().exponent for value in values if value is not None}
        digits = max(len(value.as_tuple().digits) for value in values if value is not None)
        if (
            len(scales) == 1
            and isinstance(scale := -scales.pop(), int)
            and scale >= 0
            and digits <= MAX_DIGITS
        ):
            return pa.array(values, pa.decimal128(MAX_DIGITS, scale))
    return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)


@contextmanager
def _open(source: Connection) -> Iterator[sa.Connection]:
    is_mysql = source.type in ("mysql", "mariadb")
    extra = {key: str(value) for key, value in source.extra.items() if not is_mysql or key in MYSQL_EXTRA}
    url = sa.URL.create(
        DRIVERS.get(source.type, source.type.replace("-", "_")), source.login or None, source.password or None,
        source.host or None, source.port, source.schema or None, {"charset": "utf8mb4"} | extra if is_mysql else extra,
    )  # fmt: skip
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, connect_args={"connect_timeout": 10} if is_mysql else {}
        )
    except (NoSuchModuleError, ImportError) as error:
        raise DatabaseRefused(
            f"connections of the type {source.type!r} need a SQLAlchemy dialect that is not installed ({error})"
        ) from None
    with engine.connect() as connection:
        if is_mysql:
            connection.exec_driver_sql("set session time_zone = '+00:00'")
            connection.exec_driver_sql("set session transaction isolation level repeatable read, read only")
            connection.rollback()
        yield connection
    engine.dispose()


def _names(connection: sa.Connection, request: Request, quote: Any) -> list[str]:
    try:
        result = connection.execute(_text(f"select * from {request.relation(quote)} where 1 = 0"))
        names = list(result.keys())
        result.close()
    except DBAPIError as error:
        connection.rollback()
        inspector = sa.inspect(connection)
        schema, _, table = (request.table or "").rpartition(".")
        present = sorted(
            [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        )
        if table and table not in present:
            raise missing("table", table, present) from None
        raise error
    return names


def _window(connection: sa.Connection, request: Request, quote: Any) -> dict[str, Any]:
    """The ends of the window as values of the watermark's type, which one of its values shows."""
    if request.watermark is None:
        return {}
    column = quote(request.watermark)
    (shown,) = connection.execute(
        sa.select(sa.literal_column(column))
        .select_from(_text(request.relation(quote)))
        .where(sa.text(f"{column} is not null"))
        .limit(1)
    ).first() or ("",)
    ends = {"tandem_start": request.start, "tandem_end": request.end}
    if isinstance(shown, datetime):
        ends = {
            name: value and datetime(value.year, value.month, value.day, tzinfo=shown.tzinfo and UTC)
            for name, value in ends.items()
        }
    elif isinstance(shown, str):
        ends = {name: value and value.isoformat() for name, value in ends.items()}
    elif not isinstance(shown, date):
        raise DatabaseRefused(
            f"the watermark {request.watermark!r} holds values of the type {type(shown).__name__}, allowed: "
            "timestamps, dates, or text as ISO 8601 writes them; a query can give one"
        )
    return {name: value for name, value in ends.items() if value}


def _text(sql: str) -> sa.TextClause:
    """SQL in which only our own parameters are parameters."""
    escaped = sql.replace(":", "\\:")
    for name in ("tandem_start", "tandem_end"):
        escaped = escaped.replace(f"\\:{name}", f":{name}")
    return sa.text(escaped)


def _code(error: DBAPIError) -> Any:
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


@contextmanager
def _explained(source: Connection) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason, code = " ".join(str(error.orig).split()), _code(error)
        is_away = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        if source.type in ("mysql", "mariadb"):
            is_away = code in MYSQL_PASSING
        raise (DatabaseAway if is_away or error.connection_invalidated else DatabaseRefused)(reason) from None
    except SQLAlchemyError as error:
        raise DatabaseRefused(str(error).splitlines()[0]) from None
