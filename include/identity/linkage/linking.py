"""Records of one person that share no identifier, found by what they say: the tiers strict and loose.

`link_records` is the whole of it, over any relation of person records, inside `resolve` or alone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.identity.components import follow
from include.identity.engine import Engine, hashed, opened, parquet
from include.identity.linkage.blocking import Block, BlockedPairs, create_blocks, pairs_of
from include.identity.linkage.clustering import (
    MOST_RECORDS,
    THOUSAND,
    agglomerate,
    find_candidates,
    threshold,
    vote,
)
from include.identity.linkage.comparisons import COMPARISONS, Comparison
from include.identity.linkage.priors import (
    LEAST_EVIDENCE,
    USUAL,
    Priors,
    has_persons,
    per_record,
    prior_of_unfound,
    priors_of,
)
from include.identity.linkage.records import create_records, known_columns
from include.identity.linkage.scoring import PAIRS_PER_PART, Scorer
from include.identity.linkage.training import train
from include.identity.rules import LOOSE, STRICT, IdentityRules, LinkageRules

logger = logging.getLogger(__name__)

# Blocked pairs that are scored at once: only those with enough evidence keep their texts, but both sides' records are
# copied for each part.
_SCORED_PER_PART = 5_000_000
# A column is known when at least this share of the records have it.
_LEAST_KNOWN_SHARE = 0.005


@dataclass(frozen=True)
class Linked:
    """What linkage came to."""

    records: int
    pairs: int
    links: int
    blocks: tuple[Block, ...]
    comparisons: tuple[Comparison, ...]
    priors: Priors


def link_records(
    engine: Engine,
    source: str,
    rules: LinkageRules,
    membership: str | None = None,
    holdings: str | None = None,
    blocked_values: Collection[str] = (),
    results: tuple[str, str] = ("strict_membership", "loose_membership"),
) -> Linked:
    """Make `link` and the two `results`, the strict and the loose partition, of the person records in `source`.

    `source` has a `node_key` and any of the columns of COLUMNS. `membership(node, component)` is the partition to
    start from (nodes that are not the smallest of their component), `holdings(node, type, value, most)` what its
    nodes hold. The results: `link(node_a, node_b, probability, match_weight, tier, rule, evidence)`, a row
    per pair of records of different components that is at least loose, with the blocking rule that found it and how
    far its attributes agree; the memberships have the shape of `membership`, each
    coarser than the one before.
    """
    create_records(engine, source, blocked_values)
    return link_created(engine, rules, membership, holdings, results)


def link_created(
    engine: Engine,
    rules: LinkageRules,
    membership: str | None,
    holdings: str | None,
    results: tuple[str, str],
) -> Linked:
    """`link_records` of the records that `create_records` made; they are gone then."""
    records = engine.scalar("select count(*) from linkage_record")
    known = _known(engine, records)
    comparisons = tuple(
        comparison
        for comparison in COMPARISONS
        if comparison.name in rules.comparisons
        and (any if comparison.is_any else all)(column in known for column in comparison.columns)
    )
    _create_units(engine, membership)
    if records < 2 or not comparisons:
        engine.create_table("linkage_alone", "select node, node as component from linkage_record where 1 = 0")
        create_no_links(engine, membership or "linkage_alone", results)
        engine.drop("linkage_alone", "linkage_unit", "linkage_record", "linkage_no_record")
        return Linked(records, 0, 0, (), comparisons, Priors(0.0, 0.0))

    blocks = create_blocks(engine, rules, known, records)
    model = train(engine, comparisons, records, BlockedPairs(blocks))
    scorer = Scorer(engine, model)
    pairs = _score_blocks(engine, scorer, blocks)
    priors = _estimate_priors(engine, has_persons(model), records)
    unfound = _find_unfound(engine, priors, rules, records)
    _create_links(engine, priors, unfound, rules)
    _create_votes(engine, scorer, priors, unfound, rules)
    _cluster(engine, rules, membership, holdings, results)
    links = engine.scalar("select count(*) from link")
    logger.info("linked %s records: %s pairs compared, %s links", records, pairs, links)
    return Linked(records, pairs, links, tuple(blocks), model, priors)


def _known(engine: Engine, records: int) -> set[str]:
    least = _LEAST_KNOWN_SHARE * records
    return {column for column, count in known_columns(engine).items() if count and count >= least}


def _create_units(engine: Engine, membership: str | None) -> None:
    """Make `linkage_unit(unit, record, component)`: the components with records, numbered in their order."""
    component, join = "linkage_record.node", ""
    if membership:
        component = f"coalesce({membership}.component, linkage_record.node)"
        join = f"left join {membership} on linkage_record.node = {membership}.node"
    engine.create_table(
        "linkage_unit",
        f"""
        with placed as (
            select
                linkage_record.record,
                {component} as component
            from linkage_record
            {join}
        )

        select
            dense_rank() over (order by component) - 1 as unit,
            record,
            component
        from placed
        """,
    )


def create_no_links(engine: Engine, membership: str, results: Collection[str]) -> None:
    """Make an empty `link` and the `results` as finely parted as `membership`."""
    engine.create_table(
        "link",
        f"""
        select
            node as node_a,
            node as node_b,
            cast(0 as double) as probability,
            cast(0 as double) as match_weight,
            '' as tier,
            '' as rule,
            '' as evidence
        from {membership}
        where 1 = 0
        """,
    )
    for result in results:
        engine.create_table(result, f"select node, component from {membership}")


def _score_blocks(engine: Engine, scorer: Scorer, blocks: Sequence[Block]) -> int:
    """Make `linkage_scored` of the blocked pairs between units that have enough evidence, part by part; how many pairs
    were compared."""
    engine.create_table(
        "linkage_blocked",
        """
        select
            linkage_block.*,
            linkage_unit.unit
        from linkage_block
        inner join linkage_unit on linkage_block.record = linkage_unit.record
        """,
    )
    engine.drop("linkage_block")
    pairs = scorer.compare(
        lambda part: pairs_of("linkage_blocked", f"low.unit <> high.unit and low.record {part}"),
        sum(block.pairs for block in blocks) // _SCORED_PER_PART + 1,
        f"""
        select
            record_l,
            record_r,
            match_key,
            {scorer.described} as evidence_text,
            cast(round(match_weight * {THOUSAND}) as integer) as evidence,
            cast(round(({scorer.household}) * {THOUSAND}) as integer) as person
        from linkage_compared
        """,
        "linkage_scored",
        LEAST_EVIDENCE,
    )
    engine.drop("linkage_blocked")
    return pairs


def _count_scored(engine: Engine, joins: str = "") -> list[tuple[int, int, int]]:
    """The scored pairs by their evidence and by what tells them from a household, in quarters of a bit."""
    return engine.rows(
        f"""
        select
            evidence // 250 as evidence,
            person // 250 as person,
            count(*)
        from linkage_scored
        {joins}
        group by evidence // 250, person // 250
        order by evidence // 250, person // 250
        """
    )


def _estimate_priors(engine: Engine, persons: bool, records: int) -> Priors:
    """The priors at which the pairs that they lead to are as many as they were drawn from."""
    counts = _count_scored(engine)
    duplicates, housemates = USUAL["duplicates"][0], USUAL["housemates"][0]
    for _ in range(60):
        priors = priors_of(duplicates, housemates if persons else 0, records)
        same = living_together = 0.0
        for evidence, person, pairs in counts:
            one = 2 ** (min(evidence / 4, 200) + priors.person)
            two = 2 ** (min((evidence - person) / 4, 200) + priors.household) if persons else 0.0
            same += pairs * one / (1 + one + two)
            living_together += pairs * two / (1 + one + two)
        duplicates = per_record("duplicates", same, records)
        housemates = per_record("housemates", living_together, records)
    return priors_of(duplicates, housemates if persons else 0, records)


def _find_unfound(engine: Engine, priors: Priors, rules: LinkageRules, records: int) -> Priors:
    """Make `linkage_unfound(record)`: records that found nobody; return the priors of a pair of them.

    Where nearly every record finds another of its person, two that are left over and resemble each other are far more
    likely one person than two of a household, who would each have found their own, or than two strangers, of whom
    few are left. Where most records are alone this says nothing, and never anything against a pair.
    """
    engine.create_table(
        "linkage_unfound",
        f"""
        with found as (
            select distinct unnest([record_l, record_r]) as record
            from linkage_scored
            where {_weight(priors)} >= {threshold(rules.strict)}
        ),

        units as (
            select
                unit,
                min(record) as record
            from linkage_unit
            group by unit
            having count(*) = 1
        )

        select units.record
        from units
        left join found on units.record = found.record
        where found.record is null
        """,
    )
    unfound = engine.scalar("select count(*) from linkage_unfound")
    counts = _count_scored(
        engine,
        """
        inner join linkage_unfound as one on linkage_scored.record_l = one.record
        inner join linkage_unfound as other on linkage_scored.record_r = other.record
        """,
    )
    person = priors.person
    for _ in range(60):
        same = 0.0
        for evidence, personal, pairs in counts:
            one = 2 ** (min(evidence / 4, 200) + person)
            two = 2 ** (min((evidence - personal) / 4, 200) + priors.household)
            same += pairs * one / (1 + one + two)
        person = prior_of_unfound(same, unfound, records)
    return Priors(max(person, priors.person), priors.household)


def _weight(priors: Priors) -> str:
    """Over evidence and person: one person against two strangers and against two of one household."""
    strangers = f"(evidence / {THOUSAND}.0 + {priors.person})"
    household = f"({_household(priors)} / {THOUSAND}.0)"
    # -log2(2^-a + 2^-b), without large powers.
    return (
        f"cast(round((least({strangers}, {household})"
        f" - log2(1 + power(2.0, -abs({strangers} - {household})))) * {THOUSAND}) as integer)"
    )


def _weight_of_pair(priors: Priors, unfound: Priors) -> str:
    """Over a pair of records: its weight, by the priors of all or by those of records that found nobody."""
    return f"""
        case
            when
                record_l in (select record from linkage_unfound)
                and record_r in (select record from linkage_unfound)
                then {_weight(unfound)}
            else {_weight(priors)}
        end
    """


def _household(priors: Priors) -> str:
    """Over person: one person against two of one household, with how often either is the case."""
    return f"(person + {round((priors.person - priors.household) * THOUSAND)})"


def _create_links(engine: Engine, priors: Priors, unfound: Priors, rules: LinkageRules) -> None:
    """Make `linkage_link(unit_l, unit_r, …)` of the scored pairs that are at least loose, and `link` from it."""
    loose, strict = threshold(rules.loose), threshold(rules.strict)
    engine.create_table(
        "linkage_link",
        f"""
        with weighed as (
            select
                record_l,
                record_r,
                match_key,
                evidence_text,
                {_weight_of_pair(priors, unfound)} as weight
            from linkage_scored
        )

        select
            unit_l.unit as unit_l,
            unit_r.unit as unit_r,
            weighed.*
        from weighed
        inner join linkage_unit as unit_l on weighed.record_l = unit_l.record
        inner join linkage_unit as unit_r on weighed.record_r = unit_r.record
        where weighed.weight >= {loose}
        """,
    )
    engine.drop("linkage_scored")
    names = " ".join(
        f"when {number} then '{' + '.join(rule)}'" for number, rule in enumerate(rules.blocking_rules)
    )
    engine.create_table(
        "link",
        f"""
        select
            least(record_l.node, record_r.node) as node_a,
            greatest(record_l.node, record_r.node) as node_b,
            1 / (1 + power(2.0, -linkage_link.weight / {THOUSAND}.0)) as probability,
            linkage_link.weight / {THOUSAND}.0 as match_weight,
            case when linkage_link.weight >= {strict} then '{STRICT}' else '{LOOSE}' end as tier,
            case cast(linkage_link.match_key as integer) {names} else '' end as rule,
            linkage_link.evidence_text as evidence
        from linkage_link
        inner join linkage_record as record_l on linkage_link.record_l = record_l.record
        inner join linkage_record as record_r on linkage_link.record_r = record_r.record
        """,
    )


def _create_votes(
    engine: Engine, scorer: Scorer, priors: Priors, unfound: Priors, rules: LinkageRules
) -> None:
    """Make `linkage_vote(unit_l, unit_r, vote)`: of all pairs of records within the candidates."""
    find_candidates(engine, "linkage_link", "linkage_candidate")
    engine.create_table(
        "linkage_member",
        """
        select
            linkage_candidate.candidate,
            linkage_unit.unit,
            linkage_unit.record,
            count(*) over (partition by linkage_candidate.candidate) as size
        from linkage_candidate
        inner join linkage_unit on linkage_candidate.unit = linkage_unit.unit
        """,
    )
    within = f"""
        select
            low.record as join_key_l,
            high.record as join_key_r,
            0 as match_key
        from linkage_member as low
        inner join linkage_member as high on low.candidate = high.candidate
        where low.size <= {MOST_RECORDS} and low.record < high.record and low.unit <> high.unit
    """
    # Of very large candidates only those that a link touches.
    linked = f"""
        select distinct
            least(low.record, high.record) as join_key_l,
            greatest(low.record, high.record) as join_key_r,
            0 as match_key
        from (select distinct unit_l, unit_r from linkage_link) as links
        inner join linkage_member as low on links.unit_l = low.unit
        inner join linkage_member as high on links.unit_r = high.unit
        where low.size > {MOST_RECORDS}
    """
    pairs = engine.scalar(
        f"""
        select coalesce(sum(size * size), 0) // 2
        from (select distinct candidate, size from linkage_member where size <= {MOST_RECORDS}) as sizes
        """
    )
    scorer.compare(
        lambda part: f"select * from ({within} union all {linked}) as pairs where join_key_l {part}",
        int(pairs) // PAIRS_PER_PART + 1,
        f"""
        with measured as (
            select
                record_l,
                record_r,
                cast(round(match_weight * {THOUSAND}) as integer) as evidence,
                cast(round(({scorer.household}) * {THOUSAND}) as integer) as person
            from linkage_compared
        ),

        weighed as (
            select
                *,
                {_weight_of_pair(priors, unfound)} as weight
            from measured
        )

        select
            unit_l.unit as unit_l,
            unit_r.unit as unit_r,
            {vote("weighed.weight", "weighed.evidence", _household(priors))} as vote
        from weighed
        inner join linkage_unit as unit_l on weighed.record_l = unit_l.record
        inner join linkage_unit as unit_r on weighed.record_r = unit_r.record
        """,
        "linkage_vote",
    )
    engine.drop("linkage_member")


def _cluster(
    engine: Engine,
    rules: LinkageRules,
    membership: str | None,
    holdings: str | None,
    results: tuple[str, str],
) -> None:
    """Make the memberships: strict from the components, loose from strict."""
    component, join = "holdings.node", ""
    if membership:
        component = "coalesce(members.component, holdings.node)"
        join = f"left join {membership} as members on holdings.node = members.node"
    engine.create_table("linkage_place", "select unit, unit as cluster from linkage_candidate")
    engine.create_table(
        "linkage_holding",
        f"""
        select distinct
            places.unit,
            holdings.type,
            holdings.value,
            holdings.most
        from {holdings} as holdings
        {join}
        inner join linkage_unit on {component} = linkage_unit.component
        inner join linkage_place as places on linkage_unit.unit = places.unit
        """
        if holdings
        else "select unit, 0 as type, unit as value, 1 as most from linkage_place where 1 = 0",
    )
    start = "linkage_place"
    tiers = ((STRICT, rules.strict), (LOOSE, rules.loose))
    for (tier, probability), result in zip(tiers, results, strict=True):
        agglomerate(
            engine, "linkage_vote", start, "linkage_holding", threshold(probability), f"linkage_{tier}"
        )
        start = f"linkage_{tier}"
        _create_membership(engine, start, membership, result)
    engine.drop(
        "linkage_place", "linkage_holding", "linkage_vote", "linkage_link", "linkage_candidate", "linkage_unit",
        "linkage_strict", "linkage_loose", "linkage_record", "linkage_no_record", "linkage_unfound",
    )  # fmt: skip


def _create_membership(engine: Engine, place: str, membership: str | None, result: str) -> None:
    """Every node whose component became part of a larger one, with those that stay: nodes that are not the smallest.

    Units are numbered in the order of their components, so a cluster's smallest unit has its smallest node.
    """
    engine.create_table(
        "linkage_move",
        f"""
        with components as (
            select distinct
                unit,
                component
            from linkage_unit
        )

        select
            components.component as node,
            heads.component
        from {place} as places
        inner join components on places.unit = components.unit
        inner join components as heads on places.cluster = heads.unit
        where places.unit <> places.cluster
        """,
    )
    if membership:
        follow(engine, membership, "linkage_move", result)
    else:
        engine.create_table(result, "select node, component from linkage_move")
    engine.drop("linkage_move")


def link_file(
    records: Path, rules: IdentityRules, result: Path, threads: int = 2, memory_limit: str = "2GB"
) -> Linked:
    """Link the person records of a Parquet file (node_key and any of the columns of `records.COLUMNS`) alone.

    Writes to the folder `result`: `partitions.parquet` (node_key, strict_id, loose_id: records with equal ids are one
    person) and `links.parquet` (node_key_a, node_key_b, probability, match_weight, tier, rule, evidence).
    """
    result.mkdir(parents=True, exist_ok=True)
    with opened(threads, memory_limit, result / "scratch") as engine:
        engine.create_view("person_record", f"select * from {parquet(records)}")
        linked = link_records(engine, "person_record", rules.linkage, blocked_values=rules.blocked_values)
        engine.create_table(
            "linkage_node", f"select {hashed('node_key')} as node, node_key from person_record"
        )
        engine.write(
            result / "partitions.parquet",
            {"node_key": "varchar", "strict_id": "varchar", "loose_id": "varchar"},
            """
            select
                linkage_node.node_key,
                strict_head.node_key as strict_id,
                loose_head.node_key as loose_id
            from linkage_node
            left join strict_membership on linkage_node.node = strict_membership.node
            left join loose_membership on linkage_node.node = loose_membership.node
            inner join linkage_node as strict_head
                on coalesce(strict_membership.component, linkage_node.node) = strict_head.node
            inner join linkage_node as loose_head
                on coalesce(loose_membership.component, linkage_node.node) = loose_head.node
            """,
            "node_key",
        )
        engine.write(
            result / "links.parquet",
            {
                "node_key_a": "varchar", "node_key_b": "varchar", "probability": "double", "match_weight": "double",
                "tier": "varchar", "rule": "varchar", "evidence": "varchar",
            },
            """
            select
                one.node_key as node_key_a,
                other.node_key as node_key_b,
                link.probability,
                link.match_weight,
                link.tier,
                link.rule,
                link.evidence
            from link
            inner join linkage_node as one on link.node_a = one.node
            inner join linkage_node as other on link.node_b = other.node
            """,
            "node_key_a, node_key_b",
        )  # fmt: skip
    return linked
