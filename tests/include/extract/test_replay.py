"""Quarantined rows are replayed: what can be read now lands in its place, nothing is lost and nothing comes twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from include.__main__ import main
from include.config import load_configuration
from include.extract.landing import read_receipts
from include.extract.replay import Replayed, replay_channel
from include.publish.reuse import hash_of_inputs
from include.settings import DEFAULT_CONFIG, settings
from tests.include.extract.conftest import DAY, Desk, reader

NAME = f"customers_{DAY}.csv"
HEADER = "id,updated_at,mail,born,shoe_size\n"
GERMAN_DATE = {"sql": "coalesce(try_cast(updated_at as timestamp), try_strptime(updated_at, '%d.%m.%Y'))"}


def remap(desk: Desk, **entries: object) -> None:
    """Correct the map of the channel, as its owner would in channels.yml."""
    known = desk.channel.model_dump()
    known["map"] = {
        name: {key: value for key, value in entry.items() if value is not None}
        for name, entry in known["map"].items()
    } | entries
    desk.channel = type(desk.channel).model_validate(known)


def relayout(desk: Desk, **layout: object) -> None:
    """Correct the layout of the channel's files."""
    known = desk.channel.source.model_dump() | layout
    desk.channel = desk.channel.model_copy(update={"source": type(desk.channel.source).model_validate(known)})


def replay(desk: Desk, day: date | None = None) -> list[Replayed]:
    """Replay the channel and hold it to the law: the same rows as before, each landed or quarantined."""
    before = [(receipt["source_file"], receipt["received"]) for receipt in desk.receipts()]
    replayed = replay_channel(desk.channel, desk.lake, desk.settings, day)
    receipts = desk.receipts()
    assert [(receipt["source_file"], receipt["received"]) for receipt in receipts] == before
    assert all(r["received"] == r["landed"] + r["quarantined"] for r in receipts)
    assert sum(r["landed"] for r in receipts) == desk.count("landing")
    assert sum(r["quarantined"] for r in receipts) == desk.count("quarantine")
    return replayed


def ids(desk: Desk, column: str = "record_id") -> list[tuple[int, str]]:
    return [(row["source_row"], row[column]) for row in desk.landed()]


def test_rows_of_a_clean_csv_land_in_their_place_once_the_map_reads_them(customers):
    customers.deliver(
        NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n,30.11.2017,c@x.org,,\n"
    )
    customers.extract()
    assert customers.reasons() == [
        (3, "unreadable:observed_at"),
        (4, "missing:record_id;unreadable:observed_at"),
    ]
    remap(customers, observed_at=GERMAN_DATE)
    (file,) = replay(customers)
    assert (file.source_file, file.landed, file.reasons) == (NAME, 1, {"missing:record_id": 1})
    assert ids(customers) == [(2, "1"), (3, "2")]
    assert customers.landed()[1]["observed_at"] == datetime(2017, 11, 30)
    assert customers.landed()[1]["attributes"] == {"shoe_size": "42"}
    assert {row["date"] for row in customers.landed()} == {DAY}
    assert customers.reasons() == [(4, "missing:record_id")]


def test_a_second_replay_changes_not_one_byte(customers):
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\nbad\n3,nie,,,\n")
    customers.extract()
    remap(customers, observed_at=GERMAN_DATE)
    assert replay(customers)[0].landed == 1
    before = customers.prints()
    assert [(file.landed, file.stayed) for file in replay(customers)] == [(0, 2)]
    assert customers.prints() == before


def test_a_line_that_is_counted_within_its_file_is_not_replayed_alone(desk):
    desk.describe(kind="order_lines", path="lines.csv", format="csv", map={"order_id": "o", "quantity": "n"})
    desk.deliver("lines.csv", "o,n,p\no1,1,\n,2,o1\no1,3,\n")
    desk.extract()
    remap(desk, order_id={"sql": "coalesce(o, p)"})
    before = desk.prints()
    (file,) = replay(desk)
    assert (file.landed, file.stayed) == (0, 1)
    assert "line_number is counted over all rows of a file" in str(file)
    assert desk.prints() == before
    desk.extract()
    assert [(row["line_number"], int(row["quantity"])) for row in desk.landed()] == [(1, 1), (2, 2), (3, 3)]


def test_a_replay_without_a_fix_changes_not_one_byte(customers):
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n")
    customers.extract()
    before = customers.prints()
    assert [(file.landed, file.reasons) for file in replay(customers)] == [(0, {"unreadable:observed_at": 1})]
    assert customers.prints() == before


def test_the_same_file_landed_again_brings_no_row_twice(customers):
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\nbad\n")
    customers.extract()
    remap(customers, observed_at=GERMAN_DATE)
    replay(customers)
    replayed = (ids(customers), customers.reasons())
    result = customers.extract()
    assert (result.files, result.landed, result.quarantined) == (1, 2, 1)
    assert (ids(customers), customers.reasons()) == replayed


def test_rows_land_after_their_file_is_gone(customers):
    path = customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n")
    customers.extract()
    path.unlink()
    remap(customers, observed_at=GERMAN_DATE)
    replay(customers)
    customers.channel = customers.channel.model_copy(update={"required": False})
    customers.extract()
    assert ids(customers) == [(2, "1"), (3, "2")]


def test_lines_of_a_damaged_csv_land_and_one_that_opens_a_quote_takes_no_other_with_it(customers):
    customers.deliver(
        NAME,
        HEADER
        + '1,2017-11-30,"a@x.org,,41\n'  # the quote is never closed
        + '2,30.11.2017,"b\n@x.org",,42\n'  # a record of two lines
        + "3,30.11.2017,c@x.org,,43\n"
        + '4,30.11.2017,"d@x.org,,44\n'
        + "5,30.11.2017,e@x.org\n",
    )
    customers.extract()
    refused = customers.reasons()
    assert [row for row, _ in refused] == [2, 3, 5, 6, 7]
    remap(customers, observed_at=GERMAN_DATE)
    (file,) = replay(customers)
    assert (file.landed, file.reasons) == (2, {"malformed": 3})
    assert ids(customers) == [(3, "2"), (5, "3")]
    assert customers.landed()[0]["email"] == "b\n@x.org"
    assert customers.reasons() == [(2, "malformed"), (6, "malformed"), (7, "malformed")]


def test_a_record_that_was_split_wrongly_lands_when_the_dialect_is_corrected(customers):
    customers.deliver(NAME, HEADER + "1,2017-11-30,'a,b',,41\n2,2017-11-30,c@x.org,,42\n")
    customers.extract()
    assert customers.reasons() == [(2, "malformed")]
    relayout(customers, quote="'", escape="'")
    assert replay(customers)[0].landed == 1
    assert [(row["record_id"], row["email"]) for row in customers.landed()] == [
        ("1", "a,b"),
        ("2", "c@x.org"),
    ]


def test_lines_that_were_no_text_land_when_the_encoding_is_corrected(customers):
    text = HEADER + "1,2017-11-30,müller@x.org,,41\n2,2017-11-30,ann@x.org,,42\n3,bad,böll@x.org,,43\n"
    customers.deliver(NAME, text.encode("cp1252"))
    customers.extract()
    assert customers.reasons() == [(2, "encoding"), (4, "encoding")]
    kept = customers.quarantined()[1]
    relayout(customers, encoding="cp1252")
    (file,) = replay(customers)
    assert (file.landed, file.reasons) == (1, {"unreadable:observed_at": 1})
    assert [row["email"] for row in customers.landed()] == ["müller@x.org", "ann@x.org"]
    assert customers.quarantined() == [kept | {"reason": "unreadable:observed_at"}]
    assert kept["raw"].encode("latin-1") == "3,bad,böll@x.org,,43".encode("cp1252")


def test_an_encoding_that_joins_bytes_reads_no_line_by_itself(customers):
    text = HEADER + "1,2017-11-30,müller@x.org,,41\n"
    customers.deliver(NAME, text.encode("cp1252"))
    customers.extract()
    relayout(customers, encoding="utf-16")
    assert replay(customers)[0].reasons == {"encoding": 1}


def test_json_lines_land_when_the_map_names_the_right_key(calls):
    calls.deliver(
        f"calls_{DAY}.jsonl",
        '{"id": 1, "at": "2017-12-01", "seconds": 5}\n'
        '{"id": 2, "started": "2017-12-01T08:00:00Z", "agent": "Jo"}\n'
        "{not json}\n"
        '{"id": 3}\n',
    )
    calls.extract()
    assert [row for row, _ in calls.reasons()] == [2, 3, 4]
    remap(calls, occurred_at={"sql": "coalesce(at, started)"})
    (file,) = replay(calls)
    assert (file.landed, file.reasons) == (1, {"malformed": 1, "missing:occurred_at": 1})
    assert ids(calls, "interaction_id") == [(1, "1"), (2, "2")]
    assert calls.landed()[1]["attributes"] == {"agent": "Jo"}


def test_segment_events_land_when_a_constant_fills_what_they_lack(web):
    web.deliver(
        f"web_{DAY}.jsonl",
        '{"messageId": "m1", "type": "track", "timestamp": "2017-12-01T08:00:00Z"}\n'
        '{"messageId": "m2", "timestamp": "2017-12-01T08:00:00Z", "anonymousId": "a"}\n',
    )
    web.extract()
    assert web.reasons() == [(2, "missing:type")]
    remap(web, type={"sql": "coalesce(\"type\", 'track')"})
    assert replay(web)[0].landed == 1
    assert ids(web, "event_id") == [(1, "m1"), (2, "m2")]


@pytest.fixture
def orders(desk: Desk) -> Desk:
    """A shop that delivers Parquet with values of many types."""
    desk.describe(
        kind="orders", path="orders_{date}.parquet", format="parquet",
        map={"order_id": "id", "ordered_at": "at", "total": "total"},
    )  # fmt: skip
    table = pa.table(
        {
            "id": pa.array([None, 2], pa.int32()),
            "at": pa.array([datetime(2017, 11, 30, 8, 30, 1, 250000)] * 2, pa.timestamp("us")),
            "total": pa.array([Decimal("12.50"), None], pa.decimal128(10, 2)),
            "paid": pa.array([True, False]),
            "rate": pa.array([0.1, 2.5]),
            "sent": pa.array([datetime(2017, 11, 30, 8, tzinfo=UTC)] * 2),
            "day": pa.array([date(2017, 11, 30)] * 2),
            "old_id": pa.array(["x-1", "x-2"]),
            "basket": pa.array([[{"sku": "a", "n": 1}], None]),
        }
    )
    desk.folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, desk.folder / f"orders_{DAY}.parquet")
    return desk


def test_rows_of_parquet_land_with_the_values_that_a_landing_of_the_file_gives(orders):
    orders.extract()
    assert orders.reasons() == [(1, "missing:order_id")]
    remap(orders, order_id={"sql": "coalesce(id::varchar, old_id)"})
    assert replay(orders)[0].landed == 1
    replayed = orders.landed()[0]
    orders.extract()
    assert orders.landed()[0] == replayed
    assert (replayed["order_id"], replayed["total"]) == ("x-1", Decimal("12.50"))
    assert replayed["attributes"]["basket"] == '[{"sku":"a","n":1}]'


def test_every_statement_of_an_unpivoted_row_lands(desk):
    desk.describe(
        name="broker", kind="traits", path="traits_{date}.csv", format="csv", unpivot=["age", "likes"],
        map={"id_type": {"value": "anonymous_id"}, "id_value": "cookie", "observed_at": "seen"},
    )  # fmt: skip
    desk.deliver(
        f"traits_{DAY}.csv", "cookie,seen,age,likes,other\nc1,2017-11-30,30,tea,\n,2017-11-30,40,art,c2\n"
    )
    desk.extract()
    assert desk.reasons() == [(3, "missing:id_value")] * 2
    remap(desk, id_value={"sql": "coalesce(cookie, other)"})
    assert replay(desk)[0].landed == 2
    landed = [(row["source_row"], row["id_value"], row["trait"], row["value"]) for row in desk.landed()]
    assert sorted(landed) == [
        (2, "c1", "age", "30"), (2, "c1", "likes", "tea"), (3, "c2", "age", "40"), (3, "c2", "likes", "art"),
    ]  # fmt: skip


def test_only_the_asked_day_is_replayed_and_other_files_of_a_day_stay_as_they_are(customers):
    relayout(customers, path="customers*_{date}.csv")
    late = "1,30.11.2017,a@x.org,,41\n"
    for name in (NAME, f"customers_b_{DAY}.csv", f"customers_{DAY - timedelta(days=1)}.csv"):
        customers.deliver(name, HEADER + late + "9,2017-11-30,z@x.org,,1\n")
    customers.extract()
    remap(customers, observed_at=GERMAN_DATE)
    replayed = replay(customers, DAY)
    assert [(file.source_file, file.landed) for file in replayed] == [
        (f"customers_{DAY}.csv", 1),
        (f"customers_b_{DAY}.csv", 1),
    ]
    assert [(str(row["date"]), row["source_row"]) for row in customers.quarantined()] == [("2017-11-30", 2)]


def test_a_lake_of_an_earlier_version_is_replayed(customers, calls):
    """Its quarantine does not say of which form a raw text is, its receipts name no columns."""
    calls.deliver(f"calls_{DAY}.jsonl", '{"id": 2, "started": "2017-12-01"}\n{"id": 1, "at": "2017-12-01"}\n')
    calls.extract()
    calls_channel = calls.channel
    customers.describe(
        path="customers_{date}.csv", format="csv", map={"record_id": "id", "observed_at": "updated_at"}
    )
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n")
    customers.extract()
    for path in customers.lake.root.rglob("*.parquet"):
        with reader().cursor() as connection:
            connection.execute(
                f"create temp table old as from read_parquet('{path}', hive_partitioning = false)"
            )
            for column in ("form", "delivery", "columns"):
                connection.execute(f"alter table old drop column if exists {column}")
            connection.execute(f"copy old to '{path}' (format parquet)")
    with reader().cursor() as connection:
        (receipt,) = read_receipts(connection, customers.lake, "crm")
    assert (receipt.delivery, receipt.columns, receipt.quarantined) == ("increment", {}, 1)
    remap(customers, observed_at=GERMAN_DATE)
    assert replay(customers)[0].landed == 1
    calls.channel = calls_channel
    remap(calls, occurred_at={"sql": "coalesce(at, started)"})
    assert replay(calls)[0].landed == 1


def test_a_replay_that_was_cut_off_is_completed_by_the_next(customers, tmp_path: Path):
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n")
    customers.extract()
    remap(customers, observed_at=GERMAN_DATE)
    shutil.copytree(customers.lake.data, tmp_path / "copy")
    replay(customers)
    whole = customers.prints()
    for cut_after in ("landing", "landing quarantine"):
        shutil.rmtree(customers.lake.root)
        shutil.copytree(tmp_path / "copy" / "lake", customers.lake.root)
        replay(customers)
        for area in {"receipts", "quarantine"} - set(cut_after.split()):
            shutil.rmtree(customers.lake.root / area)
            shutil.copytree(tmp_path / "copy" / "lake" / area, customers.lake.root / area)
        replay(customers)
        assert customers.prints() == whole


def test_a_column_that_the_rows_do_not_have_keeps_them_where_they_are_and_is_named(customers):
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n")
    customers.extract()
    before = customers.prints()
    remap(customers, phone="mobil")
    (file,) = replay(customers)
    assert (file.landed, file.reasons) == (0, {"unreadable:observed_at": 1})
    assert "has no column 'mobil' (map.phone), nearest: 'mail'" in file.note
    assert customers.prints() == before


def test_the_next_run_notices_that_rows_were_replayed(customers):
    configuration = load_configuration(DEFAULT_CONFIG)
    customers.deliver(NAME, HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\n")
    customers.extract()
    before = hash_of_inputs(customers.lake, DAY, configuration)
    replay(customers)
    assert hash_of_inputs(customers.lake, DAY, configuration) == before
    remap(customers, observed_at=GERMAN_DATE)
    replay(customers)
    assert hash_of_inputs(customers.lake, DAY, configuration) != before


CHANNELS = """
channels:
  crm:
    party: first
    kind: customers
    source: {connector: file, path: customers.csv, format: csv}
    spec: mapped
    map: {record_id: id, observed_at: OBSERVED_AT, email: mail}
"""


@pytest.fixture
def run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """The command, on a company whose rows came with a date that the map could not read and now can."""
    monkeypatch.setenv("TANDEM_CONFIG", "")  # the command sets these, and they are put back afterwards
    monkeypatch.setenv("TANDEM_DATA", "")
    desk.deliver("customers.csv", HEADER + "1,2017-11-30,a@x.org,,41\n2,30.11.2017,b@x.org,,42\nbad\n")
    desk.deliver("channels.yml", CHANNELS.replace("OBSERVED_AT", "updated_at"))
    desk.channel = load_configuration(desk.folder).channels["crm"]
    desk.extract()
    desk.deliver("channels.yml", CHANNELS.replace("OBSERVED_AT", f'{{sql: "{GERMAN_DATE["sql"]}"}}'))
    settings.cache_clear()
    yield lambda *more: main(["replay", "--config", str(desk.folder), "--data", str(desk.lake.data), *more])
    settings.cache_clear()


def test_the_command_says_per_file_what_landed_and_what_stays_and_why(run, desk, capsys):
    assert run("--channel", "crm") == 0
    assert capsys.readouterr().out == (
        "crm  customers.csv (2017-12-01): 1 landed; 1 stay in quarantine: 1 malformed\n"
        "1 files: 1 rows landed, 1 stay in quarantine; the next run takes them in\n"
    )
    assert len(desk.landed()) == 2


def test_the_command_waits_for_no_other_run_and_changes_nothing_beside_one(run, desk, capsys):
    before = desk.prints()
    with FileLock(desk.lake.data / ".run.lock"):
        assert run() == 1
    assert "another run uses" in capsys.readouterr().err
    assert desk.prints() == before


def test_the_command_names_the_channels_there_are(run, capsys):
    assert run("--channel", "cmr") == 1
    assert "found CHANNEL 'cmr', allowed: crm (did you mean 'crm'?)" in capsys.readouterr().err
