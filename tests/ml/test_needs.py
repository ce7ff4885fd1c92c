from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.config import load_configuration
from include.lake import Lake, replacing
from include.settings import DEFAULT_CONFIG
from ml.needs import STAGE_NEEDS, compare, find_needs, hold_up

DAY = date(2024, 6, 30)
MODELS = load_configuration(DEFAULT_CONFIG).models
COLUMNS = [
    "customer_id",
    "stage",
    "kind",
    "activity",
    "channel",
    "category",
    "content_category",
    "has_time_of_day",
    "occurred_at",
]


def _rows(customers, stage, kind, activity, categories, days) -> pd.DataFrame:
    """One row per customer, category and day before the end of the business day; customers may repeat."""
    moment = datetime(2024, 6, 30, 13)
    return pd.DataFrame(
        [
            (
                customer,
                stage,
                kind,
                activity,
                "shop",
                category,
                None,
                True,
                moment - timedelta(days=int(ago), seconds=number),
            )
            for number, (customer, category, ago) in enumerate(zip(customers, categories, days, strict=True))
        ],
        columns=COLUMNS,
    )


def _hand_over(lake: Lake, timeline: pd.DataFrame) -> None:
    with replacing(lake.table("cdp", "customer_timeline")) as path:
        timeline.to_parquet(path, index=False)


def _find(lake: Lake, timeline: pd.DataFrame) -> tuple[object, pd.DataFrame]:
    _hand_over(lake, timeline)
    summary = find_needs(lake, DAY, MODELS)
    return summary, pd.read_parquet(lake.ml(DAY, "stage_needs"))


def _buyers(stage: str, customers: int, times: int, billing: float, seed: int) -> pd.DataFrame:
    """Customers who call `times` times each; each call is about billing with the probability `billing`."""
    generator = np.random.default_rng(seed)
    who = np.repeat([f"{stage}{number:04d}" for number in range(customers)], times)
    about = np.where(generator.random(len(who)) < billing, "billing", "delivery")
    return _rows(who, stage, "interactions", "call", about, generator.integers(0, 80, len(who)))


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path)


def test_a_need_that_was_planted_in_a_stage_is_found_there(lake):
    timeline = pd.concat(
        [
            _buyers("loyal", 400, 3, 0.2, 0),
            _buyers("active", 400, 3, 0.2, 1),
            _buyers("at_risk", 200, 3, 0.6, 2),
        ]
    )
    summary, needs = _find(lake, timeline)
    assert summary.status == "reported"
    found = needs[needs["is_significant"] & (needs["lift"] > 1) & (needs["need"] == "billing")]
    assert found["stage"].tolist() == ["at_risk"]
    (row,) = found.to_dict("records")
    assert row["share"] == pytest.approx(0.6, abs=0.1) and row["share_elsewhere"] == pytest.approx(
        0.2, abs=0.05
    )
    assert row["low"] < row["share"] / (0.2 * 0.8 + 0.6 * 0.2) < row["high"]
    assert row["rank"] == 1
    assert row["meaning"].startswith("When customers at risk contact the service, ")
    assert "ask about billing" in row["meaning"] and "chance" not in row["meaning"]


def test_being_watched_longer_and_calling_more_often_is_no_need(lake):
    """Loyal customers call thirty times as often, about the same things: whoever counted callers about billing would
    find nearly all of them and few of the others."""
    timeline = pd.concat([_buyers("loyal", 300, 30, 0.2, 3), _buyers("first_time", 300, 1, 0.2, 4)])
    timeline["category"] = np.where(np.arange(len(timeline)) % 5 == 0, "billing", "delivery")
    assert (
        timeline[timeline["category"] == "billing"].groupby("stage")["customer_id"].nunique().tolist()[1]
        > 290
    )
    _, needs = _find(lake, timeline)
    reasons = needs[needs["need_kind"] == "service_reason"]
    assert len(reasons) == 4
    assert not reasons["is_significant"].any()
    assert reasons["share"].tolist() == pytest.approx(reasons["share_elsewhere"].tolist(), abs=0.12)


def test_what_was_sent_to_customers_is_not_their_doing_and_what_they_opened_is(lake):
    who = [f"c{number:03d}" for number in range(60)]
    both = [
        _rows(who[begin : begin + 30], stage, "messages", activity, ["spring"] * 30, range(30))
        for begin, stage in ((0, "lead"), (30, "active"))
        for activity in ("email_sent", "email_opened")
    ]
    asked = _rows(
        [f"x{number:02d}" for number in range(40)],
        "lead",
        "interactions",
        "call",
        ["billing"] * 40,
        range(40),
    )
    _, needs = _find(lake, pd.concat([*both, asked]))
    assert set(needs.loc[needs["need_kind"] == "activity", "need"]) == {"call", "email_opened"}


def test_cells_of_few_customers_are_not_shown(lake):
    timeline = pd.concat([_buyers("loyal", 200, 1, 0.5, 5), _buyers("at_risk", 60, 1, 0.1, 6)])
    timeline = pd.concat([timeline, _buyers("lapsed", 5, 1, 0.5, 7)])
    _, needs = _find(lake, timeline)
    assert set(needs["stage"]) == {"loyal", "at_risk"}
    assert (needs["with_need"] >= MODELS.needs.min_support).all()
    assert not ((needs["stage"] == "at_risk") & (needs["need"] == "billing")).any()


def test_only_what_was_done_in_the_window_counts(lake):
    inside = pd.concat([_buyers("loyal", 50, 1, 0.5, 8), _buyers("lead", 50, 1, 0.5, 9)])
    outside = _rows(
        [f"x{number}" for number in range(200)],
        "loyal",
        "interactions",
        "call",
        ["billing"] * 200,
        [90, -1] * 100,
    )
    _, alone = _find(lake, inside)
    _, both = _find(lake, pd.concat([inside, outside]))
    pd.testing.assert_frame_equal(both, alone)


def test_customers_in_the_stage_are_counted_from_the_history(lake):
    with replacing(lake.table("cdp", "customer_stages")) as path:
        pd.DataFrame(
            [
                ("a", "lead", datetime(2024, 1, 1), None),
                ("b", "lead", datetime(2024, 1, 1), datetime(2024, 4, 3)),
                ("c", "lead", datetime(2024, 1, 1), datetime(2024, 4, 1)),
                ("d", "loyal", datetime(2024, 7, 1), None),
            ],
            columns=["customer_id", "stage", "entered_at", "left_at"],
        ).to_parquet(path, index=False)
    _, needs = _find(lake, pd.concat([_buyers("loyal", 50, 1, 0.5, 8), _buyers("lead", 50, 1, 0.5, 9)]))
    assert set(needs.loc[needs["stage"] == "lead", "in_stage"]) == {2}
    assert needs.loc[needs["stage"] == "loyal", "in_stage"].isna().all()


def test_the_correction_counts_every_cell_that_was_looked_at():
    """Of 400 categories that say nothing, none stands out, although the smallest p-value alone would."""
    generator = np.random.default_rng(1)
    counts = pd.DataFrame(
        [
            ("category", stage, f"c{number:03d}", size, generator.binomial(size, 0.3))
            for number in range(400)
            for stage, size in (("lead", 100), ("loyal", 300))
        ],
        columns=["need_kind", "stage", "need", "customers", "with_need"],
    )
    cells = compare(counts, 20)
    assert len(cells) == 800
    assert cells["p_value"].min() < 0.01
    assert not cells["is_significant"].any()


def test_what_was_found_is_looked_at_again_in_later_days():
    early = pd.DataFrame(
        {"stage": ["a", "a", "b"], "need_kind": "channel", "need": ["x", "y", "x"], "lift": [2.0, 0.5, 1.5],
         "is_significant": [True, True, False]}
    )  # fmt: skip
    late = early.assign(lift=[1.2, 1.1, 0.1])
    assert (hold_up(early, late).found, hold_up(early, late).held) == (2, 1)


def test_two_runs_write_the_same_bytes_in_whatever_order_the_timeline_comes(lake):
    timeline = pd.concat([_buyers("loyal", 300, 2, 0.2, 3), _buyers("first_time", 300, 1, 0.3, 4)])
    names = ("stage_needs", "model_cards_needs")
    _find(lake, timeline)
    first = [lake.ml(DAY, name).read_bytes() for name in names]
    _find(lake, timeline.sample(frac=1, random_state=1))
    assert [lake.ml(DAY, name).read_bytes() for name in names] == first


@pytest.mark.parametrize("timeline", [None, 0, 3])
def test_without_two_stages_to_compare_the_table_is_typed_and_empty_and_says_why(timeline, lake):
    if timeline is not None:
        _hand_over(
            lake, _buyers("loyal", 100, 1, 0.2, 3).head(timeline).astype({"content_category": "string"})
        )
    summary = find_needs(lake, DAY, MODELS)
    assert summary.skipped
    table = pq.read_table(lake.ml(DAY, "stage_needs"))
    assert table.num_rows == 0 and table.schema.equals(STAGE_NEEDS)
    assert pq.read_table(lake.ml(DAY, "model_cards_needs"))["note"].to_pylist() == [
        f"skipped: {summary.note}"
    ]


def test_columns_that_are_all_unknown_are_no_needs(lake):
    timeline = pd.concat([_buyers("loyal", 100, 1, 0.2, 3), _buyers("lead", 100, 1, 0.2, 3)]).assign(
        category=None
    )
    visits = timeline.assign(
        customer_id="v" + timeline["customer_id"],
        activity="visit",
        channel="site",
        occurred_at=timeline["occurred_at"] - pd.Timedelta(hours=6),
    )
    _, needs = _find(lake, pd.concat([timeline, visits]).astype({"category": "string"}))
    assert set(needs["need_kind"]) == {"activity", "channel", "part_of_day"}


def test_a_day_without_a_time_is_no_part_of_the_day(lake):
    till = _buyers("loyal", 100, 1, 0.2, 3).assign(channel="till", has_time_of_day=False)
    till["occurred_at"] = till["occurred_at"].dt.normalize()
    _, needs = _find(lake, pd.concat([till, _buyers("lead", 100, 1, 0.2, 4)]))
    assert set(needs["need_kind"]) == {"channel", "service_reason"}


def test_what_everybody_does_is_no_need(lake):
    summary, needs = _find(lake, pd.concat([_buyers("loyal", 100, 1, 1, 3), _buyers("lead", 100, 1, 1, 4)]))
    assert summary.skipped and "differ in anything" in summary.note
    assert needs.empty
