"""What a look-alike model must not learn from, and whom: whatever tells the seed instead of describing it.

A seed is known better than strangers are. A column that only customers have, an id, the time of capture, the trait
that defines the audience, a sign of past targeting: each makes a model that is nearly perfect when it is judged and
worthless among strangers. What is refused is named with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from scipy import sparse
from sqlglot import exp, parse_one

from ml import pu
from ml.evaluation import auc
from ml.features import refuse_features as refuse_columns
from ml.visitor_encoding import family_of
from ml.visitors import Observations, is_number

TELLING_AUC = 0.95
TELLING_RATIO = 50.0
TELLING_SHARE = 0.02
# How much better the seed may be covered by a trait than strangers are: beyond it, being known is the news.
COVERAGE_GAP = 0.3
ROWS_TO_JUDGE = 30
SAMPLE = 25_000
# Traits that say who was advertised to, or who is in an audience already: the result of past targeting.
TARGETED = re.compile(
    r"(^|_)(campaigns?|impressions?|exposed|exposures?|retarget\w*|remarket\w*|targeted|look_?alikes?|audiences?|segments?"
    r"|creatives?|placements?|treatment|clicked_ad|ad_clicks?)(_|$)",
    re.IGNORECASE,
)


class ScoredInSample(RuntimeError):
    """A model was about to score somebody it learned from."""


def refuse_traits(observations: Observations) -> dict[str, str]:
    """Say of every trait that is an id, a date or a sign of past targeting why it is refused, by its family.

    Looks at names and at values, the same as for customers' features (ml.features), whatever the seed.
    """
    refused = {}
    columns = _trait_columns(observations)
    for family, column in columns.items():
        name = family.removeprefix("trait:")
        if TARGETED.search(name):
            refused[family] = "tells who was targeted before"
        elif reasons := refuse_columns(pd.DataFrame({name: column})):
            refused[family] = reasons[name]
    return refused


def texts_of(condition: str) -> set[str]:
    """The texts in a condition, names of traits among them."""
    literals = parse_one(condition, dialect="duckdb").find_all(exp.Literal)
    return {literal.name for literal in literals if literal.is_string}


def refuse_definition(
    asked: Collection[str], rules: Iterable[tuple[str, str]], names: Iterable[str]
) -> dict[str, str]:
    """Refuse what the condition of an audience of visitors asks for itself.

    `asked` are the texts in it; `rules` are the traits defined over events, name and condition. A trait that is asked
    for is refused whole; of a rule, every feature that is one of the texts in the rule.
    """
    told = {text for name, condition in rules if name in asked for text in texts_of(condition)}
    refused = {}
    for name in names:
        family = family_of(name)
        if family.startswith("trait:"):
            if family.removeprefix("trait:") in asked:
                refused[name] = "the audience is defined by it"
        elif name.split(":", 1)[1] in told:
            refused[name] = "a trait that defines the audience is made of it"
    return refused


def refuse_by_name(families: Collection[str], only: Iterable[str], except_: Iterable[str]) -> dict[str, str]:
    """Refuse the families, by name without `trait:`, that models.yml leaves out."""
    only, except_ = tuple(only), tuple(except_)
    refused = {}
    for family in families:
        name = family.removeprefix("trait:")
        if (only and not any(fnmatchcase(name, pattern) for pattern in only)) or any(
            fnmatchcase(name, pattern) for pattern in except_
        ):
            refused[family] = "left out by models.yml"
    return refused


def refuse_features(
    matrix: sparse.csr_array, features: tuple[str, ...], is_seed: np.ndarray
) -> dict[str, str]:
    """Say for every feature that reveals the seed instead of describing it why it is refused.

    Refused is what no candidate has; what is there or missing so differently that presence alone has an AUC above
    0.95, alone or together with the other values of the same trait; what is fifty times as frequent among seeds; what
    tells the seed by its value alone; and a trait that the seed is known by far more often than strangers are.
    """
    seeds, others = pu.presence(matrix, is_seed), pu.presence(matrix, ~is_seed)
    seed_share, other_share = seeds / is_seed.sum(), others / (~is_seed).sum()
    presence_auc = 0.5 + np.abs(seed_share - other_share) / 2
    values_auc = _values_auc(matrix, is_seed)
    families = _telling_families(matrix, features, is_seed)
    refused = {}
    for column, name in enumerate(features):
        if others[column] == 0:
            refused[name] = "no candidate has it, so it reveals the seed"
        elif presence_auc[column] > TELLING_AUC:
            refused[name] = f"being there or missing reveals the seed (AUC {presence_auc[column]:.3f})"
        elif family_of(name) in families:
            refused[name] = families[family_of(name)]
        elif seed_share[column] >= TELLING_SHARE and seed_share[column] > TELLING_RATIO * other_share[column]:
            refused[name] = f"{seed_share[column] / other_share[column]:.0f} times as frequent among seeds"
        elif values_auc[column] > TELLING_AUC:
            refused[name] = f"its value alone reveals the seed (AUC {values_auc[column]:.3f})"
    return refused


def refuse_telling_traits(observations: Observations, is_seed: np.ndarray) -> dict[str, str]:
    """Refuse, by family, traits whose value alone tells the seed, in any order of the values."""
    rows = pu.bounded(np.arange(len(is_seed)), is_seed, SAMPLE, 0)
    labels, refused = is_seed[rows].astype(np.float64), {}
    for family, column in _trait_columns(observations.take(rows)).items():
        name = family.removeprefix("trait:")
        if reasons := refuse_columns(pd.DataFrame({name: column}), labels):
            refused[family] = reasons[name]
    return refused


def require_unseen(learned_from: np.ndarray, scored: np.ndarray) -> None:
    """Raise ScoredInSample when anybody is in both lists of people."""
    both = np.intersect1d(learned_from, scored)
    if len(both):
        raise ScoredInSample(f"{len(both):,} people were to be scored by a model that learned from them")


def _trait_columns(observations: Observations) -> dict[str, pd.Series]:
    """Each trait as a column of the rows: numbers, or the text of its first value; missing where it is not known."""
    columns = {}
    by_name = observations.matrix.tocsc()
    places: dict[str, list[int]] = {}
    for place, name in enumerate(observations.names):
        if name.startswith("trait:"):
            places.setdefault(family_of(name), []).append(place)
    rows = observations.matrix.shape[0]
    for family, mine in places.items():
        cells = np.concatenate([np.arange(by_name.indptr[at], by_name.indptr[at + 1]) for at in mine])
        if is_number(family) and len(mine) == 1 and observations.names[mine[0]] == family:
            values = np.full(rows, np.nan)
            values[by_name.indices[cells]] = by_name.data[cells]
            columns[family] = pd.Series(values)
        else:
            texts = [observations.names[at].partition("=")[2] for at in mine]
            values = np.full(rows, None, dtype=object)
            counts = np.diff(by_name.indptr)[mine]
            values[by_name.indices[cells]] = np.repeat(np.array(texts, dtype=object), counts)
            columns[family] = pd.Series(values)
    return columns


def _values_auc(matrix: sparse.csr_array, is_seed: np.ndarray) -> np.ndarray:
    """Per feature, how well its value alone orders those who have it; 0.5 where too few do or all are equal."""
    sample = pu.bounded(np.arange(len(is_seed)), is_seed, SAMPLE, 0)
    columns, labels = matrix[sample].tocsc(), is_seed[sample]
    areas = np.full(matrix.shape[1], 0.5)
    for column in range(matrix.shape[1]):
        cells = slice(columns.indptr[column], columns.indptr[column + 1])
        values, present = columns.data[cells], labels[columns.indices[cells]]
        if min(present.sum(), (~present).sum()) >= ROWS_TO_JUDGE and values.min() != values.max():
            area = auc(present, values)
            areas[column] = max(area, 1 - area)
    return areas


def _telling_families(
    matrix: sparse.csr_array, features: tuple[str, ...], is_seed: np.ndarray
) -> dict[str, str]:
    """Traits of which having any value at all reveals the seed, or shows how much better it is known."""
    of_traits = [
        (column, family_of(name)) for column, name in enumerate(features) if name.startswith("trait:")
    ]
    if not of_traits:
        return {}
    families = sorted({family for _, family in of_traits})
    number = {family: index for index, family in enumerate(families)}
    columns = np.array([column for column, _ in of_traits])
    groups = np.array([number[family] for _, family in of_traits])
    grouping = sparse.csr_array(
        (np.ones(len(columns)), (columns, groups)), shape=(matrix.shape[1], len(families))
    )
    present = sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
    has_any = (present @ grouping).tocsr()
    seed_share = pu.presence(has_any, is_seed) / is_seed.sum()
    other_share = pu.presence(has_any, ~is_seed) / (~is_seed).sum()
    values = np.bincount(groups, minlength=len(families))
    found = {}
    for family, at in number.items():
        area = 0.5 + abs(seed_share[at] - other_share[at]) / 2
        if area > TELLING_AUC:
            found[family] = f"having any {family} reveals the seed (AUC {area:.3f})"
        elif values[at] > 1 and abs(seed_share[at] - other_share[at]) > COVERAGE_GAP:
            found[family] = (
                f"known of {seed_share[at]:.0%} of the seed and {other_share[at]:.0%} of the candidates,"
                " so being known reveals the seed"
            )
    return found
