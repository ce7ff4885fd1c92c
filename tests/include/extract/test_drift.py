"""New columns are kept and told, vanished and retyped ones are told, and a value of another type costs only itself."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.extract.drift import write_drift
from tests.include.extract.conftest import DAY, Desk, reader

DAYS = [DAY + timedelta(days=number) for number in range(4)]


def deliver(desk: Desk, day: date, rows: list[dict], name: str = "customers") -> None:
    """Write rows as the channel's file of a day, in its format."""
    format_ = desk.channel.source.format
    path = desk.folder / f"{name}_{day}.{format_}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if format_ == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif format_ == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n")


def drift(desk: Desk, day: date = DAYS[-1]) -> list[tuple]:
    write_drift(desk.lake, day)
    columns = "source_column, change, from_type, to_type, since_date::varchar, files, times, is_current"
    with reader().cursor() as connection:
        path = desk.lake.ops(day, "schema_drift")
        return connection.execute(f"select {columns} from read_parquet('{path}') order by all").fetchall()


def customers_in(desk: Desk, format_: str) -> Desk:
    return desk.describe(
        path=f"customers_{{date}}.{format_}", format=format_, required=False,
        map={"record_id": "id", "observed_at": "updated_at", "birth_date": "born"},
    )  # fmt: skip


ROW = {"id": "1", "updated_at": "2017-11-30", "born": "1980-01-01"}


@pytest.mark.parametrize("format_", ["csv", "parquet", "jsonl"])
def test_columns_that_come_go_and_come_back_are_told(desk, format_):
    customers_in(desk, format_)
    for day, more in zip(DAYS, ({}, {"city": "Ulm"}, {}, {"city": "Bonn"}), strict=True):
        deliver(desk, day, [ROW | more])
    desk.extract(DAYS[-1])
    kind = "text" if format_ == "jsonl" else "VARCHAR"
    assert drift(desk) == [
        ("city", "added", None, kind, str(DAYS[3]), 1, 2, True),
        ("city", "vanished", kind, None, str(DAYS[2]), 1, 1, False),
    ]
    assert drift(desk, DAYS[1]) == [("city", "added", None, kind, str(DAYS[1]), 1, 1, True)]
    assert [row["attributes"] for row in desk.landed()] == [{}, {"city": "Ulm"}, {}, {"city": "Bonn"}]


def test_a_change_lasts_until_the_next_one(desk):
    customers_in(desk, "parquet")
    for day, cups in zip(DAYS, (1, "two", "three", "four"), strict=True):
        deliver(desk, day, [ROW | {"cups": cups}])
    desk.extract(DAYS[-1])
    assert drift(desk) == [("cups", "retyped", "BIGINT", "VARCHAR", str(DAYS[1]), 3, 1, True)]


def test_a_json_key_that_few_rows_have_does_not_vanish(desk):
    customers_in(desk, "jsonl")
    deliver(desk, DAYS[0], [ROW] * 9 + [ROW | {"note": "x"}] + [ROW] * 9)
    deliver(desk, DAYS[1], [ROW])
    deliver(desk, DAYS[2], [ROW | {"note": "y"}])
    desk.extract(DAYS[2])
    assert [receipt["columns"].get("note") for receipt in desk.receipts()] == ["text?", None, "text"]
    assert drift(desk, DAYS[2]) == []


def test_the_keys_of_json_have_the_types_that_their_values_look_like(calls):
    more = {"n": 1.5, "yes": True, "o": {"a": 1}, "l": [1], "t": "x", "mixed": 1}
    calls.deliver(
        f"calls_{DAY}.jsonl",
        "".join(
            json.dumps({"id": i, "at": "2017-12-01", "number": "1"} | more | {"mixed": mixed}) + "\n"
            for i, mixed in enumerate((1, "one"))
        ),
    )
    calls.extract()
    assert calls.receipts()[0]["columns"] == {
        "at": "timestamp", "id": "string", "l": "array", "mixed": "text", "n": "number", "number": "string",
        "o": "object", "t": "text", "yes": "boolean",
    }  # fmt: skip


def test_of_events_the_canonical_columns_with_a_value_and_the_keys_kept_are_told(web):
    event = {"messageId": "m", "type": "track", "timestamp": "2017-12-01T10:00:00Z", "weather": "dry"}
    web.deliver(f"web_{DAY}.jsonl", json.dumps(event) + "\n")
    web.extract()
    columns = web.receipts()[0]["columns"]
    assert {"event_id", "type", "occurred_at", "weather"} <= set(columns)
    assert "user_agent" not in columns


def test_files_of_another_layout_beside_it_are_no_change(desk):
    customers_in(desk, "csv")
    source = desk.channel.source.model_copy(update={"path": "*_{date}.csv"})
    desk.channel = desk.channel.model_copy(update={"source": source})
    for day in DAYS[:2]:
        deliver(desk, day, [ROW], "germany")
        deliver(desk, day, [ROW | {"state": "TN"}], "usa")
    desk.extract(DAYS[1])
    assert drift(desk, DAYS[1]) == []


def test_a_source_may_call_its_columns_key_and_value(desk):
    desk.describe(
        path="pairs_{date}.csv",
        format="csv",
        map={"record_id": "key", "observed_at": {"value": "2017-11-30"}},
    )
    desk.deliver(f"pairs_{DAY}.csv", "key,value\na,1\n")
    desk.extract()
    assert list(desk.receipts()[0]["columns"].items()) == [("key", "VARCHAR"), ("value", "VARCHAR")]


@pytest.mark.parametrize("format_", ["csv", "parquet", "jsonl"])
def test_a_changed_type_costs_the_row_when_it_is_required_and_else_the_value(desk, format_):
    customers_in(desk, format_)
    deliver(desk, DAYS[0], [ROW | {"updated_at": "2017-11-30", "born": "1980-01-01"}])
    deliver(
        desk,
        DAYS[1],
        [
            ROW | {"id": "2", "updated_at": "2017-11-30", "born": "true"},
            ROW | {"id": "3", "updated_at": "true", "born": "1980-01-01"},
        ],
    )
    desk.extract(DAYS[1])
    assert [row["record_id"] for row in desk.landed()] == ["1", "2"]
    assert (desk.landed()[1]["birth_date"], desk.landed()[1]["rejected_values"]) == (
        None,
        {"birth_date": "true"},
    )
    assert [reason for _, reason in desk.reasons()] == ["unreadable:observed_at"]


def test_a_column_of_parquet_that_becomes_a_number_is_read_as_far_as_it_can_be(desk):
    customers_in(desk, "parquet")
    deliver(desk, DAYS[0], [ROW])
    deliver(
        desk,
        DAYS[1],
        [ROW | {"updated_at": 1512000000, "born": 1980}, ROW | {"updated_at": 7, "born": 19800101}],
    )
    desk.extract(DAYS[1])
    landed = desk.landed("observed_at::varchar as at, birth_date::varchar as born, rejected_values")
    assert landed[1] == {"at": "2017-11-30 00:00:00", "born": None, "rejected_values": {"birth_date": "1980"}}
    assert [reason for _, reason in desk.reasons()] == ["unreadable:observed_at"]
    assert [row[:2] for row in drift(desk, DAYS[1])] == [("born", "retyped"), ("updated_at", "retyped")]
