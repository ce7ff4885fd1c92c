"""Sites: a host in one spelling, its registrable domain, the rules of content that it falls under."""

from __future__ import annotations

import socket

import pytest

from include.normalise.sites import ContentRule, normalise_site


@pytest.mark.parametrize(
    ("raw", "site", "domain"),
    [
        ("Shop.Example.com", "shop.example.com", "example.com"),
        ("www.bbc.co.uk:443", "bbc.co.uk", "bbc.co.uk"),
        ("https://ann:pw@www.shop.co.uk:8080/a?b#c", "shop.co.uk", "shop.co.uk"),
        ("alice.github.io", "alice.github.io", "alice.github.io"),
        ("example.com.", "example.com", "example.com"),
        ("xn--bcher-kva.de", "bücher.de", "bücher.de"),
        ("news.bücher.de", "news.bücher.de", "bücher.de"),
        ("www.de", "www.de", "www.de"),
        ("intranet.corp.local", "intranet.corp.local", "corp.local"),
        ("a.shop.example", "a.shop.example", "shop.example"),
        ("co.uk", "co.uk", None),
        ("192.0.2.1:80", "192.0.2.1", None),
        ("http://localhost:8080/", "localhost", None),
        (" My Shop ", "My Shop", None),
        ("Shop", "Shop", None),
    ],
)
def test_a_site_is_its_host_and_has_a_registrable_domain(raw, site, domain):
    assert normalise_site(raw, ()) == (site, domain, None)


def test_nothing_is_asked_of_the_network(monkeypatch):
    from include.normalise import sites

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    sites._extractor.cache_clear()
    assert normalise_site("news.example.co.uk", ())[1] == "example.co.uk"


def test_rules_come_longest_path_first_and_then_the_nearest_site():
    rules = [
        ContentRule(site, path, category, category, category)
        for site, path, category in [
            ("example.com", "/", "whole"),
            ("example.com", "/sport/", "sport"),
            ("sport.example.com", "/", "nearest"),
            ("ample.com", "/", "another"),
        ]
    ]
    _, _, found = normalise_site("www.sport.example.com", rules)
    assert [rule["category_id"] for rule in found] == ["sport", "nearest", "whole"]
