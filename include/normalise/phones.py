"""Telephone numbers in E.164, by phonenumbers, Google's library in Python."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

REASONS = {
    ValidationResult.INVALID_COUNTRY_CODE: "invalid_country",
    ValidationResult.TOO_SHORT: "too_short",
    ValidationResult.TOO_LONG: "too_long",
    ValidationResult.INVALID_LENGTH: "invalid_length",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "no_area_code",
}
ITU_PREFIX = "00"  # for calls abroad (ITU-T E.123); people use it also where another one is dialled


def normalise_phone(raw: str, region: str) -> tuple[str | None, str | None]:
    """The number as +, country code and digits, and why it is refused: `not_a_number`, `invalid_country`,
    `too_short`, `too_long`, `invalid_length`, or `no_area_code`, which many people's numbers share.

    `region` is the country (ISO 3166 alpha-2) of a number without a country code. A number counts when it has a
    possible length there; whether it is assigned is not asked, plans change. An extension is left out.
    """
    phone, reason = _in_e164(raw, region)
    text = raw.strip()
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
