from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml.features import SNAPSHOTS, learn_space, read_current, read_snapshots, refuse_features

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
    "a copy of the label with a mistake in a hundred": (
        "club_member",
        lambda y, g: np.where(np.arange(ROWS) % 100 == 7, 1 - y, y),
    ),
    "the label by another scale": ("basket_index", lambda y, g: np.exp(3 - 2 * y) + g.normal(0, 0.01, ROWS)),
    "the label in codes without order": ("state", lambda y, g: np.where(y == 1, 2, g.choice([1, 3], ROWS))),
    "the label in ranges without order": (
        "distance_in_km",
        lambda y, g: np.where(y == 1, 50 + g.random(ROWS), g.choice([10, 90], ROWS) + g.random(ROWS)),
    ),
    "a category that encodes the outcome": (
        "path",
        lambda y, g: np.where(y == 1, g.choice(["a", "c"], ROWS), g.choice(["b", "d"], ROWS)),
    ),
    "known for others only": ("complaint_score", lambda y, g: np.where(y == 1, np.nan, g.poisson(2, ROWS))),
    "a row number after the rows were sorted": (
        "place",
        lambda y, g: np.argsort(np.argsort(y, kind="stable")),
    ),
    "an id as a fraction": ("token_value", lambda y, g: g.permutation(ROWS) / ROWS),
    "an id with gaps": ("member", lambda y, g: np.sort(g.choice(900_000, ROWS, replace=False)) + 100_000),
    "a date as eight digits": (
        "joined",
        lambda y, g: 20240101 + g.integers(0, 12, ROWS) * 100 + g.integers(0, 28, ROWS),
    ),
    "a date as seconds": ("joined", lambda y, g: 1_700_000_000 + g.integers(0, 50, ROWS) * 86_400),
    "a date as text": (
        "joined",
        lambda y, g: np.array([f"2024-01-{day:02d}" for day in g.integers(1, 29, ROWS)]),
    ),
    "the value of the time after": ("value_in_the_horizon", lambda y, g: g.poisson(2, ROWS)),
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


def test_an_id_that_repeats_over_cutoffs_is_an_id(honest):
    ids = np.array([f"d{number}" for number in range(ROWS // 2)])
    frame = honest.assign(
        device=np.tile(ids, 2), as_of_date=np.repeat(["2024-01-01", "2024-02-01"], ROWS // 2)
    )
    assert list(refuse_features(frame)) == ["device"]


def test_columns_of_real_shoppers_are_all_kept(snapshots):
    past = snapshots[snapshots["bought_in_horizon"].notna()]
    assert refuse_features(past, past["bought_in_horizon"].to_numpy(dtype=float)) == {}


def test_columns_like_those_of_a_bank_and_a_telephone_company_are_all_kept(labels):
    """Balances, charges and months are many different numbers, and plans foresee much without being the outcome."""
    generator = np.random.default_rng(5)
    months = generator.integers(0, 73, ROWS)
    frame = pd.DataFrame(
        {
            "balance": np.round(generator.lognormal(7, 1.2, ROWS) - 500),
            "age": generator.normal(41, 10, ROWS).round(),
            "job": generator.choice(["admin", "technician", "services", "retired"], ROWS),
            "previous_outcome": np.where(generator.random(ROWS) < 0.8 * labels, "success", "unknown"),
            "months": months,
            "monthly_charges": np.round(generator.gamma(6, 11, ROWS) + 18, 2),
            "total_charges": np.round(months * generator.gamma(6, 11, ROWS), 2),
            "contract": np.where(generator.random(ROWS) < 0.3 + 0.5 * labels, "monthly", "yearly"),
            "income": np.round(generator.lognormal(10.4, 0.5, ROWS)),
        }
    )
    assert refuse_features(frame, labels) == {}


@dataclass(frozen=True)
class Choice:
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()


def test_a_model_learns_from_the_features_that_are_chosen(honest):
    spend = {"spend", "spend_in_yen"}
    assert set(learn_space(honest, choice=Choice(only=("spend*",))).names) == spend
    assert set(learn_space(honest, choice=Choice(only=("spend*",), except_=("*_yen",))).names) == {"spend"}
    without = learn_space(honest, choice=Choice(except_=("spend*", "has_account")))
    assert {without.refused[name] for name in (*spend, "has_account")} == {"left out by models.yml"}
    assert learn_space(honest, choice=Choice()) == learn_space(honest)


def test_attributes_and_own_features_become_columns(lake):
    path = lake.staged(SNAPSHOTS)
    path.parent.mkdir(parents=True)
    duckdb.sql(f"""
        copy (
            select 'c' || i as customer_id, date '2024-01-31' as as_of_date, i > 2 as is_current, i as orders,
                1.5::decimal(18, 4) as spend, ['a'] as top_categories,
                map {{'nights': i / 2}} as own_features,
                map {{'plan': 'p' || i, 'it''s "income"': if(i = 3, null, '1' || i), 'orders': '7'}} as attributes
            from range(1, 5) as numbers (i)
        ) to '{path}' (format parquet)""")
    frame = read_snapshots(lake)
    assert frame.set_index("customer_id")["nights"].to_dict() == {"c1": 0.5, "c2": 1.0, "c3": 1.5, "c4": 2.0}
    assert frame["attribute_plan"].tolist() == ["p1", "p2", "p3", "p4"]
    assert frame["attribute_it's income"].tolist()[:2] == [11.0, 12.0]
    assert np.isnan(frame["attribute_it's income"][2])
    assert frame["spend"].dtype == float
    assert "top_categories" not in frame
    assert read_snapshots(lake, filters=[("is_current", "=", True)])["customer_id"].tolist() == ["c3", "c4"]
    assert pd.concat(read_current(lake, 1))["customer_id"].tolist() == ["c3", "c4"]


@pytest.mark.parametrize("rate", [0.3, 0.004])
def test_a_label_hidden_in_a_few_values_or_ranges_is_found_however_rare_it_is(rate):
    rows = 20_000
    generator = np.random.default_rng(5)
    labels = (generator.random(rows) < rate).astype(float)
    noise = generator.random(rows)
    band = generator.integers(0, 5, rows) * 0.2
    frame = pd.DataFrame(
        {
            "above_zero": np.where(labels == 1, 1 + noise, 0.0),
            "in_five_bands": np.where(labels == 1, band + 0.05 + noise / 1000, band + 0.06 + noise * 0.139),
            "missing_then": np.where(labels == 1, np.nan, noise),
            "spend": noise + 0.5 * labels,
        }
    )
    assert set(refuse_features(frame, labels)) == {"above_zero", "in_five_bands", "missing_then"}
