"""Person records with the truth in their keys: households, several records of a person, slips and gaps.

A fifth of the values is missing and a tenth of the names, streets, cities and postcodes has a slip. Names are
invented, some of them far more frequent than others: of 60,000 family names the most frequent has half a percent.
Housemates share their family name, address and landline; some of the children are twins.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

MEMORY = "2GB"
PER_HOUSEHOLD = 4.25  # records, about
FEWEST_PLACES, PER_PLACE = 150, 1000  # places, and households of one
MEMBERS = [1, 1, 1, 2, 2, 2, 2, 3, 4, 4]  # of ten households
SLIPS, GAPS = 0.1, 0.2
SLIPPING = ("given_name", "family_name", "street", "city", "postcode")
MISSING = ("birth_date", "gender", "street", "city", "postcode", "email", "phone")

PERSON = "regexp_replace(node_key, '-[0-9]+$', '')"  # of a record

_BEGINNINGS = (
    "b", "br", "c", "ch", "d", "dr", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "w",
    "sch", "th", "kr", "bl",
)  # fmt: skip
_MIDDLES = ("a", "e", "i", "o", "u", "ai", "ei", "oo", "ie", "au")
_ENDS = ("", "n", "r", "l", "s", "m", "t", "nd", "rt", "ck", "ng", "x")


def write_people(path: Path, records: int) -> int:
    """Write about so many records (node_key and columns of a person record, all of them text) in random order; how
    many there are. The text before the last dash of a node_key is the person."""
    options = {"threads": 2, "memory_limit": MEMORY, "temp_directory": str(path.parent / "spill")}
    with duckdb.connect(config=options) as connection:
        query = _records(max(int(records / PER_HOUSEHOLD), 1))
        (written,) = connection.execute(
            f"copy ({query}) to '{path}' (format parquet, compression zstd)"
        ).fetchone()
    return written


def pairwise(partitions: Path, person: str, group: str) -> tuple[float, float, int]:
    """Of the pairs of records that `group` puts together, how many are of one `person`; of all that are, how
    many it found; and how many these are."""
    with duckdb.connect() as connection:
        counted = dict(
            connection.execute(
                f"""
                with placed as (
                    select
                        {person} as person,
                        {group} as found
                    from '{partitions}'
                ),

                sizes as (
                    select 'true' as what, count(*) as size from placed group by person
                    union all
                    select 'found', count(*) from placed group by found
                    union all
                    select 'both', count(*) from placed group by person, found
                )

                select what, sum(size * (size - 1) / 2) from sizes group by what
                """
            ).fetchall()
        )
    return counted["both"] / counted["found"], counted["both"] / counted["true"], int(counted["true"])


def _records(households: int) -> str:
    """Households, their members, the records of these, and what went wrong in each."""
    gaps = ", ".join(
        f"if({_share('node_key', _text(f'no {name}'))} < {GAPS}, null, {name}) as {name}" for name in MISSING
    )
    slipped = ", ".join(_slipped(column) if column in SLIPPING else column for column in (*SLIPPING, "email"))
    return f"""
        with households as (
            select
                household,
                {ranked(60_000, 30, "household", "'family'")} as family,
                {drawn(max(FEWEST_PLACES, households // PER_PLACE), "household", "'place'")} as place,
                1 + {drawn(250, "household", "'house'")} as house,
                {ranked(20_000, 200, "household", "'street'")} as street,
                '1555' || lpad({drawn(10_000_000, "household", "'landline'")}::varchar, 7, '0') as landline,
                {MEMBERS}[1 + {drawn(len(MEMBERS), "household", "'members'")}] as members,
            from range({households}) as drawn (household)
        ),

        people as (
            select
                *,
                household || '.' || member as person,
                -- a couple, and any children
                if(member < 2, ({drawn(2, "household", "'gender'")} + member) % 2, {drawn(2, "household", "member")})
                    as gender_number,
                {ranked(3_000, 30, "household", "member", "'given'")} as given,
                if(member = 3 and {drawn(10, "household", "'twins'")} < 3, 2, member) as born,
            from households, range(4) as members (member)
            where member < members
        ),

        named as (
            select
                person,
                {word("given * 2 + gender_number", "given", 2)} as given_name,
                {word("family", "family", 3)} as family_name,
                if(
                    member < 2,
                    date '1945-01-01' + {drawn(11_000, "household", "born", "'birth'")},
                    date '1985-01-01' + {drawn(7_300, "household", "born", "'birth'")}
                )::date::varchar as birth_date,
                ['m', 'f'][1 + gender_number] as gender,
                house || ' ' || {word("street", "street", 2)} || ' ' || ['street', 'road', 'lane'][1 + street % 3]
                    as street,
                {word("place // 3", "city", 2)} || ['ville', 'ton', 'field', 'burg'][1 + place // 3 % 4] as city,
                (10000 + place * 7)::varchar as postcode,
                landline,
                '1777' || lpad({drawn(10_000_000, "person", "'mobile'")}::varchar, 7, '0') as mobile,
                given_name || '.' || family_name || {drawn(999, "person", "'email'")} || '@mail.example' as email,
                {_share("person", "'records'")} as luck,
                if(luck < 0.45, 1, if(luck < 0.75, 2, if(luck < 0.93, 3, 5))) as records,
            from people
        ),

        said as (
            select
                *,
                person || '-' || record as node_key,
                if({_share("node_key", "'phone'")} < 0.3, landline, mobile) as phone,
            from named, range(5) as records (record)
            where record < records
        ),

        slipped as (
            select node_key, birth_date, gender, phone, {slipped}
            from said
        )

        select
            node_key,
            given_name,
            family_name,
            {gaps},
        from slipped
        order by hash(node_key)
    """


def _text(value: str) -> str:
    return f"'{value}'"


def drawn(below: int, *keys: str) -> str:
    """A whole number from zero, by the keys. Of hashes with other seeds the last bits are alike."""
    return f"(hash({', '.join(keys)}) // 1024 % {below})::integer"


def _share(*keys: str) -> str:
    return f"({drawn(1_000_003, *keys)} / 1000003)"


def ranked(of: int, flat: int, *keys: str) -> str:
    """A rank below `of`, drawn nearly as Zipf has it: half as often at twice the rank, and the first `flat` alike."""
    return f"floor({flat} * (pow({of} / {flat} + 1, {_share(*keys)}) - 1))::integer"


def word(number: str, kind: str, syllables: int) -> str:
    """An invented word, always the same for a number."""
    parts = [
        f"{list(letters)}[1 + {drawn(len(letters), number, _text(f'{kind} {place} {letters[0]}'))}]"
        for place in range(syllables)
        for letters in (_BEGINNINGS, _MIDDLES)
    ]
    return " || ".join([*parts, f"{list(_ENDS)}[1 + {drawn(len(_ENDS), number, _text(f'{kind} end'))}]"])


def _slipped(column: str) -> str:
    """In some of the records a letter is missing, one is too many, or two have changed places."""
    place = f"(2 + hash(node_key, '{column} place') // 1024 % greatest(length({column}) - 1, 1))::integer"
    letter = f"chr(97 + {drawn(10, 'node_key', _text(f'{column} letter'))})"
    return f"""
        case
            when {_share("node_key", _text(f"{column} slip"))} >= {SLIPS} then {column}
            else [
                left({column}, {place} - 1) || substr({column}, {place} + 1),
                left({column}, {place} - 1) || {letter} || substr({column}, {place}),
                left({column}, {place} - 2) || substr({column}, {place}, 1) || substr({column}, {place} - 1, 1)
                    || substr({column}, {place} + 1)
            ][1 + {drawn(3, "node_key", _text(f"{column} what"))}]
        end as {column}"""
