"""Logistic regression with a ridge penalty, fitted many times to nearly the same rows: folds, resamples, later days.

Newton's method spends nearly all of its time on the matrix of second derivatives. Fits of nearly the same rows have
nearly the same one, so a fit begins at the coefficients of its neighbour and keeps the neighbour's matrix for as long
as steps by it shrink fast. Where it ends does not hang on that: every fit goes on until a step would gain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

MAX_STEPS = 100
# Of log-likelihood that another step would gain: a hundredth of a standard error of a coefficient.
TOLERANCE = 5e-5
# A matrix is kept for as long as each step leaves at most so much of what the step before had left to gain.
KEPT = 0.25
SMALLEST_STEP = 1e-3
# A step that has so little left to gain is near enough for its square to be nothing: it need not be looked at.
SURE = 0.1
CHUNK = 16_384


@dataclass(frozen=True)
class Logistic:
    """Log-odds that rise by `coefficients` (features,) from an intercept."""

    coefficients: np.ndarray
    intercept: float

    def log_odds(self, matrix: np.ndarray) -> np.ndarray:
        """Log-odds (n,) of the rows of `matrix` (n, features)."""
        return (matrix @ self.coefficients.astype(matrix.dtype)).astype(np.float64) + self.intercept

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """Probabilities (n,) of the rows of `matrix` (n, features)."""
        return expit(self.log_odds(matrix))


@dataclass(frozen=True)
class LogisticFit:
    """A model, and the second derivatives (features + 1, features + 1) of a row's loss that it was found by."""

    model: Logistic
    curvature: np.ndarray


def fit_logistic(
    matrix: np.ndarray,
    labels: np.ndarray,
    strength: float,
    weights: np.ndarray | None = None,
    near: LogisticFit | Logistic | None = None,
) -> LogisticFit:
    """Fit to `matrix` (n, features) and `labels` (n,) of 0 and 1, each row counting `weights` (n,) times.

    What is least is the loss of all rows plus half the squared coefficients over `strength`, as in scikit-learn;
    `near` is a fit or a model of the same columns to begin at.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    total, columns = float(weights.sum()), matrix.shape[1]
    penalty = np.append(np.full(columns, 1 / strength), 0.0)
    factor, curvature = None, np.zeros((columns + 1, columns + 1))
    if near is None:
        rate = float(weights @ labels) / total
        place = np.append(np.zeros(columns), np.log(rate / (1 - rate)))
    else:
        model = near.model if isinstance(near, LogisticFit) else near
        place = np.append(model.coefficients, model.intercept)
    if isinstance(near, LogisticFit):
        curvature = near.curvature
        factor = cho_factor(curvature * total + np.diag(penalty))

    def log_odds(place: np.ndarray) -> np.ndarray:
        return Logistic(place[:-1], float(place[-1])).log_odds(matrix)

    def loss_of(place: np.ndarray, odds: np.ndarray) -> float:
        return float(weights @ (np.logaddexp(0, odds) - labels * odds) + 0.5 * penalty @ place**2)

    odds, loss = log_odds(place), None
    before, is_fresh = np.inf, False
    for _ in range(MAX_STEPS):
        guesses = expit(odds)
        residual = weights * (guesses - labels)
        gradient = np.append(matrix.T @ residual.astype(matrix.dtype), residual.sum()) + penalty * place
        if factor is None:
            curvature, is_fresh = _curvature(matrix, weights * guesses * (1 - guesses)) / total, True
            factor = cho_factor(curvature * total + np.diag(penalty))
        step = cho_solve(factor, -gradient)
        gain = float(-0.5 * gradient @ step)
        if gain < TOLERANCE:
            break
        if not is_fresh and gain > KEPT * before:
            factor = None
            continue
        size, tried, found = 1.0, log_odds(place + step), None
        if gain > SURE:
            loss = loss_of(place, odds) if loss is None else loss
            while (found := loss_of(place + size * step, tried)) > loss and size > SMALLEST_STEP:
                size /= 2
                tried = log_odds(place + size * step)
        place, odds, loss = place + size * step, tried, found
        before, is_fresh = gain, False
    return LogisticFit(Logistic(place[:-1], float(place[-1])), curvature)


def _curvature(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted sums of products of columns, the last of which is 1."""
    columns, root = matrix.shape[1], np.sqrt(weights).astype(matrix.dtype)
    found = np.zeros((columns + 1, columns + 1))
    for begin in range(0, len(weights), CHUNK):
        part = matrix[begin : begin + CHUNK] * root[begin : begin + CHUNK, None]
        found[:-1, :-1] += part.T @ part
        found[:-1, -1] += part.T @ root[begin : begin + CHUNK]
    found[-1, :-1], found[-1, -1] = found[:-1, -1], weights.sum()
    return found
