from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from include.extract.formats import lines

FILE = "web_2017-12-01.jsonl"
EVENT = {
    "messageId": "m1",
    "type": "track",
    "event": "Product Viewed",
    "anonymousId": "a1",
    "userId": 17,
    "timestamp": "2017-12-01T10:00:00Z",
    "context": {
        "ip": "192.0.2.7",
        "userAgent": "Mozilla/5.0",
        "library": {"name": "analytics.js", "version": "3"},
        "locale": "en-GB",
        "page": {
            "url": "https://Shop.example.com:8443/tea?x=1",
            "referrer": "https://example.org/",
            "title": "Tea",
        },
        "campaign": {"source": "news", "medium": "email", "name": "xmas", "term": "tea", "content": "top"},
        "device": {"id": "d1", "advertisingId": "ad1", "model": "X"},
        "consent": {"categoryPreferences": {"Analytics": True, "Advertising": False}},
        "traits": {"email": "ann@example.com", "phone": "+441"},
    },
    "properties": {"price": 2.5, "tags": ["a"]},
}


def deliver(web, *events: dict | str) -> list[dict]:
    web.deliver(FILE, "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events))
    web.extract()
    return web.landed()


def test_every_field_of_the_spec_has_its_column(web):
    (landed,) = deliver(web, EVENT)
    expected = {
        "event_id": "m1", "type": "track", "name": "Product Viewed", "anonymous_id": "a1", "user_id": "17",
        "occurred_at": datetime(2017, 12, 1, 10), "ip": "192.0.2.7", "user_agent": "Mozilla/5.0",
        "platform": "web", "site": "shop.example.com", "is_owned_site": True,
        "url": "https://Shop.example.com:8443/tea?x=1", "referrer": "https://example.org/", "title": "Tea",
        "campaign_source": "news", "campaign_medium": "email", "campaign_name": "xmas", "campaign_term": "tea",
        "campaign_content": "top", "device_id": "d1", "advertising_id": "ad1", "email": "ann@example.com",
        "phone": "+441", "rejected_values": {},
    }  # fmt: skip
    assert {name: landed[name] for name in expected} == expected
    assert json.loads(landed["consent"]) == {"analytics": True, "advertising": False}
    assert json.loads(landed["properties"]) == EVENT["properties"]
    assert json.loads(landed["traits"]) == EVENT["context"]["traits"]


def test_what_has_no_column_is_kept(web):
    (landed,) = deliver(
        web,
        EVENT
        | {
            "writeKey": "w",
            "odd/key": {"a": 1},
            "integrations": {},
            "context": {**EVENT["context"], "app": {"build": 3}},
        },
    )
    assert landed["attributes"] == {
        "writeKey": "w",
        "odd/key": '{"a":1}',
        "context.app": '{"build":3}',
        "context.device.model": "X",
        "context.library": '{"name":"analytics.js","version":"3"}',
        "context.locale": "en-GB",
    }


def test_keys_in_another_case_and_very_many_keys_are_kept_too(web):
    many = {f"key{number}": number for number in range(150)}
    landed = deliver(web, EVENT | {"userid": "lower", "UserID": "upper"} | many, EVENT | {"messageId": "m2"})
    assert {"userid": "lower", "UserID": "upper", "key149": "149"}.items() <= landed[0]["attributes"].items()
    assert landed[0]["user_id"] == "17"
    assert landed[1]["attributes"]["context.locale"] == "en-GB"


def test_a_context_that_is_no_object_is_kept(web):
    landed = deliver(
        web, EVENT, EVENT | {"context": "none"}, EVENT | {"context": [1]}, EVENT | {"context": {}}
    )
    assert [item["attributes"].get("context") for item in landed] == [None, "none", "[1]", None]


CLOCKS = {
    "a clock one hour ahead": (
        {"originalTimestamp": "2017-12-01T11:00:00Z", "sentAt": "2017-12-01T11:00:05Z",
         "receivedAt": "2017-12-01T10:00:06Z"}, datetime(2017, 12, 1, 10, 0, 1)),
    "sentAt before the event": (
        {"originalTimestamp": "2017-12-01T11:00:00Z", "sentAt": "1970-01-01T00:00:00Z",
         "receivedAt": "2017-12-01T11:00:06Z"}, datetime(2017, 12, 1, 11)),
    "unreadable sentAt": (
        {"originalTimestamp": "2017-12-01T11:00:00Z", "sentAt": "soon", "receivedAt": "2017-12-01T11:00:06Z"},
        datetime(2017, 12, 1, 11)),
    "no originalTimestamp": (
        {"timestamp": "2017-12-01T09:00:00Z", "sentAt": "2017-12-01T11:00:05Z"}, datetime(2017, 12, 1, 9)),
    "nothing but receivedAt": ({"receivedAt": "2017-12-01T11:00:06+01:00"}, datetime(2017, 12, 1, 10, 0, 6)),
}  # fmt: skip


def test_a_wrong_device_clock_is_corrected(web):
    landed = deliver(
        web, *({"messageId": name, "type": "page", **times} for name, (times, _) in CLOCKS.items())
    )
    assert {item["event_id"]: item["occurred_at"] for item in landed} == {
        name: expected for name, (_, expected) in CLOCKS.items()
    }


CLOCKS_AHEAD = {
    "an hour ahead": timedelta(hours=1),
    "an hour behind": timedelta(hours=-1),
    "a day ahead": timedelta(days=1),
    "a day behind": timedelta(days=-1),
    "2047": timedelta(days=365 * 30),
    "1987": timedelta(days=-365 * 30),
}


@pytest.mark.parametrize(
    ("happened", "sent", "received"),
    [
        ("2017-12-01T10:00:00+00:00", "2017-12-01T10:00:05+00:00", "2017-12-01T10:00:05Z"),
        ("2017-10-29T02:59:59+02:00", "2017-10-29T02:00:01+01:00", "2017-10-29T01:00:01Z"),
        ("2016-02-29T23:59:59-08:00", "2016-03-01T00:00:01-08:00", "2016-03-01T08:00:01Z"),
        ("2017-12-01T23:30:00+14:00", "2017-12-01T23:30:10+14:00", "2017-12-01T04:30:10-05:00"),
    ],
    ids=["plain", "the hour that comes twice", "a leap day", "the other side of the date line"],
)
def test_however_wrong_a_clock_is_an_event_happened_so_long_before_it_was_received(
    web, happened, sent, received
):
    events = []
    for name, ahead in CLOCKS_AHEAD.items():
        moments = [datetime.fromisoformat(text) + ahead for text in (happened, sent)]
        times = {"originalTimestamp": f"{moments[0].isoformat()}", "sentAt": f"{moments[1].isoformat()}"}
        events.append({"messageId": name, "type": "page", "receivedAt": received, **times})
    landed = deliver(web, *events)
    expected = datetime.fromisoformat(happened).astimezone(UTC).replace(tzinfo=None)
    assert {item["event_id"]: item["occurred_at"] for item in landed} == dict.fromkeys(CLOCKS_AHEAD, expected)
    assert all(item["occurred_at"] <= item["received_at"] for item in landed)


def test_a_time_that_cannot_be_true_is_quarantined(web):
    times = [
        ("1970-01-01T00:00:00Z", "out_of_range:occurred_at"),
        ("9999-12-31T23:59:59Z", "out_of_range:occurred_at"),
        ("0001-01-01T00:00:00Z", "out_of_range:occurred_at"),
        ("2017-02-29T10:00:00Z", "unreadable:occurred_at"),
        ("2017-12-01T24:30:00Z", "unreadable:occurred_at"),
    ]
    deliver(web, *({"messageId": "m", "type": "page", "timestamp": time} for time, _ in times))
    assert web.reasons() == [(number, reason) for number, (_, reason) in enumerate(times, start=1)]


def test_an_event_whose_time_is_none_happened_when_it_was_received_and_keeps_what_it_said(web):
    received, times = "2017-12-01T10:00:00Z", ["2017-02-29T10:00:00Z", "2017-12-01T24:30:00Z", "soon"]
    page = {"messageId": "m", "type": "page", "receivedAt": received}
    landed = deliver(web, *(page | {"timestamp": time} for time in times))
    assert {item["occurred_at"] for item in landed} == {datetime(2017, 12, 1, 10)}
    assert {item["received_at"] for item in landed} == {datetime(2017, 12, 1, 10)}
    assert [item["attributes"] for item in landed] == [{"timestamp": time} for time in times]


def test_an_unreadable_sent_at_is_kept(web):
    (landed,) = deliver(web, EVENT | {"sentAt": "soon"})
    assert (landed["sent_at"], landed["rejected_values"]) == (None, {"sent_at": "soon"})


def test_an_event_without_time_or_with_an_unknown_type_is_quarantined(web):
    deliver(web, EVENT, {"messageId": "m2", "type": "page"}, EVENT | {"type": "dance", "timestamp": "never"})
    assert web.reasons() == [
        (2, "missing:occurred_at"),
        (3, "not_allowed:type;unreadable:occurred_at"),
    ]


def test_without_an_id_the_same_content_is_the_same_event(web):
    bare = json.dumps({"type": "page", "timestamp": "2017-12-01T10:00:00Z"})
    landed = deliver(web, bare, bare + "\r", bare.replace("10:", "11:"))
    assert landed[0]["event_id"] == landed[1]["event_id"] != landed[2]["event_id"]


def test_the_platform_shows_in_channel_device_or_library(web):
    events = [
        ({"channel": "browser"}, "web"),
        ({"channel": "mobile"}, "mobile"),
        ({"type": "screen"}, "mobile"),
        ({"context": {"device": {"type": "iOS"}}}, "mobile"),
        ({"context": {"library": {"name": "analytics-android"}}}, "mobile"),
        ({"context": {"library": {"name": "analytics-electron"}}}, "desktop"),
        ({"context": {"library": {"name": "analytics-node"}}}, "server"),
        ({"context": {"page": {"url": "https://example.com/"}}}, "web"),
        ({}, None),
    ]
    track = {"messageId": "m", "type": "track", "timestamp": "2017-12-01"}
    landed = deliver(web, *(track | event for event, _ in events))
    assert [item["platform"] for item in landed] == [platform for _, platform in events]


def test_the_map_of_the_channel_overrides_columns(web):
    channel = web.channel.model_dump(mode="json") | {
        "map": {
            "platform": {"value": "app"},
            "content_category": ["properties.topic", "properties.category"],
            "title": {"sql": "upper(event)"},
            "is_owned_site": {"value": False},
            "occurred_at": "properties.at",
        }
    }
    web.channel = type(web.channel).model_validate(channel)
    (landed,) = deliver(web, EVENT | {"properties": {"category": "Tea", "at": "2017-11-30T10:00:00Z"}})
    assert (landed["platform"], landed["content_category"], landed["title"], landed["is_owned_site"]) == (
        "app", "Tea", "PRODUCT VIEWED", False,
    )  # fmt: skip
    assert landed["occurred_at"] == datetime(2017, 11, 30, 10)


def test_keys_of_the_inner_objects_that_have_no_column_are_kept(web):
    page = EVENT["context"]["page"] | {"path": "/tea", "keywords": ["green"]}
    context = EVENT["context"] | {"page": page, "campaign": {"id": 7}, "device": {"id": "d1", "token": "t"}}
    (landed,) = deliver(web, EVENT | {"context": context})
    assert (
        landed["attributes"].items()
        >= {
            "context.page.path": "/tea",
            "context.page.keywords": '["green"]',
            "context.campaign.id": "7",
            "context.device.token": "t",
        }.items()
    )


def test_an_inner_object_that_is_something_else_is_kept(web):
    contexts = [{"page": "home"}, {"campaign": ["a"]}, {"device": {}}, {"consent": None}, {}]
    landed = deliver(web, *({**EVENT, "context": context} for context in contexts))
    assert [item["attributes"] for item in landed] == [
        {"context.page": "home"}, {"context.campaign": '["a"]'}, {}, {}, {},
    ]  # fmt: skip


def test_what_another_key_has_taken_the_column_of_is_kept(web):
    (landed,) = deliver(
        web,
        EVENT
        | {
            "name": "Tea page",
            "channel": "client",
            "traits": {"plan": "free"},
            "context": {"traits": {"a": 1}},
        },
    )
    assert landed["attributes"] == {"name": "Tea page", "channel": "client", "context.traits": '{"a":1}'}
    assert (landed["name"], landed["traits"]) == ("Product Viewed", '{"plan":"free"}')


def test_a_key_that_only_late_lines_have_is_kept(web, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 2000)
    events = [EVENT | {"messageId": f"m{number}"} for number in range(50)]
    late = [EVENT | {"messageId": "late", "writeKey": "w"}, {**EVENT, "messageId": "twin", "userid": "u"}]
    landed = deliver(web, *events, *late, *events)
    assert len(landed) == 102
    assert [item["source_row"] for item in landed] == list(range(1, 103))
    assert [item["attributes"].get("writeKey") for item in landed[49:52]] == [None, "w", None]
    assert landed[51]["attributes"]["userid"] == "u"
    assert {item["source_row"] for item in landed if item["attributes"].keys() & {"writeKey", "userid"}} == {
        51,
        52,
    }


def test_lines_land_the_same_wherever_their_keys_are_seen_first(web, monkeypatch):
    strange = [EVENT | {"messageId": f"m{number}", f"key{number}": number} for number in range(20)]
    landed = deliver(web, *strange)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1500)
    assert deliver(web, *reversed(strange))[::-1] == [
        {**item, "source_row": 21 - item["source_row"]} for item in landed
    ]


def test_a_key_that_comes_twice_makes_its_line_malformed(web):
    twice = json.dumps(EVENT).replace('"messageId"', '"userId": 18, "messageId"')
    inner = json.dumps(EVENT).replace('"title"', '"url": "https://b.example.com/", "title"')
    deliver(web, EVENT, twice, inner)
    assert web.reasons() == [(2, "malformed"), (3, "malformed")]


def test_damage_among_the_first_lines_costs_no_other_line(web):
    text = json.dumps(EVENT)
    other_case = text.replace('"messageId"', '"MESSAGEID"')
    result = deliver(web, *[text[:50], other_case] * 20, *[EVENT] * 30)
    assert [item["source_row"] for item in result[20:]] == list(range(41, 71))
    assert {item["attributes"].get("MESSAGEID") for item in result[:20]} == {"m1"}
    assert [reason for _, reason in web.reasons()] == ["malformed"] * 20


def test_sql_over_a_key_that_no_line_has_sees_null(web):
    entry = {"title": {"sql": "coalesce(headline, event)"}}
    web.channel = type(web.channel).model_validate(web.channel.model_dump(mode="json") | {"map": entry})
    (landed,) = deliver(web, EVENT)
    assert landed["title"] == "Product Viewed"


def test_a_page_call_without_a_context_says_its_page_in_its_properties(web):
    said = {
        "url": "https://shop.example.com/shirts",
        "referrer": "https://search.example/",
        "title": "Shirts",
    }
    landed = deliver(
        web,
        EVENT | {"type": "page", "context": {}, "properties": said},
        EVENT | {"type": "page", "context": {"page": {"url": "https://a.example/"}}, "properties": said},
        EVENT | {"type": "track", "context": {}, "properties": said},
    )
    assert [(row["url"], row["site"], row["title"]) for row in landed] == [
        ("https://shop.example.com/shirts", "shop.example.com", "Shirts"),
        ("https://a.example/", "a.example", "Shirts"),
        (None, None, None),
    ]
