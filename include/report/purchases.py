"""What customers buy, what makes them buy, what they look for afterwards and what to offer them."""

from __future__ import annotations

from include.report.charts import WIDEST_OF_PAGE, Bar, Cell, Dot, bars, dots, heat_map
from include.report.formats import count, plural, share, times, words
from include.report.sections import MOST_BARS, MOST_ROWS, Absent, Chapter, Figure, Source, text_of

PROFILES = (
    "lifecycle_stage",
    "segment_behaviour",
    "age_band",
    "gender",
    "preferred_channel",
    "promotion_taste",
)
PRODUCTS = 18  # rows of the heat map
LIFT_LEVELS = (0.6, 0.85, 1.15, 1.5, 2.0, 3.0)  # where -2, -1, 0, 1, 2, 3 end


def purchases(source: Source) -> Chapter:
    return Chapter(
        "purchases",
        "What they buy, and why",
        "Who buys what more than others, what triggers a purchase, and what people look for after it.",
        (
            _consumption(source),
            _triggers(source),
            _offsite(source),
            _actions(source),
            _offers(source),
        ),
    )


def _consumption(source: Source) -> Figure | Absent:
    """Lift of profile and category: of the categories whose buyers differ most, among those that many buy; of
    the products where no category tells groups apart."""
    rows = source.table(
        "cdp/product_profiles",
        f"""
        select profile_type, profile_name, product_name, lift, low, high, share, customers, buyers, q_value,
            is_significant, level
        from released where list_contains({list(PROFILES)}, profile_type)
        qualify level = min(level) filter (where is_significant) over ()  -- category comes before product
        order by list_position({list(PROFILES)}, profile_type), profile, product_key
        """,
    )
    sure = [row for row in rows if row[10]]
    if not sure:
        return Absent(
            "Who buys what",
            "No group of customers buys a category or product clearly more or less than others.",
        )
    marked = sorted(sure, key=lambda row: (-(row[4] or 0), row[1], row[2]))
    # The clearest of each group first, then the clearest of all.
    of_groups = {row[1]: row[2] for row in reversed(marked)}
    products = list(dict.fromkeys([*of_groups.values(), *(row[2] for row in marked)]))[:PRODUCTS]
    profiles = list(dict.fromkeys(row[1] for row in rows))
    found = {(row[1], row[2]): row for row in rows}
    best = marked[0]
    title = f"Customers “{best[1]}” are {times(best[3])} times as likely as everybody to buy {best[2]}"
    told = sorted(
        (row for row in sure if row[2] in products),
        key=lambda row: (products.index(row[2]), profiles.index(row[1])),
    )
    return Figure(
        title,
        "How many times as large the share of buyers is in a group as among everybody, for what marks them most. "
        "Grey fields do not differ clearly; an empty one is of too few people or buyers to tell.",
        "lift: share of buyers against everybody's",
        heat_map(
            title,
            [
                (product, [_lift_cell(found.get((profile, product))) for profile in profiles])
                for product in products
            ],
            profiles,
        ),
        (best[11], "group", "lift", "low", "high", "share", "customers", "buyers", "q"),
        tuple(
            text_of(
                row[2],
                row[1],
                *(times(each) for each in row[3:6]),
                share(row[6], 1),
                count(row[7]),
                count(row[8]),
                f"{row[9]:.2g}",
            )
            for row in told[: 2 * MOST_ROWS]
        ),
        key=(
            ("h-2", "up to 0.6"),
            ("h-1", "up to 0.85"),
            ("h0", "about 1, or not clearly different"),
            ("h1", "up to 1.5"),
            ("h2", "up to 2"),
            ("h3", "up to 3"),
            ("h4", "more"),
        ),
        wide=True,
    )


def _lift_cell(row: tuple | None) -> Cell:
    if row is None or row[3] is None:
        return Cell(None)
    level = sum(row[3] > end for end in LIFT_LEVELS) - 2 if row[10] else 0
    return Cell(level, f"{row[3]:.1f}")


def _triggers(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/purchase_triggers",
        """
        select trigger, sales_channel, category, stage, window_days, effect, low, high, support, q_value,
            placebo, verdict
        from released where verdict in ('raises', 'lowers')
        order by category <> 'any', stage <> 'any', effect desc, trigger, sales_channel, category, stage
        """,
    )
    if not rows:
        return Absent(
            "What makes people buy", "No signal was found after which customers order clearly more or less."
        )
    general = [row for row in rows if row[2] == "any" and row[3] == "any"] or rows
    first = general[0]
    title = f"After “{first[0]}”, {_orders(first[1])} are {times(first[5])} times as frequent"
    return Figure(
        title,
        "Orders in the days after a signal against other days of the same customer, with the 95 % interval. Each has "
        "passed a placebo with shifted times. The table adds categories and stages.",
        "times as many orders as on other days",
        dots(
            title,
            [
                Dot(f"{row[0]} ({_orders(row[1])}, {row[4]} days)", times(row[5]), row[5], row[6], row[7])
                for row in general[:MOST_BARS]
            ],
            widest=WIDEST_OF_PAGE,
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
            "times seen",
            "q",
            "placebo",
            "verdict",
        ),
        tuple(
            text_of(
                *row[:3],
                words(row[3]),
                row[4],
                *(times(each) for each in row[5:8]),
                count(row[8]),
                f"{row[9]:.2g}",
                times(row[10]),
                row[11],
            )
            for row in rows
        ),
        key=(("s1", "effect and interval"), ("mark", "as on other days")),
        wide=True,
    )


def _offsite(source: Source) -> Figure | Absent:
    rows = source.table(
        "bridge/offsite_interests",
        """
        select bought_category, content_category, window_days, multiplier, multiplier_low, multiplier_high,
            rate_before, rate_after, did, buyers, controls, q_value, placebo_multiplier, verdict
        from released where verdict in ('rises', 'falls')
        qualify row_number() over (
            partition by bought_category, content_category order by p_value, window_days
        ) = 1
        order by multiplier desc, bought_category, content_category
        """,
    )
    if not rows:
        return Absent(
            "What they look for afterwards",
            "No interest on other sites changes clearly after a purchase, or too few buyers are known there to tell.",
        )
    first = rows[0]
    title = f"After buying {first[0]} people read {times(first[3])} times as much about {first[1]} elsewhere"
    return Figure(
        title,
        "How much buyers read of a subject on other sites after the purchase, against what they would have read anyway "
        "by customers like them. Each has passed a placebo and is told of no fewer than fifty people.",
        "times as many pages as expected",
        dots(
            title,
            [
                Dot(f"{row[0]} → {row[1]} ({row[2]} days)", times(row[3]), *row[3:6])
                for row in rows[:MOST_BARS]
            ],
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
            text_of(
                *row[:3],
                *(times(each) for each in row[3:9]),
                count(row[9]),
                count(row[10]),
                f"{row[11]:.2g}",
                times(row[12]),
                row[13],
            )
            for row in rows
        ),
        key=(("s1", "effect and interval"), ("mark", "as expected")),
    )


def _actions(source: Source) -> Figure | Absent:
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
    if not rows:
        return Absent("What to do next", "There is no next best action.")
    counted: dict[str, int] = {}
    for row in rows:
        counted[row[0]] = counted.get(row[0], 0) + row[4]
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    offered = sum(number for name, number in ordered if name != "nothing")
    first = next((name for name, _ in ordered if name != "nothing"), "nothing")
    title = f"{plural(offered, 'customer')} get an offer; “{words(first)}” is the most frequent"
    return Figure(
        title,
        "The first choice for each customer. Nothing is offered to the control group, nor to who may not be met.",
        "customers",
        bars(
            title,
            [
                Bar(words(name), count(number), (0, 0, number) if name == "nothing" else (number,))
                for name, number in ordered
            ],
        ),
        ("rule", "offer", "way", "promotion", "customers", "probability", "for example"),
        tuple(text_of(words(row[0]), *row[1:4], count(row[4]), share(row[5], 1), row[6]) for row in rows),
    )


def _offers(source: Source) -> Figure | Absent:
    rows = source.table(
        "bridge/upsell_opportunities",
        """
        select bought_category, offer_category, content_category, customers, multiplier, lift, lift_low, lift_high,
            reason
        from released where not suppressed
        order by customers desc, bought_category, rank
        """,
    )
    if not rows:
        return Absent(
            "What to offer afterwards",
            "No interest after a purchase leads to another category for enough people.",
        )
    title = f"{plural(rows[0][3], 'buyer')} of {rows[0][0]} may be offered {rows[0][1]}"
    return Figure(
        title,
        "Customers who bought the one lately and the other not at all, where what buyers of the one look for "
        "afterwards is what buyers of the other read. Who refused advertising is not counted.",
        "customers",
        bars(title, [Bar(f"{row[0]} → {row[1]}", count(row[3]), (row[3],)) for row in rows[:MOST_BARS]]),
        ("bought", "offer", "both read", "customers", "times after", "lift", "low", "high", "because"),
        tuple(text_of(*row[:3], count(row[3]), *(times(each) for each in row[4:8]), row[8]) for row in rows),
    )


def _orders(channel: str) -> str:
    return "orders" if channel == "any" else f"orders {words(channel)}"
