"""Recency, frequency and money: the segments that every marketer knows, from scores of 1 to 5 among the buyers.

A score is one more than the whole fifths of buyers who are worse. Equal values get equal scores: of the equals half
count as worse, but for orders none, so that whoever ordered once has 1 even where most have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCORES = 5
MIN_BUYERS = SCORES
NO_PURCHASE = "rfm_no_purchase"


@dataclass(frozen=True)
class RfmSegment:
    """A named part of the plane of recency and value."""

    segment_id: str
    name: str
    meaning: str


NAMED = (
    RfmSegment("rfm_champions", "Champions", "bought lately, order often and spend much"),
    RfmSegment("rfm_loyal", "Loyal", "order often and spend much, and not long ago"),
    RfmSegment("rfm_potential_loyalists", "Potential loyalists", "bought lately and are on the way to more"),
    RfmSegment("rfm_new", "New", "bought most lately, and little so far"),
    RfmSegment("rfm_promising", "Promising", "bought lately, and little so far"),
    RfmSegment("rfm_need_attention", "Need attention", "are in the middle in everything"),
    RfmSegment("rfm_about_to_sleep", "About to sleep", "bought little and some time ago"),
    RfmSegment("rfm_at_risk", "At risk", "ordered or spent a good deal, but not for a long time"),
    RfmSegment("rfm_cant_lose", "Can't lose", "were among the best, but have not come for a long time"),
    RfmSegment("rfm_hibernating", "Hibernating", "bought little and long ago"),
    RfmSegment("rfm_lost", "Lost", "bought least and longest ago"),
)
IDS = tuple(segment.segment_id for segment in NAMED)


@dataclass(frozen=True)
class Reference:
    """The buyers that scores are relative to: their values, each array sorted (buyers,)."""

    recency: np.ndarray
    frequency: np.ndarray
    money: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Scores of 1 to 5, the more the better; arrays (customers,)."""

    recency: np.ndarray
    frequency: np.ndarray
    money: np.ndarray


def learn_reference(recency: np.ndarray, frequency: np.ndarray, money: np.ndarray) -> Reference:
    """Remember the buyers: days since their last order, orders, and money spent; arrays (buyers,), missing as NaN."""
    return Reference(*(np.sort(values) for values in _complete(recency, frequency, money)))


def score(reference: Reference, recency: np.ndarray, frequency: np.ndarray, money: np.ndarray) -> Scores:
    """Score customers (customers,) against the buyers of `reference`, who may be others or of another day."""
    recency, frequency, money = _complete(recency, frequency, money)
    return Scores(
        recency=_fifths(1 - _share_below(reference.recency, recency)),
        frequency=_fifths(_share_below(reference.frequency, frequency, equals=0.0)),
        money=_fifths(_share_below(reference.money, money)),
    )


def name_segments(scores: Scores) -> np.ndarray:
    """The segment id of each customer (customers,): by recency, and by the mean of frequency and money, half up."""
    recency, frequency = scores.recency, scores.frequency
    worth = (scores.frequency + scores.money + 1) // 2
    rules = [
        ((recency == 5) & (frequency == 1), "rfm_new"),
        ((recency == 4) & (frequency == 1), "rfm_promising"),
        ((recency == 5) & (worth >= 4), "rfm_champions"),
        ((recency >= 3) & (worth >= 4), "rfm_loyal"),
        ((recency >= 4), "rfm_potential_loyalists"),
        ((recency == 3) & (worth == 3), "rfm_need_attention"),
        ((recency == 3), "rfm_about_to_sleep"),
        ((worth == 5), "rfm_cant_lose"),
        ((worth >= 3), "rfm_at_risk"),
        ((recency == 1) & (worth == 1), "rfm_lost"),
    ]
    conditions, ids = zip(*rules, strict=True)
    return np.select(conditions, np.array(ids, dtype=object), default="rfm_hibernating").astype(object)


def stability(
    recency: np.ndarray, frequency: np.ndarray, money: np.ndarray, generator: np.random.Generator, halves: int
) -> np.ndarray:
    """The share of buyers who keep their segment when the scores are relative to a random half of them (halves,)."""
    named = name_segments(score(learn_reference(recency, frequency, money), recency, frequency, money))
    kept = []
    for _ in range(halves):
        half = generator.permutation(len(recency))[: max(len(recency) // 2, 1)]
        reference = learn_reference(recency[half], frequency[half], money[half])
        kept.append(float((name_segments(score(reference, recency, frequency, money)) == named).mean()))
    return np.array(kept)


def _complete(recency: np.ndarray, frequency: np.ndarray, money: np.ndarray) -> tuple[np.ndarray, ...]:
    """What is not known counts as worst: never, nothing."""
    return (
        np.where(np.isnan(recency), np.inf, recency),
        np.where(np.isnan(frequency), -np.inf, frequency),
        np.where(np.isnan(money), -np.inf, money),
    )


def _share_below(reference: np.ndarray, values: np.ndarray, equals: float = 0.5) -> np.ndarray:
    """The share of `reference` (sorted) below each value, and of those equal to it the part `equals`."""
    below = np.searchsorted(reference, values, side="left")
    up_to = np.searchsorted(reference, values, side="right")
    return (below + equals * (up_to - below)) / len(reference)


def _fifths(share: np.ndarray) -> np.ndarray:
    # Rounded, for 1 - 0.8 is a little less than a fifth.
    return np.clip(np.floor(np.round(share * SCORES, 9)).astype(np.int64) + 1, 1, SCORES)
