"""How likely two records are of one person, or of one household, before anybody compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from include.identity.linkage.comparisons import Comparison

# Pairs with less evidence (bits) cannot become links, however many duplicates there are.
LEAST_EVIDENCE = 5
# Duplicates and housemates per record before the data say otherwise, and how many records that counts like. Among
# more records than _MANY it counts for less and less: that nobody lives together there is no accident.
USUAL = {"duplicates": (0.3, 200), "housemates": (0.3, 50)}
_WITHIN = {"duplicates": (0.02, 5.0), "housemates": (0.0001, 5.0)}
_MANY = 500
_LEAST_UNFOUND = 1e-6
# Few records are taken from a population of at least this many.
_POPULATION = 2_000


@dataclass(frozen=True)
class Priors:
    """Odds of one person and of one household against strangers, in bits."""

    person: float
    household: float


def priors_of(duplicates: float, housemates: float, records: int) -> Priors:
    """The priors of two records when a record has that many duplicates and housemates."""
    pairs = max(records, _POPULATION) / 2
    return Priors(
        round(log2(duplicates / pairs), 3),
        round(log2(housemates / pairs), 3) if housemates else -1000.0,
    )


def per_record(what: str, pairs: float, records: int) -> float:
    """How many duplicates or housemates a record has when there are so many pairs."""
    usual, weight = USUAL[what]
    weight *= min(1.0, _MANY / records)
    least, most = _WITHIN[what]
    return min(max((pairs + usual * weight) / (records + weight), least), most)


def prior_of_unfound(pairs: float, unfound: int, records: int) -> float:
    """The odds, in bits, that two of the records that found nobody are one person when `pairs` of them are."""
    weight = USUAL["duplicates"][1] * min(1.0, _MANY / records)
    population = max(unfound, 1) * max(1.0, _POPULATION / records)
    return round(log2(max(pairs / (unfound + weight), _LEAST_UNFOUND) / (population / 2)), 3)


def has_persons(comparisons: Sequence[Comparison]) -> bool:
    """Whether the records say anything that tells people of one household apart; those of organisations do not."""
    return any(comparison.name in ("given_name", "birth_date") for comparison in comparisons)
