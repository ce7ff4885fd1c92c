from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from ml.hazard import Days, fit_hazard
from ml.signals import Occurrences, days_at_risk, lags_of
from ml.triggers import PURCHASE_TRIGGERS, find_triggers, weigh
from tests.ml.shoppers import hand_over
from tests.ml.trigger_worlds import NULL, PLANTED, SIGNALS, World, naive_ratio, simulate

TODAY = date(2017, 9, 28)
WORLDS = 5


@dataclass(frozen=True)
class Triggers:
    history_days: int = 150
    categories: int = 2
    min_support: int = 50

    def model_dump(self) -> dict[str, int]:
        return {"history_days": self.history_days}


@dataclass(frozen=True)
class Models:
    seed: int = 7
    triggers: Triggers = field(default_factory=Triggers)


@pytest.fixture(scope="module")
def worlds() -> list[tuple[World, pd.DataFrame]]:
    """Worlds with planted effects, and what was found in each, by signal."""
    made = [simulate(seed, customers=120, days=180) for seed in range(WORLDS)]
    return [(world, weigh(world.history, 50, 7).set_index("trigger")) for world in made]


def test_planted_effects_are_found_and_their_intervals_hold_them(worlds):
    told = [
        (row["verdict"] == ("raises" if ratio > 1 else "lowers"), row["low"] <= ratio <= row["high"])
        for _, found in worlds
        for name, (ratio, _) in PLANTED.items()
        for _, row in found.loc[[name]].iterrows()
    ]
    right, covered = np.mean(told, axis=0)
    assert len(told) == WORLDS * len(PLANTED)
    assert right >= 0.9
    assert covered >= 0.9


def test_the_window_of_a_strong_effect_is_the_planted_one(worlds):
    assert [found.loc["advice", "window_days"] for _, found in worlds] == [7] * WORLDS


def test_what_comes_with_active_times_or_after_orders_is_not_found_where_a_naive_comparison_finds_it(worlds):
    verdicts = pd.concat([found.loc[list(NULL), "verdict"] for _, found in worlds])
    assert len(verdicts) == WORLDS * len(NULL)
    assert verdicts.isin(["raises", "lowers"]).mean() <= 0.05
    for name in ("viewed", "status call"):
        assert np.mean([naive_ratio(world, name, 7) for world, _ in worlds]) > 1.3


def test_orders_before_a_signal_are_told_apart_from_orders_after_it(worlds):
    for _, found in worlds:
        assert found.loc["status call", "before_effect"] > 1.5


def test_shuffled_times_show_nothing(worlds):
    placebo = pd.concat([found for _, found in worlds])
    placebo = placebo[placebo["placebo"].notna()]
    assert len(placebo) > 25
    assert ((placebo["placebo_low"] <= 1) & (placebo["placebo_high"] >= 1)).mean() >= 0.95
    assert np.log(placebo["placebo"]).mean() == pytest.approx(0, abs=0.08)


def test_in_worlds_without_effects_nearly_nothing_is_found():
    found = pd.concat(
        [weigh(simulate(seed, 80, 150, has_effects=False).history, 50, 7) for seed in range(50, 54)]
    )
    assert len(found) == 4 * len(SIGNALS)
    assert found["verdict"].isin(["raises", "lowers"]).sum() <= 1


def test_a_trigger_with_a_failing_placebo_is_not_reported(monkeypatch):
    world = simulate(1, 80, 150)
    # A placebo that is the signal itself cannot but show its effect.
    monkeypatch.setattr("ml.triggers.shifted", lambda history, occurrences, rng: occurrences)
    found = weigh(world.history, 50, 7).set_index("trigger")
    assert found.loc["advice", "q_value"] < 0.05
    assert found.loc["advice", "verdict"] == "none shown"
    assert "shuffled times" in found.loc["advice", "meaning"]


def test_the_ratio_of_one_exposure_is_that_of_a_plain_search():
    """The conditional likelihood of one column, maximised over a fine grid."""
    rng = np.random.default_rng(3)
    strata, length = 300, 30
    exposed = (rng.random((strata, 1)) < 0.9) & (
        np.arange(length)[None, :] >= rng.integers(0, 30, (strata, 1))
    )
    bought = rng.random((strata, length)) < np.where(exposed, 0.08, 0.04)
    kept = bought.any(axis=1)
    exposed, bought = exposed[kept], bought[kept]
    strata = np.arange(len(bought))
    days = Days(np.arange(len(bought) + 1) * length, strata, bought.ravel(), strata % 2)
    fitted = fit_hazard(days, csr_matrix(exposed.ravel()[:, None].astype(float)), np.array([100.0]))

    def likelihood(log_ratio: float) -> float:
        ratio = np.exp(log_ratio * exposed)
        at_risk = np.where(bought, ratio / 2, ratio)
        total = at_risk.sum(axis=1, keepdims=True) + ratio - at_risk
        return float((bought * (log_ratio * exposed - np.log(total))).sum())

    grid = np.arange(0.0, 1.5, 0.001)
    best = grid[np.argmax([likelihood(value) for value in grid])]
    assert fitted.log_ratio[0] == pytest.approx(best, abs=0.002)
    assert 0.05 < fitted.error[0] < 0.5


def test_the_days_around_a_signal_are_counted_from_the_last_time_it_came():
    world = simulate(0, 20, 90)
    history = replace(world.history, watched_from=np.zeros(20, dtype=np.int64))
    _, index = days_at_risk(history, np.array([3]), np.array([0]), np.arange(20), 100)
    occurrences = Occurrences(*(np.array(values) for values in ([3, 3], [0, 0], [-1, -1], [0, 0], [5, 9])))
    lags = lags_of(occurrences, index)
    assert dict(zip(lags.after.tolist(), lags.lag.tolist(), strict=True)) == {
        **{day: day - 5 for day in range(6, 10)},
        **{day: day - 9 for day in range(10, 30)},
    }
    assert sorted(lags.on.tolist()) == [5, 9]
    assert sorted(set(lags.before.tolist())) == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def _hand_over(lake, world: World, kinds: dict[str, str] | None = None) -> None:
    """The hand-overs of a world, as dbt would export them."""
    history = world.history
    first = history.first_date
    occurrences = history.occurrences
    at = np.datetime64(first) + occurrences.day.astype("timedelta64[D]")
    signals = pd.DataFrame(
        {
            "customer_id": [f"c{position:05d}" for position in occurrences.customer],
            "signal_kind": "contact",
            "signal": np.array(SIGNALS, dtype=object)[occurrences.signal],
            "signal_category": pd.Series([None] * len(at), dtype=object),
            "stage": "loyal",
            "signal_date": pd.Series(at).dt.date,
            "occurred_at": pd.Series(at).astype("datetime64[us]"),
        }
    )
    signals["signal_category"] = signals["signal_category"].astype("string")
    customer, day = np.nonzero(world.orders)
    orders = pd.DataFrame(
        {
            "customer_id": [f"c{position:05d}" for position in customer],
            "order_id": [f"o{number}" for number in range(len(customer))],
            "channel": "shop",
            "is_store_order": False,
            "total_amount": 10.0,
            "ordered_at": pd.Series(np.datetime64(first) + day.astype("timedelta64[D]")).astype(
                "datetime64[us]"
            ),
        }
    )
    hand_over(lake, "customer_signals", signals)
    hand_over(lake, "customer_orders", orders)


def test_a_run_writes_the_same_table_twice(lake):
    world = simulate(2, 80, 150)
    _hand_over(lake, world)
    day = world.history.first_date + timedelta(days=149)
    summary = find_triggers(lake, day, Models())
    first = lake.ml(day, "purchase_triggers").read_bytes()
    find_triggers(lake, day, Models())
    assert lake.ml(day, "purchase_triggers").read_bytes() == first
    table = pq.read_table(lake.ml(day, "purchase_triggers"))
    assert table.schema.equals(PURCHASE_TRIGGERS)
    assert summary.rows == table.num_rows == len(SIGNALS)
    found = table.to_pandas().set_index("trigger")
    assert found.loc["advice", "verdict"] == "raises"


@pytest.mark.parametrize("missing", ["customer_signals", "customer_orders"])
def test_without_signals_or_orders_the_table_is_empty_and_the_card_says_why(lake, missing):
    world = simulate(2, 20, 60)
    _hand_over(lake, world)
    lake.staged(missing).unlink()
    summary = find_triggers(lake, TODAY, Models())
    assert summary.skipped
    assert pq.read_table(lake.ml(TODAY, "purchase_triggers")).schema.equals(PURCHASE_TRIGGERS)
    card = pd.read_parquet(lake.ml(TODAY, "model_cards_triggers"))
    assert card["note"].tolist() == [f"skipped: {missing} was not handed over"]


@pytest.mark.parametrize("customers", [0, 1, 10])
def test_a_tiny_company_gets_an_empty_table_and_no_error(lake, customers):
    world = simulate(2, 10, 60)
    _hand_over(lake, world)
    for table in ("customer_signals", "customer_orders"):
        frame = pd.read_parquet(lake.staged(table))
        hand_over(lake, table, frame[frame["customer_id"] < f"c{customers:05d}"])
    summary = find_triggers(lake, world.history.first_date + timedelta(days=59), Models())
    assert summary.skipped
    assert summary.rows == 0
