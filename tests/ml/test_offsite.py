from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import false_discovery_control

from include.config.schema import Offsite
from include.lake import Lake
from ml.offsite import OFFSITE_INTERESTS, find_offsite_interests, judge, weigh
from ml.offsite_effects import compare
from ml.offsite_matching import EVERYTHING, Matched, Matching, Shop, read_shop
from ml.offsite_offers import find_leanings, find_offers

TODAY = date(2024, 6, 30)
FIRST = TODAY - timedelta(days=59)
CONTENTS = ("Pets", "Food", "Cars", "News", "Travel", "Sports")
PEOPLE, DAYS, WINDOW = 1_500, 60, 28
PLANTED = 3.0


@dataclass(frozen=True)
class Models:
    seed: int = 7
    offsite: Offsite = field(default_factory=Offsite)


@dataclass(frozen=True)
class World:
    """People who read and buy. Dog food makes them read three times as much about pets for four weeks; leashes are
    bought with it and do nothing; who buys strollers has read more about cars for a week; tea does nothing, but
    its buyers read half as much about anything else again as others, all the time."""

    shop: Shop
    lake: Lake


def simulate(folder: Path, seed: int, categories: bool = True) -> World:
    rng = np.random.default_rng(seed)
    pace = rng.gamma(3.0, 0.15, PEOPLE)
    taste = rng.dirichlet([1.5] * len(CONTENTS), PEOPLE)
    day = rng.integers(8, DAYS - 8, PEOPLE)
    kind = rng.choice(["dog food", "stroller", "tea", "nothing"], PEOPLE, p=[0.2, 0.2, 0.25, 0.35])
    rate = (pace[:, None] * taste)[:, None, :].repeat(DAYS, axis=1)
    since = np.arange(DAYS)[None, :] - day[:, None]
    rate[..., 0] *= np.where((kind == "dog food")[:, None] & (since > 0) & (since <= WINDOW), PLANTED, 1.0)
    rate[..., 2] *= np.where((kind == "stroller")[:, None] & (since > -8), PLANTED, 1.0)
    rate *= np.where(kind == "tea", 1.5, 1.0)[:, None, None]
    rate *= np.linspace(0.8, 1.3, DAYS)[None, :, None]  # everybody reads more from day to day
    number = rng.poisson(rate)
    person, viewed, content = np.nonzero(number)
    views = pd.DataFrame(
        {
            "person_number": person,
            "viewed_on": _dates(viewed),
            "content": np.array(CONTENTS)[content],
            "views": number[person, viewed, content],
        }
    )
    bought = [(np.flatnonzero(kind == name), name) for name in ("dog food", "stroller", "tea")]
    bought.append((np.flatnonzero((kind == "dog food") & (rng.random(PEOPLE) < 0.7)), "leash"))
    bought.append((np.flatnonzero((kind == "nothing") & (rng.random(PEOPLE) < 0.15)), "leash"))
    purchases = pd.concat(
        [pd.DataFrame({"person_number": who, "category": name, "day": day[who]}) for who, name in bought]
    )
    if not categories:
        purchases = purchases[purchases["category"] == "dog food"].assign(category=EVERYTHING)
    buyers = np.flatnonzero(kind == "dog food") if not categories else np.arange(PEOPLE)
    orders = pd.DataFrame(
        {"person_number": buyers, "ordered_on": _dates(day[buyers]), "days_since_order": 20}
    )
    lake = Lake(folder)
    _write(lake, "offsite_views", views)
    _write(lake, "offsite_orders", orders)
    fresh = purchases.assign(fresh_on=_dates(purchases["day"].to_numpy())).drop(columns="day")
    _write(lake, "offsite_purchases", fresh)
    shop = read_shop(lake, TODAY, 300, 50, 50, 7)
    assert isinstance(shop, Shop)
    return World(shop, lake)


def _dates(day: np.ndarray) -> list[date]:
    return [FIRST + timedelta(days=int(each)) for each in day]


def _write(lake: Lake, name: str, frame: pd.DataFrame) -> None:
    lake.staged(name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), lake.staged(name))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate(tmp_path_factory.mktemp("offsite"), 1)


@pytest.fixture(scope="module")
def found(world: World) -> pd.DataFrame:
    return weigh(world.shop, (7, 28), 28, 5).set_index(["bought_category", "content_category", "window_days"])


def test_a_planted_interest_is_found_and_its_interval_holds_it(found: pd.DataFrame) -> None:
    for window in (7, 28):
        row = found.loc[("dog food", "Pets", window)]
        assert row["verdict"] == "rises"
        assert row["multiplier_low"] <= PLANTED <= row["multiplier_high"]
        assert row["low"] > 0
        assert row["placebo_low"] <= 1 <= row["placebo_high"]


def test_the_difference_is_of_what_was_read_and_what_was_expected(found: pd.DataFrame) -> None:
    row = found.loc[("dog food", "Pets", 28)]
    assert row["did"] == pytest.approx(row["rate_after"] * (1 - 1 / row["multiplier"]))
    expected = row["rate_before"] * row["control_after"] / row["control_before"]
    assert row["multiplier"] == pytest.approx(row["rate_after"] / expected, rel=0.1)


def pages_of(people: int, days: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """What people of very different paces read of one content in so many days, (people, 1)."""
    pace = np.random.default_rng(3).lognormal(-2, 1, people)
    return rng.poisson(pace * days * factor)[:, None].astype(float)


def test_the_multiplier_is_that_of_a_poisson_regression_with_an_intercept_for_each_person() -> None:
    people, rng = 300, np.random.default_rng(4)
    is_buyer, day = np.arange(people) < 120, rng.integers(7, 21, people)
    before_days, after_days = day, 28 - day
    before = pages_of(people, before_days, 1.0, rng)
    after = pages_of(people, after_days, 1.0 + is_buyer, rng)
    matched = Matched(np.arange(people), day, np.ones(people), is_buyer)
    found = compare(matched, before, after, before_days, after_days)
    # The oracle: the pages of all persons, each with an intercept of their own, by iterated least squares.
    read = np.flatnonzero((before + after)[:, 0] > 0)
    pages = np.concatenate([before[read, 0], after[read, 0]])
    days = np.concatenate([before_days[read], after_days[read]])
    is_after = np.arange(2 * len(read)) >= len(read)
    design = np.column_stack(
        [is_after, is_after & np.tile(is_buyer[read], 2), np.tile(np.eye(len(read)), (2, 1))]
    ).astype(float)
    effect = np.concatenate([[0.0, 0.0], np.log((before + after)[read, 0] / 28)])
    for _ in range(30):
        mean = days * np.exp(design @ effect)
        effect += np.linalg.solve(design.T @ (mean[:, None] * design), design.T @ (pages - mean))
    assert found.multiplier[0] == pytest.approx(np.exp(effect[1]), rel=1e-6)
    # Where counts are nothing but counts, the error is theirs or somewhat more.
    by_counts = np.sqrt(np.linalg.inv(design.T @ (mean[:, None] * design))[1, 1])
    error = np.log(found.high[0] / found.low[0]) / 2 / 1.98
    assert by_counts * 0.99 <= error <= by_counts * 1.3


def test_errors_are_larger_where_people_read_in_bursts() -> None:
    people, rng = 300, np.random.default_rng(5)
    days, is_buyer = np.full(people, 28), np.arange(people) < 120
    matched = Matched(np.arange(people), days, np.ones(people), is_buyer)
    pages = [pages_of(people, days, 1.0, rng) for _ in range(2)]
    calm = compare(matched, *pages, days, days)
    bursts = compare(matched, *(each * rng.binomial(1, 0.25, each.shape) * 4 for each in pages), days, days)
    assert np.log(bursts.high[0] / bursts.low[0]) > 1.5 * np.log(calm.high[0] / calm.low[0])


def test_what_is_asked_does_not_depend_on_what_moved() -> None:
    """The pages read in all decide whether a multiplier could be found, whenever they were read."""
    people, rng = 300, np.random.default_rng(6)
    days, is_buyer = np.full(people, 28), np.arange(people) < 120
    matched = Matched(np.arange(people), days, np.ones(people), is_buyer)
    before, after = (pages_of(people, days, 1.0, rng) for _ in range(2))
    moved = np.where(is_buyer[:, None], rng.binomial(before.astype(int), 0.5), 0)
    plain = compare(matched, before, after, days, days)
    rising = compare(matched, before - moved, after + moved, days, days)
    assert rising.p_value[0] < 1e-4 < plain.p_value[0]
    assert rising.detectable[0] == pytest.approx(plain.detectable[0])


def test_what_is_bought_with_it_says_what_it_comes_with(found: pd.DataFrame) -> None:
    row = found.loc[("leash", "Pets", 28)]
    assert row["multiplier"] > 1.3
    assert (row["verdict"], row["comes_with"]) == ("comes with", "dog food")


def test_an_interest_that_began_before_the_purchase_does_not_pass_for_one_after_it(
    found: pd.DataFrame,
) -> None:
    row = found.loc[("stroller", "Cars", 7)]
    assert row["multiplier"] > 1.2
    assert row["placebo_low"] > 1
    assert row["verdict"] == "moved before"


def test_where_nothing_is_planted_intervals_hold_nothing_in_nineteen_of_twenty(found: pd.DataFrame) -> None:
    # Contents that move after some purchase move among the others too, whoever is compared with them.
    nothing = found[found["p_value"].notna()].drop(["Pets", "Cars"], level="content_category")
    assert len(nothing) >= 30
    assert ((nothing["multiplier_low"] <= 1) & (nothing["multiplier_high"] >= 1)).mean() >= 0.9
    assert nothing["verdict"].isin(["rises", "falls"]).mean() <= 0.05
    # Both say the same: the interval leaves 1 out just when chance would not.
    outside = (nothing["low"] > 0) | (nothing["high"] < 0)
    assert (outside == (nothing["p_value"] < 0.05)).all()


def judged(p_values: list[list[float]], detectable: float = 1.5) -> pd.DataFrame:
    """What is said of pairs with these p-values in three windows each."""
    table = pd.DataFrame(
        [(pair, window, p) for pair, of_pair in enumerate(p_values) for window, p in enumerate(of_pair)],
        columns=["category", "window_days", "p_value"],
    )
    columns = dict.fromkeys(["did", "low", "high", "multiplier", "multiplier_low", "multiplier_high"], 2.0)
    placebo = {"placebo_p": 0.5, "placebo_multiplier": 1.0, "placebo_low": 0.5, "placebo_high": 2.0}
    return judge(table.assign(content=0, detectable=detectable, **columns, **placebo))


def test_with_one_window_the_q_values_are_those_of_benjamini_and_hochberg() -> None:
    p_values = np.random.default_rng(8).random(200) ** 3
    found = judged([[p] for p in p_values])
    expected = false_discovery_control(p_values)
    assert 3 < (expected <= 0.05).sum() < 100
    assert ((found["q_value"] <= 0.05) == (expected <= 0.05)).all()
    assert (found["verdict"] == np.where(expected <= 0.05, "rises", "none shown")).all()


def test_windows_are_judged_within_what_is_found_and_the_stricter_the_less_is_found() -> None:
    """Of 100 pairs two are found by all their windows together: within them a p-value of 1/50 of 0.05 is asked for."""
    nothing = [[0.5, 0.6, 0.7]] * 98
    found = judged([[1e-6, 0.0006, 0.003], [1e-5, 0.9, 0.9], *nothing])
    assert found["verdict"].tolist()[:6] == [
        "rises",
        "rises",
        "none shown",
        "rises",
        "none shown",
        "none shown",
    ]
    assert set(found["verdict"].iloc[6:]) == {"none shown"}


def test_what_could_not_be_found_is_not_asked() -> None:
    table = judged([[1e-9, 1e-9, 1e-9]], detectable=2.1)
    assert (table["verdict"] == "too few").all()
    assert table[["placebo_multiplier", "placebo_low", "placebo_high"]].isna().all(axis=None)
    assert table[["multiplier", "low", "p_value", "q_value"]].isna().all(axis=None)


def test_readers_of_a_subject_lead_to_what_its_buyers_buy(world: World, found: pd.DataFrame) -> None:
    leanings = find_leanings(world.shop)
    offers = find_offers(found.reset_index(), leanings)
    assert ("dog food", "leash") in set(zip(offers["bought_category"], offers["offer_category"], strict=True))
    assert (offers["bought_category"] != offers["offer_category"]).all()
    assert (offers["lift_low"] > 1).all()
    assert offers["reason"].str.contains("dog food").all()


def test_the_lift_of_a_content_is_the_ratio_of_its_shares(world: World) -> None:
    views = pd.read_parquet(world.lake.staged("offsite_views"))
    buyers = pd.read_parquet(world.lake.staged("offsite_purchases")).query("category == 'tea'")[
        "person_number"
    ]
    is_buyer = views["person_number"].isin(buyers)
    shares = [
        part.loc[part["content"] == "Food", "views"].sum() / part["views"].sum()
        for part in (views[is_buyer], views[~is_buyer])
    ]
    leanings = find_leanings(world.shop).set_index(["offer_category", "content_category"])
    assert leanings.loc[("tea", "Food"), "lift"] == pytest.approx(shares[0] / shares[1])


def test_others_are_like_the_buyers_in_what_they_read_before(world: World) -> None:
    shop, category = world.shop, world.shop.purchases.categories.index("tea")
    matched = Matching(shop, 28, 0, 5).match(category)
    read = shop.browsing.read_between(matched.person, matched.day - 28, matched.day)
    buyers, others = matched.is_buyer, ~matched.is_buyer
    orders = shop.orders
    is_other = ~np.isin(orders.person, shop.purchases.bought[category])
    anybody = shop.browsing.read_between(orders.person, orders.day - 28, orders.day)[is_other]
    assert buyers.sum() > 100
    assert not np.isin(matched.person[others], shop.purchases.bought[category]).any()
    assert matched.weight[others].sum() == pytest.approx(buyers.sum())
    mean = np.average(read[others], weights=matched.weight[others])
    assert mean == pytest.approx(read[buyers].mean(), rel=0.1)
    assert anybody.mean() < 0.85 * mean


def test_pages_are_counted_by_day_as_pandas_counts_them(world: World) -> None:
    views = pd.read_parquet(world.lake.staged("offsite_views"))
    days = (pd.to_datetime(views["viewed_on"]) - pd.Timestamp(FIRST)).dt.days
    person, first, last = np.array([3, 3, 700]), np.array([0, 10, 5]), np.array([60, 20, 33])
    counted = world.shop.browsing.count(person, first, last)
    between = world.shop.browsing.read_between(person, first, last)
    for row in range(3):
        part = views[(views["person_number"] == person[row]) & (days >= first[row]) & (days < last[row])]
        expected = part.groupby("content")["views"].sum().reindex(world.shop.browsing.contents).fillna(0)
        assert counted[row].tolist() == expected.tolist()
        assert between[row] == part["views"].sum()


def test_without_categories_orders_are_held_against_no_order(tmp_path: Path) -> None:
    world = simulate(tmp_path, 2, categories=False)
    row = weigh(world.shop, (28,), 28, 5).set_index("content_category").loc["Pets"]
    assert row["bought_category"] == EVERYTHING
    assert row["verdict"] == "rises"
    assert row["multiplier_low"] <= PLANTED <= row["multiplier_high"]


def test_the_same_hand_overs_make_the_same_files(world: World, tmp_path: Path) -> None:
    summary = find_offsite_interests(world.lake, TODAY, Models())
    again = Lake(tmp_path)
    for name in ("offsite_views", "offsite_purchases", "offsite_orders"):
        _write(again, name, pd.read_parquet(world.lake.staged(name)))
    find_offsite_interests(again, TODAY, Models())
    for name in ("offsite_interests", "upsell_offers", "model_cards_offsite"):
        assert again.ml(TODAY, name).read_bytes() == world.lake.ml(TODAY, name).read_bytes()
    table = pq.read_table(world.lake.ml(TODAY, "offsite_interests"))
    assert table.schema == OFFSITE_INTERESTS
    assert summary.rows == table.num_rows == 4 * len(CONTENTS) * 3
    assert summary.status == "reported"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("offsite_views", "no customer is matched with a visitor who was seen on other sites"),
        ("offsite_orders", "no customer who was seen on other sites has ordered"),
        ("offsite_purchases", "no purchase came after the pause that makes it a fresh one"),
    ],
)
def test_without_input_the_tables_are_empty_and_say_why(
    world: World, tmp_path: Path, missing: str, reason: str
) -> None:
    lake = Lake(tmp_path)
    for name in ("offsite_views", "offsite_purchases", "offsite_orders"):
        frame = pd.read_parquet(world.lake.staged(name))
        _write(lake, name, frame.head(0) if name == missing else frame)
    summary = find_offsite_interests(lake, TODAY, Models())
    assert (summary.skipped, summary.note) == (True, reason)
    assert pq.read_table(lake.ml(TODAY, "offsite_interests")).num_rows == 0
    assert pq.read_table(lake.ml(TODAY, "upsell_offers")).num_rows == 0
    cards = pq.read_table(lake.ml(TODAY, "model_cards_offsite")).to_pylist()
    assert [card["note"] for card in cards] == [f"skipped: {reason}"]


def test_fewer_than_fifty_buyers_are_not_judged() -> None:
    size = 49
    matched = Matched(np.arange(200), np.full(200, 30), np.ones(200), np.arange(200) < size)
    pages = np.full((200, 1), 3.0) + np.arange(200)[:, None] % 2
    effects = compare(matched, pages, pages, np.full(200, 28), np.full(200, 28))
    assert effects.buyers == size
    assert np.isnan(effects.multiplier).all()
    assert np.isnan(effects.p_value).all()
