"""Maps that go beyond a column: paths into nested values, and where a row came from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from include.ledger import StepFailed

SEEN = datetime(2017, 11, 30, 8, tzinfo=UTC)
CUSTOMER = {
    "id": "c1",
    "address": {"city": "Rome", "seen": SEEN, "lines": ["Via Roma 1", "Interno 2"]},
    "items": [{"sku": "p1"}, {"sku": "p2"}],
    "dotted.key": "written so",
    "dotted": {"key": "nested"},
}
MAP = {
    "record_id": "id",
    "observed_at": "address.seen",
    "city": "address.city",
    "street": "address.lines[1]",
    "customer_number": "items[0].sku",
    "loyalty_number": "items[9].sku",
    "user_id": "address.nothing",
    "given_name": "dotted.key",
}


def deliver(desk, form: str, *rows: dict, **more) -> list[dict]:
    desk.describe(**({"path": "customers", "format": form, "map": MAP} | more))
    if form == "parquet":
        desk.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows)), desk.folder / "customers")
    else:
        desk.deliver("customers", "".join(json.dumps(row, default=datetime.isoformat) + "\n" for row in rows))
    desk.extract()
    return desk.landed()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_path_leads_into_nested_values_and_a_missing_one_is_no_value(desk, form):
    (landed,) = deliver(desk, form, CUSTOMER)
    expected = {
        "record_id": "c1", "observed_at": SEEN.replace(tzinfo=None), "city": "Rome", "street": "Interno 2",
        "customer_number": "p1", "loyalty_number": None, "user_id": None, "rejected_values": {},
    }  # fmt: skip
    assert {name: landed[name] for name in expected} == expected


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_name_with_dots_is_looked_for_as_it_is_written_first(desk, form):
    (landed,) = deliver(desk, form, CUSTOMER)
    assert landed["given_name"] == "written so"


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_a_path_leads_into_is_kept_as_a_whole(desk, form):
    (landed,) = deliver(desk, form, CUSTOMER)
    assert json.loads(landed["attributes"]["items"]) == CUSTOMER["items"]
    assert json.loads(landed["attributes"]["address"])["city"] == "Rome"


def test_a_nested_value_that_is_no_object_has_nothing_inside(desk):
    rows = [
        CUSTOMER | {"id": f"c{number}", "address": value}
        for number, value in enumerate(["Rome", None, 7, []])
    ]
    landed = deliver(desk, "jsonl", *rows, map=MAP | {"observed_at": {"value": "2017-12-01"}})
    assert [(item["record_id"], item["city"]) for item in landed] == [
        (f"c{number}", None) for number in range(4)
    ]


def test_a_path_into_a_column_that_is_not_there_fails_with_the_nearest(desk):
    with pytest.raises(StepFailed, match=r"has no column 'adress.city' \(map.city\), nearest: 'address'"):
        deliver(desk, "parquet", CUSTOMER, map=MAP | {"city": "adress.city"})


def test_a_plain_column_has_no_nested_values(desk):
    with pytest.raises(StepFailed, match=r"has no column 'id.city' \(map.city\), nearest: 'id'"):
        deliver(desk, "parquet", CUSTOMER, map=MAP | {"city": "id.city"})


def test_a_key_that_no_line_has_fails_for_a_required_column_even_as_a_path(desk):
    with pytest.raises(
        StepFailed, match=r"has no column 'adress.seen' \(map.observed_at\), nearest: 'address'"
    ):
        deliver(desk, "jsonl", CUSTOMER, map=MAP | {"observed_at": "adress.seen"})


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_of_a_list_the_first_column_that_the_file_has_counts(desk, form):
    rows = [
        {"id": "1", "at": "2017-11-30", "E-mail": "old@x.org"},
        {"id": "2", "at": "2017-11-30", "Email address": "new@x.org"},
        {"id": "3", "at": "2017-11-30", "E-mail": "old@x.org", "Email address": "new@x.org"},
    ]
    desk.describe(
        path="crm_{date}", format=form,
        map={"record_id": "id", "observed_at": ["seen", "at"], "email": ["Email address", "E-mail"]},
    )  # fmt: skip
    for row in rows:
        name, table = f"crm_2017-11-0{row['id']}", pa.Table.from_pylist([row])
        if form == "jsonl":
            desk.deliver(name, json.dumps(row) + "\n")
        else:
            path = desk.deliver(name, "")
            (csv.write_csv if form == "csv" else pq.write_table)(table, path)
    desk.channel = desk.channel.model_copy(update={"required": False})
    assert desk.extract().landed == 3
    assert [item["email"] for item in desk.landed()] == ["old@x.org", "new@x.org", "new@x.org"]
    kept = {} if form == "jsonl" else {"E-mail": "old@x.org"}
    assert [item["attributes"] for item in desk.landed()] == [{}, {}, kept]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_of_a_list_of_paths_the_first_that_leads_somewhere_counts(desk, form):
    (landed,) = deliver(desk, form, CUSTOMER, map=MAP | {"city": ["address.town", "address.city"]})
    assert landed["city"] == "Rome"


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_list_of_which_the_file_has_none_fails_with_all_of_them(desk, form):
    expected = r"has no column 'uid' or 'ident' \(map.record_id\), nearest: 'id'"
    with pytest.raises(StepFailed, match=expected):
        deliver(desk, form, CUSTOMER, map=MAP | {"record_id": ["uid", "ident"]})


def test_maps_are_read_by_their_keys(desk):
    desk.describe(
        path="customers", format="parquet", map=MAP | {"observed_at": "seen", "city": "labels.home"}
    )
    desk.folder.mkdir(parents=True, exist_ok=True)
    labels = pa.array([[("home", "Rome")], []], pa.map_(pa.string(), pa.string()))
    columns = {name: [value] * 2 for name, value in CUSTOMER.items()} | {"seen": [SEEN] * 2, "labels": labels}
    pq.write_table(pa.table(columns), desk.folder / "customers")
    desk.extract()
    assert [item["city"] for item in desk.landed()] == ["Rome", None]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_without_a_number_of_their_own_have_that_of_the_row(desk, form):
    desk.describe(
        kind="order_lines", path="lines", format=form,
        map={
            "order_id": "order", "line_number": "source_row", "quantity": "n",
            "product_id": {"sql": "concat(source_file, ':', source_row)"},
        },
    )  # fmt: skip
    rows = [{"order": "o1", "n": 2}, {"order": "o1", "n": 3}]
    desk.folder.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), desk.folder / "lines")
    elif form == "jsonl":
        desk.deliver("lines", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        desk.deliver("lines", "order,n\no1,2\no1,3\n")
    desk.extract()
    first = 2 if form == "csv" else 1
    landed = [(item["line_number"], item["product_id"], item["quantity"]) for item in desk.landed()]
    assert landed == [
        (first, f"lines:{first}", Decimal(2)),
        (first + 1, f"lines:{first + 1}", Decimal(3)),
    ]
    assert desk.landed()[0]["attributes"] == {}


LINES = {"order_id": "order", "quantity": "n"}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_lines_without_a_number_are_counted_within_their_order(desk, form):
    desk.describe(kind="order_lines", path="lines", format=form, map=LINES)
    rows = [{"order": order, "n": n} for n, order in enumerate(("o1", "o2", " o1", "", "o1"), start=1)]
    desk.folder.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), desk.folder / "lines")
    elif form == "jsonl":
        desk.deliver("lines", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        desk.deliver("lines", "order,n\n" + "".join(f"{row['order']},{row['n']}\n" for row in rows))
    desk.extract()
    landed = [(item["order_id"], item["line_number"], int(item["quantity"])) for item in desk.landed()]
    assert landed == [("o1", 1, 1), ("o2", 1, 2), ("o1", 2, 3), ("o1", 3, 5)]
    assert [reason for _, reason in desk.reasons()] == ["missing:order_id"]


def test_lines_of_an_order_that_comes_again_have_the_numbers_that_they_had(desk):
    desk.describe(kind="order_lines", path="lines_{date}.csv", format="csv", map=LINES)
    desk.deliver("lines_2017-11-30.csv", "order,n\no1,5\no1,5\no2,1\n")
    desk.deliver("lines_2017-12-01.csv", "order,n\no3,9\no1,5\no3,9\no1,5\n")
    desk.extract()
    numbers = [(item["order_id"], item["line_number"]) for item in desk.landed()]
    assert numbers == [
        ("o1", 1), ("o1", 2), ("o2", 1),
        ("o3", 1), ("o1", 1), ("o3", 2), ("o1", 2),
    ]  # fmt: skip


def test_counted_lines_stay_in_the_order_of_their_file(desk):
    desk.describe(kind="order_lines", path="lines.csv", format="csv", map=LINES)
    rows = 300_000
    desk.deliver("lines.csv", "order,n\n" + "".join(f"o{row % 997},1\n" for row in range(rows)))
    desk.extract()
    (file,) = desk.lake.root.glob("landing/order_lines/channel=crm/*/*.parquet")
    assert pq.read_table(file, columns=["source_row"])["source_row"].to_pylist() == list(range(2, rows + 2))
    assert max(pq.read_table(file, columns=["line_number"])["line_number"].to_pylist()) == rows // 997 + 1


def test_a_column_of_that_name_comes_before_the_number_of_the_row(desk):
    desk.describe(
        kind="order_lines", path="lines", format="csv", map={"order_id": "order", "line_number": "source_row"}
    )
    desk.deliver("lines", "order,source_row\no1,77\n")
    desk.extract()
    assert [item["line_number"] for item in desk.landed()] == [77]


@pytest.mark.parametrize("born", ["try_strptime(born, '%d.%m.%Y')", "strptime(born, '%d.%m.%Y')"])
def test_a_date_that_an_expression_cannot_read_is_kept_beside_the_row(desk, born):
    desk.describe(
        path="people.csv",
        format="csv",
        map={"record_id": "id", "observed_at": {"value": "2020-01-01"}, "birth_date": {"sql": born}},
    )
    desk.deliver("people.csv", "id,born\n1,01.02.1980\n2,32.13.1980\n3,\n")
    desk.extract()
    landed = desk.landed("birth_date::varchar as born, rejected_values as rejected")
    assert landed == [
        {"born": "1980-02-01", "rejected": {}},
        {"born": None, "rejected": {"birth_date": "32.13.1980"}},
        {"born": None, "rejected": {}},
    ]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_consent_string_lands_as_json_like_the_objects_of_others(desk, form):
    """TCF and GPP strings stand alone; what is neither JSON nor such a string is kept beside the row."""
    tcf, gpp = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQg", "DBABMA~CPXxRfAPXxRfAAfKABENB"
    said = [tcf, gpp, '{"advertising": true}', "CONSENTED, probably", None]
    rows = [
        {"id": f"e{number}", "at": "2020-02-20T10:00:00Z", "consent": text}
        for number, text in enumerate(said)
    ]
    columns = {"event_id": "id", "type": {"value": "page"}, "occurred_at": "at", "consent": "consent"}
    landed = deliver(desk, form, *rows, kind="events", map=columns)
    assert [row["consent"] for row in landed] == [f'"{tcf}"', f'"{gpp}"', '{"advertising": true}', None, None]
    assert [row["rejected_values"] for row in landed] == [
        {}, {}, {}, {"consent": "CONSENTED, probably"}, {},
    ]  # fmt: skip
