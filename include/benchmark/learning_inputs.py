"""Made-up hand-overs and published tables that the tasks of learn read, the same for the same number of customers.

Customers buy at rates of their own, out of one of a hundred tastes, so that there is something to learn; everything
about a row hangs on the hash of its number.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb

from include.lake import Lake
from include.settings import settings

DAY = date(2023, 12, 31)
ROWS_OF_A_CUSTOMER = 20  # of the timeline: about 8 lines of 4 orders, 7 events, 5 messages
ORDERS, LONGEST = 4, 40
HISTORY_DAYS = 730
PRODUCTS, CATEGORIES, TASTES = 20_000, 100, 100
HORIZON, CUTOFFS, LEARNERS = 28, 2, 200_000
PADDING = 30  # columns of features that say nothing, to be as wide as the published features


def write_inputs(lake: Lake, customers: int) -> None:
    """Write every table that a task of learn reads, as of `DAY`, below the lake."""
    for path in (lake.staged("any"), lake.table("cdp", "any"), lake.data / "tmp" / "any"):
        path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "threads": settings().threads,
        "memory_limit": settings().memory_limit,
        "temp_directory": str(lake.data / "tmp"),
    }
    with duckdb.connect(str(lake.data / "tmp" / "made.duckdb"), config=options) as made:
        made.execute(people(customers))
        made.execute(orders(customers))
        made.execute(lines())
        made.execute(doings(customers))
        snapshots = " union all ".join(
            _snapshot(DAY - timedelta(days=HORIZON * number)) for number in range(CUTOFFS + 1)
        )
        categories = " union all ".join(
            _category_snapshot(DAY - timedelta(days=HORIZON * number)) for number in range(CUTOFFS + 1)
        )
        for path, query in (
            (lake.table("cdp", "customers"), CUSTOMERS),
            (lake.table("cdp", "customer_timeline"), TIMELINE),
            (lake.table("cdp", "customer_stages"), STAGES),
            (lake.table("cdp", "customer_features"), _features(DAY)),
            (lake.staged("customer_orders"), CUSTOMER_ORDERS),
            (lake.staged("customer_signals"), SIGNALS),
            (lake.staged("customer_feature_snapshots"), f"{snapshots} order by customer_id, as_of_date"),
            (
                lake.staged("customer_category_snapshots"),
                f"{categories} order by customer_id, as_of_date, category",
            ),
            (lake.staged("product_catalogue"), CATALOGUE),
        ):
            _copy(made, query, path)
    (lake.data / "tmp" / "made.duckdb").unlink()


def _copy(made: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    made.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd)")


def people(customers: int) -> str:
    return f"""
        create table people as
        select
            number,
            'c' || lpad(number::varchar, 8, '0') as customer_id,
            -ln(1 - (hash(number, 1) % 1000000) / 1000001.0) * {ORDERS} as rate,
            (hash(number, 2) % {TASTES})::integer as taste,
            (date '{DAY}' - {HISTORY_DAYS})::timestamp
                + to_seconds((hash(number, 3) % {HISTORY_DAYS // 2 * 86400})::bigint) as first_seen_at
        from range({customers}) as numbers (number)
    """


def orders(customers: int) -> str:
    return f"""
        create table orders as
        select
            people.number,
            customer_id,
            taste,
            'o' || people.number || '_' || turn as order_id,
            hash(people.number, turn, 4) as draw,
            first_seen_at + to_seconds((
                hash(people.number, turn, 5) % (date_diff('second', first_seen_at, timestamp '{DAY} 23:00:00') + 1)
            )::bigint) as ordered_at
        from people, range({LONGEST}) as turns (turn)
        where turn < rate
    """


def lines() -> str:
    """Two of three lines are of the customer's taste."""
    return f"""
        create table lines as
        select
            orders.*,
            line,
            (case
                when hash(draw, line) % 3 < 2 then (hash(draw, line, 1) % 40)::integer * 500 + taste * 5
                else (hash(draw, line, 2) % {PRODUCTS})::integer
            end % {PRODUCTS})::integer as product,
            (200 + hash(draw, line, 3) % 3000)::decimal(18, 4) / 100 as amount
        from orders, range(2) as places (line)
    """


def doings(customers: int, events: int = 7, visit: int = 1) -> str:
    """So many events, as many of them in a visit as are said, and five messages for each customer, on average."""
    doings = events + 5
    # What is of one visit shares its first event's number, by which customer, browser and time are drawn.
    first = f"if(is_event, number - number % {doings} % {visit}, number)"
    return f"""
        create table doings as
        select
            'c' || lpad((hash(visit, 6) % {customers})::varchar, 8, '0') as customer_id,
            number,
            visit,
            is_event,
            case
                when is_event
                then ['product_viewed', 'product_viewed', 'product_added', 'page_viewed'][kind]
                else ['email_sent', 'email_sent', 'email_opened', 'email_clicked'][kind]
            end as activity,
            (hash(number, 8) % {PRODUCTS})::integer as product,
            (date '{DAY}' - 365)::timestamp + to_seconds((hash(visit, 9) % 31500000)::bigint)
                + to_seconds(((number - visit) * 40)::bigint) as occurred_at
        from (
            select
                range as number,
                1 + (hash(range, 7) % 4)::integer as kind,
                number % {doings} < {events} as is_event,
                {first} as visit
            from range({customers * doings})
        )
    """


CUSTOMERS = f"""
    select
        customer_id,
        ['f', 'm'][1 + (hash(number, 10) % 2)::int] as gender,
        'City ' || hash(number, 11) % 200 as city,
        'Region ' || hash(number, 12) % 16 as region,
        'DE' as country,
        ['active', 'loyal', 'at_risk', 'lapsed'][1 + (hash(number, 13) % 4)::int] as lifecycle_stage,
        date '1940-01-01' + (hash(number, 14) % 24000)::integer as birth_date,
        first_seen_at,
        timestamp '{DAY} 12:00:00' as last_seen_at
    from people
    order by customer_id
"""
STAGE = "['active', 'loyal', 'at_risk', 'lapsed'][1 + (hash({}, 13) % 4)::int]"
TIMELINE = f"""
    select
        md5(order_id || line) as timeline_id, customer_id, 'orders' as channel, 'purchase' as activity, order_id,
        'P' || product as product_id, 'Category ' || product % {CATEGORIES} as category,
        null::varchar as content_category, 'orders' as kind, {STAGE.format("number")} as stage, amount,
        true as has_time_of_day,
        ordered_at as occurred_at
    from lines
    union all
    select
        md5(customer_id || activity || occurred_at) as timeline_id, customer_id,
        if(is_event, 'web', 'mail') as channel, activity, null as order_id,
        if(is_event, 'P' || product, null) as product_id,
        if(is_event, 'Category ' || product % {CATEGORIES}, 'campaign ' || product % 12) as category,
        null as content_category, if(is_event, 'events', 'messages') as kind,
        {STAGE.format("customer_id")} as stage, null as amount, true as has_time_of_day, occurred_at
    from doings
    order by timeline_id
"""
STAGES = f"""
    select
        customer_id, 1 as stage_number, {STAGE.format("number")} as stage, null::varchar as previous_stage, 1 as orders,
        60.0::double as rhythm_days, date_diff('day', first_seen_at, timestamp '{DAY}') as days_in_stage,
        true as is_current, first_seen_at as entered_at, null::timestamp as left_at
    from people
    order by customer_id
"""
CUSTOMER_ORDERS = """
    select
        customer_id, order_id, 'orders' as channel, 'EUR' as currency,
        if(hash(draw, 15) % 10 = 0, 'SAVE10', null) as coupon, sum(amount)::decimal(38, 4) as total_amount,
        0::decimal(18, 4) as discount_amount, count(*) as line_count, hash(draw, 16) % 3 = 0 as is_store_order,
        ordered_at
    from lines
    group by all
    order by customer_id, ordered_at, channel, order_id
"""
SIGNALS = f"""
    select
        customer_id, if(is_event, 'browsing', 'message') as signal_kind, replace(activity, '_', ' ') as signal,
        if(is_event, 'Category ' || product % {CATEGORIES}, null) as signal_category,
        {STAGE.format("customer_id")} as stage, occurred_at::date as signal_date, min(occurred_at) as occurred_at
    from doings
    where activity <> 'email_sent'
    group by all
    order by customer_id, signal_kind, signal, signal_category, signal_date
"""
CATALOGUE = f"""
    select
        'P' || number as product_id, 'Product ' || number as name, 'Brand ' || number % 300 as brand,
        'Category ' || number % {CATEGORIES} as category, 9.5::decimal(18, 4) as price, 10 as buyers,
        true as is_in_catalogue, timestamp '2022-01-01' as first_sold_at, timestamp '{DAY}' as last_sold_at
    from range({PRODUCTS}) as numbers (number)
    order by product_id
"""


def _features(cutoff: date) -> str:
    """What is known of each customer on a day, and columns that say nothing."""
    counts = ", ".join(
        f"""
        count(*) filter (where age < {days}) as orders_{days}d,
        coalesce(sum(total) filter (where age < {days}), 0)::decimal(18, 4) as spend_{days}d"""
        for days in (28, 84, 365)
    )
    padding = ", ".join(f"(hash(number, {100 + at}) % 1000)::double as measure_{at}" for at in range(PADDING))
    return f"""
        select
            people.customer_id,
            date_diff('day', first_seen_at, timestamp '{cutoff}') as days_observed,
            counted.recency_days,
            coalesce(counted.frequency_orders, 0) as frequency_orders,
            coalesce(counted.monetary_total, 0)::decimal(18, 4) as monetary_total,
            counted.* exclude (customer_id, recency_days, frequency_orders, monetary_total),
            'Category ' || taste as top_category,
            ['online', 'store'][1 + (hash(number, 17) % 2)::int] as usual_sales_channel,
            {padding},
            date '{cutoff}' as as_of_date
        from people
        left join (
            select
                customer_id, min(age) as recency_days, count(*) as frequency_orders, sum(total) as monetary_total,
                avg(total)::decimal(18, 4) as average_order_value, avg(is_store::integer) as store_share,
                avg(is_cheap::integer) as discount_share, {counts}
            from (
                select
                    customer_id, order_id, date_diff('day', ordered_at, timestamp '{cutoff}') as age,
                    sum(amount) as total, hash(draw, 16) % 3 = 0 as is_store, hash(draw, 15) % 10 = 0 as is_cheap
                from lines
                where ordered_at::date <= date '{cutoff}'
                group by all
            )
            group by customer_id
        ) as counted using (customer_id)
    """


def _snapshot(cutoff: date) -> str:
    label = f"""
        customer_id in (
            select customer_id
            from orders
            where ordered_at::date > date '{cutoff}' and ordered_at::date <= date '{cutoff}' + {HORIZON}
        )
    """
    return f"""
        select
            *, as_of_date = date '{DAY}' as is_current,
            case when as_of_date < date '{DAY}' then {label} end as bought_in_horizon,
            null::decimal(18, 4) as value_in_horizon
        from ({_features(cutoff)})
        where {_is_read(cutoff)}
    """


def _is_read(cutoff: date) -> str:
    """The past is of a sample, as dbt hands it over."""
    return "true" if cutoff == DAY else f"substr(customer_id, 2)::integer < {LEARNERS}"


def _category_snapshot(cutoff: date) -> str:
    return f"""
        select
            customer_id,
            date '{cutoff}' as as_of_date,
            date '{cutoff}' = date '{DAY}' as is_current,
            'Category ' || product % {CATEGORIES} as category,
            count(distinct order_id) filter (where age >= 0) as category_orders,
            count(distinct order_id) filter (where age between 0 and 83) as category_orders_84d,
            coalesce(sum(amount) filter (where age >= 0), 0)::decimal(18, 4) as category_spend,
            0::bigint as category_views_28d,
            min(age) filter (where age >= 0) as days_since_category_order,
            case when date '{cutoff}' < date '{DAY}' then count(*) filter (where age between -{HORIZON} and -1) > 0 end
                as bought_in_horizon
        from (select *, date_diff('day', ordered_at, timestamp '{cutoff}') as age from lines)
        where {_is_read(cutoff)} and age >= -{HORIZON} and product % {CATEGORIES} < 50 and product % 5 = 0
        group by all
    """
