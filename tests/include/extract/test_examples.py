"""Every example configuration lands the files that it is for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config import load_configuration
from include.extract.specs.snowplow import COLUMNS
from include.settings import PROJECT

EXAMPLES = PROJECT / "include" / "config" / "examples"
DAY = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 10, tzinfo=UTC)
SEGMENT = {"messageId": "m1", "type": "track", "event": "Tea Brewed", "timestamp": "2017-12-01T10:00:00Z",
           "properties": {"category": "tea"}}  # fmt: skip
ENRICHED = {"event_id": "e1", "event": "page_view", "collector_tstamp": "2017-12-01 10:00:00", "platform": "web",
            "page_urlpath": "/tea/green"}  # fmt: skip
GA4 = {
    "event_name": "page_view", "event_timestamp": 1512122400000000, "user_pseudo_id": "1.2",
    "event_params": [{"key": "content_group", "value": {"string_value": "tea", "int_value": None}}],
    "user_properties": [{"key": "email", "value": {"string_value": "ann@example.com", "int_value": None}}],
}  # fmt: skip
CALL = {"id": "m1", "anonymous_id": "a1", "received_at": AT}
TICKET = {
    "id": 1, "created": {"at": "2017-12-01T10:00:00Z"}, "tags": ["late"], "status": "closed", "minutes": 2.5,
    "requester": {"email": "ann@example.com", "phones": [{"number": "+441"}]},
}  # fmt: skip

FILES: dict[str, dict[str, str | bytes | dict]] = {
    "mapped_csv": {
        "crm/customers_2017-12-01.csv": "id;changed_at;e_mail;mobile;landline;first_name;last_name;born\n"
        "1;2017-12-01;ann@example.com;;+441;Jürgen;N/A;31.12.1980\n".encode("cp1252"),
        "shop/orders_2017-12-01.csv": "order_no,placed_at,status,currency,total,customer\n"
        "o1,2017-12-01 10:00:00,paid,EUR,5.00,1\n",
        "shop/lines_2017-12-01.csv": "order_no,sku,quantity,price\no1,p1,2,2.50\no1,p2,1,0.10\n",
    },
    "mapped_json": {"helpdesk/tickets_2017-12-01.jsonl.gz": gzip.compress(json.dumps(TICKET).encode())},
    "traits": {
        "broker/segments_2017-12-01.parquet": {"cookie": "c1", "seen_at": AT, "age": 34, "likes": "tea"},
        "partner/members.csv": "mail,as_of,tier,favourite_category,note\nann@example.com,2017-12-01,gold,tea,x\n",
    },
    "segment_json": {
        "segment/2017-12-01/part.json.gz": gzip.compress(json.dumps(SEGMENT).encode()),
        "app/events_2017-12-01.jsonl": json.dumps(SEGMENT),
    },
    "segment_warehouse": {
        "warehouse/tracks/2017-12-01/part-0001.parquet": CALL | {"event_text": "Tea Brewed"},
        "warehouse/tea_brewed/2017-12-01/part-0001.parquet": CALL | {"event_text": "Tea Brewed", "leaves": "green"},
        "warehouse/pages/2017-12-01/part-0001.parquet": CALL | {"id": "m2", "name": "Home"},
    },
    "ga4": {"ga4/2017-12-01/events_20171201-000000000000.parquet": GA4},
    "snowplow": {
        "enriched/2017-12-01/part.tsv.gz": gzip.compress(
            "\t".join(ENRICHED.get(name, "") for name in COLUMNS).encode()
        ),
        "atomic/events_2017-12-01.parquet": ENRICHED,
    },
    "apache_combined": {
        "logs/access.log": '192.0.2.7 - - [01/Dec/2017:10:00:00 +0000] "GET /tea HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n',
    },
}  # fmt: skip
# Of each channel: what its rows say in a few columns.
LANDED: dict[str, dict[str, tuple[str, list[tuple]]]] = {
    "mapped_csv": {
        "crm": ("record_id, email, phone, given_name, family_name, birth_date::varchar, country",
                [("1", "ann@example.com", "+441", "Jürgen", None, "1980-12-31", "DE")]),
        "orders": ("order_id, total::double, customer_number", [("o1", 5.0, "1")]),
        "order_lines": ("order_id, line_number, amount::double", [("o1", 1, 5.0), ("o1", 2, 0.1)]),
    },
    "mapped_json": {
        "tickets": ("interaction_id, occurred_at::varchar, reason, outcome, email, phone, duration_seconds",
                    [("1", "2017-12-01 10:00:00", "late", "closed", "ann@example.com", "+441", 150)]),
    },
    "traits": {
        "broker": ("id_value, trait, value", [("c1", "age", "34"), ("c1", "likes", "tea")]),
        "partner": ("id_value, trait, value", [("ann@example.com", "favourite_category", "tea"),
                                               ("ann@example.com", "tier", "gold")]),
    },
    "segment_json": {
        "web": ("event_id, type, name", [("m1", "track", "Tea Brewed")]),
        "app": ("event_id, platform, site, content_category", [("m1", "mobile", "app.example.com", "tea")]),
    },
    "segment_warehouse": {
        "web": ("event_id, type, name, site, properties", [
            ("m1", "track", "Tea Brewed", "shop.example.com", None),
            ("m1", "track", "Tea Brewed", "shop.example.com", '{"leaves":"green"}'),
            ("m2", "page", "Home", "shop.example.com", '{"name":"Home"}'),
        ]),
    },
    "ga4": {"shop": ("type, anonymous_id, content_category, email", [("page", "1.2", "tea", "ann@example.com")])},
    "snowplow": {
        "stream": ("event_id, type, platform, content_category", [("e1", "page", "web", "tea")]),
        "warehouse": ("event_id, type, platform, content_category", [("e1", "page", "web", None)]),
    },
    "apache_combined": {
        "server": ("type, ip, site, url", [("page", "192.0.2.7", "www.example.com", "https://www.example.com/tea")]),
    },
}  # fmt: skip


@pytest.fixture
def deliver(desk) -> Callable[[str, str | bytes | dict], None]:
    """Write a file of the company: text and bytes as they are, a row as Parquet."""

    def write(name: str, content: str | bytes | dict) -> None:
        if not isinstance(content, dict):
            desk.deliver(name, content)
            return
        path: Path = desk.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([content]), path)

    return write


@pytest.mark.parametrize("example", sorted(FILES))
def test_an_example_lands_the_files_that_it_is_for(desk, deliver, example):
    for name, content in FILES[example].items():
        deliver(name, content)
    channels = load_configuration(EXAMPLES / example).channels
    assert set(channels) == set(LANDED[example])
    for name, (columns, expected) in LANDED[example].items():
        desk.channel = channels[name]
        result = desk.extract(DAY)
        assert result.quarantined == 0
        rows = [tuple(row.values()) for row in desk.landed(columns)]
        assert sorted(rows, key=str) == sorted(expected, key=str)


def test_the_example_of_a_database_is_a_valid_configuration():
    channels = load_configuration(EXAMPLES / "sql").channels
    assert {name: channel.source.connector for name, channel in channels.items()} == dict.fromkeys(
        ("crm", "orders", "web"), "sql"
    )


def test_every_example_is_tried():
    assert {path.parent.name for path in EXAMPLES.glob("*/channels.yml")} == {*FILES, "sql"}
    assert {path.name for path in EXAMPLES.iterdir()} == {*FILES, "sql", "README.md"}
