"""How much more or less buyers read after they bought, each measured by what the same person read before.

Pages are taken as a Poisson count with a pace of each person's own (Hausman, Hall and Griliches 1984). Of all pages
that a person reads before and after, the share that comes after then follows from the days observed and the factor by
which the group's reading moved, whatever the pace: who reads much weighs much and still moves nothing. The factor needs
no more than the right mean; its variance is of the residuals, each person one observation (Wooldridge 1999), and never
below that of counts. The multiplier is the buyers' factor over that of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import norm
from scipy.stats import t as student

from ml.offsite_matching import Matched
from ml.rates import CONFIDENCE

FEWEST_PEOPLE = 50  # the least that privacy.yml allows; dbt applies what it says
POWER = 0.8  # a multiplier is detectable that would be found, for itself, in so many cases
STEPS = 8  # of Newton's method, which begins close by
DAYS_OF_A_RATE = 7  # rates are of pages per person and week


@dataclass(frozen=True)
class Effects:
    """One category against all contents (contents,): pages per person and week before and after, of buyers and of the
    others; the multiplier with its interval, `did`, the pages a week that it makes, with its own, and the p-value; NaN
    where they cannot be said. `detectable` is the smallest multiplier that would be found. `buyers` and `controls` are
    numbers of people."""

    buyers: int
    controls: int
    rate_before: np.ndarray
    rate_after: np.ndarray
    control_before: np.ndarray
    control_after: np.ndarray
    did: np.ndarray
    did_low: np.ndarray
    did_high: np.ndarray
    multiplier: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    detectable: np.ndarray


def compare(
    matched: Matched, before: np.ndarray, after: np.ndarray, before_days: np.ndarray, after_days: np.ndarray
) -> Effects:
    """Hold buyers against the others: pages `before` and `after` (rows, contents) of days observed (rows,).

    Every buyer is one observation; those of another person count together, however often they were compared with.
    """
    is_buyer, odds = matched.is_buyer, after_days / before_days
    people, person = np.unique(matched.person[~is_buyer], return_inverse=True)
    size, weight = int(is_buyer.sum()), matched.weight[~is_buyer]
    own = _Moved(before[is_buyer], after[is_buyer], odds[is_buyer], np.ones(size), np.arange(size))
    other = _Moved(before[~is_buyer], after[~is_buyer], odds[~is_buyer], weight, person)
    moved, error = own.factor - other.factor, np.sqrt(own.variance + other.variance)
    freedom = np.maximum(own.readers - 1, 1)
    few = (min(size, len(people)) < FEWEST_PEOPLE) | ~np.isfinite(error)

    def weekly(pages: np.ndarray, days: np.ndarray, of: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return weight @ pages[of] / (weight @ days[of]) * DAYS_OF_A_RATE

    def judged(values: np.ndarray) -> np.ndarray:
        return np.where(few, np.nan, values)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = student.ppf((1 + CONFIDENCE) / 2, freedom) * error
        multiplier, low, high = (np.exp(moved + by) for by in (0, -spread, spread))
        # Without an effect a page falls after the purchase as one of the others does.
        error_of_none = np.sqrt(1 / own.information(other.factor) + other.variance)
        rate_after = weekly(after, after_days, is_buyer, np.ones(size))
        return Effects(
            buyers=size,
            controls=len(people),
            rate_before=weekly(before, before_days, is_buyer, np.ones(size)),
            rate_after=rate_after,
            control_before=weekly(before, before_days, ~is_buyer, weight),
            control_after=weekly(after, after_days, ~is_buyer, weight),
            did=judged(rate_after * (1 - 1 / multiplier)),
            did_low=judged(rate_after * (1 - 1 / low)),
            did_high=judged(rate_after * (1 - 1 / high)),
            multiplier=judged(multiplier),
            low=judged(low),
            high=judged(high),
            p_value=judged(2 * student.sf(np.abs(moved) / error, freedom)),
            detectable=judged(np.exp((norm.ppf((1 + CONFIDENCE) / 2) + norm.ppf(POWER)) * error_of_none)),
        )


class _Moved:
    """By which factor a group's reading of each content moved: its logarithm (contents,), with its variance.

    `odds` (rows,) are the days observed after the purchase over those before it, `person` (rows,) whose row it is.
    Contents of which nothing was read before, or after, have no finite one.
    """

    def __init__(
        self, before: np.ndarray, after: np.ndarray, odds: np.ndarray, weight: np.ndarray, person: np.ndarray
    ) -> None:
        total, row = before + after, np.arange(len(odds))
        # Few spans of days exist, so that sums by span stand for all rows.
        self._odds, span = np.unique(odds, return_inverse=True)
        self._total = csr_matrix((weight, (span, row)), (len(self._odds), len(odds))) @ total
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            self.factor = self._fit(weight @ before, weight @ after)
            share = self._share_after(self.factor)[span]
            of_person = csr_matrix((weight, (person, row)), (1 + person.max(initial=0), len(odds)))
            residuals = of_person @ (after - share * total)
            by_person = (residuals**2).sum(axis=0) * len(residuals) / max(len(residuals) - 1, 1)
            of_counts = weight**2 @ (share * (1 - share) * total)
            self.variance = np.maximum(by_person, of_counts) / self.information(self.factor) ** 2
        self.readers = (total > 0).sum(axis=0)

    def information(self, factor: np.ndarray) -> np.ndarray:
        """What all pages together say of a factor (contents,): the inverse of its variance when they are counts."""
        share = self._share_after(factor)
        return (self._total * share * (1 - share)).sum(axis=0)

    def _share_after(self, factor: np.ndarray) -> np.ndarray:
        """Of the pages read, how many are expected after the purchase (spans, contents)."""
        return 1 / (1 + 1 / (self._odds[:, None] * np.exp(factor)))

    def _fit(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        factor = np.log(after / before) - np.log(self._odds @ self._total / self._total.sum(axis=0))
        for _ in range(STEPS):
            expected = (self._share_after(factor) * self._total).sum(axis=0)
            factor = factor + np.clip((after - expected) / self.information(factor), -1, 1)
        return factor
