"""What the figures say, and what they leave out."""

from __future__ import annotations

import re

import pytest

from include.report.activation import activation
from include.report.audiences import audiences
from include.report.customers import customers
from include.report.html import write_report
from include.report.purchases import purchases
from include.report.sections import Absent, Chapter, Figure, Source
from include.report.state import state
from include.report.value import value
from tests.include.quality.small_lake import DAY, SmallLake

PERCENT = "\N{NO-BREAK SPACE}%"


def figure(chapter: Chapter, unit: str) -> Figure:
    (found,) = [each for each in chapter.figures if each.unit.startswith(unit)]
    return found


def test_who_is_not_sent_is_told_with_the_reasons(source: Source) -> None:
    chapter = activation(source)
    assert figure(chapter, "people").rows == (("ads", "loyal", "csv", "50", "10", "5", "2"),)
    refused = figure(chapter, "memberships not sent")
    assert refused.rows == (
        ("Control", "ads", "loyal", "6"),
        ("Consent unknown (advertising)", "ads", "loyal", "4"),
    )
    assert refused.title == f"The main reason for not sending: control (60{PERCENT})"


def test_deliveries_are_told_failures_first(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("ops", "deliveries"),
        "from old union all by name "
        "select * replace (2 as delivery_number, 'failed' as status, '503' as reason) from old",
    )
    told = figure(activation(source), "rows delivered")
    assert [(row[4], row[8]) for row in told.rows] == [("failed", "503"), ("sent", "")]
    assert told.title == "1 of the last 2 deliveries failed"


def test_lift_is_told_of_audiences_that_are_sent(source: Source, small: SmallLake) -> None:
    told = figure(activation(source), "share who bought")
    assert [row[:5] for row in told.rows] == [
        ("loyal", outcome, "54", "6", "0.500") for outcome in ("buyers", "orders", "spend")
    ]
    assert told.title == "0 of 1 audience clearly buy more than those held back"
    small.change(small.lake.table("both", "audience_lift"), "select * replace (false as is_sent) from old")
    assert "What sending brings" in [each.title for each in activation(source).absent]


def test_who_never_bought_is_not_called_gone(source: Source, small: SmallLake) -> None:
    def judged() -> int:
        return sum(int(row[1]) for row in figure(value(source), "customers by probability").rows)

    small.change(
        small.lake.table("cdp", "customer_scores"),
        "select * replace ('probability_active' as score, 0.1 as value) from old",
    )
    small.change(
        small.lake.table("cdp", "customers"),
        "select * replace (if(customer_id = (select min(customer_id) from old), 'loyal', 'lead') as lifecycle_stage) "
        "from old",
    )
    assert judged() == 1


def test_placements_that_do_not_differ_are_not_shown(source: Source, small: SmallLake) -> None:
    def shown() -> list[str]:
        return [row[2] for row in figure(audiences(source), "times as often as everybody").rows]

    assert shown() == ["20", "news.example.com"]
    small.change(
        small.lake.table("dmp", "placements"),
        "select * replace (dimension <> 'hour' as is_significant) from old",
    )
    assert shown() == ["news.example.com"]


def test_reach_says_why_a_size_is_not_told(source: Source) -> None:
    told = figure(audiences(source), "people who can be met")
    assert told.title == "120 people of “Loyal, look-alikes” can be met on the web"
    rows = {row[0]: row for row in told.rows}
    assert rows["loyal"][2] == ""
    assert rows["loyal"][-1] == "too few people"
    assert rows["sporty"][2] == "110"


def test_the_overlap_matrix_gives_the_share_of_the_row(source: Source) -> None:
    told = figure(audiences(source), "percent of the row")
    assert told.rows == (
        (
            "visitors",
            "loyal, look-alikes",
            "sporty",
            "60",
            f"50.0{PERCENT}",
            f"55.0{PERCENT}",
            "0",
            str(DAY),
        ),
    )
    assert re.findall(r'class="cell t4"[^>]*>(\d+)<|class="cell t3"[^>]*>(\d+)<', told.chart) == [
        ("", "50"),
        ("55", ""),
    ]


def test_of_many_audiences_the_overlap_matrix_has_those_that_share_most(
    small: SmallLake, source: Source
) -> None:
    small.change(
        small.lake.table("bridge", "audience_overlaps"),
        "select * replace (part_b as part_a, 'a' || one as audience_a, 'a' || other as audience_b,"
        " old.jaccard / (1 + 100 * one + other) as jaccard)"
        " from old, range(30) as first(one), range(1, 31) as second(other) where one < other",
    )
    told = figure(audiences(source), "percent of the row")
    assert "Shown are the 12 of 31 audiences that share most." in told.says
    assert [f">a{number}<" in told.chart for number in (0, 11, 12, 30)] == [True, True, False, False]
    assert len(re.findall(r'class="cell t\d"', told.chart)) == 12 * 11
    assert (len(told.rows), len(told.shown)) == (465, 100)


def test_totals_are_of_all_rows_though_the_page_has_a_hundred(small: SmallLake, source: Source) -> None:
    small.change(small.lake.table("ops", "activations"), "select old.* from old, range(200)")
    told = figure(activation(source), "people")
    assert told.title == "10,000 memberships go to 1 of 1 destination, 2,000 are not sent"
    assert (len(told.rows), len(told.shown)) == (200, 100)
    page = write_report(small.lake, small.lake.root / "tables", DAY, 90).read_text()
    assert "; the first 100 of 200 rows</caption>" in page


def test_a_lift_curve_is_held_against_activity_and_chance(source: Source) -> None:
    chapter = audiences(source)
    curve = figure(chapter, "lift, by share")
    assert [row[1:] for row in curve.rows] == [
        (f"1{PERCENT}", "4.00", "2.00", "6.00", "2.10"),
        (f"5{PERCENT}", "3.00", "2.50", "3.50", "1.90"),
        (f"10{PERCENT}", "2.00", "1.80", "2.20", "1.40"),
    ]
    assert [text for _, text in curve.key] == ["Loyal", "activity alone", "chance"]
    reach = figure(chapter, "share of the hidden audience")
    assert reach.title == f"A tenth of the visitors holds 20{PERCENT} of those like “Loyal”"


def test_a_lookalike_that_was_not_measured_is_told_and_why(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("dmp", "lookalike_models"),
        "select * replace (null as lift_at_5, '[]' as curve, 'refused' as verdict, 'too few' as reason) from old",
    )
    told = figure(audiences(source), "lift among the most alike")
    assert told.title == "0 of 1 look-alike audiences are published"
    assert "not measured" in told.chart
    assert told.rows[0][-2:] == ("refused", "too few")


def test_a_move_whose_share_is_not_known_yet_is_not_drawn(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("cdp", "lifecycle_funnel"),
        "select * from old union all by name "
        "select * replace ('at_risk' as from_stage, null as conversion, null as low, null as high) from old",
    )
    assert [row[0] for row in figure(customers(source), "share of stays that moved").rows] == ["lead"]


def test_an_order_is_worth_its_total_whatever_its_lines_add_up_to(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("cdp", "customer_timeline"),
        "select * replace (2 * amount as amount, timestamp '2017-12-01 10:00' as occurred_at) from old",
    )
    small.change(
        small.lake.staged("customer_orders"),
        "select * replace (timestamp '2017-12-01 10:00' as ordered_at) from old union all by name "
        "select * replace (timestamp '2017-11-16 10:00' as ordered_at) from old",
    )
    assert figure(customers(source), "order value by week").rows[-1][1] == "1,180"
    (tile,) = [each for each in state(source).tiles if each.label == "order value in 28 days"]
    assert tile.value == "2,360"


def test_a_model_is_better_only_where_chance_cannot_say_so_too(source: Source, small: SmallLake) -> None:
    small.write(
        small.lake.table("ops", "model_cards"),
        """select model, metric, 0.8 as value, low, 0.9 as high, baseline, 'past orders' as baseline_name,
            'promoted' as verdict
        from (values ('sure', 'auc', 0.75, 0.7), ('chance', 'gini', 0.75, 0.78), ('same people', 'auc', 0.75, 0.78),
            ('same people', 'auc_difference', 0.01, 0.0)) as cards(model, metric, low, baseline)""",
    )
    assert figure(value(source), "AUC or Gini").title.startswith(
        "2 of 3 models are clearly better than the naive rule"
    )


def test_a_destination_that_nobody_is_sent_to_is_not_counted(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("ops", "activations"),
        "select * from old union all by name select * replace ('meta' as destination_id, 0 as people) from old",
    )
    told = figure(activation(source), "people")
    assert told.title == "50 memberships go to 1 of 2 destinations, 20 are not sent"


def test_an_audience_that_goes_nowhere_is_told_with_the_main_reason(source: Source, small: SmallLake) -> None:
    def told() -> list[str]:
        return [notice.text for notice in state(source).notices if "Nobody" in notice.text]

    assert told() == []
    small.change(small.lake.table("ops", "activations"), "select * replace (0 as people) from old")
    assert told() == ["Nobody of “Loyal” is sent to ads: 6 of 10 for control."]


def test_each_interest_is_told_once_in_its_clearest_window(source: Source) -> None:
    told = figure(purchases(source), "times as many pages")
    assert [row[:6] for row in told.rows] == [("DOG FOOD", "Pets", "28", "3.00", "2.25", "4.00")]
    assert told.title == "After buying DOG FOOD people read 3.00 times as much about Pets elsewhere"


def test_offers_to_few_people_are_not_told(source: Source) -> None:
    (told,) = [each for each in purchases(source).figures if each.title.endswith("may be offered CAT FOOD")]
    assert [row[:4] for row in told.rows] == [("DOG FOOD", "CAT FOOD", "Pets", "70")]


def test_without_categories_who_buys_what_is_told_of_products(source: Source, small: SmallLake) -> None:
    profiles = small.lake.table("cdp", "product_profiles")
    small.change(
        profiles,
        "from old union all by name "
        "select * replace ('product' as level, 'p1' as product_key, 'Kettle' as product_name) from old",
    )
    assert all("Kettle" not in row for row in figure(purchases(source), "lift").rows)
    small.change(profiles, "from old where level = 'product'")
    told = figure(purchases(source), "lift")
    assert told.title.endswith("as everybody to buy Kettle")
    assert (told.columns[0], {row[0] for row in told.rows}) == ("product", {"Kettle"})


def test_a_trigger_that_shows_nothing_is_not_told(source: Source) -> None:
    told = figure(purchases(source), "times as many orders")
    assert [row[0] for row in told.rows] == ["price drop"]


@pytest.mark.parametrize("chapter", [activation, audiences, purchases])
def test_without_tables_each_figure_says_why_it_is_missing(source: Source, small: SmallLake, chapter) -> None:
    for path in (small.lake.root / "tables").rglob("*.parquet"):
        path.unlink()
    parts = chapter(source).parts
    assert len(parts) >= 4
    assert all(isinstance(part, Absent) and part.why.endswith(".") for part in parts)
