"""Model versions and model cards: what was learned from what, how good it is, and whether it may be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.lake import Lake
from ml.evaluation import Estimate
from ml.tables import MODEL_CARDS, write_table


@dataclass(frozen=True)
class Summary:
    """What a task of this package hands back: counts and a line to show, never data.

    `status` is promoted, published, refused, reported or skipped; `rows` counts what it wrote.
    """

    task: str
    status: str
    rows: int
    note: str

    @property
    def skipped(self) -> bool:
        return self.status == "skipped"

    def __str__(self) -> str:
        return self.note if self.skipped else f"{self.status}: {self.note}"


@dataclass(frozen=True)
class CardLine:
    """One metric of a model card, beside the same metric of the baseline that it is held against."""

    metric: str
    estimate: Estimate | None
    baseline: float | None = None
    baseline_name: str | None = None
    verdict: str = "reported"
    note: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """Everything measured of one model as of one day."""

    model: str
    model_version: str
    task: str
    lines: tuple[CardLine, ...]


def skipped_card(model: str, task: str, reason: str) -> ModelCard:
    """The card of a model that could not be learned: one line that says why."""
    return ModelCard(model, "none", task, (CardLine("none", None, note=f"skipped: {reason}"),))


def skip(lake: Lake, day: date, task: str, models: Iterable[str], reason: str) -> Summary:
    """Write the cards of a task that has nothing to learn from, one for each of `models`, and say so."""
    write_model_cards(lake, day, task, [skipped_card(model, task, reason) for model in models])
    return Summary(task, "skipped", 0, reason)


def model_version(parameters: Mapping[str, Any], *training: pd.DataFrame | np.ndarray) -> str:
    """12 hex digits that change with the code of this package, the parameters or the training data."""
    digest = hashlib.sha256(_code_digest())
    digest.update(json.dumps(parameters, sort_keys=True, default=str).encode())
    for data in training:
        digest.update(_data_digest(data))
    return digest.hexdigest()[:12]


def write_model_cards(lake: Lake, day: date, file: str, cards: Iterable[ModelCard]) -> int:
    """Write the cards of one task to `model_cards_<file>.parquet`; dbt reads them all by their pattern.

    Each task has a file of its own, so that tasks may run side by side and run again.
    """
    rows = [
        {
            "model": card.model,
            "model_version": card.model_version,
            "as_of_date": day,
            "task": card.task,
            "metric": line.metric,
            "value": _finite(line.estimate and line.estimate.value),
            "low": _finite(line.estimate and line.estimate.low),
            "high": _finite(line.estimate and line.estimate.high),
            "baseline": _finite(line.baseline),
            "baseline_name": line.baseline_name,
            "verdict": line.verdict,
            "note": line.note,
        }
        for card in cards
        for line in card.lines
    ]
    frame = pd.DataFrame(rows, columns=MODEL_CARDS.names)
    return write_table(frame, MODEL_CARDS, ["model", "metric"], lake.ml(day, f"model_cards_{file}"))


@lru_cache(maxsize=1)
def _code_digest() -> bytes:
    digest = hashlib.sha256(version("scikit-learn").encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.name.encode() + module.read_bytes())
    return digest.digest()


def _data_digest(data: pd.DataFrame | np.ndarray) -> bytes:
    if isinstance(data, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(data))
        digest.update(str(data.shape).encode())
        return digest.digest()
    rows = pd.util.hash_pandas_object(data, index=False).to_numpy()
    return hashlib.sha256(",".join(data.columns).encode() + rows.tobytes()).digest()


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
