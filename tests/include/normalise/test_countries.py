"""Countries: one code for every way to write them."""

from __future__ import annotations

import pycountry
import pytest

from include.normalise.countries import ALIASES, normalise_country


def test_every_country_is_known_by_its_codes_and_its_names():
    assert len(pycountry.countries) > 200
    for country in pycountry.countries:
        for text in (country.alpha_2, country.alpha_3.lower(), country.numeric, f" {country.name} "):
            assert normalise_country(text) == (country.alpha_2, None), text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("UK", "GB"), ("U.S.A.", "US"), ("The  Netherlands", "NL"), ("Deutschland", "DE"), ("Espagne", "ES"), ("4", "AF"),
     ("O\u0308sterreich", "AT"), ("U.S.A", "US"), ("the United States", "US"), ("Great-Britain", "GB"),
     ("United States (US)", "US"), ("United Kingdom (UK)", "GB"), ("Republic of Ireland", "IE"), ("U.A.E.", "AE")],
)  # fmt: skip
def test_names_of_daily_use_and_of_other_languages_are_known(raw, expected):
    assert normalise_country(raw) == (expected, None)


def test_what_is_no_country_says_so():
    assert normalise_country("nowhere") == (None, "unknown_country")
    assert normalise_country("XX") == (None, "unknown_country")
    assert normalise_country("Congo (DRC)") == (None, "unknown_country")
    assert normalise_country("Georgia (US)") == (None, "unknown_country")


def test_every_alias_is_a_country():
    assert {code for code in ALIASES.values() if pycountry.countries.get(alpha_2=code) is None} == set()
