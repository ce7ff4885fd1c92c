"""Whom a look-alike leaves out: how often each group of an audited attribute is chosen, and who stands in for it.

The audited attribute is no feature. That alone does not make a model fair (Sapiezynski et al. 2019, arXiv 1912.07579),
so the choice is measured, and how well the features and the score foretell the attribute.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import sparse

from ml import pu
from ml.evaluation import auc

SHARE = 0.05
# The four-fifths rule of US employment law (29 CFR 1607.4 D), in both directions.
LEAST_RATIO = 0.8
PROXY_ROWS = 20_000
GROUPS = 20


def audit(
    groups: np.ndarray,
    places: np.ndarray,
    matrix: sparse.csr_array,
    families: np.ndarray,
    folds: np.ndarray,
    minimum: int,
    seed: int,
) -> pd.DataFrame:
    """One row per group of at least `minimum` candidates.

    `groups` (n,) are texts, or None where nothing is known; `places` (n,) of the candidates, high is alike; `matrix`
    (n, features) holds what the model may learn from. The frame has group_name, candidates, candidate_share,
    selected_share, selection_ratio, is_flagged, proxy_auc (how well the features foretell the group, out of fold) and
    score_auc (how well the place does, in either direction).
    """
    known = np.flatnonzero([group is not None for group in groups])
    if not len(known):
        return pd.DataFrame()
    of_known, place = groups[known].astype(str), places[known]
    selected = _selected(places)[known]
    rows = []
    names, counts = np.unique(of_known, return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")[:GROUPS]]:
        is_group = of_known == name
        if is_group.sum() < minimum or is_group.all():
            continue
        ratio = float(selected[is_group].mean() / selected.mean()) if selected.mean() else float("nan")
        area = auc(is_group, place)
        rows.append(
            {
                "group_name": name,
                "candidates": int(is_group.sum()),
                "candidate_share": float(is_group.mean()),
                "selected_share": float(selected[is_group].sum() / max(selected.sum(), 1e-12)),
                "selection_ratio": ratio,
                "is_flagged": not LEAST_RATIO <= ratio <= 1 / LEAST_RATIO,
                "proxy_auc": _proxy_auc(is_group, matrix[known], families, folds[known], seed),
                "score_auc": max(area, 1 - area),
            }
        )
    return pd.DataFrame(rows)


def group_values(values: np.ndarray) -> np.ndarray:
    """Numbers (n,) as quarters of their range of ranks, missing as None: groups of an audited number."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.full(len(values), None, dtype=object)
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf"))
    names = np.array(
        [
            f"up to {edges[0]:g}",
            *(f"{low:g} to {high:g}" for low, high in pairwise(edges)),
            f"above {edges[-1]:g}",
        ],
        dtype=object,
    )
    found = names[np.searchsorted(edges, values, side="left").clip(0, len(names) - 1)]
    return np.where(np.isnan(values), None, found)


def _selected(places: np.ndarray) -> np.ndarray:
    """1 for who is in the best share; those who tie at its end share the rest of it."""
    ordered = np.sort(places)[::-1]
    wanted = SHARE * len(places)
    least = ordered[min(int(np.ceil(wanted)) - 1, len(ordered) - 1)]
    above, tied = places > least, places == least
    return above + tied * (wanted - above.sum()) / max(tied.sum(), 1)


def _proxy_auc(
    is_group: np.ndarray, matrix: sparse.csr_array, families: np.ndarray, folds: np.ndarray, seed: int
) -> float:
    rows = pu.bounded(np.arange(len(is_group)), is_group, PROXY_ROWS // 2, seed)
    labels, learner = is_group[rows], pu.Learner(families, seed)
    scores = np.zeros(len(rows))
    for fold in np.unique(folds[rows]):
        inside, outside = np.flatnonzero(folds[rows] == fold), np.flatnonzero(folds[rows] != fold)
        if not labels[outside].any() or labels[outside].all():
            return float("nan")
        scorer = learner.fit("logistic on amounts", matrix[rows[outside]], labels[outside])
        found = scorer.score(matrix[rows[inside]])
        scores[inside] = pu.places_among(np.sort(found), found)
    return auc(labels, scores)
