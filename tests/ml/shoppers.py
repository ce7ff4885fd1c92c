"""The configuration that the tests of learning use, and how they hand over what dbt would export."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from include.lake import Lake, replacing

DAY = date(2017, 11, 30)
HORIZON = 28


@dataclass(frozen=True)
class Purchase:
    horizon_days: int = HORIZON


@dataclass(frozen=True)
class Segmentation:
    k_min: int = 3
    k_max: int = 6
    sample_rows: int = 5_000


@dataclass(frozen=True)
class LookalikeModel:
    min_seed: int = 100
    hold_out_share: float = 0.3
    ttl_days: int = 30
    bootstrap_rounds: int = 200


@dataclass(frozen=True)
class Models:
    seed: int = 7
    purchase: Purchase = field(default_factory=Purchase)
    segmentation: Segmentation = field(default_factory=Segmentation)
    lookalike: LookalikeModel = field(default_factory=LookalikeModel)


@dataclass(frozen=True)
class Lookalike:
    size: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Audience:
    audience_id: str
    lookalike: Lookalike | None


@dataclass(frozen=True)
class Privacy:
    control_share: float = 0.1


@dataclass(frozen=True)
class Configuration:
    audiences: tuple[Audience, ...]
    models: Models = field(default_factory=Models)
    privacy: Privacy = field(default_factory=Privacy)


def hand_over(lake: Lake, table: str, frame: pd.DataFrame) -> None:
    """Write a frame where dbt would export it."""
    with replacing(lake.staged(table)) as path:
        frame.to_parquet(path, index=False)
