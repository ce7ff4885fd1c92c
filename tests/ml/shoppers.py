"""The configuration that the tests of learning use, and how they hand over what dbt would export."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from include.config.schema import Models, Purchase, Segmentation
from include.lake import Lake, replacing

DAY = date(2017, 11, 30)
HORIZON = 28


MODELS = Models(
    purchase=Purchase(horizon_days=HORIZON), segmentation=Segmentation(k_min=3, k_max=6, sample_rows=5_000)
)


@dataclass(frozen=True)
class Lookalike:
    size: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Audience:
    audience_id: str
    lookalike: Lookalike | None
    side: str = "cdp"
    where: str = "true"


@dataclass(frozen=True)
class Trait:
    trait_id: str
    where: str
    folder: str | None = None


@dataclass(frozen=True)
class Privacy:
    control_share: float = 0.1
    minimum_cell: int = 50


@dataclass(frozen=True)
class Configuration:
    audiences: tuple[Audience, ...]
    models: Models = MODELS
    privacy: Privacy = Privacy()
    traits: tuple[Trait, ...] = ()
    trait_folders: dict[str, tuple[str, ...]] = field(default_factory=dict)


def hand_over(lake: Lake, table: str, frame: pd.DataFrame) -> None:
    """Write a frame where dbt would export it."""
    with replacing(lake.staged(table)) as path:
        frame.to_parquet(path, index=False)
