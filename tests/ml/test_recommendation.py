from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from include.config.schema import Eligibility, Models, Purchase, Recommendation
from include.lake import Lake
from ml.purchases import load_purchases
from ml.recommendation import PRODUCT_RECOMMENDATIONS, recommend_products
from ml.recommenders import (
    BASELINES,
    FEATURES,
    JUST_BOUGHT,
    Learning,
    Rules,
    alike,
    read_pairs,
    remember,
    shortlist,
)
from ml.toplists import estimate_means, judge_lists
from tests.ml.shop import DAY, catalogue_of, open_shop, publish, taste_of, tasteful_purchases

MODELS = Models()


def _run(lake: Lake, **options):
    models = Models(recommendation=Recommendation(**options)) if options else MODELS
    summary = recommend_products(lake, DAY, models)
    rows = pd.read_parquet(lake.ml(DAY, "product_recommendations"))
    card = pd.read_parquet(lake.ml(DAY, "model_cards_recommendation")).set_index("metric")
    return summary, rows, card


@pytest.fixture(scope="module")
def purchases() -> pd.DataFrame:
    return tasteful_purchases()


@pytest.fixture(scope="module")
def few(purchases) -> pd.DataFrame:
    """The purchases of eighty customers: enough for rules, and quick."""
    return purchases[purchases["customer_id"] < "c0080"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, purchases):
    """A shop of two tastes with a hundred customers who never bought: lake, summary, recommendations, card."""
    lake = Lake(tmp_path_factory.mktemp("shop"))
    ids = [*sorted(purchases["customer_id"].unique()), *(f"new{number:03d}" for number in range(100))]
    open_shop(lake, purchases, ids, catalogue_of(purchases))
    return lake, *_run(lake)


def _history(purchases: pd.DataFrame) -> pd.DataFrame:
    """Per customer and product: days bought on, days since the last, and the customer's mean gap."""
    days = purchases[purchases["days_ago"] < 365].groupby(["customer_id", "product_id"])["days_ago"]
    frame = days.agg(days="nunique", last="min", first="max").reset_index()
    frame["gap"] = (frame["first"] - frame["last"]) / (frame["days"] - 1).clip(lower=1)
    return frame


def test_every_customer_gets_ten_different_products_best_first(shop, purchases):
    _, summary, rows, _ = shop
    assert summary.rows == len(rows) == 500 * 10
    assert rows.groupby("customer_id")["rank"].agg(list).map(lambda ranks: ranks == list(range(1, 11))).all()
    assert not rows.duplicated(["customer_id", "product_id"]).any()
    assert (rows.groupby("customer_id")["score"].diff().dropna() <= 1e-9).all()
    assert rows["product_name"].str.startswith("the p").all()


def test_the_blend_is_better_than_every_simple_recommender_where_taste_tells_what_is_bought(shop):
    _, summary, rows, card = shop
    assert summary.status == "promoted" and set(rows["recommender"]) == {"blend"}
    gain = card.loc["gain_in_ndcg_at_10"]
    assert gain["verdict"] == "promoted" and gain["low"] > 0
    for simple in BASELINES:
        assert card.loc["ndcg_at_10.blend", "value"] > card.loc[f"ndcg_at_10.{simple}", "value"]
    assert card.loc["ndcg_at_10_new.blend", "value"] > card.loc["ndcg_at_10_new.popular", "value"]


def test_new_products_are_of_the_customers_taste_and_say_by_which_purchase(shop, purchases):
    _, _, rows, _ = shop
    tastes = purchases.assign(taste=purchases["product_id"].map(taste_of))
    taste = tastes.groupby("customer_id")["taste"].agg(lambda values: values.mode().iloc[0])
    new = rows[rows["is_new"] & rows["customer_id"].isin(taste.index)]
    assert len(new) > 500
    assert (new["product_id"].map(taste_of) == new["customer_id"].map(taste)).mean() > 0.8
    linked = new[new["reason"].str.startswith("bought by customers who also buy ")]
    assert len(linked) > 0.9 * len(new)
    bought = set(zip(purchases["customer_id"], "the " + purchases["product_id"], strict=True))
    named = linked["reason"].str.removeprefix("bought by customers who also buy ")
    assert all(pair in bought for pair in zip(linked["customer_id"], named, strict=True))


def test_what_was_just_bought_is_not_recommended_again(shop, purchases):
    _, _, rows, _ = shop
    history = _history(purchases).merge(rows, on=["customer_id", "product_id"])
    assert len(history) > 200 and not history["is_new"].any()
    own_rhythm = history[history["days"] >= 3]
    assert len(own_rhythm) > 100
    assert (own_rhythm["last"] >= JUST_BOUGHT * own_rhythm["gap"]).all()
    assert history["reason"].str.startswith("usually bought again every ").all()


def test_customers_who_never_bought_get_what_is_popular(shop):
    _, _, rows, _ = shop
    new = rows[rows["customer_id"].str.startswith("new")]
    assert new["customer_id"].nunique() == 100
    assert set(new["reason"]) == {"popular with all customers"} and new["is_new"].all()
    assert new.groupby("customer_id")["product_id"].agg(tuple).nunique() == 1


def test_the_same_inputs_in_another_order_give_the_same_bytes(shop, purchases, lake):
    first, *_ = shop
    ids = pd.read_parquet(first.table("cdp", "customers"))
    shuffled = purchases.sample(frac=1, random_state=3)
    open_shop(lake, shuffled, ids.sample(frac=1, random_state=4), catalogue_of(purchases))
    _run(lake)
    for table in ("product_recommendations", "model_cards_recommendation"):
        assert lake.ml(DAY, table).read_bytes() == first.ml(DAY, table).read_bytes()


def test_what_happens_after_the_business_day_changes_nothing(few, tmp_path):
    later = few.head(500).assign(days_ago=-3, product_id="p99")
    tables = []
    for name, frame in (("known", few), ("later", pd.concat([few, later]))):
        lake = Lake(tmp_path / name)
        open_shop(lake, frame, catalogue=catalogue_of(few))
        _run(lake)
        tables.append(lake.ml(DAY, "product_recommendations").read_bytes())
    assert tables[0] == tables[1]


def test_candidates_as_of_a_cutoff_do_not_know_what_was_bought_after_it(few, tmp_path):
    results = []
    early = few["days_ago"] >= 28
    swapped = few.assign(
        product_id=np.where(early, few["product_id"], few["product_id"].iloc[::-1].to_numpy())
    )
    for name, frame in (("one", few), ("other", swapped)):
        lake = Lake(tmp_path / name)
        open_shop(lake, frame, catalogue=catalogue_of(few))
        with duckdb.connect(config={"threads": 1}) as engine:
            shop = load_purchases(engine, lake, DAY, 365)
            engine.execute("create table places as select 0 as customer, '' as name where false")
            people = np.arange(shop.customers)
            moment = remember(engine, 28, Rules(np.zeros(shop.items, bool)), Learning(90, 40, 7), people)
            results.append(next(shortlist(moment, people, read_pairs(engine, people))))
    assert len(results[0].item) > 1_000
    assert np.array_equal(results[0].item, results[1].item)
    assert np.array_equal(results[0].features, results[1].features, equal_nan=True)


def test_who_bought_nothing_is_alike_only_those_who_would_be_offered_the_same(few, lake):
    """Of new customers every second may have the products that a rule is about."""
    ids = sorted(few["customer_id"].unique())
    new = [f"new{number:03d}" for number in range(24)]
    open_shop(lake, few, [*ids, *new], catalogue_of(few))
    with duckdb.connect(config={"threads": 1}) as engine:
        shop = load_purchases(engine, lake, DAY, 365)
        engine.execute(
            "create table places as select customer, 'place ' || customer % 3 % 2 as name from people"
        )
        people = np.arange(shop.customers)
        meant = np.arange(shop.items) < 40
        rules = Rules(np.zeros(shop.items, bool), ((meant, people % 2 == 0),))
        moment = remember(engine, 0, rules, Learning(90, 40, 7), people)
        same = alike(moment, people, read_pairs(engine, people))
        assert np.array_equal(same[: len(ids)], people[: len(ids)])
        assert 1 < len(np.unique(same[len(ids) :])) < len(new)
        for customer in people[len(ids) :]:
            own, others = (
                next(shortlist(moment, one, read_pairs(engine, one)))
                for one in (np.array([customer]), same[[customer]])
            )
            assert len(own.item) and np.array_equal(own.item, others.item)
            assert np.array_equal(own.features, others.features)


def test_rules_keep_products_from_everybody_and_from_who_may_not_have_them(few, lake):
    ids = sorted(few["customer_id"].unique())
    customers = pd.DataFrame(
        {
            "customer_id": ids,
            "birth_date": [pd.Timestamp("1980-01-01") if n % 3 else pd.NaT for n in range(len(ids))],
        }
    )
    publish(lake, "customer_features", pd.DataFrame({"customer_id": ids, "as_of_date": pd.Timestamp(DAY)}))
    prices = catalogue_of(few)
    prices["price"] = np.where(prices["product_id"] < "p10", 0.2, 5.0)
    prices["is_in_catalogue"] = prices["product_id"] != "p50"
    open_shop(lake, few, customers, prices)
    _, rows, _ = _run(
        lake,
        exclude=("price < 0.5", "name = 'the p20'"),
        only_for=(
            Eligibility(
                products="category = 'category 1'",
                customers="date_diff('year', birth_date, as_of_date) >= 18",
            ),
        ),
    )
    assert len(rows) > 600
    assert not set(rows["product_id"]) & {*(f"p{number:02d}" for number in range(10)), "p20", "p50"}
    grown = rows["customer_id"].map(customers.set_index("customer_id")["birth_date"]).notna()
    assert "category 1" in set(rows.loc[grown, "category"])
    assert set(rows.loc[~grown, "category"]) == {f"category {number}" for number in (0, 2, 3, 4)}


def test_where_rules_leave_few_products_no_other_is_put_forward(few, lake):
    open_shop(lake, few, catalogue=catalogue_of(few))
    _, rows, _ = _run(lake, exclude=("product_id >= 'p03'",))
    assert len(rows) > 0 and set(rows["product_id"]) <= {"p00", "p01", "p02"}


def test_what_was_returned_or_not_sold_for_long_is_not_recommended(few, lake):
    returned = few.drop_duplicates("customer_id").assign(activity="cancelled_purchase", days_ago=5)
    negative = few.drop_duplicates("customer_id", keep="last").assign(amount=-3.0, days_ago=4)
    is_old = (few["product_id"] == "p07") & (few["days_ago"] < 60)
    open_shop(lake, pd.concat([few[~is_old], returned, negative]), catalogue=catalogue_of(few))
    _, rows, _ = _run(lake, unsold_days=60)
    assert "p07" not in set(rows["product_id"]) and len(set(rows["product_id"])) > 50
    given_back = pd.concat([returned, negative])[["customer_id", "product_id"]].drop_duplicates()
    assert len(given_back) > 100
    assert rows.merge(given_back, on=["customer_id", "product_id"]).empty


def test_a_product_that_nobody_buys_twice_is_not_recommended_to_who_has_it(lake):
    generator = np.random.default_rng(8)
    rows = [
        {"customer_id": f"c{n:03d}", "product_id": f"p{p:02d}", "category": "books", "days_ago": int(d)}
        for n in range(200)
        for p, d in zip(generator.choice(30, 6, replace=False), generator.integers(0, 200, 6), strict=True)
    ]
    purchases = pd.DataFrame(rows)
    open_shop(lake, purchases, catalogue=catalogue_of(purchases))
    _, found, _ = _run(lake)
    assert len(found) == 2_000 and found["is_new"].all()
    assert found.merge(purchases, on=["customer_id", "product_id"]).empty


def test_a_learned_recommender_that_is_not_better_for_certain_does_not_recommend(lake):
    generator = np.random.default_rng(9)
    weights = 1 / np.arange(1, 41)
    purchases = pd.DataFrame(
        {
            "customer_id": [f"c{n:04d}" for n in generator.integers(0, 400, 6_000)],
            "product_id": [f"p{p:02d}" for p in generator.choice(40, 6_000, p=weights / weights.sum())],
            "category": "all",
            "days_ago": generator.integers(0, 300, 6_000),
        }
    )
    open_shop(lake, purchases, catalogue=catalogue_of(purchases))
    summary, rows, card = _run(lake)
    assert summary.status == "refused"
    assert card.loc["gain_in_ndcg_at_10", "verdict"] == "refused"
    assert set(rows["recommender"]) <= set(BASELINES)


def test_what_a_customer_bought_most_often_recommends_where_nothing_foresees_better(lake):
    """Each customer has three favourites, bought on any day, and buys other things just as randomly."""
    generator = np.random.default_rng(11)
    rows = []
    for number in range(300):
        favourites = generator.choice(60, 3, replace=False)
        products = np.r_[generator.choice(favourites, 40), generator.integers(0, 60, 25)]
        ages = generator.integers(0, 300, len(products))
        rows += [
            (f"c{number:03d}", f"p{product:02d}", int(age))
            for product, age in zip(products, ages, strict=True)
        ]
    purchases = pd.DataFrame(rows, columns=["customer_id", "product_id", "days_ago"]).assign(category="all")
    open_shop(lake, purchases, catalogue=catalogue_of(purchases))
    _, rows, card = _run(lake)
    best = card.loc["ndcg_at_10.most_bought", "value"]
    assert best > card.loc["ndcg_at_10.buy_again", "value"]
    assert card.loc["gain_in_ndcg_at_10", "baseline_name"] == "most_bought"
    assert "ndcg_at_10_new.most_bought" not in card.index
    favourites = purchases.value_counts(["customer_id", "product_id"]).groupby("customer_id").head(1).index
    offered = rows.set_index(["customer_id", "product_id"]).index
    assert favourites.isin(offered).mean() > 0.6


def test_without_products_categories_are_recommended(few, lake):
    open_shop(lake, few.assign(category=few["product_id"], product_id=None))
    summary, rows, _ = _run(lake)
    assert "categories recommended" in summary.note
    assert rows["customer_id"].nunique() == few["customer_id"].nunique()
    assert set(rows["product_id"]) <= set(few["product_id"])
    assert (rows["category"] == rows["product_id"]).all() and (
        rows["product_name"] == rows["product_id"]
    ).all()


@pytest.mark.parametrize("purchases_of", ["nothing", "orders", "nobody"])
def test_without_anything_to_recommend_the_table_is_typed_and_empty_and_the_card_says_why(purchases_of, lake):
    if purchases_of != "nobody":
        frame = pd.DataFrame(
            {"customer_id": ["a", "b"], "product_id": None, "category": None, "days_ago": [3, 4]}
        )
        open_shop(lake, frame.head(0) if purchases_of == "nothing" else frame, ["a", "b"])
    summary, rows, card = _run(lake)
    assert summary.skipped and rows.empty
    assert list(rows.columns) == PRODUCT_RECOMMENDATIONS.names
    assert card.loc["none", "note"].startswith("skipped: ")


def test_ten_customers_with_names_of_any_text_get_something(lake):
    products = ["it's", '50% "off"', "a,b;c", "ünïcode", "{{x}}", ""]
    purchases = pd.DataFrame(
        {
            "customer_id": [f"c{n % 10}" for n in range(40)],
            "product_id": [products[n % 6] for n in range(40)],
            "category": None,
            "days_ago": [n * 3 for n in range(40)],
        }
    )
    open_shop(lake, purchases, catalogue=catalogue_of(purchases, name=None, brand=None, price=None))
    summary, rows, card = _run(lake)
    assert summary.status == "reported" and "are needed" in card.loc["none", "note"]
    assert set(rows["product_id"]) == set(products) - {""}
    assert rows["customer_id"].nunique() == 10 and rows["category"].isna().all()


def test_recall_and_ndcg_are_those_of_their_definitions():
    generator = np.random.default_rng(2)
    customers, items, k = 30, 25, 10
    scores, truth = generator.random((customers, items)), generator.random((customers, items)) < 0.2
    truth[:, 0] |= ~truth.any(axis=1)
    customer, item = (
        part.ravel() for part in np.meshgrid(np.arange(customers), np.arange(items), indexing="ij")
    )
    found = judge_lists(customer, item, scores.ravel(), np.flatnonzero(truth.ravel()), items, k)
    best = np.argsort(-scores, axis=1)[:, :k]
    recall = np.take_along_axis(truth, best, axis=1).sum(axis=1) / truth.sum(axis=1)
    assert found.recall == pytest.approx(recall)
    assert found.ndcg == pytest.approx(
        [ndcg_score([t], [s], k=k) for t, s in zip(truth, scores, strict=True)]
    )


def test_who_bought_and_has_no_list_counts_as_missed_and_ties_go_to_the_lower_item():
    found = judge_lists(
        np.array([0, 0]), np.array([4, 3]), np.array([1.0, 1.0]), np.array([3, 10 + 2]), 10, k=1
    )
    assert found.recall.tolist() == [1.0, 0.0]


def test_the_interval_of_a_paired_gain_is_narrower_than_of_the_two_means():
    generator = np.random.default_rng(4)
    base = generator.random(400)
    values = {"new": base + 0.05 + generator.normal(0, 0.02, 400), "old": base}
    gain = estimate_means(values, 1, against="old", looks=3)["new"]
    alone = estimate_means(values, 1)["new"]
    assert gain.low > 0 and gain.value == pytest.approx(0.05, abs=0.01)
    assert gain.high - gain.low < (alone.high - alone.low) / 3


def test_a_short_horizon_is_taken_where_the_history_is_short(few, lake):
    recent = few[few["days_ago"] < 60]
    open_shop(lake, recent, catalogue=catalogue_of(few))
    models = MODELS.model_copy(update={"purchase": Purchase(horizon_days=90)})
    recommend_products(lake, DAY, models)
    card = pd.read_parquet(lake.ml(DAY, "model_cards_recommendation")).set_index("metric")
    assert "purchases of the last 15 days" in card.loc["gain_in_ndcg_at_10", "note"]
    assert len(FEATURES) == 17
