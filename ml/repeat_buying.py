"""How repeat customers buy and stop: BG/NBD and its relatives, and Gamma-Gamma for what an order is worth.

A customer buys at a rate of their own and stops for good after any purchase with a chance of their own; rates are
gamma distributed, chances beta distributed (BG/NBD: Fader, Hardie and Lee 2005, "Counting your customers the easy
way"). Two switches make it fit other companies. With `may_stop_at_once` a customer may stop after the first purchase
already (MBG/NBD: Batislam, Denizel and Filiztekin 2007), without it whoever bought once counts as active for ever.
With a `regularity` above 1 the pauses between purchases are Erlang distributed and so more even than chance (BG/CNBD-k:
Platzer and Reutterer 2016).

Times are in any unit, from a customer's first purchase on. Rows are customers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.special import betainc, betaln, digamma, gammaln

# Bounds of the logarithms of the parameters, times being in units of the mean age: beyond them the curves are flat.
LOWEST, HIGHEST = -6.0, 8.0
STARTS = ((0.0, 0.0, 0.0, 0.0), (-1.0, -1.0, -0.5, 1.0), (1.0, -1.0, -1.0, 1.5))
REGULARITIES = (1, 2, 3, 4, 6, 8, 12)
GAMMA_STARTS = ((1.5, 1.2, 0.0), (0.5, 1.0, 0.5))
STEP = 1e-4  # of a logarithm, for slopes by differences
NEGLIGIBLE = 1e-9  # of a purchase; terms below it are left out of a sum
SMALLEST_LOG = 600.0  # below its negative a float is nearly 0
BLOCK_ROWS = 20_000


class NotFitted(ValueError):
    """The data do not determine the parameters of a model."""


@dataclass(frozen=True)
class History:
    """What the models need of each customer, arrays (n,): `repeats`, purchases after the first; `last`, time from the
    first to the last of them; `age`, time from the first to now; `log_pauses`, the sum of the logarithms of the pauses
    between purchases; `weight`, how many customers the row stands for."""

    repeats: np.ndarray
    last: np.ndarray
    age: np.ndarray
    log_pauses: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.repeats)


@dataclass(frozen=True)
class RepeatBuying:
    """Fitted parameters in the unit of the times: rates are gamma(`shape`, `scale`), chances to stop beta(`a`, `b`)."""

    shape: float
    scale: float
    a: float
    b: float
    may_stop_at_once: bool
    regularity: int
    log_likelihood: float

    @property
    def parameters(self) -> np.ndarray:
        return np.array([self.shape, self.scale, self.a, self.b])

    def moved(self, steps: np.ndarray) -> RepeatBuying:
        """The same model with the logarithms of its parameters moved by `steps` (4,)."""
        return replace(
            self,
            **dict(
                zip(("shape", "scale", "a", "b"), map(float, self.parameters * np.exp(steps)), strict=True)
            ),
        )

    @property
    def name(self) -> str:
        core = f"CNBD-{self.regularity}" if self.regularity > 1 else "NBD"
        return ("MBG/" if self.may_stop_at_once else "BG/") + core


@dataclass(frozen=True)
class Forecast:
    """Arrays (n,): the probabilities of being active now and of any purchase ahead, and the purchases expected."""

    active: np.ndarray
    any_purchase: np.ndarray
    purchases: np.ndarray


@dataclass(frozen=True)
class Spending:
    """Gamma-Gamma: an order's amount is gamma(`p`, rate), the rate of customers gamma(`q`, `scale`)."""

    p: float
    q: float
    scale: float
    log_likelihood: float


def summarise(repeats: np.ndarray, last: np.ndarray, age: np.ndarray, log_pauses: np.ndarray) -> History:
    """One row for all customers with the same purchases, recency and age: their likelihood is the same."""
    columns = np.column_stack([repeats, last, age]).astype(np.float64)
    unique, inverse, weight = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
    pauses = np.bincount(inverse.ravel(), weights=log_pauses, minlength=len(unique)) / weight
    return History(unique[:, 0], unique[:, 1], unique[:, 2], pauses, weight.astype(np.float64))


def fit_repeat_buying(
    history: History,
    *,
    may_stop_at_once: bool = False,
    regularity: int = 1,
    near: RepeatBuying | None = None,
) -> RepeatBuying:
    """Maximum likelihood from several starts, or from the parameters of a model `near`.

    Raises NotFitted without repeat purchases or without a finite optimum.
    """
    if not len(history) or history.repeats.sum() < 1 or history.age.max() <= 0:
        raise NotFitted("nobody has bought again")
    unit = float(np.average(history.age, weights=history.weight)) or 1.0
    scaled = History(
        history.repeats, history.last / unit, history.age / unit, history.log_pauses, history.weight
    )
    total = history.weight.sum()

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, slopes = _log_likelihood(np.exp(logs), scaled, may_stop_at_once, regularity)
        return -float(value @ scaled.weight) / total, -(slopes @ scaled.weight) / total * np.exp(logs)

    starts = np.array(STARTS)
    if near is not None:
        # More events to a purchase come at a higher rate.
        pace = near.regularity / regularity / unit
        starts = np.log(near.parameters * [1.0, pace, 1.0, 1.0])[None, :]
    found = _search(loss, starts, [(LOWEST, HIGHEST)] * 4)
    shape, scale, a, b = np.exp(found.x)
    # What changes with the unit and the regularity, so that models of different regularity compare.
    constants = (
        (regularity - 1) * history.log_pauses
        - regularity * history.repeats * np.log(unit)
        - history.repeats * gammaln(regularity)
    )
    return RepeatBuying(
        float(shape),
        float(scale * unit),
        float(a),
        float(b),
        may_stop_at_once,
        regularity,
        -float(found.fun) * total + float(constants @ history.weight),
    )


def _search(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    starts: np.ndarray,
    bounds: list[tuple[float, float]],
) -> OptimizeResult:
    """The lowest of the minima that `starts` lead to. Raises NotFitted when none of them is finite."""
    options = {"maxiter": 300, "ftol": 1e-12, "gtol": 1e-7}
    low, high = np.array(bounds).T
    tried = [
        minimize(loss, np.clip(start, low, high), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    finite = [result for result in tried if np.isfinite(result.fun)]
    if not finite:
        raise NotFitted("the likelihood is nowhere finite")
    return min(finite, key=lambda result: round(float(result.fun), 9))


def choose_repeat_buying(history: History) -> RepeatBuying:
    """The likeliest model of those in which anybody may stop, from purchases by chance to even rhythms.

    Raises NotFitted like `fit_repeat_buying`.
    """
    best = None
    for regularity in REGULARITIES:
        fitted = fit_repeat_buying(history, may_stop_at_once=True, regularity=regularity, near=best)
        if best is not None and fitted.log_likelihood <= best.log_likelihood:
            break
        best = fitted
    return best


def uncertainty(model: RepeatBuying, history: History) -> np.ndarray:
    """A root (4, 4) of the covariance of the logarithms of shape, scale, a and b, fitted to `history`: that of the
    inverse of the observed information."""

    def slopes(at: np.ndarray) -> np.ndarray:
        values = _log_likelihood(np.exp(at), history, model.may_stop_at_once, model.regularity)[1]
        return (values @ history.weight) * np.exp(at)

    logs = np.log(model.parameters)
    information = np.stack(
        [(slopes(logs - STEP * unit) - slopes(logs + STEP * unit)) / (2 * STEP) for unit in np.eye(4)]
    )
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    # A direction that the data say nothing of is as uncertain as one parameter by the factor e.
    return vectors / np.sqrt(np.maximum(values, 1.0))


def active_interval(
    model: RepeatBuying, root: np.ndarray, history: History, deviations: float
) -> tuple[np.ndarray, np.ndarray]:
    """How low and how high the probabilities (n,) of being active may be, so many standard deviations away: the delta
    method on their log-odds, with the `root` of the parameters' covariance."""

    def log_odds(at: RepeatBuying) -> np.ndarray:
        held = np.clip(probability_active(at, history), 1e-9, 1 - 1e-9)
        return np.log(held) - np.log1p(-held)

    center, variance = log_odds(model), np.zeros(len(history))
    for direction in root.T:
        up, down = model.moved(STEP * direction), model.moved(-STEP * direction)
        variance += ((log_odds(up) - log_odds(down)) / (2 * STEP)) ** 2
    spread = deviations * np.sqrt(variance)
    return 1 / (1 + np.exp(spread - center)), 1 / (1 + np.exp(-spread - center))


def _log_likelihood(
    parameters: np.ndarray, history: History, may_stop_at_once: bool, regularity: int
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood (n,) of each row and its slopes (4, n), without the constants of the regularity.

    Equation 6 of Fader, Hardie and Lee (2005); equation 7 of Platzer and Reutterer (2016) for the other models.
    """
    shape, scale, a, b = parameters
    repeats, last, age = history.repeats, history.last, history.age
    events, survived = shape + regularity * repeats, repeats + may_stop_at_once
    log_stopped = _log_stopped(parameters, history, may_stop_at_once, regularity)
    phases = _log_phases(events, history, scale, regularity)
    log_active = np.logaddexp.reduce(phases, axis=0)
    log_either = np.logaddexp(log_active, log_stopped)
    stopped = np.exp(log_stopped - log_either)
    in_phase = np.exp(phases - log_either)
    steps = np.arange(regularity)[:, None]
    value = (
        betaln(a, b + survived)
        - betaln(a, b)
        + gammaln(events)
        - gammaln(shape)
        + shape * np.log(scale)
        - events * np.log(scale + age)
        + log_either
    )
    both = digamma(a + b) - digamma(a + b + survived)
    rising = digamma(events[None, :] + steps) - digamma(events)
    by_b = np.divide(stopped, b + survived - 1, out=np.zeros_like(stopped), where=stopped > 0)
    slopes = np.stack(
        [
            digamma(events)
            - digamma(shape)
            + np.log(scale)
            - np.log(scale + age)
            + stopped * np.log((scale + age) / (scale + last))
            + (in_phase * rising).sum(axis=0),
            shape / scale
            - events / (scale + age)
            + stopped * events * (1 / (scale + age) - 1 / (scale + last))
            - (in_phase * steps).sum(axis=0) / (scale + age),
            both + stopped / a,
            both + digamma(b + survived) - digamma(b) - by_b,
        ]
    )
    return value, slopes


def _log_stopped(
    parameters: np.ndarray, history: History, may_stop_at_once: bool, regularity: int
) -> np.ndarray:
    """Logarithm (n,) of how likely it is to have stopped at the last purchase, against active without one since."""
    shape, scale, a, b = parameters
    survived = history.repeats + may_stop_at_once
    events = shape + regularity * history.repeats
    odds = np.log(a) - np.log(np.maximum(b + survived - 1, 1e-300))
    log_stopped = odds + events * (np.log(scale + history.age) - np.log(scale + history.last))
    return np.where(survived > 0, log_stopped, -np.inf)


def _log_phases(events: np.ndarray, history: History, scale: float, regularity: int) -> np.ndarray:
    """Logarithm (regularity, n) of how likely each number of hidden events since the last purchase is, against none."""
    steps = np.arange(regularity)[:, None]
    with np.errstate(divide="ignore"):
        waited = np.log((history.age - history.last) / (scale + history.age))
    powers = np.where(steps > 0, steps * np.where(steps > 0, waited[None, :], 0.0), 0.0)
    return gammaln(events[None, :] + steps) - gammaln(events) - gammaln(steps + 1) + powers


def probability_active(model: RepeatBuying, history: History) -> np.ndarray:
    """The probability (n,) of not having stopped at the last purchase, given the pause since."""
    events = model.shape + model.regularity * history.repeats
    log_active = np.logaddexp.reduce(_log_phases(events, history, model.scale, model.regularity), axis=0)
    log_stopped = _log_stopped(model.parameters, history, model.may_stop_at_once, model.regularity)
    return np.exp(log_active - np.logaddexp(log_active, log_stopped))


def forecast(model: RepeatBuying, history: History, ahead: float) -> Forecast:
    """What each row (n,) will do in the time `ahead`, weights aside.

    The n-th purchase comes when the customer has not stopped at the n - 1 before and enough events happen, which are
    negative binomial; the sum of these probabilities is the closed form of the papers without its unstable
    hypergeometric function, and holds for every regularity.
    """
    active = probability_active(model, history)
    any_purchase, purchases = np.zeros(len(history)), np.zeros(len(history))
    # Rows with alike numbers of terms share a block.
    order = np.argsort((model.shape + history.repeats) / (model.scale + history.age), kind="stable")
    for begin in range(0, len(order) if ahead > 0 else 0, BLOCK_ROWS):
        rows = order[begin : begin + BLOCK_ROWS]
        block = History(*(column[rows] for column in vars(history).values()))
        survived = block.repeats + model.may_stop_at_once
        events = model.shape + model.regularity * block.repeats
        phases = _log_phases(events, block, model.scale, model.regularity)
        in_phase = np.exp(phases - np.logaddexp.reduce(phases, axis=0))
        share = ahead / (model.scale + block.age + ahead)
        # Phase j has j events behind it, which also say more of the rate.
        chances = [
            _reached(events + step, share, model.regularity - step, model.regularity)
            for step in range(model.regularity)
        ]
        remain, total, term, number = active[rows].copy(), np.zeros(len(rows)), np.ones(1), 0
        while term.max() > NEGLIGIBLE:
            term = remain * sum(
                weight * next(chance) for weight, chance in zip(in_phase, chances, strict=True)
            )
            total += term
            if number == 0:
                any_purchase[rows] = term
            remain *= (model.b + survived + number) / (model.a + model.b + survived + number)
            number += 1
        purchases[rows] = total
    return Forecast(active, any_purchase, purchases)


def _reached(size: np.ndarray, share: np.ndarray, first: int, every: int) -> Iterator[np.ndarray]:
    """The probabilities (n,) that a negative binomial of `size` (n,) is at least `first`, then each `every` more.

    Summing one term after the other is ten times as fast as the incomplete beta function, which is taken where the
    first term is too small for a float.
    """
    if (size * -np.log1p(-share)).max() > SMALLEST_LOG:
        for least in count(first, every):
            yield betainc(least, size, share)
    term, fewer, events = np.exp(size * np.log1p(-share)), np.zeros(len(size)), 0
    for least in count(first, every):
        while events < least:
            fewer += term
            term = term * (size + events) / (events + 1) * share
            events += 1
        yield np.maximum(1 - fewer, 0.0)


def fit_spending(orders: np.ndarray, mean_amount: np.ndarray, weight: np.ndarray | None = None) -> Spending:
    """Gamma-Gamma (Fader and Hardie 2013, equation 1a) of customers with `orders` (n,) worth `mean_amount` (n,) each.

    Raises NotFitted when fewer than two customers have a positive amount, or all have the same.
    """
    usable = (orders > 0) & (mean_amount > 0) & np.isfinite(mean_amount)
    if usable.sum() < 2 or np.ptp(mean_amount[usable]) == 0:
        raise NotFitted("amounts do not differ")
    counts = np.where(usable, orders, 0)[usable].astype(np.float64)
    unit = float(np.median(mean_amount[usable]))
    means = mean_amount[usable] / unit
    weights = np.ones(len(counts)) if weight is None else weight[usable]
    total = weights.sum()

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        p, q, scale = np.exp(logs)
        px, spread = p * counts, scale + counts * means
        both = px + q
        value = (
            -betaln(px, q)
            + q * np.log(scale)
            + (px - 1) * np.log(means)
            + px * np.log(counts)
            - both * np.log(spread)
        )
        by_p = counts * (digamma(both) - digamma(px) + np.log(means) + np.log(counts) - np.log(spread))
        by_q = digamma(both) - digamma(q) + np.log(scale) - np.log(spread)
        by_scale = q / scale - both / spread
        slopes = np.stack([by_p, by_q, by_scale]) @ weights
        return -float(value @ weights) / total, -slopes / total * np.exp(logs)

    bounds = [(LOWEST, HIGHEST), (np.log(1.01), HIGHEST), (LOWEST, HIGHEST)]
    found = _search(loss, np.array(GAMMA_STARTS), bounds)
    p, q, scale = np.exp(found.x)
    return Spending(float(p), float(q), float(scale * unit), -float(found.fun) * total - total * np.log(unit))


def expected_amount(spending: Spending, orders: np.ndarray, mean_amount: np.ndarray) -> np.ndarray:
    """The mean amount (n,) of a customer's orders to come: their own mean, drawn to everybody's (equation 5 there).

    A row of no orders gets everybody's mean; a mean below 0 counts as 0.
    """
    sums = orders * np.where(orders > 0, np.maximum(mean_amount, 0.0), 0.0)
    return spending.p * (spending.scale + sums) / (spending.p * orders + spending.q - 1)
