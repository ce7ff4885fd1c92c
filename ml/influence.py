"""How good scores are, with intervals from what each row adds to a metric, instead of from hundreds of resamples.

A metric is a smooth function of the rows' weights. Its derivatives by them, the influence of each row, say how far it
would move if other rows had been drawn: with weights of Poisson(1), which `ml.evaluation` draws, its variance is the
sum of their squares (the infinitesimal jackknife, Efron 1982; for the AUC this is DeLong's variance, 1988). One pass
over the sorted rows gives what a thousand passes approximate. The difference of two scores on the same rows has the
difference of their influences, so it is paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from ml.evaluation import LIFT_SHARES, Estimate, calibration_bins, rank

CRITICAL = float(norm.ppf(0.975))
# Of the rows around the end of a share: the rate among them says what one more row there would bring.
NEIGHBOURHOOD, FEWEST_NEIGHBOURS = 0.01, 15
# Draws of the gaps of the bins of a calibration error, whose absolute values have no derivative at 0.
DRAWS = 2_000


@dataclass(frozen=True)
class Measured:
    """A metric of some rows and the influence of each of them (n,)."""

    value: float
    influence: np.ndarray

    def estimate(self) -> Estimate:
        """The value with its 95 % interval."""
        spread = CRITICAL * float(np.sqrt(self.influence @ self.influence))
        return Estimate(self.value, self.value - spread, self.value + spread)


def estimate_metrics(
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    *,
    probabilities: Mapping[str, np.ndarray] | None = None,
    against: str | None = None,
    seed: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """The metrics of `ml.evaluation.evaluate` of several scores (n,) on the same rows, each row a person of its own.

    Those that `probabilities` has also get calibration metrics, of the probabilities there. With `against`, every other
    score `s` gets an entry `s - against` that holds the paired differences. Raises ValueError when a score is missing.
    """
    labels = np.asarray(labels, dtype=np.float64)
    probabilities = probabilities or {}
    found = {name: _ranking(labels, score) for name, score in scores.items()}
    for name, guessed in probabilities.items():
        found[name] |= _calibration(labels, guessed)
    result = {
        name: {metric: each.estimate() for metric, each in metrics.items()} for name, metrics in found.items()
    }
    for name, guessed in probabilities.items():
        result[name]["ece"] = _calibration_error(labels, guessed, seed)
    for name in scores:
        if against is not None and name != against:
            result[f"{name} - {against}"] = {
                metric: Measured(
                    each.value - found[against][metric].value,
                    each.influence - found[against][metric].influence,
                ).estimate()
                for metric, each in found[name].items()
                if metric in found[against]
            }
    return result


def _ranking(labels: np.ndarray, score: np.ndarray) -> dict[str, Measured]:
    """AUC, average precision and lifts; rows of equal scores share their places."""
    ranking = rank(np.asarray(score, dtype=np.float64))
    ordered, ends = labels[ranking.order], ranking.ends
    sizes = np.diff(ends, prepend=-1)
    positives, everybody = np.cumsum(ordered)[ends], ends + 1.0
    all_positives, total = positives[-1], everybody[-1]
    all_negatives = total - all_positives
    here = np.diff(positives, prepend=0.0)
    below = all_negatives - (everybody - positives) + (sizes - here) / 2  # negatives, of equal scores half
    above = positives - here / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = float(here @ below / (all_positives * all_negatives))
        precision = positives / everybody
        average = float(precision @ here / all_positives)
        added = _from_below(here / everybody), _from_below(here * positives / everybody**2)
        by_group = {
            "auc": (
                auc,
                (below / all_negatives - auc) / all_positives,
                (above / all_positives - auc) / all_negatives,
            ),
            "average_precision": (
                average,
                (precision - average + added[0] - added[1]) / all_positives,
                -added[1] / all_positives,
            ),
        }
        for name, share in LIFT_SHARES.items():
            by_group[name] = _lift(share, ordered, everybody, positives)
    group = np.repeat(np.arange(len(ends)), sizes)
    measured = {}
    for name, (value, of_positives, of_negatives) in by_group.items():
        influence = np.empty(len(labels))
        influence[ranking.order] = np.where(ordered > 0, of_positives[group], of_negatives[group])
        measured[name] = Measured(value, influence)
    return measured


def _from_below(values: np.ndarray) -> np.ndarray:
    """The sum of each group and those of lower scores."""
    return np.cumsum(values[::-1])[::-1]


def _lift(
    share: float, ordered: np.ndarray, everybody: np.ndarray, positives: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The lift of a share, and the influence of positives and of negatives of each group."""
    total, all_positives = everybody[-1], positives[-1]
    wanted = share * total
    at = int(np.searchsorted(everybody, wanted))
    begin, found = (everybody[at - 1], positives[at - 1]) if at else (0.0, 0.0)
    inside = (wanted - begin) / (everybody[at] - begin)
    reached = found + inside * (positives[at] - found)
    reach = max(int(NEIGHBOURHOOD * total / 2), FEWEST_NEIGHBOURS)
    left, right = min(int(begin), max(int(wanted) - reach, 0)), max(int(everybody[at]), int(wanted) + reach)
    rate = float(ordered[left:right].mean())
    is_inside = np.where(np.arange(len(everybody)) < at, 1.0, 0.0)
    is_inside[at] = inside
    value = reached / share / all_positives
    moved = rate * (share - is_inside)
    return (
        value,
        (is_inside + moved) / share / all_positives - value / all_positives,
        moved / share / all_positives,
    )


def _calibration(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Measured]:
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    losses = {
        "brier": (labels - probabilities) ** 2,
        "log_loss": -np.where(labels > 0, np.log(clipped), np.log(1 - clipped)),
    }
    return {
        name: Measured(float(loss.mean()), (loss - loss.mean()) / len(loss)) for name, loss in losses.items()
    }


def _calibration_error(labels: np.ndarray, probabilities: np.ndarray, seed: int) -> Estimate:
    """The mean gap between predicted and observed rate over ten bins of equal size.

    Under weights of Poisson(1) the bins' gaps are independent and nearly normal, and so they are drawn.
    """
    bins = calibration_bins(probabilities)
    rest = labels - probabilities
    gaps = np.bincount(bins, weights=rest) / len(labels)
    deviations = np.sqrt(np.bincount(bins, weights=rest**2)) / len(labels)
    drawn = np.random.default_rng(seed).standard_normal((DRAWS, len(gaps)))
    low, high = np.quantile(np.abs(gaps + deviations * drawn).sum(axis=1), [0.025, 0.975])
    return Estimate(float(np.abs(gaps).sum()), float(low), float(high))
