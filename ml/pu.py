"""Learning from positives and unlabelled: scorers that order strangers by their likeness to a seed.

The unlabelled are never called negatives: some of them are what is looked for. Every score that is used or
measured is of a row that the scorer was not fitted on (scored in sample, half of the gain over plain activity is
lost).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from ml.evaluation import lift

ALGORITHMS = (
    "logistic on presence",
    "logistic on amounts",
    "bagged logistic",
    "gradient boosting",
    "blend of boosting and bagged logistic",
)
BLENDED = ("gradient boosting", "bagged logistic")
BAGS = 7
DENSE_FEATURES = 150
FOLDS = 3
# Shares of the ranking at which hidden seeds are looked for when algorithms are compared.
RECALL_SHARES = (0.05, 0.10)


class Scorer(Protocol):
    """Something fitted: orders rows of a sparse matrix (n, features), higher is more alike."""

    def score(self, matrix: sparse.csr_array) -> np.ndarray: ...


@dataclass(frozen=True)
class LinearScorer:
    """Weights of logistic regressions, averaged; `on_presence` looks only at whether a feature is there."""

    weights: np.ndarray
    on_presence: bool

    def score(self, matrix: sparse.csr_array) -> np.ndarray:
        return _encode(matrix, self.on_presence) @ self.weights


@dataclass(frozen=True)
class BoostedScorer:
    """Boosted trees on the columns that differ most between seed and unlabelled."""

    trees: Any
    columns: np.ndarray

    def score(self, matrix: sparse.csr_array) -> np.ndarray:
        return self.trees.decision_function(_dense(matrix, self.columns))


@dataclass(frozen=True)
class BlendedScorer:
    """The mean place of a row among reference rows, over several scorers whose scales differ."""

    parts: tuple[Scorer, ...]
    references: tuple[np.ndarray, ...]

    def score(self, matrix: sparse.csr_array) -> np.ndarray:
        places = [
            places_among(reference, part.score(matrix))
            for part, reference in zip(self.parts, self.references, strict=True)
        ]
        return np.mean(places, axis=0)


@dataclass(frozen=True)
class TraitWeights:
    """The sum of positive log-odds of the features present, as Audience Manager's look-alikes weigh traits."""

    weights: np.ndarray

    def score(self, matrix: sparse.csr_array) -> np.ndarray:
        return _encode(matrix, True) @ self.weights


def fit(algorithm: str, matrix: sparse.csr_array, is_seed: np.ndarray, seed: int) -> Scorer:
    """Fit one of ALGORITHMS to `matrix` (n, features) and `is_seed` (n,)."""
    if algorithm == "logistic on presence":
        return LinearScorer(_linear_weights(matrix, is_seed, on_presence=True), True)
    if algorithm == "logistic on amounts":
        return LinearScorer(_linear_weights(matrix, is_seed, on_presence=False), False)
    if algorithm == "bagged logistic":
        return _fit_bags(matrix, is_seed, seed)
    if algorithm == "gradient boosting":
        return _fit_trees(matrix, is_seed, seed)
    parts = tuple(fit(part, matrix, is_seed, seed) for part in BLENDED)
    unlabelled = matrix[np.flatnonzero(~is_seed)[:20_000]]
    return BlendedScorer(parts, tuple(np.sort(part.score(unlabelled)) for part in parts))


def fit_trait_weights(matrix: sparse.csr_array, is_seed: np.ndarray) -> TraitWeights:
    """The baseline that the market offers: log-odds of each feature between seed and all others."""
    seeds, others = presence(matrix, is_seed), presence(matrix, ~is_seed)
    seed_rate = (seeds + 0.5) / (is_seed.sum() + 1)
    other_rate = (others + 0.5) / ((~is_seed).sum() + 1)
    odds = np.log(seed_rate / (1 - seed_rate)) - np.log(other_rate / (1 - other_rate))
    return TraitWeights(np.maximum(odds, 0))


def hidden_seed_lifts(
    matrix: sparse.csr_array, is_seed: np.ndarray, folds: np.ndarray, seed: int
) -> dict[str, float]:
    """For each algorithm, how much denser held-out seeds are at the top than anywhere, by cross-validation.

    `folds` (n,) keeps the rows of one person together. The value is the mean lift of hidden seeds at 5 and 10 %
    of the ranking, over the folds: the reciprocal view of hidden-seed recall, comparable over seed sizes.
    """
    lifts: dict[str, list[float]] = {algorithm: [] for algorithm in ALGORITHMS}
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        hidden = is_seed[inside]
        if not hidden.any() or hidden.all() or not is_seed[outside].any():
            continue
        training, held_out = matrix[outside], matrix[inside]
        scores = {
            algorithm: fit(algorithm, training, is_seed[outside], seed).score(held_out)
            for algorithm in ALGORITHMS[:-1]
        }
        scores[ALGORITHMS[-1]] = np.mean([rankdata(scores[part]) for part in BLENDED], axis=0)
        for algorithm, score in scores.items():
            lifts[algorithm].append(float(np.mean([lift(hidden, score, share) for share in RECALL_SHARES])))
    return {algorithm: float(np.mean(values)) for algorithm, values in lifts.items() if values}


def choose(lifts: dict[str, float]) -> str:
    """The algorithm that finds most hidden seeds; the simpler one when they are equal."""
    return max(lifts, key=lambda algorithm: (round(lifts[algorithm], 6), -ALGORITHMS.index(algorithm)))


def out_of_fold_places(
    algorithm: str,
    matrix: sparse.csr_array,
    is_seed: np.ndarray,
    folds: np.ndarray,
    seed: int,
    sample: int,
    block: int = 100_000,
) -> np.ndarray:
    """The place in (0, 1] of each unlabelled row among those of its fold, by a scorer that saw none of the fold.

    Seeds get NaN. Each scorer is fitted on at most `sample` unlabelled rows; scoring goes in blocks.
    """
    places = np.full(matrix.shape[0], np.nan)
    for fold in np.unique(folds):
        inside = np.flatnonzero((folds == fold) & ~is_seed)
        training = bounded(np.flatnonzero(folds != fold), is_seed, sample, seed)
        scorer = fit(algorithm, matrix[training], is_seed[training], seed)
        scores = [
            scorer.score(matrix[inside[begin : begin + block]]) for begin in range(0, len(inside), block)
        ]
        if scores:
            places[inside] = rankdata(np.concatenate(scores)) / len(inside)
    return places


def bounded(rows: np.ndarray, is_seed: np.ndarray, sample: int, seed: int) -> np.ndarray:
    """Of `rows`, at most `sample` seeds and at most `sample` others, in their order."""
    generator = np.random.default_rng(seed)
    kept = []
    for part in (rows[is_seed[rows]], rows[~is_seed[rows]]):
        kept.append(part if len(part) <= sample else generator.choice(part, sample, replace=False))
    return np.sort(np.concatenate(kept))


def places_among(reference: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Where each score stands among the sorted `reference` scores, 0 below all of them and 1 above, ties half."""
    below = np.searchsorted(reference, scores, side="left")
    upto = np.searchsorted(reference, scores, side="right")
    return (below + upto) / 2 / max(len(reference), 1)


def presence(matrix: sparse.csr_array, rows: np.ndarray) -> np.ndarray:
    """In how many of the rows (a mask of n) each feature is there."""
    chosen = matrix[np.flatnonzero(rows)]
    return np.bincount(chosen.indices, minlength=matrix.shape[1]).astype(np.float64)


def _encode(matrix: sparse.csr_array, on_presence: bool) -> sparse.csr_array:
    amounts = matrix.data
    data = np.ones_like(amounts) if on_presence else np.sign(amounts) * np.log1p(np.abs(amounts))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _linear_weights(
    matrix: sparse.csr_array, is_seed: np.ndarray, *, on_presence: bool, strength: float = 0.001
) -> np.ndarray:
    encoded = _encode(matrix, on_presence)
    mean = np.asarray(encoded.mean(axis=0)).ravel()
    square = np.asarray(encoded.multiply(encoded).mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
    # Shifting columns is left to the intercept, which a ranking does not need: the matrix stays sparse.
    scaled = encoded.multiply(scale[None, :]).tocsr()
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    return model.fit(scaled, is_seed).coef_[0] * scale


def _fit_bags(matrix: sparse.csr_array, is_seed: np.ndarray, seed: int) -> LinearScorer:
    """Bagging for positives and unlabelled (Mordelet and Vert 2014): seeds against as many drawn unlabelled."""
    generator = np.random.default_rng(seed)
    seeds, unlabelled = np.flatnonzero(is_seed), np.flatnonzero(~is_seed)
    weights = np.zeros(matrix.shape[1])
    for _ in range(BAGS):
        drawn = np.concatenate(
            [
                generator.choice(seeds, len(seeds), replace=True),
                generator.choice(unlabelled, min(len(unlabelled), max(len(seeds), 200)), replace=True),
            ]
        )
        weights += _linear_weights(matrix[drawn], is_seed[drawn], on_presence=True) / BAGS
    return LinearScorer(weights, True)


def _fit_trees(matrix: sparse.csr_array, is_seed: np.ndarray, seed: int) -> BoostedScorer:
    columns = telling_columns(matrix, is_seed, DENSE_FEATURES)
    trees = HistGradientBoostingClassifier(
        max_iter=36,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=5.0,
        max_features=0.3,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    return BoostedScorer(trees.fit(_dense(matrix, columns), is_seed), columns)


def telling_columns(matrix: sparse.csr_array, is_seed: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` columns whose presence differs most between seed and others, by the z of two shares."""
    seeds, others = presence(matrix, is_seed), presence(matrix, ~is_seed)
    n_seeds, n_others = is_seed.sum(), (~is_seed).sum()
    pooled = (seeds + others) / (n_seeds + n_others)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n_seeds + 1 / n_others))
    strength = np.abs(seeds / n_seeds - others / n_others) / error
    return np.sort(np.argsort(-strength, kind="stable")[:limit])


def _dense(matrix: sparse.csr_array, columns: np.ndarray) -> np.ndarray:
    return matrix[:, columns].toarray().astype(np.float32)
