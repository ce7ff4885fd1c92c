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
    """Count everything exactly, by the sets themselves; sketches are whole sets."""
    names = sorted(world.sets)
    often = world.visits.groupby("person").size()
    band = pd.cut(often, [0, 1, 2, 5, 10, 20, 50, np.inf], labels=[1, 2, 3, 6, 11, 21, 51]).astype(int)
    reach = []
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
                "threshold": EVERY_HASH,
            }
        )
    hand_over(lake, "reach_counts", pd.DataFrame(reach))
    people = pd.DataFrame(
        [(person, number) for number, name in enumerate(names) for person in world.sets[name]],
        columns=["person", "set_id"],
    ).sort_values(["person", "set_id"])
    people["band"] = people["person"].map(band).astype("Int32")
    hand_over(lake, "sketched_people", people)
    met, placements = _met_at_placements(world), []
    for (dimension, value), rows in met.groupby(["dimension", "value"], sort=True):
        if len(rows) < 50:
            continue
        visits = world.visits[world.visits[dimension] == value]
        counts = band.loc[rows["person"]].value_counts().sort_index()
        placements.append(
            pd.DataFrame(
                {
                    "placement_id": rows["placement_id"].iat[0],
                    "band": counts.index,
                    "dimension": dimension,
                    "value": value,
                    "within_site": _only_value(visits["site"])
                    if dimension in ("context", "category")
                    else None,
                    "within_category": _only_value(visits["category"])
                    if dimension in ("context", "site")
                    else None,
                    "people": counts.to_numpy(),
                    "band_people": band.value_counts().loc[counts.index].to_numpy(),
                }
            )
        )
    hand_over(lake, "placement_counts", pd.concat(placements, ignore_index=True))
    hand_over(lake, "sketched_placements", met[["person", "placement_id"]])


def _met_at_placements(world: World) -> pd.DataFrame:
    """Who was met where, each once, in the order of people; placements are numbered."""
    met = pd.concat(
        [
            world.visits[["person", dimension]]
            .drop_duplicates()
            .set_axis(["person", "value"], axis="columns")
            .assign(dimension=dimension)
            for dimension in ("category", "context", "device", "site")
        ]
    )
    met["placement_id"] = met.groupby(["dimension", "value"], sort=True).ngroup() + 1
    return met.sort_values(["person", "placement_id"], ignore_index=True)


def _only_value(values: pd.Series) -> str | None:
    return values.iat[0] if values.nunique() == 1 else None
