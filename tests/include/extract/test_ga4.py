from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.ledger import StepFailed

VALUES = ("string_value", "int_value", "float_value", "double_value")


def parameters(as_text: bool, **values: Any) -> list[dict]:
    """Repeated keys and values as BigQuery has them; its JSON writes whole numbers as texts."""
    listed = []
    for key, value in values.items():
        kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        written = str(value) if as_text and kind == "int_value" else value
        listed.append({"key": key, "value": dict.fromkeys(VALUES) | {kind: written}})
    return listed


def page_view(as_text: bool = False, **more: Any) -> dict:
    micros = 1512122400000000  # 2017-12-01 10:00 UTC
    return {
        "event_date": "20171201",
        "event_timestamp": str(micros) if as_text else micros,
        "event_name": "page_view",
        "event_params": parameters(
            as_text,
            ga_session_id=1512122400,
            page_location="https://Shop.example.com:8443/tea?x=1",
            page_referrer="https://example.org/",
            page_title="Tea",
            engagement_time_msec=12,
        ),
        "event_bundle_sequence_id": "7" if as_text else 7,
        "user_id": "u1",
        "user_pseudo_id": "111.222",
        "privacy_info": {"analytics_storage": "Yes", "ads_storage": "No", "uses_transient_token": "No"},
        "user_properties": parameters(as_text, tier="gold"),
        "device": {
            "category": "desktop",
            "operating_system": "Linux",
            "advertising_id": "ad1",
            "vendor_id": "v1",
            "web_info": {"browser": "Firefox", "hostname": "Shop.example.com"},
        },
        "geo": {"country": "Italy"},
        "platform": "WEB",
        "stream_id": "s1",
        "is_active_user": True,
        "collected_traffic_source": {
            "manual_campaign_name": "xmas", "manual_source": "news", "manual_medium": "email",
            "manual_term": "tea", "manual_content": "top", "gclid": "g1",
        },
        "traffic_source": {"name": "(direct)", "medium": "organic", "source": "google"},
    } | more  # fmt: skip


def purchase(as_text: bool = False, **more: Any) -> dict:
    item = {
        "item_id": "p1", "item_name": "Tea", "item_brand": "(not set)", "item_variant": "green",
        "item_category": "Drinks", "item_category2": "Hot", "price": 2.5,
        "quantity": "2" if as_text else 2, "index": None,
    }  # fmt: skip
    return (
        page_view(as_text)
        | {
            "event_name": "purchase",
            "event_params": parameters(
                as_text, ga_session_id=1512122400, currency="EUR", value=5.0, transaction_id="o1", coupon="XMAS"
            ),
            "ecommerce": {
                "transaction_id": "o1", "purchase_revenue": 5.0, "tax_value": 0.5, "shipping_value": 1.0,
                "unique_items": 1,
            },
            "items": [item],
        }
        | more
    )  # fmt: skip


@pytest.fixture
def shop(desk):
    """A shop that delivers its GA4 export as Parquet, one file a day."""
    return desk.describe(name="shop", kind="events", spec="ga4", path="ga4_*", format="parquet")


def deliver(desk, *events: dict, name: str = "ga4_20171201") -> list[dict]:
    if desk.channel.source.format == "parquet":
        path = desk.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(events)), path)
    else:
        desk.deliver(name, "".join(json.dumps(event) + "\n" for event in events))
    desk.extract()
    return desk.landed()


def as_json_lines(desk):
    return desk.describe(name="shop", kind="events", spec="ga4", path="ga4_*", format="jsonl")


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_every_field_of_the_export_has_its_column(shop, form):
    desk = shop if form == "parquet" else as_json_lines(shop)
    (landed,) = deliver(desk, page_view(form == "jsonl"))
    expected = {
        "type": "page", "name": None, "occurred_at": datetime(2017, 12, 1, 10), "anonymous_id": "111.222",
        "user_id": "u1", "session_id": "111.222.1512122400", "device_id": "v1", "advertising_id": "ad1",
        "platform": "web", "site": "shop.example.com", "is_owned_site": True, "title": "Tea",
        "url": "https://Shop.example.com:8443/tea?x=1", "referrer": "https://example.org/",
        "campaign_source": "news", "campaign_medium": "email", "campaign_name": "xmas", "campaign_term": "tea",
        "campaign_content": "top", "rejected_values": {},
    }  # fmt: skip
    assert {name: landed[name] for name in expected} == expected
    assert json.loads(landed["consent"]) == {"analytics": True, "advertising": False}
    assert json.loads(landed["traits"]) == {"tier": "gold"}
    assert json.loads(landed["properties"])["engagement_time_msec"] == 12


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_what_has_no_column_is_kept(shop, form):
    desk = shop if form == "parquet" else as_json_lines(shop)
    (landed,) = deliver(desk, page_view(form == "jsonl"))
    kept = landed["attributes"]
    assert {"event_name", "event_date", "stream_id", "device", "geo", "traffic_source"} <= set(kept)
    assert (kept["event_name"], kept["stream_id"], kept["is_active_user"]) == ("page_view", "s1", "true")
    assert json.loads(kept["collected_traffic_source"])["gclid"] == "g1"
    assert json.loads(kept["device"])["web_info"]["browser"] == "Firefox"


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_purchase_is_an_order_in_the_words_of_segment(shop, form):
    desk = shop if form == "parquet" else as_json_lines(shop)
    (landed,) = deliver(desk, purchase(form == "jsonl"))
    assert (landed["type"], landed["name"], landed["attributes"]["event_name"]) == (
        "track", "Order Completed", "purchase",
    )  # fmt: skip
    assert json.loads(landed["properties"]) == {
        "ga_session_id": 1512122400, "transaction_id": "o1", "value": 5.0, "coupon": "XMAS",
        "order_id": "o1", "revenue": 5.0, "tax": 0.5, "shipping": 1.0, "currency": "EUR",
        "products": [{
            "product_id": "p1", "name": "Tea", "variant": "green", "category": "Drinks", "item_category2": "Hot",
            "price": 2.5, "quantity": 2,
        }],
    }  # fmt: skip


def test_an_event_about_one_product_names_it_on_its_own_level_too(shop):
    (landed,) = deliver(shop, purchase(event_name="view_item", ecommerce={"unique_items": 1}))
    properties = json.loads(landed["properties"])
    assert landed["name"] == "Product Viewed"
    assert (properties["product_id"], properties["products"][0]["product_id"]) == ("p1", "p1")
    assert "order_id" not in properties


def test_a_row_that_is_exported_again_keeps_its_id(shop):
    first = page_view()
    again = page_view(geo={"country": "France"}, user_id=None)
    again["event_params"].reverse()
    later = page_view(event_timestamp=first["event_timestamp"] + 1)
    ids = [item["event_id"] for item in deliver(shop, first, again, later)]
    assert ids[0] == ids[1] != ids[2]


def test_two_events_of_one_batch_have_two_ids(shop):
    ids = [
        item["event_id"]
        for item in deliver(shop, page_view(batch_event_index=1), page_view(batch_event_index=2))
    ]
    assert ids[0] != ids[1]


def test_parquet_and_json_give_the_same_ids(shop, tmp_path):
    ids = [item["event_id"] for item in deliver(shop, page_view(), purchase())]
    lines = as_json_lines(shop)
    lines.channel = lines.channel.model_copy(update={"name": "lines"})
    assert [item["event_id"] for item in deliver(lines, page_view(True), purchase(True))] == ids


def test_an_app_shows_screens(shop):
    screen = page_view(
        event_name="screen_view",
        platform="IOS",
        event_params=parameters(False, firebase_screen="Cart", ga_session_id=5),
        device={"vendor_id": "v1"},
    )
    (landed,) = deliver(shop, screen)
    assert (landed["type"], landed["name"], landed["platform"], landed["site"]) == (
        "screen",
        "Cart",
        "mobile",
        None,
    )


def test_where_a_visitor_first_came_from_is_no_campaign_of_later_events(shop):
    known = {"collected_traffic_source": None}
    landed = deliver(shop, page_view(**known), page_view(event_name="first_visit", **known))
    assert [(item["campaign_source"], item["campaign_medium"], item["campaign_name"]) for item in landed] == [
        (None, None, None),
        ("google", "organic", None),
    ]


def test_older_exports_lack_columns(shop):
    bare = {"event_timestamp": 1512122400000000, "event_name": "session_start", "user_pseudo_id": "1"}
    (landed,) = deliver(shop, bare)
    assert (landed["type"], landed["name"], landed["properties"], landed["consent"]) == (
        "track", "session_start", None, None,
    )  # fmt: skip


def test_a_table_without_names_of_events_fails(shop):
    with pytest.raises(StepFailed, match=r"has no column 'event_name' \(spec ga4\), nearest: 'event_title'"):
        deliver(shop, {"event_timestamp": 1512122400000000, "event_title": "x"})


def test_lists_may_be_wrapped_as_bigquery_writes_them(shop):
    event = purchase()
    wrapped = {
        name: {"list": [{"element": item} for item in event[name]]} for name in ("event_params", "items")
    }
    (plain, packed) = [*deliver(shop, event), *deliver(shop, event | wrapped, name="ga4_20171202")[1:]]
    assert plain["event_id"] == packed["event_id"]
    assert json.loads(plain["properties"]) == json.loads(packed["properties"])


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_the_map_of_the_channel_overrides_columns(shop, form):
    desk = shop if form == "parquet" else as_json_lines(shop)
    channel = desk.channel.model_dump(mode="json") | {
        "map": {
            "content_category": "event_params.page_title",
            "group_id": ["user_properties.level", "user_properties.tier"],
            "device_id": "stream_id",
            "campaign_name": "geo.country",
            "title": {"sql": "upper(event_name)"},
            "site": {"value": "example.com"},
        }
    }
    desk.channel = type(desk.channel).model_validate(channel)
    (landed,) = deliver(desk, page_view(form == "jsonl"))
    names = ("content_category", "group_id", "device_id", "campaign_name", "title", "site")
    assert [landed[name] for name in names] == ["Tea", "gold", "s1", "Italy", "PAGE_VIEW", "example.com"]


def test_a_damaged_line_is_quarantined_alone(shop):
    desk = as_json_lines(shop)
    good = json.dumps(page_view(True))
    desk.deliver(
        "ga4_1",
        f'{good}\n{good[:50]}\n{{"event_name": "x", "event_name": "y"}}\n[1]\n{{"event_name": "x"}}\n',
    )
    desk.extract()
    assert desk.reasons() == [
        (2, "malformed"),
        (3, "malformed"),
        (4, "malformed"),
        (5, "missing:occurred_at"),
    ]
    assert len(desk.landed()) == 1
