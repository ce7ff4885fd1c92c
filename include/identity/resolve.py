"""Evidence of one business day in, customers out: who each record belongs to, and everything that was decided.

The result is a function of the evidence, the rules, and the registry that the latest identity day before left. Days
that no identity day has seen are caught up first, so that day by day and a rebuild from nothing give the same ids.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from include.identity.changes import CREATED, MERGED, SPLIT, create_changes, create_history
from include.identity.components import Effort, connect
from include.identity.engine import Engine, opened
from include.identity.evidence import read_evidence
from include.identity.guards import block_these, block_too_many_partners, create_evidence_views, separate
from include.identity.health import create_health
from include.identity.ids import (
    REGISTRY,
    assign_ids,
    create_customer_components,
    create_node_facts,
    create_tier_ids,
    find_registry,
    read_registry,
    registry_files,
)
from include.identity.limits import keep_limits
from include.identity.linkage.components import (
    block_contradicted,
    can_compare,
    link_components,
    open_person_records,
)
from include.identity.linkage.linking import create_no_links
from include.identity.replay import Given, catch_up, create_round_days, link_these
from include.identity.results import KEYS, NAMED_NODES, SCHEMAS, create_results, result
from include.identity.rules import IdentityRules, Strength, personal_numbers, strengths
from include.identity.tiers import create_exact, join_loosely
from include.lake import Lake, replacing, scratch_folder
from include.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resolved:
    """What a day's resolution came to; edges are counted by status, created, merged and split are changes, `replayed`
    are the nodes that were resolved again for days that had not been."""

    customers: int
    nodes: int
    active_edges: int
    blocked_edges: int
    removed_edges: int
    largest_customer_nodes: int
    created: int
    merged: int
    split: int
    replayed: int


def resolve(lake: Lake, day: date, rules: IdentityRules, settings: Settings) -> Resolved:
    """Decide who is who from the evidence landed up to `day` and write the day's identity tables.

    Reads `identity_evidence` (one row per node, id type and value; a row without an id type or value is a record
    with no identifier at all) and the registry of the latest identity day before `day`. Without evidence the tables
    are written typed and empty. All tables are replaced together at the end.

    Raises StepFailed when the evidence lacks a column.
    """
    types = strengths(rules)
    since = find_registry(lake, day)
    with (
        opened(
            settings.threads, settings.memory_limit, lake.scratch, settings.target, settings.spark_master
        ) as engine,
        scratch_folder(lake.scratch, "replay") as folder,
    ):
        effort = decide(engine, lake, day, rules)
        replayed = catch_up(
            engine,
            registry_files(lake, since),
            since,
            day,
            types,
            folder,
            partial(_play_round, day, rules, settings),
        )
        name_customers(engine, day, types)
        name_tiers(engine, types)
        create_health(engine, day)
        with ExitStack() as files:
            paths = {table: files.enter_context(replacing(lake.identity(day, table))) for table in SCHEMAS}
            for table, schema in SCHEMAS.items():
                engine.write(paths[table], schema, result(table), KEYS[table])
        resolved = _summarise(engine, since, replayed.nodes)
    logger.info("resolved %s: %s, %s, %s", day, resolved, effort, replayed)
    return resolved


def decide(engine: Engine, lake: Lake, day: date, rules: IdentityRules, given: Given | None = None) -> Effort:
    """Read the evidence and make the partition whose components are customers, `membership(node, component)`,
    what it came from, and `node_facts` and `customer_component` of it.

    `given` is what is not to be found out from the evidence: identifiers with too many partners, and links by likeness.
    """
    types = strengths(rules)
    read_evidence(engine, lake, day, rules, types)
    create_evidence_views(engine, types)
    if given is None and can_compare(lake, rules):
        effort = _decide_by_likeness(engine, lake, rules, types)
    else:
        if given is None:
            block_too_many_partners(engine, types)
        else:
            block_these(engine, given.blocked)
        effort = _tie(engine, types)
        if given is None:
            create_no_links(engine, "tied", ("membership", "linked_membership"))
        else:
            link_these(engine, given.linked, "tied", "membership")
    create_results(engine, types)
    personal = personal_numbers(types)
    create_node_facts(engine, personal)
    create_customer_components(engine, personal, "membership")
    return effort


def _decide_by_likeness(
    engine: Engine, lake: Lake, rules: IdentityRules, types: Sequence[Strength]
) -> Effort:
    """The partition by identifiers, of which those that two people share have no power, and by likeness."""
    with engine.beside() as beside:
        open_person_records(engine, beside, lake, rules)
        block_too_many_partners(engine, types)
        block_contradicted(engine, beside, types)
        effort = _tie(engine, types)
        link_components(engine, beside, rules, types, "tied", ("membership", "linked_membership"))
    return effort


def _tie(engine: Engine, types: Sequence[Strength]) -> Effort:
    """Make `tied(node, component)`, the partition by identifiers that have the power to merge."""
    effort = connect(engine, "mergeable", "found")
    separate(engine, types, "found", "separated")
    keep_limits(engine, types, "separated", "tied")
    return effort


def name_customers(engine: Engine, day: date, types: Sequence[Strength]) -> None:
    """Make the ids of the customers and of their nodes, what changed since the registry, and where every id leads."""
    assign_ids(engine, day, "membership")
    create_changes(engine, day, "membership", types)
    create_history(engine)


def name_tiers(engine: Engine, types: Sequence[Strength]) -> None:
    """Make the finer and the coarser partition and the ids of their parts."""
    create_exact(engine, types, "tied", "exact_membership")
    join_loosely(engine, types, "linked_membership", "loose_membership")
    create_tier_ids(engine, "exact_membership", "loose_membership")


def _play_round(
    day: date,
    rules: IdentityRules,
    settings: Settings,
    lake: Lake,
    registry: dict[str, Path],
    given: Given,
) -> dict[str, Path]:
    """Resolve the evidence of a round of a replay and write the registry after it. It is little: one thread does."""
    with opened(1, settings.memory_limit, lake.data) as engine:
        decide(engine, lake, day, rules, given)
        read_registry(engine, registry)
        create_round_days(engine, lake, "membership")
        name_customers(engine, day, strengths(rules))
        files = registry_files(lake, day)
        for table, path in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            query = result(table) if table != "node_customers" else NAMED_NODES
            engine.write(path, REGISTRY[table], query, KEYS[table])
    return files


def _summarise(engine: Engine, since: date | None, replayed: int) -> Resolved:
    counts = {
        (measure, part): value
        for measure, part, value in engine.rows("select measure, part, value from health")
    }
    new = f"as_of_date > date '{since:%Y-%m-%d}'" if since else "1 = 1"
    changes = dict(
        engine.rows(
            f"select change, count(*) from ({result('changes')}) as changes where {new} group by change"
        )
    )
    return Resolved(
        customers=counts["customers", "all"],
        nodes=counts["nodes", "all"],
        active_edges=counts.get(("edges", "active"), 0),
        blocked_edges=counts.get(("edges", "blocked"), 0),
        removed_edges=counts.get(("edges", "removed"), 0),
        largest_customer_nodes=counts["largest_customer", "all"],
        created=changes.get(CREATED, 0),
        merged=changes.get(MERGED, 0),
        split=changes.get(SPLIT, 0),
        replayed=replayed,
    )
