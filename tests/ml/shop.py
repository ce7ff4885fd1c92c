"""A shop as dbt would publish it, for the tests of what is learned from purchases."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from include.lake import Lake, replacing
from tests.ml.shoppers import hand_over

DAY = date(2017, 11, 30)


def publish(lake: Lake, table: str, frame: pd.DataFrame) -> None:
    """Write a frame where dbt would publish it."""
    with replacing(lake.table("cdp", table)) as path:
        frame.to_parquet(path, index=False)


def open_shop(
    lake: Lake,
    purchases: pd.DataFrame,
    customers: pd.DataFrame | list[str] | None = None,
    catalogue: pd.DataFrame | None = None,
) -> None:
    """Publish purchases (customer_id, product_id, category, days_ago; amount and activity may be left out), their
    customers (ids, or rows) and hand over the catalogue."""
    ids = customers if customers is not None else sorted(purchases["customer_id"].unique())
    rows = ids if isinstance(ids, pd.DataFrame) else pd.DataFrame({"customer_id": ids})
    defaults = {"region": None, "country": None, "first_seen_at": pd.Timestamp("2015-01-01")}
    publish(
        lake, "customers", rows.assign(**{key: value for key, value in defaults.items() if key not in rows})
    )
    timeline = purchases.assign(
        amount=purchases["amount"].fillna(1.0) if "amount" in purchases else 1.0,
        activity=purchases["activity"].fillna("purchase") if "activity" in purchases else "purchase",
        occurred_at=pd.Timestamp(DAY)
        + pd.Timedelta(hours=12)
        - pd.to_timedelta(purchases["days_ago"], unit="D"),
    )
    timeline = timeline.astype({"product_id": "object", "category": "object", "activity": "object"})
    publish(lake, "customer_timeline", timeline.drop(columns="days_ago"))
    if catalogue is not None:
        hand_over(lake, "product_catalogue", catalogue)


def catalogue_of(purchases: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """A catalogue of everything that was bought; `columns` replace the defaults."""
    products = purchases[["product_id", "category"]].drop_duplicates("product_id").sort_values("product_id")
    defaults = {
        "name": "the " + products["product_id"].astype(str),
        "brand": "own",
        "price": 2.0,
        "is_in_catalogue": True,
    }
    return products.assign(**(defaults | columns)).reset_index(drop=True)


def taste_of(product: str) -> int:
    """Which of the four tastes a product of `tasteful_purchases` is of."""
    return int(product[1:]) // 20


def tasteful_purchases(customers: int = 400, days: int = 300, seed: int = 1) -> pd.DataFrame:
    """Customers of four tastes with twenty products each, one product in ten of any taste; categories tell nothing of
    taste. Even products are bought again about every twenty days, but often skipped, odd ones once."""
    generator = np.random.default_rng(seed)
    bought, ages = [], []
    for number in range(customers):
        own = 20 * (number % 4) + generator.choice(20, 12, replace=False)
        for product in np.where(generator.random(12) < 0.1, generator.integers(0, 80, 12), own):
            start, rhythm = int(generator.integers(0, days)), int(generator.integers(15, 25))
            every = np.arange(start, -1, -rhythm) if product % 2 == 0 else np.array([start])
            ages.append(every[generator.random(len(every)) < 0.7])
            bought += [(f"c{number:04d}", f"p{product:02d}", f"category {product % 5}")] * len(ages[-1])
    frame = pd.DataFrame(bought, columns=["customer_id", "product_id", "category"])
    return frame.assign(days_ago=np.concatenate(ages)).drop_duplicates(
        ["customer_id", "product_id", "days_ago"]
    )
