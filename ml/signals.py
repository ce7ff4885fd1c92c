"""Signals and orders of customers as whole days, and which days stand before, on and after each signal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from include.lake import Lake
from include.scratch import scratch_engine
from include.settings import settings
from ml.hazard import Days
from ml.tables import stable_uniform

SIGNALS = "customer_signals"
ORDERS = "customer_orders"
CHANNELS = ("any", "online", "store")
LONGEST_WINDOW = 28
DAYS_BEFORE = 7
MAX_CUSTOMERS = 100_000
NONE = -1


@dataclass(frozen=True)
class Occurrences:
    """Signals, one row per customer, signal and day, sorted by them: positions of customer, signal, category and
    stage (-1 for none) in the lists of `History`, and the day, 0 for the first of the history."""

    customer: np.ndarray
    signal: np.ndarray
    category: np.ndarray
    stage: np.ndarray
    day: np.ndarray

    def __len__(self) -> int:
        return len(self.day)

    @property
    def customers(self) -> int:
        """How many customers the occurrences of one signal, sorted, are of."""
        return int(np.count_nonzero(np.diff(self.customer, prepend=NONE)))

    @property
    def firsts(self) -> Occurrences:
        """The first occurrence of each signal for each customer."""
        return self.where(
            (np.diff(self.signal, prepend=NONE) != 0) | (np.diff(self.customer, prepend=NONE) != 0)
        )

    def where(self, chosen: np.ndarray | slice) -> Occurrences:
        """The occurrences that a mask (occurrences,) or a span chooses."""
        return Occurrences(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def sorted(self) -> Occurrences:
        """Sorted by signal, customer and day, of several on one day the first; a day counts once."""
        # One whole number instead of four keys: what is in order already, as most is, costs a look.
        key = np.zeros(len(self), dtype=np.int64)
        for part in (self.signal, self.customer, self.day, self.category):
            least = int(part.min(initial=0))
            key = key * (int(part.max(initial=0)) - least + 1) + (part - least)
        kept = self if (key[1:] >= key[:-1]).all() else self.where(np.argsort(key, kind="stable"))
        is_first = np.ones(len(kept), dtype=bool)
        is_first[1:] = (np.diff(kept.signal) != 0) | (np.diff(kept.customer) != 0) | (np.diff(kept.day) != 0)
        return kept.where(is_first)


@dataclass(frozen=True)
class Purchases:
    """Order days: positions of customer and category (-1 for none), day and whether in a store; may repeat."""

    customer: np.ndarray
    category: np.ndarray
    day: np.ndarray
    is_store: np.ndarray


@dataclass(frozen=True)
class History:
    """What happened on the days 0 to `length` - 1, the last of which is the business day.

    Customers stand in the order of a hash, so that the first so many of them are a random sample. `watched_from`
    (customers,) is the first day on which a customer is at risk: the day after they were first seen, for the first
    sighting is often an order or a signal itself. `month` (days,) counts calendar months.
    """

    first_date: date
    length: int
    watched_from: np.ndarray
    month: np.ndarray
    signals: list[tuple[str, str]]
    stages: list[str]
    categories: list[str]
    occurrences: Occurrences
    orders: Purchases
    category_orders: Purchases


def read_history(lake: Lake, day: date, history_days: int, categories: int, seed: int) -> History | str:
    """Read the hand-overs of the `history_days` that end with `day`, or say why there is nothing to learn from.

    Of more than 100,000 customers with orders a random sample is read; the `categories` most bought are kept.
    """
    signals, orders = lake.staged(SIGNALS), lake.staged(ORDERS)
    for path in (signals, orders):
        if not path.exists():
            return f"{path.stem} was not handed over"
    first = day - timedelta(days=history_days - 1)
    with scratch_engine(lake, replace(settings(), threads=1), "triggers") as (connection, _):
        people = connection.execute(
            "select distinct customer_id from read_parquet(?) where customer_id is not null "
            "and cast(ordered_at as date) between ? and ? order by 1",
            [str(orders), first, day],
        ).fetchnumpy()["customer_id"]
        if not len(people):
            return "no customer has ordered"
        draw = stable_uniform(people, "triggers", seed)
        chosen = people[np.lexsort((np.arange(len(people)), draw))][:MAX_CUSTOMERS]
        connection.register(
            "people", pd.DataFrame({"customer_id": chosen, "customer": np.arange(len(chosen))})
        )
        bought = _orders(connection, orders, first, day)
        by_category, names = _category_orders(connection, lake, orders, first, day, categories)
        occurrences, kinds, stages = _occurrences(connection, signals, first, day, names)
        watched = _watched_from(connection, lake, first, len(chosen))
    dates = pd.date_range(first, periods=history_days)
    months = (dates.year * 12 + dates.month).to_numpy()
    return History(
        first,
        history_days,
        watched,
        months - months[0],
        kinds,
        stages,
        names,
        occurrences,
        bought,
        by_category,
    )


def days_at_risk(
    history: History, customer: np.ndarray, day: np.ndarray, priority: np.ndarray, max_strata: int
) -> tuple[Days, DayIndex]:
    """The strata that hold a purchase, and where each of their days lies.

    `customer` and `day` (order days,) are those of the purchases asked for. Days before anybody's first such
    purchase are not at risk, for the shop was not open then. Of more than `max_strata` strata those of the customers
    of the lowest `priority` (customers,) are taken; it may depend on signals, never on orders.
    """
    months = int(history.month[-1]) + 1
    opened = int(day.min()) if len(day) else 0
    at_risk = day >= np.maximum(history.watched_from[customer], opened)
    customer, day = customer[at_risk], day[at_risk]
    strata = np.unique(customer * months + history.month[day])
    if len(strata) > max_strata:
        rank = priority[strata // months]
        strata = strata[rank < np.partition(rank, max_strata)[max_strata]]
        inside = np.isin(customer, strata // months)
        customer, day = customer[inside], day[inside]
    owner, month = strata // months, strata % months
    month_begin = np.searchsorted(history.month, np.arange(months + 1))
    from_day = np.maximum(np.maximum(month_begin[month], history.watched_from[owner]), opened)
    length = month_begin[month + 1] - from_day
    begin = np.concatenate([[0], np.cumsum(length)])
    index = DayIndex(
        _places(strata, months * len(history.watched_from)), months, history.month, from_day, begin
    )
    is_purchase = np.zeros(begin[-1], dtype=bool)
    is_purchase[index.find(customer, day)] = True
    return Days(begin, owner, is_purchase, month), index


def _places(strata: np.ndarray, size: int) -> np.ndarray:
    """The place (customers * months,) of each customer month among the strata, -1 for those that are none."""
    places = np.full(size, NONE, dtype=np.int32)
    places[strata] = np.arange(len(strata))
    return places


@dataclass(frozen=True)
class DayIndex:
    """Where a day of a customer lies among the days at risk; `stratum` (customers * months,) is -1 for none."""

    stratum: np.ndarray
    months: int
    month: np.ndarray
    from_day: np.ndarray
    begin: np.ndarray

    def find(self, customer: np.ndarray, day: np.ndarray) -> np.ndarray:
        """The position of each day at risk, -1 for a day that is none."""
        inside = (day >= 0) & (day < len(self.month))
        stratum = self.stratum[customer * self.months + self.month[np.where(inside, day, 0)]]
        inside &= stratum != NONE
        if not inside.any():
            return np.full(len(day), NONE)
        stratum = np.where(inside, stratum, 0)
        inside &= day >= self.from_day[stratum]
        return np.where(inside, self.begin[stratum] + day - self.from_day[stratum], NONE)

    @cached_property
    def is_watched(self) -> np.ndarray:
        """Whether each customer (customers,) has a day at risk."""
        return (self.stratum.reshape(-1, self.months) != NONE).any(axis=1)

    @property
    def date(self) -> np.ndarray:
        """The day in the history of each position."""
        length = np.diff(self.begin)
        return np.arange(self.begin[-1]) + np.repeat(self.from_day - self.begin[:-1], length)


@dataclass(frozen=True)
class Lags:
    """Days at risk near one signal. `after` and `lag`: positions of days that follow it and how many days after the
    last time (1 for the day after); `last` is the occurrence itself. `on`: the days of the signal. `before`: the
    seven days before it."""

    after: np.ndarray
    lag: np.ndarray
    last: np.ndarray
    on: np.ndarray
    before: np.ndarray


def lags_of(occurrences: Occurrences, index: DayIndex) -> Lags:
    """The days around the occurrences of one signal, sorted by customer and day."""
    place = np.flatnonzero(index.is_watched[occurrences.customer])
    customer, day = occurrences.customer[place], occurrences.day[place]
    same = np.diff(customer, append=NONE) == 0
    until_next = np.where(same, np.append(day[1:], 0) - day, LONGEST_WINDOW)
    reach = np.minimum(until_next, LONGEST_WINDOW)
    last = np.repeat(np.arange(len(day)), reach)
    lag = _counted(reach) + 1
    after = index.find(customer[last], day[last] + lag)
    since_previous = np.concatenate([[DAYS_BEFORE], np.where(same, until_next, DAYS_BEFORE)])[: len(day)]
    reach = np.minimum(since_previous, DAYS_BEFORE)
    first = np.repeat(np.arange(len(day)), reach)
    before = index.find(customer[first], day[first] - _counted(reach) - 1)
    on = index.find(customer, day)
    inside = after != NONE
    return Lags(after[inside], lag[inside], place[last[inside]], on[on != NONE], before[before != NONE])


def shifted(history: History, occurrences: Occurrences, rng: np.random.Generator) -> Occurrences:
    """The placebo: every customer's times of a signal moved round together by a random number of days.

    They move within the days on which the signal was seen of anybody and the customer was watched, so that how
    often it comes, and how bunched, stays the same while its place beside the orders is chance. They move by more than
    the longest window where there is room, out of reach of the real effect.
    """
    if not len(occurrences):
        return occurrences
    seen_from = np.full(len(history.signals), history.length)
    np.minimum.at(seen_from, occurrences.signal, np.maximum(occurrences.day, 0))
    inside = occurrences.where(occurrences.day >= 0)
    begin = np.maximum(seen_from[inside.signal], history.watched_from[inside.customer])
    inside, begin = inside.where(inside.day >= begin), begin[inside.day >= begin]
    key = inside.signal * len(history.watched_from) + inside.customer
    _, group = np.unique(key, return_inverse=True)
    move = rng.random(int(group.max()) + 1 if len(group) else 0)
    length = history.length - begin
    least = np.minimum(LONGEST_WINDOW + 1, length // 3)
    by = least + (move[group] * (length - 2 * least)).astype(np.int64)
    moved = begin + (inside.day - begin + by) % length
    return replace(inside, day=moved).sorted()


def _counted(lengths: np.ndarray) -> np.ndarray:
    """0, 1, … for each of the lengths, side by side."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _orders(connection: duckdb.DuckDBPyConnection, orders: object, first: date, day: date) -> Purchases:
    rows = connection.execute(
        """
        select distinct
            people.customer,
            date_diff('day', ?::date, orders.ordered_at::date) as day,
            coalesce(orders.is_store_order, false) as is_store
        from read_parquet(?) as orders
        inner join people on orders.customer_id = people.customer_id
        where orders.ordered_at::date between ? and ?
        order by all
        """,
        [first, str(orders), first, day],
    ).fetchnumpy()
    customer = rows["customer"].astype(np.int64)
    return Purchases(
        customer, np.full(len(customer), NONE), rows["day"].astype(np.int64), rows["is_store"].astype(bool)
    )


def _category_orders(
    connection: duckdb.DuckDBPyConnection, lake: Lake, orders: object, first: date, day: date, number: int
) -> tuple[Purchases, list[str]]:
    """Order days of the most bought categories, from the purchases of the timeline; none without a timeline."""
    timeline = lake.table("cdp", "customer_timeline")
    nothing = np.zeros(0, dtype=np.int64)
    if not number or not timeline.exists():
        return Purchases(nothing, nothing, nothing, nothing.astype(bool)), []
    connection.execute(
        """
        create or replace temp table bought as
        select distinct
            people.customer,
            timeline.category,
            date_diff('day', $first::date, orders.ordered_at::date) as day,
            coalesce(orders.is_store_order, false) as is_store
        from read_parquet($timeline) as timeline
        inner join read_parquet($orders) as orders
            on timeline.order_id = orders.order_id and timeline.channel = orders.channel
        inner join people on orders.customer_id = people.customer_id
        where
            timeline.activity = 'purchase'
            and timeline.category is not null
            and orders.ordered_at::date between $first and $day
        """,
        {"first": first, "day": day, "timeline": str(timeline), "orders": str(orders)},
    )
    names = [
        name
        for (name,) in connection.execute(
            "select category from bought group by 1 order by count(distinct customer) desc, category limit ?",
            [number],
        ).fetchall()
    ]
    connection.register(
        "kept", pd.DataFrame({"category": pd.Series(names, dtype=object), "position": np.arange(len(names))})
    )
    rows = connection.execute(
        "select customer, position, day, is_store from bought inner join kept using (category) order by all"
    ).fetchnumpy()
    purchases = Purchases(
        rows["customer"].astype(np.int64),
        rows["position"].astype(np.int64),
        rows["day"].astype(np.int64),
        rows["is_store"].astype(bool),
    )
    return purchases, names


def _occurrences(
    connection: duckdb.DuckDBPyConnection, signals: object, first: date, day: date, categories: list[str]
) -> tuple[Occurrences, list[tuple[str, str]], list[str]]:
    connection.register(
        "kept",
        pd.DataFrame(
            {"category": pd.Series(categories, dtype=object), "position": np.arange(len(categories))}
        ),
    )
    connection.execute(
        """
        create or replace temp table signalled as
        select
            people.customer,
            signals.signal_kind,
            signals.signal,
            coalesce(signals.stage, 'unknown') as stage,
            date_diff('day', $first::date, signals.signal_date) as day,
            case
                when signals.signal_category is null then -1
                else coalesce(kept.position, $other)
            end as category
        from read_parquet($signals) as signals
        inner join people on signals.customer_id = people.customer_id
        left join kept on signals.signal_category = kept.category
        where
            signals.signal_date between $first::date - $reach::integer and $day
            and signals.signal is not null
        """,
        {
            "first": first,
            "day": day,
            "signals": str(signals),
            "reach": LONGEST_WINDOW,
            "other": len(categories),
        },
    )
    kinds = connection.execute(
        "select signal_kind, signal from signalled group by all order by all"
    ).fetchall()
    stages = [
        stage for (stage,) in connection.execute("select distinct stage from signalled order by 1").fetchall()
    ]
    connection.register("kinds", pd.DataFrame(kinds, columns=["signal_kind", "signal"], dtype=object))
    rows = connection.execute(
        """
        with named as (
            select *, row_number() over (order by signal_kind, signal) - 1 as position from kinds
        ),

        staged as (
            select stage, row_number() over (order by stage) - 1 as stage_position
            from (select distinct stage from signalled)
        )

        select distinct
            signalled.customer, named.position as signal, signalled.category, staged.stage_position, signalled.day
        from signalled
        inner join named using (signal_kind, signal)
        inner join staged using (stage)
        order by named.position, signalled.customer, signalled.day, signalled.category, staged.stage_position
        """
    ).fetchnumpy()
    occurrences = Occurrences(
        *(rows[name].astype(np.int64) for name in ("customer", "signal", "category", "stage_position", "day"))
    )
    return occurrences, kinds, stages


def _watched_from(
    connection: duckdb.DuckDBPyConnection, lake: Lake, first: date, customers: int
) -> np.ndarray:
    path = lake.table("cdp", "customers")
    watched = np.zeros(customers, dtype=np.int64)
    if not path.exists() or "first_seen_at" not in pq.read_schema(path).names:
        return watched
    rows = connection.execute(
        """
        select people.customer, greatest(date_diff('day', ?::date, seen.first_seen_at::date) + 1, 0) as day
        from read_parquet(?) as seen
        inner join people on seen.customer_id = people.customer_id
        where seen.first_seen_at is not null
        order by all
        """,
        [first, str(path)],
    ).fetchnumpy()
    watched[rows["customer"].astype(np.int64)] = rows["day"].astype(np.int64)
    return watched
