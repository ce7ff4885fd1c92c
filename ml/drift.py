"""How far today's customers have moved from those that a model learned on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.features import categories, is_categorical, numbers

BINS = 10
# The usual reading of the index: below 0.1 no shift, above 0.25 a major one (Siddiqi 2006, Credit Risk Scorecards).
MAJOR = 0.25
MAXIMUM_CATEGORIES = 50


def population_stability(before: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two samples of numbers: the sum of (p - q) log(p / q) over ten bins of equal
    size of `before`; missing values are a bin of their own. 0 when either is empty."""
    if not len(before) or not len(now):
        return 0.0
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    return _index(_binned(before, edges), _binned(now, edges), len(edges) + 2)


def drift(before: pd.DataFrame, now: pd.DataFrame, columns: list[str]) -> dict[str, float]:
    """The index of each of `columns`, which both frames have, the largest first."""
    found = {}
    for name in columns:
        if is_categorical(before[name]):
            known = pd.Index(pd.unique(categories(before[name]))[:MAXIMUM_CATEGORIES])
            found[name] = _index(
                known.get_indexer(categories(before[name])) + 1,
                known.get_indexer(categories(now[name])) + 1,
                len(known) + 1,
            )
        else:
            found[name] = population_stability(numbers(before[name]), numbers(now[name]))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)


def _index(before: np.ndarray, now: np.ndarray, bins: int) -> float:
    """Each bin is held away from 0 by half a row, so that an empty one is no infinite shift."""
    expected = np.bincount(before, minlength=bins) + 0.5
    actual = np.bincount(now, minlength=bins) + 0.5
    expected, actual = expected / expected.sum(), actual / actual.sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())
