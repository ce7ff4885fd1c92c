"""Guards that keep two people apart, and say why, instead of capping what grew too large.

Relations they share (nodes and values are 128-bit keys, types are numbers of their strength):
- `evidence(node, value, type, is_record, first_seen_at)`: every edge whose value is not rubbish and may make a customer
- `powerless(value, reason)`: values that are blocked: they merge nobody any more
- `cut(node, value, reason)`: single edges that are removed
- `mergeable(…)`: what is left of the evidence, always up to date
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from include.identity.components import connect
from include.identity.engine import Engine, hashed, parquet, text
from include.identity.rules import LOOSE, MANUAL, Strength, without_manual

SHARED, TOO_MANY_PARTNERS, CONFLICT = "shared", "too_many_partners", "conflict"
TWO_PEOPLE = "shared_by_two_people"  # records that share the value say that they are not one person
# Reasons that depend on all that is known of everybody, and not on a component alone.
FOUND_IN_ALL = (TOO_MANY_PARTNERS, TWO_PEOPLE)

# A person has up to `limit` values of a type, so an honest value meets about that many of them; twice is generous.
PERSONAL_LIMITS = 2
# Cookies are cleared and forms are sent again: an honest device or e-mail meets many more of those.
ANONYMOUS_LIMITS = 10
# How far above the usual (median + this many median deviations) a value still counts as honest.
DEVIATIONS = 10
RECORDS = 0  # the "type" of a partner that is a record of kind customers


def create_evidence_views(engine: Engine, types: Sequence[Strength]) -> None:
    """Make the empty lists of what lost its power and the views `evidence` and `mergeable` over `observation`."""
    loose = ", ".join(str(each.number) for each in types if each.tier == LOOSE) or "-2"
    engine.create_table("powerless", "select value, rubbish as reason from observation where 1 = 0")
    engine.create_table(
        "cut", f"select node, value, cast({text(MANUAL)} as varchar) as reason from manual_cut"
    )
    engine.create_view(
        "evidence",
        f"""
        select
            node,
            value,
            type,
            is_record,
            landed_on,
            first_seen_at
        from observation
        where
            rubbish is null
            and value is not null
            and type not in ({loose})
        """,
    )
    engine.create_view(
        "mergeable",
        f"select evidence.* from evidence {still_tied('evidence')}",
    )


def still_tied(edges: str) -> str:
    """Joins that leave those edges `(node, value)` which nothing has cut or taken the power from."""
    # Of `not exists` DuckDB groups all edges by their value before it looks whether there is one.
    return (
        f"anti join powerless on {edges}.value = powerless.value "
        f"anti join cut on {edges}.node = cut.node and {edges}.value = cut.value"
    )


def block_too_many_partners(engine: Engine, types: Sequence[Strength]) -> None:
    """Take the power from values that meet far more partners than is usual for their type: a switchboard's phone,
    a clerk's placeholder, a kiosk.

    Partners are the distinct values of another type on the same nodes, and the records of kind customers. What
    counts as too many, for each pair of types, is the larger of a multiple of the partner type's `limit` and
    median + 10 median absolute deviations (at least 10). Only values on many nodes are looked at in full.
    """
    types = without_manual(types)
    ceilings = [
        (id_type.number, partner.number, _multiple(partner) * partner.limit)
        for id_type in types
        for partner in types
        # How many cookies a person has says nothing about an e-mail; it does about a device.
        if partner is not id_type and (id_type.is_anonymous or not partner.is_anonymous)
    ] + [(id_type.number, RECORDS, ANONYMOUS_LIMITS * id_type.limit) for id_type in types]
    if not ceilings:
        return
    lowest = max(DEVIATIONS, min(ceiling for _, _, ceiling in ceilings))
    engine.create_table(
        "ceiling",
        "\nunion all\n".join(
            f"select cast({number} as smallint) as type, cast({partner} as smallint) as partner_type, {most} as most"
            for number, partner, most in ceilings
        ),
    )
    engine.create_table(
        "busy", f"select value, type from evidence group by value, type having count(*) > {lowest}"
    )
    _count_partners(engine, "busy", "busy_partners")
    engine.create_table(
        "suspicious",
        f"""
        select
            busy_partners.value,
            busy_partners.type,
            busy_partners.partner_type,
            busy_partners.partners
        from busy_partners
        inner join ceiling
            on busy_partners.type = ceiling.type and busy_partners.partner_type = ceiling.partner_type
        where busy_partners.partners > ceiling.most and busy_partners.partners > {DEVIATIONS}
        """,
    )
    if engine.scalar("select count(*) from suspicious") > 0:
        _block_what_is_unusual(engine)
    engine.drop("ceiling", "busy", "busy_partners", "suspicious")


def block_these(engine: Engine, path: Path) -> None:
    """Take the power from the identifiers in a file, which were found to meet too many partners."""
    engine.insert(
        "powerless",
        f"""
        select
            {hashed("id_type || ':' || id_value")} as value,
            {text(TOO_MANY_PARTNERS)} as reason
        from {parquet(path)} as found
        """,
    )


def _multiple(partner: Strength) -> int:
    return ANONYMOUS_LIMITS if partner.is_anonymous else PERSONAL_LIMITS


def _count_partners(engine: Engine, values: str, result: str) -> None:
    engine.create_table(
        result,
        f"""
        select
            chosen.value,
            chosen.type,
            partners.type as partner_type,
            count(distinct partners.value) as partners
        from {values} as chosen
        inner join evidence on chosen.value = evidence.value
        inner join evidence as partners on evidence.node = partners.node and evidence.type <> partners.type
        group by chosen.value, chosen.type, partners.type
        union all
        select
            chosen.value,
            chosen.type,
            cast({RECORDS} as smallint) as partner_type,
            count(*) as partners
        from {values} as chosen
        inner join evidence on chosen.value = evidence.value
        where evidence.is_record
        group by chosen.value, chosen.type
        """,
    )


def _block_what_is_unusual(engine: Engine) -> None:
    """Compare the suspicious values with all values of their type."""
    engine.create_table(
        "comparable",
        """
        select distinct
            value,
            type
        from evidence
        where type in (select type from suspicious)
        """,
    )
    _count_partners(engine, "comparable", "usual_partners")
    engine.insert(
        "powerless",
        f"""
        with medians as (
            select
                type,
                partner_type,
                median(partners) as middle
            from usual_partners
            group by type, partner_type
        ),

        spreads as (
            select
                usual_partners.type,
                usual_partners.partner_type,
                medians.middle,
                median(abs(usual_partners.partners - medians.middle)) as deviation
            from usual_partners
            inner join medians
                on usual_partners.type = medians.type and usual_partners.partner_type = medians.partner_type
            group by usual_partners.type, usual_partners.partner_type, medians.middle
        )

        select distinct
            suspicious.value,
            {text(TOO_MANY_PARTNERS)} as reason
        from suspicious
        inner join spreads
            on suspicious.type = spreads.type and suspicious.partner_type = spreads.partner_type
        where suspicious.partners > spreads.middle + {DEVIATIONS} * greatest(spreads.deviation, 1)
        """,
    )
    engine.drop("comparable", "usual_partners")


def separate(engine: Engine, types: Sequence[Strength], found: str, result: str) -> None:
    """Make `result(node, component)` from the components `found`, with those that break a unique type repaired.

    A component that holds two values of a unique type is built again from its strongest evidence to its weakest:
    unique types first, then the others by priority. A value that would join two customers directly is blocked as
    shared. Where customers would be joined through others that belong to nobody, the edges are removed at which
    the claims of the customers meet. So only evidence weaker than what keeps the customers apart is lost, and only
    where it does harm; two values of a unique type that stronger unique evidence ties together stay together.
    """
    _find_crowded(engine, types, found)
    if engine.scalar("select count(*) from crowded") == 0:
        engine.create_table(result, f"select node, component from {found}")
        engine.drop("crowded")
        return

    # Both the nodes that hooked and the roots, which `found` does not list.
    engine.create_table(
        "place_0",
        f"""
        select
            node,
            node as component
        from {found}
        where component in (select component from crowded)
        union all
        select
            component as node,
            component
        from crowded
        """,
    )
    engine.create_table(
        "disputed",
        """
        select
            mergeable.node,
            mergeable.value,
            mergeable.type
        from mergeable
        inner join place_0 as places on mergeable.node = places.node
        """,
    )
    place, unique = "place_0", []
    unique.extend(id_type for id_type in types if id_type.is_barrier)
    evidence = sorted((id_type for id_type in types if not id_type.is_barrier), key=lambda each: each.order)
    for step, id_type in enumerate(evidence, 1):
        place = _join_by(engine, id_type, unique, place, f"place_{step}")
        if id_type.is_unique:
            unique.append(id_type)
    engine.create_table(
        result,
        f"""
        select
            node,
            component
        from {found}
        where component not in (select component from crowded)
        union all
        select
            node,
            component
        from {place}
        where node <> component
        """,
    )
    engine.drop("crowded", "disputed", place)


def _find_crowded(engine: Engine, types: Sequence[Strength], found: str) -> None:
    """Components that hold two values of a unique type."""
    unique = ", ".join(str(id_type.number) for id_type in types if id_type.is_unique) or "-1"
    engine.create_table(
        "crowded",
        f"""
        with held as (
            select distinct
                coalesce(found.component, mergeable.node) as component,
                mergeable.type,
                mergeable.value
            from mergeable
            left join {found} as found on mergeable.node = found.node
            where mergeable.type in ({unique})
        )
        select distinct component
        from (
            select
                component
            from held
            group by component, type
            having count(*) > 1
        ) as repeated
        """,
    )


def _join_by(engine: Engine, id_type: Strength, unique: Sequence[Strength], place: str, result: str) -> str:
    """Join components by the values of one type as far as the unique types allow; name the table of places."""
    engine.create_table(
        "touch_all",
        f"""
        select distinct
            places.component as node,
            disputed.value
        from disputed
        inner join {place} as places on disputed.node = places.node
        where disputed.type = {id_type.number}
        """,
    )
    if engine.scalar("select count(*) - count(distinct value) from touch_all") == 0:
        engine.drop("touch_all")
        return place

    _find_owners(engine, unique, place)
    engine.create_table(
        "shared",
        """
        select distinct value
        from (
            select
                touch_all.value
            from touch_all
            inner join owner on touch_all.node = owner.component
            group by touch_all.value, owner.type
            having count(*) > 1
        ) as repeated
        """,
    )
    engine.insert("powerless", f"select value, {text(SHARED)} as reason from shared")
    engine.create_table(
        "touch_0",
        """
        select
            touch_all.node,
            touch_all.value
        from touch_all
        anti join shared on touch_all.value = shared.value
        """,
    )
    engine.drop("touch_all", "shared")
    _join_without_conflict(engine, id_type, unique, place, result)
    engine.drop("owner", place)
    return result


def _find_owners(engine: Engine, unique: Sequence[Strength], place: str) -> None:
    """Make `owner(component, type)`: which components hold a value of which unique type that still counts."""
    numbers = ", ".join(str(each.number) for each in unique) or "-1"
    engine.create_table(
        "owner",
        f"""
        select distinct
            places.component,
            disputed.type
        from disputed
        inner join {place} as places on disputed.node = places.node
        {still_tied("disputed")}
        where disputed.type in ({numbers})
        """,
    )


def _join_without_conflict(
    engine: Engine, id_type: Strength, unique: Sequence[Strength], place: str, result: str
) -> None:
    """Join what `touch_0` connects; while that joins two owners of a unique type, cut between their claims.

    A cut for one unique type leaves no conflict of that type, and no later cut makes one: the loop ends.
    """
    for attempt in range(len(unique) + 1):
        connect(engine, f"touch_{attempt}", "joined")
        violated = _find_conflict(engine)
        if violated is None:
            break
        name = next(each.name for each in unique if each.number == violated)
        _find_claims(engine, f"touch_{attempt}", violated)
        engine.insert(
            "cut",
            f"""
            select
                disputed.node,
                disputed.value,
                {text(f"{CONFLICT}:{name}")} as reason
            from disputed
            inner join {place} as places on disputed.node = places.node
            inner join lost on places.component = lost.node and disputed.value = lost.value
            where disputed.type = {id_type.number}
            """,
        )
        engine.create_table(
            f"touch_{attempt + 1}",
            f"""
            select
                touches.node,
                touches.value
            from touch_{attempt} as touches
            anti join lost on touches.node = lost.node and touches.value = lost.value
            """,
        )
        engine.drop("lost", "joined", f"touch_{attempt}")
    else:
        raise RuntimeError(f"{id_type.name} still joins customers after a cut for every unique type")
    engine.create_table(
        result,
        f"""
        select
            places.node,
            coalesce(joined.component, places.component) as component
        from {place} as places
        left join joined on places.component = joined.node
        """,
    )
    engine.drop("joined", f"touch_{attempt}")


def _find_conflict(engine: Engine) -> int | None:
    """The strongest unique type of which `joined` brings two owners together, None when there is none."""
    return engine.scalar(
        """
        select min(type)
        from (
            select
                owner.type
            from owner
            left join joined on owner.component = joined.node
            group by owner.type, coalesce(joined.component, owner.component)
            having count(*) > 1
        ) as repeated
        """
    )


def _find_claims(engine: Engine, touches: str, unique_type: int) -> None:
    """Make `lost(node, value)`: the touches to cut in the components of `joined` with two owners of a unique type.

    An owner claims the values it touches, and an owner's values claim the ownerless components they touch. A
    component with claims of two owners is nobody's; a value that no owner touches takes the claim of its
    components, and is cut from all when they claim for two. A touch is kept when both its ends have the same claim
    (or both none), so that what is left around each owner reaches no other owner.
    """
    engine.create_table(
        "contested",
        f"""
        with owners as (
            select
                owner.component,
                coalesce(joined.component, owner.component) as joined_component
            from owner
            left join joined on owner.component = joined.node
            where owner.type = {unique_type}
        ),

        crowds as (
            select joined_component
            from owners
            group by joined_component
            having count(*) > 1
        )

        select
            touches.node,
            touches.value,
            owners.component as owner
        from {touches} as touches
        left join joined on touches.node = joined.node
        inner join crowds on coalesce(joined.component, touches.node) = crowds.joined_component
        left join owners on touches.node = owners.component
        """,
    )
    engine.create_table(
        "node_claim",
        """
        with value_owner as (
            select
                value,
                min(owner) as owner
            from contested
            group by value
        )
        select
            contested.node,
            case
                when min(contested.owner) is not null then min(contested.owner)
                when min(value_owner.owner) = max(value_owner.owner) then min(value_owner.owner)
            end as claim
        from contested
        inner join value_owner on contested.value = value_owner.value
        group by contested.node
        """,
    )
    engine.create_table(
        "lost",
        """
        with value_claim as (
            select
                contested.value,
                coalesce(min(contested.owner), min(node_claim.claim)) as claim,
                case
                    when min(contested.owner) is null and min(node_claim.claim) < max(node_claim.claim) then 1
                    else 0
                end as is_ambiguous
            from contested
            inner join node_claim on contested.node = node_claim.node
            group by contested.value
        )

        select
            contested.node,
            contested.value
        from contested
        inner join node_claim on contested.node = node_claim.node
        inner join value_claim on contested.value = value_claim.value
        where
            value_claim.is_ambiguous = 1
            or value_claim.claim is distinct from node_claim.claim
        """,
    )
    engine.drop("contested", "node_claim")
