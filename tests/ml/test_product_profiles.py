from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from include.config.schema import Models, ProductProfiles
from include.lake import Lake, replacing
from ml.product_profiles import PRODUCT_PROFILES, profile_products
from tests.ml.shop import DAY, catalogue_of, open_shop, publish
from tests.ml.shoppers import hand_over

KEY = ["profile_type", "profile", "level", "product_key"]
SUPPORT = 20


def _run(lake: Lake, **options):
    models = Models(product_profiles=ProductProfiles(**options))
    summary = profile_products(lake, DAY, models)
    rows = pd.read_parquet(lake.ml(DAY, "product_profiles"))
    card = pd.read_parquet(lake.ml(DAY, "model_cards_product_profiles")).set_index("metric")
    return summary, rows, card


def _people(count: int = 1_200) -> pd.DataFrame:
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:04d}" for number in numbers],
            "gender": np.where(numbers % 2 == 0, "F", "M"),
            "region": np.where(numbers % 100 < 60, "North", np.where(numbers % 100 < 98, "South", "Tiny")),
            "country": "US",
            "lifecycle_stage": "active",
            "birth_date": pd.to_datetime(np.where(numbers % 3 == 0, "1950-05-05", "1990-12-24")),
        }
    )


def _purchases(people: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Everybody buys bread half of the time and one of ten other categories, women tea three times as often."""
    generator = np.random.default_rng(seed)
    frames = []
    for category, women, men in (
        ("bread", 0.9, 0.9),
        ("tea", 0.45, 0.15),
        *((f"c{n}", 0.2, 0.2) for n in range(10)),
    ):
        for part in range(2):
            rate = np.where(people["gender"] == "F", women, men)
            bought = people.loc[generator.random(len(people)) < rate, "customer_id"]
            ages = generator.integers(0, 100, len(bought)) + 100 * part
            products = category + generator.integers(0, 2, len(bought)).astype(str).astype(object)
            frames.append(
                pd.DataFrame(
                    {
                        "customer_id": bought,
                        "product_id": products,
                        "category": category,
                        "days_ago": ages,
                        "amount": 2.0,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return _people()


@pytest.fixture(scope="module")
def purchases(people) -> pd.DataFrame:
    return _purchases(people)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory, people, purchases):
    lake = Lake(tmp_path_factory.mktemp("profiled"))
    _open(lake, people, purchases)
    return lake, *_run(lake)


def _open(lake: Lake, people: pd.DataFrame, purchases: pd.DataFrame) -> None:
    """A shop with features, records' own attributes and segments of two schemes."""
    open_shop(lake, purchases, people, catalogue_of(purchases))
    top = purchases.groupby("customer_id")["category"].agg(lambda values: values.mode().iloc[0])
    features = people[["customer_id"]].assign(
        as_of_date=pd.Timestamp(DAY),
        top_category=people["customer_id"].map(top),
        frequency_orders=people["customer_id"].map(purchases["customer_id"].value_counts()).fillna(0),
        store_orders=np.arange(len(people)) % 3,
        online_orders=(np.arange(len(people)) + 1) % 3,
        discount_share=np.arange(len(people)) // 2 % 10 / 10,
        average_order_value=None,
    )
    publish(lake, "customer_features", features)
    numbers = np.arange(len(people))
    extra = pd.DataFrame(
        {
            "customer_id": people["customer_id"],
            "channel": "crm",
            "record_id": people["customer_id"],
            "column_name": "household size",
            "value": (numbers // 3 % 4 + 1).astype(str).astype(object),
            "is_rejected": False,
            "last_observed_at": pd.Timestamp("2017-01-01"),
        }
    )
    each = extra.assign(column_name="note", value=[f"note {number}" for number in numbers])
    publish(lake, "customer_other_values", pd.concat([extra, each]))
    members = [
        people[["customer_id"]].assign(segment_id=np.where(numbers // 7 % 4 == 0, "s01", "s02")),
        people[["customer_id"]].assign(segment_id=np.where(numbers // 5 % 5 == 0, "rfm_1", "rfm_2")),
    ]
    segments = pd.DataFrame(
        {"segment_id": ["s01", "s02", "rfm_1", "rfm_2"], "name": ["A", "B", "Champions", "Others"]}
    ).assign(scheme=["behaviour", "behaviour", "rfm", "rfm"])
    for name, frame in (("customer_segments", pd.concat(members)), ("segments", segments)):
        with replacing(lake.ml(DAY, name)) as path:
            frame.to_parquet(path, index=False)


def test_counts_and_p_values_are_those_of_a_cross_table(profiled, people, purchases):
    _, _, rows, _ = profiled
    known = people[people["customer_id"].isin(purchases["customer_id"])].set_index("customer_id")["gender"]
    cells = rows[(rows["profile_type"] == "gender") & (rows["level"] == "category")]
    assert len(cells) == 2 * 12
    for row in cells.itertuples():
        buyers = known[
            known.index.isin(purchases.loc[purchases["category"] == row.product_key, "customer_id"])
        ]
        inside, group = (buyers == row.profile).sum(), (known == row.profile).sum()
        assert (row.buyers, row.customers) == (inside, group)
        assert row.lift == pytest.approx(inside / group / (len(buyers) / len(known)))
        table = [[inside, group - inside], [len(buyers) - inside, len(known) - group - len(buyers) + inside]]
        one_sided = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
        assert row.p_value == pytest.approx(min(1, 2 * min(one_sided)))


def test_the_planted_preference_is_found_and_hardly_anything_else(profiled):
    _, summary, rows, card = profiled
    found = rows[rows["is_significant"] & ~rows["profile_type"].isin(["top_category"])]
    assert {"gender"} == set(found["profile_type"])
    assert {("F", "tea"), ("M", "tea")} <= set(zip(found["profile"], found["product_key"], strict=True))
    tea = rows[(rows["profile"] == "F") & (rows["product_key"] == "tea")].iloc[0]
    assert 1 < tea["low"] < 0.7 / 0.49 < tea["high"]
    assert set(found["category"]) == {"tea"}
    assert card.loc["cells_that_differ", "value"] == rows["is_significant"].sum() > 0
    assert summary.rows == len(rows)


def test_profiles_are_named_in_words_and_of_every_sort(profiled):
    _, _, rows, _ = profiled
    names = rows.groupby("profile_type")["profile_name"].agg(set).to_dict()
    assert names["gender"] == {"gender F", "gender M"}
    assert names["age_band"] == {"aged 25-34", "aged 65 and over"} or names["age_band"] == {
        "aged 18-24",
        "aged 25-34",
        "aged 65 and over",
    }
    assert names["segment_rfm"] == {"Champions", "Others"} and names["segment_behaviour"] == {"A", "B"}
    assert names["attribute_household size"] == {f"household size {number}" for number in range(1, 5)}
    assert names["preferred_channel"] == {"buys online", "buys in stores", "buys in stores and online"}
    assert names["promotion_taste"] == {f"{third} share of promotions" for third in ("low", "middle", "high")}
    assert "attribute_note" not in names and "country" not in names and "basket_value" not in names
    assert rows.loc[rows["level"] == "product", "product_name"].str.startswith("the ").all()


def test_no_cell_of_few_buyers_is_shown_nor_can_be_worked_out_from_those_shown(profiled, people, purchases):
    _, _, rows, _ = profiled
    assert rows["buyers"].min() >= SUPPORT
    regions = rows[rows["profile_type"] == "region"]
    assert len(regions) > 12 and "Tiny" in set(people["region"])
    others = (
        regions["share_elsewhere"] * (regions["customers"] / regions["support"] * regions["share"])
    ).notna()
    assert others.all()
    for _, cells in regions.groupby(["level", "product_key"]):
        shown = cells["buyers"].sum()
        first = cells.iloc[0]
        everybody = round(first["buyers"] / first["support"])
        total = first["buyers"] + round(first["share_elsewhere"] * (everybody - first["customers"]))
        assert total - shown == 0 or total - shown >= SUPPORT


def test_a_taste_is_not_held_against_the_category_that_defines_it(profiled):
    _, _, rows, _ = profiled
    tastes = rows[rows["profile_type"] == "top_category"]
    assert len(tastes) > 10
    assert (tastes["profile"] != tastes["category"]).all()


def test_whether_lifts_hold_later_is_measured_on_purchases_after_the_cut(lake, people, purchases):
    _open(lake, people, purchases)
    then = pd.read_parquet(lake.table("cdp", "customer_features")).assign(
        as_of_date=pd.Timestamp(DAY) - pd.Timedelta(days=56), is_current=False
    )
    hand_over(lake, "customer_feature_snapshots", then)
    card = _run(lake)[2]
    kept = card.loc["direction_kept.attributes"]
    assert kept["value"] == 1 and "the last 56 days" in kept["note"]
    assert "as they were before" in card.loc["lift_rank_correlation.tastes", "note"]
    lasting = card.loc["lift_rank_correlation.attributes"]
    assert -1 <= lasting["low"] <= lasting["value"] <= lasting["high"] <= 1


def test_where_nothing_differs_nothing_is_named(lake, people):
    alike = _purchases(people.assign(gender="F"), seed=3)
    open_shop(lake, alike, people, catalogue_of(alike))
    _, rows, _ = _run(lake)
    assert len(rows) > 100
    assert rows["is_significant"].sum() == 0


def test_the_same_inputs_in_another_order_give_the_same_bytes(profiled, people, purchases, lake):
    first, *_ = profiled
    _open(lake, people, purchases)
    open_shop(
        lake,
        purchases.sample(frac=1, random_state=1),
        people.sample(frac=1, random_state=2),
        catalogue_of(purchases),
    )
    _run(lake)
    for table in ("product_profiles", "model_cards_product_profiles"):
        assert lake.ml(DAY, table).read_bytes() == first.ml(DAY, table).read_bytes()


def test_returns_and_purchases_outside_the_window_do_not_count(lake, people, purchases):
    more = purchases.head(300).assign(category="late", product_id="late", days_ago=400)
    future = purchases.head(300).assign(category="future", product_id="future", days_ago=-2)
    given_back = purchases.head(300).assign(category="back", product_id="back", amount=-1.0)
    frame = pd.concat([purchases, more, future, given_back])
    open_shop(lake, frame, people)
    _, rows, _ = _run(lake)
    assert set(rows["category"]) == set(purchases["category"])


def test_categories_alone_are_profiled_when_no_products_are_asked_for(lake, people, purchases):
    open_shop(lake, purchases, people)
    _, rows, _ = _run(lake, max_products=0)
    assert set(rows["level"]) == {"category"}


@pytest.mark.parametrize("case", ["nobody", "no purchases", "orders alone", "ten customers"])
def test_without_enough_to_compare_the_table_is_typed_and_empty_and_the_card_says_why(
    case, lake, people, purchases
):
    frame = {
        "no purchases": purchases.head(0),
        "orders alone": purchases.assign(product_id=None, category=None),
        "ten customers": purchases[purchases["customer_id"] < "c0010"],
    }.get(case)
    if frame is not None:
        open_shop(lake, frame, people.head(10) if case == "ten customers" else people)
    summary, rows, card = _run(lake)
    assert summary.skipped and rows.empty and list(rows.columns) == PRODUCT_PROFILES.names
    assert card.loc["none", "note"].startswith("skipped: ")
