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
# What so little likelihood was gained since moves errors by less than a hundredth of themselves.
SAME_CURVATURE = 0.05
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
    (days,) on which of them something was bought. Strata of one `period` (strata,) have most of their columns in
    common, which saves time and changes nothing.
    """

    begin: np.ndarray
    cluster: np.ndarray
    is_purchase: np.ndarray
    period: np.ndarray

    @property
    def stratum(self) -> np.ndarray:
        """The stratum of each day (days,)."""
        return np.repeat(np.arange(len(self.begin) - 1), np.diff(self.begin))


@dataclass(frozen=True)
class HazardFit:
    """Logarithms of hazard ratios (columns,) and the covariance (asked, asked) of those asked for, robust to what the
    purchases of one customer have in common. `is_known` is false for a column whose days never differ from the others'
    within a stratum, or on which nothing can be learned: its ratio comes from the prior alone."""

    log_ratio: np.ndarray
    covariance: np.ndarray
    is_known: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard errors (asked,)."""
        return np.sqrt(np.diag(self.covariance))


def fit_hazard(
    days: Days,
    exposures: csr_matrix,
    prior_deviation: np.ndarray,
    start: np.ndarray | None = None,
    asked: int = 0,
) -> HazardFit:
    """Fit hazard ratios of the columns of `exposures` (days, columns) jointly, by Newton's method.

    `prior_deviation` (columns,) is the standard deviation of a normal prior around no effect: wide for effects that
    are asked for, narrow for the many effects of calendar days, which small data cannot tell apart. Standard errors
    are the larger of the robust (sandwich, clusters with the usual small-sample factor) and the model's own. `start`
    (columns,) is where to begin: a fit of nearly the same columns saves steps. Covariances are of the columns from
    `asked` on.
    """
    columns = exposures.shape[1]
    precision = 1.0 / prior_deviation**2
    purchases = days.is_purchase.astype(np.float64)
    at_risk = np.where(days.is_purchase, PURCHASE_DAY_AT_RISK, 1.0)
    starts, lengths = days.begin[:-1], np.diff(days.begin)
    per_stratum = np.add.reduceat(purchases, starts) if len(starts) else np.zeros(0)
    means = _Means.of(days, exposures)
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
        spread = means.squared(share, root)
        return (transposed @ _scaled(exposures, expected)).toarray() - spread

    log_ratio = np.zeros(columns) if start is None else start
    share, expected, likelihood = expect(log_ratio)
    gain, since = np.inf, np.inf
    for _ in range(MAX_STEPS):
        gradient = transposed @ (purchases - expected) - precision * log_ratio
        if gain > WORTH_CURVATURE:
            observed, since = information(share, expected), 0.0
            factor = cho_factor(observed + np.diag(precision))
        step = cho_solve(factor, gradient)
        size = 1.0
        while True:
            tried = expect(log_ratio + size * step)
            if tried[2] >= likelihood or size < SMALLEST_STEP:
                break
            size /= 2
        gain = tried[2] - likelihood
        since += abs(gain)
        log_ratio = log_ratio + size * step
        share, expected, likelihood = tried
        if gain < TOLERANCE:
            break
    if since > SAME_CURVATURE:
        observed = information(share, expected)
    known = np.diag(observed) > precision
    if asked == columns:
        return HazardFit(log_ratio, np.zeros((0, 0)), known)
    inverse = cho_solve(cho_factor(observed + np.diag(precision)), np.eye(columns)[:, asked:])
    influence = _cluster_scores(days, exposures, purchases - expected) @ inverse
    clusters = max(influence.shape[0], 2)
    robust = influence.T @ influence * clusters / (clusters - 1)
    return HazardFit(log_ratio, _wider(robust, inverse[asked:]), known)


@dataclass(frozen=True)
class _Means:
    """Where the mean of each column in each stratum lies: a dense block for each period, of its strata and its columns.

    `place` (entries of the exposures,) is the cell that an entry is added to, `day` its day.
    """

    place: np.ndarray
    day: np.ndarray
    blocks: tuple[tuple[np.ndarray, np.ndarray], ...]
    columns: int

    @staticmethod
    def of(days: Days, exposures: csr_matrix) -> _Means:
        day = np.repeat(np.arange(exposures.shape[0]), np.diff(exposures.indptr))
        stratum = days.stratum[day]
        period, of_stratum = np.unique(days.period, return_inverse=True)
        size = exposures.shape[1]
        used = np.zeros((len(period), size), dtype=bool)
        used[of_stratum[stratum], exposures.indices] = True
        width = used.sum(axis=1)
        order = np.argsort(of_stratum, kind="stable")
        row_begin = np.empty(len(of_stratum), dtype=np.int64)
        row_begin[order] = np.concatenate([[0], np.cumsum(width[of_stratum[order]])])[:-1]
        column_at = np.cumsum(used, axis=1) - 1
        place = row_begin[stratum] + column_at[of_stratum[stratum], exposures.indices]
        parts = np.split(order, np.searchsorted(of_stratum[order], np.arange(1, len(period))))
        return _Means(
            place,
            day,
            tuple((rows, np.flatnonzero(one)) for rows, one in zip(parts, used, strict=True)),
            size,
        )

    def squared(self, share: np.ndarray, root: np.ndarray) -> np.ndarray:
        """The sum over strata of the products of their means (columns, columns), times the square of `root` (strata,);
        `share` (days,) is what each day counts in the mean of its stratum."""
        size = sum(len(rows) * len(columns) for rows, columns in self.blocks)
        means = np.bincount(self.place, weights=share[self.day], minlength=size)
        total, first = np.zeros((self.columns, self.columns)), 0
        for rows, columns in self.blocks:
            last = first + len(rows) * len(columns)
            block = means[first:last].reshape(len(rows), len(columns)) * root[rows, None]
            total[np.ix_(columns, columns)] += block.T @ block
            first = last
        return total


def _scaled(matrix: csr_matrix, weight: np.ndarray) -> csr_matrix:
    """The matrix with every row multiplied by its weight."""
    data = matrix.data * np.repeat(weight, np.diff(matrix.indptr))
    return csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)


def _cluster_scores(days: Days, exposures: csr_matrix, residual: np.ndarray) -> csr_matrix:
    """The gradient that each customer adds (customers, columns)."""
    _, position = np.unique(days.cluster, return_inverse=True)
    of_day = np.repeat(position, np.diff(days.begin))
    summing = csr_matrix(
        (residual, (of_day, np.arange(len(residual)))), (int(position.max()) + 1, len(residual))
    )
    return summing @ exposures


def _wider(robust: np.ndarray, model: np.ndarray) -> np.ndarray:
    """The robust covariance, stretched where the model's own variance is larger."""
    variance = np.diag(robust)
    stretch = np.sqrt(np.maximum(np.diag(model) / np.maximum(variance, 1e-300), 1.0))
    stretch = np.where(variance > 0, stretch, 1.0)
    stretched = robust * stretch[:, None] * stretch[None, :]
    np.fill_diagonal(stretched, np.maximum(variance, np.diag(model)))
    return stretched
