"""`make check` says before a run what the run would do, on a sample, and writes nothing."""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config import load_configuration
from include.extract.check import WIDTH, ChannelCheck, check_channels
from include.extract.profile import pattern_of, shown
from include.extract.sample import ROWS
from tests.include.extract.conftest import DAY, Desk

HEADER = "id,updated_at,mail,born,shoe_size\n"
CHANNEL = """
  {name}:
    party: first
    kind: {kind}
    source: {{connector: file, path: "{path}", format: {format}}}
    spec: {spec}
    map: {{{map}}}
    required: {required}
"""
CUSTOMERS = "record_id: id, observed_at: updated_at, email: mail, birth_date: born"


@pytest.fixture
def company(desk: Desk) -> Desk:
    """A company whose channels.yml is written by `describe_all`; its lake does not exist."""
    desk.folder.mkdir(parents=True)
    return desk


def describe_all(desk: Desk, **channels: dict) -> None:
    default = {"kind": "customers", "format": "csv", "spec": "mapped", "map": CUSTOMERS, "required": "true"}
    entries = [CHANNEL.format(name=name, **(default | keys)) for name, keys in channels.items()]
    desk.deliver("channels.yml", "channels:" + "".join(entries))


def check(desk: Desk, day: date | None = None) -> dict[str, ChannelCheck]:
    """Check all channels and hold the checks to what they promise: nothing is written, nothing is too wide."""
    before = sorted(desk.lake.data.rglob("*"))
    checks = list(check_channels(load_configuration(desk.folder), day, desk.settings))
    assert sorted(desk.lake.data.rglob("*")) == before
    for line in "\n".join(map(str, checks)).splitlines():
        assert len(line) <= WIDTH or line.startswith(("  FAIL ", "  WARN ")), line
    return {each.title.partition(":")[0]: each for each in checks}


def text_of(found: ChannelCheck) -> str:
    """The output with single spaces."""
    return "\n".join(" ".join(line.split()) for line in str(found).splitlines())


def test_each_column_is_told_with_type_example_and_where_it_goes(company):
    describe_all(company, crm={"path": "crm_{date}.csv"})
    company.deliver(f"crm_{DAY}.csv", HEADER + "1,2017-11-30 08:00:00,ann@example.org,1980-01-02,41\n")
    found = check(company)["crm"]
    assert found.verdict == "ok"
    said = text_of(found)
    assert "id integer 1 1… (1) record_id" in said
    assert "updated_at timestamp 1 2017-11-30 08:00:00 observed_at" in said
    assert "mail e-mail 1 a…@…org (15) email" in said
    assert "shoe_size integer 1 41 attributes" in said
    assert "identifier email: 1 rows, 1 different" in said


def test_no_direct_identifier_is_shown(company):
    describe_all(
        company, crm={"path": "crm.csv", "map": "record_id: id, observed_at: updated_at, phone: number"}
    )
    company.deliver(
        "crm.csv",
        "id,updated_at,number,Surname,notes,postal address\n"
        "K-77812,2017-11-30,+44 20 7946 0123,Lovelace,met her on Monday,12 Main Street\n"
        "K-77813,never,+44 20 7946 0124,Hopper,ann@example.org called,13 Main Street\n",
    )
    said = str(check(company)["crm"])
    for word in ("77812", "7946", "Lovelace", "Hopper", "Monday", "Main", "example.org"):
        assert word not in said
    assert "found updated_at = 'never'" in said


def test_a_mapped_column_that_the_header_has_twice_is_told(company):
    describe_all(company, crm={"path": "crm.csv"})
    company.deliver(
        "crm.csv",
        "id,updated_at,mail,born,Mail,size,size,,\n"
        "1,2017-11-30 08:00:00,ann@example.org,1980-01-02,x@example.org,1,2,,\n",
    )
    found = check(company)["crm"]
    assert found.verdict == "warn"
    assert "WARN the header has 'mail' more than once: the first counts, the next one is 'mail_2'" in text_of(
        found
    )
    assert "'size'" not in text_of(found)


def test_rows_that_would_be_quarantined_are_told_with_reason_row_and_value_found(company):
    describe_all(company, crm={"path": "crm.csv"})
    company.deliver(
        "crm.csv", HEADER + "1,2017-11-30,,,\n2,30.11.2017,,,\n,30.11.2017,,,\n" + "3,2017-11-30,,,\n" * 7
    )
    found = check(company)["crm"]
    assert found.verdict == "fail"
    said = text_of(found)
    assert "FAIL 2 of 10 rows would be quarantined (20.0%, tolerance 5.0%)" in said
    assert "2 unreadable:observed_at, e.g. row 3, found updated_at = '30.11.2017'" in said
    assert "1 missing:record_id, e.g. row 4, found nothing in id" in said


def test_a_share_within_the_tolerance_is_a_warning(company):
    describe_all(company, crm={"path": "crm.csv"})
    company.deliver("crm.csv", HEADER + "1,2017-11-30,a@x.org,,\n" * 99 + "2,never,b@x.org,,\n")
    found = check(company)["crm"]
    assert found.verdict == "warn"
    assert "WARN 1 of 100 rows would be quarantined (1.0%, tolerance 5.0%)" in text_of(found)


def test_optional_values_that_would_be_left_out_are_told_by_their_form(company):
    describe_all(company, crm={"path": "crm.csv"})
    company.deliver(
        "crm.csv", HEADER + "1,2017-11-30,a@x.org,02.01.1980,\n2,2017-11-30,b@x.org,1980-01-02,\n"
    )
    said = text_of(check(company)["crm"])
    assert (
        "WARN 1 row would land without birth_date, which cannot be read, e.g. row 2: one like '99.99.9999'"
        in said
    )


@pytest.mark.parametrize(("wrong", "verdict"), [(1, "warn"), (6, "fail")])
def test_amounts_that_would_stop_a_run_are_a_failure(company, wrong: int, verdict: str):
    columns = "order_id: id, ordered_at: at, customer_number: who, total: total"
    describe_all(company, shop={"kind": "orders", "path": "shop.csv", "map": columns})
    rows = [f"{i},2017-11-30,c{i},{'9x' if i < wrong else '9.5'}\n" for i in range(100)]
    company.deliver("shop.csv", "id,at,who,total\n" + "".join(rows))
    found = check(company)["shop"]
    assert found.verdict == verdict
    assert f"{verdict.upper()} {wrong} row" in text_of(found)
    assert ("stop at the gate of extract" in text_of(found)) == (verdict == "fail")


def test_identifiers_that_say_nothing_are_counted_by_the_rules_of_identity(company):
    describe_all(company, crm={"path": "crm.csv"})
    company.deliver(
        "crm.csv",
        HEADER + "1,2017-11-30,none,,\n2,2017-11-30,A@x.org,,\n3,2017-11-30,a@x.org,,\n4,2017-11-30,hm,,\n",
    )
    said = text_of(check(company)["crm"])
    assert (
        "identifier email: 4 rows, 3 different; 2 rows say nothing (blocked_value, invalid), e.g. row 2"
        in said
    )


def test_a_source_column_that_looks_like_a_canonical_one_is_suggested(company):
    describe_all(company, crm={"path": "crm.csv", "map": "record_id: id, observed_at: updated_at"})
    rows = "".join(f"{n},2017-11-30,p{n}@x.org,+44 20 7946 01{n},Ann\n" for n in range(10, 30))
    company.deliver("crm.csv", "id,updated_at,contact,reach,First Name\n" + rows)
    found = check(company)["crm"]
    said = text_of(found)
    assert found.verdict == "warn"
    assert "WARN map.email is not given, and the column 'contact' looks like it" in said
    assert "WARN map.phone is not given, and the column 'reach' looks like it" in said
    assert "hint map.given_name is not given, and the column 'First Name' looks like it" in said
    assert "WARN no identifier was found" in said


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl"])
def test_a_missing_column_fails_with_the_nearest_and_the_columns_there_are(company, format):
    describe_all(company, crm={"path": f"crm.{format}", "format": format})
    row = {"ident": "1", "updated_at": "2017-11-30", "mail": "a@x.org", "born": "1980-01-01"}
    if format == "csv":
        company.deliver("crm.csv", ",".join(row) + "\n" + ",".join(row.values()) + "\n")
    elif format == "jsonl":
        company.deliver("crm.jsonl", json.dumps(row) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([row]), company.folder / "crm.parquet")
    found = check(company)["crm"]
    said = text_of(found)
    assert found.verdict == "fail"
    assert f"FAIL crm.{format} has no column 'id' (map.record_id), nearest: 'ident'" in said
    assert "updated_at date 1 2017-11-30 observed_at" in said


def test_a_channel_that_fails_keeps_no_other_from_being_looked_at(company):
    describe_all(
        company, gone={"path": "gone_{date}.csv"}, broken={"path": "broken.parquet", "format": "parquet"},
        empty={"path": "empty.csv"}, may_be_gone={"path": "later.csv", "required": "false"}, fine={"path": "crm.csv"},
    )  # fmt: skip
    company.deliver("broken.parquet", b"PAR1" + bytes(200))
    company.deliver("empty.csv", b"")
    company.deliver("crm.csv", HEADER + "1,2017-11-30,a@x.org,,\n")
    found = check(company)
    assert {name: each.verdict for name, each in found.items()} == {
        "gone": "fail", "broken": "fail", "empty": "fail", "may_be_gone": "warn", "fine": "ok",
    }  # fmt: skip
    assert "FAIL no file matches gone_{date}.csv; set required: false if the day may be missing" in str(
        found["gone"]
    )
    for name, words in (("broken", "no readable Parquet file"), ("empty", "is empty")):
        (line,) = (line for line in found[name].lines if "FAIL" in line)
        assert words in line
        assert str(company.folder / f"{name}.") in line


def test_the_newest_delivery_is_looked_at_and_with_a_day_that_of_the_day(company):
    describe_all(company, crm={"path": "crm_{date}.csv"})
    for day, rows in ((DAY - timedelta(days=1), 1), (DAY, 2)):
        company.deliver(f"crm_{day}.csv", HEADER + "1,2017-11-30,a@x.org,,\n" * rows)
    assert f"2 files of 2017-11-30 to 2017-12-01\nlooked at crm_{DAY}.csv: all its 2 rows" in text_of(
        check(company)["crm"]
    )
    assert "looked at crm_2017-11-30.csv: all its 1 rows" in text_of(
        check(company, DAY - timedelta(days=1))["crm"]
    )
    found = check(company, DAY + timedelta(days=1))["crm"]
    assert found.verdict == "fail"
    assert "crm_2017-12-02.csv; set required: false" in str(found)


def test_when_the_newest_delivery_has_no_rows_an_earlier_one_is_looked_at(company):
    describe_all(company, crm={"path": "crm_{date}.csv", "required": "false"})
    company.deliver(f"crm_{DAY - timedelta(days=1)}.csv", HEADER + "1,2017-11-30,a@x.org,,\n")
    company.deliver(f"crm_{DAY}.csv", HEADER)
    said = text_of(check(company)["crm"])
    assert f"looked at crm_{DAY}.csv: no rows\nlooked at crm_2017-11-30.csv: all its 1 rows" in said


def test_older_files_that_the_map_does_not_fit_are_told_and_a_list_of_names_fits_all(company):
    describe_all(company, crm={"path": "crm_{date}.csv", "map": CUSTOMERS.replace("mail,", "'E-mail',")})
    rows = "1,2017-11-30,a@x.org,,\n"
    for days, name in ((3, "mail"), (2, "mail"), (1, "E-mail"), (0, "E-mail")):
        header = HEADER.replace("mail", name)
        company.deliver(f"crm_{DAY - timedelta(days=days)}.csv", header + rows)
    found = check(company)["crm"]
    assert found.verdict == "fail"
    assert text_of(found).endswith(
        "FAIL crm_2017-11-29.csv has no column 'E-mail' (map.email), nearest: 'mail'\n"
        "and 1 more of the older files\n"
        "where files differ, map a list of names: the first one that a file has counts"
    )
    channels = company.folder / "channels.yml"
    channels.write_text(channels.read_text().replace("'E-mail'", "[E-mail, mail]"))
    found = check(company)["crm"]
    assert found.verdict == "ok"
    assert "E-mail e-mail 1 a…@…org (7) email" in text_of(found)


def test_an_older_file_that_is_empty_is_told_where_none_may_be(company):
    for required, verdict in (("true", "fail"), ("false", "ok")):
        describe_all(company, crm={"path": "crm_{date}.csv", "required": required})
        company.deliver(f"crm_{DAY - timedelta(days=1)}.csv", "")
        company.deliver(f"crm_{DAY}.csv", HEADER + "1,2017-11-30,a@x.org,,\n")
        assert check(company)["crm"].verdict == verdict


def test_of_a_large_packed_file_only_the_beginning_is_read_and_no_record_is_cut(company):
    describe_all(company, crm={"path": "crm.csv.gz"})
    record = '1,2017-11-30,"a\n@x.org",,\n'
    company.deliver("crm.csv.gz", gzip.compress((HEADER + record * ROWS).encode(), 1))
    found = check(company)["crm"]
    assert found.verdict == "ok"
    assert f"looked at crm.csv.gz: its first {ROWS // 2:,} rows" in text_of(found)


def test_of_a_large_parquet_only_the_first_rows_are_read(company):
    describe_all(company, crm={"path": "crm.parquet", "format": "parquet"})
    rows = ROWS + 5
    columns = {
        "id": range(rows),
        "updated_at": ["2017-11-30"] * rows,
        "mail": ["a@x.org"] * rows,
        "born": [None] * rows,
    }
    pq.write_table(
        pa.table({name: pa.array(list(values)) for name, values in columns.items()}),
        company.folder / "crm.parquet",
    )
    assert f"its first {ROWS:,} rows" in text_of(check(company)["crm"])


def test_a_file_of_another_encoding_is_sampled_as_it_is_read(company):
    describe_all(company, crm={"path": "crm.csv"})
    channels = company.folder / "channels.yml"
    channels.write_text(channels.read_text().replace("format: csv", "format: csv, encoding: cp1252"))
    company.deliver("crm.csv", (HEADER + "1,2017-11-30,böll@x.org,,\n" * (ROWS + 10)).encode("cp1252"))
    found = check(company)["crm"]
    assert found.verdict == "ok"
    assert "mail e-mail 20,000 b…@…org (10) email" in text_of(found)


@pytest.mark.parametrize(
    ("declared", "written", "is_told"),
    [
        ("cp1252", "utf-8", True),
        ("iso-8859-15", "utf-8", True),
        ("cp1252", "cp1252", False),
        ("cp1252", "utf-16", False),
        ("utf-8", "utf-8", False),
        ("shift-jis", "shift-jis", False),
    ],
)
@pytest.mark.parametrize("days_before", [0, 1])
def test_a_file_in_utf8_where_another_encoding_is_declared_is_told(
    company, declared, written, is_told, days_before
):
    describe_all(company, crm={"path": "crm_{date}.csv"})
    channels = company.folder / "channels.yml"
    channels.write_text(channels.read_text().replace("format: csv", f"format: csv, encoding: {declared}"))
    company.deliver(f"crm_{DAY}.csv", HEADER + "1,2017-11-30,a@x.org,,\n")
    place = "京都" if declared == "shift-jis" else "Köln"
    text = HEADER.replace("shoe_size", "place") + f"1,2017-11-30,a@x.org,,{place}\n"
    name = f"crm_{DAY - timedelta(days=days_before)}.csv"
    company.deliver(name, text.encode(written))
    found = check(company)["crm"]
    assert (f"WARN {name}: UTF-8, but encoding is {declared}" in text_of(found)) == is_told
    assert found.verdict == ("warn" if is_told else "ok")


LINES = "no,day,customer,sku,price\n" + "".join(
    f"o{number // 4},2017-11-30,{number // 8}.0,p{number},1.50\n" for number in range(40)
)
ORDERS = {
    "path": "sales.csv",
    "kind": "orders",
    "map": "order_id: no, ordered_at: day, customer_number: customer",
}
OF_ORDERS = "order_id: no, line_number: source_row, product_id: sku, unit_price: price"


def test_a_file_of_order_lines_that_is_taken_for_orders_is_told(company):
    describe_all(company, sales=ORDERS)
    company.deliver("sales.csv", LINES)
    said = text_of(check(company)["sales"])
    assert "key order_id: 40 rows, 10 different" in said
    assert "WARN 30 of 40 rows have the order_id of another row and say something else" in said
    assert "WARN no order has a total, and no channel brings order_lines, so each would be of 0.00" in said
    assert "WARN 40 of customer_number end in .0, and 17850.0 is not 17850" in said


def test_two_channels_over_one_file_of_order_lines_are_right(company):
    describe_all(
        company, sales=ORDERS, lines={"path": "sales.csv", "kind": "order_lines", "map": OF_ORDERS},
    )  # fmt: skip
    company.deliver("sales.csv", LINES.replace(".0,", ","))
    found = check(company)
    assert [each.verdict for each in found.values()] == ["ok", "ok"]
    assert "key order_id: 40 rows, 10 different" in text_of(found["sales"])
    assert "key order_id, line_number: 40 rows, 40 different" in text_of(found["lines"])


def test_later_versions_of_a_record_and_the_same_row_again_are_no_fault(company):
    describe_all(company, crm={"path": "crm.csv"})
    versions = "".join(f"1,2017-11-{day},a@x.org,,{day}\n" for day in range(10, 30))
    company.deliver("crm.csv", HEADER + versions * 2)
    assert check(company)["crm"].verdict == "ok"
    company.deliver("crm.csv", HEADER + versions + "1,2017-11-10,b@x.org,,\n" * 2)
    assert check(company)["crm"].verdict == "ok"  # one of 22
    company.deliver("crm.csv", HEADER + versions.replace("2017-11-2", "2017-11-1"))
    assert "WARN 10 of 20 rows have the record_id of another row" in text_of(check(company)["crm"])


def test_events_of_a_spec_are_told_by_canonical_column(company):
    describe_all(
        company, web={"path": "web.jsonl", "format": "jsonl", "kind": "events", "spec": "segment", "map": ""}
    )
    event = {
        "messageId": "m1",
        "type": "track",
        "event": "Order Completed",
        "anonymousId": "cookie-123456",
        "weather": "dry",
    }
    company.deliver("web.jsonl", json.dumps(event | {"timestamp": "2017-12-01T08:00:00Z"}) + "\n")
    said = text_of(check(company)["web"])
    assert "occurred_at timestamp 1 2017-12-01 08:00:00" in said
    assert "identifier anonymous_id: 1 rows, 1 different" in said
    assert "kept as attributes: weather" in said
    assert "cookie-123456" not in said


def test_drift_against_what_has_landed_is_told(company, customers):
    describe_all(company, crm={"path": "customers_{date}.csv"})
    customers.deliver(f"customers_{DAY}.csv", HEADER + "1,2017-11-30,a@x.org,,\n")
    customers.extract()
    customers.deliver(
        f"customers_{DAY + timedelta(days=1)}.csv",
        "id,updated_at,mail,born,city\n1,2017-11-30,a@x.org,,Ulm\n",
    )
    found = check(company)["crm"]
    said = text_of(found)
    assert found.verdict == "warn"
    assert "WARN the column 'city' is added since the files that were landed before" in said
    assert "WARN the column 'shoe_size' is vanished since the files that were landed before" in said


def test_a_value_is_shown_by_its_beginning_and_length_or_by_its_form():
    assert shown("ann@example.org", True) == "a…@…org (15)"
    assert shown('{"email":"ann@example.org"}', True) == "{… (27)"
    assert shown("a\nb", False) == "a b"
    assert pattern_of("12 März 1980") == "99 aaaa 9999"


@pytest.mark.parametrize(("command", "code"), [("fine", 0), ("broken", 1)])
def test_the_command_ends_with_an_error_when_a_channel_would_fail(
    company, capsys, monkeypatch, tmp_path: Path, command, code
):
    from include.__main__ import main
    from include.settings import settings

    monkeypatch.setenv("TANDEM_CONFIG", "")  # main sets these, and they are put back afterwards
    monkeypatch.setenv("TANDEM_DATA", "")
    settings.cache_clear()
    describe_all(company, crm={"path": "crm.csv"})
    company.deliver("crm.csv", HEADER + ("1,2017-11-30,a@x.org,,\n" if code == 0 else "1,never,a@x.org,,\n"))
    assert main(["check", "--config", str(company.folder), "--data", str(tmp_path / "data")]) == code
    settings.cache_clear()
    assert "crm: customers, mapped, csv, first party" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()
