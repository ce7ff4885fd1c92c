"""How good expected counts and amounts are: their error, their level, and how well they order customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.stats import norm

from ml.evaluation import Estimate, Ranking, rank

BOOTSTRAP_ROUNDS = 100
CONFIDENCE_FACTOR = 1.96


@dataclass(frozen=True)
class Quality:
    """Of an expectation against what came: mean absolute and root mean squared error, total error as a share of what
    came, normalised Gini, and Poisson deviance with amounts in units of their mean and without extremes."""

    mae: Estimate
    rmse: float
    total_error: float
    gini: Estimate
    deviance: float


def measure(outcome: np.ndarray, expected: np.ndarray, gini: Estimate) -> Quality:
    """The quality of `expected` (n,) for `outcome` (n,), both never negative; `gini` is how well it orders them."""
    errors = np.abs(expected - outcome)
    total = outcome.sum()
    return Quality(
        _mean(errors),
        float(np.sqrt((errors**2).mean())),
        float(expected.sum() / total - 1) if total > 0 else float("nan"),
        gini,
        float(deviances(without_extremes(outcome), expected).mean()),
    )


def deviances(outcome: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Poisson deviance (n,) of each row, in units of the mean outcome: least for the true mean of each, whatever the
    spread around it (Gneiting 2011), so that it weighs the level and the order together."""
    mean = outcome.mean() if outcome.mean() > 0 else 1.0
    came, said = outcome / mean, np.maximum(expected / mean, 1e-9)
    logs = np.log(np.where(came > 0, came / said, 1.0))
    return 2 * (came * logs - came + said)


def without_extremes(outcome: np.ndarray) -> np.ndarray:
    """Outcomes (n,), those above the 99th percentile of all above 0 being cut to it: a single wholesale order would
    else outweigh everybody."""
    return np.minimum(outcome, np.quantile(outcome[outcome > 0], 0.99)) if (outcome > 0).any() else outcome


def gain(differences: np.ndarray, looks: int = 1) -> Estimate:
    """The mean of paired differences (n,), with a 95 % interval that allows for `looks` comparisons (Bonferroni)."""
    return _mean(differences, float(norm.ppf(1 - 0.025 / looks)))


def normalised_gini(outcome: np.ndarray, scores: np.ndarray) -> float:
    """Gini coefficient of `outcome` (n,) ordered by `scores` (n,), over that of its own order: 1 is perfect, 0 is
    chance; tied scores share their places."""
    return float(_ginis(outcome, [scores], [np.ones(len(outcome))])[0, 0])


def bootstrapped_ginis(
    outcome: np.ndarray, scores: Mapping[str, np.ndarray], seed: int
) -> dict[str, Estimate]:
    """Normalised Gini of each score (n,) with its interval, all from the same resamples of customers."""
    generator = np.random.default_rng(seed)
    resamples = (generator.poisson(1.0, len(outcome)).astype(np.float64) for _ in range(BOOTSTRAP_ROUNDS))
    found = _ginis(outcome, scores.values(), chain([np.ones(len(outcome))], resamples))
    return {name: _estimate(values) for name, values in zip(scores, found.T, strict=True)}


def _estimate(values: np.ndarray) -> Estimate:
    """The first value is of the sample itself, the others of its resamples."""
    finite = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))


def _ginis(outcome: np.ndarray, scores: Iterable[np.ndarray], weights: Iterable[np.ndarray]) -> np.ndarray:
    """Normalised Ginis (weights, scores), for each array of weights (n,)."""
    best, *said = (rank(np.asarray(values, dtype=np.float64)) for values in (outcome, *scores))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array(
            [
                np.array([_gini(outcome, each, weight) for each in said]) / _gini(outcome, best, weight)
                for weight in weights
            ]
        )


def _gini(outcome: np.ndarray, ranking: Ranking, weights: np.ndarray) -> float:
    ordered = weights[ranking.order]
    people = np.append(0.0, np.cumsum(ordered)[ranking.ends])
    came = np.append(0.0, np.cumsum(ordered * outcome[ranking.order])[ranking.ends])
    area = ((came[1:] + came[:-1]) / 2 * np.diff(people)).sum()
    return area / (people[-1] * came[-1]) - 0.5


def _mean(values: np.ndarray, factor: float = CONFIDENCE_FACTOR) -> Estimate:
    mean = float(values.mean())
    error = factor * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return Estimate(mean, mean - error, mean + error)
