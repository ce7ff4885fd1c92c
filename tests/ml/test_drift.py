from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.drift import MAJOR, drift, population_stability


def test_the_index_is_the_textbook_sum_over_ten_equal_bins():
    before = np.arange(1000.0)
    now = np.repeat(np.arange(1000.0)[:500], 2)
    # Half of the bins hold twice their share, the others nothing but the half row that keeps them finite.
    expected, actual = np.full(10, 100.5), np.r_[np.full(5, 200.5), np.full(5, 0.5)]
    expected, actual = (
        np.r_[
            0.5,
            expected,
        ],
        np.r_[0.5, actual],
    )
    expected, actual = expected / expected.sum(), actual / actual.sum()
    assert population_stability(before, now) == pytest.approx(
        float(((actual - expected) * np.log(actual / expected)).sum())
    )


def test_two_samples_of_one_population_do_not_drift():
    generator = np.random.default_rng(0)
    assert population_stability(generator.normal(size=5000), generator.normal(size=5000)) < 0.02


def test_what_moved_comes_first_and_missing_values_and_new_categories_count():
    before = pd.DataFrame({"stays": range(1000), "gone": [1.0] * 1000, "plan": ["a", "b"] * 500})
    now = before.assign(gone=[np.nan] * 1000, plan=["c"] * 1000)
    moved = drift(before, now, ["stays", "gone", "plan"])
    assert list(moved)[-1] == "stays" and moved["stays"] < 0.01
    assert min(moved["gone"], moved["plan"]) > MAJOR


def test_nobody_has_not_moved():
    assert population_stability(np.zeros(0), np.ones(3)) == 0.0
