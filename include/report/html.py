"""The report of a release: one self-contained page, `report/index.html`, drawn from the release's own tables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.lake import Lake, replacing
from include.ledger import STEPS
from include.report.activation import activations, deliveries, lift
from include.report.audiences import overlaps, placements, reach
from include.report.learned import actions, product_profiles, stages, triggers
from include.report.offsite import offsite_interests, upsell_opportunities
from include.report.sections import NOT_PUBLISHED, Section, Source, bars_of

TEMPLATES = Path(__file__).with_name("templates")


def write_report(lake: Lake, release: Path, day: date) -> Path:
    """Write `report/index.html` into a release that is being sealed. Returns its path.

    Numbers come from the release's tables; what came in and what the gates found, from the lake as of the day.
    """
    path = release / "report" / "index.html"
    with duckdb.connect() as connection:
        source = Source(connection, lake, release, day)
        headline = _headline(source)
        sections = [
            each
            for each in (
                _inputs(source),
                _identity(source),
                stages(source),
                _segments(source),
                product_profiles(source),
                triggers(source),
                actions(source),
                _scores(source),
                _audiences(source),
                _lookalikes(source),
                placements(source),
                reach(source),
                overlaps(source),
                activations(source),
                deliveries(source),
                lift(source),
                offsite_interests(source),
                upsell_opportunities(source),
                _gates(source),
                _costs(source),
            )
            if each.rows
        ]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html").render(day=day, headline=headline, sections=sections)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _headline(source: Source) -> list[tuple[str, str]]:
    """The few numbers on top: label and value."""
    counted = [
        ("customers", "cdp/customers"),
        ("things they did", "cdp/customer_timeline"),
        ("anonymous visitors", "dmp/visitors"),
        ("audience members", "both/audience_members"),
    ]
    numbers = [
        (label, f"{rows[0][0]:,}")
        for label, name in counted
        if (rows := source.table(name, "select count(*) from released"))
    ]
    records = source.table(
        "cdp/customer_records", "select count(*), count(distinct customer_id) from released"
    )
    if records and records[0][1]:
        numbers.insert(1, ("source records per customer", f"{records[0][0] / records[0][1]:.2f}"))
    health = source.table(
        "cdp/identity_health",
        f"""
        select
            coalesce(sum(value) filter (where measure = 'edges' and part = 'blocked'), 0),
            max(value) filter (where measure = 'largest_customer')
        from released where as_of_date = date '{source.day:%Y-%m-%d}'
        """,
    )
    if health:
        numbers += [
            ("identifiers that tie nobody", f"{health[0][0] or 0:,}"),
            ("records of the largest customer", f"{health[0][1] or 0:,}"),
        ]
    return numbers


def _inputs(source: Source) -> Section:
    rows = source.file(
        source.lake.receipts() / "*" / "*" / "receipts.parquet",
        f"""
        select channel, kind, sum(received)::bigint, sum(landed)::bigint, sum(quarantined)::bigint
        from released where delivered_on <= date '{source.day:%Y-%m-%d}'
        group by all order by 3 desc, 1
        """,
    )
    received, quarantined = sum(row[2] for row in rows), sum(row[4] for row in rows)
    return Section(
        "What came in",
        f"{received:,} rows were received up to the business day; {quarantined:,} of them are in quarantine.",
        bars_of([(f"{row[0]} ({row[1]})", row[2], f"{row[2]:,}") for row in rows]),
        ("channel", "kind", "received", "landed", "quarantined"),
        tuple(rows),
    )


def _identity(source: Source) -> Section:
    rows = source.table(
        "cdp/identity_health",
        f"""
        select measure, part, value, share from released
        where as_of_date = date '{source.day:%Y-%m-%d}' order by measure, value desc, part
        """,
    )
    tiers = {part: share for measure, part, _, share in rows if measure == "customers_by_tier"}
    sizes = sorted((row for row in rows if row[0] == "customers_by_size"), key=lambda row: _number(row[1]))
    return Section(
        "Who is who",
        f"{tiers.get('exact') or 0:.1%} of the customers are held together by exact identifiers alone. The bars count "
        "customers by how many records and combinations of identifiers they have.",
        bars_of([(row[1], row[2], f"{row[2]:,} ({row[3]:.0%})") for row in sizes]),
        ("measure", "part", "count", "share"),
        tuple(
            (row[0].replace("_", " "), row[1], f"{row[2]:,}", f"{row[3]:.1%}" if row[3] else "")
            for row in rows
        ),
    )


def _number(text: str) -> int:
    """The first number of a text."""
    return int("".join(each if each.isdigit() else " " for each in text).split()[0])


def _segments(source: Source) -> Section:
    rows = source.table(
        "cdp/customer_segments",
        f"""
        select segments.name, count(*), count(*) / sum(count(*)) over ()
        from released
        inner join read_parquet('{source.release}/cdp/segments.parquet') as segments using (segment_id)
        where segments.scheme = 'behaviour'
        group by segments.segment_id, segments.name order by 2 desc, 1
        """,
    )
    return Section(
        "Segments",
        "Customers grouped by how they behave.",
        bars_of([(row[0], row[1], f"{row[1]:,} ({row[2]:.0%})") for row in rows]),
        ("segment", "customers", "share"),
        tuple((row[0], row[1], f"{row[2]:.1%}") for row in rows),
    )


def _scores(source: Source) -> Section:
    rows = source.table(
        "ops/model_cards",
        """
        select model, metric, value, low, high, baseline, baseline_name, verdict
        from released where value is not null and isfinite(value) order by model, metric
        """,
    )
    held_against = [
        row for row in rows if row[5] is not None and row[1] in ("auc", "average_precision", "lift_at_10")
    ]
    return Section(
        "How good the scores are",
        "Measured on people and weeks that the models had not seen.",
        bars_of(
            [(f"{row[0]}: {row[1]}", row[2], f"{row[2]:.3g}", row[3], row[4], row[5]) for row in held_against]
        ),
        ("model", "metric", "value", "low", "high", "baseline", "baseline is", "verdict"),
        tuple(
            (*row[:2], *(None if each is None else f"{each:.4g}" for each in row[2:6]), *row[6:])
            for row in rows
        ),
        mark="the naive baseline",
    )


def _audiences(source: Source) -> Section:
    rows = source.table(
        "both/audience_members",
        f"""
        select audiences.audience_id, audiences.name, audiences.side, count(released.member_id) as members,
            count(*) filter (where released.is_control) as controls,
            {NOT_PUBLISHED} as not_published
        from read_parquet('{source.release}/both/audiences.parquet') as audiences
        left join released using (audience_id)
        group by all order by members desc, 1
        """,
    )
    return Section(
        "Audiences",
        "Members that may be addressed and the control group, kept apart so that the effect can be measured.",
        bars_of([(row[1] or row[0], row[3], f"{row[3]:,}") for row in rows]),
        ("audience", "name", "side", "members", "of them control", "not published because of"),
        tuple((*row[:5], row[5] or "") for row in rows),
    )


def _lookalikes(source: Source) -> Section:
    rows = source.table(
        "dmp/lookalike_models",
        """
        select audience_id, seed_size, candidate_size, auc, lift_at_5, lift_at_5_low, lift_at_5_high,
            activity_lift_at_5, verdict, reason
        from released order by audience_id
        """,
    )
    measured = [row for row in rows if row[4] is not None]
    return Section(
        "Look-alikes",
        "Lift at 5 %: how many times more of the hidden audience is among the most alike than among as many at random. "
        "Activity alone is the model to beat.",
        bars_of(
            [(f"{row[0]} ({row[8]})", row[4], f"{row[4]:.2f}", row[5], row[6], row[7]) for row in measured]
        ),
        (
            "audience",
            "seeds",
            "candidates",
            "AUC",
            "lift at 5 %",
            "low",
            "high",
            "activity alone",
            "verdict",
            "reason",
        ),
        tuple(
            (*row[:3], *(None if each is None else f"{each:.3g}" for each in row[3:8]), *row[8:])
            for row in rows
        ),
        mark="activity alone",
    )


def _gates(source: Source) -> Section:
    rows = [
        (step, *found)
        for step in STEPS
        for found in source.file(
            source.lake.ops(source.day, f"quality_{step}"),
            """
            select count(*), count(*) filter (where success), count(*) filter (where not success and severity = 'warn'),
                string_agg(coalesce(column_name, expectation) || ' on ' || asset, ', ' order by asset, column_name)
                filter (where not success)
            from released
            """,
        )
    ]
    held, made = sum(row[2] for row in rows), sum(row[1] for row in rows)
    return Section(
        "Quality gates",
        f"{held:,} of {made:,} expectations hold; what does not, warns.",
        (),
        ("step", "expectations", "hold", "warn", "which"),
        tuple(rows),
    )


def _costs(source: Source) -> Section:
    rows = source.table(
        "ops/run_costs",
        f"""
        select step, sum(wall_seconds), sum(cpu_seconds), max(peak_memory_bytes) / 1048576
        from released where as_of_date = date '{source.day:%Y-%m-%d}' group by step order by 2 desc
        """,
    )
    return Section(
        "Where the time goes",
        "Wall seconds per step up to the writing of this page.",
        bars_of([(row[0], row[1], f"{row[1]:.1f} s") for row in rows]),
        ("step", "wall seconds", "CPU seconds", "peak memory, MB"),
        tuple((row[0], *(f"{each:,.1f}" for each in row[1:])) for row in rows),
    )
