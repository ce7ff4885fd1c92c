"""Holds the look-alikes of the demo against the tastes that its simulator gave to strangers."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from ml import pu
from ml.evaluation import lift
from ml.visitors import drawn, hash_ids

# The taste group that each of the demo's audiences is about.
TASTES = {"baby_families": "family", "pet_families": "pets", "ready_meal_fans": "convenience"}
SHARE = 0.05


@dataclass(frozen=True)
class TasteTruth:
    """`audiences`: one row per audience with the lift at 5 % of its look-alikes, of the oracle that learned from the
    truth, of whoever knows every taste, and of chance (1)."""

    audiences: pd.DataFrame

    @property
    def share_of_oracle(self) -> float:
        """The mean lift of the look-alikes over that of the oracle."""
        return float(self.audiences["lift"].sum() / self.audiences["oracle_lift"].sum())


def compare_with_truth(
    members: pd.DataFrame,
    features: pd.DataFrame,
    known: pd.DataFrame,
    truth: pd.DataFrame,
    key: bytes,
    seed: int = 7,
    truly: str = "is_primary",
) -> TasteTruth:
    """Compare the members of each look-alike with who truly is of the taste, or, with `truly`, would respond to it.

    `members` are rows of `lookalike_members` of at least the best 5 %, `features` the hand-over `visitor_features`,
    `known` the hand-over `known_visitors`, `truth` the demo's `stranger_tastes.parquet` and `key` the pseudonym key.
    The oracle is the best that can be had from what is observed: the same learner, told of other strangers who truly
    is of the taste, and scoring each stranger by a model that was not told of them. Nobody can do as well as who knows
    every taste: a dozen page views do not give one away.

    Raises ValueError when there are members and no stranger of the truth is a visitor: another key made their ids.
    """
    strangers = _strangers(features, known, truth, key)
    if strangers.empty and not members.empty:
        raise ValueError(
            "no stranger of the truth is a visitor: give the pseudonym key that made the visitor ids"
        )
    matrix, families = _matrix(features, strangers.index)
    folds = (
        drawn(hash_ids(pa.array(strangers["person_id"], type=pa.string())), "fold", seed) * pu.FOLDS
    ).astype(int)
    rows = []
    for audience_id, taste in TASTES.items():
        chosen = members[
            (members["audience_id"] == audience_id) & (members["percentile"] > 100 * (1 - SHARE))
        ]
        if chosen.empty:
            continue
        is_of_taste = strangers[f"{truly}:{taste}"].to_numpy(bool)
        found = strangers.index.isin(chosen["visitor_id"])
        oracle = _learn_from_truth(matrix, families, is_of_taste, folds, seed)
        rows.append(
            {
                "audience_id": audience_id,
                "taste": taste,
                "chosen": int(found.sum()),
                "base_rate": float(is_of_taste.mean()),
                "lift": float(is_of_taste[found].mean() / is_of_taste.mean()),
                "oracle_lift": lift(is_of_taste, oracle, SHARE),
                "omniscient_lift": lift(is_of_taste, strangers[f"affinity:{taste}"].to_numpy(float), SHARE),
            }
        )
    return TasteTruth(pd.DataFrame(rows))


def _strangers(features: pd.DataFrame, known: pd.DataFrame, truth: pd.DataFrame, key: bytes) -> pd.DataFrame:
    """One row per stranger's visitor id with features: person_id, and each measure of each taste."""
    cookies = truth["cookie"].drop_duplicates()
    ids = {
        cookie: hmac.new(key, f"anonymous_id:{cookie}".encode(), hashlib.sha256).hexdigest()
        for cookie in cookies
    }
    wide = truth.assign(visitor_id=truth["cookie"].map(ids)).pivot(
        index=["visitor_id", "person_id"], columns="taste", values=["affinity", "is_primary", "would_respond"]
    )
    wide.columns = [f"{measure}:{taste}" for measure, taste in wide.columns]
    wide = wide.reset_index("person_id").sort_index()
    return wide[wide.index.isin(features["visitor_id"]) & ~wide.index.isin(known["visitor_id"])]


def _matrix(features: pd.DataFrame, visitors: pd.Index) -> tuple[sparse.csr_array, np.ndarray]:
    mine = features[features["visitor_id"].isin(visitors)]
    names = pd.Index(sorted(mine["feature"].unique()))
    matrix = sparse.csr_array(
        (
            mine["value"].to_numpy(float),
            (visitors.get_indexer(mine["visitor_id"]), names.get_indexer(mine["feature"])),
        ),
        shape=(len(visitors), len(names)),
    )
    family = names.str.split(":").str[0]
    return matrix, np.where(family == "trait", -1, pd.factorize(family)[0])


def _learn_from_truth(
    matrix: sparse.csr_array, families: np.ndarray, is_of_taste: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """Places (n,) by the best of the algorithms, each scoring people that it was not told of."""
    learner = pu.Learner(families, seed)
    contest = learner.compete(matrix, is_of_taste, folds)
    winners = learner.winners(contest, matrix, is_of_taste, folds)
    places = np.zeros(len(folds))
    for fold, scorer in winners.items():
        inside = np.flatnonzero(folds == fold)
        scores = scorer.score(matrix[inside])
        places[inside] = pu.places_among(np.sort(scores), scores)
    return places
