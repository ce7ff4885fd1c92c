"""Buyers of a category, and customers like them who bought something else on the days around.

What both looked at elsewhere is counted in days before and after their purchase. Who is compared with whom follows
from the past alone: the week, how long ago the order before was, and how much was read elsewhere before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

from include.lake import Lake
from ml.tables import read_table

MOST_BUYERS = 5_000  # of a category are looked at; people are numbered by chance
MIN_DAYS = 7  # observed before a purchase, and after it
EVERYTHING = "(all)"  # the category of companies whose orders have none
# Bounds of what makes customers alike: pages read elsewhere before, and days since the order before.
ACTIVITY = np.array([2, 4, 7, 12, 20, 40])
RECENCY = np.array([4, 8, 15, 29, 57])
NO_ORDER_BEFORE = 9_999
MANY_DAYS = 100_000


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

    @cached_property
    def _key(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.begin) - 1), np.diff(self.begin)) * (self.length + 1) + self.day

    @cached_property
    def _so_far(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.views)])

    def read_between(self, person: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """How many pages of any content each person read from day `first` to before day `last` (rows,)."""
        place = person * (self.length + 1)
        begin, end = (
            np.searchsorted(self._key, place + np.clip(day, 0, self.length)) for day in (first, last)
        )
        return self._so_far[end] - self._so_far[begin]

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

    @cached_property
    def _by_day(self) -> tuple[np.ndarray, np.ndarray]:
        key = self.person * MANY_DAYS + self.day
        order = np.argsort(key)
        return key[order], order

    def since_on(self, person: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Days since the order before that on `day`, (rows,)."""
        key, order = self._by_day
        asked = person * MANY_DAYS + day
        place = np.minimum(np.searchsorted(key, asked), len(key) - 1)
        return np.where(key[place] == asked, self.since[order[place]], NO_ORDER_BEFORE)


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


def read_shop(lake: Lake, day: date, categories: int, contents: int, minimum: int, seed: int) -> Shop | str:
    """Read the hand-overs `offsite_views`, `offsite_purchases` and `offsite_orders`.

    Keeps the `categories` that most people bought after a pause and the `contents` that most people read, none of
    fewer than `minimum` people. Returns the reason in words when there is nothing to compare.
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
    known = _purchases(purchases, fresh, first, categories, minimum)
    if not known.categories:
        return f"no category was bought by {minimum} customers who were seen on other sites, after a pause"
    return Shop(
        browsing,
        known,
        Orders(
            orders["person_number"].to_numpy(dtype=np.int64)[chance],
            _days(orders["ordered_on"], first)[chance],
            orders["days_since_order"].fillna(NO_ORDER_BEFORE).to_numpy(dtype=np.int64)[chance],
        ),
        people,
    )


@dataclass(frozen=True)
class Pool:
    """Whom buyers may be held against (rows,), ordered by stratum and within it by chance; days are shifted ones."""

    person: np.ndarray
    day: np.ndarray
    stratum: np.ndarray


class Matching:
    """Finds those who are like the buyers of a category, as of their purchase or `shift` days earlier.

    Who read nothing in the `before_days` before that day is not looked at, nor whose day has too few others before
    it or after it.
    """

    def __init__(self, shop: Shop, before_days: int, shift: int, controls: int) -> None:
        self.shop, self.before_days, self.shift, self.controls = shop, before_days, shift, controls
        orders = shop.orders
        self._pool = self._pool_of(orders.person, orders.day, orders.since)

    def match(self, category: int) -> Matched:
        """The buyers of a category, and up to `controls` times as many others of each of their strata, whose weight
        is that of the buyers there. Buyers of everything are held against who ordered nothing, on the same days."""
        purchases = self.shop.purchases
        person, bought_on = purchases.person[category], purchases.day[category]
        has_bought = np.zeros(self.shop.people, dtype=bool)
        has_bought[purchases.bought[category]] = True
        if purchases.categories[category] == EVERYTHING:
            other = np.flatnonzero(~has_bought)
            nothing = np.zeros(len(other), dtype=np.int64)
            pool = self._pool_of(other, bought_on[np.arange(len(other)) % len(bought_on)], nothing)
            since = np.zeros(len(person), dtype=np.int64)
        else:
            pool, since = self._pool, self.shop.orders.since_on(person, bought_on)
        day = bought_on - self.shift
        stratum = self._strata(person, day, since)
        known = stratum >= 0
        person, day, stratum = person[known], day[known], stratum[known]
        size = 1 + max(stratum.max(initial=0), pool.stratum.max(initial=0))
        buyers = np.bincount(stratum, minlength=size)
        is_other = ~has_bought[pool.person] & (buyers[pool.stratum] > 0)
        so_far = np.cumsum(is_other)
        begin = np.searchsorted(pool.stratum, pool.stratum)
        rank = so_far - np.concatenate([[0], so_far])[begin] - 1 if len(begin) else so_far
        chosen = is_other & (rank < self.controls * buyers[pool.stratum])
        others = np.bincount(pool.stratum[chosen], minlength=size)
        kept = others[stratum] > 0
        weight = buyers / np.maximum(others, 1)
        return Matched(
            np.concatenate([person[kept], pool.person[chosen]]),
            np.concatenate([day[kept], pool.day[chosen]]),
            np.concatenate([np.ones(kept.sum()), weight[pool.stratum[chosen]]]),
            np.arange(kept.sum() + chosen.sum()) < kept.sum(),
        )

    def _pool_of(self, person: np.ndarray, ordered_on: np.ndarray, since: np.ndarray) -> Pool:
        day = ordered_on - self.shift
        stratum = self._strata(person, day, since)
        order = np.argsort(stratum, kind="stable")
        order = order[np.searchsorted(stratum[order], 0) :]
        return Pool(person[order], day[order], stratum[order])

    def _strata(self, person: np.ndarray, day: np.ndarray, since: np.ndarray) -> np.ndarray:
        """What makes customers alike, as a number (rows,); -1 for who is not looked at."""
        length = self.shop.browsing.length
        read = self.shop.browsing.read_between(person, day - self.before_days, day)
        latest = length - 1 - (0 if self.shift else MIN_DAYS)
        week = (length - 1 - day) // 7
        code = (week * 10 + np.searchsorted(ACTIVITY, read, side="right")) * 10
        code += np.searchsorted(RECENCY, since, side="right")
        return np.where((day >= MIN_DAYS) & (day + self.shift <= latest) & (read > 0), code, -1)


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


def _purchases(
    purchases: pd.DataFrame, fresh: pd.DataFrame, first: date, categories: int, minimum: int
) -> Purchases:
    times = fresh.groupby("category").size().reset_index(name="times")
    times = times[times["times"] >= minimum]
    most = times.sort_values(["times", "category"], ascending=[False, True]).head(categories)
    names = sorted(most["category"])
    bought = purchases[purchases["category"].isin(names)].groupby("category")["person_number"]
    ordered = fresh[fresh["category"].isin(names)].sort_values(["category", "person_number"])
    parts = dict(iter(ordered.groupby("category").head(MOST_BUYERS).groupby("category")))
    return Purchases(
        names,
        [bought.get_group(name).to_numpy(dtype=np.int64) for name in names],
        [parts[name]["person_number"].to_numpy(dtype=np.int64) for name in names],
        [_days(parts[name]["fresh_on"], first) for name in names],
    )


def _days(dates: pd.Series, first: date) -> np.ndarray:
    """Days since the first one."""
    return (pd.to_datetime(dates) - pd.Timestamp(first)).dt.days.to_numpy(dtype=np.int64)
