"""Days that no identity day has seen, caught up so that ids come out as if each had been resolved in turn.

When two customers merge, the id that most nodes had at that moment wins, so what ids come out depends on the days
between. But of most customers it does not: whose nodes all landed on one day, or whose nodes that know a person were
one component from the first day on, had one id all the time. Only the others are resolved again, a landing day of
theirs at a time, in an engine of its own: few, and with the same code as a day.

A *group* is a component before any guard has cut it, joined with those that are linked to it by likeness or shared an
id before: what happens in one group touches no other. Each round of a replay takes every group to its next landing day.

What cannot be known any more is taken as it is now: values with too many partners, links by likeness, records that
were deleted, files that came after the day that they are dated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from include.identity.components import connect, follow
from include.identity.engine import Engine, hashed, parquet, text
from include.identity.evidence import EVIDENCE
from include.identity.guards import FOUND_IN_ALL
from include.identity.ids import REGISTRY, RELATIONS, read_registry, rows_of
from include.identity.linkage.linking import create_no_links
from include.identity.rules import LINK_NUMBER, STRICT, Strength, personal_numbers
from include.lake import Lake

logger = logging.getLogger(__name__)

Files = dict[str, Path]
LIKENESS = -3  # the "type" of what ties linked records
# A round's evidence says on which day of its group's the round is.
ROUND = EVIDENCE | {"as_of_date": "date"}
# Resolves the evidence in a lake on top of the registry in the files, and writes the registry after it there.
PlayRound = Callable[[Lake, Files, "Given"], Files]


@dataclass(frozen=True)
class Given:
    """Files of what a round takes as it is now: `blocked`, the identifiers with too many partners (id_type, id_value),
    and `linked`, the records at the ends of links by likeness (node_key, link)."""

    blocked: Path
    linked: Path


@dataclass(frozen=True)
class Replayed:
    """What catching up took: the days that were unseen, nodes that were resolved again, and rounds of doing so."""

    days: int
    nodes: int = 0
    rounds: int = 0


def catch_up(
    engine: Engine,
    registry: Files,
    since: date | None,
    day: date,
    types: Sequence[Strength],
    scratch: Path,
    play_round: PlayRound,
) -> Replayed:
    """Make the registry as it was before the last landing day of each group, and `component_day`: the days, other
    than `day`, on which components became what they are.

    `since` is the day of the registry, None when there is none.
    """
    after = f"landed_on > date '{since:%Y-%m-%d}'" if since else "1 = 1"
    unseen = [
        found
        for (found,) in engine.rows(
            f"select distinct landed_on from observation where {after} order by landed_on"
        )
    ]
    if len(unseen) < 2:
        read_registry(engine, registry)
        when = f"date '{unseen[0]:%Y-%m-%d}'" if unseen and unseen[0] != day else "cast(null as date)"
        engine.create_table(
            "component_day",
            f"select component, {when} as as_of_date from customer_component where {when} is not null",
        )
        return Replayed(len(unseen))

    for table, relation in RELATIONS.items():
        engine.create_table(f"base_{relation}", rows_of(table, registry.get(table)))
    _group(engine)
    _find_calendar(engine, after)
    _find_unsteady(engine, types)
    replayed, files = _play(engine, bool(registry), day, scratch, play_round)
    _join_registries(engine, files)
    _date_components(engine, day, after)
    for relation in RELATIONS.values():
        engine.drop(f"base_{relation}")
    engine.drop(
        "node_group", "calendar", "unsteady", "replayed_node", "replayed_evidence", "linked_node", "likeness"
    )
    engine.drop("replayed_id", "reserved_id")
    return Replayed(len(unseen), *replayed)


def _group(engine: Engine) -> None:
    """Make `node_group(node, replay_group)` of all nodes, `linked_node(node, component)`: the records of the
    components that likeness joined, and `likeness(node, link)`: the ends of the links within them."""
    engine.create_table(
        "linked_node",
        """
        with records as (
            select
                node_facts.node,
                coalesce(membership.component, node_facts.node) as component,
                coalesce(tied.component, node_facts.node) as part
            from node_facts
            left join membership on node_facts.node = membership.node
            left join tied on node_facts.node = tied.node
            where node_facts.is_record = 1
        )

        select
            node,
            component
        from records
        where component in (select component from records group by component having min(part) <> max(part))
        """,
    )
    ends = "cast(link.node_a as varchar) || ' ' || cast(link.node_b as varchar) as link"
    engine.create_table(
        "likeness",
        f"""
        with links as (
            select
                link.node_a,
                link.node_b,
                {ends}
            from link
            inner join linked_node as one_end on link.node_a = one_end.node
            inner join linked_node as other_end on link.node_b = other_end.node
            where link.tier = {text(STRICT)} and one_end.component = other_end.component
        )

        select node_a as node, link from links
        union all
        select node_b as node, link from links
        """,
    )
    engine.create_table(
        "shared_id",
        f"""
        select distinct
            coalesce(found.component, base_registry_node.node) as node,
            {hashed("base_registry_node.customer_id")} as value
        from base_registry_node
        left join found on base_registry_node.node = found.node
        union all
        select distinct
            coalesce(found.component, linked_node.node) as node,
            linked_node.component as value
        from linked_node
        left join found on linked_node.node = found.node
        """,
    )
    connect(engine, "shared_id", "joined_group")
    engine.create_table(
        "node_group",
        """
        select
            node_facts.node,
            coalesce(
                joined_group.component, found.component, node_facts.node
            ) as replay_group
        from node_facts
        left join found on node_facts.node = found.node
        left join joined_group on coalesce(found.component, node_facts.node) = joined_group.node
        """,
    )
    engine.drop("shared_id", "joined_group")


def _find_calendar(engine: Engine, after: str) -> None:
    """Make `calendar(replay_group, landed_on, number, days)`: the unseen landing days of the groups with several."""
    engine.create_table(
        "calendar",
        f"""
        with days as (
            select distinct
                node_group.replay_group,
                observation.landed_on
            from observation
            inner join node_group on observation.node = node_group.node
            where {after}
        ),

        several as (
            select
                replay_group,
                count(*) as days
            from days
            group by replay_group
            having count(*) > 1
        )

        select
            days.replay_group,
            days.landed_on,
            row_number() over (partition by days.replay_group order by days.landed_on) as number,
            several.days
        from days
        inner join several on days.replay_group = several.replay_group
        """,
    )


def _find_unsteady(engine: Engine, types: Sequence[Strength]) -> None:
    """Make `unsteady(replay_group)`: of the groups with several days, those that may not have had one id throughout."""
    engine.create_table(
        "member",
        """
        select
            node_facts.node,
            node_group.replay_group,
            node_facts.landed_on,
            node_facts.is_record,
            node_facts.is_known
        from node_facts
        inner join node_group on node_facts.node = node_group.node
        where node_group.replay_group in (select replay_group from calendar)
        """,
    )
    engine.create_table(
        "member_edge",
        f"""
        select
            member.replay_group,
            member.node,
            member.landed_on as node_landed_on,
            member.is_known,
            mergeable.value,
            mergeable.type,
            mergeable.landed_on
        from mergeable
        inner join member on mergeable.node = member.node
        union all
        select
            member.replay_group,
            member.node,
            member.landed_on as node_landed_on,
            member.is_known,
            {hashed("likeness.link")} as value,
            cast({LIKENESS} as smallint) as type,
            member.landed_on
        from likeness
        inner join member on likeness.node = member.node
        """,
    )
    _find_first_days(engine)
    unique = ", ".join(str(each.number) for each in types if each.is_unique) or "-2"
    engine.create_table(
        "unsteady",
        f"""
        select member.replay_group
        from base_registry_node
        inner join member on base_registry_node.node = member.node
        group by member.replay_group
        having min(base_registry_node.customer_id) <> max(base_registry_node.customer_id)
        union
        select replay_group
        from member_edge
        where type in ({unique})
        group by replay_group, type
        having min(value) <> max(value)
        union
        select member.replay_group
        from observed_edge
        inner join member on observed_edge.node = member.node
        where
            observed_edge.status = 'removed'
            or (
                observed_edge.status = 'blocked'
                and observed_edge.rubbish is null
                and observed_edge.reason not in {FOUND_IN_ALL}
            )
        union
        -- What names a person may have lost its power: whether that is a customer depends on the others.
        select replay_group
        from member
        where
            is_known = 1
            and is_record = 0
            and node not in (select node from member_edge where type in ({personal_numbers(types)}))
        union
        select replay_group
        from scattered
        union
        select member.replay_group
        from member
        inner join first_known on member.replay_group = first_known.replay_group
        where
            member.is_known = 1
            and member.landed_on > first_known.landed_on
            and member.node not in (select node from greeted)
        """,
    )
    engine.drop("member", "member_edge", "first_known", "scattered", "greeted")


def _find_first_days(engine: Engine) -> None:
    """Make, of the groups with several days: `first_known(replay_group, landed_on, nodes)`, when the first nodes came
    that know a person; `scattered(replay_group)`, where these were not one component on that day; `greeted(node)`, the
    later ones that met one who was there before on the day they came."""
    engine.create_table(
        "first_known",
        """
        select
            member.replay_group,
            member.landed_on,
            count(*) as nodes
        from member
        inner join (
            select
                replay_group,
                min(landed_on) as landed_on
            from member
            where is_known = 1
            group by replay_group
        ) as first_days
            on member.replay_group = first_days.replay_group and member.landed_on = first_days.landed_on
        where member.is_known = 1
        group by member.replay_group, member.landed_on
        """,
    )
    engine.create_table(
        "first_edge",
        """
        select
            member_edge.node,
            member_edge.value
        from member_edge
        inner join first_known on member_edge.replay_group = first_known.replay_group
        where member_edge.landed_on <= first_known.landed_on and first_known.nodes > 1
        """,
    )
    connect(engine, "first_edge", "first_found")
    engine.create_table(
        "scattered",
        """
        select member.replay_group
        from member
        inner join first_known
            on member.replay_group = first_known.replay_group and member.landed_on = first_known.landed_on
        left join first_found on member.node = first_found.node
        where member.is_known = 1 and first_known.nodes > 1
        group by member.replay_group
        having
            min(coalesce(first_found.component, member.node)) <> max(coalesce(first_found.component, member.node))
        """,
    )
    engine.create_table(
        "greeted",
        """
        with hosts as (
            select
                value,
                min(landed_on) as landed_on
            from member_edge
            where is_known = 1
            group by value
        )

        select distinct member_edge.node
        from member_edge
        inner join hosts on member_edge.value = hosts.value
        where
            member_edge.is_known = 1
            and member_edge.landed_on = member_edge.node_landed_on
            and hosts.landed_on < member_edge.node_landed_on
        """,
    )
    engine.drop("first_edge", "first_found")


def _play(
    engine: Engine, has_registry: bool, day: date, scratch: Path, play_round: PlayRound
) -> tuple[tuple[int, int], list[Files]]:
    """Take the unsteady groups from day to day, all but their last. Returns nodes and rounds, and what came out."""
    engine.create_table(
        "replayed_node",
        """
        select
            node,
            replay_group
        from node_group
        where replay_group in (select replay_group from unsteady)
        """,
    )
    # People's decisions are taken from the rules again. The strings are read once, not once a round.
    engine.create_table(
        "replayed_evidence",
        f"""
        select
            {", ".join(f"staged.{column}" for column in EVIDENCE)},
            replayed_node.replay_group
        from staged
        inner join replayed_node on staged.node = replayed_node.node
        where staged.type < {LINK_NUMBER}
        """,
    )
    _find_replayed_ids(engine)
    nodes = engine.scalar("select count(*) from replayed_node")
    if not nodes:
        return (0, 0), []
    most = engine.scalar(
        "select max(days) from calendar where replay_group in (select replay_group from unsteady)"
    )
    given = _write_given(engine, scratch)
    start = _write_start(engine, Lake(scratch / "start"), day) if has_registry else {}
    rounds, results = 0, []
    # Groups with few days do not wait for those with many; an id of before may concern several groups.
    bounds = [(1, most)] if has_registry else _doubling(most)
    for low, high in bounds:
        lake, files = Lake(scratch / f"to-{high}"), start
        for number in range(1, high):
            if not _write_evidence(engine, lake, number, low, high):
                break  # no group has that many days
            files = play_round(lake, files, given)
            rounds += 1
        results.append(files)
    logger.info("replayed %s nodes in %s rounds", nodes, rounds)
    return (nodes, rounds), results


def _find_replayed_ids(engine: Engine) -> None:
    """Make `replayed_id(customer_id)`, the ids that are replayed: those that are held, and what leads to them; and
    `reserved_id`: ids that others hold, made from records that are replayed and so might take them."""
    engine.create_table(
        "replayed_id",
        """
        with holders as (
            select distinct base_registry_node.customer_id
            from base_registry_node
            inner join replayed_node on base_registry_node.node = replayed_node.node
        )

        select customer_id
        from holders
        union
        select base_registry_id.customer_id
        from base_registry_history
        inner join holders on base_registry_history.customer_id = holders.customer_id
        inner join base_registry_id on base_registry_history.issued_customer_id = base_registry_id.customer_id
        where not base_registry_id.is_held
        """,
    )
    engine.create_table(
        "reserved_id",
        """
        select distinct base_registry_id.*
        from replayed_evidence
        inner join base_registry_id
            on 'c' || substring(md5(replayed_evidence.node_key), 1, 24) = base_registry_id.base_id
        where base_registry_id.customer_id not in (select customer_id from replayed_id)
        """,
    )


def _write_given(engine: Engine, scratch: Path) -> Given:
    given = Given(scratch / "blocked.parquet", scratch / "linked.parquet")
    scratch.mkdir(parents=True, exist_ok=True)
    engine.write(
        given.blocked,
        {"id_type": "varchar", "id_value": "varchar"},
        f"""
        select distinct
            staged.id_type,
            staged.id_value
        from staged
        inner join powerless on staged.value = powerless.value
        where powerless.reason in {FOUND_IN_ALL}
        """,
        "id_type, id_value",
    )
    engine.write(
        given.linked,
        {"node_key": "varchar", "link": "varchar"},
        f"""
        select distinct
            replayed_evidence.node_key,
            likeness.link
        from replayed_evidence
        inner join likeness on {hashed("replayed_evidence.node_key")} = likeness.node
        """,
        "node_key, link",
    )
    return given


def link_these(engine: Engine, path: Path, tied: str, result: str) -> None:
    """Make `result(node, component)`: the components `tied`, joined by the links in a file of which both ends are
    there; and an empty `link`."""
    create_no_links(engine, tied, ())
    engine.create_table(
        "linked_edge",
        f"""
        select distinct
            coalesce(tied.component, node_facts.node) as node,
            {hashed("linked.link")} as value
        from {parquet(path)} as linked
        inner join (select distinct node from observation) as node_facts
            on {hashed("linked.node_key")} = node_facts.node
        left join {tied} as tied on node_facts.node = tied.node
        """,
    )
    connect(engine, "linked_edge", "linked_part")
    follow(engine, tied, "linked_part", result)
    engine.drop("linked_edge", "linked_part")


def _doubling(most: int) -> list[tuple[int, int]]:
    """1 to 2, 2 to 4, 4 to 8 … days, the first not among them."""
    bounds = [(1, 2)]
    while bounds[-1][1] < most:
        bounds.append((bounds[-1][1], 2 * bounds[-1][1]))
    return [(low, min(high, most)) for low, high in bounds]


def _write_start(engine: Engine, lake: Lake, day: date) -> Files:
    """The registry of what is replayed, as it was found."""
    queries = {
        "node_customers": """
            select distinct
                staged.node_key,
                base_registry_node.customer_id
            from staged
            inner join base_registry_node on staged.node = base_registry_node.node
            where staged.node in (select node from replayed_node)
            """,
        "ids": """
            select * from base_registry_id where customer_id in (select customer_id from replayed_id)
            union all
            select
                customer_id,
                base_id,
                variant,
                cast(null as varchar) as anchor_key,
                issued_on,
                false as is_held,
                false as is_anchored
            from reserved_id
            """,
        "history": """
            select * from base_registry_history
            where issued_customer_id in (select customer_id from replayed_id)
            """,
        "changes": "select * from base_registry_change where 1 = 0",
    }
    files = {}
    for table, query in queries.items():
        files[table] = lake.identity(day, table)
        files[table].parent.mkdir(parents=True, exist_ok=True)
        engine.write(files[table], REGISTRY[table], query, next(iter(REGISTRY[table])))
    return files


def _write_evidence(engine: Engine, lake: Lake, number: int, low: int, high: int) -> bool:
    """Write the evidence of a round where a day's would be; groups that have had all but their last day stay as they
    are. Says whether there is any."""
    path = lake.staged("identity_evidence")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine.write(
        path,
        ROUND,
        f"""
        select
            replayed_evidence.*,
            today.landed_on as as_of_date
        from replayed_evidence
        inner join calendar as today on replayed_evidence.replay_group = today.replay_group
        where
            today.days > {low}
            and today.days <= {high}
            and today.number = least({number}, today.days - 1)
            and {number} <= (select max(days) - 1 from calendar where days > {low} and days <= {high})
            and replayed_evidence.landed_on <= today.landed_on
        """,
        "node_key, id_type, id_value",
    )
    return engine.scalar(f"select count(*) from {parquet(path)}") > 0


def _join_registries(engine: Engine, files: Sequence[Files]) -> None:
    """Make the registry: of what was replayed what came out, of all else what was there."""
    kept = {
        "node_customers": "node not in (select node from replayed_node)",
        "ids": "customer_id not in (select customer_id from replayed_id)",
        "history": "issued_customer_id not in (select customer_id from replayed_id)",
        "changes": "1 = 1",
    }
    foreign = dict.fromkeys(kept, "1 = 1") | {
        "ids": "customer_id not in (select customer_id from reserved_id)"
    }
    for table, relation in RELATIONS.items():
        queries = [f"select * from base_{relation} where {kept[table]}"]
        queries += [
            f"select * from ({rows_of(table, each[table])}) as replayed where {foreign[table]}"
            for each in files
            if each
        ]
        engine.create_table(relation, "\nunion all\n".join(queries))


def _date_components(engine: Engine, day: date, after: str) -> None:
    """Make `component_day`: a component became what it is on the last unseen day of its group, or, where it had one id
    throughout and had none before, when its first record landed."""
    engine.create_table(
        "component_day",
        f"""
        with last_days as (
            select
                node_group.replay_group,
                max(observation.landed_on) as landed_on
            from observation
            inner join node_group on observation.node = node_group.node
            where {after}
            group by node_group.replay_group
        ),

        first_days as (
            select
                node_group.replay_group,
                min(node_facts.landed_on) as landed_on
            from node_facts
            inner join node_group on node_facts.node = node_group.node
            where
                {after}
                and node_facts.is_known = 1
                and node_group.replay_group not in (select replay_group from unsteady)
            group by node_group.replay_group
        )

        select
            customer_component.component,
            coalesce(first_days.landed_on, last_days.landed_on) as as_of_date
        from customer_component
        inner join node_group on customer_component.component = node_group.node
        inner join last_days on node_group.replay_group = last_days.replay_group
        left join first_days on node_group.replay_group = first_days.replay_group
        where coalesce(first_days.landed_on, last_days.landed_on) <> date '{day:%Y-%m-%d}'
        """,
    )


def create_round_days(engine: Engine, lake: Lake, membership: str) -> None:
    """Make `component_day` of a round: its evidence says on which day each of its groups is."""
    engine.create_table(
        "component_day",
        f"""
        with nodes as (
            select
                {hashed("node_key")} as node,
                min(as_of_date) as as_of_date
            from {parquet(lake.staged("identity_evidence"))} as evidence
            group by {hashed("node_key")}
        )

        select
            coalesce(membership.component, nodes.node) as component,
            min(nodes.as_of_date) as as_of_date
        from nodes
        left join {membership} as membership on nodes.node = membership.node
        group by coalesce(membership.component, nodes.node)
        """,
    )
