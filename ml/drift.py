"""How far today's customers have moved from those that a model learned on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.features import categories, is_categorical, numbers
from ml.rows import Rows

BINS = 10
# The usual reading of the index: below 0.1 no shift, above 0.25 a major one (Siddiqi 2006, Credit Risk Scorecards).
MAJOR = 0.25
MAXIMUM_CATEGORIES = 50


def population_stability(before: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two samples of numbers: the sum of (p - q) log(p / q) over ten bins of equal
    size of `before`; missing values are a bin of their own. 0 when either is empty."""
    if not len(before) or not len(now):
        return 0.0
    edges = _edges(before)
    counts = [np.bincount(_binned(values, edges), minlength=len(edges) + 2) for values in (before, now)]
    return _index(*counts)


def drift(before: pd.DataFrame | Rows, now: pd.DataFrame | Rows, columns: list[str]) -> dict[str, float]:
    """The index of each of `columns`, which both have, the largest first."""
    before, now = Rows.of(before), Rows.of(now)
    found = {}
    for name in columns:
        bins, expected = before.once(name, "bins", _bins)
        actual = now.once(name, bins, bins.count)
        found[name] = _index(expected, actual)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class _Bins:
    """What the values of a column are counted by: the edges of numbers, or the categories that are known."""

    edges: tuple[float, ...] = ()
    known: tuple[str, ...] | None = None

    def count(self, column: pd.Series) -> np.ndarray:
        """How many rows each bin (bins,) has, the first of them those whose value is missing or unknown."""
        if self.known is not None:
            place = pd.Index(self.known).get_indexer(categories(column)) + 1
            return np.bincount(place, minlength=len(self.known) + 1)
        return np.bincount(_binned(numbers(column), np.array(self.edges)), minlength=len(self.edges) + 2)


def _bins(column: pd.Series) -> tuple[_Bins, np.ndarray]:
    """The bins that a column gives, and how many of its own rows are in each."""
    if is_categorical(column):
        bins = _Bins(known=tuple(pd.unique(categories(column))[:MAXIMUM_CATEGORIES]))
    else:
        bins = _Bins(tuple(_edges(numbers(column)).tolist()))
    return bins, bins.count(column)


def _edges(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)


def _index(before: np.ndarray, now: np.ndarray) -> float:
    """The index of two counts (bins,); each bin is held away from 0 by half a row, so that an empty one is no infinite
    shift."""
    expected, actual = before + 0.5, now + 0.5
    expected, actual = expected / expected.sum(), actual / actual.sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())
