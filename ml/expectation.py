"""How good expected counts and amounts are: their error, their level, and how well they order customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from ml.evaluation import Estimate, rank

BOOTSTRAP_ROUNDS = 200
CONFIDENCE_FACTOR = 1.96


@dataclass(frozen=True)
class Quality:
    """Of an expectation against what came: mean absolute and root mean squared error, total error as a share of what
    came, normalised Gini, and Poisson deviance with amounts in units of their mean."""

    mae: Estimate
    rmse: float
    total_error: float
    gini: Estimate
    deviance: float


def measure(outcome: np.ndarray, expected: np.ndarray, seed: int) -> Quality:
    """The quality of `expected` (n,) for `outcome` (n,), both never negative, with bootstrap intervals by customer."""
    errors = np.abs(expected - outcome)
    total = outcome.sum()
    return Quality(
        _mean(errors),
        float(np.sqrt((errors**2).mean())),
        float(expected.sum() / total - 1) if total > 0 else float("nan"),
        bootstrapped_gini(outcome, expected, seed),
        float(deviances(outcome, expected).mean()),
    )


def deviances(outcome: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Poisson deviance (n,) of each row, in units of the mean outcome: least for the true mean of each, whatever the
    spread around it (Gneiting 2011), so that it weighs the level and the order together."""
    mean = outcome.mean() if outcome.mean() > 0 else 1.0
    came, said = outcome / mean, np.maximum(expected / mean, 1e-9)
    logs = np.log(np.where(came > 0, came / said, 1.0))
    return 2 * (came * logs - came + said)


def gain(differences: np.ndarray, looks: int = 1) -> Estimate:
    """The mean of paired differences (n,), with a 95 % interval that allows for `looks` comparisons (Bonferroni)."""
    return _mean(differences, float(norm.ppf(1 - 0.025 / looks)))


def normalised_gini(outcome: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Gini coefficient of `outcome` (n,) ordered by `scores` (n,), over that of its own order: 1 is perfect, 0 is
    chance. One value per row of `weights` (rounds, n); tied scores share their places."""
    weights = np.ones((1, len(outcome))) if weights is None else weights
    with np.errstate(divide="ignore", invalid="ignore"):
        return _gini(outcome, scores, weights) / _gini(outcome, outcome, weights)


def bootstrapped_gini(outcome: np.ndarray, scores: np.ndarray, seed: int) -> Estimate:
    """Normalised Gini with the interval of resampled customers."""
    value = float(normalised_gini(outcome, scores)[0])
    generator = np.random.default_rng(seed)
    rounds = np.concatenate(
        [
            normalised_gini(outcome, scores, generator.poisson(1.0, (1, len(outcome))).astype(np.float64))
            for _ in range(BOOTSTRAP_ROUNDS)
        ]
    )
    rounds = rounds[np.isfinite(rounds)]
    low, high = np.quantile(rounds, [0.025, 0.975]) if len(rounds) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high))


def _gini(outcome: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    ranking = rank(np.asarray(scores, dtype=np.float64))
    ordered = weights[:, ranking.order]
    start = np.zeros((len(weights), 1))
    people = np.hstack([start, np.cumsum(ordered, axis=1)[:, ranking.ends]])
    came = np.hstack([start, np.cumsum(ordered * outcome[ranking.order], axis=1)[:, ranking.ends]])
    area = ((came[:, 1:] + came[:, :-1]) / 2 * np.diff(people, axis=1)).sum(axis=1)
    return area / (people[:, -1] * came[:, -1]) - 0.5


def _mean(values: np.ndarray, factor: float = CONFIDENCE_FACTOR) -> Estimate:
    mean = float(values.mean())
    error = factor * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return Estimate(mean, mean - error, mean + error)
