"""Tables and queries of a database, each read into one Parquet file: whole, or what a day's window holds."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb

from include.extract.connectors.connections import Connection, find_connection
from include.extract.connectors.delivery import Delivery
from include.extract.connectors.retrying import try_again
from include.extract.connectors.rows import BATCHES, DatabaseAway, DatabaseRefused, Request, Rows
from include.extract.sql import identifier, literal
from include.ledger import SourceUnreachable, StepFailed
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel
    from include.extract.landing import Receipt

SORT_MEMORY = "400MB"  # rows beyond it are sorted on disk


class Reader(Protocol):
    """How one kind of database is read; `folder` is a place for what does not fit in memory.

    Raises DatabaseAway and DatabaseRefused.
    """

    def __call__(
        self, source: Connection, request: Request, folder: Path, settings: Settings
    ) -> AbstractContextManager[Rows]: ...


def find_reads(channel: Channel, day: date, settings: Settings, receipts: list[Receipt]) -> list[Delivery]:
    """One delivery per table of the channel, or one for its query, named so.

    With a watermark it is the day's: the rows from `lookback_days` before the end of the last day delivered up to
    the end of this one, at the first time all of them. Without one it is all that is there now.
    What was delivered for the day is not read again: the database has moved on, and a run repeats.
    """
    source, deliveries = channel.source, []
    for name in sorted(source.tables or [source.table or "query"]):
        own = [receipt for receipt in receipts if receipt.source_file == name]
        table = None if source.query else name
        if source.watermark is None:
            request = Request(table, source.query, source.where)
            known = [receipt for receipt in own if receipt.delivered_on >= day]
        else:
            earlier = [receipt.delivered_on for receipt in own if receipt.delivered_on < day]
            back = timedelta(days=source.lookback_days - 1)
            start = max(earlier) - back if earlier else None
            request = Request(
                table, source.query, source.where, source.watermark, start, day + timedelta(days=1)
            )
            known = [receipt for receipt in own if receipt.delivered_on == day]
        deliveries.append(
            Delivery(
                name=name,
                day=day if source.watermark else None,
                format="parquet",
                fetch=partial(_fetch, channel, request, settings),
                fingerprint=known[0].file_hash if known else None,
            )
        )
    return deliveries


def _fetch(channel: Channel, request: Request, settings: Settings, folder: Path) -> Path:
    """The rows of a request as a Parquet file in `folder`, in an order that only their content decides."""
    connection = find_connection(channel, settings)
    place = f"channel {channel.name}: {request.table or 'the query'} of {_place(connection)}"
    target = folder / "rows.parquet"

    def attempt() -> Path:
        try:
            with _reader(connection)(connection, request, folder, settings) as rows:
                _write(rows, request, target, folder, settings)
        except DatabaseAway as error:
            raise SourceUnreachable(f"{place} does not answer ({connection.hide(str(error))})") from None
        except DatabaseRefused as error:
            raise StepFailed(f"{place} cannot be read: {connection.hide(str(error))}") from None
        return target

    return try_again(attempt)


def _write(rows: Rows, request: Request, target: Path, folder: Path, settings: Settings) -> None:
    names = [identifier(name) for name in rows.columns]
    first = [identifier(request.watermark)] if request.watermark else []
    values = ", ".join(f"{sql} as {name}" for name, sql in zip(names, rows.columns.values(), strict=True))
    with duckdb.connect(":memory:", config={"threads": settings.threads}) as engine:
        engine.execute(f"set memory_limit = '{SORT_MEMORY}'")
        engine.execute("set temp_directory = ?", [str(folder / "spill")])
        engine.execute("set timezone = 'UTC'")
        if rows.batches is not None:
            engine.register(BATCHES, rows.batches)
        try:
            engine.execute(
                f"copy (select {values} from {rows.relation} order by {', '.join(first + names)})"
                f" to {literal(str(target))} (format parquet, compression zstd, row_group_size 122880)"
            )
        except duckdb.Error as error:
            if rows.failures:
                raise rows.failures[0] from None
            reason = str(error).strip().splitlines()[0]
            raise DatabaseRefused(f"a value does not fit ({reason}): read it as text, by a query") from None


def _reader(connection: Connection) -> Reader:
    if connection.type in ("postgres", "postgresql"):
        from include.extract.connectors.postgres import read_postgres

        return read_postgres
    if connection.type == "sqlite":
        from include.extract.connectors.sqlite import read_sqlite

        return read_sqlite
    from include.extract.connectors.any_database import read_any_database

    return read_any_database


def _place(connection: Connection) -> str:
    host = f"{connection.host}:{connection.port}" if connection.port else connection.host
    database = "/".join(part for part in (host, connection.schema) if part)
    login = f" as {connection.login}" if connection.login else ""
    return f"{connection.type} {database}{login}"
