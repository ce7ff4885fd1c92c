"""Who the customers are: how well they are known, where they stand, how they behave, and how much they buy."""

from __future__ import annotations

from datetime import timedelta

from include.report.charts import Bar, Line, bars, lines
from include.report.formats import count, share, short, words
from include.report.sections import MOST_BARS, Absent, Chapter, Figure, Source, text_of

# The order in which a customer's life goes.
LIFE = ("visitor", "lead", "first_time", "active", "loyal", "at_risk", "lapsed", "won_back")
# The moves that tell whether a company wins, keeps and wins back.
MOVES = (
    ("lead", "first_time"), ("first_time", "active"), ("active", "loyal"), ("loyal", "at_risk"),
    ("at_risk", "loyal"), ("at_risk", "lapsed"), ("lapsed", "won_back"),
)  # fmt: skip
WEEKS = 26


def customers(source: Source) -> Chapter:
    return Chapter(
        "customers",
        "Who the customers are",
        "People as all channels together show them, where each stands and how they move.",
        (
            _stages(source),
            _moves(source),
            *_weeks(source),
            _segments(source),
            _identity(source),
            _tiers(source),
        ),
    )


def _stages(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/customer_stages",
        f"""
        select stage, count(*)
        from released where is_current
        group by stage order by list_position({list(LIFE)}, stage)
        """,
    )
    if not rows:
        return Absent("Life stages", "No customer has a stage.")
    total = sum(row[1] for row in rows)
    name, most = max(rows, key=lambda row: row[1])
    title = f"{share(most / total)} of the customers are {words(name)}"
    return Figure(
        title,
        "A stage follows from each customer's own rhythm of buying.",
        "customers",
        bars(title, [Bar(words(row[0]), f"{row[1]:,} ({share(row[1] / total)})", (row[1],)) for row in rows]),
        ("stage", "customers", "share"),
        tuple(text_of(words(row[0]), count(row[1]), share(row[1] / total, 1)) for row in rows),
    )


def _moves(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/lifecycle_funnel",
        """
        select from_stage, to_stage, entered, moved, conversion, low, high, median_days
        from released where period = 'all' and within_days = 90 and conversion is not null
        order by from_stage, conversion desc, to_stage
        """,
    )
    found = {row[:2]: row for row in rows}
    shown = [found[move] for move in MOVES if move in found] or rows[: len(MOVES)]
    if not shown:
        return Absent("Funnel", "No customer has been in a stage for 90 days yet.")
    keeps = found.get(("active", "loyal")) or shown[0]
    title = f"{share(keeps[4])} of those who are {words(keeps[0])} become {words(keeps[1])} within 90 days"
    return Figure(
        title,
        "Of all stays in a stage: how many led to the next within 90 days, with the 95 % interval.",
        "share of stays that moved",
        bars(
            title,
            [
                Bar(
                    f"{words(row[0])} → {words(row[1])}",
                    f"{share(row[4])} of {row[2]:,}",
                    (row[4],) if row[1] not in ("at_risk", "lapsed") else (0, row[4]),
                    row[5],
                    row[6],
                )
                for row in shown
            ],
            top=1.0,
        ),
        ("from", "to", "entered", "moved", "conversion", "low", "high", "median days"),
        tuple(
            text_of(
                words(row[0]),
                words(row[1]),
                count(row[2]),
                count(row[3]),
                *(share(each, 1) for each in row[4:7]),
                count(row[7]),
            )
            for row in rows
        ),
        key=(("s1", "won or kept"), ("s2", "lost")),
    )


def _weeks(source: Source) -> tuple[Figure | Absent, ...]:
    """Who bought and for how much, in weeks that end on the business day."""
    rows = source.orders(
        f"""
        select datediff('day', ordered_at::date, {source.date}) // 7 as weeks_ago, count(distinct customer_id),
            sum(total_amount)::double, (select min(ordered_at)::date from orders)
        from orders
        where ordered_at >= {source.date} - {7 * WEEKS - 1} and ordered_at < {source.date} + 1
        group by weeks_ago order by weeks_ago
        """,
    )
    # The first week may have been cut by the beginning of the data.
    weeks = range(min(WEEKS, ((source.day - rows[0][3]).days + 1) // 7 if rows else 0) - 1, -1, -1)
    if len(weeks) < 2:
        return (
            Absent("Buyers by week", f"There are no purchases of the last {WEEKS} weeks, or of one alone."),
        )
    found = {row[0]: (row[1], row[2] or 0.0) for row in rows}
    says = "Weeks end on the business day; cancelled orders are left out. The weeks before are the last four."
    buyers, amounts = ([float(found.get(week, (0, 0))[place]) for week in weeks] for place in (0, 1))
    return (
        _weekly(
            source, f"{short(buyers[-1])} customers bought", "customers who bought, by week", says, buyers
        ),
        _weekly(
            source,
            f"{short(amounts[-1])} of order value",
            "order value by week, in the currency of the orders",
            says,
            amounts,
        ),
    )


def _weekly(source: Source, what: str, unit: str, says: str, series: list[float]) -> Figure:
    """A figure of a series of weeks of which the last ends on the business day."""
    ends = [source.day - timedelta(days=7 * back) for back in range(len(series) - 1, -1, -1)]
    before = series[-5:-1]
    usual = sum(before) / len(before)
    change = (
        f", {share(abs(series[-1] / usual - 1))} {'more' if series[-1] >= usual else 'less'} than in the weeks before"
        if usual
        else ""
    )
    title = f"{what} in the last seven days{change}"
    line = Line(unit, tuple((place, each) for place, each in enumerate(series)))
    return Figure(
        title,
        says,
        unit,
        lines(title, [line], lambda x: f"{ends[int(x)]:%d %b %Y}", short),
        ("seven days up to", unit.split(",")[0]),
        tuple(text_of(end, count(each)) for end, each in zip(ends, series, strict=True)),
    )


def _segments(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/segments",
        """
        select scheme, name, size, share, trend, mean_orders, mean_spend, mean_expected_value, description
        from released where size > 0
        order by scheme <> 'behaviour', size desc, segment_id
        """,
    )
    if not rows:
        return Absent("Segments", "Too few customers have bought to tell groups apart.")
    shown = [row for row in rows if row[0] == "rfm"][:MOST_BARS] or rows[:MOST_BARS]
    title = f"“{shown[0][1]}” is the largest of {len(shown)} segments: {share(shown[0][3])} of the customers"
    return Figure(
        title,
        "Customers grouped by how recently, how often and for how much they buy; the change is that of the last weeks. "
        "The table adds the groups found in all of their behaviour.",
        "customers",
        bars(
            title,
            [
                Bar(
                    row[1], f"{row[2]:,}" + (f" ({_signed(row[4])})" if row[4] is not None else ""), (row[2],)
                )
                for row in shown
            ],
        ),
        (
            "grouped by",
            "segment",
            "customers",
            "share",
            "change",
            "orders each",
            "spent each",
            "expected each",
            "what sets it apart",
        ),
        tuple(
            text_of(
                "recency, frequency, money" if row[0] == "rfm" else words(row[0]),
                row[1],
                count(row[2]),
                share(row[3], 1),
                _signed(row[4], 1),
                *(count(each) for each in row[5:8]),
                row[8],
            )
            for row in rows
        ),
    )


def _identity(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/identity_health",
        f"""
        select measure, part, value, share from released
        where as_of_date = {source.date} order by measure, value desc, part
        """,
    )
    sizes = sorted(
        (row for row in rows if row[0] == "customers_by_size"), key=lambda row: int(row[1].split()[0])
    )
    if not sizes:
        return Absent("Identity health", "No record was resolved to a customer.")
    largest = next((row[2] for row in rows if row[0] == "largest_customer"), None)
    alone = next((row[3] for row in sizes if row[1] == "1"), 0) or 0
    title = f"{share(1 - alone)} of the customers are known from more than one trace"
    return Figure(
        title,
        "Customers by how many records and combinations of identifiers they have."
        + (f" The largest has {largest:,}; one with very many would be several people." if largest else ""),
        "customers",
        bars(
            title,
            [
                Bar(
                    f"{row[1]} traces" if row[1] != "1" else "1 trace",
                    f"{row[2]:,} ({share(row[3])})",
                    (row[2],),
                )
                for row in sizes
            ],
        ),
        ("measure", "part", "count", "share"),
        tuple(text_of(words(row[0]), words(row[1]), count(row[2]), share(row[3], 1)) for row in rows),
    )


def _tiers(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/customers",
        """
        select channel, confidence_tier, count(*)
        from (select unnest(channels) as channel, confidence_tier from released)
        group by all order by channel, confidence_tier
        """,
    )
    total = dict(
        source.table("cdp/customers", "select confidence_tier, count(*) from released group by 1 order by 1")
    )
    channels: dict[str, dict[str, int]] = {}
    for channel, tier, people in rows:
        channels.setdefault(channel, {})[tier] = people
    if not channels:
        return Absent("Customers by channel", "No customer has a channel.")
    everybody = sum(total.values())
    tiers = [each for each in ("exact", "strict", "loose") if each in total]
    ordered = sorted(channels.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    title = f"{share(total.get('exact', 0) / everybody)} of the customers are held together by exact identifiers alone"
    return Figure(
        title,
        "Customers by channel they are known from, and by what their records are linked with.",
        "customers",
        bars(
            title,
            [
                Bar(
                    words(name),
                    f"{sum(each.values()):,} ({share(sum(each.values()) / everybody)})",
                    tuple(each.get(tier, 0) for tier in tiers),
                )
                for name, each in ordered
            ],
            top=everybody,
        ),
        ("channel", "customers", *(f"linked: {tier}" for tier in tiers)),
        tuple(
            text_of(name, count(sum(each.values())), *(count(each.get(tier, 0)) for tier in tiers))
            for name, each in ordered
        ),
        key=tuple((f"s{number}", tier) for number, tier in enumerate(tiers, 1)),
    )


def _signed(value: float | None, digits: int = 0) -> str:
    return "" if value is None else ("+" if value >= 0 else "−") + share(abs(value), digits)
