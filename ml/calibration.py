"""From scores to probabilities: a calibration learned on predictions of rows that the model did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

# Isotonic regression needs many rows of the rarer class; with fewer a sigmoid errs less (Niculescu-Mizil 2005).
ROWS_FOR_ISOTONIC = 1000
FLOOR = 1e-4


@dataclass(frozen=True)
class Calibration:
    """A rising map from scores to probabilities, as knots between which it is linear, or as a sigmoid."""

    kind: str
    knots: np.ndarray
    values: np.ndarray

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities (n,) of `scores` (n,), never quite 0 or 1."""
        if self.kind == "sigmoid":
            slope, intercept = self.values
            raised = 1 / (1 + np.exp(-(slope * logit(scores) + intercept)))
        else:
            raised = np.interp(scores, self.knots, self.values)
        return np.clip(raised, FLOOR, 1 - FLOOR)


def calibrate(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    """Learn the map from predicted probabilities (n,) to the rate of `labels` (n,), isotonic or sigmoid by size."""
    if min(labels.sum(), len(labels) - labels.sum()) >= ROWS_FOR_ISOTONIC:
        return isotonic(scores, labels)
    platt = LogisticRegression(C=1e3, max_iter=1000).fit(logit(scores)[:, None], labels)
    slope = max(float(platt.coef_[0, 0]), 0.0)  # a falling map would turn the ranking round
    intercept = float(platt.intercept_[0]) if slope else float(logit(np.array([labels.mean()]))[0])
    return Calibration("sigmoid", np.zeros(0), np.array([slope, intercept]))


def isotonic(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    """The rising step function nearest to the labels (Zadrozny and Elkan 2002)."""
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    return Calibration("isotonic", fitted.X_thresholds_, fitted.y_thresholds_)


def raise_odds(probabilities: np.ndarray, shift: float) -> np.ndarray:
    """Probabilities whose log-odds are `shift` higher."""
    if not shift:
        return probabilities
    return np.clip(1 / (1 + np.exp(-(logit(probabilities) + shift))), FLOOR, 1 - FLOOR)


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, kept finite."""
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))
