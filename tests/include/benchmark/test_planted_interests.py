from __future__ import annotations

import pandas as pd
import pytest

from include.benchmark.planted_interests import compare_with_truth

TRUTH = pd.DataFrame(
    [
        ("dog food", "Pets", 3.0, 30),
        ("wine", "Food", 2.0, 10),
        ("batteries", "Cars", 1.0, 30),
        ("tea", "Tea", 2.0, 30),
    ],
    columns=["bought_category", "content_category", "multiplier", "window_days"],
)
COLUMNS = [
    *(
        "bought_category",
        "content_category",
        "window_days",
        "multiplier",
        "multiplier_low",
        "multiplier_high",
    ),
    *("p_value", "verdict"),
]
ROWS = [
    ("dog food", "Pets", 7, 2.8, 1.5, 4.0, 0.001, "none shown"),
    ("dog food", "Pets", 28, 2.5, 2.1, 2.9, 0.001, "rises"),
    ("wine", "Food", 7, 0.5, 0.4, 2.2, 0.2, "falls"),
    ("wine", "Food", 28, 1.1, 0.9, 1.3, 0.2, "none shown"),
    ("batteries", "Cars", 7, 1.0, 0.8, 1.2, 0.9, "none shown"),
    ("milk", "Cars", 7, 2.0, 1.5, 2.5, 0.01, "rises"),
    ("tea", "Tea", 7, None, None, None, None, "too few"),
]


@pytest.fixture
def compared():
    interests = pd.DataFrame(ROWS, columns=COLUMNS).assign(buyers=80, q_value=0.01)
    return compare_with_truth(interests, TRUTH)


def test_an_interest_is_found_in_any_window_but_only_in_its_own_direction(compared) -> None:
    assert compared.planted["is_found"].tolist() == [False, True, False, True]
    assert compared.found_share == 0.5
    assert compared.untold["bought_category"].tolist() == ["tea"]


def test_an_interval_must_hold_the_planted_multiplier_in_windows_that_it_lasts(compared) -> None:
    assert compared.planted["window_days"].tolist() == [7, 28, 7, 7]
    assert compared.planted["is_covered"].tolist() == [True, False, True, True]
    assert compared.covered_share == 0.75


def test_what_is_claimed_and_not_planted_is_false(compared) -> None:
    assert (compared.false_found, compared.found, compared.judged) == (1, 3, 2)
    assert compared.false_discovery_share == pytest.approx(1 / 3)
    assert compared.false_interval_share == 0.5
