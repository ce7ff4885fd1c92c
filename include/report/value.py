"""What customers are worth, who may be gone, and how far the scores can be trusted."""

from __future__ import annotations

from include.report.charts import Bar, bars
from include.report.customers import LIFE
from include.report.formats import count, exact, share, short, words
from include.report.sections import MOST_BARS, MOST_ROWS, Absent, Chapter, Figure, Source, text_of

COMPARED = ("auc", "gini")  # of one scale, on which 1 is perfect


def value(source: Source) -> Chapter:
    return Chapter(
        "value",
        "Value and churn",
        f"What the models expect of each customer in the next {source.horizon_days} days.",
        (_concentration(source), _by_stage(source), _activity(source), _models(source)),
    )


def _concentration(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/customer_scores",
        f"""
        select tenth, count(*), sum(value)::double, min(value), max(value)
        from (
            select value, ntile(10) over (order by value desc, customer_id) as tenth
            from released where score = 'expected_value' and as_of_date = {source.date}
        )
        group by tenth order by tenth
        """,
    )
    total = sum(row[2] for row in rows)
    if len(rows) < 10 or not total:
        return Absent("Expected value", "No model of value was trained: it needs orders of enough customers.")
    title = f"The best tenth of the customers brings {share(rows[0][2] / total)} of the value to expect"
    return Figure(
        title,
        f"Customers in ten equal groups by the value expected of them; {short(total)} together.",
        "share of the expected value",
        bars(
            title,
            [
                Bar(
                    f"{_ordinal(row[0])} tenth",
                    f"{share(row[2] / total)} ({short(row[2])})",
                    (row[2] / total,),
                )
                for row in rows
            ],
        ),
        ("tenth", "customers", "expected value", "share", "least of one", "most of one"),
        tuple(
            text_of(
                _ordinal(row[0]),
                count(row[1]),
                count(row[2]),
                share(row[2] / total, 1),
                count(row[3]),
                count(row[4]),
            )
            for row in rows
        ),
    )


def _by_stage(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/customer_scores",
        f"""
        select customers.lifecycle_stage, count(*), sum(released.value)::double
        from released
        inner join customers using (customer_id)
        where released.score = 'expected_value' and released.as_of_date = {source.date}
        group by 1 order by list_position({list(LIFE)}, customers.lifecycle_stage)
        """,
        customers="cdp/customers",
    )
    total = sum(row[2] for row in rows)
    if not total:
        return Absent("Value by stage", "No model of value was trained: it needs orders of enough customers.")
    slipping = sum(row[2] for row in rows if row[0] in ("at_risk", "lapsed"))
    title = f"{share(slipping / total)} of the value to expect is with customers at risk or lapsed"
    return Figure(
        title,
        "What is expected of the customers of each stage.",
        "expected value",
        bars(
            title,
            [
                Bar(
                    words(row[0]),
                    f"{short(row[2])} from {row[1]:,}",
                    (0, row[2]) if row[0] in ("at_risk", "lapsed") else (row[2],),
                )
                for row in rows
            ],
        ),
        ("stage", "customers", "expected value", "per customer"),
        tuple(text_of(words(row[0]), count(row[1]), count(row[2]), count(row[2] / row[1])) for row in rows),
        key=(("s1", "expected"), ("s2", "at risk or lapsed")),
    )


def _activity(source: Source) -> Figure | Absent:
    rows = source.table(
        "cdp/customer_scores",
        f"""
        select least(floor(released.value * 10), 9)::bigint as tenth, count(*)
        from released
        inner join customers using (customer_id)
        where released.score = 'probability_active' and released.as_of_date = {source.date}
            and customers.lifecycle_stage not in ('visitor', 'lead')
        group by tenth order by tenth
        """,
        customers="cdp/customers",
    )
    total = sum(row[1] for row in rows)
    if not total:
        return Absent(
            "Probably active", "No model of activity was trained: it needs orders of enough customers."
        )
    found = dict(rows)
    gone = sum(people for tenth, people in rows if tenth < 5)
    title = f"{share(gone / total)} of the buyers are more likely gone than still active"
    return Figure(
        title,
        "How likely who ever bought still is a customer, judged by their own rhythm.",
        "customers by probability of being active",
        bars(
            title,
            [
                Bar(
                    _band(tenth),
                    f"{found.get(tenth, 0):,}",
                    (0, found.get(tenth, 0)) if tenth < 5 else (found.get(tenth, 0),),
                )
                for tenth in range(9, -1, -1)
            ],
        ),
        ("probability active", "customers", "share"),
        tuple(
            text_of(_band(tenth), count(found.get(tenth, 0)), share(found.get(tenth, 0) / total, 1))
            for tenth in range(9, -1, -1)
        ),
        key=(("s1", "more likely active"), ("s2", "more likely gone")),
    )


def _models(source: Source) -> Figure | Absent:
    rows = source.table(
        "ops/model_cards",
        """
        select model, metric, value, low, high, baseline, baseline_name, verdict
        from released where value is not null and isfinite(value) and not model like 'lookalike%'
        order by baseline is null, model, metric
        """,
    )
    held = [row for row in rows if row[5] is not None and row[1] in COMPARED]
    if not held:
        return Absent("Quality of the scores", "No model was measured on data that it had not seen.")
    # The difference on the same people tells more than the interval of one of the two.
    differences = {row[0]: row for row in rows if row[1] == "auc_difference"}
    compared = [differences.get(row[0], row) for row in held]
    better = sum(row[3] is not None and row[3] > row[5] for row in compared)
    title = f"{better} of {len(held)} models are clearly better than the naive rule they are held against"
    return Figure(
        title,
        "Measured on people and weeks that the models had not seen. 1 is perfect.",
        "AUC or Gini",
        bars(
            title,
            [
                Bar(
                    words(row[0]).replace(":", ": "),
                    f"{row[2]:.3f} vs {row[5]:.3f}",
                    (row[2],),
                    row[3],
                    row[4],
                    row[5],
                )
                for row in held[:MOST_BARS]
            ],
            top=1.0,
        ),
        ("model", "metric", "value", "low", "high", "baseline", "baseline is", "verdict"),
        tuple(
            text_of(row[0], row[1], *(exact(each, 4) for each in row[2:6]), *row[6:])
            for row in rows
            if row[5] is not None
        )[:MOST_ROWS],
        key=(("s1", "the model"), ("mark", "the naive rule")),
    )


def _band(tenth: int) -> str:
    return f"{10 * tenth} to {10 * tenth + 10} %"


def _ordinal(number: int) -> str:
    return {1: "best", 2: "2nd", 3: "3rd", 10: "last"}.get(number, f"{number}th")
