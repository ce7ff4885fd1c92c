"""Simulated worlds with planted effects of signals, and what a naive comparison makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from ml.signals import History, Occurrences, Purchases

FIRST = date(2017, 1, 2)
# Signal: ratio of the daily chance of an order, and for how many days.
PLANTED = {
    "advice": (3.0, 7),
    "refusal": (0.4, 14),
    "sale": (2.2, 3),
}
NULL = ("opened", "points call", "status call", "viewed", "weekly mail")
SIGNALS = sorted([*PLANTED, *NULL])


@dataclass(frozen=True)
class World:
    """A history and the expected chance of an order on every day of every customer (customers, days)."""

    history: History
    orders: np.ndarray
    signalled: dict[str, np.ndarray]


def simulate(seed: int, customers: int = 500, days: int = 270, has_effects: bool = True) -> World:
    """Orders that a customer's own level, a slow wave of activity, the weekday and the season drive, at most one a day.

    The same wave drives `viewed`, `opened`, `advice` and `points call`; `status call` follows orders by one to three
    days; `weekly mail` goes to three in five customers on the same day; `sale` comes to groups of customers. Without
    effects nothing of this changes the chance of an order.
    """
    rng = np.random.default_rng(seed)
    level = 0.035 * rng.gamma(2.0, 0.5, customers)
    day = np.arange(days)
    wave = np.exp(
        0.5
        * np.sin(
            2
            * np.pi
            * (day[None, :] / rng.uniform(150, 300, customers)[:, None] + rng.random(customers)[:, None])
        )
    )
    season = np.exp(0.3 * np.sin(2 * np.pi * day / 365) + 0.3 * ((day % 7) >= 5))
    group, reader = rng.integers(0, 6, customers), rng.random(customers) < 0.6
    sales = np.zeros((6, days), dtype=bool)
    for number in range(6):
        sales[number, rng.choice(days - 10, 7, replace=False)] = True
    signalled = {
        "advice": rng.random((customers, days)) < 0.010 * wave * season,
        "refusal": rng.random((customers, days)) < 0.006 * wave,
        "sale": sales[group],
        "opened": rng.random((customers, days)) < 0.05 * wave * season,
        "points call": rng.random((customers, days)) < 0.007 * wave,
        "viewed": rng.random((customers, days)) < 0.04 * wave * season * level[:, None] / level.mean(),
        "weekly mail": reader[:, None] & (day % 7 == 3)[None, :],
    }
    hazard = level[:, None] * wave * season
    for name, (ratio, window) in PLANTED.items():
        if has_effects:
            hazard = np.where(within(signalled[name], window), hazard * ratio, hazard)
    orders = rng.random((customers, days)) < 1 - np.exp(-hazard)
    who, when = np.nonzero(orders & (rng.random(orders.shape) < 0.15))
    later = when + rng.integers(1, 4, len(when))
    signalled["status call"] = np.zeros_like(orders)
    signalled["status call"][who[later < days], later[later < days]] = True
    return World(_history(customers, days, orders, signalled), orders, signalled)


def within(struck: np.ndarray, window: int) -> np.ndarray:
    """Whether each day is one of the `window` days after a signal (customers, days)."""
    inside = np.zeros_like(struck)
    for later in range(1, window + 1):
        inside[:, later:] |= struck[:, :-later]
    return inside


def naive_ratio(world: World, signal: str, window: int) -> float:
    """How many times as frequent orders are within the window as outside it, over all customers and days."""
    inside = within(world.signalled[signal], window)
    return float(world.orders[inside].mean() / world.orders[~inside].mean())


def _history(customers: int, days: int, orders: np.ndarray, signalled: dict[str, np.ndarray]) -> History:
    parts = []
    for number, name in enumerate(SIGNALS):
        who, when = np.nonzero(signalled[name])
        parts.append(np.stack([who, np.full(len(who), number), when]))
    who, what, when = np.concatenate(parts, axis=1)
    none = np.full(len(who), -1)
    buyer, bought = np.nonzero(orders)
    dates = pd.date_range(FIRST, periods=days)
    months = (dates.year * 12 + dates.month).to_numpy()
    nothing = np.zeros(0, dtype=np.int64)
    return History(
        first_date=FIRST,
        length=days,
        watched_from=np.zeros(customers, dtype=np.int64),
        month=months - months[0],
        signals=[("simulated", name) for name in SIGNALS],
        stages=["loyal"],
        categories=[],
        occurrences=Occurrences(who, what, none, np.zeros(len(who), dtype=np.int64), when),
        orders=Purchases(buyer, np.full(len(buyer), -1), bought, np.zeros(len(buyer), dtype=bool)),
        category_orders=Purchases(nothing, nothing, nothing, nothing.astype(bool)),
    )
