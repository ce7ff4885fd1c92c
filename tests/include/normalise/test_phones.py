"""Telephone numbers: E.164, or a reason."""

from __future__ import annotations

import pytest

from include.normalise.phones import normalise_phone


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("(212) 555-0147", "US", "+12125550147"),
        ("+1 212 555 0147", "DE", "+12125550147"),
        ("1-212-555-0147", "US", "+12125550147"),
        ("0012125550147", "US", "+12125550147"),
        ("0012125550147", "DE", "+12125550147"),
        ("011 49 30 1234567", "US", "+49301234567"),
        ("030 / 1234567", "DE", "+49301234567"),
        ("+49 (0)30 1234567", "US", "+49301234567"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+1 212 555 0147 ext. 7", "US", "+12125550147"),
        (" ２１２ ５５５ ０１４７ ", "US", "+12125550147"),
        ("tel:+12125550147", "US", "+12125550147"),
        ("Mobile: 0151 23456789", "DE", "+4915123456789"),
    ],
)
def test_a_number_is_read_by_the_rules_of_its_region(raw, region, expected):
    assert normalise_phone(raw, region)[0] == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("n/a", "not_a_number"),
        ("0", "not_a_number"),
        ("+999 123456789", "not_a_number"),
        ("000000000", "too_short"),
        ("212 555 014", "too_short"),
        ("212 555 0147 99", "too_long"),
        ("555-0147", "no_area_code"),
        ("none2125550147", "not_a_number"),
        ("1980-02-01", "not_a_number"),
        ("24/12/1980", "not_a_number"),
    ],
)
def test_what_is_no_number_says_why(raw, reason):
    assert normalise_phone(raw, "US") == (None, reason)


def test_a_number_that_became_a_decimal_keeps_its_digits():
    assert normalise_phone("15123456789.0", "DE") == ("+4915123456789", None)
    assert normalise_phone("+12125550147.00", "US") == ("+12125550147", None)


@pytest.mark.parametrize(
    ("raw", "region"), [("1.65055512E10", "US"), ("4.47912E+11", "GB"), ("4,9151e+12", "DE")]
)
def test_a_number_that_lost_digits_in_a_spreadsheet_is_nobodys(raw, region):
    assert normalise_phone(raw, region) == (None, "not_a_number")
