"""Probabilities of a yes or no: learned, calibrated on rows that were left out, with an interval from refits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from sklearn.ensemble import HistGradientBoostingClassifier

from ml.calibration import Calibration, calibrate, logit, raise_odds
from ml.evaluation import auc
from ml.logistic import Logistic, LogisticFit, fit_logistic
from ml.rows import Rows
from ml.tables import stable_uniform

BOOSTING = "gradient boosting"
LINEAR = ("logistic, strong penalty", "logistic")
ALGORITHMS = (*LINEAR, BOOSTING)
NAIVE = "naive"
# How far coefficients are let go, as C of scikit-learn; a naive guess has one only.
STRENGTHS = {"logistic, strong penalty": 0.003, "logistic": 0.1, NAIVE: 10.0}
FOLDS = 3
CHOICE_ROWS = 50_000
WORTH_BOOSTING = 0.002  # of AUC
BAG_ROWS = 50_000
# Of log-odds: a level may follow the newest outcome so far, and not a new kind of customers.
MOST_SHIFT = 0.15

Fit = LogisticFit | HistGradientBoostingClassifier


@dataclass(frozen=True)
class Trial:
    """A fit to all rows, if trying made one, and the guesses (n,) of its like that saw nothing of a row's person."""

    fitted: Fit | None
    guesses: np.ndarray


class Design(Protocol):
    """What turns rows of features into the matrix that a model learns from."""

    def transform(self, rows: pd.DataFrame | Rows) -> np.ndarray: ...


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

    def probabilities(self, frame: pd.DataFrame | Rows) -> np.ndarray:
        """Calibrated probabilities (n,)."""
        calibrated = self.calibration(predict(self.estimator, self.design.transform(frame)))
        return raise_odds(calibrated, self.shift)

    def interval(self, frame: pd.DataFrame | Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    frame: pd.DataFrame | Rows,
    labels: np.ndarray,
    design: Design,
    algorithm: str,
    *,
    trained_until: date,
    bags: int,
    seed: int,
    near: Classifier | Trial | None = None,
) -> Classifier:
    """Fit `algorithm` to rows of `frame` and their `labels` (n,) of 0 and 1, and calibrate it on its newest cutoff.

    The calibration is learned on predictions of models that did not see the row's person. `frame` has customer_id and
    as_of_date; `near` is a model of the same columns to begin at, or what trying the algorithm on these very rows has
    made of them.
    """
    rows = Rows.of(frame)
    matrix = design.transform(rows)
    latest = rows.once("as_of_date", "latest", lambda cutoff: (cutoff == cutoff.max()).to_numpy())
    if isinstance(near, Trial):
        fitted, guesses = near.fitted or fit(algorithm, matrix, labels, seed), near.guesses
    else:
        fitted = fit(algorithm, matrix, labels, seed, near.estimator if near else None)
        guesses = out_of_fold(algorithm, matrix, labels, folds_of(rows, seed), seed, fitted)
    is_linear = isinstance(fitted, LogisticFit)
    return Classifier(
        algorithm=algorithm,
        design=design,
        estimator=fitted.model if is_linear else fitted,
        calibration=calibrate(guesses[latest], labels[latest]),
        bags=_bags(rows, matrix, labels, latest, algorithm, bags, seed, fitted),
        bag_share=1.0 if is_linear else min(1.0, BAG_ROWS / max(len(rows), 1)),
        trained_until=trained_until,
    )


def at_level(model: Classifier, frame: pd.DataFrame | Rows, rate: float) -> Classifier:
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
    frame: pd.DataFrame | Rows, labels: np.ndarray, design: Design, algorithms: tuple[str, ...], seed: int
) -> tuple[str, Trial | None]:
    """The algorithm of the highest AUC in cross-validation by person, the first of them when they are equal.

    Of many people all of them are tried on the same some, and boosting, which takes many times as long, on one fold
    first: on the others when it is better there than the best before it by WORTH_BOOSTING. Also returns what trying
    the algorithm has made of all rows, if it saw them all.
    """
    rows = Rows.of(frame)
    matrix, folds = design.transform(rows), folds_of(rows, seed)
    is_whole = len(labels) <= CHOICE_ROWS
    if not is_whole:
        drawn = rows.once(
            "customer_id", ("choice", seed), lambda people: stable_uniform(people, "choice", seed)
        )
        tried = drawn < CHOICE_ROWS / len(labels)
        matrix, labels, folds = matrix[tried], labels[tried], folds[tried]
    trials: dict[str, Trial] = {}
    best, near = "", None
    for name in algorithms:
        if name == BOOSTING and best and not is_whole:
            first = folds == 0
            guessed = out_of_fold(name, matrix, labels, np.where(first, 0, FOLDS), seed)[first]
            lead = auc(labels[first], guessed) - auc(labels[first], trials[best].guesses[first])
            if lead < WORTH_BOOSTING:
                continue
        near = None if name == BOOSTING else fit(name, matrix, labels, seed, near)
        trials[name] = Trial(near, out_of_fold(name, matrix, labels, folds, seed, near))
        best = max(trials, key=lambda tried: round(auc(labels, trials[tried].guesses), 4))
    return best, trials[best] if is_whole else None


def fit(
    algorithm: str,
    matrix: np.ndarray,
    labels: np.ndarray,
    seed: int,
    near: Fit | Logistic | None = None,
    times: np.ndarray | None = None,
) -> Fit:
    """Fit one algorithm to `matrix` (n, features) and `labels` (n,); every naive guess is a plain logistic.

    A fit to nearly the same rows, `near`, is where a logistic begins, which saves steps. `times` (n,) says how often
    each row counts.
    """
    if algorithm != BOOSTING:
        start = near if isinstance(near, LogisticFit | Logistic) else None
        return fit_logistic(matrix, labels, STRENGTHS[algorithm], times, start)
    if times is not None:
        # Rows are repeated and not weighted: with weights, boosting bins its features a hundred times slower.
        drawn = np.repeat(np.arange(len(labels)), times)
        if len(drawn) > BAG_ROWS:
            drawn = np.sort(np.random.default_rng(seed).choice(drawn, BAG_ROWS, replace=False))
        matrix, labels = matrix[drawn], labels[drawn]
    return HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.06,
        max_leaf_nodes=12,
        min_samples_leaf=30,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    ).fit(matrix, labels)


def predict(fitted: Fit | Logistic, matrix: np.ndarray) -> np.ndarray:
    """Uncalibrated probabilities (n,)."""
    if isinstance(fitted, HistGradientBoostingClassifier):
        return fitted.predict_proba(matrix)[:, 1]
    return (fitted.model if isinstance(fitted, LogisticFit) else fitted).probabilities(matrix)


def out_of_fold(
    algorithm: str,
    matrix: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    seed: int,
    near: Fit | None = None,
) -> np.ndarray:
    """Probabilities (n,) of each row by a model that never saw the row's customer."""
    predicted = np.full(len(labels), labels.mean())
    for fold in range(FOLDS):
        inside, outside = folds == fold, folds != fold
        if not inside.any() or len(np.unique(labels[outside])) < 2:
            continue
        if algorithm == BOOSTING:
            fitted = fit(algorithm, matrix[outside], labels[outside], seed)
            predicted[inside] = predict(fitted, matrix[inside])
        else:
            fitted = fit(algorithm, matrix, labels, seed, near, outside.astype(np.float64))
            predicted[inside] = predict(fitted, matrix)[inside]
    return predicted


def folds_of(frame: pd.DataFrame | Rows, seed: int) -> np.ndarray:
    """The fold (n,) of each row; all rows of a person are in one."""
    return Rows.of(frame).once(
        "customer_id",
        ("fold", seed),
        lambda people: (stable_uniform(people, "fold", seed) * FOLDS).astype(int),
    )


def _bags(
    rows: Rows,
    matrix: np.ndarray,
    labels: np.ndarray,
    latest: np.ndarray,
    algorithm: str,
    number: int,
    seed: int,
    near: Fit,
) -> tuple[tuple[Any, Calibration], ...]:
    bags = []
    drawn = rows.once("customer_id", ("bags", number, seed), lambda people: _drawn(people, number, seed))
    for bag, times in enumerate(drawn):
        left_out = (times == 0) & latest
        if len(np.unique(labels[times > 0])) < 2 or len(np.unique(labels[left_out])) < 2:
            continue
        fitted = fit(algorithm, matrix, labels, seed + bag, near, times)
        guesses = predict(fitted, matrix)[left_out]
        bags.append(
            (
                fitted.model if isinstance(fitted, LogisticFit) else fitted,
                calibrate(guesses, labels[left_out]),
            )
        )
    return tuple(bags)


def _drawn(people: pd.Series, number: int, seed: int) -> np.ndarray:
    """How often each row counts (bags, n), all rows of a person as often."""
    person, known = pd.factorize(people)
    return np.random.default_rng(seed).poisson(1.0, (number, len(known))).astype(np.uint8)[:, person]
