"""Evidence of one business day in, customers out: who each record belongs to, and everything that was decided.

The result is a function of the evidence and the rules alone. A customer's id comes from the record that anchors
it, so a later day, a re-run and a rebuild from nothing all give the same id; the days before are only read to say
what changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

from include.identity.changes import CREATED, MERGED, SPLIT, create_changes, find_previous
from include.identity.components import connect
from include.identity.engine import Engine, opened
from include.identity.evidence import read_evidence
from include.identity.guards import block_too_many_partners, create_evidence_views, separate
from include.identity.health import create_health
from include.identity.limits import keep_limits
from include.identity.linkage.components import link_components
from include.identity.results import KEYS, SCHEMAS, create_results, result
from include.identity.rules import IdentityRules, Strength, strengths
from include.identity.tiers import create_exact, join_loosely
from include.lake import Lake, replacing
from include.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resolved:
    """What a day's resolution came to; edges are counted by status, created, merged and split are changes."""

    customers: int
    nodes: int
    active_edges: int
    blocked_edges: int
    removed_edges: int
    largest_customer_nodes: int
    created: int
    merged: int
    split: int


def resolve(lake: Lake, day: date, rules: IdentityRules, settings: Settings) -> Resolved:
    """Decide who is who from the evidence landed up to `day` and write the day's identity tables.

    Reads `identity_evidence` (one row per node, id type and value; a row without an id type or value is a record
    with no identifier at all) and, to tell changes, the latest identity day before `day`. Without evidence the
    tables are written typed and empty. All tables are replaced together at the end.

    Raises StepFailed when the evidence lacks a column.
    """
    types = strengths(rules)
    scratch = lake.data / "scratch"
    with opened(
        settings.threads, settings.memory_limit, scratch, settings.target, settings.spark_master
    ) as engine:
        read_evidence(engine, lake, day, rules, types)
        create_evidence_views(engine, types)
        block_too_many_partners(engine, types)
        effort = connect(engine, "mergeable", "found")
        separate(engine, types, "found", "separated")
        keep_limits(engine, types, "separated", "membership")
        create_exact(engine, types, "membership", "exact_membership")
        link_components(engine, lake, rules, types, "membership", ("strict_membership", "linked_membership"))
        join_loosely(engine, types, "linked_membership", "loose_membership")
        _name_customers(engine, types)
        create_results(engine, types)
        create_changes(engine, find_previous(lake, day), types)
        create_health(engine, day)
        with ExitStack() as files:
            paths = {table: files.enter_context(replacing(lake.identity(day, table))) for table in SCHEMAS}
            for table, schema in SCHEMAS.items():
                engine.write(paths[table], schema, result(table, day), KEYS[table])
        resolved = _summarise(engine)
    logger.info("resolved %s: %s, %s", day, resolved, effort)
    return resolved


def _name_customers(engine: Engine, types: Iterable[Strength]) -> None:
    """Make `anchor(component, node)`: the components that are customers, and the record each gets its id from.

    A customer is a component with a person's identifier or a record of kind customers; cookies and devices alone
    are nobody. Its anchor is, of the nodes that know a person, the one that landed first. When a node was seen is
    no part of that order: a late event may move it back and would change the id.
    """
    personal = ", ".join(str(each.number) for each in types if not each.is_anonymous) or "0"
    engine.create_table(
        "node_facts",
        f"""
        select
            observation.node,
            min(observation.landed_on) as landed_on,
            max(case when observation.is_record then 1 else 0 end) as is_record,
            max(
                case when observation.rubbish is null and observation.type in ({personal}) then 1 else 0 end
            ) as names_person
        from observation
        group by observation.node
        """,
    )
    engine.create_table(
        "known",
        """
        select
            node_facts.node,
            coalesce(strict_membership.component, node_facts.node) as component,
            node_facts.landed_on
        from node_facts
        left join strict_membership on node_facts.node = strict_membership.node
        where node_facts.is_record = 1 or node_facts.names_person = 1
        """,
    )
    engine.create_table(
        "anchor",
        f"""
        with customers as (
            select
                known.component
            from known
            inner join node_facts on known.node = node_facts.node
            where node_facts.is_record = 1
            union
            select
                coalesce(strict_membership.component, mergeable.node) as component
            from mergeable
            left join strict_membership on mergeable.node = strict_membership.node
            where mergeable.type in ({personal})
        ),

        first_days as (
            select
                known.component,
                min(known.landed_on) as landed_on
            from known
            inner join customers on known.component = customers.component
            group by known.component
        )

        select
            known.component,
            min(known.node) as node
        from known
        inner join first_days
            on known.component = first_days.component and known.landed_on = first_days.landed_on
        group by known.component
        """,
    )
    engine.create_table(
        "customer",
        """
        select distinct
            anchor.component,
            'c' || substring(md5(staged.node_key), 1, 24) as customer_id
        from staged
        inner join anchor on staged.node = anchor.node
        """,
    )
    engine.create_table(
        "node_customer",
        """
        select
            node_facts.node,
            customer.customer_id
        from node_facts
        left join strict_membership on node_facts.node = strict_membership.node
        left join customer on coalesce(strict_membership.component, node_facts.node) = customer.component
        """,
    )
    engine.drop("known", "anchor", "node_facts")


def _summarise(engine: Engine) -> Resolved:
    counts = {
        (measure, part): value
        for measure, part, value in engine.rows("select measure, part, value from health")
    }
    return Resolved(
        customers=counts["customers", "all"],
        nodes=counts["nodes", "all"],
        active_edges=counts.get(("edges", "active"), 0),
        blocked_edges=counts.get(("edges", "blocked"), 0),
        removed_edges=counts.get(("edges", "removed"), 0),
        largest_customer_nodes=counts["largest_customer", "all"],
        created=counts.get(("changes", CREATED), 0),
        merged=counts.get(("changes", MERGED), 0),
        split=counts.get(("changes", SPLIT), 0),
    )
