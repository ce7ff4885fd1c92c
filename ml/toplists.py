"""How good short lists are: recall and NDCG at ten of what customers bought afterwards, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml.evaluation import Estimate

AT = 10
ROUNDS = 500
DIGITS = 9


@dataclass(frozen=True)
class Hits:
    """One value per judged customer: the share of what they bought that was in their list, and its NDCG."""

    recall: np.ndarray
    ndcg: np.ndarray


def take_best(
    customer: np.ndarray, item: np.ndarray, score: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the `k` best items of each customer, best first, and the place of each in its list, from 0.

    Scores are rounded to nine digits and ties go to the lower item, so that lists do not hang on the last bit.
    """
    order = _best_first(customer, item, np.rint(score * 10**DIGITS))
    place = places_of(customer[order])
    kept = place < k
    return order[kept], place[kept]


def places_of(groups: np.ndarray) -> np.ndarray:
    """The place (n,) of each row in its group, from 0; rows of a group (n,) stand side by side."""
    begin = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    return np.arange(len(groups)) - np.repeat(begin, np.diff(begin, append=len(groups)))


def _best_first(customer: np.ndarray, item: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The rows by customer, falling score (whole numbers) and item, as one number of 63 bits where they fit into one:
    that sorts several times as fast as three, and as stretches that are in order already, for customers mostly are."""
    most = [int(values.max(initial=0)) for values in (customer - customer.min(initial=0), score, item)]
    bits = [value.bit_length() for value in most]
    if sum(bits) > 63 or score.min(initial=0) < 0 or item.min(initial=0) < 0:
        return np.lexsort((item, -score, customer))
    key = (customer - customer.min(initial=0)).astype(np.int64) << (bits[1] + bits[2])
    key |= (most[1] - score.astype(np.int64)) << bits[2]
    return np.argsort(key | item.astype(np.int64), kind="stable")


def judge_lists(
    customer: np.ndarray, item: np.ndarray, score: np.ndarray, bought: np.ndarray, items: int, k: int = AT
) -> Hits:
    """Judge the best `k` of the scored rows (rows,) by `bought`, keys customer * items + item of what came afterwards.

    Judged are the customers who bought anything; who has no list has no hits. Recall is hits over all that was bought;
    NDCG has gain 1 per hit and 1 / log2(place + 2) as discount, over that of the best list (Järvelin, Kekäläinen 2002).
    """
    buyers, counts = np.unique(bought // items, return_counts=True)
    rows, place = take_best(customer, item, score, k)
    hit = np.isin(customer[rows].astype(np.int64) * items + item[rows], bought)
    rows, place = rows[hit], place[hit]
    at = np.searchsorted(buyers, customer[rows])
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(discount)[np.minimum(counts, k) - 1]
    hits = np.bincount(at, minlength=len(buyers))
    gain = np.bincount(at, weights=discount[place], minlength=len(buyers))
    return Hits(hits / counts, gain / ideal)


def estimate_means(
    values: Mapping[str, np.ndarray], seed: int, against: str | None = None, looks: int = 1
) -> dict[str, Estimate]:
    """The mean of each array (customers,) with its 95 % interval, all from the same Poisson resamples of customers.

    With `against`, the means are of the paired differences to that array, and the interval is wider by Bonferroni so
    that it holds for `looks` comparisons together.
    """
    names = [name for name in values if name != against]
    matrix = np.column_stack([values[name] - (values[against] if against else 0.0) for name in names])
    weights = np.random.default_rng(seed).poisson(1.0, size=(ROUNDS, len(matrix))).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = weights @ matrix / weights.sum(axis=1, keepdims=True)
    tail = 0.025 / looks
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    means = matrix.mean(axis=0)
    return {
        name: Estimate(float(means[column]), float(low[column]), float(high[column]))
        for column, name in enumerate(names)
    }
