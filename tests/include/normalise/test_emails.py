"""E-mail addresses: one spelling, and a reason for what is none."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email

from include.normalise.emails import normalise_email


def spelling(raw: str, has_provider_rules: bool = False) -> str | None:
    return normalise_email(raw, has_provider_rules)[0]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" Ann@Example.ORG ", "ann@example.org"),
        ("\ufeff\u200bann@example.org\u00a0", "ann@example.org"),
        ("ann.lee+news@example.org", "ann.lee+news@example.org"),
        ("ann@XN--EXMPLE-CUA.de", "ann@exämple.de"),
        ("ann@exämple.de", "ann@exämple.de"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("jörg@example.org", "jörg@example.org"),
    ],
)
def test_an_address_has_one_spelling(raw, expected):
    assert normalise_email(raw, False) == (expected, False, False, None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("-", "no_at_sign"),
        ("ann", "no_at_sign"),
        ("ann@", "invalid_domain"),
        ("ann@example", "invalid_domain"),
        ("ann@intern.local", "invalid_domain"),
        ("ann@exa mple.org", "invalid_domain"),
        ("ann@example.org.", "invalid_domain"),
        ("@example.org", "invalid_name"),
        ("ann..lee@example.org", "invalid_name"),
        ("ann lee@example.org", "invalid_name"),
        ("Ann <ann@example.org>", "invalid_domain"),
        ("a@b@example.org", "invalid_name"),
        ("a" * 60 + "@" + ("b" * 60 + ".") * 4 + "org", "invalid_name"),
    ],
)
def test_what_is_no_address_says_why(raw, reason):
    assert normalise_email(raw, False) == (None, False, False, reason)


def test_the_short_cut_for_plain_names_decides_as_the_library_does():
    names = (
        "a", "a.b", ".a", "a.", "a..b", "a b", "a+b", "A_B", "a'b", "{a}", "a@b", '"a b"', '"a"', "a\\b", "a,b", "a:b",
        "(a)b", "ä", "a\u200bb", "日本", "a" * 64, "a" * 65, "", "a\n", "a\tb", "1", "-", "a/b=c?d^e`f|g~h!i#j$k%l&m*",
    )  # fmt: skip
    domains = (
        "example.org", "EXAMPLE.org", "exämple.de", "example", "example..org", "-a.org", "a_b.org", "1.2.3.4",
        "[1.2.3.4]", "x.test", "localhost", "a.b.c.d.example.com", ("b" * 60 + ".") * 3 + "org", "日本.jp",
        "example.org ", "",
    )  # fmt: skip
    accepted = 0
    for raw in (f"{name}@{domain}" for name in names for domain in domains):
        try:
            found = validate_email(raw.strip(), check_deliverability=False)
            expected = f"{found.local_part}@{found.domain}".lower()
            accepted += 1
        except EmailNotValidError:
            expected = None
        assert spelling(raw) == expected, raw
    assert accepted > 50


def test_throw_away_domains_and_their_subdomains_are_marked():
    assert normalise_email("ann@mailinator.com", False)[1]
    assert normalise_email("ann@mx.mailinator.com", False)[1]
    assert not normalise_email("ann@example.com", False)[1]


def test_addresses_of_a_role_are_marked():
    assert normalise_email("Info@example.org", False)[2]
    assert normalise_email("no-reply@example.org", False)[2]
    assert not normalise_email("information@example.org", False)[2]


@pytest.mark.parametrize(
    ("raw", "mailbox"),
    [
        ("J.Doe+news@gmail.com", "jdoe@gmail.com"),
        ("jdoe@googlemail.com", "jdoe@gmail.com"),
        ("j.doe+news@outlook.com", "j.doe@outlook.com"),
        ("j.doe+news@hotmail.co.uk", "j.doe@hotmail.co.uk"),
        ("jdoe+a+b@icloud.com", "jdoe@icloud.com"),
        ("j.doe+news@example.org", "j.doe+news@example.org"),
        ("+news@gmail.com", "+news@gmail.com"),
    ],
)
def test_the_spellings_of_a_mailbox_are_one_when_the_rules_of_providers_are_asked_for(raw, mailbox):
    assert spelling(raw, has_provider_rules=True) == mailbox
    assert spelling(raw) == raw.lower()
