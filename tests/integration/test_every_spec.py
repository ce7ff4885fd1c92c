"""One company whose channels use every spec and every connector, described by YAML alone, and what it publishes.

Ann is in the CRM, in the loyalty programme and in the call centre's database, and signs in on the shop that Segment
watches; Bob signs in on the one that Google Analytics watches; Cleo on the one of Snowplow; Dora is known to the
event warehouse alone. Nobody delivers orders: they come from the shops' events.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.company import Company

DAY = date(2024, 5, 15)
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0"

CHANNELS = """
channels:
  crm:
    party: first
    kind: customers
    source: {connector: file, path: crm/*.csv, format: csv, delimiter: ";", encoding: cp1252}
    spec: mapped
    map:
      record_id: nr
      observed_at: stand
      customer_number: nr
      user_id: login
      email: mail
      phone: telefon
      given_name: vorname
      family_name: nachname
      birth_date: {sql: "try_strptime(geburtstag, '%d.%m.%Y')"}
      country: {value: Germany}
    delivery: snapshot

  loyalty:
    party: first
    kind: customers
    source: {connector: file, path: loyalty/members.json, format: json, records: data.members}
    spec: mapped
    map:
      record_id: card
      observed_at: since
      loyalty_number: card
      email: contact.email
      city: contact.address.city
      country: {value: DE}

  calls:
    party: first
    kind: interactions
    source: {connector: sql, connection: call_centre, table: calls, watermark: ended_at}
    spec: mapped
    map: {interaction_id: id, occurred_at: ended_at, type: {value: call}, reason: topic, phone: caller}

  shop:
    party: first
    kind: events
    source: {connector: file, path: "shop/events_{date}.jsonl", format: jsonl}
    spec: segment

  outlet:
    party: first
    kind: events
    source: {connector: file, path: "outlet/events_{date}.json", format: jsonl}
    spec: ga4

  magazine:
    party: first
    kind: events
    source: {connector: file, path: "magazine/{date}.csv", format: csv, null_values: ["", "NULL"]}
    spec: snowplow

  events_warehouse:
    party: first
    kind: events
    source: {connector: file, path: "warehouse/*.parquet", format: parquet}
    spec: segment

  blog:
    party: first
    kind: events
    source: {connector: file, path: "blog/access.log", format: text}
    spec: apache_combined
    map: {site: {value: blog.example.com}}
    tolerance: 0.5

  broker:
    party: third
    kind: traits
    source: {connector: file, path: broker/traits.csv, format: csv}
    spec: mapped
    map: {id_type: {value: anonymous_id}, id_value: cookie, observed_at: seen_at}
    unpivot: all

  consents:
    party: first
    kind: consents
    source: {connector: file, path: consents.csv, format: csv}
    spec: mapped
    map: {id_type: id_type, id_value: id, purpose: purpose, status: status, effective_at: at}
"""


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def segment(number: int, kind: str, at: str, **more: object) -> dict:
    stamp = f"2024-05-15T{at}.000Z"
    times = {"timestamp": stamp, "originalTimestamp": stamp, "sentAt": stamp, "receivedAt": stamp}
    context = {"page": {"url": "https://shop.example.com/p?token=s3cr3t&utm_source=x"}, "userAgent": AGENT}
    return (
        {"messageId": f"s{number}", "type": kind, "anonymousId": "anon-ann", "context": context}
        | times
        | more
    )


def ga4(name: str, second: int, **more: object) -> dict:
    parameters = {
        "ga_session_id": {"int_value": "77"},
        "page_location": {"string_value": "https://outlet.example.com/"},
    }
    at = 1715774400 + second  # 2024-05-15 12:00:00 UTC
    return {
        "event_date": "20240515",
        "event_timestamp": str(at * 1_000_000),
        "event_name": name,
        "event_params": [{"key": key, "value": value} for key, value in parameters.items()],
        "user_pseudo_id": "ga.bob",
        "user_id": "bob",
        "platform": "WEB",
        "device": {"category": "desktop", "web_info": {"hostname": "outlet.example.com"}},
        "items": [],
    } | more


def snowplow(event_id: str, event: str, at: str, session: str, user: str) -> dict:
    return {
        "app_id": "magazine", "platform": "web", "event": event, "event_name": event, "event_id": event_id,
        "collector_tstamp": f"2024-05-15 {at}", "derived_tstamp": f"2024-05-15 {at}",
        "dvce_created_tstamp": f"2024-05-15 {at}", "domain_userid": "duid-cleo", "domain_sessionid": session,
        "user_id": user, "page_url": "https://magazine.example.com/a", "page_urlhost": "magazine.example.com",
        "page_referrer": "NULL", "useragent": AGENT, "mkt_source": "NULL",
    }  # fmt: skip


def as_csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def deliver(folder: Path) -> None:
    """Write what every system of the company delivers."""
    crm = ["nr;stand;vorname;nachname;mail;telefon;geburtstag;login"]
    crm.append("K1;2024-05-01 08:00:00;Ann;Müller;Ann.Mueller@example.com ;030 901820;01.02.1980;")
    crm.append("K2;2024-05-02 08:00:00;Bob;Braun;bob@example.com;+49 30 901821;32.13.1980;bob")
    write(folder / "crm" / "kunden.csv", "\n".join(crm).encode("cp1252"))
    member = {
        "card": "L1",
        "since": "2024-05-10",
        "contact": {"email": "ann.mueller@example.com", "address": {"city": "Köln"}},
    }
    write(
        folder / "loyalty" / "members.json", json.dumps({"data": {"members": [member]}}, ensure_ascii=False)
    )
    with sqlite3.connect(folder / "calls.db") as database:
        database.execute(
            "create table calls (id integer primary key, ended_at text, topic text, caller text)"
        )
        database.executemany(
            "insert into calls values (?, ?, ?, ?)",
            [
                (1, "2024-05-14 09:00:00", "delivery", "+49 30 901820"),
                (2, "2024-05-16 09:00:00", "later", "x"),
            ],
        )
    order = {
        "order_id": "O-1", "total": 30.0, "currency": "EUR",
        "products": [{"product_id": "p1", "price": 10.0, "quantity": 3, "name": "Boots", "category": "Shoes"}],
    }  # fmt: skip
    write(
        folder / "shop" / "events_2024-05-15.jsonl",
        lines(
            segment(1, "page", "10:00:00"),
            segment(2, "identify", "10:01:00", userId="ann", traits={"email": "ann.mueller@example.com"}),
            segment(3, "track", "10:05:00", userId="ann", event="Order Completed", properties=order),
            segment(3, "track", "10:05:00", userId="ann", event="Order Completed", properties=order),
            segment(4, "page", "11:00:00", userId="ann"),
        ),
    )
    write(
        folder / "outlet" / "events_2024-05-15.json",
        lines(
            ga4("page_view", 0),
            ga4(
                "purchase", 60,
                ecommerce={"transaction_id": "G-1", "purchase_revenue": 12.5},
                items=[{"item_id": "p2", "item_name": "Hat", "price": 12.5, "quantity": "1"}],
            ),
        ),
    )  # fmt: skip
    write(
        folder / "magazine" / "2024-05-15.csv",
        as_csv(
            [
                snowplow("w1", "page_view", "07:00:00.000", "m1", "cleo"),
                snowplow("w2", "page_ping", "07:00:10.000", "m1", "cleo"),
                snowplow("w3", "page_view", "07:05:00.000", "m2", "cleo"),
            ]
        ),
    )
    common = """
        '{id}' as id, 'anon-dora' as anonymous_id, 'dora' as user_id, timestamp '2024-05-15 15:00:00' as timestamp,
        timestamp '2024-05-15 15:00:00' as received_at, timestamp '2024-05-15 15:00:00' as sent_at,
        timestamp '2024-05-15 15:00:00' as original_timestamp
    """
    tables = {
        "pages": f"select {common.format(id='d1')}, 'https://x.example.com/' as context_page_url, 'Home' as name",
        "tracks": f"select {common.format(id='d2')}, 'order_completed' as event, 'Order Completed' as event_text",
        "order_completed": f"select {common.format(id='d2')}, 'order_completed' as event,"
        " 'Order Completed' as event_text, 'D-1' as order_id, 99.5 as total, 'EUR' as currency",
        "identifies": f"select {common.format(id='d3')}, 'dora@example.com' as email",
    }
    (folder / "warehouse").mkdir()
    for name, query in tables.items():
        duckdb.sql(f"copy ({query}) to '{folder}/warehouse/{name}.parquet'")
    log = [
        f'203.0.113.7 - - [15/May/2024:10:05:03 +0200] "GET /hello HTTP/1.1" 200 2326 "https://x.example/" "{AGENT}"',
        f'203.0.113.7 - - [15/May/2024:10:05:04 +0200] "GET /style.css HTTP/1.1" 200 326 "-" "{AGENT}"',
        "this is no line of a log",
    ]
    write(folder / "blog" / "access.log", "\n".join(log) + "\n")
    write(folder / "broker" / "traits.csv", "cookie,seen_at,age,has_pet\nanon-zoe,2024-05-10,34,yes\n")
    write(
        folder / "consents.csv",
        "id_type,id,purpose,status,at\nemail,ann.mueller@example.com,advertising,granted,2024-05-01\n",
    )


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    folder = tmp_path_factory.mktemp("every_spec")
    deliver(folder)
    write(folder / "channels.yml", CHANNELS)
    write(folder / "normalisation.yml", "region: DE\n")
    company = Company(folder, folder / "data", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "AIRFLOW_CONN_CALL_CENTRE", json.dumps({"conn_type": "sqlite", "host": str(folder / "calls.db")})
        )
        company.call(DAY)
    return company


def test_each_person_is_one_customer_whatever_system_knows_them(company: Company):
    rows = company.rows(
        """
        select given_name, email, phone, country, birth_date::varchar, city
        from {customers} order by email nulls last, given_name
        """
    )
    assert rows == [
        ("Ann", "ann.mueller@example.com", "+4930901820", "DE", "1980-02-01", "Köln"),
        ("Bob", "bob@example.com", "+4930901821", "DE", None, None),
        (None, "dora@example.com", None, None, None, None),
        (None, None, None, None, None, None),
    ]


def test_orders_come_once_each_from_the_events_of_every_shop(company: Company):
    rows = company.rows(
        """
        select customers.email, timeline.channel, timeline.order_id, max(timeline.amount)
        from {customer_timeline} as timeline
        inner join {customers} as customers using (customer_id)
        where timeline.activity in ('order_placed', 'order') or timeline.activity like '%order%'
        group by all order by all
        """
    )
    assert [(email, channel, order) for email, channel, order, _ in rows] == [
        ("ann.mueller@example.com", "shop", "O-1"),
        ("bob@example.com", "outlet", "G-1"),
        ("dora@example.com", "events_warehouse", "D-1"),
    ]


def test_visits_are_cut_as_each_tracker_counts_them(company: Company):
    rows = company.rows(
        "select channel, count(*), sum(page_views)::int, bool_or(converted) from {sessions} group by all order by all"
    )
    assert rows == [
        ("blog", 1, 1, False),
        ("events_warehouse", 1, 1, True),
        ("magazine", 2, 2, False),
        ("outlet", 1, 1, True),
        ("shop", 2, 2, True),
    ]


def test_a_call_read_from_a_database_is_on_the_callers_timeline(company: Company):
    rows = company.rows(
        """
        select customers.email, timeline.occurred_at::varchar
        from {customer_timeline} as timeline
        inner join {customers} as customers using (customer_id)
        where timeline.channel = 'calls'
        """
    )
    assert rows == [("ann.mueller@example.com", "2024-05-14 09:00:00")]


def test_what_was_refused_is_counted_and_named(company: Company):
    rows = company.rows(
        "select channel, refused, reason, column_name, rows from {quarantine_summary} order by all"
    )
    assert rows == [("blog", "row", "malformed", "", 1), ("crm", "value", "rejected", "birth_date", 1)]
    assert company.manifest()["row_flow"]["balanced"] is True


def test_the_same_files_again_are_known_in_every_spec(company: Company):
    company.call(DAY)
    assert company.releases[0] == company.releases[1]
    assert company.digests[0] == company.digests[1]
