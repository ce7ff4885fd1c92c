"""Who bought what on which day, in numbers: what profiles of products and recommendations learn from.

What is bought is the product where lines name products, and the category where they name nothing finer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from include.lake import Lake
from ml.tables import parquet

CATALOGUE = "product_catalogue"
PRODUCT, CATEGORY = "product", "category"
# Lines that name no product are few, or the category is what can be relied on.
PRODUCT_SHARE = 0.5
# Of what was sold must be in a catalogue before what is not in it counts as gone.
CATALOGUE_SHARE = 0.5


@dataclass(frozen=True)
class Shop:
    """What `load_purchases` found. `level` says what an item is: product, category, or None without either."""

    level: str | None
    customers: int
    items: int
    days: int


def load_purchases(engine: duckdb.DuckDBPyConnection, lake: Lake, day: date, history_days: int) -> Shop:
    """Make the tables `people`, `items`, `purchases` and `returns` in `engine`, from the published timeline.

    `people` (customer, customer_id, known_age: days since first seen) and `items` (item, item_id, item_name, brand,
    category, price, is_in_catalogue) number customers and items from 0 in the order of their ids; people are those
    seen by `day`. `purchases` (customer, item, age) has a row per customer, item and day of purchase, `age` days
    before the business day;
    `returns` (customer, item) is what was cancelled or given back. `days` of the answer is the age of the oldest
    purchase, plus 1.
    """
    timeline, customers = lake.table("cdp", "customer_timeline"), lake.table("cdp", "customers")
    known = (
        f"select customer_id, first_seen_at from {parquet(customers)} "
        f"where coalesce(first_seen_at::date <= date '{day:%Y-%m-%d}', true)"
        if customers.exists()
        else "select null::varchar as customer_id, null::timestamp as first_seen_at where false"
    )
    engine.execute(
        f"""
        create table people as
        select
            cast(row_number() over (order by customer_id) - 1 as integer) as customer,
            customer_id,
            cast(coalesce(date_diff('day', first_seen_at, date '{day:%Y-%m-%d}'), 1000000) as integer) as known_age
        from ({known})
        order by customer
        """
    )
    _load_rows(engine, timeline, day, history_days)
    named, categorised = engine.execute(
        "select count(product_id), count(*) filter (where product_id is null and category is not null) from bought"
    ).fetchone()
    level = PRODUCT if named and named >= PRODUCT_SHARE * (named + categorised) else None
    level = level or (
        CATEGORY if engine.execute("select count(category) from bought").fetchone()[0] else None
    )
    _load_items(engine, lake.staged(CATALOGUE), level)
    _load_days(engine, level)
    ((people,), (items,), (oldest,)) = (
        engine.execute(query).fetchone()
        for query in (
            "select count(*) from people",
            "select count(*) from items",
            "select coalesce(max(age) + 1, 0) from purchases",
        )
    )
    return Shop(level, people, items, oldest)


def names_of_people(engine: duckdb.DuckDBPyConnection, span: tuple[int, int] | None = None) -> np.ndarray:
    """The customer ids (customers,) in the order of their numbers, or those from `span[0]` up to before `span[1]`."""
    where = "true" if span is None else f"customer >= {span[0]} and customer < {span[1]}"
    people = f"select customer_id from people where {where} order by customer"
    return engine.execute(people).fetchnumpy()["customer_id"]


def _load_rows(engine: duckdb.DuckDBPyConnection, timeline: Path, day: date, history_days: int) -> None:
    if timeline.exists():
        source = f"""
            select
                customer_id, product_id, category, occurred_at,
                activity = 'cancelled_purchase' or amount < 0 as is_return
            from {parquet(timeline)}
            where activity in ('purchase', 'cancelled_purchase')
        """
    else:
        source = """
            select null::varchar as customer_id, null::varchar as product_id, null::varchar as category,
                null::timestamp as occurred_at, false as is_return
            where false
        """
    engine.execute(
        f"""
        create table bought as
        select
            people.customer,
            nullif(cast(product_id as varchar), '') as product_id,
            nullif(cast(category as varchar), '') as category,
            cast(date_diff('day', occurred_at, date '{day:%Y-%m-%d}') as integer) as age,
            coalesce(is_return, false) as is_return
        from ({source}) as rows
        inner join people using (customer_id)
        where age between 0 and {history_days - 1}
        """
    )


def _load_items(engine: duckdb.DuckDBPyConnection, catalogue: Path, level: str | None) -> None:
    """A product's name is the catalogue's; what was never described is called by its id."""
    if level == PRODUCT and catalogue.exists():
        described = f"""
            select
                cast(product_id as varchar) as item_id, cast(name as varchar) as name, cast(brand as varchar) as brand,
                cast(category as varchar) as category, cast(price as double) as price, is_in_catalogue
            from {parquet(catalogue)}
        """
    else:
        described = """
            select null::varchar as item_id, null::varchar as name, null::varchar as brand, null::varchar as category,
                null::double as price, null::boolean as is_in_catalogue
            where false
        """
    key = {PRODUCT: "product_id", CATEGORY: "category"}.get(level or "", "null::varchar")
    engine.execute(
        f"""
        create table items as
        with sold as (
            select {key} as item_id, min(category) as category
            from bought
            where {key} is not null
            group by all
        ),
        described as ({described})
        select
            cast(row_number() over (order by sold.item_id) - 1 as integer) as item,
            sold.item_id,
            coalesce(nullif(trim(described.name), ''), sold.item_id) as item_name,
            described.brand,
            coalesce(nullif(described.category, ''), sold.category) as category,
            described.price,
            coalesce(described.is_in_catalogue, false) as is_in_catalogue
        from sold
        left join described using (item_id)
        order by item
        """
    )
    listed, items = engine.execute("select count(*) filter (is_in_catalogue), count(*) from items").fetchone()
    if listed < CATALOGUE_SHARE * items:
        engine.execute("update items set is_in_catalogue = true")


def _load_days(engine: duckdb.DuckDBPyConnection, level: str | None) -> None:
    """One row per day, so that two of a thing, or two orders of one day, are one purchase of it."""
    key = "product_id" if level == PRODUCT else "category"
    engine.execute(
        f"""
        create table purchases as
        select distinct bought.customer, items.item, bought.age
        from bought
        inner join items on bought.{key} = items.item_id
        where not bought.is_return
        order by customer, item, age
        """
    )
    engine.execute(
        f"""
        create table returns as
        select distinct bought.customer, items.item
        from bought
        inner join items on bought.{key} = items.item_id
        where bought.is_return
        order by customer, item
        """
    )
    engine.execute("drop table bought")
