"""Buyers of a category, and customers like them who bought something else on the days around.

What both looked at elsewhere is counted in days before and after their purchase. Who is compared with whom follows
from the past alone: the week, how long ago the order before was, and how much was read elsewhere before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from include.lake import Lake
from ml.tables import read_table

MIN_DAYS = 7  # observed before a purchase, and after it
EVERYTHING = "(all)"  # the category of companies whose orders have none
# Bounds of what makes customers alike: pages read elsewhere before, and days since the order before.
ACTIVITY = np.array([2, 4, 7, 12, 20, 40])
RECENCY = np.array([4, 8, 15, 29, 57])
NO_ORDER_BEFORE = 9_999


@dataclass(frozen=True)
class Browsing:
    """Pages read elsewhere (rows,), sorted by person and day; those of person p are begin[p]:begin[p + 1].

    Days count from the first day that is kept; `length` is how many are, the business day the last.
    """

    begin: np.ndarray
    day: np.ndarray
    content: np.ndarray
    views: np.ndarray
    contents: list[str]
    length: int

    def read_between(self, person: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """How many pages of any content each person read from day `first` to before day `last` (rows,)."""
        key = np.repeat(np.arange(len(self.begin) - 1), np.diff(self.begin)) * (self.length + 1) + self.day
        so_far = np.concatenate([[0], np.cumsum(self.views)])
        place = person * (self.length + 1)
        ends = np.searchsorted(key, place + np.clip(last, 0, self.length))
        return so_far[ends] - so_far[np.searchsorted(key, place + np.clip(first, 0, self.length))]

    def count(self, person: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Pages that each person read from day `first` to before day `last`, (rows, contents)."""
        size = np.diff(self.begin)[person]
        row = np.repeat(np.arange(len(person)), size)
        within = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
        place = self.begin[person][row] + within
        inside = (self.day[place] >= first[row]) & (self.day[place] < last[row])
        # Contents beyond the most read ones are numbered last, and left out.
        inside &= self.content[place] < len(self.contents)
        cell = row[inside] * len(self.contents) + self.content[place[inside]]
        counted = np.bincount(
            cell, weights=self.views[place[inside]], minlength=len(person) * len(self.contents)
        )
        return counted.reshape(len(person), len(self.contents))


@dataclass(frozen=True)
class Purchases:
    """Who bought what: `bought` holds the positions of everyone who bought a category at all in the time looked at,
    `person` and `day` (purchases,) those whose purchase was the first after a pause, and its day."""

    categories: list[str]
    bought: list[np.ndarray]
    person: list[np.ndarray]
    day: list[np.ndarray]


@dataclass(frozen=True)
class Orders:
    """Days with an order (rows,), ordered by chance: person, day, and days since the order before."""

    person: np.ndarray
    day: np.ndarray
    since: np.ndarray

    def since_on(self, person: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Days since the order before that on `day`, (rows,)."""
        key = self.person * 100_000 + self.day
        order = np.argsort(key)
        place = np.minimum(np.searchsorted(key[order], person * 100_000 + day), len(key) - 1)
        found = order[place]
        return np.where(key[found] == person * 100_000 + day, self.since[found], NO_ORDER_BEFORE)


@dataclass(frozen=True)
class Shop:
    """All that is known of who bought what and read what."""

    browsing: Browsing
    purchases: Purchases
    orders: Orders
    people: int


@dataclass(frozen=True)
class Matched:
    """Observations of a category's buyers and of those they are held against (rows,): person, day of the purchase, and
    how much each weighs, 1 for buyers; `is_buyer` tells them apart."""

    person: np.ndarray
    day: np.ndarray
    weight: np.ndarray
    is_buyer: np.ndarray

    def where(self, kept: np.ndarray) -> Matched:
        return Matched(self.person[kept], self.day[kept], self.weight[kept], self.is_buyer[kept])

    def shifted(self, days: int) -> Matched:
        return replace(self, day=self.day - days)


def read_shop(lake: Lake, day: date, categories: int, contents: int, minimum: int, seed: int) -> Shop | str:
    """Read the hand-overs `offsite_views`, `offsite_purchases` and `offsite_orders`.

    Keeps the `categories` with most purchases after a pause and the `contents` that most people read, none that
    fewer than `minimum` people read. Returns the reason in words when there is nothing to compare.
    """
    views = read_table(lake.staged("offsite_views"))
    purchases = read_table(lake.staged("offsite_purchases"))
    orders = read_table(lake.staged("offsite_orders"))
    if views is None or views.empty:
        return "no customer is matched with a visitor who was seen on other sites"
    if purchases is None or orders is None or orders.empty:
        return "no customer who was seen on other sites has ordered"
    fresh = purchases.dropna(subset="fresh_on")
    if fresh.empty:
        return "no purchase came after the pause that makes it a fresh one"
    people = 1 + max(int(frame["person_number"].max()) for frame in (views, purchases, orders))
    first = min(views["viewed_on"].min(), orders["ordered_on"].min(), fresh["fresh_on"].min())
    length = (day - first).days + 1
    browsing = _browsing(views, people, first, length, contents, minimum)
    if not browsing.contents:
        return f"no content was read by {minimum} customers"
    chance = np.random.default_rng(seed).permutation(len(orders))
    return Shop(
        browsing,
        _purchases(purchases, fresh, first, categories),
        Orders(
            orders["person_number"].to_numpy(dtype=np.int64)[chance],
            _days(orders["ordered_on"], first)[chance],
            orders["days_since_order"].fillna(NO_ORDER_BEFORE).to_numpy(dtype=np.int64)[chance],
        ),
        people,
    )


def match(shop: Shop, category: int, before_days: int, shift: int, controls: int) -> Matched:
    """The buyers of a category and up to `controls` times as many others of each stratum, all of whom read something in
    the `before_days` before the purchase, or before `shift` days earlier.

    The days are those of the shifted purchase. Others weigh as much as the buyers of their stratum do. Those whose
    category is everything are compared with who ordered nothing, on the same days.
    """
    purchases, orders, length = shop.purchases, shop.orders, shop.browsing.length
    buyer, bought_on = purchases.person[category], purchases.day[category]
    has_bought = np.zeros(shop.people, dtype=bool)
    has_bought[purchases.bought[category]] = True
    if purchases.categories[category] == EVERYTHING:
        other = np.flatnonzero(~has_bought)
        other_day = bought_on[np.arange(len(other)) % len(bought_on)]
        since, other_since = np.zeros(len(buyer), dtype=np.int64), np.zeros(len(other), dtype=np.int64)
    else:
        is_other = ~has_bought[orders.person]
        other, other_day, other_since = (part[is_other] for part in (orders.person, orders.day, orders.since))
        since = orders.since_on(buyer, bought_on)
    person = np.concatenate([buyer, other])
    day = np.concatenate([bought_on, other_day]) - shift
    is_buyer = np.arange(len(person)) < len(buyer)
    latest = length - 1 - (0 if shift else MIN_DAYS)
    read = shop.browsing.read_between(person, day - before_days, day)
    known = (day >= MIN_DAYS) & (day + shift <= latest) & (read > 0)
    strata = (
        (length - 1 - day) // 7 * 100
        + np.searchsorted(ACTIVITY, read, side="right") * 10
        + np.searchsorted(RECENCY, np.concatenate([since, other_since]), side="right")
    )
    stratum = np.unique(np.where(known, strata, -1), return_inverse=True)[1]
    buyers = np.bincount(stratum[known & is_buyer], minlength=stratum.max() + 1)
    rank = _rank_within(stratum)
    kept = known & (is_buyer | (rank < controls * buyers[stratum]))
    chosen = np.bincount(stratum[kept & ~is_buyer], minlength=len(buyers))
    kept &= (buyers[stratum] > 0) & (chosen[stratum] > 0)
    weight = np.where(is_buyer, 1.0, buyers[stratum] / np.maximum(chosen[stratum], 1))
    return Matched(person, day, weight, is_buyer).where(kept)


def _rank_within(stratum: np.ndarray) -> np.ndarray:
    """The how manieth of its stratum each row is, in the order of the rows."""
    order = np.argsort(stratum, kind="stable")
    size = np.bincount(stratum)
    rank = np.empty(len(stratum), dtype=np.int64)
    rank[order] = np.arange(len(stratum)) - np.repeat(np.cumsum(size) - size, size)
    return rank


def _browsing(
    views: pd.DataFrame, people: int, first: date, length: int, contents: int, minimum: int
) -> Browsing:
    readers = views.drop_duplicates(["person_number", "content"]).groupby("content").size()
    readers = readers[(readers >= minimum) & (readers.index != "(none)")].reset_index(name="readers")
    most_read = readers.sort_values(["readers", "content"], ascending=[False, True])["content"]
    names = sorted(most_read.head(contents))
    place = pd.Series(np.arange(len(names)), index=names)
    content = views["content"].map(place).fillna(len(names)).to_numpy(dtype=np.int64)
    person, day = views["person_number"].to_numpy(dtype=np.int64), _days(views["viewed_on"], first)
    order = np.lexsort((content, day, person))
    return Browsing(
        np.searchsorted(person[order], np.arange(people + 1)),
        day[order],
        content[order],
        views["views"].to_numpy(dtype=np.int64)[order],
        names,
        length,
    )


def _purchases(purchases: pd.DataFrame, fresh: pd.DataFrame, first: date, categories: int) -> Purchases:
    times = fresh.groupby("category").size().reset_index(name="times")
    most = times.sort_values(["times", "category"], ascending=[False, True]).head(categories)
    names = sorted(most["category"])
    bought = purchases[purchases["category"].isin(names)].groupby("category")["person_number"]
    ordered = fresh[fresh["category"].isin(names)].sort_values(["category", "person_number"])
    parts = dict(iter(ordered.groupby("category")))
    return Purchases(
        names,
        [bought.get_group(name).to_numpy(dtype=np.int64) for name in names],
        [parts[name]["person_number"].to_numpy(dtype=np.int64) for name in names],
        [_days(parts[name]["fresh_on"], first) for name in names],
    )


def _days(dates: pd.Series, first: date) -> np.ndarray:
    """Days since the first one."""
    return (pd.to_datetime(dates) - pd.Timestamp(first)).dt.days.to_numpy(dtype=np.int64)
