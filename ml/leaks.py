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

from include.config.conditions import compile_event_condition, engine
from include.normalise.taxonomies import content_taxonomy
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
# Columns of events that a rule may ask for and the families of features that are made of them; what a feature says of
# those that are TRIED.
FAMILY_OF_COLUMN = {
    "content_category": "category", "content_category_id": "category", "content_category_tier_1": "category",
    "site_domain": "site", "url": "site",
    "device": "device", "user_agent": "device", "browser": "device", "operating_system": "device",
    "occurred_at": "hours",
}  # fmt: skip
TRIED = {
    "content_category", "content_category_id", "content_category_tier_1", "site_domain", "url", "device"
}  # fmt: skip


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
    for is refused whole; of a rule, every feature that is one of the texts in it, or that a comparison in it holds for,
    however that is written.
    """
    names = tuple(names)
    conditions = [condition for name, condition in rules if name in asked]
    told = {text for condition in conditions for text in texts_of(condition)}
    made = _made_of(conditions, names)
    refused = {}
    for name in names:
        family = family_of(name)
        if family.startswith("trait:"):
            if family.removeprefix("trait:") in asked:
                refused[name] = "the audience is defined by it"
        elif name in made or name.split(":", 1)[1] in told:
            refused[name] = "a trait that defines the audience is made of it"
    return refused


def _made_of(conditions: Iterable[str], names: tuple[str, ...]) -> set[str]:
    """The features that a comparison of the rules holds for; all of a family where that cannot be tried, because the
    comparison asks for something else as well. Features are of other sites, so a rule over one's own tells nothing."""
    rows = [row for name in names for row in _trials(name)]
    made: set[str] = set()
    with engine().cursor() as connection:
        columns = ["name", "family", *FAMILY_OF_COLUMN]
        connection.register("trials", pd.DataFrame(rows, columns=columns, dtype=object))
        trees = [compile_event_condition(text).tree for text in conditions]
        for comparison in {
            each for tree in trees if not _is_of_own_site(tree) for each in _comparisons(tree)
        }:
            asked = {column.name.lower() for column in comparison.find_all(exp.Column)}
            families = {FAMILY_OF_COLUMN[column] for column in asked & FAMILY_OF_COLUMN.keys()}
            of_families = " or ".join(f"family = '{family}'" for family in sorted(families)) or "false"
            holds = comparison.sql(dialect="duckdb") if len(families) == 1 and asked <= TRIED else "true"
            query = f"select name from trials where ({of_families}) and ({{}})"
            found = connection.execute(query.format(holds)).fetchall()
            if "url" in asked and not found:  # it asks for a page: of the sites that it names, or of any
                texts = " ".join(text.name for text in comparison.find_all(exp.Literal)).lower()
                found = connection.execute(query.format("contains(?, site_domain)"), [texts]).fetchall()
                found = found or connection.execute(query.format("true")).fetchall()
            made |= {name for (name,) in found}
    return made


def _is_of_own_site(tree: exp.Expression) -> bool:
    """Whether a condition holds on the company's own sites alone."""
    if isinstance(tree, exp.Paren | exp.And):
        return any(_is_of_own_site(part) for part in tree.iter_expressions())
    return isinstance(tree, exp.Column) and tree.name.lower() == "is_owned_site"


def _comparisons(tree: exp.Expression) -> list[exp.Expression]:
    """What a condition asks, however it is put together; what is not to be equal or not to be there is as telling."""
    if isinstance(tree, exp.And | exp.Or | exp.Not | exp.Paren):
        return [each for part in tree.iter_expressions() for each in _comparisons(part)]
    if isinstance(tree, exp.NEQ | exp.NullSafeNEQ):
        return [exp.EQ(this=tree.this.copy(), expression=tree.expression.copy())]
    if isinstance(tree, exp.Is):
        return [exp.not_(tree.copy())]
    return [tree.copy()]


def _trials(name: str) -> list[tuple[str | None, ...]]:
    """What an event of a feature has in the columns of `FAMILY_OF_COLUMN`: rows, each after the feature and its
    family."""
    family, _, value = name.partition(":")
    rows: list[dict[str, str | None]] = [{}]
    if family == "category":
        found = content_taxonomy().find(value)
        rows = [{"content_category": value}]
        if found is not None:
            rows[0] |= {"content_category_id": found.category_id, "content_category_tier_1": found.tier_1}
    elif family == "site":
        rows = [{"site_domain": value, "url": f"https://{host}{value}/"} for host in ("", "www.")]
    elif family == "device":
        rows = [{"device": value}]
    return [(name, family, *(row.get(column) for column in FAMILY_OF_COLUMN)) for row in rows]


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
