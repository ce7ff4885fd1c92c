"""Worlds of visitors with a seed whose taste is known, for the tests of look-alikes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from include.lake import Lake
from ml.lookalike import expand_audiences
from ml.registry import Summary
from tests.ml.shoppers import DAY, Audience, Configuration, Lookalike, hand_over

CATEGORIES = 30
STRANGERS = 1500


def web_world(
    seed: int = 0, *, with_taste: bool = True, events_of_seed: float = 1.0
) -> dict[str, pd.DataFrame]:
    """Browsing of 200 people of a seed (some with two devices), 200 other customers and 1,500 strangers.

    The seed and a tenth of the strangers prefer a fifth of the categories, unless `with_taste` is off; the seed
    has `events_of_seed` times the events of others.
    """
    generator = np.random.default_rng(seed)
    seeds = pd.DataFrame(
        [("loyal", f"k{i:04d}{d}", f"p{i:04d}") for i in range(200) for d in range(1 + (i % 4 == 0))],
        columns=["audience_id", "visitor_id", "person_key"],
    )
    others = pd.DataFrame({"visitor_id": [f"o{i:04d}" for i in range(200)]})
    others["person_key"] = "q" + others["visitor_id"]
    strangers = pd.Series([f"s{i:05d}" for i in range(STRANGERS)])
    visitors = pd.concat([seeds["visitor_id"], others["visitor_id"], strangers], ignore_index=True)
    alike = visitors.isin(seeds["visitor_id"]) | (visitors.str[0].eq("s") & visitors.str[-1].eq("7"))
    taste = np.where(np.arange(CATEGORIES) < CATEGORIES // 5, 3.0 if with_taste else 1.0, 1.0)
    is_seed = visitors.isin(seeds["visitor_id"])
    events = generator.gamma(2, 8, len(visitors)) * np.where(is_seed, events_of_seed, 1.0)
    chance = np.where(alike.to_numpy()[:, None], taste / taste.sum(), 1 / CATEGORIES)
    counts = generator.poisson(chance * events[:, None])
    counts[counts.sum(axis=1) == 0, 0] = 1
    rows, columns = np.nonzero(counts)
    features = pd.DataFrame(
        {
            "visitor_id": visitors.to_numpy()[rows],
            "feature": [f"category:{column:02d}" for column in columns],
            "value": counts[rows, columns].astype(float),
        }
    )
    activity = features.groupby("visitor_id", as_index=False)["value"].sum()
    activity = activity.rename(columns={"value": "events"}).astype({"events": "int64"})
    return {
        "audience_seeds": seeds,
        "known_visitors": pd.concat([seeds[["visitor_id", "person_key"]], others], ignore_index=True),
        "visitor_features": features,
        "visitor_activity": activity.assign(active_days=1, last_seen_at=pd.Timestamp(DAY)),
    }


def configuration_of(**lookalike) -> Configuration:
    return Configuration((Audience("loyal", Lookalike(**lookalike)), Audience("no look-alike", None)))


def expand(
    lake: Lake, web: dict[str, pd.DataFrame], configuration: Configuration | None = None, day: date = DAY
) -> tuple[Summary, pd.DataFrame, pd.DataFrame]:
    """Hand the world over in the order that dbt exports it in, and expand: the summary, models and members."""
    for table, frame in web.items():
        if table.startswith("visitor_features"):
            frame = frame.sort_values(["visitor_id", "feature"])
        hand_over(lake, table, frame)
    summary = expand_audiences(lake, day, configuration or configuration_of(level="broad"))
    models = pd.read_parquet(lake.ml(day, "lookalike_models")).set_index("audience_id")
    return summary, models, pd.read_parquet(lake.ml(day, "lookalike_members"))


def card_of(lake: Lake, day: date = DAY) -> pd.DataFrame:
    return pd.read_parquet(lake.ml(day, "model_cards_lookalike")).set_index("metric")
