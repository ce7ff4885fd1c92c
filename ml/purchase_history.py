"""What each customer had bought up to a day and what they bought after it, counted from the orders in one pass.

A purchase is a day with an order: two orders within a day are one decision to buy, as in the published studies of
repeat buying. An order of a negative total is a refund, which takes from what the customer spent and is no purchase.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from include.lake import Lake
from include.scratch import scratch_engine
from include.settings import settings
from ml.repeat_buying import History
from ml.tables import parquet

BLOCK_CUSTOMERS = 100_000
# Logarithms of pauses are summed as whole millionths, so that a sum does not depend on the order of rows.
LOG_SCALE = 1_000_000


@dataclass(frozen=True)
class Cutoff:
    """What is known up to the end of `day`, and whose outcome is the `ahead` days after it; 0 has no outcome."""

    day: date
    ahead: int


@dataclass(frozen=True)
class Customers:
    """All customers (n,), sorted by id, and the day each was first seen, which may be unknown."""

    customer_id: np.ndarray
    first_seen_on: np.ndarray

    def __len__(self) -> int:
        return len(self.customer_id)


@dataclass(frozen=True)
class Purchases:
    """Columns (n,) of the customers who had bought by the cutoff, `who` being their places among all customers.

    `purchases` are days with an order, `orders` the orders, `spent` their net amount; `last` and `age` are the days
    from the first purchase to the last and to the cutoff. The outcome is in `later_orders` and `later_spent`, which
    refunds never take below 0.
    """

    who: np.ndarray
    purchases: np.ndarray
    orders: np.ndarray
    spent: np.ndarray
    last: np.ndarray
    age: np.ndarray
    log_pauses: np.ndarray
    later_orders: np.ndarray
    later_spent: np.ndarray

    def __len__(self) -> int:
        return len(self.who)

    def take(self, rows: np.ndarray) -> Purchases:
        return Purchases(*(column[rows] for column in vars(self).values()))

    @property
    def history(self) -> History:
        return History(self.purchases - 1, self.last, self.age, self.log_pauses, np.ones(len(self)))

    @property
    def mean_amount(self) -> np.ndarray:
        """Net amount per purchase (n,), never below 0."""
        return np.maximum(self.spent, 0) / np.maximum(self.purchases, 1)


@dataclass(frozen=True)
class Leads:
    """Customers (n,) seen by the cutoff who had not bought: the days since they were first seen, and the outcome.
    `waited_days` is when they first bought after the cutoff, or all of the days ahead of it."""

    who: np.ndarray
    known_days: np.ndarray
    waited_days: np.ndarray
    later_orders: np.ndarray
    later_spent: np.ndarray

    def __len__(self) -> int:
        return len(self.who)


@contextmanager
def reading(orders: Path, customers: Path, lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views `orders` and `customers`, within the memory that the settings allow.

    A customer whose first sight is unknown counts as seen at any time.
    """
    with scratch_engine(lake, settings(), "value") as (connection, _):
        connection.execute(
            f"create view customers as select customer_id, first_seen_at::date as first_seen_on "
            f"from {parquet(customers)}"
        )
        connection.execute(
            f"create view orders as select customer_id, ordered_at::date as ordered_on, "
            f"coalesce(total_amount, 0) as amount from {parquet(orders)}"
            if orders.exists()
            else "create view orders as select null::varchar as customer_id, null::date as ordered_on, "
            "0::decimal(18, 4) as amount where false"
        )
        yield connection


def first_order_day(connection: duckdb.DuckDBPyConnection, day: date) -> date | None:
    """The day of the first purchase of all up to `day`, or None."""
    return connection.execute(
        "select min(ordered_on) from orders where ordered_on <= $day and amount >= 0", {"day": day}
    ).fetchall()[0][0]


def read_purchases(
    connection: duckdb.DuckDBPyConnection,
    customers: Customers,
    sampled: np.ndarray,
    cutoffs: Sequence[Cutoff],
) -> list[tuple[Purchases, Leads]]:
    """Count the purchases of `customers` at each cutoff: of everybody where nothing is ahead, and of the
    `sampled` (mask) of those seen by then where there is an outcome.

    Customers are read in blocks, each of which needs only its part of the file when that is ordered by customer.
    """
    blocks: list[list[dict[str, np.ndarray]]] = [[] for _ in cutoffs]
    for begin in range(0, len(customers), BLOCK_CUSTOMERS):
        block = slice(begin, begin + BLOCK_CUSTOMERS)
        ids = customers.customer_id[block]
        wanted = pa.table(
            {
                "customer_id": pa.array(ids, pa.string()),
                "who": np.arange(begin, begin + len(ids)),
                "first_seen_on": pa.array(customers.first_seen_on[block], pa.date32()),
                "is_sampled": sampled[block],
            }
        )
        connection.register("wanted", wanted)
        connection.execute(_BUYING_DAYS, {"first": ids[0], "last": ids[-1]})
        connection.execute(_PACED_DAYS)
        for parts, cutoff in zip(blocks, cutoffs, strict=True):
            asked = {
                "day": cutoff.day,
                "until": cutoff.day + timedelta(days=cutoff.ahead),
                "is_now": cutoff.ahead == 0,
            }
            parts.append(connection.execute(_COUNTED, asked).fetchnumpy())
        connection.unregister("wanted")
    return [_split(parts) for parts in blocks]


def read_customers(connection: duckdb.DuckDBPyConnection, day: date) -> Customers:
    """All customers seen by `day`, sorted by id: files may hold records that are dated after it."""
    table = connection.execute(
        "select customer_id, min(first_seen_on) as first_seen_on from customers group by customer_id "
        "having coalesce(min(first_seen_on) <= $day, true) order by customer_id",
        {"day": day},
    ).to_arrow_table()
    return Customers(table.column(0).to_numpy(), table.column(1).to_numpy())


_BUYING_DAYS = """
    create or replace temp table buying_days as
    select
        wanted.who,
        orders.ordered_on,
        count(*) filter (where orders.amount >= 0) as orders,
        sum(orders.amount) as amount
    from orders
    inner join wanted using (customer_id)
    where orders.customer_id between $first and $last
    group by wanted.who, orders.ordered_on
"""

_PACED_DAYS = f"""
    create or replace temp table paced_days as
    select
        *,
        coalesce(round({LOG_SCALE} * ln(ordered_on - lag(ordered_on) over (
            partition by who, orders > 0 order by ordered_on
        ))), 0)::bigint as log_pause
    from buying_days
"""

_COUNTED = f"""
    with
    counted as (
        select
            who,
            count(*) filter (where orders > 0 and ordered_on <= $day) as purchases,
            sum(orders) filter (where ordered_on <= $day) as orders,
            sum(amount) filter (where ordered_on <= $day) as spent,
            min(ordered_on) filter (where orders > 0 and ordered_on <= $day) as first_on,
            max(ordered_on) filter (where orders > 0 and ordered_on <= $day) as last_on,
            sum(log_pause) filter (where orders > 0 and ordered_on <= $day) as log_pauses,
            sum(orders) filter (where ordered_on > $day and ordered_on <= $until) as later_orders,
            sum(amount) filter (where ordered_on > $day and ordered_on <= $until) as later_spent,
            min(ordered_on) filter (where orders > 0 and ordered_on > $day and ordered_on <= $until) as later_on
        from paced_days
        group by who
    )
    select
        wanted.who,
        coalesce(purchases, 0)::double as purchases,
        coalesce(orders, 0)::double as orders,
        coalesce(spent, 0)::double as spent,
        coalesce(last_on - first_on, 0)::double as last,
        coalesce($day::date - first_on, 0)::double as age,
        coalesce(log_pauses, 0) / {LOG_SCALE}::double as log_pauses,
        coalesce(later_orders, 0)::double as later_orders,
        greatest(coalesce(later_spent, 0), 0)::double as later_spent,
        greatest(coalesce($day::date - first_seen_on, 0), 0)::double as known_days,
        (coalesce(later_on, $until::date) - $day::date)::double as waited_days
    from wanted
    left join counted using (who)
    where $is_now or (is_sampled and (purchases > 0 or coalesce(first_seen_on <= $day, true)))
    order by wanted.who
"""


def _split(parts: list[dict[str, np.ndarray]]) -> tuple[Purchases, Leads]:
    names = ("who", *list(Purchases.__dataclass_fields__)[1:], "known_days", "waited_days")
    columns = {
        name: np.concatenate([np.asarray(part[name]) for part in parts]) if parts else np.zeros(0)
        for name in names
    }
    bought = columns["purchases"] > 0
    leads = Leads(*(columns[name][~bought] for name in Leads.__dataclass_fields__))
    return Purchases(*(columns[name][bought] for name in Purchases.__dataclass_fields__)), leads
