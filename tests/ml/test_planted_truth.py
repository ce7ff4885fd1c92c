"""What is learned on the DMP side and the bridge, held against what the demo's simulator planted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include.benchmark import planted_interests, planted_tastes
from include.config.schema import Offsite
from include.lake import Lake
from ml.lookalike import expand_audiences
from ml.offsite import weigh
from ml.offsite_matching import Shop, read_shop
from tests.ml.demo_world import (
    DAY,
    KEY,
    DemoWorld,
    hand_over_interests,
    hand_over_strangers,
    make_demo_world,
    taste_of_strangers,
)
from tests.ml.shoppers import Audience, Configuration, Lookalike

TASTES = {"baby_families": "family", "pet_families": "pets"}


@pytest.fixture(scope="module")
def world() -> DemoWorld:
    return make_demo_world(strangers=4_000)


def test_the_planted_interests_are_found_with_intervals_that_cover_them(
    world: DemoWorld, tmp_path: Path
) -> None:
    lake, asked = Lake(tmp_path), Offsite()
    hand_over_interests(lake, world)
    shop = read_shop(lake, DAY, asked.categories, asked.contents, 50, 7)
    assert isinstance(shop, Shop)
    found = planted_interests.compare_with_truth(
        weigh(shop, asked.windows[-1:], asked.before_days, asked.controls), world.interests
    )
    assert len(found.planted) >= 5
    assert found.found_share >= 0.8
    assert found.covered_share >= 0.9
    assert found.judged > 100
    assert found.false_discovery_share <= 0.2  # of so few that are found; over four seeds it was none of 55
    assert found.false_interval_share <= 0.08


def test_look_alikes_reach_four_fifths_of_the_lift_of_an_oracle(world: DemoWorld, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    hand_over_strangers(lake, world, TASTES, share=0.15)
    audiences = tuple(Audience(audience_id, Lookalike(level="broad")) for audience_id in TASTES)
    expand_audiences(lake, DAY, Configuration(audiences))
    compared = planted_tastes.compare_with_truth(
        pd.read_parquet(lake.ml(DAY, "lookalike_members")),
        pd.read_parquet(lake.staged("visitor_features")),
        pd.read_parquet(lake.staged("known_visitors")),
        taste_of_strangers(world),
        KEY,
    )
    assert compared.audiences["audience_id"].tolist() == list(TASTES)
    assert (compared.audiences["oracle_lift"] > 2).all()
    assert compared.share_of_oracle >= 0.8
