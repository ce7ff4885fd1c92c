"""How two person records are compared: the levels of agreement of each attribute and what each is worth.

A level has three probabilities. `same` and `strangers` are Fellegi and Sunter's m and u: how often records of one
person, and of two people drawn at random, agree that far. `household` is the same for two people who live together:
they share a family name, an address and a telephone as often as the records of one person do, so a pair must also
beat that explanation (see scoring). `same` and `strangers` are only where training begins; it moves them as far as
the data have something to say.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One degree of agreement: `condition` is SQL over the columns of both records (`…_l`, `…_r`).

    The last level of a comparison has no condition: everything else. `frequency` names the column whose frequent
    values count for less than its rare ones.
    """

    name: str
    condition: str | None
    same: float
    strangers: float
    household: float
    frequency: str | None = None


@dataclass(frozen=True)
class Comparison:
    """An attribute with its levels from full agreement to none.

    `columns` are those that must be known of both records (one of them, with `is_any`). `most_else` bounds how often
    the records of one person may disagree altogether: a model that learns more has learned what households are.
    """

    name: str
    columns: tuple[str, ...]
    levels: tuple[Level, ...]
    most_else: float
    is_any: bool = False

    @property
    def missing(self) -> str:
        """The condition under which there is nothing to compare."""
        absent = [f"({column}_l is null or {column}_r is null)" for column in self.columns]
        return (" and " if self.is_any else " or ").join(absent)


def near(column: str, edits: int, least: int) -> str:
    """Few edits in a text that is long enough for that to mean something.

    Texts that differ in length by more are not near, nor are those that are twice as far apart when letters that
    changed places count as two edits; both are found out at a tenth of what Damerau and Levenshtein's distance costs.
    """
    return (
        f"(length({column}_l) >= {least} and length({column}_r) >= {least}"
        f" and abs(length({column}_l) - length({column}_r)) <= {edits}"
        f" and levenshtein({column}_l, {column}_r) <= {2 * edits}"
        f" and damerau_levenshtein({column}_l, {column}_r) <= {edits})"
    )


def _alike(column: str, similarity: float) -> str:
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {similarity}"


def _exact(column: str) -> str:
    return f'"{column}_l" = "{column}_r"'


def _starts(column: str, other: str, least: int) -> str:
    return f"(length({column}) >= {least} and starts_with({other}, {column}))"


def _within(column: str) -> str:
    """One text is a word of the other: a part of a double name."""
    return (
        f"(contains(' ' || {column}_l || ' ', ' ' || {column}_r || ' ')"
        f" or contains(' ' || {column}_r || ' ', ' ' || {column}_l || ' '))"
    )


_SWAPPED = "(given_name_l = family_name_r and family_name_l = given_name_r)"
_NEARLY_SWAPPED = (
    "(jaro_winkler_similarity(given_name_l, family_name_r) >= 0.88"
    " and jaro_winkler_similarity(family_name_l, given_name_r) >= 0.88"
    " and jaro_winkler_similarity(given_name_l, given_name_r) < 0.7)"
)
_MISPLACED = (
    "(given_name_l = family_name_r or family_name_l = given_name_r"
    " or (length(given_name_l) >= 4 and jaro_winkler_similarity(given_name_l, family_name_r) >= 0.92)"
    " or (length(given_name_r) >= 4 and jaro_winkler_similarity(family_name_l, given_name_r) >= 0.92))"
)
_DAY_AND_MONTH_SWAPPED = (
    "(substr(birth_date_l, 1, 4) = substr(birth_date_r, 1, 4)"
    " and substr(birth_date_l, 6, 2) = substr(birth_date_r, 9, 2)"
    " and substr(birth_date_l, 9, 2) = substr(birth_date_r, 6, 2))"
)
_TWO_PARTS_OF_DATE = (
    "(substr(birth_date_l, 6) = substr(birth_date_r, 6)"
    " or substr(birth_date_l, 1, 7) = substr(birth_date_r, 1, 7)"
    " or (substr(birth_date_l, 1, 4) = substr(birth_date_r, 1, 4)"
    " and substr(birth_date_l, 9) = substr(birth_date_r, 9)))"
)

_WITHIN_A_YEAR = (
    "abs(12 * (try_cast(left(birth_date_l, 4) as integer) - try_cast(left(birth_date_r, 4) as integer))"
    " + try_cast(substr(birth_date_l, 6, 2) as integer) - try_cast(substr(birth_date_r, 6, 2) as integer)) <= 12"
)

GIVEN_NAME = Comparison(
    "given_name",
    ("given_name",),
    (
        Level("exact", _exact("given_name"), 0.80, 0.004, 0.02, "given_name"),
        Level("short form", "given_root_l = given_root_r", 0.04, 0.003, 0.004),
        Level(
            "swapped with the family name",
            f"{_SWAPPED} or {_NEARLY_SWAPPED}",
            0.01,
            0.00002,
            0.0005,
            "full_name",
        ),
        Level("similar", f"{_alike('given_name', 0.9)} or {near('given_name', 1, 3)}", 0.07, 0.006, 0.015),
        Level(
            "part",
            f"{_starts('given_name_l', 'given_name_r', 1)} or {_starts('given_name_r', 'given_name_l', 1)}"
            f" or {_within('given_name')}",
            0.03,
            0.004,
            0.01,
        ),
        Level("the family name of the other", _MISPLACED, 0.005, 0.002, 0.005),
        Level("close", f"{_alike('given_name', 0.82)} or {near('given_name', 2, 6)}", 0.02, 0.02, 0.03),
        Level("different", None, 0.03, 0.96, 0.915),
    ),
    most_else=0.03,
)
FAMILY_NAME = Comparison(
    "family_name",
    ("family_name",),
    (
        Level("exact", _exact("family_name"), 0.84, 0.001, 0.65, "family_name"),
        Level("similar", f"{_alike('family_name', 0.9)} or {near('family_name', 1, 3)}", 0.07, 0.003, 0.03),
        Level("part", _within("family_name"), 0.02, 0.0005, 0.01),
        # What the given names say of a swap is all there is to say.
        Level(
            "swapped with the given name",
            f"{_SWAPPED} or {_NEARLY_SWAPPED} or {_MISPLACED}",
            0.01,
            0.01,
            0.01,
        ),
        Level("close", f"{_alike('family_name', 0.82)} or {near('family_name', 2, 6)}", 0.02, 0.015, 0.01),
        Level("different", None, 0.05, 0.97, 0.29),
    ),
    most_else=0.12,
)
BIRTH_DATE = Comparison(
    "birth_date",
    ("birth_date",),
    (
        Level("exact", _exact("birth_date"), 0.88, 0.00005, 0.03, "birth_date"),
        Level(
            "one slip",
            f"{near('birth_date', 1, 1)} or {_DAY_AND_MONTH_SWAPPED}",
            0.06,
            0.003,
            0.006,
        ),
        Level("two parts of three", _TWO_PARTS_OF_DATE, 0.02, 0.01, 0.01),
        Level("two slips", near("birth_date", 2, 1), 0.02, 0.02, 0.03),
        Level("within a year", _WITHIN_A_YEAR, 0.003, 0.03, 0.06),
        Level("different", None, 0.017, 0.937, 0.864),
    ),
    most_else=0.05,
)
GENDER = Comparison(
    "gender",
    ("gender",),
    (
        Level("exact", _exact("gender"), 0.98, 0.5, 0.4),
        Level("different", None, 0.02, 0.5, 0.6),
    ),
    most_else=0.05,
)
NATIONAL_ID = Comparison(
    "national_id",
    ("national_id",),
    (
        Level("exact", _exact("national_id"), 0.90, 0.000001, 0.0005, "national_id"),
        Level("one slip", near("national_id", 1, 5), 0.05, 0.0001, 0.001),
        Level("two slips", near("national_id", 2, 7), 0.02, 0.001, 0.003),
        Level("different", None, 0.03, 0.9989, 0.9955),
    ),
    most_else=0.1,
)
EMAIL = Comparison(
    "email",
    ("email",),
    (
        Level("exact", _exact("email"), 0.50, 0.000001, 0.1, "email"),
        Level(
            "same name at another provider",
            "email_name_l = email_name_r and length(email_name_l) >= 5",
            0.06,
            0.0001,
            0.004,
        ),
        # The rest of an address is mostly the name again; its digits are what is its own.
        Level("similar", f"email_digits_l = email_digits_r and {near('email', 2, 10)}", 0.08, 0.0002, 0.01),
        Level("different", None, 0.36, 0.9994, 0.876),
    ),
    most_else=0.6,
)
PHONE = Comparison(
    "phone",
    ("phone",),
    (
        Level("exact", _exact("phone"), 0.55, 0.000001, 0.45, "phone"),
        Level("same without prefix", _exact("phone_end"), 0.03, 0.000002, 0.03),
        Level("one slip", near("phone", 1, 8), 0.05, 0.0002, 0.03),
        Level("different", None, 0.37, 0.9998, 0.49),
    ),
    most_else=0.6,
)
LOYALTY_NUMBER = Comparison(
    "loyalty_number",
    ("loyalty_number",),
    (
        Level("exact", _exact("loyalty_number"), 0.80, 0.000001, 0.1, "loyalty_number"),
        Level("one slip", near("loyalty_number", 1, 6), 0.05, 0.0001, 0.005),
        Level("different", None, 0.15, 0.9999, 0.895),
    ),
    most_else=0.4,
)
STREET = Comparison(
    "street",
    ("street",),
    (
        Level("exact", _exact("street"), 0.55, 0.00005, 0.55, "street"),
        Level(
            "same number, similar street",
            f"house_number_l = house_number_r and ({_alike('street_name', 0.88)} or {_within('street_name')})",
            0.15,
            0.00005,
            0.15,
        ),
        Level("similar", f"{_alike('street', 0.92)} or {near('street', 2, 8)}", 0.08, 0.001, 0.08),
        Level("same street", f"{_alike('street_name', 0.92)} or {_within('street_name')}", 0.04, 0.004, 0.04),
        Level("same number", "house_number_l = house_number_r", 0.03, 0.01, 0.03),
        Level("close", _alike("street", 0.8), 0.03, 0.03, 0.03),
        Level("different", None, 0.12, 0.955, 0.12),
    ),
    most_else=0.4,
)
_CITY_ALIKE = f"(city_l = city_r or {_alike('city', 0.88)} or {near('city', 2, 5)})"
PLACE = Comparison(
    "place",
    ("postcode", "city", "region"),
    (
        Level(
            "postcode and city",
            f"postcode_l = postcode_r and {_CITY_ALIKE}",
            0.68,
            0.001,
            0.68,
            "postcode",
        ),
        Level(
            "city and nearly the postcode", f"{_CITY_ALIKE} and {near('postcode', 2, 4)}", 0.06, 0.0005, 0.06
        ),
        # The other place of the two may be missing; that is less than both.
        Level("postcode", "postcode_l = postcode_r", 0.10, 0.001, 0.10, "postcode"),
        Level("city", "city_l = city_r", 0.06, 0.01, 0.06, "city"),
        Level("nearly the postcode", near("postcode", 1, 4), 0.02, 0.006, 0.02),
        Level("similar city", _CITY_ALIKE, 0.02, 0.006, 0.02),
        Level("region", "region_l = region_r", 0.03, 0.1, 0.03),
        Level("different", None, 0.03, 0.876, 0.03),
    ),
    most_else=0.25,
    is_any=True,
)
COUNTRY = Comparison(
    "country",
    ("country",),
    (
        Level("exact", _exact("country"), 0.98, 0.5, 0.98),
        Level("different", None, 0.02, 0.5, 0.02),
    ),
    most_else=0.05,
)

COMPARISONS = (
    GIVEN_NAME, FAMILY_NAME, BIRTH_DATE, GENDER, NATIONAL_ID, EMAIL, PHONE, LOYALTY_NUMBER, STREET, PLACE, COUNTRY,
)  # fmt: skip
# Those that tell people of one household apart. A family name does so a little: neighbours have another.
PERSONAL = ("given_name", "family_name", "birth_date", "gender", "national_id", "email", "loyalty_number")
# Levels whose two probabilities are equal by design and are never learned.
FIXED = (("family_name", "swapped with the given name"),)
