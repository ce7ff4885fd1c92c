"""Time: repeats, corrections, deletions, snapshots, late and changed files; and the laws, on tables value by value.

Everything begins with files, so that the order in which they come matters, and ends with what dbt writes.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shutil
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.config import dbt_variables
from include.lake import Lake
from include.warehouse import run_models
from tests.dbt_project.files_company import KEY, Company
from tests.dbt_project.parts import bounds_taken, parts_built

DAYS = [date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 3)]
# Late files change what would have been found on the days before.
ABOUT_THE_DAYS_BEFORE = {"cdp/identity_changes", "cdp/customer_id_history", "cdp/identity_health"}

EVENTS_ONLY = """\
channels:
  crm:
    {party: first, kind: customers, spec: mapped, required: false,
     source: {path: "crm_{date}*.csv", format: csv},
     map: {record_id: id, observed_at: changed, email: mail, given_name: name, is_deleted: gone}}
  club:
    {party: first, kind: customers, spec: mapped, required: false, delivery: snapshot,
     source: {path: "club_{date}.csv", format: csv},
     map: {record_id: card, observed_at: changed, email: mail, loyalty_number: card}}
  web:
    {party: first, kind: events, spec: segment, required: false,
     source: {path: "web_{date}.jsonl", format: jsonl}}
  app:
    {party: first, kind: events, spec: mapped, required: false,
     source: {path: "app_{date}.csv", format: csv},
     map: {event_id: id, type: {value: track}, name: what, occurred_at: at, received_at: got, anonymous_id: device,
           email: mail, properties: properties, is_deleted: gone}}
  calls:
    {party: first, kind: interactions, spec: mapped, required: false,
     source: {path: "calls_{date}.csv", format: csv},
     map: {interaction_id: id, occurred_at: at, type: {value: call}, reason: reason, email: mail, is_deleted: gone}}
  mailer:
    {party: first, kind: messages, spec: mapped, required: false,
     source: {path: "mailer_{date}.csv", format: csv},
     map: {message_id: id, occurred_at: at, action: action, medium: {value: email}, email: mail}}
  site:
    {party: first, kind: events, spec: segment, required: false,
     source: {path: "site_{date}.jsonl", format: jsonl}}
"""


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows, ""])


def event(message_id: str | None, at: str, name: str, received: str | None = None, **properties: Any) -> dict:
    """A `track` event of Ann's browser, in Segment's format."""
    message = {"messageId": message_id} if message_id else {}
    return message | {
        "type": "track", "event": name, "userId": "u-ann", "anonymousId": "a-ann", "timestamp": f"2024-{at}Z",
        "receivedAt": f"2024-{received or at}Z", "properties": properties,
        "context": {"consent": {"categoryPreferences": {"advertising": True}}, "userAgent": "Mozilla/5.0"},
    }  # fmt: skip


def lines(*events: dict) -> str:
    return "".join(json.dumps(each) + "\n" for each in events)


def seen(message_id: str, at: str, kind: str, device: str, user: str | None = None, **more: Any) -> dict:
    """A message of a browser, in Segment's format; with a user when they are logged in."""
    message = {
        "messageId": message_id, "type": kind, "anonymousId": device, "timestamp": f"2024-{at}Z",
        "receivedAt": f"2024-{at}Z", "context": {"userAgent": "Mozilla/5.0"},
    }  # fmt: skip
    return message | ({"userId": user} if user else {}) | more


def household() -> dict[str, list[dict]]:
    """The laptop that Hal and Ida share, and what Kim does before anybody knows her, by the day of the file."""
    laptop, cookie = "a-laptop", "kim's"
    hal, ida = {"traits": {"email": "hal@x.example"}}, {"traits": {"email": "ida@x.example"}}
    return {
        "2024-03-01": [
            seen("l1", "03-01T23:50:00", "page", laptop),
            seen("k1", "03-01T08:00:00", "page", cookie),
            seen("k2", "03-01T08:01:00", "screen", cookie),
            seen("k3", "03-01T08:02:00", "track", cookie, event="Product Viewed"),
            seen("k4", "03-01T08:03:00", "track", cookie, event="Order Completed",
                 properties={"order_id": "ok", "total": 5, "currency": "EUR"}),
        ],
        "2024-03-02": [
            seen("l2", "03-02T00:05:00", "identify", laptop, "u-hal", **hal),
            seen("l3", "03-02T00:10:00", "page", laptop),
            seen("l4", "03-02T12:00:00", "page", laptop),
            seen("l5", "03-02T20:00:00", "page", laptop),
        ],
        "2024-03-03": [
            # Late: Hal's second log-in was on the day before, so what is between the two is his.
            seen("l6", "03-02T18:00:00", "identify", laptop, "u-hal", **hal),
            seen("l7", "03-03T09:00:00", "page", laptop, "u-ida"),
            seen("l8", "03-03T09:05:00", "page", laptop),
            seen("l9", "03-03T09:10:00", "page", laptop, "u-hal"),
            seen("l10", "03-03T15:00:00", "identify", laptop, "u-ida", **ida),
            seen("l11", "03-03T15:10:00", "page", laptop),
            seen("k5", "03-03T08:00:00", "identify", cookie, "u-kim", traits={"email": "kim@x.example"}),
        ],
    }  # fmt: skip


def repeats(seed: int, day: date) -> dict[str, str]:
    """Forty events and thirty calls that come again and again: other content, times, withdrawals, in any order."""
    draw = random.Random(f"{seed} {day}")
    moments = ["", *(f"2024-03-0{number} 0{number}:00:00" for number in (1, 2, 3))]
    app, calls = io.StringIO(), io.StringIO()
    writer = csv.writer(app, lineterminator="\n")
    writer.writerow(["id", "what", "at", "got", "device", "mail", "properties", "gone"])
    for _ in range(60):
        number = draw.randrange(40)
        writer.writerow([
            f"a{number}", draw.choice(["Product Viewed", "Product Added"]), "2024-03-01 10:00:00", draw.choice(moments),
            f"d{number % 7}", draw.choice(["", f"{number % 5}@x.example"]),
            draw.choice(["", "{}", '{"product_id": "p1"}']), draw.choice(["", "", "", "", "", "true"]),
        ])  # fmt: skip
    writer = csv.writer(calls, lineterminator="\n")
    writer.writerow(["id", "at", "reason", "mail", "gone"])
    for _ in range(40):
        writer.writerow([
            f"c{draw.randrange(30)}", draw.choice(moments[1:]), draw.choice(["bill", "delivery", ""]),
            f"{draw.randrange(5)}@x.example", draw.choice(["", "", "", "true"]),
        ])  # fmt: skip
    return {f"app_{day}.csv": app.getvalue(), f"calls_{day}.csv": calls.getvalue()}


CRM, CLUB = "id,changed,mail,name,gone", "card,changed,mail"
TEA, CUP = (
    {"product_id": "p1", "name": "Tea", "category": "tea", "price": 10},
    {"sku": "p2", "name": "Cup", "category": "cups", "price": 5.5},
)


def first_day() -> dict[str, str]:
    files = repeats(1, DAYS[0])
    files["calls_2024-03-01.csv"] += "kim,2024-03-01 08:30:00,bill,kim@x.example,\n"
    return files | {
        "mailer_2024-03-01.csv": table("id,at,action,mail", "m1,2024-03-01 09:00:00,opened,kim@x.example"),
        "site_2024-03-01.jsonl": lines(*household()["2024-03-01"]),
        "crm_2024-03-01.csv": table(
            CRM, "1,2024-02-20 10:00,ann@x.example,Ann,", "2,2024-02-20 10:00,bob@x.example,Bob,",
            "3,2024-02-20 10:00,cy@x.example,Cy,", "5,2024-02-20 10:00,eve@x.example,Eve,",
        ),
        "club_2024-03-01.csv": table(
            CLUB, "100,2024-02-01 10:00,ann@x.example", "101,2024-02-01 10:00,bob@x.example",
            "102,2024-02-01 10:00,dee@x.example",
        ),
        "web_2024-03-01.jsonl": lines(
            {"messageId": "i1", "type": "identify", "userId": "u-ann", "anonymousId": "a-ann",
             "timestamp": "2024-03-01T08:00:00Z", "receivedAt": "2024-03-01T08:00:00Z",
             "traits": {"email": "ann@x.example"}},
            event("e1", "03-01T09:00:00", "Order Completed", order_id="o1", total=26, currency="EUR",
                  products=[TEA | {"quantity": 2, "position": 1}, CUP | {"position": 1}], shipping=0.5),
            event("e2", "03-01T09:10:00", "order_completed", order_id="o2", revenue="40.00"),
            event("e3", "03-01T09:20:00", "Purchase", revenue=7),
            event("e4", "03-01T09:30:00", "OrderCompleted", order_id="o3", total=30, products=[TEA]),
            event("e5", "03-01T09:40:00", "ORDER COMPLETED", order_id="o4", total=50, products=[TEA | {"quantity": 5}]),
            event("e6", "03-01T09:50:00", "Order Completed", order_id=5, total=60),
        ),
    }  # fmt: skip


def second_day() -> dict[str, str]:
    """Bob is deleted, and Eve for a while; no snapshot of the club comes, and a call list without calls."""
    return {
        "site_2024-03-02.jsonl": lines(*household()["2024-03-02"]),
        "calls_2024-03-02.csv": table("id,at,reason,mail,gone"),
        "crm_2024-03-02.csv": table(
            CRM, "2,2024-03-02 10:00,bob@x.example,Bob,true", "5,2024-03-02 10:00,eve@x.example,Eve,yes",
            "3,2024-03-02 10:00,cy.new@x.example,Cy,",
        ),
        "web_2024-03-02.jsonl": lines(event("e7", "03-02T09:00:00", "Order Updated", order_id="o1", total=1)),
    }  # fmt: skip


def third_day() -> dict[str, str]:
    """Files of all three days: Eve is back; the club's new snapshot and a late older one; late and changed files."""
    return repeats(3, DAYS[2]) | {
        "site_2024-03-03.jsonl": lines(*household()["2024-03-03"]),
        "app_2024-03-02.csv": repeats(2, DAYS[1])["app_2024-03-02.csv"],
        "crm_2024-03-03.csv": table(CRM, "5,2024-03-03 10:00,eve@x.example,Eve,"),
        "crm_2024-03-01_late.csv": table(
            CRM, "1,2024-01-01 10:00,ann.old@x.example,Ann,", "2,2024-01-01 10:00,bob.old@x.example,Bob,",
        ),
        "club_2024-03-02.csv": table(CLUB, "100,2024-02-01 10:00,ann@x.example", "104,2024-03-02 10:00,gus@x.example"),
        "club_2024-03-03.csv": table(CLUB, "103,2024-03-03 10:00,fay@x.example", "100,2024-02-01 10:00,ann@x.example"),
        "web_2024-03-02.jsonl": lines(
            event("e7", "03-02T09:00:00", "Order Updated", order_id="o1", total=36,
                  products=[TEA | {"quantity": 3}, CUP]),
            event("e8", "03-02T09:10:00", "Order Cancelled", order_id="o3"),
            event("e9", "03-02T09:20:00", "Order Refunded", order_id="o4", total=10, products=[TEA]),
            # The tracker sends an event again; the first received holds.
            event("e2", "03-01T09:10:00", "order_completed", received="03-02T23:00:00", order_id="o2", revenue=999),
        ),
        "web_2024-03-03.jsonl": lines(event("e10", "03-03T09:00:00", "order_refunded", order_id="5")),
    }  # fmt: skip


@dataclass
class History:
    """The company, and its tables after each way to the third day."""

    company: Company
    day_by_day: dict[str, list[tuple]]
    staged: dict[str, list[tuple]]
    again: dict[str, list[tuple]]
    rebuilt: dict[str, list[tuple]]
    staged_rebuilt: dict[str, list[tuple]]
    owners: dict[str, str | None]
    owners_rebuilt: dict[str, str | None]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("time")
    company = Company(folder / "files", Lake(folder / "data"), EVENTS_ONLY)
    for day, files in zip(DAYS, (first_day(), second_day(), third_day()), strict=True):
        company.deliver(files)
        company.extract(day)
        company.stage(day)
        company.identify(day)
    company.unify(DAYS[-1])
    day_by_day, staged = company.tables(), company.staged()
    owners = company.owners(DAYS[-1])
    company.extract(DAYS[-1])
    company.identify(DAYS[-1])
    company.check(DAYS[-1])
    again = company.tables()
    company.forget()
    company.deliver(first_day() | second_day() | third_day())
    rebuilt = company.run(DAYS[-1])
    return History(
        company, day_by_day, staged, again, rebuilt, company.staged(), owners, company.owners(DAYS[-1])
    )


def assert_equal(one: dict[str, list[tuple]], other: dict[str, list[tuple]]) -> None:
    """Both hold the same tables with the same rows, value by value."""
    assert one.keys() == other.keys()
    assert len([name for name, rows in one.items() if rows]) >= 10
    for name in one:
        assert one[name] == other[name], name


def test_day_by_day_gives_the_same_tables_as_one_rebuild(history: History) -> None:
    """But for the ids of customers that the files of the third day, late or of records said before, tell another past
    of: these keep the id they were given, which a rebuild cannot know."""
    names = {(one, history.owners_rebuilt[node]) for node, one in history.owners.items() if one is not None}
    assert len(names) == len({one for one, _ in names}) == len({other for _, other in names}) > 4
    renamed = {one: other for one, other in names if one != other}
    assert len(renamed) < len(names) / 2
    assert_equal(
        *(
            {
                name: under_other_ids(rows, names)
                for name, rows in tables.items()
                if name not in ABOUT_THE_DAYS_BEFORE
            }
            for tables, names in ((history.day_by_day, renamed), (history.rebuilt, {}))
        )
    )


def under_other_ids(rows: list[tuple], renamed: dict[str, str]) -> list[str]:
    """The rows as text, with some ids replaced, in an order of their own."""
    return sorted(
        re.sub(r"c[0-9a-f]{24}", lambda found: renamed.get(found[0], found[0]), repr(row)) for row in rows
    )


def test_what_staging_accumulates_is_what_a_rebuild_gives(history: History) -> None:
    assert_equal(history.staged, history.staged_rebuilt)


def test_running_again_changes_nothing(history: History) -> None:
    assert_equal(history.day_by_day, history.again)


@pytest.mark.parametrize("seed", [1])
def test_any_order_of_files_gives_the_same_tables(history: History, seed: int) -> None:
    """Files come in any order, three at a time, with their lines in any order, a file that changed first as it was;
    staging runs in between. (20 orders are tried where files land: tests/include/extract/test_incremental.py.)"""
    company, draw = history.company, random.Random(seed)
    company.forget()
    final = {
        name: in_any_order(name, content, draw)
        for name, content in (first_day() | second_day() | third_day()).items()
    }
    before = {"web_2024-03-02.jsonl": second_day()["web_2024-03-02.jsonl"]}
    names = sorted(final)
    draw.shuffle(names)
    company.deliver(before)
    for start in range(0, len(names), 3):
        company.deliver({name: final[name] for name in names[start : start + 3]})
        company.extract(DAYS[-1])
        if start == 6:
            company.stage(DAYS[-1])
    assert_equal(company.run(DAYS[-1]), history.rebuilt)


def in_any_order(name: str, content: str, draw: random.Random) -> str:
    """A file with its lines in another order, where none says another thing of the same moment: of such lines the last
    holds."""
    if name.startswith(("app_", "calls_")):
        return content
    header, rows = (
        content.splitlines(keepends=True)[: name.endswith(".csv")],
        content.splitlines(keepends=True),
    )
    rows = rows[len(header) :]
    draw.shuffle(rows)
    return "".join([*header, *rows])


def test_the_balance_of_rows_counts_what_was_deleted(history: History) -> None:
    counts = {
        row[:2]: row[2:]
        for row in duckdb.sql(
            "select kind, channel, landed_rows, staged_rows, superseded_rows, deleted_rows from read_parquet("
            f"'{history.company.lake.staged('row_counts')}')"
        ).fetchall()
    }
    # Bob is gone; the other rows are versions of Ann, Cy, Eve and Bob.
    assert counts["customers", "crm"] == (10, 3, 6, 1)
    # Bob, Dee and Gus are not in the newest snapshot; Ann is in all three.
    assert counts["customers", "club"] == (7, 2, 2, 3)
    assert counts["events", "app"][3] > 0
    assert counts["interactions", "calls"][3] > 0
    assert all(landed == sum(others) for landed, *others in counts.values())


def test_a_deleted_customer_is_nowhere_and_one_who_came_back_is_there(history: History) -> None:
    found = history.company.published("select channel, record_id from {customer_records} order by all")
    assert found == [("club", "100"), ("club", "103"), ("crm", "1"), ("crm", "3"), ("crm", "5")]
    evidence = f"read_parquet('{history.company.lake.staged('identity_evidence')}')"
    values = {value for (value,) in duckdb.sql(f"select id_value from {evidence}").fetchall()}
    assert {"eve@x.example", "ann.old@x.example"} <= values
    assert not {"bob@x.example", "bob.old@x.example", "dee@x.example", "gus@x.example"} & values


def test_a_record_keeps_the_day_of_its_first_snapshot(history: History) -> None:
    days = history.company.ask(
        "select record_id, first_landed_on from stg_customers where channel = 'club' order by 1"
    )
    assert days == [("100", DAYS[0]), ("103", DAYS[2])]


def test_events_say_what_was_ordered_and_what_became_of_it(history: History) -> None:
    orders = history.company.ask(
        "select order_id, status, total, is_valid, ordered_at::date from stg_event_orders order by all"
    )
    assert orders == [
        ("5", "refunded", Decimal("60.0000"), False, DAYS[0]),
        ("e3", "completed", Decimal("7.0000"), True, DAYS[0]),
        ("o1", "completed", Decimal("36.0000"), True, DAYS[0]),
        ("o2", "completed", Decimal("40.0000"), True, DAYS[0]),
        ("o3", "cancelled", Decimal("30.0000"), False, DAYS[0]),
        ("o4", "partially_refunded", Decimal("50.0000"), True, DAYS[0]),
        ("ok", "completed", Decimal("5.0000"), True, DAYS[0]),
    ]


def test_an_order_of_events_is_on_the_timeline_once(history: History) -> None:
    purchases = history.company.published(
        """
        select order_id, product_id, category, activity, amount from {customer_timeline}
        where activity like '%purchase' and amount is not null order by all
        """
    )
    assert purchases == [
        ("5", None, None, "cancelled_purchase", Decimal("60.0000")),
        ("e3", None, None, "purchase", Decimal("7.0000")),
        ("o1", "p1", "tea", "purchase", Decimal("30.0000")),
        ("o1", "p2", "cups", "purchase", Decimal("5.5000")),
        ("o2", None, None, "purchase", Decimal("40.0000")),
        ("o3", "p1", "tea", "cancelled_purchase", Decimal("10.0000")),
        ("o4", "p1", "tea", "purchase", Decimal("50.0000")),
        ("ok", None, None, "purchase", Decimal("5.0000")),
    ]


def test_orders_of_events_count_in_features_as_often_as_they_were_placed(history: History) -> None:
    features = history.company.published(
        """
        select frequency_orders, monetary_total from {customer_features}
        inner join {customers} using (customer_id) where email = 'ann@x.example'
        """
    )
    assert features == [(4, Decimal("133.0000"))]


def of(email: str) -> str:
    return f"inner join {{customers}} as customers using (customer_id) where customers.email = '{email}'"


def test_what_somebody_did_before_they_were_known_is_theirs_in_every_channel(history: History) -> None:
    done = history.company.published(
        f"select channel, activity, count(*) from {{customer_timeline}} {of('kim@x.example')} group by all order by all"
    )
    assert done == [
        ("calls", "call", 1),
        ("mailer", "email_opened", 1),
        ("site", "order_completed", 1),
        ("site", "page_viewed", 1),
        ("site", "product_viewed", 1),
        ("site", "purchase", 1),
        ("site", "screen_viewed", 1),
    ]


def test_a_shared_laptop_is_one_persons_at_a_time_and_between_two_persons_nobodys(history: History) -> None:
    owned = history.company.published(
        """
        select customers.email, strftime(owned_from, '%d. %H:%M'), strftime(owned_until, '%d. %H:%M'),
            identified_events, anonymous_events
        from {device_ownership} inner join {customers} as customers using (customer_id)
        where id_value = 'a-laptop' order by interval_number
        """
    )
    assert owned == [
        ("hal@x.example", "01. 23:50", "02. 18:00", 2, 3),
        ("ida@x.example", "03. 09:00", "03. 09:00", 1, 0),
        ("hal@x.example", "03. 09:10", "03. 09:10", 1, 0),
        ("ida@x.example", "03. 15:00", "03. 15:10", 1, 1),
    ]
    timeline = "select strftime(occurred_at, '%d. %H:%M') from {customer_timeline} " + of("hal@x.example")
    assert sorted(history.company.published(timeline)) == [
        ("01. 23:50",),
        ("02. 00:10",),
        ("02. 12:00",),
        ("03. 09:10",),
    ]


def test_a_visit_goes_on_over_midnight_and_never_spans_two_people(history: History) -> None:
    visits = history.company.published(
        """
        select customers.email, strftime(started_at, '%d. %H:%M'), strftime(ended_at, '%d. %H:%M'), page_views
        from {sessions} as sessions left join {customers} as customers using (customer_id)
        where channel = 'site' and (email <> 'kim@x.example' or email is null) order by started_at
        """
    )
    assert visits == [
        ("hal@x.example", "01. 23:50", "02. 00:10", 2),
        ("hal@x.example", "02. 12:00", "02. 12:00", 1),
        (None, "02. 20:00", "02. 20:00", 1),
        ("ida@x.example", "03. 09:00", "03. 09:00", 1),
        (None, "03. 09:05", "03. 09:05", 1),
        ("hal@x.example", "03. 09:10", "03. 09:10", 1),
        ("ida@x.example", "03. 15:10", "03. 15:10", 1),
    ]


def test_visits_are_the_same_in_parts_that_begin_with_any_id(history: History, tmp_path: Path) -> None:
    parted = Lake(tmp_path / "parted")
    shutil.copytree(history.company.lake.data, parted.data)
    variables = dbt_variables(history.company.configuration, DAYS[-1], parted) | {
        "memory_gb": 1,
        "visits_at_a_time": 1,
    }
    run_models(["sessions"], parted, variables, KEY)
    together, apart = (
        duckdb.read_parquet(str(lake.table("cdp", "sessions"))).order("session_id").fetchall()
        for lake in (history.company.lake, parted)
    )
    assert together == apart
    parts = parts_built(parted, "sessions")
    assert parts > 4
    assert "kim''s" in bounds_taken(parted)
    run_models(["sessions"], parted, variables | {"memory_gb": 2.5}, KEY)
    assert 1 < parts_built(parted, "sessions") - parts <= parts / 2  # more memory, fewer parts


def test_a_new_day_reads_no_old_file_of_landing(history: History) -> None:
    """What is staged of the days before is kept although their files are gone from landing."""
    company = history.company
    company.forget()
    company.deliver(first_day())
    company.extract(DAYS[0])
    company.stage(DAYS[0], "stg_events")
    before = company.ask("select count(*) from stg_events where channel = 'web'")
    (company.lake.landing("events", "web", DAYS[0]) / "part.parquet").unlink()
    company.deliver(second_day())
    company.extract(DAYS[1])
    company.stage(DAYS[1], "stg_events")
    assert before == [(7,)]
    assert company.ask("select count(*) from stg_events where channel = 'web'") == [(8,)]
    # The first day again does not know the second: its table is built from what has landed, where the file is missing.
    company.stage(DAYS[0], "stg_events")
    assert company.ask("select count(*) from stg_events where channel = 'web'") == [(0,)]


WITH_ORDERS = """\
channels:
  shop:
    {party: first, kind: orders, spec: mapped, required: false,
     source: {path: "orders_{date}.csv", format: csv},
     map: {order_id: id, ordered_at: placed, updated_at: changed, total: total, is_deleted: gone}}
  catalogue:
    {party: first, kind: products, spec: mapped, delivery: snapshot,
     source: {path: "catalogue_*.csv", format: csv},
     map: {product_id: id, name: name}}
  leavers:
    {party: first, kind: customers, spec: mapped, required: false, delivery: snapshot,
     source: {path: "leavers_{date}.csv", format: csv},
     map: {record_id: id, observed_at: changed}}
  tills:
    {party: first, kind: interactions, spec: mapped, required: false, delivery: snapshot,
     source: {path: "tills_*_{date}.csv", format: csv},
     map: {interaction_id: id, occurred_at: at, reason: reason}}
  warehouse:
    {party: first, kind: events, spec: mapped, required: false,
     source: {path: "events_*_{date}.csv", format: csv},
     map: {event_id: id, type: {value: track}, name: what, occurred_at: at, received_at: got, properties: properties,
           is_deleted: gone}}
  web:
    {party: first, kind: events, spec: segment, required: false,
     source: {path: "web_{date}.jsonl", format: jsonl}}
"""
# The models of staging that the rules are asked of.
ASKED = (
    "stg_customers", "stg_customer_versions", "stg_orders", "stg_products", "stg_interactions", "stg_events",
    "stg_event_orders", "stg_landed_counts",
)  # fmt: skip
ORDERS, EVENTS = "id,placed,changed,total,gone", "id,what,at,got,properties,gone"
NOON, LATER = "2024-03-01 12:00,2024-03-01 12:00", "2024-03-01 12:00,2024-03-01 18:00"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Two days of a company, staged once each; every record is there for one rule."""
    folder = tmp_path_factory.mktemp("rules")
    company = Company(folder / "files", Lake(folder / "data"), WITH_ORDERS)
    anonymous = event(None, "03-01T10:00:00", "Seen")
    company.deliver(
        {
            "orders_2024-03-01.csv": table(
                ORDERS, "r1,2024-03-01 10:00,2024-03-01 12:00,5,", "r2,2024-03-01 10:00,2024-03-01 12:00,5,",
                "r3,2024-03-01 10:00,2024-03-01 12:00,5,", "r4,2024-03-01 10:00,2024-03-01 12:00,5,",
            ),
            "catalogue_a.csv": table("id,name", "p1,Tea", "p2,Cup"),
            "catalogue_b.csv": table("id,name", "p3,Pot"),
            "leavers_2024-03-01.csv": table("id,changed", "1,2024-03-01 10:00", "2,2024-03-01 10:00"),
            "tills_1_2024-03-01.csv": table("id,at,reason", "t1,2024-03-01 10:00,old", "t2,2024-03-01 10:00,old"),
            "events_table_2024-03-01.csv": table(
                EVENTS, f'w1,Seen,{NOON},"{{""a"": 1}}",', f"w2,Seen,{NOON},,", f"w3,Seen,{LATER},,",
                f"w4,Seen,{NOON},,", f"w5,Seen,{NOON},,true",
            ),
            "events_tracks_2024-03-01.csv": table(
                EVENTS, f"w1,Seen,{NOON},,", f'w2,Seen,{NOON},"{{""a"": 2}}",', f'w3,Seen,{NOON},"{{""a"": 3}}",',
            ),
            "web_2024-03-01.jsonl": lines(anonymous, anonymous, anonymous | {"event": "Seen again"}),
        }
    )  # fmt: skip
    company.extract(DAYS[0])
    company.stage(DAYS[0], *ASKED)
    company.deliver(
        {
            "orders_2024-03-02.csv": table(
                ORDERS, "r1,2024-03-01 10:00,,5,true", "r2,2024-03-01 10:00,2024-03-01 12:00,9,",
                "r3,2024-03-01 10:00,2024-03-01 11:00,100,",
            ),
            "catalogue_a.csv": table("id,name", "p1,Green tea", "p4,Mug"),
            "leavers_2024-03-02.csv": table("id,changed"),
            "tills_1_2024-03-02.csv": table("id,at,reason", "t1,2024-02-01 10:00,older but newest snapshot"),
            "tills_2_2024-03-02.csv": table("id,at,reason", "t3,2024-03-02 10:00,new"),
            "events_table_2024-03-02.csv": table(
                EVENTS, f'w3,Seen,{LATER},"{{""a"": 99}}",', f"w4,Seen,{LATER},,true", f"w5,Seen,{NOON},,",
                f'w1,Corrected,{NOON},"{{""a"": 1}}",',
            ),
        }
    )  # fmt: skip
    company.extract(DAYS[1])
    company.stage(DAYS[1], *ASKED)
    return company


def test_an_order_is_gone_when_its_deletion_says_no_time_and_otherwise_its_latest_change_holds(
    rules: Company,
) -> None:
    # r2 came again as of the same moment, r3 as of an earlier one, r4 not at all.
    assert rules.ask("select order_id, total, landed_on from stg_orders order by 1") == [
        ("r2", Decimal("9.0000"), DAYS[1]),
        ("r3", Decimal("5.0000"), DAYS[0]),
        ("r4", Decimal("5.0000"), DAYS[0]),
    ]


def test_each_file_without_a_date_is_a_snapshot_of_its_own(rules: Company) -> None:
    products = rules.ask("select product_id, name, first_landed_on from stg_products order by 1")
    assert products == [("p1", "Green tea", DAYS[0]), ("p3", "Pot", DAYS[0]), ("p4", "Mug", DAYS[1])]


def test_a_snapshot_without_rows_removes_all(rules: Company) -> None:
    assert rules.ask("select count(*) from stg_customer_versions where channel = 'leavers'") == [(0,)]
    counts = (
        "select landed_rows, superseded_rows, deleted_rows from stg_landed_counts where channel = 'leavers'"
    )
    assert rules.ask(counts) == [(2, 0, 2)]


def test_the_files_of_a_day_are_one_snapshot_and_the_newest_holds_whatever_its_times(rules: Company) -> None:
    assert rules.ask("select interaction_id, reason, first_landed_on from stg_interactions order by 1") == [
        ("t1", "older but newest snapshot", DAYS[0]),
        ("t3", "new", DAYS[1]),
    ]


def test_the_first_received_event_holds_and_of_one_receipt_the_one_with_properties(rules: Company) -> None:
    events = rules.ask(
        "select event_id, name, properties from stg_events where channel = 'warehouse' order by 1"
    )
    assert events == [("w1", "Corrected", '{"a": 1}'), ("w2", "Seen", '{"a": 2}'), ("w3", "Seen", '{"a": 3}')]


def test_a_withdrawn_event_stays_withdrawn(rules: Company) -> None:
    """Of w4 the withdrawal came later and was received later, of w5 a repeat came after it."""
    assert rules.ask("select event_id from stg_events where event_id in ('w4', 'w5')") == []
    assert rules.ask("select event_id from stg_events__deleted order by 1") == [("w4",), ("w5",)]


def test_the_same_event_without_an_id_is_one(rules: Company) -> None:
    assert rules.ask("select name from stg_events where channel = 'web' order by 1") == [
        ("Seen",),
        ("Seen again",),
    ]


def test_channels_of_orders_leave_events_to_themselves(rules: Company) -> None:
    assert rules.ask("select count(*) from stg_event_orders") == [(0,)]


def test_every_kind_adds_up_after_two_days(rules: Company) -> None:
    staged = {
        (kind, channel): count
        for kind in ("customers", "orders", "products", "interactions", "events")
        for channel, count in rules.ask(f"select channel, count(*) from stg_{kind} group by all")
    }
    counts = rules.ask(
        "select kind, channel, landed_rows, superseded_rows, deleted_rows from stg_landed_counts"
    )
    assert len(counts) == 6
    for kind, channel, landed, superseded, deleted in counts:
        assert landed == staged.get((kind, channel), 0) + superseded + deleted, (kind, channel)
