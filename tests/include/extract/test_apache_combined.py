from __future__ import annotations

import json
from datetime import datetime

import pytest

AGENT = "Mozilla/5.0 (X11; Linux)"
REFERRER = "https://example.org/"


def line(
    request: str = "GET /tea?x=1 HTTP/1.1", status: int | str = 200, host: str = "192.0.2.7", user: str = "-",
    at: str = "01/Dec/2017:11:00:00 +0100", agent: str = AGENT, size: int | str = 512, referrer: str = REFERRER,
) -> str:  # fmt: skip
    return f'{host} - {user} [{at}] "{request}" {status} {size} "{referrer}" "{agent}"\n'


@pytest.fixture
def server(desk):
    """A web server whose logs come as they are."""
    return desk.describe(
        name="server", kind="events", spec="apache_combined", path="access*", format="text",
        map={"site": {"value": "example.com"}},
    )  # fmt: skip


def deliver(server, *lines: str, name: str = "access.log") -> list[dict]:
    server.deliver(name, "".join(lines))
    server.extract()
    return server.landed()


def test_every_part_of_a_line_has_its_column(server):
    (landed,) = deliver(server, line(user="ann"))
    expected = {
        "type": "page", "name": None, "occurred_at": datetime(2017, 12, 1, 10), "user_id": "ann", "ip": "192.0.2.7",
        "user_agent": AGENT, "referrer": REFERRER, "url": "/tea?x=1", "site": "example.com", "platform": "web",
        "is_owned_site": True, "attributes": {}, "rejected_values": {},
    }  # fmt: skip
    assert {name: landed[name] for name in expected} == expected
    assert json.loads(landed["properties"]) == {
        "method": "GET",
        "status": 200,
        "bytes": 512,
        "protocol": "HTTP/1.1",
    }


def test_a_line_of_the_common_format_has_no_referrer_and_no_agent(server):
    (landed,) = deliver(server, '192.0.2.7 - - [01/Dec/2017:10:00:00 +0000] "GET / HTTP/1.0" 304 -\n')
    assert (landed["type"], landed["referrer"], landed["user_agent"]) == ("page", None, None)
    assert json.loads(landed["properties"]) == {"method": "GET", "status": 304, "protocol": "HTTP/1.0"}


def test_a_dash_is_no_value(server):
    (landed,) = deliver(server, line(referrer="-", agent="-", size="-"))
    assert (landed["user_id"], landed["referrer"], landed["user_agent"]) == (None, None, None)


def test_escaped_quotes_belong_to_the_value(server):
    (landed,) = deliver(server, line(agent=r"Say \"hi\" \\o", referrer=r"https://example.org/\"q\""))
    assert (landed["user_agent"], landed["referrer"]) == (r'Say "hi" \o', 'https://example.org/"q"')


def test_a_page_that_was_shown_is_a_page_view_and_all_else_a_request(server):
    requests = [
        ("GET / HTTP/1.1", 200, "page"),
        ("HEAD /about.html HTTP/1.1", 301, "page"),
        ("GET /search?q=a.css HTTP/1.1", 200, "page"),
        ("GET /missing HTTP/1.1", 404, "track"),
        ("POST /order HTTP/1.1", 200, "track"),
        ("GET /style.CSS?v=2 HTTP/1.1", 200, "track"),
        ("GET /robots.txt HTTP/1.1", 200, "track"),
        ("-", 408, "track"),
        (r"\x16\x03\x01", 400, "track"),
    ]
    landed = deliver(server, *(line(request_line, status) for request_line, status, _ in requests))
    assert [(item["type"], item["name"]) for item in landed] == [
        (kind, None if kind == "page" else "Request") for _, _, kind in requests
    ]


def test_what_is_no_request_keeps_its_text(server):
    (landed,) = deliver(server, line(r"\x16\x03 quit", 400))
    assert landed["url"] is None
    assert json.loads(landed["properties"])["request"] == r"\x16\x03 quit"


def test_a_log_of_many_sites_says_whose_line_it_is(desk):
    desk.describe(name="server", kind="events", spec="apache_combined", path="access*", format="text")
    landed = deliver(desk, "Shop.example.com:443 " + line(user="ann"), line(host="::1"))
    assert [(item["site"], item["ip"], item["user_id"]) for item in landed] == [
        ("shop.example.com", "192.0.2.7", "ann"),
        (None, "::1", None),
    ]


def test_a_visitor_is_an_address_with_a_user_agent(server):
    ids = [
        item["anonymous_id"]
        for item in deliver(
            server, line(), line("GET /b HTTP/1.1"), line(agent="curl/8"), line(host="192.0.2.8")
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert "192.0.2.7" not in ids[0]


def test_logs_that_overlap_give_the_same_ids_and_repetitions_stay(server):
    twice, other, new = line(), line("GET /b HTTP/1.1"), line("GET /c HTTP/1.1")
    deliver(server, twice, other, twice, name="access.log.1")
    landed = deliver(server, twice, other, twice, new, name="access.log.2")
    first = [item["event_id"] for item in landed if item["source_file"] == "access.log.1"]
    second = [item["event_id"] for item in landed if item["source_file"] == "access.log.2"]
    assert len(set(first)) == 3
    assert second[:3] == first
    assert second[3] not in first


def test_a_line_of_another_kind_is_quarantined_alone_with_its_text(server):
    deliver(
        server,
        line(),
        "Traceback (most recent call last):\n",
        "\n",
        line(at="yesterday"),
        line("GET /b HTTP/1.1"),
    )
    assert server.reasons() == [(2, "malformed"), (4, "unreadable:occurred_at")]
    assert server.quarantined()[0]["raw"] == "Traceback (most recent call last):"
    assert [item["source_row"] for item in server.landed()] == [1, 5]


def test_what_a_server_logs_beyond_the_format_is_kept(server):
    (landed,) = deliver(server, line().replace("\n", ' 0.012 "203.0.113.9"\n'))
    assert landed["attributes"] == {"extra": '0.012 "203.0.113.9"'}


def test_the_map_of_the_channel_names_parts_of_a_line(server):
    channel = server.channel.model_dump(mode="json") | {
        "map": {
            "group_id": "protocol",
            "content_category": {"sql": "split_part(path, '/', 2)"},
            "url": {"sql": "concat('https://example.com', path)"},
            "anonymous_id": "host",
        }
    }
    server.channel = type(server.channel).model_validate(channel)
    (landed,) = deliver(server, line("GET /tea/green HTTP/2.0"))
    names = ("group_id", "content_category", "url", "anonymous_id")
    assert [landed[name] for name in names] == [
        "HTTP/2.0",
        "tea",
        "https://example.com/tea/green",
        "192.0.2.7",
    ]
