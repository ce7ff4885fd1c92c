"""The parts of the report that tell what was learned about customers."""

from __future__ import annotations

from include.report.sections import MOST_ROWS, Section, Source, bars_of

# The order in which a customer's life goes.
LIFE = ("visitor", "lead", "first_time", "active", "loyal", "at_risk", "lapsed", "won_back")


def stages(source: Source) -> Section:
    """How many customers are where in their life, and how many of each stage have moved where within 90 days."""
    rows = source.table(
        "cdp/customer_stages",
        f"""
        select stage, count(*)
        from released where is_current
        group by stage order by list_position({list(LIFE)}, stage)
        """,
    )
    moves = source.table(
        "cdp/lifecycle_funnel",
        """
        select from_stage, to_stage, entered, conversion, low, high, median_days
        from released where period = 'all' and within_days = 90 order by from_stage, conversion desc, to_stage
        """,
    )
    total = sum(row[1] for row in rows) or 1
    return Section(
        "Where customers stand",
        "Judged by each customer's own rhythm. The table shows who moves where within 90 days of entering a stage.",
        bars_of([(_plain(row[0]), row[1], f"{row[1]:,} ({row[1] / total:.0%})") for row in rows]),
        ("from", "to", "entered", "moved", "low", "high", "median days"),
        tuple(
            (
                _plain(row[0]),
                _plain(row[1]),
                f"{row[2]:,}",
                *(_share(each) for each in row[3:6]),
                _days(row[6]),
            )
            for row in moves
        )
        or tuple((_plain(row[0]), "", f"{row[1]:,}", "", "", "", "") for row in rows),
    )


def product_profiles(source: Source) -> Section:
    """Which profiles buy a category most above everybody's share."""
    rows = source.table(
        "cdp/product_profiles",
        f"""
        select profile_name, product_name, lift, low, high, share, customers, buyers, q_value
        from released
        where is_significant and lift > 1 and level = 'category'
        qualify row_number() over (partition by profile_type order by low desc, profile, product_key) <= 3
        order by low desc, profile_name, product_name
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "Who buys what",
        "How many times as large the share of buyers is in a profile as among everybody: the clearest of each kind of "
        "profile that remain when the many comparisons are counted in. Profiles and purchases are of the same time.",
        bars_of([(f"{row[0]}: {row[1]}", row[2], f"{row[2]:.2f}", row[3], row[4], 1.0) for row in rows]),
        ("profile", "category", "lift", "low", "high", "share", "customers", "buyers", "q"),
        tuple(
            (*row[:2], *(f"{each:.2f}" for each in row[2:5]), f"{row[5]:.1%}", *row[6:8], f"{row[8]:.2g}")
            for row in rows
        ),
        mark="everybody",
    )


def triggers(source: Source) -> Section:
    """The signals after which customers order more or less than on their other days."""
    rows = source.table(
        "cdp/purchase_triggers",
        f"""
        select trigger, sales_channel, category, stage, window_days, effect, low, high, occurrences, q_value,
            placebo_effect, verdict
        from released where verdict in ('raises', 'lowers')
        order by category <> 'any', stage <> 'any', effect desc, trigger, sales_channel, category, stage
        limit {MOST_ROWS}
        """,
    )
    general = [row for row in rows if row[2] == "any" and row[3] == "any"]
    return Section(
        "What makes people buy",
        "How many times as likely an order is in the days after a signal as on other days of the same customer. The "
        "table adds categories and stages; each has passed a placebo with shifted times.",
        bars_of(
            [
                (f"{row[1]}, {row[4]} days: {row[0]}", row[5], f"{row[5]:.2f}", row[6], row[7], 1.0)
                for row in general
            ]
        ),
        (
            "signal",
            "orders",
            "category",
            "stage",
            "days",
            "effect",
            "low",
            "high",
            "times",
            "q",
            "placebo",
            "verdict",
        ),
        tuple(
            (
                *row[:5],
                *(f"{each:.2f}" for each in row[5:8]),
                row[8],
                f"{row[9]:.2g}",
                "" if row[10] is None else f"{row[10]:.2f}",
                row[11],
            )
            for row in rows
        ),
        mark="other days",
    )


def actions(source: Source) -> Section:
    """What is offered first, by which rule and way."""
    rows = source.table(
        "cdp/next_best_actions",
        """
        select coalesce(rule_id, 'nothing'), action, coalesce(channel, ''), promotion, count(*),
            avg(probability), any_value(reason order by customer_id)
        from released where rank = 1
        group by all order by 5 desc, 1, 3, 4
        """,
    )
    counted: dict[str, int] = {}
    for row in rows:
        counted[row[0]] = counted.get(row[0], 0) + row[4]
    return Section(
        "What to do next",
        "The first choice for each customer. Nothing is offered to the control group, nor to who may not be met.",
        bars_of(
            [
                (_plain(name), count, f"{count:,}")
                for name, count in sorted(counted.items(), key=lambda item: -item[1])
            ]
        ),
        ("rule", "offer", "way", "promotion", "customers", "probability", "for example"),
        tuple((_plain(row[0]), *row[1:4], f"{row[4]:,}", _share(row[5]), row[6]) for row in rows),
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _days(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
