"""Who buys what: each profile of customers against each category and each of the best-selling products.

A profile is a segment, a lifecycle stage, an attribute, a preferred channel, a taste. Compared are customers who bought
anything in the window and whose value of the profile is known. Cells of few customers are not shown, nor are those from
which they could be worked out. Segments and tastes are made of the same purchases that they are compared by, so the
model card says how far their lifts held in the time after.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import rankdata

from include.lake import Lake
from include.scratch import scratch_engine
from include.settings import settings
from ml.evaluation import Estimate
from ml.purchases import CATALOGUE
from ml.rates import Lifts, lifts
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.tables import parquet, quoted, write_table
from ml.threads import single_threaded

MODEL = "product_profiles"
TASK = "product_profiles"
PRODUCT_PROFILES = pa.schema(
    [
        ("as_of_date", pa.date32()),
        ("profile_type", pa.string()),
        ("profile", pa.string()),
        ("profile_name", pa.string()),
        ("level", pa.string()),
        ("product_key", pa.string()),
        ("product_name", pa.string()),
        ("category", pa.string()),
        ("customers", pa.int64()),
        ("buyers", pa.int64()),
        ("support", pa.float64()),
        ("share", pa.float64()),
        ("share_elsewhere", pa.float64()),
        ("lift", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("is_significant", pa.bool_()),
        ("spend_share", pa.float64()),
        ("spend_lift", pa.float64()),
        ("window_start", pa.date32()),
        ("model_version", pa.string()),
    ]
)
KEY = ["profile_type", "profile", "level", "product_key"]
MAX_PROFILES = 30
MAX_CATEGORIES = 500
MIN_LATER_DAYS = 7
ROUNDS = 300
MIN_VALUES, MAX_VALUES = 2, 12
ATTRIBUTES = {
    "lifecycle_stage": "replace({value}, '_', ' ')",
    "gender": "'gender ' || {value}",
    "country": "'lives in ' || {value}",
    "region": "'lives in ' || {value}",
    "city": "'lives in ' || {value}",
}
BANDS = (18, 25, 35, 45, 55, 65)
SNAPSHOTS = "customer_feature_snapshots"
TASTE = "top_category"
# Made from features of purchases, which an older snapshot knows as they were.
TASTES = ("preferred_channel", TASTE, "promotion_taste", "basket_value")
# Made from purchases too, and known as of today alone; the others are what customers are, whatever they buy.
STANDINGS = ("segment_", "lifecycle_stage")


@dataclass(frozen=True)
class Cells:
    """Counts of one profile type: `frame` has a row per profile, level and product (`profile`, `level`, `product`,
    `customers`, `buyers`, `total`, `everybody`, `spend`, `profile_spend`, `product_spend`, `all_spend`)."""

    profile_type: str
    frame: pd.DataFrame


def profile_products(lake: Lake, day: date, models: Any) -> Summary:
    """Write `product_profiles` and its model card as of `day`.

    Uses `models.product_profiles.window_days`, `.min_support` and `.max_products`. Without purchases of a product or a
    category, or without a profile of enough customers, the table is empty and the card says why.
    """
    options = models.product_profiles
    with single_threaded(), scratch_engine(lake, settings(), TASK) as (engine, _):
        window = _load_purchases(engine, lake, day, options)
        if not window:
            return _write_nothing(lake, day, "no purchase names a product or a category")
        features = lake.table("cdp", "customer_features")
        tastes = _all_of(features) if features.exists() else ""
        _load_profiles(engine, lake, day, options.min_support, tastes)
        cells = _count(engine, "true")
        published, tested = _compare(cells, options.min_support)
        if published.empty:
            return _write_nothing(
                lake,
                day,
                f"no profile has {options.min_support} buyers of anything beside others who have it",
            )
        published = _named(engine, published)
        version = model_version(
            {"task": TASK, "options": str(options)}, published[[*KEY, "customers", "buyers"]]
        )
        start = date.fromordinal(day.toordinal() - window + 1)
        published = published.assign(as_of_date=day, window_start=start, model_version=version)
        rows = write_table(published[PRODUCT_PROFILES.names], PRODUCT_PROFILES, KEY, lake.ml(day, TASK))
        lines = _card(engine, lake, day, models, published, tested, window)
        write_model_cards(lake, day, TASK, [ModelCard(MODEL, version, TASK, lines)])
    found = int(published["is_significant"].sum())
    return Summary(
        TASK, "reported", rows, f"{rows:,} cells of {tested:,} tested are shown, {found:,} of them differ"
    )


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, PRODUCT_PROFILES, KEY, lake.ml(day, TASK))
    return skip(lake, day, TASK, [MODEL], reason)


# What was bought


def _load_purchases(engine: duckdb.DuckDBPyConnection, lake: Lake, day: date, options: Any) -> int:
    """Make `products` (product, level, product_key, product_name, category) and `bought` (customer, product, age,
    spend in ten-thousandths). Returns the days of the window, 0 when nothing is named.

    Customers are numbers here, hashes of 64 bits of their ids, for they are compared many times.
    """
    timeline, catalogue = lake.table("cdp", "customer_timeline"), lake.staged(CATALOGUE)
    if not timeline.exists():
        return 0
    described = (
        "select cast(product_id as varchar) as product_id, cast(name as varchar) as name, "
        f"cast(category as varchar) as category from {parquet(catalogue)}"
        if catalogue.exists()
        else "select null::varchar as product_id, null::varchar as name, null::varchar as category where false"
    )
    engine.execute(
        f"""
        create table lines as
        select
            hash(customer_id) as customer,
            nullif(cast(product_id as varchar), '') as product_id,
            nullif(cast(category as varchar), '') as category,
            cast(date_diff('day', occurred_at, date '{day:%Y-%m-%d}') as integer) as age,
            cast(round(10000 * coalesce(amount, 0)) as bigint) as spend
        from {parquet(timeline)}
        where
            activity = 'purchase'
            and customer_id is not null
            and age between 0 and {options.window_days - 1}
            and coalesce(amount, 0) >= 0;
        create table products as
        with described as ({described}),
        categories as (
            select 'category' as level, category as product_key, category, count(distinct customer) as buyers
            from lines
            where category is not null
            group by category
            order by buyers desc, category
            limit {MAX_CATEGORIES}
        ),
        best_sellers as (
            select 'product' as level, product_id as product_key, min(category) as category,
                count(distinct customer) as buyers
            from lines
            where product_id is not null
            group by product_id
            order by buyers desc, product_id
            limit {options.max_products}
        ),
        sold as (
            select * from categories
            union all
            select * from best_sellers
        )
        select
            cast(row_number() over (order by level, product_key) - 1 as integer) as product,
            level,
            product_key,
            case when level = 'product' then coalesce(nullif(trim(described.name), ''), product_key) else product_key
            end as product_name,
            coalesce(sold.category, described.category) as category
        from sold
        left join described on case level when 'product' then sold.product_key end = described.product_id
        order by product;
        create table bought as
        select customer, product, age, sum(spend) as spend
        from lines
        inner join products on level = 'category' and product_key = lines.category
        group by all
        union all
        select customer, product, age, sum(spend) as spend
        from lines
        inner join products on level = 'product' and product_key = product_id
        group by all;
        create table buyers as
        select customer, age, sum(spend) as spend
        from lines
        group by all;
        drop table lines
        """
    )
    products, oldest = engine.execute(
        "select (select count(*) from products), (select coalesce(max(age) + 1, 0) from buyers)"
    ).fetchone()
    return oldest if products else 0


# Profiles


def _load_profiles(
    engine: duckdb.DuckDBPyConnection, lake: Lake, day: date, min_support: int, features: str
) -> None:
    """Make `profiles` (profile_type, customer, profile) and `shown` (profile_type, profile, profile_name).

    A customer has at most one profile of each type; tastes come from the query `features`, if there is one.
    A value of too few customers, or beyond the 30 largest of its type, is not in `shown`: it counts among the others.
    """
    engine.execute(
        """
        create table raw_profiles (
            profile_type varchar, customer ubigint, profile varchar, profile_name varchar
        )
        """
    )
    _add_segments(engine, lake, day)
    _add_attributes(engine, lake.table("cdp", "customers"), day)
    _add_other_values(engine, lake.table("cdp", "customer_other_values"), min_support)
    _load_tastes(engine, features, min_support)


def _load_tastes(engine: duckdb.DuckDBPyConnection, features: str, min_support: int) -> None:
    """Make the tables of `_load_profiles` again with the tastes of other `features`."""
    engine.execute(f"delete from raw_profiles where profile_type in {TASTES}")
    if features:
        _add_tastes(engine, features)
    _keep_large(engine, min_support)


def _add_segments(engine: duckdb.DuckDBPyConnection, lake: Lake, day: date) -> None:
    members, segments = lake.ml(day, "customer_segments"), lake.ml(day, "segments")
    if not (members.exists() and segments.exists()):
        return
    scheme = (
        "coalesce(segments.scheme, 'behaviour')"
        if "scheme" in _columns(engine, _all_of(segments))
        else "'behaviour'"
    )
    engine.execute(
        f"""
        insert into raw_profiles
        select
            'segment_' || {scheme},
            hash(members.customer_id),
            members.segment_id,
            coalesce(segments.name, members.segment_id)
        from {parquet(members)} as members
        inner join {parquet(segments)} as segments on members.segment_id = segments.segment_id
        """
    )


def _add_attributes(engine: duckdb.DuckDBPyConnection, path: Path, day: date) -> None:
    if not path.exists():
        return
    customers = _all_of(path)
    known = _columns(engine, customers)
    for name, label in ATTRIBUTES.items():
        if name in known:
            _add(engine, customers, name, f"cast({quoted(name)} as varchar)", label)
    if "birth_date" in known:
        age = f"date_sub('year', birth_date, date '{day:%Y-%m-%d}')"
        bands = " ".join(
            f"when {age} < {upper} then '{lower}-{upper - 1}'" for lower, upper in pairwise(BANDS)
        )
        ends = f"when {age} not between 0 and 120 then null when {age} < {BANDS[0]} then '0-{BANDS[0] - 1}'"
        band = f"case {ends} {bands} else '{BANDS[-1]} and over' end"
        _add(engine, customers, "age_band", band, "'aged ' || {value}")


def _add_other_values(engine: duckdb.DuckDBPyConnection, values: Path, min_support: int) -> None:
    """What records say beyond the golden attributes, where it takes few values: the latest of each customer."""
    if not values.exists():
        return
    engine.execute(
        f"""
        insert into raw_profiles
        with latest as (
            select customer_id, column_name, trim(value) as value
            from {parquet(values)}
            where not is_rejected and trim(value) <> '' and customer_id is not null
            qualify row_number() over (
                partition by customer_id, column_name order by last_observed_at desc, channel, record_id, value
            ) = 1
        ),
        few as (
            select column_name
            from latest
            group by column_name
            having count(distinct value) between {MIN_VALUES} and {MAX_VALUES} and count(*) >= {2 * min_support}
        )
        select 'attribute_' || column_name, hash(customer_id), value, replace(column_name, '_', ' ') || ' ' || value
        from latest
        semi join few using (column_name)
        """
    )


def _add_tastes(engine: duckdb.DuckDBPyConnection, features: str) -> None:
    """Channel, category, promotions and size of basket that customers who have ordered prefer."""
    known = _columns(engine, features)
    if {"store_orders", "online_orders"} <= known:
        share = "store_orders / nullif(store_orders + online_orders, 0)"
        preferred = (
            f"case when {share} >= 0.8 then 'in stores' when {share} <= 0.2 then 'online' "
            f"when {share} > 0 then 'in stores and online' end"
        )
        _add(engine, features, "preferred_channel", preferred, "'buys ' || {value}")
    if TASTE in known:
        _add(engine, features, TASTE, f"nullif({TASTE}, '')", "'mostly buys ' || {value}")
    for name, column, label in (
        ("promotion_taste", "discount_share", "share of promotions"),
        ("basket_value", "average_order_value", "basket value"),
    ):
        if {column, "frequency_orders"} <= known:
            _add_thirds(engine, features, name, column, label)


def _add_thirds(engine: duckdb.DuckDBPyConnection, features: str, name: str, column: str, label: str) -> None:
    """Three classes of equal size by a number; equal numbers share a class, so there may be fewer."""
    low, high = engine.execute(
        f"""
        select quantile_disc({column}, 1 / 3.0), quantile_disc({column}, 2 / 3.0)
        from ({features})
        where {column} is not null and frequency_orders > 0
        """
    ).fetchone()
    if low is None or low == high:
        return
    value = (
        f"case when {column} <= {low} then 'low' when {column} <= {high} then 'middle' "
        f"when {column} > {high} then 'high' end"
    )
    _add(
        engine, features, name, f"case when frequency_orders > 0 then {value} end", f"{{value}} || ' {label}'"
    )


def _add(
    engine: duckdb.DuckDBPyConnection, source: str, profile_type: str, value: str, label: str = "{value}"
) -> None:
    engine.execute(
        f"""
        insert into raw_profiles
        select '{profile_type}', hash(customer_id), value, {label.format(value="value")}
        from (select customer_id, {value} as value from ({source}))
        where value is not null and trim(value) <> ''
        """
    )


def _keep_large(engine: duckdb.DuckDBPyConnection, min_support: int) -> None:
    engine.execute(
        f"""
        create or replace table shown as
        select profile_type, profile, min(profile_name) as profile_name
        from raw_profiles
        where customer in (select customer from buyers)
        group by profile_type, profile
        having count(*) >= {min_support}
        qualify row_number() over (partition by profile_type order by count(*) desc, profile) <= {MAX_PROFILES};
        create or replace table profiles as
        select raw_profiles.profile_type, customer, shown.profile
        from raw_profiles
        left join shown using (profile_type, profile)
        """
    )


# Counting and comparing


def _count(engine: duckdb.DuckDBPyConnection, when: str) -> list[Cells]:
    """Count every profile type over the purchases with `when`, one type after another to bound memory."""
    engine.execute(
        f"""
        create or replace table bought_then as
        select customer, product, sum(spend) as spend from bought where {when} group by all;
        create or replace table buyers_then as
        select customer, sum(spend) as spend from buyers where {when} group by all
        """
    )
    types = engine.execute("select distinct profile_type from shown order by profile_type").fetchall()
    result = []
    for (profile_type,) in types:
        frame = engine.execute(
            """
            with members as materialized (
                select customer, profile, buyers_then.spend
                from profiles
                inner join buyers_then using (customer)
                where profile_type = $profile_type
            ),
            sizes as (
                select profile, count(*) as customers, sum(spend) as profile_spend from members group by profile
            ),
            counts as materialized (
                select profile, product, count(*) as buyers, sum(bought_then.spend) as spend
                from members
                inner join bought_then using (customer)
                group by all
            ),
            totals as (
                select product, sum(buyers) as total, sum(spend) as product_spend from counts group by product
            ),
            everybody as (
                select sum(customers) as everybody, sum(profile_spend) as all_spend from sizes
            )
            select
                sizes.profile,
                totals.product,
                sizes.customers,
                coalesce(counts.buyers, 0) as buyers,
                totals.total,
                everybody.everybody,
                cast(coalesce(counts.spend, 0) as double) as spend,
                cast(sizes.profile_spend as double) as profile_spend,
                cast(totals.product_spend as double) as product_spend,
                cast(everybody.all_spend as double) as all_spend
            from sizes
            cross join totals
            cross join everybody
            left join counts
                on sizes.profile is not distinct from counts.profile and totals.product = counts.product
            order by totals.product, sizes.profile nulls last
            """,
            {"profile_type": profile_type},
        ).df()
        for name in ("product", "customers", "buyers", "total", "everybody"):
            frame[name] = frame[name].astype(np.int64)
        frame = _without_circles(engine, frame) if profile_type == TASTE else frame
        result.append(Cells(profile_type, frame))
    return result


def _without_circles(engine: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> pd.DataFrame:
    """Who mostly buys a category buys it: neither the category nor its products are held against that profile."""
    category = engine.execute("select category from products order by product").df()["category"]
    return frame[frame["profile"].isna() | (frame["profile"] != category.to_numpy()[frame["product"]])]


def _compare(cells: list[Cells], min_support: int) -> tuple[pd.DataFrame, int]:
    """The cells that may be shown, and how many were tested: all of them share one correction for many looks."""
    if not cells:
        return pd.DataFrame(), 0
    frame = pd.concat(
        [
            part.frame.assign(profile_type=part.profile_type, is_open=_may_be_shown(part.frame, min_support))
            for part in cells
        ],
        ignore_index=True,
    )
    tested = frame[
        frame["profile"].notna() & (frame["total"] >= min_support) & (frame["customers"] < frame["everybody"])
    ]
    if tested.empty:
        return pd.DataFrame(), 0
    found = _lifts(tested)
    with np.errstate(divide="ignore", invalid="ignore"):
        spend_share = np.where(tested["profile_spend"] > 0, tested["spend"] / tested["profile_spend"], np.nan)
        usual = np.where(tested["all_spend"] > 0, tested["product_spend"] / tested["all_spend"], np.nan)
        spend_lift = np.where(usual > 0, spend_share / usual, np.nan)
    result = tested.assign(
        support=tested["buyers"] / tested["everybody"],
        share=found.share,
        share_elsewhere=found.share_elsewhere,
        lift=found.lift,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        q_value=found.q_value,
        is_significant=found.is_significant,
        spend_share=spend_share,
        spend_lift=spend_lift,
    )
    return result[result["is_open"]].reset_index(drop=True), len(tested)


def _lifts(frame: pd.DataFrame) -> Lifts:
    return lifts(*(frame[name].to_numpy() for name in ("buyers", "customers", "total", "everybody")))


def _may_be_shown(frame: pd.DataFrame, min_support: int) -> np.ndarray:
    """Cells (rows,) with enough buyers, of which no small one can be worked out by taking those shown from the total.

    Of each product the smallest cells are held back until they hold nobody or at least `min_support` together.
    """
    order = np.lexsort(
        (frame["profile"].isna().to_numpy() * -1, frame["buyers"].to_numpy(), frame["product"].to_numpy())
    )
    buyers = frame["buyers"].to_numpy()[order]
    product = frame["product"].to_numpy()[order]
    hidden_anyway = frame["profile"].isna().to_numpy()[order]
    base = np.bincount(
        product, weights=np.where(hidden_anyway, buyers, 0), minlength=product.max(initial=0) + 1
    )
    counted = np.where(hidden_anyway, 0, buyers)
    running = np.cumsum(counted)
    starts = np.searchsorted(product, product)
    before = running - counted - np.append(0, running)[starts] + base[product]
    opened = ~hidden_anyway & (buyers >= min_support) & ((before == 0) | (before >= min_support))
    result = np.zeros(len(frame), dtype=bool)
    result[order] = opened
    return result


def _named(engine: duckdb.DuckDBPyConnection, published: pd.DataFrame) -> pd.DataFrame:
    products = engine.execute(
        "select product, level, product_key, product_name, category from products order by product"
    ).df()
    names = engine.execute("select profile_type, profile, profile_name from shown").df()
    return published.merge(products, on="product", how="left").merge(
        names, on=["profile_type", "profile"], how="left"
    )


# Does it hold


def _card(
    engine: duckdb.DuckDBPyConnection,
    lake: Lake,
    day: date,
    models: Any,
    published: pd.DataFrame,
    tested: int,
    window: int,
) -> tuple[CardLine, ...]:
    """How many cells differ, and how the lifts of the earlier part of the window fared in the later one."""
    min_support, seed = models.product_profiles.min_support, models.seed
    differing = int(published["is_significant"].sum())
    lines = [
        CardLine(
            "cells_that_differ",
            Estimate(differing, np.nan, np.nan),
            None,
            None,
            "reported",
            f"of {len(published):,} shown and {tested:,} tested; at most 5 % of them by chance (Benjamini, Hochberg)",
        )
    ]
    split, tastes = _split(engine, lake, day, window)
    if tastes:
        _load_tastes(engine, tastes, min_support)
    before = _compare(_count(engine, f"age >= {split}"), min_support)[0]
    after = _count(engine, f"age < {split}")
    if before.empty or not after:
        return tuple(lines)
    later = pd.concat(
        [part.frame.assign(profile_type=part.profile_type) for part in after], ignore_index=True
    )
    both = before.merge(later, on=["profile_type", "profile", "product"], suffixes=("", "_later"))
    both = both[(both["total_later"] > 0) & (both["customers_later"] > 0)]
    both["lift_later"] = (both["buyers_later"] / both["customers_later"]) / (
        both["total_later"] / both["everybody_later"]
    )
    is_taste = both["profile_type"].isin(TASTES)
    is_standing = both["profile_type"].str.startswith(STANDINGS)
    as_known = (
        "as they were before"
        if tastes
        else "of today, which know the later purchases too: this flatters them"
    )
    for name, part, note in (
        ("attributes", both[~is_taste & ~is_standing], "what customers are, whatever they buy"),
        ("tastes", both[is_taste], f"channel, category, promotions and baskets {as_known}"),
        (
            "standings",
            both[is_standing],
            "segments and stages of today, which know the later purchases too: this flatters them",
        ),
    ):
        lines += _held(name, part, f"{note}; the last {split} days against the {window - split} before", seed)
    return tuple(lines)


def _split(engine: duckdb.DuckDBPyConnection, lake: Lake, day: date, window: int) -> tuple[int, str]:
    """How many of the last days are the later part, and a query for the features at its start.

    The window is cut at the oldest snapshot of features, or halved where there is none; the query is '' then.
    """
    path = lake.staged(SNAPSHOTS)
    if path.exists():
        (age,) = engine.execute(
            f"select date_diff('day', cast(min(as_of_date) as date), date '{day:%Y-%m-%d}') from {parquet(path)}"
        ).fetchone()
        if age and MIN_LATER_DAYS <= age <= window - MIN_LATER_DAYS:
            return age, (f"{_all_of(path)} where cast(as_of_date as date) = date '{day:%Y-%m-%d}' - {age}")
    return max(1, window // 2), ""


def _held(name: str, cells: pd.DataFrame, note: str, seed: int) -> list[CardLine]:
    """Rank correlation of lifts, and the share of significant cells that keep their direction, beside chance.

    Cells of one product share its buyers, so the intervals are from Poisson resamples of products, not of cells.
    """
    lines = []
    if len(cells) >= 3 and cells["lift"].nunique() > 1 and cells["lift_later"].nunique() > 1:
        weights = _resampled(cells["product"], seed)
        value = _correlations(rankdata(cells["lift"]), rankdata(cells["lift_later"]), weights)
        text = f"{len(cells):,} cells, {note}"
        lines.append(CardLine(f"lift_rank_correlation.{name}", _interval(value), 0.0, "chance", note=text))
    clear = cells[cells["is_significant"]]
    if len(clear):
        kept = (np.sign(clear["lift"] - 1) == np.sign(clear["lift_later"] - 1)).to_numpy(dtype=np.float64)
        weights = _resampled(clear["product"], seed)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = weights @ kept / weights.sum(axis=1)
        text = f"{len(clear):,} cells that differed in the earlier part, {note}"
        lines.append(CardLine(f"direction_kept.{name}", _interval(value), 0.5, "chance", note=text))
    return lines


def _resampled(products: pd.Series, seed: int) -> np.ndarray:
    """Weights (1 + rounds, cells): of the sample itself, then of its resamples."""
    units = np.unique(products, return_inverse=True)[1]
    drawn = np.random.default_rng(seed).poisson(1.0, size=(ROUNDS, units.max() + 1))[:, units]
    return np.vstack([np.ones(len(units)), drawn])


def _correlations(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted correlation of two arrays (cells,) for each row of weights (rounds, cells)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weights.sum(axis=1)
        means = [weights @ values / total for values in (first, second)]
        product = weights @ (first * second) / total - means[0] * means[1]
        spreads = [
            weights @ values**2 / total - mean**2 for values, mean in zip((first, second), means, strict=True)
        ]
        return product / np.sqrt(spreads[0] * spreads[1])


def _interval(values: np.ndarray) -> Estimate:
    known = values[1:][np.isfinite(values[1:])]
    if len(known) < ROUNDS // 2:
        return Estimate(float(values[0]), np.nan, np.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))


def _columns(engine: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    return {row[0] for row in engine.execute(f"describe {query}").fetchall()}


def _all_of(path: Path) -> str:
    return f"select * from {parquet(path)}"
