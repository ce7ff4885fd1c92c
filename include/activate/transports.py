"""Ways to a destination: a folder, requests, a table. Each takes one file of rows, and may be asked for it again."""

from __future__ import annotations

import filecmp
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import adbc_driver_manager
import duckdb
import httpx

from include.activate.bodies import BUILDERS, CONSENT, Context, Row
from include.activate.files import Action, Layout, rows_of
from include.extract.connectors.connections import Connection, connection_of
from include.extract.connectors.postgres import libpq_uri
from include.extract.sql import identifier
from include.lake import replacing
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Destination, HttpDelivery, TableDelivery

PAUSES = (1.0, 5.0, 25.0)  # seconds before another try, unless the platform says how many
LONGEST_PAUSE = 120.0
PASSING = (408, 425, 429, 500, 502, 503, 504)
KEY_CHARACTERS = 32
MESSAGE_CHARACTERS = 200
OURS = re.compile(r"\d{4}-\d\d-\d\d_[0-9a-f]{12}_.+_(add|remove|full)(_\d+)?\.(csv|jsonl)$")
# A platform may repeat what it was sent: hashes, tokens and addresses are in no message.
SECRET = re.compile(r"[A-Za-z0-9+/=_-]{32,}|[^\s\"']+@[^\s\"']+")


@dataclass
class Receipt:
    """What became of a file: how many batches were taken, in how many attempts, and rows that could not be read."""

    batches: int = 0
    attempts: int = 0
    refused_rows: int = 0


class DeliveryFailed(Exception):
    """A destination that did not take a file. It `may_pass` when another try can succeed."""

    def __init__(self, reason: str, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


@dataclass(frozen=True)
class Parcel:
    """One file of rows for one audience of a destination, which are put into `place`, as `Destination.place_of`;
    `acknowledged` are the keys of the requests that were taken already, to which `acknowledge` adds one."""

    action: Action
    path: Path
    layout: Layout
    audience_id: str
    place: tuple[str, ...]
    release_id: str
    state: str
    days: int | None
    acknowledged: frozenset[str] = frozenset()
    acknowledge: Callable[[str], None] = field(default=lambda key: None)


class Transport(Protocol):
    """A way to a destination. Raises DeliveryFailed; `receipt` then says how far it came."""

    def send(self, parcel: Parcel, receipt: Receipt, engine: duckdb.DuckDBPyConnection) -> None: ...


@dataclass(frozen=True)
class Folder:
    """Puts files where somebody else collects them, named by the release, and takes away those of days long past.
    Changes that wait to be collected stay: those that an erasure makes on the same release get a number."""

    folder: Path
    keep_days: int

    def send(self, parcel: Parcel, receipt: Receipt, engine: duckdb.DuckDBPyConnection) -> None:
        receipt.attempts += 1
        try:
            with replacing(self._path(parcel)) as temporary:
                shutil.copyfile(parcel.path, temporary)
            self._forget(date.fromisoformat(parcel.release_id[:10]))
        except OSError as error:
            raise DeliveryFailed(f"{self.folder}: {error.strerror}", may_pass=True) from None
        receipt.batches += 1

    def _path(self, parcel: Parcel) -> Path:
        name = f"{parcel.release_id}_{parcel.audience_id}_{parcel.action}"
        numbers = ("" if number == 1 else f"_{number}" for number in count(1))
        paths = (self.folder / f"{name}{number}.{parcel.layout.file}" for number in numbers)
        if parcel.action == "full":
            return next(paths)
        return next(
            path for path in paths if not path.exists() or filecmp.cmp(path, parcel.path, shallow=False)
        )

    def _forget(self, day: date) -> None:
        oldest = f"{day - timedelta(days=self.keep_days):%Y-%m-%d}"
        for path in self.folder.iterdir():
            if OURS.match(path.name) and path.name[:10] < oldest:
                path.unlink()


@dataclass(frozen=True)
class Requests:
    """Sends rows in batches, each with a key by which the platform knows one that it has taken already."""

    destination: Destination
    delivery: HttpDelivery
    connection: Connection
    retry_after: Callable[[float], None] = time.sleep

    def send(self, parcel: Parcel, receipt: Receipt, engine: duckdb.DuckDBPyConnection) -> None:
        http = self.destination.layout.http
        verb, path = http.add if parcel.action == "add" else http.remove
        path = getattr(self.delivery, parcel.action) or path
        _, list_id, _, account, account_type = (*parcel.place, "", "")[:5]
        context = Context(list_id, account, account_type, parcel.audience_id, parcel.days)
        path = path.replace("{list}", context.list_id).replace("{account}", context.account)
        headers = {"Content-Type": "application/json"} | dict(http.headers or {}) | self.delivery.headers
        if self.connection.password:
            headers["Authorization"] = f"Bearer {self.connection.password}"
        timeout = self.delivery.timeout_seconds
        with httpx.Client(base_url=self._address(), headers=headers, timeout=timeout) as client:
            for number, batch in enumerate(_batches(parcel, http.rows, engine)):
                body = json.dumps(
                    BUILDERS[http.body](parcel.action, batch, context), separators=(",", ":")
                ).encode()
                told = [parcel.release_id, parcel.state, parcel.audience_id, parcel.action, str(number)]
                key = hashlib.sha256("|".join(told).encode() + b"|" + body).hexdigest()[:KEY_CHARACTERS]
                if key not in parcel.acknowledged:
                    answer = self._ask(client, verb, path, body, key, receipt)
                    receipt.refused_rows += _refused(answer, http.refused)
                    parcel.acknowledge(key)
                receipt.batches += 1

    def _ask(
        self, client: httpx.Client, verb: str, path: str, body: bytes, key: str, receipt: Receipt
    ) -> httpx.Response:
        for pause in (*PAUSES, None):
            receipt.attempts += 1
            try:
                answer = client.request(verb, path, content=body, headers={"Idempotency-Key": key})
            except httpx.TransportError as error:
                reason, may_pass, asked = f"{type(error).__name__}", True, None
            else:
                if answer.is_success:
                    return answer
                reason, may_pass = self._reason(answer), answer.status_code in PASSING
                asked = _seconds(answer.headers.get("Retry-After"))
            if not may_pass or pause is None:
                break
            self.retry_after(pause if asked is None else min(asked, LONGEST_PAUSE))
        raise DeliveryFailed(f"{verb} {path}: {reason}", may_pass)

    def _reason(self, answer: httpx.Response) -> str:
        said = SECRET.sub("***", self.connection.hide(answer.text))[:MESSAGE_CHARACTERS]
        return f"{answer.status_code} {answer.reason_phrase}" + (f", {said}" if said else "")

    def _address(self) -> str:
        host = self.connection.host
        if "://" not in host:
            host = f"{self.connection.schema or 'https'}://{host}"
        return f"{host.rstrip('/')}:{self.connection.port}" if self.connection.port else host


@dataclass(frozen=True)
class Table:
    """Keeps the rows of all audiences in one table, each with its `audience`. A file is taken whole or not at all."""

    delivery: TableDelivery
    connection: Connection

    def send(self, parcel: Parcel, receipt: Receipt, engine: duckdb.DuckDBPyConnection) -> None:
        receipt.attempts += 1
        try:
            with closing(self._connected()) as database, closing(database.cursor()) as cursor:
                self._write(parcel, cursor, engine)
                database.commit()
        except adbc_driver_manager.Error as error:
            reason = SECRET.sub("***", self.connection.hide(str(error)))[:MESSAGE_CHARACTERS]
            raise DeliveryFailed(f"table {self.delivery.table}: {reason}", may_pass=True) from None
        receipt.batches += 1

    def _write(self, parcel: Parcel, cursor: Any, engine: duckdb.DuckDBPyConnection) -> None:
        table = ".".join(identifier(part) for part in self.delivery.table.split("."))
        columns = [identifier(name) for name in parcel.layout.columns]
        same = " and ".join(f"coalesce(held.{name}, '') = coalesce(sent.{name}, '')" for name in columns)
        typed = ", ".join(f"{name} text" for name in columns)
        cursor.execute(f"create table if not exists {table} (audience text, {typed})")
        batches = engine.execute(f"from {rows_of(parcel.path, parcel.layout)}").to_arrow_reader()
        cursor.adbc_ingest("tandem_sent", batches, mode="create", temporary=True)
        audience = "'" + parcel.audience_id + "'"
        if parcel.action == "remove":
            cursor.execute(
                f"delete from {table} as held where audience = {audience} "
                f"and exists (select 1 from tandem_sent as sent where {same})"
            )
        else:
            listed = ", ".join(columns)
            cursor.execute(
                f"insert into {table} (audience, {listed}) select {audience}, {listed} from tandem_sent as sent "
                f"where not exists (select 1 from {table} as held where held.audience = {audience} and {same})"
            )
        cursor.execute("drop table tandem_sent")

    def _connected(self) -> Any:
        if self.connection.type in ("postgres", "postgresql"):
            from adbc_driver_postgresql import dbapi

            return dbapi.connect(libpq_uri(self.connection), autocommit=False)
        if self.connection.type == "sqlite":
            from adbc_driver_sqlite import dbapi

            return dbapi.connect(self.connection.host or self.connection.schema, autocommit=False)
        raise DeliveryFailed(
            f"connection {self.connection.connection_id!r} is of the type {self.connection.type!r}, allowed: postgres, "
            "sqlite"
        )


def transport_to(destination: Destination, configuration: Configuration, settings: Settings) -> Transport:
    """The way to a destination that has a delivery. Raises StepFailed when its Airflow connection is not there."""
    delivery = destination.deliver
    if delivery.to == "folder":
        folder = delivery.seen_from(configuration.folder, settings.data)
        return Folder(folder, configuration.privacy.keep_releases_days)
    connection = connection_of(delivery.connection, settings)
    if delivery.to == "http":
        return Requests(destination, delivery, connection)
    return Table(delivery, connection)


def _batches(parcel: Parcel, size: int, engine: duckdb.DuckDBPyConnection) -> Iterator[list[Row]]:
    """The rows of a file in its order, at most `size` at a time; rows of one batch agree in their consent."""
    cursor = engine.execute(f"from {rows_of(parcel.path, parcel.layout)}")
    while fetched := cursor.fetchmany(size):
        rows = (dict(zip(parcel.layout.columns, row, strict=True)) for row in fetched)
        for _, agreeing in groupby(rows, lambda row: row.get(CONSENT)):
            yield list(agreeing)


def _refused(answer: httpx.Response, name: str | None) -> int:
    """How many rows the platform says that it could not read."""
    if name is None:
        return 0
    try:
        found = answer.json()
    except ValueError:
        return 0
    count = found.get(name) if isinstance(found, dict) else None
    return count if isinstance(count, int) else 0


def _seconds(text: str | None) -> float | None:
    try:
        return max(float(text), 0.0) if text else None
    except ValueError:  # a date: the next pause of our own will do
        return None
