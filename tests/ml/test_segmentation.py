from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.config import load_configuration
from include.config.schema import Models, Segmentation
from include.lake import Lake
from include.settings import DEFAULT_CONFIG
from ml.evaluation import Estimate
from ml.segmentation import Trial, choose_number, segment_customers, try_numbers
from ml.tables import CUSTOMER_SEGMENTS, SEGMENTS
from ml.wording import name_group
from tests.ml.shoppers import DAY, MODELS, hand_over


@pytest.fixture(scope="module")
def current(snapshots) -> pd.DataFrame:
    """The current snapshot and twenty customers who have not bought."""
    bought = snapshots[snapshots["is_current"]]
    never = bought.head(20).assign(
        customer_id=[f"cnew{i:02d}" for i in range(20)],
        frequency_orders=0,
        orders_28d=0,
        orders_84d=0,
        monetary_total=0.0,
    )
    never = never.assign(recency_days=np.nan)
    return pd.concat([bought, never], ignore_index=True)


def _run(lake, frame, day=DAY, models=MODELS):
    hand_over(lake, "customer_feature_snapshots", frame.assign(as_of_date=pd.Timestamp(day)))
    summary = segment_customers(lake, day, models)
    segments = pd.read_parquet(lake.ml(day, "segments")).set_index("segment_id")
    members = pd.read_parquet(lake.ml(day, "customer_segments")).set_index("customer_id")["segment_id"]
    return summary, segments, members


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, current):
    """One day of segments: lake, summary, segments, segment of each customer."""
    lake = Lake(tmp_path_factory.mktemp("segmented"))
    return lake, *_run(lake, current)


def test_every_customer_is_in_one_segment_and_the_sizes_add_up(segmented, current):
    _, summary, segments, members = segmented
    assert summary.status == "reported"
    assert set(members.index) == set(current["customer_id"])
    assert members.index.is_unique
    assert segments["size"].to_dict() == members.value_counts().to_dict()
    assert segments["share"].sum() == pytest.approx(1)
    assert segments["name"].is_unique


def test_customers_who_never_bought_are_a_segment_of_their_own(segmented):
    _, _, segments, members = segmented
    assert set(members[members == "no_purchase_yet"].index) == {f"cnew{i:02d}" for i in range(20)}
    assert segments.loc["no_purchase_yet", "name"] == "No purchase yet"


def test_segments_differ_in_worth_and_their_numbers_are_those_of_their_members(segmented, current):
    _, _, segments, members = segmented
    spend = current.set_index("customer_id")["monetary_total"].groupby(members).mean()
    grouped = segments.drop(index="no_purchase_yet")
    assert grouped["mean_spend"].to_dict() == pytest.approx(spend.drop("no_purchase_yet").to_dict())
    assert grouped["mean_spend"].max() > 3 * grouped["mean_spend"].min()


def test_segments_keep_their_ids_when_the_next_day_differs_a_little_and_comes_in_another_order(lake, current):
    _, before, yesterday = _run(lake, current)
    generator = np.random.default_rng(4)
    changed = current.sample(frac=0.98, random_state=1)
    changed = changed.assign(
        frequency_orders=changed["frequency_orders"]
        + (changed["frequency_orders"] > 0) * generator.poisson(0.2, len(changed)),
        recency_days=changed["recency_days"] + 1,
    )
    _, after, today = _run(lake, changed, DAY + timedelta(days=1))
    assert set(after.index) == set(before.index)
    both = today.index.intersection(yesterday.index)
    assert (today[both] == yesterday[both]).mean() > 0.9


def test_a_new_segment_gets_a_number_that_was_never_used(lake, current):
    three = Models(segmentation=Segmentation(k_min=3, k_max=3))
    five = Models(segmentation=Segmentation(k_min=5, k_max=5))
    _run(lake, current, DAY, five)
    _run(lake, current, DAY + timedelta(days=1), three)
    _, segments, _ = _run(lake, current, DAY + timedelta(days=2), five)
    kept = set(pd.read_parquet(lake.ml(DAY + timedelta(days=1), "segments"))["segment_id"])
    new = set(segments.index) - kept
    assert len(kept & {"s01", "s02", "s03", "s04", "s05"}) >= 2
    assert new and all(int(name[1:]) > 5 for name in new)


def test_the_number_of_planted_groups_is_found():
    generator = np.random.default_rng(0)
    centers = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5]])
    matrix = np.vstack([generator.normal(center, 0.6, (80, 3)) for center in centers])
    chosen = choose_number(try_numbers(matrix, 2, 7, seed=0))
    assert chosen.k == 4
    assert chosen.stability.value > 0.95


def _trial(k: int, silhouette: float, stability: float = 0.9, smallest_share: float = 0.1) -> Trial:
    return Trial(k, np.zeros((k, 1)), Estimate(silhouette, 0, 1), Estimate(stability, 0, 1), smallest_share)


def test_more_segments_are_taken_while_they_are_nearly_as_distinct():
    assert choose_number([_trial(2, 0.30), _trial(5, 0.28), _trial(6, 0.26)]).k == 5


def test_segments_that_are_tiny_or_that_resampling_changes_do_not_count():
    trials = [_trial(2, 0.2), _trial(3, 0.5, stability=0.4), _trial(4, 0.5, smallest_share=0.01)]
    assert choose_number(trials).k == 2
    assert choose_number([_trial(3, 0.5, stability=0.4), _trial(4, 0.5, stability=0.5)]).k == 4


def test_yesterdays_number_is_kept_while_it_is_still_good():
    trials = [_trial(3, 0.30), _trial(4, 0.25), _trial(5, 0.20)]
    assert [choose_number(trials, before=k).k for k in (3, 4, 5)] == [3, 4, 3]


def test_the_card_holds_the_grouping_against_shuffled_columns(segmented):
    lake, *_ = segmented
    card = pd.read_parquet(lake.ml(DAY, "model_cards_segmentation")).set_index("metric")
    assert card.loc["silhouette", "low"] > card.loc["silhouette", "baseline"]
    assert card.loc["stability", "value"] > card.loc["stability", "baseline"]
    assert "Tried k=3" in card.loc["segments", "note"]


def test_a_segment_is_named_by_what_sets_it_apart():
    differences = {"orders_90d": 1.4, "average_order_value": 1.1, "coupon_share": 0.9, "weekend_share": 0.1}
    assert name_group(differences) == "Frequent, big baskets, promotion lovers"
    assert name_group({"orders_90d": 0.1}) == "Close to the average"
    assert name_group({"beer_lines_56d": 2.0, "beer_lines": 1.9}) == "High beer lines"


def test_a_description_states_the_numbers_it_rests_on(segmented):
    _, _, segments, _ = segmented
    first = segments.loc["s01"]
    assert first["description"].startswith(f"{first['size']:,} customers ({first['share']:.1%}): ")
    assert "standard deviations" in first["description"]


def test_two_runs_write_the_same_bytes(segmented, lake, current):
    names = ("segments", "customer_segments", "model_cards_segmentation")
    first = [segmented[0].ml(DAY, name).read_bytes() for name in names]
    _run(lake, current.iloc[::-1])
    assert [lake.ml(DAY, name).read_bytes() for name in names] == first


@pytest.mark.parametrize("rows", [None, 0, 30])
def test_too_few_buyers_give_typed_empty_tables_and_the_reason(rows, lake, current):
    if rows is not None:
        hand_over(lake, "customer_feature_snapshots", current.head(rows))
    summary = segment_customers(lake, DAY, MODELS)
    assert summary.skipped
    for name, schema in (("segments", SEGMENTS), ("customer_segments", CUSTOMER_SEGMENTS)):
        table = pq.read_table(lake.ml(DAY, name))
        assert table.num_rows == 0 and table.schema.equals(schema)
    note = pq.read_table(lake.ml(DAY, "model_cards_segmentation"))["note"].to_pylist()
    assert note == [f"skipped: {summary.note}"]


def test_the_default_configuration_drives_it(lake, current):
    summary, segments, _ = _run(lake, current, models=load_configuration(DEFAULT_CONFIG).models)
    assert summary.status == "reported"
    assert 2 <= len(segments.drop(index="no_purchase_yet")) <= 8
