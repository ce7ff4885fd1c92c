"""The parts of the report that tell what buyers look for on other sites, and what to offer them."""

from __future__ import annotations

from include.report.sections import MOST_ROWS, Section, Source, bars_of


def offsite_interests(source: Source) -> Section:
    """What buyers of a category read more, or less, of after they bought it than they would have anyway."""
    rows = source.table(
        "bridge/offsite_interests",
        f"""
        select bought_category, content_category, window_days, multiplier, multiplier_low, multiplier_high,
            rate_before, rate_after, did, buyers, controls, q_value, placebo_multiplier, verdict
        from released where verdict in ('rises', 'falls')
        qualify row_number() over (
            partition by bought_category, content_category order by p_value, window_days
        ) = 1
        order by multiplier desc, bought_category, content_category
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "What they look for afterwards",
        "How many times as much of a subject the buyers of a category read on other sites in the days after the "
        "purchase as they would have anyway, judged by customers like them who bought something else. Each has passed "
        "a placebo before the purchase and is told of no fewer than fifty people.",
        bars_of(
            [
                (f"{row[0]}, {row[2]} days: {row[1]}", row[3], f"{row[3]:.2f}", row[4], row[5], 1.0)
                for row in rows
            ]
        ),
        (
            "bought",
            "read",
            "days",
            "times",
            "low",
            "high",
            "pages a week before",
            "after",
            "more",
            "buyers",
            "others",
            "q",
            "placebo",
            "verdict",
        ),
        tuple(
            (
                *row[:3],
                *(f"{each:.2f}" for each in row[3:9]),
                *(f"{each:,}" for each in row[9:11]),
                f"{row[11]:.2g}",
                "" if row[12] is None else f"{row[12]:.2f}",
                row[13],
            )
            for row in rows
        ),
        mark="as expected",
    )


def upsell_opportunities(source: Source) -> Section:
    """How many customers may be offered something else because of what buyers like them look for."""
    rows = source.table(
        "bridge/upsell_opportunities",
        f"""
        select bought_category, offer_category, content_category, customers, multiplier, lift, lift_low, lift_high,
            reason
        from released where not suppressed
        order by customers desc, bought_category, rank
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "What to offer afterwards",
        "Customers who bought the one lately and the other not at all, where what buyers of the one look for "
        "afterwards is what buyers of the other read. Who refused advertising is not counted.",
        bars_of([(f"{row[0]}: {row[1]}", row[3], f"{row[3]:,}") for row in rows]),
        ("bought", "offer", "both read", "customers", "times after", "lift", "low", "high", "because"),
        tuple((*row[:3], f"{row[3]:,}", *(f"{each:.2f}" for each in row[4:8]), row[8]) for row in rows),
    )
