"""Records that share a telephone or an e-mail address and are two people all the same.

A household's telephone ties a mother to her son. Their records say so themselves: another given name and another
birth date, or another given name and the other gender. One difference alone is no contradiction (a short form nobody
listed, a slip in a date, a daughter-in-law's maiden name), and twins of one gender are none: people go by their middle
name as well.
"""

from __future__ import annotations

from include.identity.engine import Engine
from include.identity.linkage.comparisons import BIRTH_DATE, FAMILY_NAME, GENDER, GIVEN_NAME, NATIONAL_ID
from include.identity.linkage.scoring import PAIRS_PER_PART, Scorer

# A value on more records than this is shared by too many for any two of them to matter.
_MOST_RECORDS = 50
_COMPARISONS = (GIVEN_NAME, FAMILY_NAME, BIRTH_DATE, GENDER, NATIONAL_ID)
_DIFFERENT, _NATIONAL_ID_AGREES = 0, (len(NATIONAL_ID.levels) - 1, len(NATIONAL_ID.levels) - 2)
_ANOTHER_BIRTH_DATE = (0, 1)  # different, or within a year at best: a husband and wife of one age


def find_contradictions(engine: Engine, shared: str, result: str) -> None:
    """Make `result(node_a, node_b, weight)`: pairs of records of `linkage_record` that share a value and are clearly
    two people; weight is how clearly, in bits.

    `shared` is a relation (node, value) of the identifiers in question.
    """
    engine.create_table(
        "contradiction_holder",
        f"""
        with held as (
            select distinct
                linkage_record.record,
                shared.value
            from {shared} as shared
            inner join linkage_record on shared.node = linkage_record.node
        ),

        few as (
            select value
            from held
            group by value
            having count(*) between 2 and {_MOST_RECORDS}
        )

        select
            held.record,
            held.value
        from held
        inner join few on held.value = few.value
        """,
    )
    pairs = engine.scalar(
        """
        select cast(coalesce(sum(holders * (holders - 1) // 2), 0) as bigint)
        from (select count(*) as holders from contradiction_holder group by value) as shared
        """
    )
    scorer = Scorer(engine, _COMPARISONS)
    scorer.compare(
        _pairs_in,
        pairs // PAIRS_PER_PART + 1,
        f"""
        select
            least(record_l.node, record_r.node) as node_a,
            greatest(record_l.node, record_r.node) as node_b,
            -({scorer.household}) as weight
        from linkage_compared as compared
        inner join linkage_record as record_l on compared.record_l = record_l.record
        inner join linkage_record as record_r on compared.record_r = record_r.record
        where
            compared.gamma_given_name = {_DIFFERENT}
            and (compared.gamma_birth_date in {_ANOTHER_BIRTH_DATE} or compared.gamma_gender = {_DIFFERENT})
            and compared.gamma_national_id not in {_NATIONAL_ID_AGREES}
        """,
        result,
    )
    engine.drop("contradiction_holder")


def _pairs_in(part: str) -> str:
    return f"""
        select distinct
            low.record as join_key_l,
            high.record as join_key_r,
            0 as match_key
        from contradiction_holder as low
        inner join contradiction_holder as high on low.value = high.value
        where low.record < high.record and low.record {part}
    """
