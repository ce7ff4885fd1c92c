from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from include.config.schema import Propensity
from include.lake import Lake
from include.ledger import StepFailed
from ml.calibration import logit
from ml.classifier import MOST_SHIFT, NAIVE, at_level, learn
from ml.contest import BaseRate
from ml.propensity import score_customers
from ml.tables import CUSTOMER_SCORES, MODEL_CARDS
from tests.ml.shoppers import DAY, HORIZON, MODELS, hand_over


def _card(lake: Lake, score: str = "purchase_probability", day: date = DAY) -> pd.DataFrame:
    card = pd.read_parquet(lake.ml(day, "model_cards_propensity"))
    return card[card["model"] == score].set_index("metric")


def _scores(lake: Lake, day: date = DAY) -> pd.DataFrame:
    return pd.read_parquet(lake.ml(day, "customer_scores_propensity"))


@pytest.fixture(scope="module")
def learned(snapshots, tmp_path_factory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("learned"))
    hand_over(lake, "customer_feature_snapshots", snapshots)
    score_customers(lake, DAY, MODELS)
    return lake


@pytest.fixture(scope="module")
def half(snapshots) -> pd.DataFrame:
    """Enough customers to tell a good model from a poor one."""
    return snapshots[snapshots["customer_id"].str[-1].isin(list("01234"))].reset_index(drop=True)


def test_on_real_shoppers_the_model_beats_what_anybody_would_guess(learned):
    card = _card(learned)
    assert set(card["verdict"]) == {"promoted"}
    assert card.loc["auc", "value"] > 0.8
    assert card.loc["auc_difference", "low"] > 0
    assert card.loc["ece", "value"] <= 0.03
    assert card.loc["brier", "value"] < card.loc["brier", "baseline"]


def test_a_model_is_held_against_orders_so_far_where_these_foretell_best(half, lake):
    """Where all are watched for different times and nobody's last order is known, orders per day foretell less."""
    watched = np.random.default_rng(1).integers(1, 400, len(half))
    hand_over(
        lake, "customer_feature_snapshots", half.assign(days_observed=watched, recency_days=0, orders_84d=0)
    )
    score_customers(lake, DAY, MODELS)
    judged = half[half["as_of_date"] == pd.Timestamp(DAY - timedelta(days=HORIZON))]
    foretold = roc_auc_score(judged["bought_in_horizon"].astype(int), judged["frequency_orders"])
    card = _card(lake)
    assert card.loc["auc", "baseline_name"] == "the naive guess by orders so far"
    assert card.loc["auc", "baseline"] == pytest.approx(foretold)


def test_a_model_that_knows_no_more_than_the_orders_of_the_last_weeks_is_refused(lake):
    """Who buys hangs on the orders of the last 84 days alone, of which orders so far are a poor picture."""
    generator = np.random.default_rng(4)
    cutoffs = [DAY - timedelta(days=HORIZON * ago) for ago in (2, 1, 0)]
    people = pd.DataFrame(
        [(f"c{number:04d}", cutoff) for cutoff in cutoffs for number in range(1500)],
        columns=["customer_id", "as_of_date"],
    )
    people["is_current"] = people["as_of_date"] == DAY
    people["orders_84d"] = generator.poisson(3, len(people))
    people["frequency_orders"] = people["orders_84d"] + generator.integers(0, 20, len(people))
    bought = generator.random(len(people)) < 1 / (1 + np.exp(3 - people["orders_84d"]))
    people["bought_in_horizon"] = bought.astype(object).where(~people["is_current"], None)
    people["as_of_date"] = pd.to_datetime(people["as_of_date"])
    hand_over(lake, "customer_feature_snapshots", people)
    score_customers(lake, DAY, MODELS)
    card = _card(lake)
    assert card.loc["auc", "baseline_name"] == "the naive guess by orders in the last 84 days"
    assert set(card["verdict"]) == {"refused"}
    assert "model refused" in card.loc["auc_difference", "note"]
    scores = _scores(lake).set_index("customer_id")["value"]
    now = people[people["is_current"]].set_index("customer_id")["orders_84d"]
    assert scores[now[now == 6].index].mean() == pytest.approx(1 / (1 + np.exp(-3)), abs=0.05)
    assert scores[now[now == 0].index].mean() < 0.2


def test_every_current_customer_has_one_probability_inside_its_interval(learned, snapshots):
    scores = _scores(learned)
    current = snapshots[snapshots["is_current"]]
    assert set(scores["customer_id"]) == set(current["customer_id"])
    assert scores["customer_id"].is_unique
    assert (scores["low"] > 0).all() and (scores["high"] < 1).all()
    assert ((scores["low"] < scores["value"]) & (scores["value"] < scores["high"])).all()
    assert scores["percentile"].max() == 100
    assert scores["value"].mean() == pytest.approx(0.136, abs=0.03)


def test_the_level_is_that_of_the_newest_outcome_that_is_known(learned, snapshots):
    newest = snapshots[snapshots["as_of_date"] == pd.Timestamp(DAY - timedelta(days=HORIZON))]
    rate = newest["bought_in_horizon"].astype(float).mean()
    assert _scores(learned)["value"].mean() == pytest.approx(rate, abs=1e-6)


def test_a_level_far_from_the_models_is_approached_and_not_taken_over():
    people = pd.DataFrame({"customer_id": [f"c{number}" for number in range(100)], "as_of_date": DAY})
    labels = np.arange(100) % 10 == 0
    model = learn(people, labels * 1.0, BaseRate(), NAIVE, trained_until=DAY, bags=0, seed=0)
    before = model.probabilities(people)
    assert at_level(model, people, 0.11).probabilities(people).mean() == pytest.approx(0.11)
    for rate, moved in ((0.9, MOST_SHIFT), (0.001, -MOST_SHIFT)):
        twice = at_level(at_level(model, people, 0.11), people, rate)
        assert np.allclose(logit(twice.probabilities(people)) - logit(before), moved)
    assert at_level(model, people[:0], 0.9) == model


def test_what_a_customer_bought_before_orders_what_they_buy_after_the_day(learned, journey):
    scores = _scores(learned)
    buyers = journey.execute(
        "select distinct 'c' || lpad(household_id::varchar, 24, '0') as customer_id from lines "
        "where category = 'BEERS/ALES' and bought_at >= $day::date + 1 and bought_at < $day::date + 29",
        {"day": DAY},
    ).df()["customer_id"]
    assert len(buyers) > 200
    assert roc_auc_score(scores["customer_id"].isin(buyers), scores["value"]) > 0.8


def test_a_model_that_learns_nothing_is_refused_and_the_naive_guess_is_scored(half, lake):
    shuffled = half.copy()
    generator = np.random.default_rng(0)
    for cutoff, rows in shuffled.groupby("as_of_date").groups.items():
        if cutoff.date() != DAY:
            shuffled.loc[rows, "bought_in_horizon"] = generator.random(len(rows)) < 0.3
    hand_over(lake, "customer_feature_snapshots", shuffled)
    summary = score_customers(lake, DAY, MODELS)
    assert summary.status == "refused"
    assert set(_card(lake)["verdict"]) == {"refused"}
    scores = pd.read_parquet(lake.ml(DAY, "customer_scores_propensity"))
    assert len(scores) == summary.rows > 1000
    assert scores["value"].between(0.2, 0.4).all()


def test_a_model_that_ranks_worse_than_chance_is_refused_though_the_guess_is_worse_still(lake):
    """What was true of everybody before is the other way round in the newest outcome."""
    generator = np.random.default_rng(3)
    cutoffs = [DAY - timedelta(days=HORIZON * ago) for ago in (3, 2, 1, 0)]
    people = pd.DataFrame(
        [(f"c{number:04d}", cutoff) for cutoff in cutoffs for number in range(1500)],
        columns=["customer_id", "as_of_date"],
    )
    people["is_current"] = people["as_of_date"] == DAY
    people["frequency_orders"] = generator.integers(0, 20, len(people))
    people["visits_28d"] = generator.integers(0, 20, len(people))
    bought = people["frequency_orders"] + people["visits_28d"] + generator.normal(0, 2, len(people)) > 24
    turned = people["as_of_date"] == cutoffs[2]
    bought = bought.where(~turned, people["frequency_orders"] < 5)
    people["bought_in_horizon"] = bought.astype(object).where(~people["is_current"], None)
    people["as_of_date"] = pd.to_datetime(people["as_of_date"])
    hand_over(lake, "customer_feature_snapshots", people)
    score_customers(lake, DAY, MODELS)
    card = _card(lake)
    assert set(card["verdict"]) == {"refused"}
    assert card.loc["challenger_auc", "high"] < 0.5
    assert card.loc["challenger_auc", "value"] > card.loc["auc", "baseline"] + 0.05


def test_a_feature_from_the_future_is_refused_and_does_not_flatter_the_card(half, lake):
    telling = half["bought_in_horizon"].fillna(False).astype(float) * 3
    hand_over(lake, "customer_feature_snapshots", half.assign(loyalty_index=telling))
    score_customers(lake, DAY, MODELS)
    card = _card(lake)
    assert "loyalty_index" in card.loc["features", "note"]
    assert 0.8 < card.loc["auc", "value"] < 0.95


def test_when_nearly_everybody_buys_the_card_says_so_and_measures_on(half, lake):
    generator = np.random.default_rng(1)
    common = half.copy()
    known = common["bought_in_horizon"].notna()
    chance = 0.99 - 0.12 * (common["lines_per_order"] < common["lines_per_order"].median())
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
            [
                lake.ml(DAY, name).read_bytes()
                for name in ("customer_scores_propensity", "model_cards_propensity")
            ]
        )
    assert written[0] == written[1]


SKIPPED = {
    "without snapshots": (lambda frame: None, "nobody was known a horizon ago"),
    "without rows": (lambda frame: frame.iloc[:0], "nobody was known a horizon ago"),
    "with one known cutoff": (
        lambda frame: frame[frame["as_of_date"] > frame["as_of_date"].min()],
        "two cutoffs",
    ),
    "with few buyers": (lambda frame: frame.groupby("as_of_date").head(150), "at least 50"),
    "without any purchase": (
        lambda frame: frame.assign(bought_in_horizon=frame["bought_in_horizon"] & False),
        "0 buy within",
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


def _as_of(snapshots: pd.DataFrame, days: int) -> pd.DataFrame:
    """The same customers, every cutoff so many days later."""
    moved = [
        date.fromordinal(day.toordinal() + days) for day in pd.to_datetime(snapshots["as_of_date"]).dt.date
    ]
    return snapshots.assign(as_of_date=moved)


def _run(lake: Lake, snapshots: pd.DataFrame, days: int) -> pd.DataFrame:
    hand_over(lake, "customer_feature_snapshots", _as_of(snapshots, days))
    score_customers(lake, DAY + timedelta(days=days), MODELS)
    return _card(lake, day=DAY + timedelta(days=days))


def test_the_champion_scores_on_until_it_is_due_and_stays_when_its_challenger_is_no_better(half, lake):
    first, second, due = (_run(lake, half, days) for days in (0, 1, 7))
    assert set(first["verdict"]) == {"promoted"}
    assert set(second["verdict"]) == set(due["verdict"]) == {"kept"}
    assert "challenger_auc" not in second.index
    # The challenger learns the same from the same customers, so it does not beat the champion.
    assert due.loc["challenger_auc", "value"] == pytest.approx(due.loc["challenger_auc", "baseline"])
    assert "the champion of 2017-11-30 scores" in due.loc["auc_difference", "note"]
    scores = [_scores(lake, DAY + timedelta(days=days)) for days in (0, 7)]
    assert scores[0]["model_version"].unique() == scores[1]["model_version"].unique()
    assert scores[0]["value"].equals(scores[1]["value"])


def test_a_better_challenger_takes_over_when_it_is_due(snapshots, lake):
    poor = snapshots.drop(columns=[name for name in snapshots if "beer" in name])
    _run(lake, poor, 0)
    assert set(_run(lake, snapshots, 3)["verdict"]) == {"kept"}
    card = _run(lake, snapshots, 7)
    assert set(card["verdict"]) == {"promoted"}
    assert card.loc["challenger_auc", "value"] > card.loc["challenger_auc", "baseline"]


def test_a_champion_whose_features_are_gone_is_replaced_at_once(half, lake):
    _run(lake, half, 0)
    assert set(_run(lake, half.drop(columns=["beer_lines"]), 1)["verdict"]) == {"promoted"}


def test_a_category_is_foreseen_from_what_customers_had_to_do_with_it(half, lake):
    """Beer is the label of the half; here it is a category, and buying at all is something else."""
    bought = half[half["beer_lines"] > 0]
    category = pd.DataFrame(
        {
            "customer_id": bought["customer_id"],
            "as_of_date": bought["as_of_date"],
            "is_current": bought["is_current"],
            "category": "BEERS/ALES",
            "category_orders": bought["beer_lines"],
            "days_since_category_order": bought["recency_days"],
            "bought_in_horizon": bought["bought_in_horizon"],
        }
    )
    hand_over(lake, "customer_category_snapshots", category)
    hand_over(lake, "customer_feature_snapshots", half.drop(columns=["beer_lines", "beer_lines_56d"]))
    score_customers(lake, DAY, MODELS)
    score = "purchase_probability:BEERS/ALES"
    card = _card(lake, score)
    assert card.loc["auc", "value"] > 0.75
    assert card.loc["ece", "value"] <= 0.05  # of a thousand customers in ten bins
    counts = _scores(lake).groupby("score")["customer_id"].nunique()
    assert counts[score] == counts["purchase_probability"] == half["customer_id"].nunique()


def test_what_else_customers_do_can_be_foreseen_by_configuration(half, lake):
    models = MODELS.model_copy(
        update={
            "propensities": (
                Propensity.model_validate({"id": "redeems", "label": {"activity": "coupon_redeemed"}}),
            )
        }
    )
    happened = half[half["bought_in_horizon"].fillna(False).astype(bool)]
    hand_over(
        lake, "propensity_labels", happened[["customer_id", "as_of_date"]].assign(score="propensity:redeems")
    )
    hand_over(lake, "customer_feature_snapshots", half)
    score_customers(lake, DAY, models)
    asked, buying = _card(lake, "propensity:redeems"), _card(lake)
    assert asked.loc["base_rate", "value"] == buying.loc["base_rate", "value"]
    assert asked.loc["auc", "value"] == pytest.approx(buying.loc["auc", "value"])
