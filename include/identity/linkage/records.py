"""Person records as they are compared: folded to one spelling, with parts, sounds and frequencies beside them.

Makes `linkage_record`: one row per node that says more than identifiers, numbered in the order of the nodes. A node is
a hash, so that order is as good as a shuffled one, and the same whatever order the rows came in. A flood of records
that hold an identifier alone changes neither what is usual nor how likely two records are one person.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from include.identity.engine import Engine, folded, hashed, text

COLUMNS = (
    "given_name", "family_name", "birth_date", "gender", "national_id", "street", "city", "region", "postcode",
    "country", "email", "phone", "loyalty_number",
)  # fmt: skip
# A record with none of these says nothing that could be like another's.
TELLING = ("given_name", "family_name", "birth_date", "street", "city", "postcode")
NICKNAMES = Path(__file__).with_name("nicknames.txt")

# Words of an address that are as often written short.
_ADDRESS_WORDS = {
    "street": "st", "avenue": "ave", "av": "ave", "road": "rd", "drive": "dr", "lane": "ln", "court": "ct",
    "place": "pl", "boulevard": "blvd", "square": "sq", "terrace": "tce", "crescent": "cres", "close": "cl",
    "apartment": "apt", "unit": "apt", "flat": "apt", "strasse": "str", "highway": "hwy", "parade": "pde",
}  # fmt: skip
_TITLES = "mr|mrs|ms|miss|dr|prof|herr|frau|mme|sr|sra"
_NO_BIRTH_DATES = ("1900-01-01", "1901-01-01", "1111-11-11", "0001-01-01", "9999-12-31")
_SOUNDS = ("abcdefghijklmnopqrstuvwxyz", "01230120022455012623010202")


@dataclass(frozen=True)
class _Frequency:
    """How a value's frequency is read off its count.

    `usual` is what is expected of a value that was never seen; it counts like a thousand records, so that a handful
    of records makes no name look common. `own` is how many records one person has of it themselves.
    """

    usual: float
    own: int


FREQUENCIES = {
    "given_name": _Frequency(0.003, 1),
    "family_name": _Frequency(0.0005, 1),
    "birth_date": _Frequency(0.00005, 1),
    "national_id": _Frequency(0.00001, 3),
    "email": _Frequency(0.00001, 3),
    "phone": _Frequency(0.00001, 3),
    "loyalty_number": _Frequency(0.00001, 3),
    "street": _Frequency(0.00002, 3),
    "postcode": _Frequency(0.001, 1),
    "city": _Frequency(0.005, 1),
}
_WEIGHT_OF_USUAL = 1000


def create_records(engine: Engine, source: str, blocked_values: Collection[str]) -> int:
    """Make `linkage_record` from the relation `source` (node_key and any of COLUMNS); count its rows.

    `blocked_values` are texts that mean nothing, in lower case. `linkage_no_record` is the same without a row.
    """
    given = {row[0] for row in engine.rows(f"describe select * from {source}")}
    columns = ",\n".join(
        f"cast({column} as varchar) as {column}" if column in given else f"cast(null as varchar) as {column}"
        for column in COLUMNS
    )
    meaningless = ", ".join(text(value) for value in sorted({*blocked_values, ""}))
    said = ",\n".join(
        f"case when lower(trim({column})) in ({meaningless}) then null else {column} end as {column}"
        for column in COLUMNS
    )
    engine.create_table(
        "linkage_folded",
        f"""
        with raw as (
            select
                node_key,
                {columns}
            from {source}
        ),

        known as (
            select
                node_key,
                {said}
            from raw
        ),

        plain as (
            select
                {hashed("node_key")} as node,
                node_key,
                {_name("given_name", True)} as given_name,
                {_name("family_name", False)} as family_name,
                {_date("birth_date")} as birth_date,
                nullif(left(lower(gender), 1), '') as gender,
                {_code("national_id")} as national_id,
                {_code("loyalty_number")} as loyalty_number,
                {_street("street")} as street,
                {_words("city")} as city,
                {_words("region")} as region,
                {_code("postcode")} as postcode,
                nullif(lower(trim(country)), '') as country,
                case when contains(email, '@') then nullif(lower(trim(email)), '') end as email,
                nullif(regexp_replace(phone, '[^0-9]+', '', 'g'), '') as phone
            from known
        )

        select
            row_number() over (order by node) - 1 as record,
            plain.*,
            split_part(email, '@', 1) as email_name,
            regexp_replace(email, '[^0-9]+', '', 'g') as email_digits,
            case when length(phone) >= 9 then right(phone, 8) end as phone_end,
            nullif(regexp_extract(street, '[0-9]+[a-z]?'), '') as house_number,
            nullif(trim(regexp_replace(street, '[0-9]+[a-z]?', '', 'g')), '') as street_name
        from plain
        where {" or ".join(f"{column} is not null" for column in TELLING)}
        """,
    )
    _add_frequencies(engine)
    engine.create_table("linkage_no_record", "select * from linkage_record where 1 = 0")
    return engine.scalar("select count(*) from linkage_record")


def known_columns(engine: Engine) -> dict[str, int]:
    """How many records have each of the columns."""
    counts = ", ".join(f"count({column})" for column in COLUMNS)
    (row,) = engine.rows(f"select {counts} from linkage_record")
    return dict(zip(COLUMNS, row, strict=True))


def _add_frequencies(engine: Engine) -> None:
    """Make `linkage_record` of `linkage_folded` with the frequency of its values and the roots of given names."""
    joins, columns = [], []
    for column, frequency in FREQUENCIES.items():
        engine.create_table(
            f"linkage_frequency_{column}",
            f"""
            with held as (
                select
                    {column},
                    {_holders(column)} as holders
                from linkage_folded
                where {column} is not null
                group by {column}
            )

            select
                {column},
                (greatest(holders - {frequency.own}, 0) + {_WEIGHT_OF_USUAL * frequency.usual})
                / (sum(holders) over () + {_WEIGHT_OF_USUAL}) as tf_{column}
            from held
            """,
        )
        joins.append(
            f"left join linkage_frequency_{column} on folded.{column} = linkage_frequency_{column}.{column}"
        )
        columns.append(f"linkage_frequency_{column}.tf_{column}")
    engine.create_table(
        "linkage_root",
        f"select * from (values {', '.join(f'({text(name)}, {text(root)})' for name, root in _roots())})"
        " as roots(given_name, given_root)",
    )
    new_line = "\n"
    engine.create_table(
        "linkage_record",
        f"""
        select
            folded.*,
            coalesce(linkage_root.given_root, split_part(folded.given_name, ' ', 1)) as given_root,
            {_sound("folded.given_name")} as given_sound,
            {_sound("folded.family_name")} as family_sound,
            {_sound(_letters("folded.street_name"))} as street_sound,
            {_sound(_letters("folded.city"))} as city_sound,
            {", ".join(columns)},
            linkage_frequency_given_name.tf_given_name * linkage_frequency_family_name.tf_family_name as tf_full_name,
            folded.given_name || ' ' || folded.family_name as full_name
        from linkage_folded as folded
        left join linkage_root on split_part(folded.given_name, ' ', 1) = linkage_root.given_name
        {new_line.join(joins)}
        order by folded.record
        """,
    )
    engine.drop("linkage_folded", "linkage_root", *(f"linkage_frequency_{column}" for column in FREQUENCIES))


def _holders(column: str) -> str:
    """Over the records with a value: about how many people have it.

    Ten records of one person do not make their e-mail address or birth date a frequent one. Two people differ in
    birth date and given name; a slip makes one person look like two, hence the lesser of both.
    """
    counts = [
        f"case when count({other}) > 0 then count(distinct {other}) * count(*) // count({other}) else count(*) end"
        for other in ("birth_date", "given_name")
        if other != column
    ]
    return f"least({', '.join(counts)}, count(*))"


@cache
def _roots() -> tuple[tuple[str, str], ...]:
    """Short forms of given names, each with the first name of its line."""
    lines = (line.split() for line in NICKNAMES.read_text(encoding="utf-8").splitlines() if line.strip())
    pairs: dict[str, str] = {}
    for names in lines:
        if names[0].startswith("#"):
            continue
        for name in names:
            pairs.setdefault(name, names[0])
    return tuple(sorted(pairs.items()))


def _words(column: str) -> str:
    """Lower case without accents and punctuation, one space between words."""
    bare = f"regexp_replace({folded(column)}, '[''’`´.]+', '', 'g')"
    return f"nullif(trim(regexp_replace({bare}, '[^\\pL\\pN]+', ' ', 'g')), '')"


def _name(column: str, has_title: bool) -> str:
    words = _words(column)
    return f"nullif(regexp_replace({words}, '^({_TITLES}) ', ''), '')" if has_title else words


def _street(column: str) -> str:
    expression = _words(column)
    for word, short in _ADDRESS_WORDS.items():
        expression = f"regexp_replace({expression}, '\\b{word}\\b', '{short}', 'g')"
    return expression


def _date(column: str) -> str:
    """The day alone, if a time was written with it, and unless it stands for none."""
    day = f"left({column}, 10)"
    return f"case when {day} not in ({', '.join(map(text, _NO_BIRTH_DATES))}) then {day} end"


def _code(column: str) -> str:
    return f"nullif(upper(regexp_replace({column}, '[^0-9A-Za-z]+', '', 'g')), '')"


def _letters(column: str) -> str:
    return f"nullif(replace({column}, ' ', ''), '')"


def _sound(column: str) -> str:
    """A key that survives most slips: the first letter and the classes of the next consonants (after Soundex)."""
    classes = f"translate(substr({column}, 2), {text(_SOUNDS[0])}, {text(_SOUNDS[1])})"
    for digit in "123456":
        classes = f"replace({classes}, '{digit}{digit}', '{digit}')"
    return f"left({column}, 1) || left(replace({classes}, '0', ''), 3)"
