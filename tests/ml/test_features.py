from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.features import learn_space, refuse_features

ROWS = 400


@pytest.fixture
def labels() -> np.ndarray:
    return (np.random.default_rng(0).random(ROWS) < 0.3).astype(float)


@pytest.fixture
def honest(labels) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "orders": generator.poisson(3 + 2 * labels),
            "spend": np.round(generator.lognormal(3, 1, ROWS), 2),
            "spend_in_yen": np.round(generator.lognormal(10, 1, ROWS)),
            "days_since_last_call": np.where(
                generator.random(ROWS) < 0.4, np.nan, generator.poisson(20, ROWS)
            ),
            "favourite_channel": generator.choice(["web", "store", "call"], ROWS),
            "has_account": generator.random(ROWS) < 0.5,
        }
    )


def test_honest_features_are_all_kept(honest, labels):
    assert refuse_features(honest, labels) == {}


PLANTED = {
    "a future count under an innocent name": ("basket_affinity", lambda y, g: y * g.poisson(4, ROWS) + y),
    "a feature that is known only for buyers": (
        "voucher_value",
        lambda y, g: np.where(y == 1, g.normal(size=ROWS), np.nan),
    ),
    "a category that is the outcome in words": ("journey", lambda y, g: np.where(y == 1, "won", "open")),
    "the label under its own kind of name": ("orders_next_28d", lambda y, g: g.poisson(2, ROWS)),
    "a target": ("target_group", lambda y, g: g.poisson(2, ROWS)),
    "a row number": ("position_in_file", lambda y, g: np.arange(ROWS)),
    "a hashed number as an id": ("fingerprint", lambda y, g: g.choice(2**48, ROWS, replace=False)),
    "an id as text": ("device", lambda y, g: np.array([f"d{i:05d}" for i in range(ROWS)])),
    "an id by name": ("household_id", lambda y, g: g.integers(0, 9, ROWS)),
    "a customer number": ("customer_number", lambda y, g: g.integers(0, 9, ROWS)),
    "a date by type": (
        "joined",
        lambda y, g: pd.Timestamp("2024-01-01") + pd.to_timedelta(g.integers(0, 90, ROWS), "D"),
    ),
    "a date as a number": ("last_order_date", lambda y, g: g.integers(0, 90, ROWS)),
    "an e-mail address": ("email", lambda y, g: g.choice(["a@b.c", "d@e.f"], ROWS)),
}


@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_refused_with_a_reason(leak, honest, labels):
    name, make = PLANTED[leak]
    planted = honest.assign(**{name: make(labels, np.random.default_rng(2))})
    refused = refuse_features(planted, labels)
    assert list(refused) == [name]
    assert refused[name]
    assert name not in " ".join(learn_space(planted, labels).names)


def test_the_label_and_the_bookkeeping_never_become_features(honest, labels):
    frame = honest.assign(
        customer_id="c", as_of_date="2024-01-01", is_current=False, bought_in_horizon=labels
    )
    assert set(learn_space(frame).names) == set(learn_space(honest).names)


def test_scales_and_categories_come_from_training_rows_alone(honest):
    space = learn_space(honest)
    later = honest.assign(spend=honest["spend"] * 50, favourite_channel="a channel never seen")
    matrix = pd.DataFrame(space.transform(later), columns=space.names)
    assert matrix["spend"].median() > 2
    assert (
        matrix[[name for name in space.names if name.startswith("favourite_channel")]].to_numpy().sum() == 0
    )


def test_a_missing_value_is_told_apart_and_leaves_no_hole(honest):
    space = learn_space(honest)
    matrix = pd.DataFrame(space.transform(honest), columns=space.names)
    assert matrix.notna().all().all()
    missing = honest["days_since_last_call"].isna().to_numpy()
    assert missing.any()
    assert (matrix["days_since_last_call is missing"] == missing).all()


def test_the_order_of_columns_changes_nothing(honest):
    turned = honest[honest.columns[::-1]]
    assert learn_space(turned) == learn_space(honest)
