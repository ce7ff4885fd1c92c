"""How much more often something happens in a group than in all of them, with intervals and corrected for many looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control, hypergeom, norm

CONFIDENCE = 0.95
FALSE_DISCOVERIES = 0.05


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
    fewer = hypergeom.cdf(inside, everybody, total, group)
    more = hypergeom.sf(inside - 1, everybody, total, group)
    p_value = np.clip(2 * np.minimum(fewer, more), 0, 1)
    return Lifts(
        share=share,
        share_elsewhere=share_elsewhere,
        lift=lift,
        low=np.minimum(np.exp(center - spread), lift),
        high=np.maximum(np.exp(center + spread), lift),
        p_value=p_value,
        q_value=q_values(p_value),
    )


def q_values(p_value: np.ndarray) -> np.ndarray:
    """The p-values (cells,) corrected for the many looks (Benjamini and Hochberg 1995); NaN, which is not looked at,
    stays."""
    corrected = np.array(p_value, dtype=np.float64)
    known = ~np.isnan(corrected)
    if known.any():
        corrected[known] = false_discovery_control(corrected[known])
    return corrected
