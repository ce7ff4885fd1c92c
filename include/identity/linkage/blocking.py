"""Which pairs of records are looked at: those that agree on one of the blocking rules, found without surprises.

Every rule makes a key per record. How many records share a key is counted before any pair is made: a block that is
too large is tightened with one more part of the record and then another, and is left out when it is still too large.
A rule therefore makes at most half of the largest block in pairs per record, and the whole grows with the number of
records, not with its square.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from include.identity.engine import Engine
from include.identity.rules import LinkageRules

logger = logging.getLogger(__name__)

# What a rule may be made of: columns of a record, and parts of them.
PARTS = {
    "given_name": "given_name",
    "family_name": "family_name",
    "full_name": "least(given_name, family_name) || '|' || greatest(given_name, family_name)",
    "full_sound": "least(given_sound, family_sound) || '|' || greatest(given_sound, family_sound)",
    "given_sound": "given_sound",
    "family_sound": "family_sound",
    "given_root": "given_root",
    "given_initial": "left(given_name, 1)",
    "family_initial": "left(family_name, 1)",
    "birth_date": "birth_date",
    "birth_year": "left(birth_date, 4)",
    "birth_day": "substr(birth_date, 6)",
    "gender": "gender",
    "national_id": "national_id",
    "loyalty_number": "loyalty_number",
    "email": "email",
    "email_name": "email_name",
    "phone": "phone",
    "phone_end": "phone_end",
    "street": "street",
    "street_name": "street_name",
    "street_sound": "street_sound",
    "house_number": "house_number",
    "city": "city",
    "city_sound": "city_sound",
    "region": "region",
    "postcode": "postcode",
    "postcode_area": "left(postcode, 3)",
    "country": "country",
}
# A block that is too large is tightened by these, one after the other.
_TIGHTENING = ("given_sound", "birth_year")
_PAIRS_OF_SMALL_INPUTS = 300_000  # of each rule, however few the records are


@dataclass(frozen=True)
class Block:
    """What became of a rule: its pairs, and the records whose blocks were tightened or left out."""

    rule: str
    pairs: int
    tightened: int
    left_out: int
    largest: int


def create_blocks(engine: Engine, rules: LinkageRules, known: Collection[str], records: int) -> list[Block]:
    """Make `linkage_block(rule, key, record)` of the blocking rules whose columns are `known`, and say what each came
    to."""
    most = max(rules.pairs_per_record * records, _PAIRS_OF_SMALL_INPUTS)
    engine.create_table(
        "linkage_block",
        "select cast(0 as smallint) as rule, hash(node_key) as key, record from linkage_record where 1 = 0",
    )
    notes = []
    for number, rule in enumerate(rules.blocking_rules):
        if any(_source(part) not in known for part in rule):
            continue
        notes.append(_create_rule(engine, number, rule, known, most, rules.largest_block))
    for note in notes:
        if note.left_out:
            logger.warning(
                "blocking by %s: %s records in blocks of more than %s are left out",
                note.rule,
                note.left_out,
                note.largest,
            )
    return notes


def _source(part: str) -> str:
    """The column of a record that a part is made of."""
    if part in ("full_name", "full_sound"):
        return "given_name"
    column = part
    if part.startswith(("given_", "family_")):
        column = f"{part.split('_')[0]}_name"
    return {
        "birth_year": "birth_date", "birth_day": "birth_date", "email_name": "email",
        "phone_end": "phone", "street_name": "street", "street_sound": "street", "house_number": "street",
        "city_sound": "city", "postcode_area": "postcode",
    }.get(column, column)  # fmt: skip


def _create_rule(
    engine: Engine, number: int, rule: Sequence[str], known: Collection[str], most: int, largest: int
) -> Block:
    parts = list(rule)
    extra = [part for part in _TIGHTENING if part not in rule and _source(part) in known]
    source, tightened, left_out, pairs, bound = "linkage_record", 0, 0, 0, largest
    for step in range(len(extra) + 1):
        _create_keys(engine, parts, source)
        if step == 0:
            bound = _bound(engine, most, largest)
        pairs_made, left_out = engine.rows(
            f"""
            select
                cast(coalesce(sum(size * (size - 1) // 2) filter (size <= {bound}), 0) as bigint),
                cast(coalesce(sum(size) filter (size > {bound}), 0) as bigint)
            from linkage_size
            """
        )[0]
        pairs += pairs_made
        if step == 0:
            tightened = left_out
        engine.insert(
            "linkage_block",
            f"select cast({number} as smallint) as rule, key, record from ({_sized(f'size <= {bound}')}) as sized",
        )
        engine.drop("linkage_large")
        if left_out == 0 or step == len(extra):
            break
        # Only what is in too large a block goes on, with one more part.
        engine.create_table("linkage_large", f"select record from ({_sized(f'size > {bound}')}) as sized")
        source = "(select * from linkage_record semi join linkage_large using (record)) as large"
        parts.append(extra[step])
    engine.drop("linkage_key", "linkage_size")
    return Block(" + ".join(rule), pairs, tightened, left_out, bound)


def _create_keys(engine: Engine, parts: Sequence[str], source: str) -> None:
    """Make `linkage_key(key, record)` of the records that have all parts, and `linkage_size(key, size)` of the keys
    that more than one has. Two keys that are one hash by chance bring a few pairs more, and nothing else."""
    made = [f"({PARTS[part]})" for part in parts]
    engine.drop("linkage_key", "linkage_size")
    engine.create_table(
        "linkage_key",
        f"""
        select
            hash({", ".join(made)}) as key,
            record
        from {source}
        where {" and ".join(f"{part} is not null" for part in made)}
        """,
    )
    engine.create_table(
        "linkage_size",
        """
        select
            key,
            count(*) as size
        from linkage_key
        group by key
        having count(*) > 1
        """,
    )


def _sized(condition: str) -> str:
    return f"""
        select
            linkage_key.key,
            linkage_key.record
        from linkage_key
        inner join linkage_size on linkage_key.key = linkage_size.key
        where {condition}
    """


def _bound(engine: Engine, most: int, largest: int) -> int:
    """The largest block that a rule may have: at most `largest`, and less when that makes more than `most` pairs."""
    return engine.scalar(
        f"""
        with sizes as (
            select
                size,
                sum(sum(size * (size - 1) // 2)) over (order by size) as pairs
            from linkage_size
            where size <= {largest}
            group by size
        )

        select coalesce(max(size), 2)
        from sizes
        where pairs <= {most}
        """
    )


def pairs_of(blocks: str, condition: str) -> str:
    """A query of join_key_l, join_key_r, match_key: the pairs of records that share a block, each with the first rule
    that found it. `condition` is SQL over `low` and `high`, two rows of `blocks`."""
    return f"""
        select
            low.record as join_key_l,
            high.record as join_key_r,
            min(low.rule) as match_key
        from {blocks} as low
        inner join {blocks} as high on low.rule = high.rule and low.key = high.key
        where low.record < high.record and {condition}
        group by low.record, high.record
    """


@dataclass(frozen=True)
class BlockedPairs:
    """The pairs of `linkage_block`."""

    blocks: Sequence[Block]

    def sample(self, engine: Engine, result: str, most: int) -> float:
        """Make `result` of about `most` of the pairs; how many pairs one of them stands for.

        Records are numbered at random, so their sum draws at random as well.
        """
        every = sum(block.pairs for block in self.blocks) // most + 1
        engine.create_table(result, pairs_of("linkage_block", f"(low.record + high.record) % {every} = 0"))
        return float(every)
