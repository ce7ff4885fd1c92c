from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.extract.specs.snowplow import COLUMNS
from include.ledger import StepFailed

VENDOR = "iglu:com.snowplowanalytics.snowplow"
ECOMMERCE = f"{VENDOR}.ecommerce"
PAGE_VIEW = {
    "app_id": "shop",
    "platform": "web",
    "collector_tstamp": "2017-12-01 10:00:06.000",
    "dvce_created_tstamp": "2017-12-01 11:00:00.000",
    "dvce_sent_tstamp": "2017-12-01 11:00:05.000",
    "derived_tstamp": "2017-12-01 10:00:01.000",
    "event": "page_view",
    "event_name": "page_view",
    "event_vendor": "com.snowplowanalytics.snowplow",
    "event_id": "e1",
    "user_id": "u1",
    "user_ipaddress": "192.0.2.7",
    "domain_userid": "d1",
    "domain_sessionid": "s1",
    "network_userid": "n1",
    "geo_country": "IT",
    "page_url": "https://Shop.example.com/tea?x=1",
    "page_title": "Tea",
    "page_referrer": "https://example.org/",
    "page_urlhost": "Shop.example.com",
    "mkt_source": "news",
    "mkt_medium": "email",
    "mkt_campaign": "xmas",
    "mkt_term": "tea",
    "mkt_content": "top",
    "useragent": "Mozilla/5.0",
    "br_lang": "it",
}


def event(**more) -> dict:
    return PAGE_VIEW | more


def line(values: dict) -> str:
    return "\t".join(
        json.dumps(values[name]) if isinstance(values.get(name), dict) else str(values.get(name) or "")
        for name in COLUMNS
    )


def contexts(*entities: tuple[str, dict]) -> dict:
    data = [{"schema": schema, "data": data} for schema, data in entities]
    return {"schema": f"{VENDOR}/contexts/jsonschema/1-0-0", "data": data}


def unstruct(schema: str, data: dict) -> dict:
    return {"schema": f"{VENDOR}/unstruct_event/jsonschema/1-0-0", "data": {"schema": schema, "data": data}}


def describe(desk, form: str):
    layout = {"tsv": {"format": "csv", "delimiter": "\t", "quote": "", "header": False}}.get(
        form, {"format": form}
    )
    return desk.describe(name="shop", kind="events", spec="snowplow", path="events*", **layout)


@pytest.fixture
def shop(desk):
    """A shop that delivers enriched events as TSV."""
    return describe(desk, "tsv")


def deliver(shop, *events: dict, name: str = "events") -> list[dict]:
    shop.deliver(name, "".join(line(values) + "\n" for values in events))
    shop.extract()
    return shop.landed()


def deliver_as(desk, form: str, *events: dict) -> list[dict]:
    if form == "tsv":
        return deliver(describe(desk, form), *events)
    describe(desk, form)
    if form == "parquet":
        desk.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(events)), desk.folder / "events")
    elif form == "jsonl":
        desk.deliver("events", "".join(json.dumps(values) + "\n" for values in events))
    else:
        names = list(dict.fromkeys(name for values in events for name in values))
        rows = [",".join(str(values.get(name, "")) for name in names) for values in events]
        desk.deliver("events", "\n".join([",".join(names), *rows]))
    desk.extract()
    return desk.landed()


@pytest.mark.parametrize("form", ["tsv", "csv", "parquet", "jsonl"])
def test_every_field_has_its_column(desk, form):
    (landed,) = deliver_as(desk, form, PAGE_VIEW)
    expected = {
        "event_id": "e1", "type": "page", "name": None, "occurred_at": datetime(2017, 12, 1, 10, 0, 1),
        "received_at": datetime(2017, 12, 1, 10, 0, 6), "sent_at": datetime(2017, 12, 1, 11, 0, 5),
        "anonymous_id": "d1", "user_id": "u1", "session_id": "s1", "ip": "192.0.2.7", "user_agent": "Mozilla/5.0",
        "platform": "web", "site": "shop.example.com", "is_owned_site": True, "title": "Tea",
        "url": "https://Shop.example.com/tea?x=1", "referrer": "https://example.org/", "campaign_source": "news",
        "campaign_medium": "email", "campaign_name": "xmas", "campaign_term": "tea", "campaign_content": "top",
        "properties": None, "rejected_values": {},
    }  # fmt: skip
    assert {name: landed[name] for name in expected} == expected
    assert landed["attributes"] == {
        "app_id": "shop", "platform": "web", "event": "page_view", "event_name": "page_view", "geo_country": "IT",
        "event_vendor": "com.snowplowanalytics.snowplow", "domain_userid": "d1", "network_userid": "n1",
        "page_urlhost": "Shop.example.com", "br_lang": "it", "dvce_created_tstamp": "2017-12-01 11:00:00.000",
    }  # fmt: skip


def test_an_event_happened_when_the_corrected_clock_says(shop):
    """Derived; corrected by the collector; true; sent before it was created; never sent."""
    clocks = [
        ({}, datetime(2017, 12, 1, 10, 0, 1)),
        ({"derived_tstamp": None}, datetime(2017, 12, 1, 10, 0, 1)),
        ({"derived_tstamp": None, "true_tstamp": "2017-12-01 09:00:00"}, datetime(2017, 12, 1, 9)),
        (
            {"derived_tstamp": None, "dvce_sent_tstamp": "2017-12-01 10:59:00"},
            datetime(2017, 12, 1, 10, 0, 6),
        ),
        ({"derived_tstamp": None, "dvce_sent_tstamp": None}, datetime(2017, 12, 1, 10, 0, 6)),
    ]
    landed = deliver(shop, *(event(**times) for times, _ in clocks))
    assert [item["occurred_at"] for item in landed] == [expected for _, expected in clocks]


def test_a_page_ping_is_no_page_view(shop):
    (landed,) = deliver(shop, event(event="page_ping", event_name="page_ping", pp_yoffset_max=300))
    assert (landed["type"], landed["name"]) == ("track", "Page Ping")
    assert json.loads(landed["properties"]) == {"pp_yoffset_max": 300}


def test_page_views_and_sessions_are_those_that_were_made(shop):
    visits = [("d1", "s1", 3), ("d1", "s2", 1), ("d2", "s3", 2), ("d3", "s4", 0)]
    events, number = [], 0
    for visitor, session, views in visits:
        kinds = ["page_view"] * views + ["page_ping"] * 2
        for kind in kinds:
            number += 1
            events.append(
                event(
                    event_id=f"e{number}",
                    event=kind,
                    event_name=kind,
                    domain_userid=visitor,
                    domain_sessionid=session,
                )
            )
    landed = deliver(shop, *events)
    assert sum(item["type"] == "page" for item in landed) == 6
    assert {(item["anonymous_id"], item["session_id"]) for item in landed} == {(a, b) for a, b, _ in visits}


def test_a_structured_event_is_called_by_its_action(shop):
    (landed,) = deliver(
        shop,
        event(
            event="struct",
            event_name="event",
            se_category="media",
            se_action="Play",
            se_label="a",
            se_value=2.5,
        ),
    )
    assert (landed["type"], landed["name"]) == ("track", "Play")
    assert json.loads(landed["properties"]) == {
        "se_category": "media", "se_action": "Play", "se_label": "a", "se_value": 2.5,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["tsv", "jsonl", "parquet"])
def test_a_self_describing_event_brings_its_own_properties(desk, form):
    data = {"targetUrl": "https://example.org/", "elementId": "a1"}
    if form == "tsv":
        own = {"unstruct_event": unstruct(f"{VENDOR}/link_click/jsonschema/1-0-1", data)}
    else:
        own = {"unstruct_event_com_snowplowanalytics_snowplow_link_click_1": data}
    (landed,) = deliver_as(desk, form, event(event="unstruct", event_name="link_click", **own))
    assert (landed["type"], landed["name"]) == ("track", "link_click")
    assert json.loads(landed["properties"]) == data


def test_the_schema_names_an_event_without_a_name(shop):
    own = unstruct("iglu:com.acme/basket_dropped/jsonschema/1-0-0", {"a": 1})
    (landed,) = deliver(shop, event(event="unstruct", event_name=None, unstruct_event=own))
    assert landed["name"] == "basket_dropped"


def test_a_mobile_tracker_names_its_visitor_in_an_entity(shop):
    screen = event(
        event="unstruct", event_name="screen_view", platform="mob", domain_userid=None, domain_sessionid=None,
        unstruct_event=unstruct(f"{VENDOR}/screen_view/jsonschema/1-0-0", {"name": "Cart"}),
        contexts=contexts(
            (f"{VENDOR}/client_session/jsonschema/1-0-2", {"userId": "m1", "sessionId": "ms1"}),
            (f"{VENDOR}/mobile_context/jsonschema/1-0-3", {"appleIdfv": "v1", "appleIdfa": "a1"}),
        ),
    )  # fmt: skip
    (landed,) = deliver(shop, screen)
    names = ("type", "name", "platform", "anonymous_id", "session_id", "device_id", "advertising_id")
    assert [landed[name] for name in names] == ["screen", "Cart", "mobile", "m1", "ms1", "v1", "a1"]
    assert json.loads(landed["attributes"]["contexts"]) == screen["contexts"]


def test_a_transaction_and_its_items_are_in_the_words_of_segment(shop):
    order = event(
        event="transaction",
        event_name="transaction",
        tr_orderid="o1",
        tr_total=12.5,
        tr_tax=2,
        tr_currency="EUR",
    )
    item = event(
        event_id="e2", event="transaction_item", event_name="transaction_item", ti_orderid="o1", ti_sku="p1",
        ti_name="Tea", ti_price=2.5, ti_quantity=5, ti_currency="EUR",
    )  # fmt: skip
    landed = deliver(shop, order, item)
    assert [item["name"] for item in landed] == ["Order Completed", "Product Purchased"]
    assert [json.loads(item["properties"]) for item in landed] == [
        {"order_id": "o1", "total": 12.5, "tax": 2, "currency": "EUR"},
        {
            "order_id": "o1", "currency": "EUR",
            "products": [{"product_id": "p1", "name": "Tea", "price": 2.5, "quantity": 5}],
        },
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["tsv", "jsonl", "parquet"])
def test_an_ecommerce_action_is_in_the_words_of_segment(desk, form):
    product = {"id": "p1", "name": "Tea", "price": 2.5, "quantity": 2, "currency": "EUR"}
    transaction = {"transaction_id": "o1", "revenue": 5.0, "currency": "EUR", "discount_code": "XMAS"}
    if form == "tsv":
        own = {
            "unstruct_event": unstruct(
                f"{ECOMMERCE}/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": "transaction"}
            ),
            "contexts": contexts(
                (f"{ECOMMERCE}/transaction/jsonschema/1-0-0", transaction),
                (f"{ECOMMERCE}/product/jsonschema/1-0-0", product),
            ),
        }
    else:
        start = "com_snowplowanalytics_snowplow_ecommerce"
        own = {
            f"unstruct_event_{start}_snowplow_ecommerce_action_1": {"type": "transaction"},
            f"contexts_{start}_product_1": [product],
            f"contexts_{start}_transaction_1": [transaction],
        }
    (landed,) = deliver_as(desk, form, event(event="unstruct", event_name="snowplow_ecommerce_action", **own))
    assert landed["name"] == "Order Completed"
    assert json.loads(landed["properties"]) == {
        "type": "transaction", "order_id": "o1", "revenue": 5.0, "coupon": "XMAS", "currency": "EUR",
        "products": [{"product_id": "p1", "name": "Tea", "price": 2.5, "quantity": 2, "currency": "EUR"}],
    }  # fmt: skip


def test_words_for_no_value_are_no_values(desk):
    desk.describe(
        name="shop", kind="events", spec="snowplow", path="events", format="csv", null_values=["NULL", "null"]
    )
    desk.deliver(
        "events",
        "event_id,event,collector_tstamp,derived_tstamp,user_id,domain_userid,mkt_source\n"
        "e1,page_view,2017-12-01 10:00:00,NULL,NULL,d1,null\n",
    )
    desk.extract()
    (landed,) = desk.landed()
    names = ("occurred_at", "user_id", "campaign_source", "anonymous_id", "rejected_values")
    assert [landed[name] for name in names] == [datetime(2017, 12, 1, 10), None, None, "d1", {}]


def test_a_row_that_is_cut_off_is_quarantined_alone(shop):
    shop.deliver(
        "events",
        f"{line(event())}\n{line(event())[:80]}\n{line(event(event_id='e2'))}\n{line(event(event_id=None))}\n",
    )
    shop.extract()
    assert shop.reasons() == [(2, "malformed"), (4, "missing:event_id")]
    assert [item["event_id"] for item in shop.landed()] == ["e1", "e2"]


def test_a_file_with_other_columns_fails(shop):
    with pytest.raises(
        StepFailed, match=r"channel shop: events has 3 columns in its first line, .* have 131"
    ):
        shop.deliver("events", "a\tb\tc\n")
        shop.extract()


def test_the_map_of_the_channel_overrides_columns_by_snowplows_names(shop):
    channel = shop.channel.model_dump(mode="json") | {
        "map": {
            "group_id": "app_id",
            "content_category": {"sql": "lower(geo_country)"},
            "is_owned_site": {"value": False},
            "occurred_at": "collector_tstamp",
        }
    }
    shop.channel = type(shop.channel).model_validate(channel)
    (landed,) = deliver(shop, PAGE_VIEW)
    names = ("group_id", "content_category", "is_owned_site", "occurred_at")
    assert [landed[name] for name in names] == ["shop", "it", False, datetime(2017, 12, 1, 10, 0, 6)]


def answer(kind: str, *scopes: str, **more) -> dict:
    data = {"eventType": kind, "basisForProcessing": "consent", "consentScopes": list(scopes)} | more
    return event(
        event="unstruct", event_name="consent_preferences",
        unstruct_event=unstruct(f"{VENDOR}/consent_preferences/jsonschema/1-0-0", data),
    )  # fmt: skip


def test_an_answer_grants_what_it_names_and_refuses_all_else(shop):
    """Selected ones, all, none, withdrawn, expired, not confirmed, implied, and on another basis."""
    answers = [
        (answer("allow_selected", "necessary", "Marketing"),
         {"marketing": True, "necessary": True, "(others)": False}),
        (answer("allow_all", "marketing"), {"marketing": True, "(others)": False}),
        (answer("deny_all"), {"(others)": False}),
        (answer("withdrawn", "marketing"), {"marketing": False, "(others)": False}),
        (answer("expired", "marketing"), {"marketing": False, "(others)": False}),
        (answer("pending", "marketing"), {"marketing": False, "(others)": False}),
        (answer("implicit_consent", "marketing"), {"marketing": False, "(others)": False}),
        (answer("allow_all", "marketing", basisForProcessing="contract"), None),
    ]  # fmt: skip
    landed = deliver(shop, *(told for told, _ in answers))
    assert {(item["type"], item["name"]) for item in landed} == {("track", "consent_preferences")}
    assert [item["consent"] and json.loads(item["consent"]) for item in landed] == [
        consent for _, consent in answers
    ]


def test_an_answer_is_read_of_a_loaders_column(desk):
    column = "unstruct_event_com_snowplowanalytics_snowplow_consent_preferences_1"
    data = [
        {"event_type": "allow_selected", "basis_for_processing": "consent", "consent_scopes": ["statistics"]}
    ]
    told = event(event="unstruct", event_name="consent_preferences") | {column: data}
    (landed,) = deliver_as(desk, "parquet", told)
    assert json.loads(landed["consent"]) == {"statistics": True, "(others)": False}


def test_of_the_older_plugin_only_a_withdrawal_of_all_is_read(shop):
    def withdrawal(event_id: str, every: bool) -> dict:
        data = unstruct(f"{VENDOR}/consent_withdrawn/jsonschema/1-0-0", {"all": every})
        return event(event_id=event_id, event="unstruct", event_name="consent_withdrawn", unstruct_event=data)

    landed = deliver(shop, withdrawal("e1", True), withdrawal("e2", False), event(event_id="e3"))
    assert [row["consent"] for row in landed] == ['{"(others)":false}', None, None]
