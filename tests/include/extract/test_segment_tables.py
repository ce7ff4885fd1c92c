from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.extract.specs.segment_tables import table_of
from include.ledger import StepFailed

CALL = {
    "id": "m1",
    "anonymous_id": "a1",
    "user_id": "u1",
    "received_at": datetime(2017, 12, 1, 10, 0, 6),
    "sent_at": datetime(2017, 12, 1, 11, 0, 5),
    "original_timestamp": datetime(2017, 12, 1, 11),
    "timestamp": datetime(2017, 12, 1, 10, 0, 1),
    "uuid_ts": datetime(2017, 12, 1, 12),
    "context_ip": "192.0.2.7",
    "context_user_agent": "Mozilla/5.0",
    "context_page_url": "https://Shop.example.com:8443/tea?x=1",
    "context_page_referrer": "https://example.org/",
    "context_page_title": "Tea",
    "context_campaign_source": "news",
    "context_campaign_medium": "email",
    "context_campaign_name": "xmas",
    "context_device_id": "d1",
    "context_device_advertising_id": "ad1",
    "context_library_name": "analytics.js",
    "context_locale": "en-GB",
    "context_consent_category_preferences_analytics": True,
    "context_consent_category_preferences_advertising": False,
}
TRACK = CALL | {"event": "order_completed", "event_text": "Order Completed"}


@pytest.fixture
def warehouse(desk):
    """A warehouse whose tables of events are delivered as Parquet, one file a table and day."""
    return desk.describe(
        name="web", kind="events", spec="segment", path="warehouse/**/*_{date}*", format="parquet"
    )


def deliver(desk, table: str, *rows: dict) -> list[dict]:
    path = desk.folder / "warehouse" / f"{table}_2017-12-01.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    desk.extract()
    return [item for item in desk.landed() if item["source_file"].endswith(path.name)]


def test_every_column_of_the_layout_has_its_column(warehouse):
    (landed,) = deliver(warehouse, "tracks", TRACK)
    expected = {
        "event_id": "m1", "type": "track", "name": "Order Completed", "anonymous_id": "a1", "user_id": "u1",
        "occurred_at": datetime(2017, 12, 1, 10, 0, 1), "received_at": datetime(2017, 12, 1, 10, 0, 6),
        "sent_at": datetime(2017, 12, 1, 11, 0, 5), "ip": "192.0.2.7", "user_agent": "Mozilla/5.0", "platform": "web",
        "site": "shop.example.com", "is_owned_site": True, "url": "https://Shop.example.com:8443/tea?x=1",
        "referrer": "https://example.org/", "title": "Tea", "campaign_source": "news", "campaign_medium": "email",
        "campaign_name": "xmas", "device_id": "d1", "advertising_id": "ad1", "properties": None, "rejected_values": {},
    }  # fmt: skip
    assert {name: landed[name] for name in expected} == expected
    assert json.loads(landed["consent"]) == {"analytics": True, "advertising": False}
    assert {
        "context_locale": "en-GB",
        "context_library_name": "analytics.js",
        "event": "order_completed",
    }.items() <= (landed["attributes"].items())
    assert "uuid_ts" in landed["attributes"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, datetime(2017, 12, 1, 10, 0, 1)),
        ({"sent_at": datetime(2017, 12, 1, 10)}, datetime(2017, 12, 1, 9)),
        ({"original_timestamp": None}, datetime(2017, 12, 1, 9)),
        ({"original_timestamp": None, "timestamp": None, "sent_at": None}, datetime(2017, 12, 1, 10, 0, 6)),
    ],
    ids=["a clock one hour ahead", "sent before it happened", "no original time", "only received"],
)
def test_a_wrong_device_clock_is_corrected(warehouse, times, expected):
    base = TRACK | {"timestamp": datetime(2017, 12, 1, 9)}
    (landed,) = deliver(warehouse, "tracks", base | times)
    assert landed["occurred_at"] == expected


def test_a_table_of_one_event_brings_its_properties_under_the_id_of_tracks(warehouse):
    (track,) = deliver(warehouse, "tracks", TRACK)
    products = json.dumps([{"product_id": "p1", "price": 2.5, "quantity": 2}])
    own = TRACK | {"order_id": "o1", "total": 5.0, "currency": "EUR", "products": products, "coupon": None}
    (landed,) = deliver(warehouse, "order_completed", own)
    assert (landed["event_id"], landed["name"]) == (track["event_id"], "Order Completed")
    assert json.loads(landed["properties"]) == {
        "order_id": "o1", "total": 5.0, "currency": "EUR",
        "products": [{"product_id": "p1", "price": 2.5, "quantity": 2}],
    }  # fmt: skip


def test_a_table_without_names_of_events_is_one_event(warehouse):
    (landed,) = deliver(warehouse, "tea_brewed", CALL)
    assert (landed["type"], landed["name"]) == ("track", "tea_brewed")


def test_traits_identify_and_group(warehouse):
    traits = {"email": "ann@example.com", "phone": "+441", "first_name": "Ann", "address_city": "Rome"}
    (landed,) = deliver(warehouse, "identifies", CALL | traits)
    assert (landed["type"], landed["email"], landed["phone"]) == ("identify", "ann@example.com", "+441")
    assert json.loads(landed["traits"]) == traits
    (group,) = deliver(warehouse, "groups", CALL | {"group_id": "g1", "email": "info@example.com"})
    assert (group["type"], group["group_id"], group["email"]) == ("group", "g1", None)
    assert json.loads(group["traits"]) == {"email": "info@example.com"}


def test_traits_of_the_context_are_those_of_the_caller(warehouse):
    (landed,) = deliver(
        warehouse,
        "tracks",
        TRACK | {"context_traits_email": "ann@example.com", "context_traits_plan": "gold"},
    )
    assert landed["email"] == "ann@example.com"
    assert json.loads(landed["traits"]) == {"email": "ann@example.com", "plan": "gold"}


def test_a_session_is_one_visitors(warehouse):
    (landed,) = deliver(warehouse, "tracks", TRACK | {"context_session_id": 1512122400000})
    assert landed["session_id"] == "a1.1512122400000"


def test_an_alias_names_both_ids(warehouse):
    (landed,) = deliver(warehouse, "aliases", CALL | {"previous_id": "a0"})
    assert (landed["type"], landed["previous_id"], landed["user_id"]) == ("alias", "a0", "u1")


def test_pages_and_screens_have_names_and_properties(warehouse):
    bare = {name: value for name, value in CALL.items() if not name.startswith("context_page")}
    page = {"name": "Home", "url": "https://shop.example.com/", "title": "Welcome", "path": "/"}
    (landed,) = deliver(warehouse, "pages", bare | page)
    assert [landed[name] for name in ("type", "name", "url", "title", "site")] == [
        "page", "Home", "https://shop.example.com/", "Welcome", "shop.example.com",
    ]  # fmt: skip
    assert json.loads(landed["properties"]) == page
    (screen,) = deliver(
        warehouse, "screens", bare | {"name": "Cart", "context_library_name": "analytics-ios"}
    )
    assert (screen["type"], screen["name"], screen["platform"]) == ("screen", "Cart", "mobile")


def test_the_newest_state_of_a_user_is_one_identify_call(warehouse):
    user = {"id": "u1", "received_at": datetime(2017, 12, 1, 10), "email": "ann@example.com"}
    (landed,) = deliver(warehouse, "users", user)
    names = ("event_id", "type", "user_id", "anonymous_id", "email", "occurred_at")
    assert [landed[name] for name in names] == [
        "users:u1", "identify", "u1", None, "ann@example.com", datetime(2017, 12, 1, 10),
    ]  # fmt: skip


def test_one_channel_takes_all_tables_as_csv(desk):
    desk.describe(name="web", kind="events", spec="segment", path="warehouse/*/*.csv.gz", format="csv")
    start = "ID,ANONYMOUS_ID,RECEIVED_AT,TIMESTAMP"
    row = "m1,a1,2017-12-01 10:00:06+00,2017-12-01 10:00:01"
    desk.deliver(
        "warehouse/tracks/2017-12-01.csv.gz", f"{start},EVENT,EVENT_TEXT\n{row},tea_brewed,Tea Brewed\n"
    )
    desk.deliver(
        "warehouse/tea_brewed/2017-12-01.csv.gz", f"{start},EVENT_TEXT,LEAVES\n{row},Tea Brewed,green\n"
    )
    desk.deliver("warehouse/pages/2017-12-01.csv.gz", f"{start},NAME\n{row},Home\n")
    desk.extract()
    landed = {item["source_file"].split("/")[1]: item for item in desk.landed()}
    assert {table: (item["type"], item["name"]) for table, item in landed.items()} == {
        "tracks": ("track", "Tea Brewed"), "tea_brewed": ("track", "Tea Brewed"), "pages": ("page", "Home"),
    }  # fmt: skip
    assert json.loads(landed["tea_brewed"]["properties"]) == {"leaves": "green"}
    assert landed["tracks"]["occurred_at"] == datetime(2017, 12, 1, 10, 0, 1)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("tracks.parquet", "tracks"),
        ("tracks_2017-12-01.csv.gz", "tracks"),
        ("prod.tracks", "tracks"),
        ("prod/tracks/date=2017-12-01/part-0001.parquet", "tracks"),
        ("tracks/2017-12-01/000000000000.parquet", "tracks"),
        ("2017/12/01/screens/data.csv", "screens"),
        ("pages/part-00000-1f8a6e0c-3a2b-4f5e-9c1d-2b3c4d5e6f70-c000.snappy.parquet", "pages"),
        ("order_completed_20171201.parquet", "order_completed"),
        ("checkout_step_2.csv", "checkout_step_2"),
        ("Product Viewed.csv", "product_viewed"),
        ("part-0001.parquet", None),
    ],
)
def test_the_name_of_a_delivery_says_which_table_it_is(name, table):
    assert table_of(name) == table


def test_what_is_no_table_of_events_fails(warehouse):
    with pytest.raises(StepFailed, match=r"rudder_discards_2017-12-01.parquet is no table of events"):
        deliver(warehouse, "rudder_discards", {"row_id": "m1"})


def test_a_table_without_ids_fails(warehouse):
    with pytest.raises(StepFailed, match=r"has no column 'id' \(spec segment\), nearest: 'idd'"):
        deliver(warehouse, "tracks", {"idd": "m1"})


def test_the_map_of_the_channel_overrides_columns(warehouse):
    channel = warehouse.channel.model_dump(mode="json") | {
        "map": {
            "platform": {"value": "app"},
            "group_id": "context_locale",
            "title": {"sql": "upper(event)"},
            "is_owned_site": {"value": False},
        }
    }
    warehouse.channel = type(warehouse.channel).model_validate(channel)
    (landed,) = deliver(warehouse, "tracks", TRACK)
    names = ("platform", "group_id", "title", "is_owned_site")
    assert [landed[name] for name in names] == ["app", "en-GB", "ORDER_COMPLETED", False]
