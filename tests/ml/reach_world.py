"""People of whom all is known, and the counts that the warehouse would hand over of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.lake import Lake
from tests.ml.shoppers import hand_over

EVERY_HASH = 1 << 60
SITES = ("news", "news", "news", "blog", "blog", "shop")
TOPICS = ("sport", "food", "pets", "food", "garden", "food")


@dataclass(frozen=True)
class World:
    """People behind visitors: `sets` of them by audience and part, and by placement who was met there how often."""

    people: pd.DataFrame
    sets: dict[tuple[str, str], frozenset[int]]
    visits: pd.DataFrame

    @property
    def everybody(self) -> frozenset[int]:
        return frozenset(self.people.index)

    def met(self, dimension: str, value: str) -> frozenset[int]:
        """Everybody who was met at a placement."""
        return frozenset(self.visits.loc[self.visits[dimension] == value, "person"])

    def met_so_often(self, times: int) -> frozenset[int]:
        counts = self.visits.groupby("person").size()
        return frozenset(counts.index[counts >= times])


def make_people(count: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 90, count),
            "woman": generator.random(count) < 0.5,
            "place": generator.choice(["n", "s", "w"], count, p=[0.5, 0.46, 0.04]),
            "keen": generator.poisson(3.0, count),
            "visits_seed": generator.integers(0, 2**31, count),
        }
    )


def change_people(people: pd.DataFrame, seed: int, leave: int, come: int, move: int) -> pd.DataFrame:
    """The same people later: some have left, some have come and some have become keener."""
    generator = np.random.default_rng(seed)
    kept = people.drop(index=generator.choice(people.index, leave, replace=False))
    new = make_people(come, seed).set_index(np.arange(come) + people.index.max() + 1)
    kept.loc[generator.choice(kept.index, move, replace=False), "keen"] += 2
    return pd.concat([kept, new])


def make_world(people: pd.DataFrame) -> World:
    """Audiences as a marketer would define them, many of them within others, with few more or many."""
    conditions = {
        ("all_women", "members"): people["woman"],
        ("adults", "members"): people["age"] >= 19,
        ("over_30", "members"): people["age"] >= 30,
        ("over_31", "members"): people["age"] >= 31,
        ("women_over_30", "members"): people["woman"] & (people["age"] >= 30),
        ("women_over_32", "members"): people["woman"] & (people["age"] >= 32),
        ("seniors", "members"): people["age"] >= 80,
        ("north", "members"): people["place"] == "n",
        ("south", "members"): people["place"] == "s",
        ("keen", "members"): people["keen"] >= 4,
        ("keen_or_north", "members"): (people["keen"] >= 4) | (people["place"] == "n"),
        ("very_keen", "members"): people["keen"] >= 6,
        ("very_keen", "lookalikes"): (people["keen"] >= 3) & (people["keen"] < 6) & people["woman"],
    }
    sets = {name: frozenset(people.index[mask]) for name, mask in conditions.items()}
    times = people["keen"].to_numpy()
    person = np.repeat(people.index.to_numpy(), times)
    draw = (np.repeat(people["visits_seed"].to_numpy(), times) >> (3 * _number_within(times))) % 6
    visits = pd.DataFrame({"person": person, "site": np.take(SITES, draw), "category": np.take(TOPICS, draw)})
    visits["context"] = visits["site"] + ": " + visits["category"]
    visits["device"] = np.where(
        visits["person"] % 50 == 0, "tv", np.where(visits["person"] % 3 == 0, "mobile", "desktop")
    )
    return World(people, sets, visits)


def _number_within(times: np.ndarray) -> np.ndarray:
    """0, 1, 2 … for the visits of each person."""
    return np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)


def hand_over_counts(lake: Lake, world: World) -> None:
    """Count everything exactly, by the sets themselves."""
    names = sorted(world.sets)
    often = world.visits.groupby("person").size()
    reach, overlaps, placements = [], [], []
    for number, name in enumerate(names):
        members = world.sets[name]
        others = [world.sets[each] for each in names if each != name and each[1] == "members"]
        over = [world.sets[(name[0], "members")]] if name[1] == "lookalikes" else others
        events = often.reindex(sorted(members), fill_value=0)
        reach.append(
            {
                "set_id": number,
                "unit": "visitors",
                "audience_id": name[0],
                "part": name[1],
                "population": len(world.everybody),
                "people": len(members),
                "incremental_people": len(members.difference(*over)),
                "events": int(events.sum()),
                **{f"met_{times}_or_more": int((events >= times).sum()) for times in (1, 2, 3, 6)},
                **{f"everybody_met_{times}_or_more": int((often >= times).sum()) for times in (1, 2, 3, 6)},
            }
        )
        for other in range(number + 1, len(names)):
            if found := len(members & world.sets[names[other]]):
                overlaps.append({"set_a": number, "set_b": other, "threshold": EVERY_HASH, "found": found})
    place_id = 0
    for dimension in ("category", "context", "device", "site"):
        for value, rows in world.visits.groupby(dimension, sort=True):
            met, place_id = frozenset(rows["person"]), place_id + 1
            if len(met) < 50:
                continue
            within = {
                "within_site": rows["site"].iat[0]
                if dimension == "context" or (dimension == "category" and rows["site"].nunique() == 1)
                else None,
                "within_category": rows["category"].iat[0]
                if dimension == "context" or (dimension == "site" and rows["category"].nunique() == 1)
                else None,
            }
            for number, name in enumerate(names):
                if found := len(met & world.sets[name]):
                    placements.append(
                        {
                            "set_id": number,
                            "placement_id": place_id,
                            "dimension": dimension,
                            "value": value,
                            **within,
                            "population_people": len(met),
                            "found": found,
                            "threshold": EVERY_HASH,
                            "expected_share": found / len(world.sets[name]),
                        }
                    )
    for table, rows in (
        ("reach_counts", reach),
        ("overlap_counts", overlaps),
        ("placement_counts", placements),
    ):
        hand_over(lake, table, pd.DataFrame(rows))
