"""A dry run of other rules: who would merge, split and keep their id, before anything is promoted.

The evidence of the latest identity day is decided again under the given rules, on top of that day's own registry, and
compared with what that day decided. Nothing that a run reads is written.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from include.identity.changes import MERGED, SPLIT
from include.identity.engine import Engine, opened, parquet, text
from include.identity.ids import find_registry, read_registry, registry_files
from include.identity.resolve import decide, name_customers, name_tiers
from include.identity.results import result
from include.identity.rules import IdentityRules, strengths
from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.settings import PROJECT, Settings
from include.templates import fill

TEMPLATE = Path(__file__).with_name("templates") / "plan.html"
# The page looks like those of the gates.
OF_GATES = PROJECT / "include" / "quality" / "templates"
MOST_EXAMPLES = 10
MOST_CLUSTERS = 10


@dataclass(frozen=True)
class Fate:
    """How many identifiers of a type have a status for a reason, before and after."""

    id_type: str
    status: str
    reason: str
    before: int
    after: int


@dataclass(frozen=True)
class Cluster:
    """A customer by its size in nodes and person records."""

    customer_id: str
    nodes: int
    records: int


@dataclass(frozen=True)
class Example:
    """A customer that would change, and the masked identifiers that tie it, or tie it no more."""

    customer_id: str
    previous_customer_id: str
    reason: str
    nodes: int
    identifiers: tuple[str, ...]


@dataclass(frozen=True)
class TierShare:
    """How many person records are linked at a tier."""

    tier: str
    before: int
    after: int


@dataclass(frozen=True)
class Plan:
    """What other rules would change. `kept` are the customers of before whose id is still a customer's, `moved_records`
    the person records that would belong to another one."""

    as_of_date: date
    customers_before: int
    customers_after: int
    kept: int
    created: int
    merged: int
    split: int
    vanished: int
    records: int
    moved_records: int
    fates: tuple[Fate, ...]
    largest_before: tuple[Cluster, ...]
    largest_after: tuple[Cluster, ...]
    merges: tuple[Example, ...]
    splits: tuple[Example, ...]
    tiers: tuple[TierShare, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all would change."""
        return not (
            self.created
            or self.merged
            or self.split
            or self.vanished
            or self.moved_records
            or any(fate.before != fate.after for fate in self.fates)
            or any(tier.before != tier.after for tier in self.tiers)
        )

    @property
    def kept_share(self) -> float:
        """The share of the customers of before that keep their id."""
        return self.kept / self.customers_before if self.customers_before else 1.0


def plan_identity(lake: Lake, day: date, rules: IdentityRules, settings: Settings) -> Plan:
    """Compare what the rules would decide with the latest identity day up to `day`.

    Raises StepFailed when no day has been resolved yet.
    """
    before = find_registry(lake, day + timedelta(days=1)) if day < date.max else find_registry(lake, day)
    if before is None:
        raise StepFailed(f"plan: nobody has been resolved up to {day:%Y-%m-%d}; run the day first")
    types = strengths(rules)
    with opened(
        settings.threads, settings.memory_limit, lake.scratch, settings.target, settings.spark_master
    ) as engine:
        decide(engine, lake, before, rules)
        read_registry(engine, registry_files(lake, before))
        engine.create_table(
            "component_day",
            f"select component, date '{before:%Y-%m-%d}' as as_of_date from customer_component where 1 = 0",
        )
        name_customers(engine, before, types)
        name_tiers(engine, types)
        return _compare(engine, lake, before)


def write_plan(lake: Lake, plan: Plan) -> Path:
    """Write the plan as a page and as JSON below `DATA/identity_plan`. Returns the path of the page."""
    folder = lake.data / "identity_plan" / f"date={plan.as_of_date:%Y-%m-%d}"
    content = dataclasses.asdict(plan) | {"is_empty": plan.is_empty, "kept_share": round(plan.kept_share, 6)}
    with replacing(folder / "plan.json") as path:
        path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    with replacing(folder / "plan.html") as path:
        path.write_text(fill(TEMPLATE, {"plan": plan}, OF_GATES), encoding="utf-8")
    return folder / "plan.html"


def summary_of(plan: Plan) -> str:
    """The plan in a few lines for a terminal."""
    if plan.is_empty:
        return f"identity plan as of {plan.as_of_date}: nothing would change for {plan.customers_before:,} customers"
    lines = [
        f"identity plan as of {plan.as_of_date}: {plan.customers_before:,} customers would be "
        f"{plan.customers_after:,}; {plan.kept:,} keep their id ({plan.kept_share:.2%})",
        f"  merged {plan.merged:,}, split {plan.split:,}, created {plan.created:,}, vanished {plan.vanished:,}; "
        f"{plan.moved_records:,} of {plan.records:,} person records would belong to another customer",
    ]
    lines += [
        f"  {fate.id_type} {fate.status}{f' ({fate.reason})' if fate.reason else ''}: "
        f"{fate.before:,} identifiers before, {fate.after:,} after"
        for fate in plan.fates
        if fate.before != fate.after
    ]
    for clusters, when in ((plan.largest_before, "before"), (plan.largest_after, "after")):
        if clusters:
            lines.append(f"  largest {when}: " + ", ".join(f"{each.nodes:,} nodes" for each in clusters[:5]))
    lines += [
        f"  tier {tier.tier}: {tier.before:,} records before, {tier.after:,} after" for tier in plan.tiers
    ]
    for examples, what in ((plan.merges, "would merge into"), (plan.splits, "would lose records to")):
        lines += [
            f"  {each.previous_customer_id} {what} {each.customer_id}: {each.reason}"
            + (f" [{', '.join(each.identifiers)}]" if each.identifiers else "")
            for each in examples
        ]
    return "\n".join(lines)


def _compare(engine: Engine, lake: Lake, day: date) -> Plan:
    engine.create_view(
        "node_before", f"select * from {parquet(lake.identity(day, 'node_customers'))} as nodes"
    )
    engine.create_view("edge_before", f"select * from {parquet(lake.identity(day, 'edges'))} as edges")
    engine.create_table("node_after", result("node_customers"))
    changes = dict(engine.rows("select change, count(*) from change_of_customer group by change"))
    (customers_before, customers_after, kept) = engine.rows(
        """
        select
            (select count(*) from registry_id where is_held),
            (select count(*) from customer),
            (
                select count(*)
                from customer
                inner join registry_id on customer.customer_id = registry_id.customer_id
                where registry_id.is_held
            )
        """
    )[0]
    (records, moved) = engine.rows(
        """
        select
            count(*),
            sum(case when node_before.customer_id is distinct from node_after.customer_id then 1 else 0 end)
        from node_before
        inner join node_after on node_before.node_key = node_after.node_key
        where node_before.kind = 'customers'
        """
    )[0]
    return Plan(
        as_of_date=day,
        customers_before=customers_before,
        customers_after=customers_after,
        kept=kept,
        **{change: changes.get(change, 0) for change in ("created", "merged", "split", "vanished")},
        records=records,
        moved_records=moved or 0,
        fates=_fates(engine),
        largest_before=_largest(engine, "node_before"),
        largest_after=_largest(engine, "node_after"),
        merges=_examples(engine, MERGED),
        splits=_examples(engine, SPLIT),
        tiers=_tiers(engine),
    )


def _fates(engine: Engine) -> tuple[Fate, ...]:
    rows = engine.rows(
        """
        select
            id_type,
            status,
            reason,
            sum(before) as before,
            sum(after) as after
        from (
            select id_type, status, coalesce(reason, '') as reason, 1 as before, 0 as after
            from edge_before
            union all
            select id_type, status, coalesce(reason, '') as reason, 0 as before, 1 as after
            from staged_edge
        ) as edges
        group by id_type, status, reason
        order by id_type, status, reason
        """
    )
    return tuple(
        Fate(id_type, status, reason, int(before), int(after))
        for id_type, status, reason, before, after in rows
    )


def _largest(engine: Engine, nodes: str) -> tuple[Cluster, ...]:
    rows = engine.rows(
        f"""
        select
            customer_id,
            count(*) as nodes,
            sum(case when kind = 'customers' then 1 else 0 end) as records
        from {nodes}
        where customer_id is not null
        group by customer_id
        order by nodes desc, customer_id
        limit {MOST_CLUSTERS}
        """
    )
    return tuple(Cluster(customer, nodes, int(records)) for customer, nodes, records in rows)


def _examples(engine: Engine, change: str) -> tuple[Example, ...]:
    """The largest changes of a sort, with the identifiers that both sides carry: what ties them, or tied them."""
    rows = engine.rows(
        f"""
        with chosen as (
            select
                change_of_customer.customer_id,
                change_of_customer.previous_customer_id,
                change_of_customer.reason,
                count(*) as nodes
            from change_of_customer
            inner join node_customer on change_of_customer.customer_id = node_customer.customer_id
            where change_of_customer.change = {text(change)}
            group by
                change_of_customer.customer_id,
                change_of_customer.previous_customer_id,
                change_of_customer.reason
            order by nodes desc, change_of_customer.customer_id, change_of_customer.previous_customer_id
            limit {MOST_EXAMPLES}
        ),

        carried as (
            select
                chosen.customer_id,
                chosen.previous_customer_id,
                staged_edge.id_type,
                staged_edge.id_value,
                case
                    when {text(change)} = {text(MERGED)} then registry_node.customer_id = chosen.previous_customer_id
                    else node_customer.customer_id = chosen.customer_id
                end as is_inside
            from chosen
            inner join registry_node on registry_node.customer_id in (chosen.customer_id, chosen.previous_customer_id)
            inner join node_customer on registry_node.node = node_customer.node
            inner join staged_edge on registry_node.node = staged_edge.node
        ),

        shared as (
            select
                customer_id,
                previous_customer_id,
                id_type,
                id_value
            from carried
            group by customer_id, previous_customer_id, id_type, id_value
            having count(distinct is_inside) > 1
        )

        select
            chosen.customer_id,
            chosen.previous_customer_id,
            chosen.reason,
            chosen.nodes,
            shared.id_type,
            shared.id_value
        from chosen
        left join shared
            on
                chosen.customer_id = shared.customer_id
                and chosen.previous_customer_id = shared.previous_customer_id
        order by
            chosen.nodes desc,
            chosen.customer_id,
            chosen.previous_customer_id,
            shared.id_type,
            shared.id_value
        """
    )
    examples: dict[tuple, list[str]] = {}
    for customer, previous, reason, nodes, id_type, id_value in rows:
        shared = examples.setdefault((customer, previous, reason, nodes), [])
        if id_type is not None and len(shared) < 3:
            shared.append(f"{id_type} {masked(id_value)}")
    return tuple(Example(*key, tuple(shared)) for key, shared in examples.items())


def masked(value: str) -> str:
    """An identifier that can be told from others by who knows it, and not be read by who does not."""
    name, at, domain = value.partition("@")
    return (
        f"{name[:1]}***{at}{domain[:1]}***" if at else f"{value[:1]}***{value[-1:] if len(value) > 4 else ''}"
    )


def _tiers(engine: Engine) -> tuple[TierShare, ...]:
    rows = engine.rows(
        """
        select
            tier,
            sum(before),
            sum(after)
        from (
            select tier, 1 as before, 0 as after from node_before where kind = 'customers'
            union all
            select tier, 0 as before, 1 as after from node_after where kind = 'customers'
        ) as records
        group by tier
        order by tier
        """
    )
    return tuple(TierShare(tier, int(before), int(after)) for tier, before, after in rows)
