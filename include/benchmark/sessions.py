"""Cutting events into visits, against sorting the same events by visitor and time: nobody can do it without."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import duckdb

from include.benchmark.harness import Ratio, Topic, Variant, digest_rows, open_warehouse, write_rows
from include.config import dbt_variables, load_configuration
from include.lake import Lake
from include.privacy.pseudonym import pads
from include.settings import DEFAULT_CONFIG
from include.warehouse import compile_model

EVENTS_OF_A_VISIT, VISITS_OF_A_VISITOR = 8, 3
# What decides the order, and nothing else: the least that any way of cutting visits has to move.
SORT = """
    select channel, anonymous_id, occurred_at, event_id
    from warehouse.main.stg_events
    order by channel, anonymous_id, occurred_at, event_id
"""


BEHAVIOURS = """
    select
        event_id, node_key, channel, anonymous_id, device_id, user_id, platform, site, type, name, url, referrer,
        campaign_source, campaign_medium, campaign_name, occurred_at
    from stg_events
    where is_owned_site and not is_bot and type in ('page', 'screen', 'track')
"""
FIRST = (
    "channel", "visitor", "customer_id", "platform", "site", "referrer", "campaign_source", "campaign_medium",
    "campaign_name",
)  # fmt: skip
# What the model, pandas and polars all write of a visit.
WRITTEN = (
    "customer_id", "channel", "platform", "site", "entry_url", "exit_url", "campaign_source", "campaign_medium",
    "campaign_name", "page_views", "events", "converted", "started_at", "ended_at",
)  # fmt: skip


def prepare(folder: Path, events: int) -> None:
    """Fill `folder` with a warehouse of `events` staged events in random order, and with dbt's SQL of the sessions.

    One event in fifty is a robot's; every fourth visitor is a known customer.
    """
    lake = Lake(folder / "data")
    variables = dbt_variables(load_configuration(DEFAULT_CONFIG), date(2024, 12, 31), lake)
    (folder / "sessions.sql").write_text(compile_model("sessions", lake, variables))
    path = folder / "warehouse.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(_events(events))
        connection.execute(
            """
            create table int_node_customers as
            select distinct node_key, 'c' || md5(node_key) as customer_id, 'events' as kind
            from stg_events
            where hash(node_key) % 4 = 0
            """
        )
        connection.execute(
            """
            create table int_owned_events as
            select '' as channel, '' as event_id, '' as customer_id
            where false
            """
        )
        connection.execute(
            """
            create table int_customer_orders as
            select '' as customer_id, true as is_valid, false as is_store_order, now()::timestamp as ordered_at
            where false
            """
        )


def _run(query_of: Callable[[Path], str], inputs: Path, output: Path) -> int:
    """Write the rows of a query as Parquet. Returns their number."""
    with open_warehouse(inputs, output) as connection:
        for name, pad in zip(("hmac_inner", "hmac_outer"), pads(b"a key for the benchmark"), strict=True):
            connection.execute(f"set variable {name} = unhex('{pad.hex()}')")
        return write_rows(connection, query_of(inputs), output)


def _pandas(inputs: Path, output: Path) -> int:
    """What one would write in a notebook: the same visits with the same columns, without the hashed ids. DuckDB hands
    over only the events and columns that are needed. Returns the number of visits."""
    import pandas as pd

    with duckdb.connect(str(inputs / "warehouse.duckdb"), read_only=True) as connection:
        events = connection.execute(BEHAVIOURS).df()
        customers = connection.execute("select node_key, customer_id from int_node_customers").df()
    events["visitor"] = events["anonymous_id"].fillna(events["device_id"]).fillna(events["user_id"])
    events = events.merge(customers, on="node_key", how="left")
    events = events.sort_values(["channel", "visitor", "occurred_at", "event_id"])
    is_view = events["type"].isin(["page", "screen"])
    events["page_views"] = is_view.astype(int)
    events["viewed_url"] = events["url"].where(is_view).str.replace(r"[?#].*", "", regex=True)
    names = events["name"].where(events["type"] == "track").str.strip().str.lower()
    events["has_order"] = names.str.fullmatch(r"(order|checkout)[ _-]?(completed|placed)|purchased?") == True  # noqa: E712
    before = events.shift()
    begins = (
        (events["channel"] != before["channel"])
        | (events["visitor"] != before["visitor"])
        | (events["occurred_at"] > before["occurred_at"] + pd.Timedelta(minutes=30))
        | (events["customer_id"].fillna("") != before["customer_id"].fillna(""))
    )
    visits = events.groupby(begins.cumsum().rename("visit"), sort=False).agg(
        **{column: (column, "first") for column in FIRST},
        entry_url=("viewed_url", "first"),
        exit_url=("viewed_url", "last"),
        page_views=("page_views", "sum"),
        events=("event_id", "count"),
        converted=("has_order", "any"),
        started_at=("occurred_at", "min"),
        ended_at=("occurred_at", "max"),
    )
    visits.to_parquet(output / "rows.parquet", compression="zstd")
    return len(visits)


def _polars(inputs: Path, output: Path) -> int:
    """The same in polars. Returns the number of visits."""
    import polars as pl

    with duckdb.connect(str(inputs / "warehouse.duckdb"), read_only=True) as connection:
        events = pl.from_arrow(connection.execute(BEHAVIOURS).to_arrow_table())
        customers = connection.execute(
            "select node_key, customer_id from int_node_customers"
        ).to_arrow_table()
    is_view = pl.col("type").is_in(["page", "screen"])
    names = pl.when(pl.col("type") == "track").then(pl.col("name").str.strip_chars().str.to_lowercase())
    begins = (
        (pl.col("channel") != pl.col("channel").shift())
        | (pl.col("visitor") != pl.col("visitor").shift())
        | (pl.col("occurred_at") > pl.col("occurred_at").shift() + pl.duration(minutes=30))
        | (pl.col("customer_id").fill_null("") != pl.col("customer_id").shift().fill_null(""))
    )
    visits = (
        events.lazy()
        .with_columns(pl.coalesce("anonymous_id", "device_id", "user_id").alias("visitor"))
        .join(pl.from_arrow(customers).lazy(), on="node_key", how="left")
        .sort(["channel", "visitor", "occurred_at", "event_id"])
        .with_columns(
            is_view.alias("is_view"),
            pl.when(is_view).then(pl.col("url").str.replace(r"[?#].*", "")).alias("viewed_url"),
            names.str.contains(r"^(?:(?:order|checkout)[ _-]?(?:completed|placed)|purchased?)$").alias(
                "has_order"
            ),
            begins.fill_null(True).cum_sum().alias("visit"),
        )
        .group_by("visit", maintain_order=True)
        .agg(
            *(pl.col(column).drop_nulls().first() for column in FIRST),
            pl.col("viewed_url").drop_nulls().first().alias("entry_url"),
            pl.col("viewed_url").drop_nulls().last().alias("exit_url"),
            pl.col("is_view").sum().alias("page_views"),
            pl.len().alias("events"),
            pl.col("has_order").any().alias("converted"),
            pl.col("occurred_at").min().alias("started_at"),
            pl.col("occurred_at").max().alias("ended_at"),
        )
        .collect()
    )
    visits.write_parquet(output / "rows.parquet", compression="zstd")
    return len(visits)


def _digest(output: Path) -> str:
    """Of what all three write of a visit; the sorted events are not a result of the job."""
    return digest_rows([output / "rows.parquet"], WRITTEN)


def _sessions(inputs: Path) -> str:
    return (inputs / "sessions.sql").read_text()


def _events(events: int) -> str:
    visitors = max(events // (EVENTS_OF_A_VISIT * VISITS_OF_A_VISITOR), 1)
    return f"""
        create table stg_events as
        with drawn as (
            select
                number,
                hash(number) as draw,
                hash(number // {EVENTS_OF_A_VISIT}, 1) as visit_draw,
                hash(number // {EVENTS_OF_A_VISIT}, 2) % {visitors} as visitor
            from range({events}) as numbers (number)
        )
        select
            md5(number::varchar) as event_id,
            'events:web:' || md5(visitor::varchar) as node_key,
            'web' as channel,
            md5('anonymous' || visitor)::uuid::varchar as anonymous_id,
            case when visitor % 3 = 0 then md5('device' || visitor)::uuid::varchar end as device_id,
            case when visitor % 4 = 0 then 'user_' || visitor end as user_id,
            null::varchar as session_id,
            ['page', 'page', 'track', 'screen', 'identify'][1 + (draw % 5)::int] as type,
            ['Product Viewed', 'Product Added', 'Order Completed'][1 + (draw // 5 % 3)::int] as name,
            'web' as platform,
            'shop.example.com' as site,
            'https://shop.example.com/products/' || (draw // 7 % 5000) || '?utm_source=x' as url,
            case when draw % 3 = 0 then 'https://search.example/?q=boots' end as referrer,
            case when draw % 20 = 0 then 'search' end as campaign_source,
            case when draw % 20 = 0 then 'cpc' end as campaign_medium,
            case when draw % 20 = 0 then 'spring' end as campaign_name,
            null::date as first_landed_on,
            true as is_owned_site,
            draw // 11 % 50 = 0 as is_bot,
            timestamp '2024-01-01' + to_seconds(
                (visit_draw % 7776000)::bigint + number % {EVENTS_OF_A_VISIT} * 45 + (draw % 30)::bigint
            ) as occurred_at
        from drawn
        order by draw
    """


TOPIC = Topic(
    name="sessions",
    title="Cutting events into visits",
    text="The dbt model `sessions` over staged events in random order, each visitor with three visits of eight events,"
    " from the warehouse to Parquet; against reading, sorting and writing the four columns that decide the order, and"
    " against pandas and polars, which write the same visits without the hashed ids.",
    sizes={"small": 1_000_000, "medium": 10_000_000, "large": 10_000_000},
    prepare=prepare,
    digest=_digest,
    variants=(
        Variant("ours", "the model `sessions`", partial(_run, _sessions), rows="sessions"),
        Variant("pandas", "the same visits with pandas", _pandas, rows="sessions"),
        Variant("polars", "the same visits with polars", _polars, rows="sessions"),
        Variant(
            "sort", "the same events sorted, and nothing else", partial(_run, lambda _: SORT), rows="events"
        ),
    ),
    ratios=(
        Ratio("sessions over sorting the events", "ours", "sort", at_most=3.5),
        Ratio("pandas over the model", "pandas", "ours"),
        Ratio("polars over the model", "polars", "ours"),
    ),
)
