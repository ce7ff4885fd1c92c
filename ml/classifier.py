"""Probabilities of a yes or no: learned, calibrated on rows that were left out, with an interval from refits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from ml.calibration import Calibration, calibrate, logit, raise_odds
from ml.evaluation import auc
from ml.tables import stable_uniform

LINEAR = ("logistic, strong penalty", "logistic")
ALGORITHMS = (*LINEAR, "gradient boosting")
NAIVE = "naive"
FOLDS = 3
BAG_ROWS = 50_000
# Of log-odds: a level may follow the newest outcome so far, and not a new kind of customers.
MOST_SHIFT = 0.15


class Design(Protocol):
    """What turns rows of features into the matrix that a model learns from."""

    def transform(self, frame: pd.DataFrame) -> np.ndarray: ...


@dataclass(frozen=True)
class Classifier:
    """A model that gives probabilities. `trained_until` is the last day whose outcome it has seen; `bags` are refits
    on resampled people, each with its own calibration; `shift` is of the log-odds of all, see `at_level`."""

    algorithm: str
    design: Design
    estimator: Any
    calibration: Calibration
    bags: tuple[tuple[Any, Calibration], ...]
    bag_share: float
    trained_until: date
    shift: float = 0.0

    def probabilities(self, frame: pd.DataFrame) -> np.ndarray:
        """Calibrated probabilities (n,)."""
        calibrated = self.calibration(predict(self.estimator, self.design.transform(frame)))
        return raise_odds(calibrated, self.shift)

    def interval(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability, low and high (n,): the 95 % interval of the probability, from the spread of the refits.

        Refits on fewer rows than the model's own vary more than it does, by the root of the ratio.
        """
        matrix = self.design.transform(frame)
        value = raise_odds(self.calibration(predict(self.estimator, matrix)), self.shift)
        if len(self.bags) < 2:
            return value, np.zeros(len(value)), np.ones(len(value))
        drawn = np.stack([logit(calibration(predict(bag, matrix))) for bag, calibration in self.bags])
        spread = 1.96 * drawn.std(axis=0, ddof=1) * np.sqrt(self.bag_share)
        center = logit(value)
        low, high = 1 / (1 + np.exp(-(center - spread))), 1 / (1 + np.exp(-(center + spread)))
        # Refits that agree leave no spread, and rounding may put an end on the wrong side.
        return value, np.minimum(low, value), np.maximum(high, value)


def learn(
    frame: pd.DataFrame,
    labels: np.ndarray,
    design: Design,
    algorithm: str,
    *,
    trained_until: date,
    bags: int,
    seed: int,
    guesses: np.ndarray | None = None,
) -> Classifier:
    """Fit `algorithm` to rows of `frame` and their `labels` (n,) of 0 and 1, and calibrate it on its newest cutoff.

    The calibration is learned on predictions of models that did not see the row's person: `guesses` (n,), which are
    made here when they are not known from `choose_algorithm`. `frame` has customer_id and as_of_date.
    """
    matrix = design.transform(frame)
    latest = (frame["as_of_date"] == frame["as_of_date"].max()).to_numpy()
    if guesses is None:
        guesses = out_of_fold(algorithm, matrix, labels, folds_of(frame, seed), seed)
    estimator = fit(algorithm, matrix, labels, seed)
    return Classifier(
        algorithm=algorithm,
        design=design,
        estimator=estimator,
        calibration=calibrate(guesses[latest], labels[latest]),
        bags=_bags(frame, matrix, labels, latest, algorithm, bags, seed, estimator),
        bag_share=min(1.0, BAG_ROWS / max(len(frame), 1)),
        trained_until=trained_until,
    )


def at_level(model: Classifier, frame: pd.DataFrame, rate: float) -> Classifier:
    """The model with its mean probability for the rows of `frame` brought to `rate`, by at most MOST_SHIFT of log-odds.

    Counts of a whole history only grow, and a model takes that for a livelier clientele every month: the rate of the
    newest horizon whose outcome is known foretells the next one better.
    """
    plain = replace(model, shift=0.0)
    if frame.empty:
        return plain
    calibrated = np.sort(plain.probabilities(frame))  # a sum of floats hangs on its order

    def excess(shift: float) -> float:
        return float(raise_odds(calibrated, shift).mean()) - rate

    if excess(MOST_SHIFT) <= 0:
        return replace(model, shift=MOST_SHIFT)
    if excess(-MOST_SHIFT) >= 0:
        return replace(model, shift=-MOST_SHIFT)
    return replace(model, shift=float(brentq(excess, -MOST_SHIFT, MOST_SHIFT)))


def choose_algorithm(
    frame: pd.DataFrame, labels: np.ndarray, design: Design, algorithms: tuple[str, ...], seed: int
) -> tuple[str, np.ndarray]:
    """The algorithm of the highest AUC in cross-validation by person, and its guesses (n,) there; the first of them
    when they are equal."""
    matrix, folds = design.transform(frame), folds_of(frame, seed)
    guesses = {name: out_of_fold(name, matrix, labels, folds, seed) for name in algorithms}
    reached = {name: round(auc(labels, guessed), 4) for name, guessed in guesses.items()}
    best = max(algorithms, key=lambda name: (reached[name], -algorithms.index(name)))
    return best, guesses[best]


def fit(algorithm: str, matrix: np.ndarray, labels: np.ndarray, seed: int, near: Any = None) -> Any:
    """Fit one algorithm to `matrix` (n, features) and `labels` (n,); every naive guess is a plain logistic.

    A fit of the same algorithm to nearly the same rows, `near`, is where a logistic begins, which saves steps.
    """
    if algorithm == "gradient boosting":
        estimator = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.06,
            max_leaf_nodes=12,
            min_samples_leaf=30,
            l2_regularization=5.0,
            early_stopping=False,
            random_state=seed,
        )
    else:
        strength = {"logistic, strong penalty": 0.003, "logistic": 0.1}.get(algorithm, 10.0)
        estimator = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=200)
        if near is not None:
            estimator.set_params(warm_start=True)
            estimator.coef_, estimator.intercept_ = near.coef_.copy(), near.intercept_.copy()
    return estimator.fit(matrix, labels)


def predict(fitted: Any, matrix: np.ndarray) -> np.ndarray:
    """Uncalibrated probabilities (n,)."""
    return fitted.predict_proba(matrix)[:, 1]


def out_of_fold(
    algorithm: str, matrix: np.ndarray, labels: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """Probabilities (n,) of each row by a model that never saw the row's customer."""
    predicted, fitted = np.full(len(labels), labels.mean()), None
    for fold in range(FOLDS):
        inside, outside = folds == fold, folds != fold
        if inside.any() and len(np.unique(labels[outside])) == 2:
            fitted = fit(algorithm, matrix[outside], labels[outside], seed, fitted)
            predicted[inside] = predict(fitted, matrix[inside])
    return predicted


def folds_of(frame: pd.DataFrame, seed: int) -> np.ndarray:
    """The fold (n,) of each row; all rows of a person are in one."""
    return (stable_uniform(frame["customer_id"], "fold", seed) * FOLDS).astype(int)


def _bags(
    frame: pd.DataFrame,
    matrix: np.ndarray,
    labels: np.ndarray,
    latest: np.ndarray,
    algorithm: str,
    number: int,
    seed: int,
    near: Any,
) -> tuple[tuple[Any, Calibration], ...]:
    people = np.unique(frame["customer_id"].to_numpy(dtype=object), return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    bags = []
    for _ in range(number):
        times = generator.poisson(1.0, people.max() + 1)[people]
        left_out = (times == 0) & latest
        # Rows are repeated and not weighted: with weights, boosting bins its features a hundred times slower.
        drawn = np.repeat(np.arange(len(labels)), times)
        if len(drawn) > BAG_ROWS:
            drawn = np.sort(generator.choice(drawn, BAG_ROWS, replace=False))
        if len(np.unique(labels[drawn])) < 2 or len(np.unique(labels[left_out])) < 2:
            continue
        bag = fit(algorithm, matrix[drawn], labels[drawn], seed, near)
        bags.append((bag, calibrate(predict(bag, matrix[left_out]), labels[left_out])))
    return tuple(bags)
