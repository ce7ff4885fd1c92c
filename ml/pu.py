"""Learning from positives and unlabelled: scorers that order strangers by their likeness to a seed.

The unlabelled are never called negatives: some of them are what is looked for. Every score that is used or
measured is of a row that the scorer was not fitted on (scored in sample, half of the gain over plain activity is
lost). No algorithm is best everywhere: which one finds most hidden seeds decides.
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

# A logistic regression is held back by a penalty that a larger seed relaxes: its strength is the number of seeds over
# the figure given here. Small seeds need the cautious one.
SEEDS_PER_STRENGTH = {
    "logistic on amounts": ("amounts", 150),
    "cautious logistic on amounts": ("amounts", 500),
    "logistic on shares": ("shares", 400),
}
BLENDS = {
    "blend of logistics": ("cautious logistic on amounts", "logistic on shares"),
    "blend of logistics and boosting": ("logistic on amounts", "logistic on shares", "gradient boosting"),
}
SINGLE = (*SEEDS_PER_STRENGTH, "gradient boosting")
ALGORITHMS = (*SINGLE, *BLENDS)
BLEND_ADVANTAGE = 1.05
DENSE_FEATURES = 150
FOLDS = 3
NO_FAMILY = -1
REFERENCE_ROWS = 20_000
# A share of few events is uncertain: so many are added to the whole.
EVENTS_ADDED = 5.0
# Shares of the ranking at which hidden seeds are looked for when algorithms are compared.
RECALL_SHARES = (0.05, 0.10)


class Scorer(Protocol):
    """Something fitted: orders rows of a sparse matrix (n, features), higher is more alike."""

    def score(self, matrix: sparse.csr_array) -> np.ndarray: ...

    def among(self, columns: np.ndarray, width: int) -> Scorer:
        """The same for a matrix of `width` columns, of which `columns` (rising) are those that it was fitted on."""
        ...


@dataclass(frozen=True)
class LinearScorer:
    """Weights of a logistic regression on one view of the matrix; `families` says which counts make a whole."""

    weights: np.ndarray
    view: str
    families: np.ndarray

    def score(self, matrix: sparse.csr_array) -> np.ndarray:
        return viewed(matrix, self.view, self.families) @ self.weights

    def among(self, columns: np.ndarray, width: int) -> LinearScorer:
        families = _spread(self.families, columns, width, NO_FAMILY)
        return LinearScorer(_spread(self.weights, columns, width, 0.0), self.view, families)


@dataclass(frozen=True)
class BoostedScorer:
    """Boosted trees on the columns that differ most between seed and unlabelled."""

    trees: Any
    columns: np.ndarray

    def score(self, matrix: sparse.csr_array) -> np.ndarray:
        return self.trees.decision_function(_dense(matrix, self.columns))

    def among(self, columns: np.ndarray, width: int) -> BoostedScorer:
        return BoostedScorer(self.trees, columns[self.columns])


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

    def among(self, columns: np.ndarray, width: int) -> BlendedScorer:
        return BlendedScorer(tuple(part.among(columns, width) for part in self.parts), self.references)


@dataclass(frozen=True)
class Learner:
    """What every fit needs to know of the columns (features,): `families` numbers the counts that make a whole."""

    families: np.ndarray
    seed: int

    def fit(self, algorithm: str, matrix: sparse.csr_array, is_seed: np.ndarray) -> Scorer:
        """Fit one of ALGORITHMS to `matrix` (n, features) and `is_seed` (n,)."""
        if algorithm in BLENDS:
            return self._blend(
                [self.fit(part, matrix, is_seed) for part in BLENDS[algorithm]], matrix, is_seed
            )
        if algorithm == "gradient boosting":
            return _fit_trees(matrix, is_seed, self.seed)
        view, seeds_per_strength = SEEDS_PER_STRENGTH[algorithm]
        weights = _linear_weights(
            viewed(matrix, view, self.families), is_seed, is_seed.sum() / seeds_per_strength
        )
        return LinearScorer(weights, view, self.families)

    def _blend(self, parts: list[Scorer], matrix: sparse.csr_array, is_seed: np.ndarray) -> BlendedScorer:
        unlabelled = matrix[np.flatnonzero(~is_seed)[:REFERENCE_ROWS]]
        return BlendedScorer(tuple(parts), tuple(np.sort(part.score(unlabelled)) for part in parts))

    def fit_trait_weights(self, matrix: sparse.csr_array, is_seed: np.ndarray) -> LinearScorer:
        """The baseline that the market offers: the sum of positive log-odds of the features that somebody has, between
        seed and all others, as Audience Manager's look-alikes weigh traits."""
        seeds, others = presence(matrix, is_seed), presence(matrix, ~is_seed)
        seed_rate = (seeds + 0.5) / (is_seed.sum() + 1)
        other_rate = (others + 0.5) / ((~is_seed).sum() + 1)
        odds = np.log(seed_rate / (1 - seed_rate)) - np.log(other_rate / (1 - other_rate))
        return LinearScorer(np.maximum(odds, 0), "presence", self.families)

    def compete(self, matrix: sparse.csr_array, is_seed: np.ndarray, folds: np.ndarray) -> Contest:
        """Fit every algorithm without each fold of `folds` (n,) and look how many seeds of the fold it finds.

        `folds` keeps the rows of one person together. A fold without a seed, or that holds them all, is left out.
        """
        lifts: dict[str, list[float]] = {algorithm: [] for algorithm in ALGORITHMS}
        fitted = {}
        for fold in np.unique(folds).tolist():
            inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            hidden = is_seed[inside]
            if not hidden.any() or hidden.all() or not is_seed[outside].any() or is_seed[outside].all():
                continue
            training, held_out = matrix[outside], matrix[inside]
            fitted[fold] = {
                algorithm: self.fit(algorithm, training, is_seed[outside]) for algorithm in SINGLE
            }
            scores = {algorithm: scorer.score(held_out) for algorithm, scorer in fitted[fold].items()}
            for blend, blended in BLENDS.items():
                scores[blend] = np.mean([rankdata(scores[part]) for part in blended], axis=0)
            for algorithm, score in scores.items():
                lifts[algorithm].append(
                    float(np.mean([lift(hidden, score, share) for share in RECALL_SHARES]))
                )
        means = {algorithm: float(np.mean(values)) for algorithm, values in lifts.items() if values}
        return Contest(means, fitted)

    def winners(
        self, contest: Contest, matrix: sparse.csr_array, is_seed: np.ndarray, folds: np.ndarray
    ) -> dict[int, Scorer]:
        """The chosen algorithm as it was fitted without each fold: the one that may score the people of the fold."""
        algorithm = contest.chosen
        if algorithm not in BLENDS:
            return {fold: scorers[algorithm] for fold, scorers in contest.fitted.items()}
        winners = {}
        for fold, scorers in contest.fitted.items():
            outside = np.flatnonzero(folds != fold)
            parts = [scorers[part] for part in BLENDS[algorithm]]
            winners[fold] = self._blend(parts, matrix[outside], is_seed[outside])
        return winners


@dataclass(frozen=True)
class Contest:
    """How well each algorithm finds hidden seeds: by how much they are denser in the best 5 and 10 % than anywhere, on
    the average of both and of all folds; hidden-seed recall over what chance recalls. `fitted` are the single
    algorithms by the fold that they have not seen."""

    lifts: dict[str, float]
    fitted: dict[int, dict[str, Scorer]]

    @property
    def chosen(self) -> str:
        """The algorithm that finds most hidden seeds; the simpler one when they are equal."""
        return choose(self.lifts)


def choose(lifts: dict[str, float]) -> str:
    """The algorithm that finds most hidden seeds, of equal ones the simpler one. A blend errs less than its parts, so
    that a single one must be clearly better."""

    def strength(algorithm: str) -> tuple[float, int]:
        odds = BLEND_ADVANTAGE if algorithm in BLENDS else 1.0
        return (round(odds * lifts[algorithm], 6), -ALGORITHMS.index(algorithm))

    return max(lifts, key=strength)


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


def viewed(matrix: sparse.csr_array, view: str, families: np.ndarray) -> sparse.csr_array:
    """The matrix as a linear model sees it: presence (1 where there is something), amounts (logarithms of counts, which
    a few heavy users cannot pull), or shares (each count over those of its family, as what somebody likes does not
    depend on how much they browse; what is no count is 1)."""
    if view == "presence":
        data = np.ones_like(matrix.data)
    elif view == "amounts":
        data = np.sign(matrix.data) * np.log1p(np.abs(matrix.data))
    else:
        data = _shares(matrix, families)
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _shares(matrix: sparse.csr_array, families: np.ndarray) -> np.ndarray:
    of_cell = families[matrix.indices]
    is_counted = of_cell >= 0
    data = np.sign(matrix.data)
    if is_counted.any():
        width = int(families.max()) + 1
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        whole = rows[is_counted] * width + of_cell[is_counted]
        amounts = matrix.data[is_counted]
        totals = np.bincount(whole, weights=np.abs(amounts), minlength=matrix.shape[0] * width)
        data[is_counted] = np.sign(amounts) * np.sqrt(np.abs(amounts) / (totals[whole] + EVENTS_ADDED))
    return data


def _spread(values: np.ndarray, columns: np.ndarray, width: int, rest: float) -> np.ndarray:
    spread = np.full(width, rest, dtype=values.dtype)
    spread[columns] = values
    return spread


def _linear_weights(matrix: sparse.csr_array, is_seed: np.ndarray, strength: float) -> np.ndarray:
    """Weights (features,) of a logistic regression on columns of one scale; `strength` is C times the rows."""
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    square = np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
    # Shifting columns is left to the intercept, which a ranking does not need: the matrix stays sparse.
    scaled = matrix.multiply(scale[None, :]).tocsr()
    model = LogisticRegression(C=strength / matrix.shape[0], class_weight="balanced", max_iter=500)
    return model.fit(scaled, is_seed).coef_[0] * scale


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
