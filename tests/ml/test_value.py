from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.special import hyp2f1
from scipy.stats import spearmanr

from include.config import load_configuration
from include.lake import Lake, replacing
from include.settings import DEFAULT_CONFIG
from ml.evaluation import auc
from ml.expectation import deviances, normalised_gini
from ml.first_buying import FirstBuying, fit_first_buying
from ml.repeat_buying import (
    History,
    NotFitted,
    RepeatBuying,
    active_interval,
    choose_repeat_buying,
    expected_amount,
    fit_repeat_buying,
    fit_spending,
    forecast,
    probability_active,
    summarise,
    uncertainty,
)
from ml.tables import CUSTOMER_SCORES
from ml.value import Sobering, choose_cutoffs, value_customers
from tests.ml.shoppers import hand_over

CALIBRATED = date(1997, 9, 30)
WEEKS = 39
SCORES = {"probability_active", "expected_orders", "expected_value"}


@dataclass(frozen=True)
class Value:
    horizon_days: int = 90


@dataclass(frozen=True)
class Models:
    seed: int = 7
    value: Value = field(default_factory=Value)


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """Orders of the CDNOW sample, 2,357 customers first seen early in 1997, one a day as published."""
    path = Path(find_spec("lifetimes").origin).parent / "datasets" / "CDNOW_sample.txt"
    names = ["master_id", "customer_id", "day", "discs", "amount"]
    frame = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype={"customer_id": str})
    frame["ordered_at"] = pd.to_datetime(frame["day"].astype(str))
    return frame.groupby(["customer_id", "ordered_at"], as_index=False)["amount"].sum()


def _summary(orders: pd.DataFrame, day: date, unit: float = 7.0) -> pd.DataFrame:
    """Purchases, recency and age of each customer by plain pandas."""
    past = orders[orders["ordered_at"] <= pd.Timestamp(day)].sort_values(["customer_id", "ordered_at"])
    grouped = past.groupby("customer_id")["ordered_at"]
    pauses = grouped.diff().dt.days / unit
    return pd.DataFrame(
        {
            "repeats": grouped.size() - 1.0,
            "last": (grouped.max() - grouped.min()).dt.days / unit,
            "age": (pd.Timestamp(day) - grouped.min()).dt.days / unit,
            "log_pauses": np.log(pauses).fillna(0).groupby(past["customer_id"]).sum(),
            "repeat_amount": past["amount"].where(pauses.notna(), 0).groupby(past["customer_id"]).sum(),
        }
    )


def _history(summary: pd.DataFrame) -> History:
    columns = (summary[name].to_numpy() for name in ("repeats", "last", "age", "log_pauses"))
    return History(*columns, np.ones(len(summary)))


def _summarised(summary: pd.DataFrame) -> History:
    return summarise(*(summary[name].to_numpy() for name in ("repeats", "last", "age", "log_pauses")))


def _lay(lake: Lake, orders: pd.DataFrame, first_seen: pd.Series | None = None) -> None:
    """Hand over orders (customer_id, ordered_at, amount) and the customers, of whom all with an order are some."""
    hand_over(
        lake,
        "customer_orders",
        pd.DataFrame(
            {
                "customer_id": orders["customer_id"].astype(str),
                "ordered_at": pd.to_datetime(orders["ordered_at"]),
                "total_amount": orders["amount"].astype(float),
            }
        ),
    )
    if first_seen is None:
        first_seen = orders.groupby("customer_id")["ordered_at"].min()
    customers = first_seen.rename("first_seen_at").rename_axis("customer_id").reset_index()
    with replacing(lake.table("cdp", "customers")) as path:
        customers.to_parquet(path, index=False)


def _scores(lake: Lake, day: date) -> pd.DataFrame:
    frame = pd.read_parquet(lake.ml(day, "customer_scores_value"))
    return frame.pivot(index="customer_id", columns="score")


def _card(lake: Lake, day: date) -> pd.DataFrame:
    return pd.read_parquet(lake.ml(day, "model_cards_value")).set_index(["model", "metric"])


def _simulate(
    model: RepeatBuying, customers: int, age: float, seed: int, ahead: float = 0.0
) -> tuple[History, np.ndarray]:
    """Customers who buy as the model says: their history at `age`, and how often each buys in the time `ahead`."""
    generator = np.random.default_rng(seed)
    rate = generator.gamma(model.shape, 1 / model.scale, customers)
    stop = generator.beta(model.a, model.b, customers)
    most = 80 * model.regularity
    pauses = generator.gamma(model.regularity, 1, (customers, most)) / rate[:, None]
    stopped = generator.random((customers, most)) < stop[:, None]
    if not model.may_stop_at_once:
        stopped[:, 0] = False
    # The n-th repeat comes if the customer has not stopped at any purchase before it.
    happens = np.cumsum(stopped, axis=1) == 0
    times = np.where(happens, np.cumsum(pauses, axis=1), np.inf)
    known = times <= age
    history = History(
        known.sum(axis=1).astype(float),
        np.where(known, times, 0).max(axis=1),
        np.full(customers, age),
        np.where(known, np.log(pauses), 0).sum(axis=1),
        np.ones(customers),
    )
    return history, ((times > age) & (times <= age + ahead)).sum(axis=1)


def test_the_published_parameters_of_bg_nbd_come_out_on_cdnow(cdnow):
    """Fader, Hardie and Lee (2005), table 2."""
    fitted = fit_repeat_buying(_summarised(_summary(cdnow, CALIBRATED)))
    assert (fitted.shape, fitted.scale, fitted.a, fitted.b) == pytest.approx(
        (0.243, 4.414, 0.793, 2.426), abs=0.01
    )
    assert fitted.log_likelihood == pytest.approx(-9582.4, abs=0.1)


def test_the_published_parameters_of_gamma_gamma_come_out_on_cdnow(cdnow):
    """Fader and Hardie (2013), section 5: of customers with a repeat purchase, by their repeat purchases."""
    summary = _summary(cdnow, CALIBRATED).query("repeats > 0")
    fitted = fit_spending(
        summary["repeats"].to_numpy(), (summary["repeat_amount"] / summary["repeats"]).to_numpy()
    )
    assert (fitted.p, fitted.q, fitted.scale) == pytest.approx((6.25, 3.74, 15.44), abs=0.01)
    assert fitted.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    shares = expected_amount(fitted, np.array([0.0, 1e6]), np.array([0.0, 50.0]))
    assert shares == pytest.approx([6.25 * 15.44 / 2.74, 50.0], rel=0.01)


def test_the_sum_of_terms_is_the_closed_form_of_the_paper(cdnow):
    """Equation 10 of Fader, Hardie and Lee (2005)."""
    model = RepeatBuying(0.243, 4.414, 0.793, 2.426, False, 1, 0.0)
    history = _history(_summary(cdnow, CALIBRATED))
    x, last, age, t = history.repeats, history.last, history.age, float(WEEKS)
    r, alpha, a, b = 0.243, 4.414, 0.793, 2.426
    series = hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + age + t))
    numerator = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + t)) ** (r + x) * series)
    stopped = np.where(x > 0, a / (b + x - 1) * ((alpha + age) / (alpha + last)) ** (r + x), 0.0)
    expected = forecast(model, history, t)
    np.testing.assert_allclose(expected.purchases, numerator / (1 + stopped), rtol=1e-5)
    np.testing.assert_allclose(expected.active, 1 / (1 + stopped), rtol=1e-9)


def test_thousands_of_purchases_are_summed_as_few_are():
    """Whoever bought so often that the first term of the sum is no float any more."""
    model = RepeatBuying(0.9, 8.0, 1e-6, 50.0, True, 1, 0.0)
    often = History(*(np.array([value]) for value in (7_000.0, 7_000.0, 7_000.0, 0.0, 1.0)))
    expected = forecast(model, often, 1_000.0)
    assert expected.purchases[0] == pytest.approx((7_000 + 0.9) / (7_000 + 8) * 1_000, rel=1e-3)
    assert expected.any_purchase[0] == pytest.approx(1)


@pytest.mark.parametrize("regularity", [1, 3])
def test_a_simulated_company_gives_back_its_parameters_and_its_future(regularity):
    truth = RepeatBuying(0.9, 8.0 / regularity, 0.6, 2.5, True, regularity, 0.0)
    history, later = _simulate(truth, 4_000, age=52.0, seed=1, ahead=26.0)
    fitted = choose_repeat_buying(history)
    assert fitted.regularity == regularity
    assert (fitted.shape, fitted.scale * regularity) == pytest.approx((0.9, 8.0), rel=0.2)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(0.6 / 3.1, rel=0.1)
    expected = forecast(fitted, history, 26.0)
    assert expected.purchases.sum() == pytest.approx(later.sum(), rel=0.05)
    assert expected.any_purchase.mean() == pytest.approx((later > 0).mean(), abs=0.02)
    tenth = np.argsort(expected.purchases)[-400:]
    assert expected.purchases[tenth].mean() == pytest.approx(later[tenth].mean(), rel=0.1)


def test_the_interval_of_being_active_holds_the_true_parameters_value():
    truth = RepeatBuying(0.9, 8.0, 0.6, 2.5, True, 1, 0.0)
    held = []
    for seed in range(10):
        history, _ = _simulate(truth, 800, age=52.0, seed=seed)
        fitted = fit_repeat_buying(history, may_stop_at_once=True)
        low, high = active_interval(fitted, uncertainty(fitted, history), history, 1.645)
        right = probability_active(truth, history)
        held.append(((low <= right) & (right <= high)).mean())
    assert 0.75 < np.mean(held) < 0.99


def test_without_a_repeat_purchase_nothing_is_fitted():
    nothing = History(np.zeros(5), np.zeros(5), np.arange(5.0), np.zeros(5), np.ones(5))
    with pytest.raises(NotFitted, match="bought again"):
        fit_repeat_buying(nothing)
    with pytest.raises(NotFitted, match="amounts do not differ"):
        fit_spending(np.ones(5), np.full(5, 9.0))


@pytest.fixture(scope="module")
def valued(cdnow, tmp_path_factory) -> Lake:
    """CDNOW's customers valued at the end of the published calibration, over the published 39 weeks."""
    lake = Lake(tmp_path_factory.mktemp("valued"))
    _lay(lake, cdnow[cdnow["ordered_at"] <= pd.Timestamp(CALIBRATED)])
    value_customers(lake, CALIBRATED, Models(value=Value(7 * WEEKS)))
    return lake


@pytest.fixture(scope="module")
def outcome(cdnow) -> pd.DataFrame:
    """What each of them ordered and spent in the 39 weeks after, and what they had spent before."""
    before = cdnow["ordered_at"] <= pd.Timestamp(CALIBRATED)
    later = cdnow[~before].groupby("customer_id")["amount"].agg(["size", "sum"])
    past = cdnow[before].groupby("customer_id")["amount"].sum()
    return later.reindex(past.index).fillna(0).assign(past=past)


def test_on_cdnows_hold_out_orders_and_worth_are_foretold_better_than_by_past_spend(valued, outcome):
    value = _scores(valued, CALIBRATED)["value"].loc[outcome.index]
    orders, spent = outcome["size"].to_numpy(float), outcome["sum"].to_numpy(float)
    assert np.abs(value["expected_orders"] - orders).mean() <= 0.79
    assert np.abs(value["expected_value"] - spent).mean() < 31
    gini = normalised_gini(spent, value["expected_value"].to_numpy())
    assert gini >= 0.69
    assert gini > normalised_gini(spent, outcome["past"].to_numpy())
    bought = (orders > 0).astype(float)
    assert auc(bought, value["expected_orders"].to_numpy()) > 0.77


def test_nine_of_ten_outcomes_lie_in_the_intervals(valued, outcome):
    scores = _scores(valued, CALIBRATED).loc[outcome.index]
    for score, column in (("expected_orders", "size"), ("expected_value", "sum")):
        inside = (scores["low"][score] <= outcome[column]) & (outcome[column] <= scores["high"][score])
        assert 0.85 <= inside.mean() <= 0.95


def test_the_card_says_how_good_it_was_on_a_later_period(valued):
    card = _card(valued, CALIBRATED)
    assert card.loc[("expected_value", "nearer_by"), "verdict"] == "promoted"
    assert "days after 1997-07-02" in card.loc[("expected_value", "nearer_by"), "note"]
    assert card.loc[("expected_value", "mae"), "value"] < card.loc[("expected_value", "mae"), "baseline"]
    assert 0.85 < card.loc[("expected_orders", "coverage"), "value"] < 0.95
    again = card.loc[("probability_active", "buys_again")]
    assert again["value"] == pytest.approx(again["baseline"], abs=0.03)


def test_a_model_too_sure_of_who_is_active_is_sobered_where_that_foretells_better(valued):
    card = _card(valued, CALIBRATED).loc["probability_active"]
    assert card.loc["log_loss_gain", "verdict"] == "promoted"
    assert card.loc["log_loss_gain", "low"] > 0
    assert 0 < card.loc["slope", "value"] < 1
    sobered = Sobering(card.loc["slope", "value"], card.loc["intercept", "value"])
    assert (np.diff(sobered(np.array([0.0, 0.2, 0.9, 1.0]))) > 0).all()
    np.testing.assert_allclose(Sobering(1.0, 0.0)(np.array([0.1, 0.7])), [0.1, 0.7])


def test_every_customer_has_every_score_inside_its_interval(valued, cdnow):
    frame = pq.read_table(valued.ml(CALIBRATED, "customer_scores_value"))
    assert frame.schema.equals(CUSTOMER_SCORES)
    scores = frame.to_pandas()
    assert set(scores["score"]) == SCORES
    assert len(scores) == 3 * cdnow["customer_id"].nunique() == 3 * 2357
    assert scores.notna().all(axis=None)
    assert ((scores["low"] <= scores["value"]) & (scores["value"] <= scores["high"])).all()
    assert (scores["low"] >= 0).all()
    assert scores["percentile"].between(0, 100).all()


def test_whoever_bought_once_long_ago_is_hardly_active(valued, cdnow):
    active = _scores(valued, CALIBRATED)["value"]["probability_active"]
    summary = _summary(cdnow, CALIBRATED)
    once = active[summary.index[summary["repeats"] == 0]]
    assert once.max() < 0.6
    assert spearmanr(summary.loc[once.index, "age"], once).statistic < -0.99


def test_neither_a_second_run_nor_the_order_of_rows_nor_what_comes_after_the_day_changes_a_byte(
    valued, cdnow, tmp_path
):
    lake = Lake(tmp_path)
    _lay(lake, cdnow.sample(frac=1, random_state=3))
    value_customers(lake, CALIBRATED, Models(value=Value(7 * WEEKS)))
    for name in ("customer_scores_value", "model_cards_value"):
        assert lake.ml(CALIBRATED, name).read_bytes() == valued.ml(CALIBRATED, name).read_bytes()


def test_a_grocers_regular_customers_are_foretold_better_than_by_their_past_rate(journey, tmp_path):
    day, horizon = date(2017, 10, 2), 90
    orders = journey.execute(
        "select 'h' || household_id as customer_id, bought_at as ordered_at, spend::double as amount from baskets"
    ).df()
    lake = Lake(tmp_path)
    _lay(lake, orders[orders["ordered_at"] < pd.Timestamp(day + timedelta(days=1))])
    assert value_customers(lake, day, Models()).status == "promoted"
    scores = _scores(lake, day)
    until = pd.Timestamp(day + timedelta(days=horizon + 1))
    later = orders[
        (orders["ordered_at"] >= pd.Timestamp(day + timedelta(days=1))) & (orders["ordered_at"] < until)
    ]
    came = later.groupby("customer_id")["amount"].agg(["size", "sum"]).reindex(scores.index).fillna(0)
    expected = scores["value"]
    assert np.abs(expected["expected_orders"] - came["size"]).mean() < 6.0
    assert expected["expected_orders"].sum() == pytest.approx(came["size"].sum(), rel=0.05)
    assert normalised_gini(came["sum"].to_numpy(), expected["expected_value"].to_numpy()) > 0.845


def _random_orders(
    customers: int, seed: int, first: date = date(2020, 1, 1), days: int = 365
) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    who = np.repeat(np.arange(customers), generator.integers(1, 6, customers))
    offsets = generator.integers(0, days, len(who))
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:04d}" for number in who],
            "ordered_at": pd.Timestamp(first) + pd.to_timedelta(offsets, unit="D"),
            "amount": 5.0 + generator.integers(0, 50, len(who)),
        }
    )


LAST = date(2020, 12, 31)


LEADS = 3_000


def _first_orders(people: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """People first seen 180 days before the last day, each with a rate of their own of buying for the first time; who
    has bought orders every ten days. Their orders until 90 days after the last day, and when they were seen."""
    generator = np.random.default_rng(seed)
    first = generator.exponential(1 / generator.gamma(0.5, 1 / 40, people))
    ages = [(who, day) for who in range(people) for day in np.arange(first[who], 270, 10)]
    seen = LAST - timedelta(days=180)
    orders = pd.DataFrame(
        {
            "customer_id": [f"lead{who:04d}" for who, _ in ages],
            "ordered_at": [pd.Timestamp(seen) + pd.Timedelta(days=int(day) + 1) for _, day in ages],
            "amount": 20.0,
        }
    )
    return orders, pd.Series(pd.Timestamp(seen), index=[f"lead{who:04d}" for who in range(people)])


@pytest.fixture(scope="module")
def leads(tmp_path_factory) -> tuple[Lake, pd.DataFrame, pd.Index]:
    """A company with leads who are fewer every day: the lake valued at the last day, all orders, and the leads then."""
    lake = Lake(tmp_path_factory.mktemp("leads"))
    orders, seen = _first_orders(LEADS, 6)
    everything = pd.concat([orders, _random_orders(300, 2)])
    known = everything[everything["ordered_at"] < pd.Timestamp(LAST + timedelta(days=1))]
    firsts = known.groupby("customer_id")["ordered_at"].min()
    _lay(lake, known, pd.concat([seen, firsts[firsts.index.str.startswith("c")]]))
    value_customers(lake, LAST, Models())
    return lake, orders, seen.index.difference(known["customer_id"])


def test_who_has_not_bought_for_long_is_not_expected_to_buy_as_those_did_who_were_there_before(leads):
    lake, orders, waiting = leads
    value = _scores(lake, LAST)["value"].loc[waiting]
    later = orders[orders["customer_id"].isin(waiting)]
    bought, ordered = later["customer_id"].nunique() / len(waiting), len(later)
    assert len(waiting) > 500 and bought > 0.1
    assert value["probability_active"].mean() == pytest.approx(bought, rel=0.15)
    assert value["expected_orders"].sum() == pytest.approx(ordered, rel=0.2)
    assert value["expected_value"].sum() == pytest.approx(20 * ordered, rel=0.2)
    cutoff = pd.Timestamp(LAST - timedelta(days=90))
    first = orders.groupby("customer_id")["ordered_at"].min()
    watched = LEADS - (first <= cutoff).sum()
    before = (first.between(cutoff + pd.Timedelta(days=1), pd.Timestamp(LAST))).sum() / watched
    assert before > 1.25 * bought


def test_the_card_says_how_leads_were_foretold_apart_from_buyers(leads):
    lake, orders, _ = leads
    card = _card(lake, LAST)
    first = orders.groupby("customer_id")["ordered_at"].min()
    cutoff = pd.Timestamp(LAST - timedelta(days=90))
    watched = LEADS - (first <= cutoff).sum()
    came = (first.between(cutoff + pd.Timedelta(days=1), pd.Timestamp(LAST))).sum()
    buy = card.loc[("probability_active", "leads_buy")]
    assert buy["baseline"] == pytest.approx(came / watched)
    assert buy["value"] == pytest.approx(came / watched, abs=0.04)
    error = card.loc[("probability_active", "ece_of_leads")]
    assert error["value"] < error["baseline"]
    for score in ("expected_orders", "expected_value"):
        total = card.loc[(score, "leads_total_error")]
        assert abs(total["value"]) < 0.2 < total["baseline"]
        assert f"{watched:,} leads of 2020-10-02, of whom {came:,} bought" in total["note"]


def test_the_interval_of_a_lead_is_from_nothing_to_at_least_one_order(leads):
    lake, _, waiting = leads
    scores = _scores(lake, LAST).loc[waiting]
    assert scores.notna().all(axis=None)
    assert (scores["low"]["expected_value"] == 0).all()
    assert (scores["high"]["expected_orders"] >= 1).all()
    active = scores["value"]["probability_active"]
    assert (scores["low"]["probability_active"] < active).all()
    assert (active < scores["high"]["probability_active"]).all()


def test_rates_of_first_purchases_are_found_from_those_who_were_watched():
    """Waiting times of gamma distributed rates are those of the closed form."""
    generator = np.random.default_rng(5)
    truth = FirstBuying(0.5, 40.0)
    waits = generator.exponential(1 / generator.gamma(truth.shape, 1 / truth.scale, 20_000))
    found = fit_first_buying(waits[waits <= 90], len(waits), 90)
    watched = np.array([0.0, 45.0, 90.0])
    np.testing.assert_allclose(found.chance(watched, 90), truth.chance(watched, 90), rtol=0.05)
    left = np.maximum(90 - waits, 0).mean()
    assert found.days_left(np.zeros(1), 90)[0] == pytest.approx(left, rel=0.05)
    assert truth.days_left(np.zeros(1), 90)[0] == pytest.approx(left, rel=0.03)


@pytest.mark.parametrize(("bought", "rate"), [(0, 0.0), (1, 0.01), (100, 0.95)])
def test_where_next_to_nobody_or_everybody_bought_the_chance_is_no_extreme(bought, rate):
    chance = fit_first_buying(np.full(bought, 30.0), 100, 90).chance(np.zeros(1), 90)[0]
    assert 0 < chance < 1
    assert chance == pytest.approx(rate, abs=0.02)


def test_who_is_first_seen_after_the_day_is_nobody_yet(lake):
    orders = _random_orders(60, 5)
    seen = pd.Series(pd.to_datetime(["2020-12-31 23:59", "2021-01-01 00:00"]), index=["lead", "of tomorrow"])
    _lay(lake, orders, pd.concat([orders.groupby("customer_id")["ordered_at"].min(), seen]))
    value_customers(lake, LAST, Models())
    scored = _scores(lake, LAST).index
    assert "lead" in scored and "of tomorrow" not in scored


def test_a_refund_takes_from_what_a_customer_spent_and_is_no_purchase(lake):
    orders = _random_orders(300, 4)
    big = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "b", "b"],
            "ordered_at": pd.to_datetime(
                ["2020-03-01", "2020-11-01", "2020-03-01", "2020-11-01", "2020-11-20"]
            ),
            "amount": [500.0, 500.0, 500.0, 500.0, -900.0],
        }
    )
    _lay(lake, pd.concat([orders, big]))
    value_customers(lake, LAST, Models())
    value = _scores(lake, LAST)["value"]
    assert value.loc["b", "expected_orders"] <= value.loc["a", "expected_orders"] + 1e-9
    assert value.loc["b", "expected_value"] < 0.6 * value.loc["a", "expected_value"]


def test_a_company_without_amounts_gets_orders_and_no_value(lake):
    _lay(lake, _random_orders(300, 5).assign(amount=0.0))
    value_customers(lake, LAST, Models())
    assert set(_scores(lake, LAST)["value"].columns) == SCORES - {"expected_value"}
    card = _card(lake, LAST)
    assert card.loc[("expected_value", "none"), "note"] == "skipped: no order has an amount"


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        (_random_orders(10, 6), "customers have bought again, at least 30 are needed"),
        (_random_orders(400, 7, LAST, 1), "days of history are needed"),
        (_random_orders(400, 7, LAST - timedelta(days=60), 1), "0 customers have bought again"),
        (_random_orders(1, 8, LAST, 1).head(1), "days of history are needed"),
    ],
    ids=["ten customers", "one day", "one day long ago", "one order"],
)
def test_without_enough_to_learn_from_the_past_rate_is_scored_and_the_card_says_why(lake, orders, reason):
    _lay(lake, orders)
    summary = value_customers(lake, LAST, Models())
    assert summary.status == "reported"
    scores = _scores(lake, LAST)
    assert len(scores) == orders["customer_id"].nunique()
    assert scores.notna().all(axis=None)
    assert (scores["low"]["expected_orders"] == 0).all() and (scores["high"]["expected_orders"] >= 0).all()
    assert reason in _card(lake, LAST).loc[("expected_orders", "none"), "note"]


def test_customers_who_all_left_are_worth_next_to_nothing(lake):
    _lay(lake, _random_orders(500, 9, days=40))
    assert value_customers(lake, LAST, Models()).status == "promoted"
    value = _scores(lake, LAST)["value"]
    assert value["expected_orders"].max() < 0.05
    assert value["probability_active"].max() < 0.05


def test_a_subscribers_even_rhythm_is_recognised(lake):
    """Of 200 who buy every 30 days, half stopped half a year ago."""
    months = [(number, month) for number in range(200) for month in range(12 if number % 2 else 6)]
    orders = pd.DataFrame(
        {
            "customer_id": [f"c{number:04d}" for number, _ in months],
            "ordered_at": [
                pd.Timestamp("2020-01-01") + pd.Timedelta(days=number % 30 + 30 * k) for number, k in months
            ],
            "amount": [10.0 + number % 7 for number, _ in months],
        }
    )
    _lay(lake, orders)
    value_customers(lake, LAST, Models())
    value = _scores(lake, LAST)["value"]
    stays = np.array([int(name[1:]) % 2 == 1 for name in value.index])
    assert value["expected_orders"][stays].mean() == pytest.approx(3, abs=0.5)
    assert value["probability_active"][~stays].max() < 0.05 < 0.8 < value["probability_active"][stays].min()


def test_without_orders_or_customers_the_tables_are_typed_and_empty_and_say_why(lake):
    assert value_customers(lake, LAST, Models()).note == "there are no customers"
    orders = _random_orders(3, 1)
    _lay(lake, orders.head(0), pd.Series(pd.Timestamp("2020-05-01"), index=["c1", "c2"]))
    for _ in ("empty", "missing"):
        summary = value_customers(lake, LAST, Models())
        assert summary.skipped and summary.rows == 0
        table = pq.read_table(lake.ml(LAST, "customer_scores_value"))
        assert table.num_rows == 0 and table.schema.equals(CUSTOMER_SCORES)
        notes = pq.read_table(lake.ml(LAST, "model_cards_value"))["note"].to_pylist()
        assert notes == ["skipped: no customer has ordered yet"] * 3
        lake.staged("customer_orders").unlink(missing_ok=True)


def test_cutoffs_lie_in_the_past_and_the_last_begins_where_the_one_before_ends():
    day = date(2020, 12, 31)
    now, late, middle, early = choose_cutoffs(day, date(2019, 1, 1), 90)
    assert (now.day, now.ahead) == (day, 0)
    assert late.day + timedelta(days=90) == day
    assert early.day + timedelta(days=early.ahead) == late.day
    assert early.day < middle.day < late.day
    assert choose_cutoffs(day, day - timedelta(days=30), 90)[1].ahead == 10
    assert choose_cutoffs(day, day - timedelta(days=20), 90) == [now]


def test_gini_is_one_for_the_true_order_and_nought_for_none():
    outcome = np.array([0.0, 1.0, 3.0, 10.0])
    assert normalised_gini(outcome, outcome * 2) == pytest.approx(1)
    assert normalised_gini(outcome, -outcome) == pytest.approx(-1)
    assert normalised_gini(outcome, np.ones(4)) == pytest.approx(0)


def test_the_deviance_is_least_for_the_mean():
    outcome = np.random.default_rng(0).exponential(5, 2000)
    guesses = outcome.mean() * np.array([0.8, 0.95, 1.0, 1.05, 1.2])
    means = [deviances(outcome, np.full(2000, guess)).mean() for guess in guesses]
    assert int(np.argmin(means)) == 2


def test_the_default_configuration_drives_it(lake):
    _lay(lake, _random_orders(300, 11))
    assert load_configuration(DEFAULT_CONFIG).models.value.horizon_days == 90
    value_customers(lake, LAST, load_configuration(DEFAULT_CONFIG).models)
    assert set(_scores(lake, LAST)["value"].columns) == SCORES
