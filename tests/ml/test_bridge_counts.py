"""Counts of customers that leave the bridge tell of no few of them: neither one day's nor one after the other."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from include.config.schema import Placements
from include.lake import Lake
from ml.bridge_counts import COMPARED_PEOPLE
from ml.offsite import OFFSITE_INTERESTS
from ml.reach import measure_reach
from ml.tables import read_table, write_table
from tests.ml.reach_world import hand_over

FLOOR, CUSTOMERS = 60, 3_000
DAY = date(2024, 6, 30)
OUTCOMES = ("matched", "person refused", "match expired", "no consented visitor")
WAYS = ("cookie", "device", "hashed_email")
CONFIGURATION = SimpleNamespace(
    privacy=SimpleNamespace(minimum_cell=FLOOR), models=SimpleNamespace(placements=Placements())
)


def hand_over_matches(lake: Lake, outcome: np.ndarray) -> None:
    """`outcome` (customers, ways) is the place of what came of a way, or -1 for customers without it."""
    known = np.where(outcome < 0, len(OUTCOMES), outcome)
    each = dict(zip(WAYS, known.T, strict=True)) | {"any": known.min(axis=1)}
    rows = [
        (way, name, place, int((places == place).sum()))
        for way, places in each.items()
        for place, name in enumerate(OUTCOMES)
    ]
    hand_over(
        lake, "match_counts", pd.DataFrame(rows, columns=["id_type", "outcome", "outcome_order", "customers"])
    )


def hand_over_offers(lake: Lake, sizes: dict[tuple[str, str], int]) -> None:
    rows = [(*pair, size) for pair, size in sizes.items()]
    hand_over(
        lake, "offer_counts", pd.DataFrame(rows, columns=["bought_category", "offer_category", "customers"])
    )


def compare(lake: Lake, day: date, people: dict[str, tuple[int, int]]) -> None:
    """Each category is compared in two contents, as all are of the same people."""
    empty = dict.fromkeys(OFFSITE_INTERESTS.names)
    rows = [
        empty
        | {"bought_category": name, "content_category": content, "window_days": 7, "as_of_date": day}
        | {"buyers": buyers, "controls": controls}
        for name, (buyers, controls) in people.items()
        for content in ("Pets", "Travel")
    ]
    write_table(
        pd.DataFrame(rows).astype({"buyers": "int64", "controls": "int64"}),
        OFFSITE_INTERESTS,
        ["bought_category", "content_category"],
        lake.ml(day, "offsite_interests"),
    )


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[np.ndarray, pd.DataFrame]]:
    """What came of every customer's ways on eight days on which few or many change, and what was told of them."""
    lake, draws, found = Lake(tmp_path_factory.mktemp("days")), np.random.default_rng(5), []
    outcome = draws.choice([-1, 0, 1, 2, 3], size=(CUSTOMERS, len(WAYS)), p=[0.3, 0.4, 0.02, 0.08, 0.2])
    outcome[:, 2] = np.where(draws.random(CUSTOMERS) < 0.99, -1, 0)  # few are known by this way alone
    for number, changed in enumerate((0, 5, 40, 400, 1, 30, 30, 30)):
        rows = draws.choice(CUSTOMERS, changed, replace=False)
        outcome[rows, :2] = draws.choice([-1, 0, 1, 2, 3], size=(changed, 2), p=[0.3, 0.1, 0.1, 0.1, 0.4])
        hand_over_matches(lake, outcome)
        measure_reach(lake, DAY + timedelta(days=number), CONFIGURATION)
        found.append((outcome.copy(), read_table(lake.ml(DAY + timedelta(days=number), "match_rates"))))
    return found


def told(rates: pd.DataFrame) -> pd.Series:
    return rates.set_index(["id_type", "outcome"])["customers"].dropna()


def test_no_match_rate_tells_of_a_few_by_itself_or_beside_any(days) -> None:
    compared = 0
    for _, rates in days:
        counts = told(rates)
        assert (counts >= FLOOR).all()
        for way in WAYS:
            for last in range(len(OUTCOMES)):
                names = [[(each, name) for name in OUTCOMES[: last + 1]] for each in ("any", way)]
                if all(name in counts.index for part in names for name in part):
                    more = counts.loc[names[0]].sum() - counts.loc[names[1]].sum()
                    assert more == 0 or more >= FLOOR
                    compared += 1
    assert compared > 8


def test_a_match_rate_moves_by_none_or_by_many_and_is_true_to_less_than_the_floor(days) -> None:
    moves = 0
    for (_, before), (outcome, after) in pairwise(days):
        moved = (told(after) - told(before)).dropna().abs()
        assert ((moved == 0) | (moved >= FLOOR)).all()
        moves += int((moved > 0).sum())
        for way, column in zip(WAYS, outcome.T, strict=True):
            for place, name in enumerate(OUTCOMES):
                if (way, name) in told(after).index:
                    assert abs(told(after)[way, name] - (column == place).sum()) < FLOOR
    assert moves > 3


def test_the_sum_of_match_rates_tells_no_more_than_they_do(days) -> None:
    for _, rates in days:
        totals = rates.groupby("id_type").agg(told=("customers", "sum"), total=("all_customers", "max"))
        assert (totals["total"].fillna(0) == totals["told"]).all()
        known = rates.dropna(subset="share")
        assert np.allclose(known["share"], known["customers"] / known["all_customers"], atol=1e-4)


def test_any_is_not_told_where_few_are_known_by_another_way_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    outcome = np.full((CUSTOMERS, 3), -1)
    outcome[:500, 0], outcome[500:530, 1] = 0, 0
    hand_over_matches(lake, outcome)
    measure_reach(lake, DAY, CONFIGURATION)
    assert told(read_table(lake.ml(DAY, "match_rates"))).to_dict() == {("cookie", "matched"): 500}


def test_sizes_of_offers_are_held_until_many_came(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    seen = []
    for number, size in enumerate((100, 130, 165, 30)):
        hand_over_offers(lake, {("tea", "mugs"): size, ("tea", "tins"): 59})
        measure_reach(lake, DAY + timedelta(days=number), CONFIGURATION)
        sizes = read_table(lake.ml(DAY + timedelta(days=number), "offer_sizes")).set_index("offer_category")
        assert pd.isna(sizes.loc["tins", "customers"])
        seen.append(tuple(sizes.loc["mugs", ["customers", "is_held_back"]]))
    assert seen[:3] == [(100, False), (100, True), (165, False)]
    assert pd.isna(seen[3][0])


def test_how_many_were_compared_is_held_until_many_came(tmp_path: Path) -> None:
    lake, tomorrow = Lake(tmp_path), DAY + timedelta(days=1)
    compare(lake, DAY, {"tea": (100, 300), "mugs": (200, 400), "tins": (59, 300)})
    measure_reach(lake, DAY, CONFIGURATION)
    compare(lake, tomorrow, {"tea": (130, 370), "mugs": (300, 400), "tins": (61, 300)})
    measure_reach(lake, tomorrow, CONFIGURATION)
    first, second = (
        read_table(lake.ml(day, "compared_people")).set_index("bought_category") for day in (DAY, tomorrow)
    )
    assert first.columns.to_list() == COMPARED_PEOPLE.names[1:]
    assert second.loc["tea", ["buyers", "controls"]].to_list() == [100, 370]
    assert second.loc["mugs", ["buyers", "controls"]].to_list() == [300, 400]
    assert pd.isna(first.loc["tins", "buyers"]) and second.loc["tins", "buyers"] == 61


def test_without_hand_overs_there_are_tables_without_rows(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    measure_reach(lake, DAY, CONFIGURATION)
    for name in ("match_rates", "offer_sizes", "compared_people"):
        assert read_table(lake.ml(DAY, name)).empty
