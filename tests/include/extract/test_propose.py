"""A file of which nothing is known gets an entry of channels.yml that can be pasted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config import load_configuration
from include.extract.propose import propose
from include.ledger import StepFailed

MEMBERS = (
    "memberNo;eMail;Mobile;First name;Surname;DOB;PLZ;changed_on;Schuhgröße\n"
    "M1;ann@example.org;+44 20 7946 0123;Ann;Moss;1980-01-02;04109;2017-11-30 08:00:00;38\n"
    'M2;"böll; son@example.org";;Bö;Reed;;04109;2017-11-30 08:00:00;\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A company's data files, one of each format."""
    for day in ("2017-11-30", "2017-12-01"):
        (tmp_path / f"members_{day}.csv").write_bytes(MEMBERS.encode("cp1252"))
    orders = [
        {"orderNumber": f"W{n}", "placed_at": "2017-11-30T08:00:00Z", "total": 1.5, "email": "a@x.org"}
        for n in range(3)
    ]
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps(order) + "\n" for order in orders))
    calls = {
        "call_id": ["T1", "T2"],
        "started_at": [datetime(2017, 11, 30, tzinfo=UTC)] * 2,
        "seconds": [5, 6],
    }
    pq.write_table(pa.table(calls), tmp_path / "calls.parquet")
    event = {"messageId": "m1", "type": "page", "anonymousId": "a", "timestamp": "2017-12-01T08:00:00Z"}
    (tmp_path / "web.ndjson").write_text(json.dumps(event) + "\n")
    (tmp_path / "access.log").write_text(
        '203.0.113.7 - - [01/Dec/2017:08:00:00 +0000] "GET / HTTP/1.1" 200 512 "-" "Mozilla/5.0"\n'
    )
    return tmp_path


def test_what_is_proposed_for_a_folder_is_a_configuration(folder: Path, tmp_path: Path):
    proposed = "\n".join(propose(folder, folder))
    config = tmp_path / "config"
    config.mkdir()
    (config / "channels.yml").write_text(proposed)
    channels = load_configuration(config).channels
    assert {name: (each.kind, each.spec) for name, each in channels.items()} == {
        "access": ("events", "apache_combined"),
        "calls": ("interactions", "mapped"),
        "members": ("customers", "mapped"),
        "orders": ("orders", "mapped"),
        "web": ("events", "segment"),
    }
    members = channels["members"]
    assert (members.source.path, members.source.delimiter, members.source.encoding) == (
        "members_{date}.csv", ";", "cp1252",
    )  # fmt: skip
    assert {name: entry.column for name, entry in members.map.items()} == {
        "record_id": "memberNo", "observed_at": "changed_on", "email": "eMail", "phone": "Mobile",
        "given_name": "First name", "family_name": "Surname", "birth_date": "DOB", "postcode": "PLZ",
    }  # fmt: skip
    assert "# kept as attributes: Schuhgröße" in proposed


def test_a_required_column_that_nothing_looks_like_is_asked_for(tmp_path: Path):
    path = tmp_path / "members.csv"
    path.write_text("member_id,email\n1,a@x.org\n2,b@x.org\n")
    (_, entry) = propose(path, tmp_path)
    assert "      record_id: member_id\n" in entry
    assert "      # observed_at: REQUIRED, a column, {sql: …} or {value: …}\n" in entry


def test_a_number_that_is_counted_is_not_asked_for(tmp_path: Path):
    (tmp_path / "order_lines.csv").write_text("order_id,product_id,quantity\n1,a,2\n1,b,1\n")
    (_, entry) = propose(tmp_path / "order_lines.csv", tmp_path)
    assert "kind: order_lines" in entry
    assert "line_number" not in entry


def test_a_path_is_relative_to_the_configuration_or_absolute(tmp_path: Path):
    path = tmp_path / "data" / "orders.csv"
    path.parent.mkdir()
    path.write_text("order_id,ordered_at\n1,2017-11-30\n")
    assert "path: data/orders.csv," in "".join(propose(path, tmp_path))
    assert f"path: {json.dumps(str(path))[1:-1]}," in "".join(propose(path, tmp_path / "config")).replace(
        '"', ""
    )


def test_two_files_of_one_name_are_two_channels_and_text_is_none(tmp_path: Path):
    (tmp_path / "orders.csv").write_text("order_id,ordered_at\n1,2017-11-30\n")
    (tmp_path / "orders.jsonl").write_text('{"order_id": 1, "ordered_at": "2017-11-30"}\n')
    (tmp_path / "readme.txt").write_text("What this is\nand is not\n")
    _, first, second, third = propose(tmp_path, tmp_path)
    assert first.startswith("  orders:\n")
    assert second.startswith("  orders_2:\n")
    assert third == "  # readme.txt: one column only, 'What this is': text, or another delimiter?\n"


def test_the_day_in_the_name_of_a_file_becomes_a_date_in_its_form(tmp_path: Path):
    for name in ("orders_20150516", "orders_20150517", "calls_2015_05_17", "log-2015.05.17", "till_20159999"):
        (tmp_path / f"{name}.csv").write_text("order_id,ordered_at\n1,2015-05-16\n")
    calls, log, orders, till = list(propose(tmp_path, tmp_path))[1:]
    assert 'path: "orders_{date:%Y%m%d}.csv"' in orders
    assert orders.startswith("  orders:\n")
    assert 'path: "calls_{date:%Y_%m_%d}.csv"' in calls
    assert 'path: "log-{date:%Y.%m.%d}.csv"' in log
    assert "path: till_20159999.csv" in till


def test_files_whose_digits_are_no_day_are_told(tmp_path: Path):
    for day in ("16052015", "17052015"):
        (tmp_path / f"orders_{day}.csv").write_text("order_id,ordered_at\n1,2015-05-16\n")
    (_, entry) = propose(tmp_path, tmp_path)
    assert entry.startswith(
        "  # orders_17052015.csv is one of 2 that differ in digits: say where in path the day is, "
        "e.g. {date:%d%m%Y}, or put * there\n  orders_17052015:\n"
    )


def test_of_files_of_one_name_the_newest_that_is_not_empty_is_looked_at(tmp_path: Path):
    for day in (16, 17, 18):
        content = "order_id,ordered_at\n1,2015-05-16\n" if day < 17 else ""
        (tmp_path / f"orders_2015-05-{day}.csv").write_text(content)
    (_, entry) = propose(tmp_path, tmp_path)
    assert entry.startswith(
        "  # orders_2015-05-18.csv: is empty\n  # orders_2015-05-17.csv: is empty\n  orders:\n"
    )
    (tmp_path / "orders_2015-05-16.csv").write_text("")
    assert list(propose(tmp_path, tmp_path))[1:] == ["  # orders_2015-05-18.csv: is empty\n"]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("16/05/2015", "%d/%m/%Y"),
        ("5/16/15", "%m/%d/%y"),
        ("05/06/2015", "%d/%m/%Y"),
        ("16.05.2015 08:30", "%d.%m.%Y %H:%M"),
        ("16-05-2015T8:30:10", "%d-%m-%YT%H:%M:%S"),
    ],
)
def test_a_date_with_the_day_first_is_no_phone_and_gets_an_expression(
    tmp_path: Path, written: str, form: str
):
    (tmp_path / "orders.csv").write_text(f"order_id,order date\n1,{written}\n2,{written}\n")
    (_, entry) = propose(tmp_path, tmp_path)
    asked = " # or %m before %d, if the month comes first" if "16" not in written else ""
    expected = f"""ordered_at: {{sql: "try_strptime(\\"order date\\", '{form}')"}}{asked}"""
    assert f"      {expected}\n" in entry
    assert "phone:" not in entry
    assert duckdb.sql(f"select try_strptime('{written}', '{form}') is not null").fetchone() == (True,)


def test_a_place_without_data_is_named_with_what_is_allowed(tmp_path: Path):
    with pytest.raises(StepFailed, match=r"found no channels.yml and no data file, allowed: files with .csv"):
        list(propose(tmp_path, tmp_path))
    with pytest.raises(StepFailed, match=r"nowhere: found no such file or folder, allowed: a data file"):
        list(propose(tmp_path / "nowhere", tmp_path))


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_looked_at(folder: Path):
    (folder / "aaa.parquet").write_bytes(b"PAR1 and no more")
    entries = list(propose(folder, folder))
    assert "  # aaa.parquet: " in entries[1]
    assert len(entries) == 7
