"""How the daily chance of buying changes with what happened: every customer month is its own control.

The days of a stratum (one customer in one calendar month) are compared with one another only, so whatever sets
customers or seasons apart falls out. The likelihood is that of a Poisson model in which every stratum has a rate of
its own, given how many purchases the stratum has (Farrington 1995, the self-controlled case series; Armstrong et al.
2014, the conditional Poisson model of case-crossover studies): only strata with a purchase say anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

MAX_STEPS = 30
SMALLEST_STEP = 1e-3
WORTH_CURVATURE = 1.0  # a step that gained less in likelihood leaves the curvature as it was
BLOCK = 4_000
LIMIT = 50.0
TOLERANCE = 1e-5
# A customer buys at most once on a counted day and is then no longer at risk on it: at a steady rate the purchase
# comes, to second order, after half of the day. Against a purchase, the days of the others count so, its own in full.
# Without this a hazard ratio of 3 looks like 2.8 among frequent buyers; with half of the own day too, like 3.2.
PURCHASE_DAY_AT_RISK = 0.5


@dataclass(frozen=True)
class Days:
    """The days at risk of all strata that have a purchase, a stratum's days side by side.

    `begin` (strata + 1,) says where each stratum's days begin; `cluster` (strata,) whose they are; `is_purchase`
    (days,) on which of them something was bought.
    """

    begin: np.ndarray
    cluster: np.ndarray
    is_purchase: np.ndarray

    @property
    def stratum(self) -> np.ndarray:
        """The stratum of each day (days,)."""
        return np.repeat(np.arange(len(self.begin) - 1), np.diff(self.begin))


@dataclass(frozen=True)
class HazardFit:
    """Logarithms of hazard ratios (columns,) and their covariance (columns, columns), robust to what the purchases
    of one customer have in common. `is_known` is false for a column whose days never differ from the others' within a
    stratum, or on which nothing can be learned: its ratio comes from the prior alone."""

    log_ratio: np.ndarray
    covariance: np.ndarray
    is_known: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard errors (columns,)."""
        return np.sqrt(np.diag(self.covariance))


def fit_hazard(
    days: Days, exposures: csr_matrix, prior_deviation: np.ndarray, start: np.ndarray | None = None
) -> HazardFit:
    """Fit hazard ratios of the columns of `exposures` (days, columns) jointly, by Newton's method.

    `prior_deviation` (columns,) is the standard deviation of a normal prior around no effect: wide for effects that
    are asked for, narrow for the many effects of calendar days, which small data cannot tell apart. Standard errors
    are the larger of the robust (sandwich, clusters with the usual small-sample factor) and the model's own. `start`
    (columns,) is where to begin: a fit of nearly the same columns saves steps.
    """
    columns = exposures.shape[1]
    precision = 1.0 / prior_deviation**2
    purchases = days.is_purchase.astype(np.float64)
    at_risk = np.where(days.is_purchase, PURCHASE_DAY_AT_RISK, 1.0)
    starts, lengths = days.begin[:-1], np.diff(days.begin)
    per_stratum = np.add.reduceat(purchases, starts) if len(starts) else np.zeros(0)
    summing = csr_matrix(
        (np.ones(len(purchases)), np.arange(len(purchases)), days.begin), (len(starts), len(purchases))
    )
    transposed = exposures.T.tocsr()
    root = np.sqrt(per_stratum)

    def expect(log_ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        predictor = exposures @ log_ratio
        ratio = np.exp(np.clip(predictor, -LIMIT, LIMIT))
        weight = ratio * at_risk
        total = np.repeat(np.add.reduceat(weight, starts), lengths) + (ratio - weight)
        per_weight = purchases / total
        expected = weight * np.repeat(np.add.reduceat(per_weight, starts), lengths)
        expected += (ratio - weight) * per_weight
        likelihood = float(purchases @ (predictor - np.log(total))) - 0.5 * float(precision @ log_ratio**2)
        return expected / np.repeat(per_stratum, lengths), expected, likelihood

    # The mean of a stratum stands for those of its purchases, which differ by half a day: the steps and the errors are
    # as good, and a stratum has one row instead of many.
    def information(share: np.ndarray, expected: np.ndarray) -> np.ndarray:
        mean = summing @ _scaled(exposures, share)
        spread = np.zeros((columns, columns))
        for first in range(0, len(starts), BLOCK):
            block = mean[first : first + BLOCK].toarray() * root[first : first + BLOCK, None]
            spread += block.T @ block
        return (transposed @ _scaled(exposures, expected)).toarray() - spread

    log_ratio = np.zeros(columns) if start is None else start
    share, expected, likelihood = expect(log_ratio)
    gain = np.inf
    for _ in range(MAX_STEPS):
        gradient = transposed @ (purchases - expected) - precision * log_ratio
        if gain > WORTH_CURVATURE:
            factor = cho_factor(information(share, expected) + np.diag(precision))
        step = cho_solve(factor, gradient)
        size = 1.0
        while True:
            tried = expect(log_ratio + size * step)
            if tried[2] >= likelihood or size < SMALLEST_STEP:
                break
            size /= 2
        gain = tried[2] - likelihood
        log_ratio = log_ratio + size * step
        share, expected, likelihood = tried
        if gain < TOLERANCE:
            break
    observed = information(share, expected)
    inverse = cho_solve(cho_factor(observed + np.diag(precision)), np.eye(columns))
    score = _cluster_scores(days, exposures, purchases - expected)
    clusters = max(score.shape[0], 2)
    robust = inverse @ (score.T @ score) @ inverse * clusters / (clusters - 1)
    known = np.diag(observed) > precision
    return HazardFit(log_ratio, _wider(robust, inverse), known)


def _scaled(matrix: csr_matrix, weight: np.ndarray) -> csr_matrix:
    """The matrix with every row multiplied by its weight."""
    data = matrix.data * np.repeat(weight, np.diff(matrix.indptr))
    return csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)


def _cluster_scores(days: Days, exposures: csr_matrix, residual: np.ndarray) -> np.ndarray:
    """The gradient that each customer adds (customers, columns)."""
    _, position = np.unique(days.cluster, return_inverse=True)
    of_day = np.repeat(position, np.diff(days.begin))
    summing = csr_matrix(
        (residual, (of_day, np.arange(len(residual)))), (int(position.max()) + 1, len(residual))
    )
    return (summing @ exposures).toarray()


def _wider(robust: np.ndarray, model: np.ndarray) -> np.ndarray:
    """The robust covariance, stretched where the model's own variance is larger."""
    variance = np.diag(robust)
    stretch = np.sqrt(np.maximum(np.diag(model) / np.maximum(variance, 1e-300), 1.0))
    stretch = np.where(variance > 0, stretch, 1.0)
    stretched = robust * stretch[:, None] * stretch[None, :]
    np.fill_diagonal(stretched, np.maximum(variance, np.diag(model)))
    return stretched
