"""How good a score is: ranking and calibration metrics with bootstrap intervals, all vectorised.

Tied scores share their places: a metric is the expected value over every order of the ties, so that a coarse
baseline such as a count is neither helped nor hurt by the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LIFT_SHARES = {"lift_at_1": 0.01, "lift_at_5": 0.05, "lift_at_10": 0.10}
CALIBRATION_BINS = 10
# Cells of the (rounds, rows) weight matrix that are held at once: 32 MB of floats.
BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def exact(value: float) -> Estimate:
    """A value that was counted and not estimated: its interval is itself."""
    return Estimate(float(value), float(value), float(value))


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score to the lowest; `ends` are the last positions of each group of equal scores."""

    order: np.ndarray
    ends: np.ndarray


def rank(scores: np.ndarray) -> Ranking:
    """Order `scores` (n,) from high to low, keeping ties together. Raises ValueError when a score is missing."""
    if np.isnan(scores).any():
        raise ValueError("a score is missing: fill it before it is evaluated")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return Ranking(order, ends)


def ranking_metrics(
    labels: np.ndarray, ranking: Ranking, weights: np.ndarray, shares: Mapping[str, float] = LIFT_SHARES
) -> dict[str, np.ndarray]:
    """AUC, average precision and lift at each share, one value per row of `weights` (rounds, n).

    Lift at a share is the rate of positives among the best so many, divided by the rate among all.
    """
    ordered = weights[:, ranking.order]
    positives = np.cumsum(ordered * labels[ranking.order], axis=1)[:, ranking.ends]
    everyone = np.cumsum(ordered, axis=1)[:, ranking.ends]
    start = np.zeros((len(weights), 1))
    positives, everyone = np.hstack([start, positives]), np.hstack([start, everyone])
    negatives = everyone - positives
    all_positives, all_negatives, total = positives[:, -1], negatives[:, -1], everyone[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        area = ((positives[:, 1:] + positives[:, :-1]) / 2 * np.diff(negatives, axis=1)).sum(axis=1)
        precision = np.where(everyone[:, 1:] > 0, positives[:, 1:] / everyone[:, 1:], 0.0)
        metrics = {
            "auc": area / (all_positives * all_negatives),
            "average_precision": (precision * np.diff(positives, axis=1)).sum(axis=1) / all_positives,
        }
        for name, share in shares.items():
            reached = _interpolate(share * total, everyone, positives)
            metrics[name] = reached / share / all_positives
    return metrics


def calibration_metrics(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Brier score, log loss and expected calibration error, one value per row of `weights` (rounds, n).

    The error is the mean gap between predicted and observed rate over ten bins of equal size (Naeini 2015 uses
    bins of equal width; with base rates near 0 or 1 those leave all rows in one bin and hide the gap).
    """
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    log_loss = -(labels * np.log(clipped) + (1 - labels) * np.log(1 - clipped))
    total = weights.sum(axis=1)
    bins = calibration_bins(probabilities)
    gaps = np.zeros((len(labels), bins.max() + 1))
    gaps[np.arange(len(labels)), bins] = labels - probabilities
    return {
        "brier": weights @ (labels - probabilities) ** 2 / total,
        "log_loss": weights @ log_loss / total,
        "ece": np.abs(weights @ gaps).sum(axis=1) / total,
    }


def calibration_bins(probabilities: np.ndarray) -> np.ndarray:
    """The bin (n,) of each row: ten bins of equal size; equal probabilities stay in one bin."""
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
    return np.searchsorted(edges, probabilities, side="right")


def evaluate(
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    *,
    people: np.ndarray | None = None,
    probabilities: Sequence[str] = (),
    rounds: int = 300,
    seed: int = 0,
    shares: Mapping[str, float] = LIFT_SHARES,
    against: str | Sequence[str] = (),
) -> dict[str, dict[str, Estimate]]:
    """Evaluate several scores (n,) on the same rows, with intervals from the same resamples of people.

    `people` (n,) says which rows belong to one person and are drawn together; without it every row is one.
    The scores named in `probabilities` also get calibration metrics. With `against`, one score or several, every other
    score `s` gets an entry `s - against` that holds the paired differences. The bootstrap draws Poisson(1) weights,
    which is the multinomial bootstrap for large n (Chamandy et al. 2012).
    """
    labels = np.asarray(labels, dtype=np.float64)
    units = np.arange(len(labels)) if people is None else np.unique(people, return_inverse=True)[1]
    rankings = {name: rank(np.asarray(score, dtype=np.float64)) for name, score in scores.items()}
    rounds_of: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in scores}
    for weights in _resamples(units, rounds, seed):
        for name in scores:
            metrics = ranking_metrics(labels, rankings[name], weights, shares)
            if name in probabilities:
                metrics |= calibration_metrics(labels, np.asarray(scores[name], dtype=np.float64), weights)
            for metric, values in metrics.items():
                rounds_of[name].setdefault(metric, []).append(values)
    drawn = {
        name: {metric: np.concatenate(parts) for metric, parts in metrics.items()}
        for name, metrics in rounds_of.items()
    }
    result = {
        name: {metric: _estimate(values) for metric, values in metrics.items()}
        for name, metrics in drawn.items()
    }
    for other in (against,) if isinstance(against, str) else against:
        for name in scores:
            if name != other:
                shared = [metric for metric in drawn[name] if metric in drawn[other]]
                result[f"{name} - {other}"] = {
                    metric: _estimate(drawn[name][metric] - drawn[other][metric]) for metric in shared
                }
    return result


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half."""
    everyone = np.ones((1, len(labels)))
    return float(
        ranking_metrics(np.asarray(labels, float), rank(np.asarray(scores, float)), everyone, {})["auc"][0]
    )


def lift(labels: np.ndarray, scores: np.ndarray, share: float) -> float:
    """The rate of positives among the best `share` of rows over the rate among all, ties shared."""
    everyone = np.ones((1, len(labels)))
    ranking = rank(np.asarray(scores, float))
    return float(ranking_metrics(np.asarray(labels, float), ranking, everyone, {"lift": share})["lift"][0])


def _resamples(units: np.ndarray, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """Weights (rounds of a block, n): first one row of ones, the sample itself, then the resamples."""
    generator = np.random.default_rng(seed)
    people = int(units.max()) + 1 if len(units) else 0
    yield np.ones((1, len(units)))
    block = max(1, BLOCK_CELLS // max(1, len(units)))
    for begin in range(0, rounds, block):
        drawn = generator.poisson(1.0, size=(min(block, rounds - begin), people))
        yield drawn[:, units].astype(np.float64)


def _estimate(values: np.ndarray) -> Estimate:
    """The first value is of the sample itself, the others of its resamples."""
    resampled = values[1:][np.isfinite(values[1:])]
    if not len(resampled):
        return Estimate(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))


def _interpolate(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Row by row linear interpolation of the rising `x` (rounds, g) to `y` at `at` (rounds,)."""
    right = np.clip((x < at[:, None]).sum(axis=1), 1, x.shape[1] - 1)
    rows = np.arange(len(x))
    left_x, right_x = x[rows, right - 1], x[rows, right]
    left_y, right_y = y[rows, right - 1], y[rows, right]
    width = np.where(right_x > left_x, right_x - left_x, 1.0)
    return left_y + (right_y - left_y) * np.clip((at - left_x) / width, 0, 1)
