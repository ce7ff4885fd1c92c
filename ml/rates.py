"""How much more often something happens in a group than in all of them, with intervals and corrected for many looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln
from scipy.stats import false_discovery_control, norm

CONFIDENCE = 0.95
FALSE_DISCOVERIES = 0.05
NEGLIGIBLE = 1e-16


@dataclass(frozen=True)
class Lifts:
    """Arrays (cells,): the share inside the group and among the others, the lift of the group over everybody with its
    95 % interval, the p-value of no difference, and the q-value after the correction for all cells."""

    share: np.ndarray
    share_elsewhere: np.ndarray
    lift: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    q_value: np.ndarray

    @property
    def is_significant(self) -> np.ndarray:
        """Whether each difference stands when at most 5 % of those named are false (Benjamini and Hochberg 1995)."""
        return self.q_value <= FALSE_DISCOVERIES


def lifts(inside: np.ndarray, group: np.ndarray, total: np.ndarray, everybody: np.ndarray) -> Lifts:
    """Compare cells: `inside` of `group` people did it, and `total` of `everybody`, of whom the group is a part.

    All arrays are counts (cells,). The lift's interval is of its logarithm by the delta method, each share held away
    from 0 by half a person; the p-value is exact (Fisher, two-sided by doubling). Raises ValueError when a part is
    larger than its whole.
    """
    inside, group, total, everybody = (
        np.asarray(counts, dtype=np.int64) for counts in (inside, group, total, everybody)
    )
    outside, others = total - inside, everybody - group
    if ((inside < 0) | (outside < 0) | (inside > group) | (outside > others)).any():
        raise ValueError("a part is larger than its whole: the group must be counted within everybody")
    with np.errstate(divide="ignore", invalid="ignore"):
        share, share_elsewhere = inside / group, outside / others
        lift = share / (total / everybody)
        held, held_elsewhere = (inside + 0.5) / (group + 1), (outside + 0.5) / (others + 1)
        weight = group / everybody
        overall = weight * held + (1 - weight) * held_elsewhere
        variance = (1 / held - weight / overall) ** 2 * held * (1 - held) / (group + 1) + (
            (1 - weight) / overall
        ) ** 2 * held_elsewhere * (1 - held_elsewhere) / (others + 1)
        center = np.log(held / overall)
    spread = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance)
    p_value = _exact_p_values(inside, group, total, everybody)
    return Lifts(
        share=share,
        share_elsewhere=share_elsewhere,
        lift=lift,
        low=np.minimum(np.exp(center - spread), lift),
        high=np.maximum(np.exp(center + spread), lift),
        p_value=p_value,
        q_value=q_values(p_value),
    )


def _exact_p_values(
    inside: np.ndarray, group: np.ndarray, total: np.ndarray, everybody: np.ndarray
) -> np.ndarray:
    """Fisher's exact p-values (cells,), two-sided by doubling the smaller tail of the hypergeometric distribution.

    Only the tail on the far side of what is expected is added up, from its largest term outwards, of all cells at once:
    scipy, which adds up both for one cell after another, took 9 s of 34,000 cells of large groups.
    """
    is_fewer = inside * everybody <= group * total
    # That many of the group did it is that few of them did not.
    few = np.where(is_fewer, inside, group - inside).astype(np.float64)
    total = np.where(is_fewer, total, everybody - total).astype(np.float64)
    group, everybody = group.astype(np.float64), everybody.astype(np.float64)
    chance = np.exp(
        _log_ways(total, few) + _log_ways(everybody - total, group - few) - _log_ways(everybody, group)
    )
    tail, term, cells = chance.copy(), chance.copy(), np.flatnonzero(few > 0)
    while len(cells):
        of, at, most, all_of_them = few[cells], term[cells], group[cells], everybody[cells]
        at = at * of * (all_of_them - total[cells] - most + of) / ((total[cells] - of + 1) * (most - of + 1))
        tail[cells] += at
        term[cells], few[cells] = at, of - 1
        cells = cells[(at > NEGLIGIBLE * tail[cells]) & (of > 1)]
    return np.clip(2 * np.minimum(tail, 1 - tail + chance), 0, 1)


def _log_ways(of: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The logarithm of the number of ways to choose so many of so many."""
    return gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - chosen + 1)


def q_values(p_value: np.ndarray) -> np.ndarray:
    """The p-values (cells,) corrected for the many looks (Benjamini and Hochberg 1995); NaN, which is not looked at,
    stays."""
    corrected = np.array(p_value, dtype=np.float64)
    known = ~np.isnan(corrected)
    if known.any():
        corrected[known] = false_discovery_control(corrected[known])
    return corrected
