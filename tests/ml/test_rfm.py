from __future__ import annotations

from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.config.conditions import SEGMENTS
from ml import segmentation
from ml.rfm import IDS, NO_PURCHASE, Scores, learn_reference, name_segments, score, stability


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """A tenth of the buyers of CDNOW's first quarter of 1997: what they had done by September, and their orders in the
    39 weeks after it (Fader and Hardie 2001)."""
    path = Path(find_spec("lifetimes").origin).parent / "datasets" / "CDNOW_sample.txt"
    orders = pd.read_csv(
        path, sep=r"\s+", names=["all", "customer", "day", "units", "money"], dtype={"day": str}
    )
    orders["day"] = pd.to_datetime(orders["day"], format="%Y%m%d")
    cut = pd.Timestamp(1997, 9, 30)
    past, future = orders[orders["day"] <= cut], orders[orders["day"] > cut]
    buyers = past.groupby("customer").agg(
        recency=("day", lambda days: (cut - days.max()).days),
        frequency=("day", "nunique"),
        money=("money", "sum"),
    )
    assert len(buyers) == 2357
    return buyers.astype(float).assign(later=future.groupby("customer")["day"].nunique()).fillna({"later": 0})


def _values(buyers: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(buyers[name].to_numpy() for name in ("recency", "frequency", "money"))


def _score(recency, frequency, money) -> Scores:
    values = tuple(np.asarray(part, dtype=float) for part in (recency, frequency, money))
    return score(learn_reference(*values), *values)


def test_every_combination_of_scores_has_a_segment_and_every_segment_a_combination():
    cells = np.array(list(product(range(1, 6), repeat=3)))
    named = name_segments(Scores(*cells.T))
    assert set(named) == set(IDS)
    assert {segmentation.NO_PURCHASE, NO_PURCHASE, *IDS} == set(SEGMENTS)
    of = {tuple(cell): name for cell, name in zip(cells.tolist(), named, strict=True)}
    assert (of[5, 5, 5], of[1, 1, 1], of[1, 5, 5], of[5, 1, 1]) == (
        "rfm_champions", "rfm_lost", "rfm_cant_lose", "rfm_new",
    )  # fmt: skip


def test_scores_are_the_fifths_that_pandas_ranks_give(cdnow):
    found = _score(*_values(cdnow))
    share = (cdnow[["recency", "money"]].rank(method="average") - 0.5) / len(cdnow)
    worse = (cdnow["frequency"].rank(method="min") - 1) / len(cdnow)
    expected = {
        "recency": np.floor(5 * (1 - share["recency"])) + 1,
        "frequency": np.floor(5 * worse) + 1,
        "money": np.floor(5 * share["money"]) + 1,
    }
    for name, fifths in expected.items():
        assert (getattr(found, name) == fifths.clip(1, 5)).mean() > 0.999, name
    assert set(found.recency) == {1, 2, 3, 4, 5} == set(found.money)


def test_equal_values_have_equal_scores_in_whatever_order_they_come():
    generator = np.random.default_rng(0)
    values = generator.integers(1, 5, (3, 500)).astype(float)
    order = generator.permutation(500)
    straight, turned = _score(*values), _score(*values[:, order])
    for name, column in zip(("recency", "frequency", "money"), values, strict=True):
        scores = getattr(straight, name)
        assert (getattr(turned, name) == scores[order]).all()
        assert all(len(set(scores[column == value])) == 1 for value in set(column))


def test_who_ordered_once_scores_one_even_where_most_did():
    found = _score(np.arange(10), [1] * 9 + [2], np.arange(10))
    assert found.frequency.tolist() == [1] * 9 + [5]


def test_a_company_whose_buyers_are_all_alike_puts_them_all_in_the_middle():
    assert set(_score([3] * 7, [2] * 7, [10] * 7).recency) == {3}


def test_what_is_not_known_and_what_was_given_back_count_as_worst():
    found = _score([np.nan, 1, 2, 3, 4], [5, 4, 3, 2, 1], [-20.0, np.nan, 5, 6, 7])
    assert found.recency.argmin() == 0 and found.money.argmin() == 1
    assert found.money[0] < found.money[2]


def test_the_better_the_segment_the_more_its_customers_bought_later(cdnow):
    """On CDNOW's holdout: champions order most, the lost least, and no segment of fewer than 20 is asked."""
    later = cdnow["later"].groupby(name_segments(_score(*_values(cdnow)))).agg(["mean", "size"])
    rate = later.loc[later["size"] >= 20, "mean"]
    assert rate.idxmax() == "rfm_champions"
    assert rate["rfm_champions"] > 10 * rate["rfm_lost"]
    assert rate["rfm_loyal"] > rate["rfm_at_risk"] > rate["rfm_hibernating"]


def test_scores_against_half_of_the_buyers_leave_nearly_all_in_their_segment(cdnow):
    kept = stability(*_values(cdnow), np.random.default_rng(7), 4)
    assert kept.shape == (4,) and kept.min() > 0.85
