"""The people of the demo straight from its simulator, and what the warehouse would hand over of them.

Nobody is mistaken for somebody else here, so that what is measured is the learning and not the identity before it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

from include.demo.behaviour import INTERESTS, Behaviour, behave
from include.demo.calendar import DAY as SECONDS
from include.demo.calendar import Calendar, seconds
from include.demo.population import Population, populate
from include.demo.store import REAL_HOUSEHOLDS, Store, baskets_of, open_store
from include.demo.tastes import CONTENTS, TASTE_NAMES
from include.lake import Lake
from tests.ml.shoppers import hand_over

DAY = date(2017, 12, 1)
END = seconds(DAY) // SECONDS + 1
KEPT, PAUSE = 60, 60  # days
CONSENTING = 0.54  # of the devices on which customers were logged in
KEY = b"k" * 32


@dataclass(frozen=True)
class DemoWorld:
    """All households of the store and some strangers, and what they did."""

    store: Store
    population: Population
    behaviour: Behaviour

    @property
    def interests(self) -> pd.DataFrame:
        """The planted interests, as `post_purchase_interests.parquet` holds them."""
        rows = [(each.category, each.content, each.multiplier, each.window_days) for each in INTERESTS]
        return pd.DataFrame(
            rows, columns=["bought_category", "content_category", "multiplier", "window_days"]
        )

    @cached_property
    def owner(self) -> np.ndarray:
        """The person behind each device, the one logged in last; -1 for strangers, refusals and unknown ones."""
        visits = self.behaviour.visits
        known = visits[visits["is_logged_in"] & (visits["at"] < END * SECONDS)]
        last = known.groupby("device")["person"].last()
        owner = np.full(len(self.population.devices), -1)
        owner[last.index] = last
        refuses = np.random.default_rng(1).random(len(owner)) >= CONSENTING
        return np.where(refuses, -1, owner)

    @cached_property
    def reading(self) -> pd.DataFrame:
        """Pages off-site while their detail is kept: device, day, content, views."""
        hits = self.behaviour.hits.assign(day=self.behaviour.hits["at"] // SECONDS)
        hits = hits[(hits["day"] >= END - KEPT) & (hits["day"] < END)]
        return (
            hits.groupby(["device", "day", "content"], as_index=False)
            .size()
            .rename(columns={"size": "views"})
        )

    @cached_property
    def purchases(self) -> pd.DataFrame:
        """What each person bought on which day, in the store and on line: person, day, category."""
        baskets, people = self.store.baskets, self.population.persons
        primary = np.flatnonzero(people["is_primary"].to_numpy())
        household, basket, at, _ = baskets_of(self.store, self.population.households)
        size = np.diff(baskets.first_line)[basket]
        line = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        line += np.repeat(baskets.first_line[:-1][basket], size)
        lines, orders = self.behaviour.order_lines, self.behaviour.orders
        category = self.store.products["product_category"]
        bought = pd.concat(
            [
                pd.DataFrame(
                    {
                        "person": np.repeat(primary[household], size),
                        "day": np.repeat(at // SECONDS, size),
                        "category": category.to_numpy()[baskets.product[line]],
                    }
                ),
                pd.DataFrame(
                    {
                        "person": orders["person"].to_numpy()[lines["order"]],
                        "day": orders["at"].to_numpy()[lines["order"]] // SECONDS,
                        "category": category.to_numpy()[lines["product"]],
                    }
                ),
            ]
        )
        return bought[bought["day"] < END].drop_duplicates(ignore_index=True)


def make_demo_world(strangers: int, seed: int = 2017) -> DemoWorld:
    calendar = Calendar(DAY, 14)
    store = open_store(None, calendar, seed)
    population = populate(store, calendar, 0, REAL_HOUSEHOLDS, 0, strangers, seed)
    behaviour = behave(population, store, calendar, 0, seed)
    store.connection.close()
    return DemoWorld(store, population, behaviour)


def hand_over_interests(lake: Lake, world: DemoWorld) -> None:
    """Hand over what `ml.offsite` reads."""
    reading = world.reading.assign(person=world.owner[world.reading["device"]])
    views = (
        reading[reading["person"] >= 0].groupby(["person", "day", "content"], as_index=False)["views"].sum()
    )
    bought = world.purchases[world.purchases["person"].isin(views["person"])]
    days = bought[["person", "day"]].drop_duplicates().sort_values(["person", "day"])
    days["days_since_order"] = days.groupby("person")["day"].diff()
    days = days[days["day"] >= END - KEPT]
    bought = bought[bought["day"] >= END - KEPT - PAUSE].sort_values(["person", "category", "day"])
    is_fresh = ~(bought.groupby(["person", "category"])["day"].diff() <= PAUSE) & (
        bought["day"] >= END - KEPT
    )
    fresh = bought.assign(fresh_on=_dates(bought["day"]).where(is_fresh))
    number = pd.Series(np.arange(len(set(views["person"]))), index=np.unique(views["person"]))
    contents = np.array(list(CONTENTS))
    hand_over(
        lake,
        "offsite_views",
        pd.DataFrame(
            {
                "person_number": number[views["person"]].to_numpy(),
                "viewed_on": _dates(views["day"]).dt.date,
                "content": contents[views["content"]],
                "views": views["views"],
            }
        ),
    )
    first = fresh.groupby(["person", "category"], as_index=False)["fresh_on"].min()
    hand_over(
        lake,
        "offsite_purchases",
        pd.DataFrame(
            {
                "person_number": number[first["person"]].to_numpy(),
                "category": first["category"],
                "fresh_on": first["fresh_on"].dt.date,
            }
        ),
    )
    hand_over(
        lake,
        "offsite_orders",
        pd.DataFrame(
            {
                "person_number": number[days["person"]].to_numpy(),
                "ordered_on": _dates(days["day"]).dt.date,
                "days_since_order": days["days_since_order"],
            }
        ),
    )


def hand_over_strangers(lake: Lake, world: DemoWorld, seeds: dict[str, str], share: float) -> None:
    """Hand over what `ml.lookalike` reads: an audience's seed is the `share` of the households that spend most on its
    taste."""
    devices = world.population.devices
    visitor = pd.Series(
        [
            hmac.new(KEY, f"anonymous_id:{cookie}".encode(), hashlib.sha256).hexdigest()
            for cookie in devices["anonymous_id"]
        ]
    )
    is_stranger = (devices["role"] == "stranger").to_numpy()
    reading = world.reading[
        is_stranger[world.reading["device"]] | (world.owner[world.reading["device"]] >= 0)
    ]
    contents = np.array(list(CONTENTS))
    features = reading.groupby(["device", "content"], as_index=False)["views"].sum()
    features = pd.DataFrame(
        {
            "visitor_id": visitor[features["device"]].to_numpy(),
            "feature": [f"category:{name}" for name in contents[features["content"]]],
            "value": features["views"].astype(float),
        }
    )
    hand_over(lake, "visitor_features", features.sort_values(["visitor_id", "feature"], ignore_index=True))
    activity = reading.groupby("device").agg(events=("views", "sum"), active_days=("day", "nunique"))
    activity = activity.set_index(visitor[activity.index].to_numpy()).rename_axis("visitor_id").sort_index()
    hand_over(lake, "visitor_activity", activity.reset_index().assign(last_seen_at=pd.Timestamp(DAY)))
    matched = np.flatnonzero((world.owner >= 0) & np.isin(np.arange(len(devices)), reading["device"]))
    known = pd.DataFrame(
        {
            "visitor_id": visitor[matched].to_numpy(),
            "person_key": [f"p{each}" for each in world.owner[matched]],
        }
    )
    hand_over(lake, "known_visitors", known.sort_values("visitor_id", ignore_index=True))
    households = world.population.households["source"].to_numpy()
    home = world.population.persons["household"].to_numpy()[world.owner[matched]]
    parts = []
    for audience_id, taste in seeds.items():
        spent = world.store.spend[households, TASTE_NAMES.index(taste)]
        parts.append(known[(spent >= np.quantile(spent, 1 - share))[home]].assign(audience_id=audience_id))
    hand_over(
        lake,
        "audience_seeds",
        pd.concat(parts)[["audience_id", "visitor_id", "person_key"]].sort_values(
            ["audience_id", "visitor_id"], ignore_index=True
        ),
    )


def taste_of_strangers(world: DemoWorld) -> pd.DataFrame:
    """Every stranger's affinity to each taste, as `stranger_tastes.parquet` holds it."""
    devices = world.population.devices
    cookies = np.flatnonzero((devices["role"] == "stranger").to_numpy())
    stranger = devices["stranger"].to_numpy()[cookies]
    affinity = world.population.stranger_affinity
    tastes = len(TASTE_NAMES)
    return pd.DataFrame(
        {
            "cookie": np.repeat(devices["anonymous_id"].to_numpy()[cookies], tastes),
            "person_id": np.repeat(world.population.strangers["person_id"].to_numpy()[stranger], tastes),
            "taste": np.tile(TASTE_NAMES, len(cookies)),
            "affinity": affinity[stranger].ravel(),
            "is_primary": (affinity.argmax(axis=1)[stranger][:, None] == np.arange(tastes)).ravel(),
            "would_respond": False,
        }
    )


def _dates(day: pd.Series) -> pd.Series:
    return pd.to_datetime(day * SECONDS, unit="s")
