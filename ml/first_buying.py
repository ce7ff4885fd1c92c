"""When people who are known and have not bought buy for the first time.

Each would buy at a rate of their own, and rates are gamma distributed, as those of repeat buying are (Fader, Hardie and
Zeithammer 2003, "Forecasting new product trial in a controlled test market environment"). Who buys first leaves, so the
longer people have been watched in vain, the less is to be expected of them: what became of those who were watched a
horizon ago promises too much of those who are left. Times are in days; rows are people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

# Bounds of the logarithms of shape and scale, the latter in units of the time watched: beyond them the curves are flat.
BOUNDS = ((-8.0, 12.0), (-4.0, 12.0))
STARTS = ((0.0, 1.0), (-2.0, -1.0), (4.0, 6.0))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class FirstBuying:
    """Rates of a first purchase are gamma(`shape`, `scale`) when people begin to be watched."""

    shape: float
    scale: float

    def chance(self, watched: np.ndarray, ahead: float) -> np.ndarray:
        """The probability (n,) of a first purchase in the days `ahead`, after so many days `watched` (n,) in vain."""
        past = self.scale + watched
        return -np.expm1(self.shape * (np.log(past) - np.log(past + ahead)))

    def days_left(self, watched: np.ndarray, ahead: float) -> np.ndarray:
        """How many of the days `ahead` are expected to lie after the first purchase (n,): the integral of `chance`."""
        return sum(
            weight * ahead / 2 * self.chance(watched, ahead * (1 + node) / 2)
            for node, weight in zip(NODES, WEIGHTS, strict=True)
        )


def fit_first_buying(waited: np.ndarray, watched: int, ahead: float) -> FirstBuying:
    """Maximum likelihood on so many people `watched` for the days `ahead`, of whom some bought, after `waited` (n,).

    One person more, half of whom buys half-way, keeps it from extremes where next to nobody or everybody did.
    """
    days, buyers = np.unique(waited, return_counts=True)
    time = np.r_[days, ahead / 2, ahead] / ahead
    did = np.r_[np.ones(len(days) + 1), 0.0]
    weight = np.r_[buyers, 0.5, watched - len(waited) + 0.5] / (watched + 1)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        shape, scale = np.exp(logs)
        survived = np.log(scale) - np.log(scale + time)
        value = did * (np.log(shape) - np.log(scale + time)) + shape * survived
        by_shape = did / shape + survived
        by_scale = shape / scale - (did + shape) / (scale + time)
        return -float(weight @ value), -np.array([shape * (weight @ by_shape), scale * (weight @ by_scale)])

    found = min(
        (minimize(loss, start, jac=True, method="L-BFGS-B", bounds=BOUNDS) for start in STARTS),
        key=lambda each: round(each.fun, 12),
    )
    shape, scale = np.exp(found.x)
    return FirstBuying(float(shape), float(scale * ahead))
