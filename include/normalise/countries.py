"""Countries as ISO 3166 alpha-2 codes, by pycountry."""

from __future__ import annotations

import gettext
import re
import unicodedata
from functools import lru_cache

import pycountry

# What people write that is no name or code of the standard.
ALIASES = {
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "u.k.": "GB",
    "u.s.": "US",
    "u.s.a.": "US",
    "america": "US",
    "united states of america (usa)": "US",
    "republic of ireland": "IE",
    "eire": "IE",
    "brd": "DE",
    "uae": "AE",
    "korea": "KR",
    "republic of korea": "KR",
    "bosnia": "BA",
    "dr congo": "CD",
    "holland": "NL",
    "the netherlands": "NL",
    "russia": "RU",
    "turkey": "TR",
    "ivory coast": "CI",
    "cape verde": "CV",
    "swaziland": "SZ",
    "macedonia": "MK",
    "burma": "MM",
    "east timor": "TL",
    "vatican": "VA",
    "palestine": "PS",
    "macau": "MO",
    "grossbritannien": "GB",
    "grande-bretagne": "GB",
    "gran bretaña": "GB",
    "el": "GR",  # of the European Union
}
WITH_CODE = re.compile(r"(.+?) ?\(([a-z]{2,3})\)")  # United States (US), as shops show it
# Languages whose names of countries are read; a name of two countries is of none.
LANGUAGES = ("cs", "da", "de", "es", "fi", "fr", "hu", "it", "nb_NO", "nl", "pl", "pt", "ro", "sv", "tr")


def normalise_country(raw: str) -> tuple[str | None, str | None]:
    """The code of a country that is written as a code (two or three letters, or the number) or as a name, in English
    or one of `LANGUAGES`; and `unknown_country` when it is none."""
    text = unicodedata.normalize("NFC", " ".join(raw.split())).casefold()
    code = _known(text) or _known(text.removeprefix("the ").replace(".", "").replace("-", " "))
    if code is None and (both := WITH_CODE.fullmatch(text)):
        name, its_code = map(_known, both.groups())
        code = name if name == its_code else None
    return code, None if code else "unknown_country"


def _known(text: str) -> str | None:
    return ALIASES.get(text) or _by_standard(text) or _by_language().get(text)


def _by_standard(text: str) -> str | None:
    try:
        return pycountry.countries.lookup(text.zfill(3) if text.isdecimal() else text).alpha_2
    except LookupError:
        return None


@lru_cache(maxsize=1)
def _by_language() -> dict[str, str]:
    names: dict[str, set[str]] = {}
    for language in LANGUAGES:
        translation = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, [language])
        for country in pycountry.countries:
            for attribute in ("name", "common_name", "official_name"):
                name = getattr(country, attribute, None)
                if name:
                    names.setdefault(translation.gettext(name).casefold(), set()).add(country.alpha_2)
    return {name: codes.pop() for name, codes in names.items() if len(codes) == 1}
