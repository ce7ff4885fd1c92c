from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from include.ledger import StepFailed
from ml.propensity import assess, learn_and_score, score_customers
from ml.tables import CUSTOMER_SCORES, MODEL_CARDS
from tests.ml.shoppers import DAY, HORIZON, Models, hand_over

MODELS = Models()


def _card(lake) -> pd.DataFrame:
    return pd.read_parquet(lake.ml(DAY, "model_cards_propensity")).set_index("metric")


@pytest.fixture(scope="module")
def learned(snapshots):
    return learn_and_score(snapshots, DAY, HORIZON, MODELS.seed)


def test_on_real_shoppers_the_model_beats_what_anybody_would_guess(learned):
    _, card, _ = learned
    lines = {line.metric: line for line in card.lines}
    assert lines["auc_difference"].verdict == "promoted"
    assert lines["auc"].estimate.value > 0.8
    assert lines["auc"].estimate.low > lines["auc"].baseline
    assert lines["ece"].estimate.value <= 0.03
    assert lines["brier"].estimate.value < lines["brier"].baseline


def test_every_current_customer_has_one_probability_inside_its_interval(learned, snapshots):
    scores, _, _ = learned
    current = snapshots[snapshots["is_current"]]
    assert set(scores["customer_id"]) == set(current["customer_id"])
    assert scores["customer_id"].is_unique
    assert (scores["low"] > 0).all() and (scores["high"] < 1).all()
    assert ((scores["low"] < scores["value"]) & (scores["value"] < scores["high"])).all()
    assert scores["percentile"].max() == 100
    assert scores["value"].mean() == pytest.approx(0.136, abs=0.03)


def test_what_a_customer_bought_before_orders_what_they_buy_after_the_day(learned, journey):
    scores, _, _ = learned
    buyers = journey.execute(
        "select distinct 'c' || lpad(household_id::varchar, 24, '0') as customer_id from lines "
        "where category = 'BEERS/ALES' and bought_at >= $day::date + 1 and bought_at < $day::date + 29",
        {"day": DAY},
    ).df()["customer_id"]
    assert len(buyers) > 200
    assert roc_auc_score(scores["customer_id"].isin(buyers), scores["value"]) > 0.8


def test_a_model_that_learns_nothing_is_refused_and_the_naive_guess_is_scored(snapshots, lake):
    shuffled = snapshots.copy()
    generator = np.random.default_rng(0)
    for cutoff, rows in shuffled.groupby("as_of_date").groups.items():
        if cutoff.date() != DAY:
            shuffled.loc[rows, "bought_in_horizon"] = generator.random(len(rows)) < 0.3
    hand_over(lake, "customer_feature_snapshots", shuffled)
    summary = score_customers(lake, DAY, MODELS)
    assert summary.status == "refused"
    assert set(_card(lake)["verdict"]) == {"refused"}
    scores = pd.read_parquet(lake.ml(DAY, "customer_scores_propensity"))
    assert len(scores) == summary.rows > 2000
    assert scores["value"].between(0.2, 0.4).all()


def test_a_feature_from_the_future_is_refused_and_does_not_flatter_the_card(snapshots):
    planted = snapshots.assign(loyalty_index=snapshots["bought_in_horizon"].fillna(False).astype(float) * 3)
    older, later = (
        planted[planted["as_of_date"] == cutoff] for cutoff in sorted(planted["as_of_date"].unique())[:2]
    )
    assessment = assess(older, later, HORIZON, MODELS.seed)
    lines = {line.metric: line for line in assessment.lines}
    assert "loyalty_index" in lines["features"].note
    assert 0.8 < lines["auc"].estimate.value < 0.95


def test_when_nearly_everybody_buys_the_card_says_so_and_measures_on(snapshots, lake):
    generator = np.random.default_rng(1)
    common = snapshots.copy()
    known = common["bought_in_horizon"].notna()
    chance = 0.99 - 0.12 * (common["orders_84d"] < 5)
    common.loc[known, "bought_in_horizon"] = generator.random(known.sum()) < chance[known]
    hand_over(lake, "customer_feature_snapshots", common)
    score_customers(lake, DAY, MODELS)
    card = _card(lake)
    assert 0.9 < card.loc["base_rate", "value"] < 0.99
    assert "nearly everybody" in card.loc["base_rate", "note"]
    assert 0.5 < card.loc["auc", "value"] < 0.9
    assert card.loc["ece", "value"] < 0.03


def test_two_runs_write_the_same_bytes(snapshots, lake):
    written = []
    fewer = snapshots[snapshots["customer_id"].str[-1].isin(list("0123456"))]
    for order in (1, -1):
        hand_over(lake, "customer_feature_snapshots", fewer.iloc[::order])
        score_customers(lake, DAY, MODELS)
        written.append(
            [lake.ml(DAY, name).read_bytes() for name in ("customer_scores_propensity", "model_cards_propensity")]
        )
    assert written[0] == written[1]


SKIPPED = {
    "without snapshots": (lambda frame: None, "no customer features"),
    "without rows": (lambda frame: frame.iloc[:0], "no customer features"),
    "with one known cutoff": (
        lambda frame: frame[frame["as_of_date"] > frame["as_of_date"].min()],
        "two cutoffs",
    ),
    "with few buyers": (lambda frame: frame.groupby("as_of_date").head(300), "at least 100"),
    "without any purchase": (
        lambda frame: frame.assign(bought_in_horizon=frame["bought_in_horizon"] & False),
        "0 bought",
    ),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_too_little_data_gives_typed_empty_tables_and_the_reason(case, snapshots, lake):
    reduce, reason = SKIPPED[case]
    frame = reduce(snapshots)
    if frame is not None:
        hand_over(lake, "customer_feature_snapshots", frame)
    summary = score_customers(lake, DAY, MODELS)
    assert summary.skipped and reason in str(summary)
    scores = pq.read_table(lake.ml(DAY, "customer_scores_propensity"))
    assert scores.num_rows == 0 and scores.schema.equals(CUSTOMER_SCORES)
    card = pq.read_table(lake.ml(DAY, "model_cards_propensity"))
    assert card.schema.equals(MODEL_CARDS)
    assert card["note"].to_pylist() == [f"skipped: {summary.note}"]


def test_snapshots_of_another_day_stop_the_step(snapshots, lake):
    hand_over(lake, "customer_feature_snapshots", snapshots)
    with pytest.raises(StepFailed, match="is of 2017-11-30"):
        score_customers(lake, DAY + timedelta(days=1), MODELS)
