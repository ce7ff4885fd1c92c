"""Telephone numbers in E.164, by phonenumbers, Google's library in Python."""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

REASONS = {
    ValidationResult.INVALID_COUNTRY_CODE: "invalid_country",
    ValidationResult.TOO_SHORT: "too_short",
    ValidationResult.TOO_LONG: "too_long",
    ValidationResult.INVALID_LENGTH: "invalid_length",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "no_area_code",
}
# What a spreadsheet or a data frame makes of a number: 6505551234.0 has all its digits, 4.47912E+11 has lost some, and
# people whose numbers begin alike would share it.
WITH_POINT = re.compile(r"(\+?\d{7,})\.0+")
# phonenumbers looks for a number anywhere in a text, and would find one in a date and in `none1234567`.
NO_NUMBER = re.compile(
    r"[+-]?\d+([.,]\d+)?e[+-]?\d+|(19|20)\d\d-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./](19|20)\d\d|\D*[^\W\d_]{2}\d.*",
    re.IGNORECASE | re.DOTALL,
)
ITU_PREFIX = "00"  # for calls abroad (ITU-T E.123); people use it also where another one is dialled


def normalise_phone(raw: str, region: str) -> tuple[str | None, str | None]:
    """The number as +, country code and digits, and why it is refused: `not_a_number`, `invalid_country`,
    `too_short`, `too_long`, `invalid_length`, or `no_area_code`, which many people's numbers share.

    `region` is the country (ISO 3166 alpha-2) of a number without a country code. A number counts when it has a
    possible length there; whether it is assigned is not asked, plans change. An extension is left out.
    """
    text = raw.strip()
    if NO_NUMBER.fullmatch(text):
        return None, "not_a_number"
    text = WITH_POINT.sub(r"\1", text) if WITH_POINT.fullmatch(text) else text
    phone, reason = _in_e164(text, region)
    if phone is None and text.startswith(ITU_PREFIX):
        abroad, _ = _in_e164("+" + text.removeprefix(ITU_PREFIX), region)
        if abroad is not None:
            return abroad, None
    return phone, reason


def _in_e164(text: str, region: str) -> tuple[str | None, str | None]:
    number = _parsed(text, region)
    if number is None:
        return None, "not_a_number"
    verdict = phonenumbers.is_possible_number_with_reason(number)
    if verdict != ValidationResult.IS_POSSIBLE:
        return None, REASONS[verdict]
    return phonenumbers.format_number(number, PhoneNumberFormat.E164), None


def _parsed(text: str, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None
