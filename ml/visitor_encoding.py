"""What is observed of visitors as columns for a model: counts as they are, values of traits as 1, numbers in steps.

A number becomes columns "at least so much" at its quantiles, and one that says that it is known at all: a linear model
can then follow any rising or falling curve, the order is kept, and the matrix stays sparse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ml.visitors import Observations, is_number

STEPS = 10
MAX_FEATURES = 20_000
# Fewer visitors tell nothing of a feature; among few visitors at all, one in a hundred does.
MIN_VISITORS, FEWEST_VISITORS, MIN_SHARE = 20, 5, 0.01
OF_A_TRAIT = -1


@dataclass(frozen=True)
class Encoding:
    """How observations under `names` become a matrix with `columns`.

    `families` (columns,) numbers the family of counts that a column belongs to, OF_A_TRAIT where there is nothing to
    count; `first` (names,) is the first column of each name; `edges` holds the steps of each number by its place.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    families: np.ndarray
    first: np.ndarray
    edges: dict[int, np.ndarray]

    def encode(self, observations: Observations) -> sparse.csr_array:
        """The matrix (rows, columns) of observations under the same names."""
        matrix = observations.matrix
        shape = (matrix.shape[0], len(self.columns))
        if not self.edges:
            return sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=shape)
        repeats = np.ones(len(matrix.data), dtype=np.int64)
        is_of_number = np.zeros(len(self.names), dtype=bool)
        is_of_number[list(self.edges)] = True
        cells = np.flatnonzero(is_of_number[matrix.indices])
        of_name = matrix.indices[cells]
        for name, edges in self.edges.items():
            mine = cells[of_name == name]
            repeats[mine] = 1 + np.searchsorted(edges, matrix.data[mine], side="right")
        ends = np.concatenate([[0], np.cumsum(repeats)])
        steps = np.arange(ends[-1]) - np.repeat(ends[:-1], repeats)
        data = matrix.data.copy()
        data[cells] = 1.0
        return sparse.csr_array(
            (
                np.repeat(data, repeats),
                np.repeat(self.first[matrix.indices], repeats) + steps,
                ends[matrix.indptr],
            ),
            shape=shape,
        )


def choose_features(observations: Observations, refused: dict[str, str]) -> np.ndarray:
    """The places of the names to learn from: the most frequent, with enough visitors, of no refused family."""
    visitors = np.bincount(observations.matrix.indices, minlength=len(observations.names))
    at_least = np.clip(MIN_SHARE * observations.matrix.shape[0], FEWEST_VISITORS, MIN_VISITORS)
    is_chosen = (visitors >= at_least) & np.array(
        [family_of(name) not in refused for name in observations.names], dtype=bool
    )
    chosen = np.flatnonzero(is_chosen)
    order = np.argsort(-visitors[chosen], kind="stable")[:MAX_FEATURES]
    return np.sort(chosen[order])


def learn_encoding(observations: Observations) -> Encoding:
    """Fix the columns of observations; the steps of a number are its quantiles among those of whom it is known."""
    columns: list[str] = []
    families, first, edges = [], [], {}
    numbers: dict[str, int] = {}
    by_name = observations.matrix.tocsc()
    for place, name in enumerate(observations.names):
        first.append(len(columns))
        if is_number(name):
            values = by_name.data[by_name.indptr[place] : by_name.indptr[place + 1]]
            edges[place] = _steps(values)
            columns += [f"{name} known", *(f"{name} at least {edge:g}" for edge in edges[place])]
            families += [OF_A_TRAIT] * (1 + len(edges[place]))
        else:
            columns.append(name)
            family = family_of(name)
            is_count = not name.startswith("trait:")
            families.append(numbers.setdefault(family, len(numbers)) if is_count else OF_A_TRAIT)
    return Encoding(
        observations.names,
        tuple(columns),
        np.array(families, dtype=np.int64),
        np.array(first, dtype=np.int64),
        edges,
    )


def family_of(feature: str) -> str:
    """What a feature is a value of: `trait:age` of `trait:age=30-39`, `site` of `site:a.example`."""
    if feature.startswith("trait:"):
        return feature.split("=", 1)[0].removesuffix(" known").split(" at least ")[0]
    return feature.split(":", 1)[0]


def _steps(values: np.ndarray) -> np.ndarray:
    """The inner quantiles of some numbers, each once, without the smallest number, which says nothing."""
    edges = np.unique(np.quantile(values, np.arange(1, STEPS) / STEPS, method="inverted_cdf"))
    return edges[edges > values.min()]
