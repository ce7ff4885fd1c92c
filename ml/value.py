"""What each customer is worth: whether they are still active, and the orders and the value expected of them.

A model of repeat buying (`ml.repeat_buying`) says how many purchases are expected of each customer and what one is
worth. It takes how often somebody buys and how much they spend for independent and forgets the order of purchases, so
a correction is learned on earlier cutoffs, whose outcome is known: log-linear in what the models say and in the plain
facts, and shrunk to no correction. The correction decides who is worth more than whom; the level stays the model's,
which knows how age and the time ahead change it. Both are judged on a strictly later period against the past rate of
each customer, which is scored instead where they do not win.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import beta, rankdata

from include.lake import Lake
from ml.evaluation import Estimate, auc, calibration_metrics, exact
from ml.expectation import Quality, bootstrapped_ginis, deviances, gain, measure, without_extremes
from ml.first_buying import FirstBuying, fit_first_buying
from ml.purchase_history import (
    Cutoff,
    Leads,
    Purchases,
    first_order_day,
    read_customers,
    read_purchases,
    reading,
)
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, skipped_card, write_model_cards
from ml.repeat_buying import (
    NotFitted,
    RepeatBuying,
    Spending,
    active_interval,
    choose_repeat_buying,
    expected_amount,
    fit_spending,
    forecast,
    summarise,
    uncertainty,
)
from ml.tables import CUSTOMER_SCORES, stable_uniform, write_table
from ml.threads import single_threaded

TASK = "value"
ACTIVE, ORDERS, VALUE = "probability_active", "expected_orders", "expected_value"
FITTED_CUSTOMERS = 20_000  # the likelihood is of these at most, drawn by a hash of their id
LEARNING_CUSTOMERS = 100_000
MIN_REPEATERS = 30
MIN_BUYERS = 100  # at a cutoff, to learn a correction or to judge
MIN_LATER_BUYERS = 30
MIN_AHEAD_DAYS = 7
SHRINKAGE = 0.02
CONFIDENCE = 0.90
NEARLY_COVERED = (
    0.88  # of a later period by intervals of one; today's are of three and so contain more of time
)
LEVELS = (CONFIDENCE, 0.92, 0.94, 0.96, 0.98)
MAX_BINS, CUSTOMERS_PER_BIN = 10, 50
DEVIATIONS = 1.645  # of a normal distribution, for 90 %


@dataclass(frozen=True)
class Models:
    """What is fitted at one cutoff; a model that the data do not determine is None, and `reason` says why."""

    buying: RepeatBuying | None
    spending: Spending | None
    orders_per_purchase: float
    uncertainty: np.ndarray  # of the buying model, as the root of a covariance
    reason: str | None


@dataclass(frozen=True)
class Expected:
    """Arrays (n,) of the buyers at one cutoff, for the days ahead of it. `naive_*` is from each one's past rate."""

    active: np.ndarray
    any_purchase: np.ndarray
    orders: np.ndarray
    value: np.ndarray
    naive_orders: np.ndarray
    naive_value: np.ndarray


@dataclass(frozen=True)
class Period:
    """A cutoff with its customers, what is fitted there, and what that expects of the internal horizon and of all of
    the days ahead."""

    cutoff: Cutoff
    purchases: Purchases
    leads: Leads
    models: Models
    short: Expected
    full: Expected

    def outcome(self, score: str) -> np.ndarray:
        return self.purchases.later_orders if score == ORDERS else self.purchases.later_spent


@dataclass(frozen=True)
class Correction:
    """A factor for each customer: exp of `weights` on the standardised facts, held to the range that was learned."""

    low: np.ndarray
    high: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def apply(self, facts: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Corrected expectations (n,) with the same total as `expected` (n,)."""
        standard = (np.clip(facts, self.low, self.high) - self.center) / self.scale
        corrected = expected * np.exp(standard @ self.weights)
        return corrected * (expected.sum() / corrected.sum()) if corrected.sum() > 0 else expected


@dataclass(frozen=True)
class Spread:
    """The range that holds 90 % of outcome / expectation, by size of the expectation; `edges` part the sizes."""

    edges: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def interval(self, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bins = np.searchsorted(self.edges, expected, side="right")
        return np.minimum(expected * self.low[bins], expected), np.maximum(
            expected * self.high[bins], expected
        )


@dataclass(frozen=True)
class Judgement:
    """What the later period says of one score: which way to score, how good it was there, and why."""

    way: str  # corrected, model or naive
    promoted: bool
    level: float  # of the intervals
    lines: tuple[CardLine, ...]
    note: str


@dataclass(frozen=True)
class Sobering:
    """What is made of the model's probability of being active: the log-odds times `slope`, plus `intercept`."""

    slope: float
    intercept: float

    def __call__(self, active: np.ndarray) -> np.ndarray:
        held = np.clip(active, 1e-6, 1 - 1e-6)
        return 1 / (1 + np.exp(-(self.slope * np.log(held / (1 - held)) + self.intercept)))


@dataclass(frozen=True)
class Scored:
    """Value and 90 % interval (customers,) of one score."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def value_customers(lake: Lake, day: date, models: Any) -> Summary:
    """Write the scores `probability_active`, `expected_orders` and `expected_value` of every customer as of `day`, and
    a model card for each.

    Uses `models.value.horizon_days` and `models.seed`. The intervals of orders and value hold what a customer does in
    nine cases of ten; that of the probability holds the probability. Without any order, all is written empty but for
    the reason; without any amount there is no `expected_value`.
    """
    horizon = models.value.horizon_days
    orders, people = lake.staged("customer_orders"), lake.table("cdp", "customers")
    with single_threaded():
        if not people.exists():
            return _write_nothing(lake, day, "there are no customers")
        with reading(orders, people, lake) as connection:
            customers = read_customers(connection, day)
            started = first_order_day(connection, day)
            if not len(customers) or started is None:
                return _write_nothing(lake, day, "no customer has ordered yet")
            cutoffs = choose_cutoffs(day, started, horizon)
            sampled = _draw(customers.customer_id, LEARNING_CUSTOMERS, models.seed)
            read = read_purchases(connection, customers, sampled, cutoffs)
        if not len(read[0][0]):
            return _write_nothing(lake, day, "no customer has ordered yet")
        chosen = stable_uniform(customers.customer_id, "value fit", models.seed)
        days = (cutoffs[-1].ahead or horizon, horizon)
        periods = [
            _look(cutoff, purchases, leads, chosen, days)
            for cutoff, (purchases, leads) in zip(cutoffs, read, strict=True)
        ]
        scored, cards, note = learn_and_score(periods, len(customers), horizon, models.seed)
        frame = _frame(scored, cards, customers.customer_id, day)
        rows = write_table(
            frame, CUSTOMER_SCORES, ["customer_id", "score"], lake.ml(day, f"customer_scores_{TASK}")
        )
        write_model_cards(lake, day, TASK, cards)
    verdicts = {line.verdict for card in cards for line in card.lines}
    status = next((verdict for verdict in ("promoted", "refused") if verdict in verdicts), "reported")
    return Summary(TASK, status, rows, note)


def choose_cutoffs(day: date, started: date, horizon_days: int) -> list[Cutoff]:
    """The day itself, then cutoffs one, one and a half and two internal horizons before it.

    The internal horizon is the configured one, or a third of the history where that is shorter; with less than three
    weeks of history there is no cutoff but the day.
    """
    ahead = min(horizon_days, (day - started).days // 3)
    now = Cutoff(day, 0)
    if ahead < MIN_AHEAD_DAYS:
        return [now]
    return [now, *(Cutoff(day - timedelta(days=days), ahead) for days in (ahead, ahead * 3 // 2, 2 * ahead))]


def fit_models(purchases: Purchases, drawn: np.ndarray) -> Models:
    """Fit both models on the customers with the lowest of `drawn` (n,), uniform numbers of their own."""
    rows = np.sort(np.argsort(drawn, kind="stable")[:FITTED_CUSTOMERS])
    sample = purchases.take(rows)
    ratio = float(purchases.orders.sum() / max(purchases.purchases.sum(), 1))
    repeaters = int((sample.purchases > 1).sum())
    try:
        spending = fit_spending(sample.purchases, sample.mean_amount)
    except NotFitted:
        spending = None
    if repeaters < MIN_REPEATERS:
        reason = f"{repeaters} customers have bought again, at least {MIN_REPEATERS} are needed"
        return Models(None, spending, ratio, np.zeros((4, 4)), reason)
    history = sample.history
    summary = summarise(history.repeats, history.last, history.age, history.log_pauses)
    try:
        buying = choose_repeat_buying(summary)
    except NotFitted as problem:
        return Models(None, spending, ratio, np.zeros((4, 4)), str(problem))
    return Models(buying, spending, ratio, uncertainty(buying, summary), None)


def expect(models: Models, purchases: Purchases, ahead: int) -> Expected:
    """What the models and the past rates expect in `ahead` days; without a model its part repeats the naive one."""
    naive_orders, naive_amount = _naive(purchases, ahead, models.orders_per_purchase)
    naive_value = naive_orders / models.orders_per_purchase * naive_amount
    if models.buying is None:
        active = np.exp(-(purchases.age - purchases.last) / max(ahead, 1))
        return Expected(active, active, naive_orders, naive_value, naive_orders, naive_value)
    ahead_of = forecast(models.buying, purchases.history, float(ahead))
    times = np.minimum(ahead_of.purchases, ahead)  # one a day is the most
    amount = (
        expected_amount(models.spending, purchases.purchases, purchases.mean_amount)
        if models.spending
        else naive_amount
    )
    return Expected(
        ahead_of.active,
        ahead_of.any_purchase,
        times * models.orders_per_purchase,
        times * amount,
        naive_orders,
        naive_value,
    )


def _naive(purchases: Purchases, ahead: int, orders_per_purchase: float) -> tuple[np.ndarray, np.ndarray]:
    """Orders in `ahead` days at each one's past rate of repeating, and each one's mean amount, with as much of
    everybody's as one more horizon and one more purchase would bring."""
    repeats, age = purchases.purchases - 1, purchases.age
    ahead = max(ahead, 1)
    common = (repeats.sum() + 0.5) / (age.sum() + ahead)
    rate = np.minimum((repeats + common * ahead) / (age + ahead), 1.0)
    spent = np.maximum(purchases.spent, 0)
    mean = spent.sum() / max(purchases.purchases.sum(), 1)
    return rate * ahead * orders_per_purchase, (spent + mean) / (purchases.purchases + 1)


def facts(purchases: Purchases, expected: Expected) -> np.ndarray:
    """What the correction is learned from (n, 7): what the models say, and the plain facts, all as logarithms."""
    usual = float(np.median(purchases.mean_amount)) or 1.0
    value_of_order = np.maximum(expected.value, 1e-9) / np.maximum(expected.orders, 1e-9)
    return np.column_stack(
        [
            np.log(np.maximum(expected.orders, 1e-6)),
            np.log(np.maximum(value_of_order / usual, 1e-6)),
            np.log1p(np.maximum(purchases.spent, 0) / usual),
            np.log(purchases.purchases),
            np.log1p((purchases.age - purchases.last) / 30),
            np.log1p(purchases.age / 30),
            np.log(np.maximum(purchases.orders, 1) / purchases.purchases),
        ]
    )


def learn_correction(periods: list[Period], score: str) -> Correction | None:
    """The correction that makes the outcomes of `periods` likeliest as Poisson means around the model's expectation,
    the weights being drawn to 0 by a ridge; None where too few bought.

    Each period has a level of its own, so that a season is not taken for a difference between customers.
    """
    usable = [period for period in periods if _can_learn(period, score)]
    if not usable:
        return None
    matrix = np.concatenate([facts(period.purchases, period.short) for period in usable])
    center, scale = matrix.mean(axis=0), matrix.std(axis=0)
    standard = (matrix - center) / np.where(scale > 1e-9, scale, 1.0)
    of = np.repeat(np.arange(len(usable)), [len(period.purchases) for period in usable])
    level = np.eye(len(usable))[of]
    came = [without_extremes(period.outcome(score)) for period in usable]
    outcome = np.concatenate([outcome / outcome.mean() for outcome in came])
    base = np.concatenate([_share(_model(period.short, score)) for period in usable])
    design = np.column_stack([level, standard])
    ridge = np.r_[np.zeros(len(usable)), np.full(standard.shape[1], SHRINKAGE)]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        linear = base + design @ weights
        mean = np.exp(np.minimum(linear, 30))
        value = (mean - outcome * linear).mean() + (ridge * weights**2).sum() / 2
        return float(value), design.T @ (mean - outcome) / len(outcome) + ridge * weights

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    if not np.isfinite(found.x).all():
        return None
    return Correction(
        matrix.min(axis=0),
        matrix.max(axis=0),
        center,
        np.where(scale > 1e-9, scale, 1.0),
        found.x[len(usable) :],
    )


def expectations(period: Period, score: str, correction: Correction | None) -> dict[str, np.ndarray]:
    """Each way to score the buyers of `period` over all of the days ahead: corrected, model and naive."""
    ways = {"naive": period.full.naive_orders if score == ORDERS else period.full.naive_value}
    if period.models.buying is not None:
        ways["model"] = _model(period.full, score)
        if correction is not None:
            ways["corrected"] = correction.apply(facts(period.purchases, period.short), ways["model"])
    return ways


def judge(periods: list[Period], score: str, seed: int) -> Judgement:
    """Learn on the oldest cutoff, whose outcome ends where the latest begins, and judge on the latest."""
    current, *past = periods
    if not past:
        note = f"not judged: {3 * MIN_AHEAD_DAYS} days of history are needed"
        return _unjudged(note)
    later, older = past[0], past[-1]
    if later.models.buying is None:
        return _unjudged(f"no model at {later.cutoff.day:%Y-%m-%d}: {later.models.reason}")
    if len(later.purchases) < MIN_BUYERS:
        return _unjudged(
            f"not judged: {len(later.purchases):,} had bought by {later.cutoff.day:%Y-%m-%d}, at least {MIN_BUYERS} "
            "are needed"
        )
    ways = expectations(later, score, learn_correction([older], score))
    outcome = later.outcome(score)
    plain = later.purchases.spent if score == VALUE else later.purchases.orders
    ginis = bootstrapped_ginis(outcome, ways | {"past": np.maximum(plain, 0)}, seed)
    quality = {way: measure(outcome, expected, ginis[way]) for way, expected in ways.items()}
    best = min(
        (way for way in ways if way != "naive"), key=lambda way: quality[way].deviance, default="naive"
    )
    looks = max(len(ways) - 1, 1)
    held = without_extremes(outcome)
    gained = gain(deviances(held, ways["naive"]) - deviances(held, ways[best]), looks)
    nearer = gain(np.abs(outcome - ways["naive"]) - np.abs(outcome - ways[best]), looks)
    # The error alone would favour who expects too little of everybody: most buy nothing. The deviance would not, but a
    # few large orders decide its interval.
    promoted = best != "naive" and nearer.low > 0 and gained.value > 0
    way = best if promoted else "naive"
    words = {"naive": "the past rate", "model": "the model", "corrected": "the corrected model"}
    note = (
        f"judged on {len(outcome):,} buyers in the {later.cutoff.ahead} days after {later.cutoff.day:%Y-%m-%d}: "
        f"{words[best]} errs by {quality[best].mae.value:.3g} against {quality['naive'].mae.value:.3g} "
        f"of the past rate (nearer by {nearer.value:.3g}, 95 % between {nearer.low:.3g} and {nearer.high:.3g})"
    )
    if current.models.buying is not None:
        note += f"; {current.models.buying.name}"
    if current.models.reason:
        note += f"; no model: {current.models.reason}"
    verdict = "promoted" if promoted else "refused"
    coverage = check_intervals(older, later, score, way)
    lines = (
        CardLine("nearer_by", nearer, 0.0, "the past rate", verdict, note),
        CardLine("deviance_gain", gained, 0.0, "the past rate", verdict),
        *_quality_lines(quality[best], quality["naive"], verdict),
        CardLine(
            "gini",
            quality[best].gini,
            max(ginis["past"].value, quality["naive"].gini.value),
            "past spend" if score == VALUE else "past orders",
            verdict,
            "normalised; the baseline is the better of past total and past rate",
        ),
        *_coverage_lines(coverage, verdict),
    )
    return Judgement(way, promoted, coverage.level if coverage else CONFIDENCE, lines, note)


def sober(periods: list[Period]) -> Sobering | None:
    """The map of the probability of being active that makes who bought again likeliest, drawn to no change.

    Nobody sees who is active, only who buys: the probability of both times the model's chance that an active customer
    buys in these days. Where customers leave for other reasons than the model's, it is too sure, and the slope is less
    than 1. None where too few did either.
    """
    usable = [period for period in periods if period.models.buying is not None and _has_both(period)]
    if not usable:
        return None
    active = np.concatenate([period.short.active for period in usable])
    buys = np.concatenate([_buys_if_active(period.short) for period in usable])
    again = np.concatenate([period.purchases.later_orders > 0 for period in usable])

    def loss(parameters: np.ndarray) -> float:
        slope, intercept = parameters
        losses = _log_losses(again, Sobering(slope, intercept)(active) * buys)
        return float(losses.mean() + SHRINKAGE / 20 * ((slope - 1) ** 2 + intercept**2))

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 3.0), (-10.0, 10.0)])
    return Sobering(float(found.x[0]), float(found.x[1])) if np.isfinite(found.x).all() else None


def judge_active(past: list[Period]) -> tuple[bool, CardLine | None]:
    """Whether a probability sobered on the oldest cutoff foretells better on the latest one who buys again."""
    if len(past) < 2 or past[0].models.buying is None or not _has_both(past[0]):
        return False, None
    older, later = past[-1], past[0]
    sobering = sober([older])
    if sobering is None:
        return False, None
    again, buys = later.purchases.later_orders > 0, _buys_if_active(later.short)
    gained = gain(
        _log_losses(again, later.short.active * buys)
        - _log_losses(again, sobering(later.short.active) * buys)
    )
    promoted = gained.low > 0
    note = (
        f"by how much the log loss of buying again falls with log-odds times {sobering.slope:.2f} and "
        f"{sobering.intercept:+.2f}, learned on {older.cutoff.day:%Y-%m-%d}"
    )
    return promoted, CardLine(
        "log_loss_gain", gained, 0.0, "the model as it is", "promoted" if promoted else "refused", note
    )


def _has_both(period: Period) -> bool:
    again = int((period.purchases.later_orders > 0).sum())
    return min(again, len(period.purchases) - again) >= MIN_LATER_BUYERS


def _buys_if_active(expected: Expected) -> np.ndarray:
    """The probability (n,) that a customer who is active buys in the days ahead."""
    return np.clip(expected.any_purchase / np.maximum(expected.active, 1e-12), 0.0, 1.0)


def _log_losses(happened: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    held = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return -np.where(happened, np.log(held), np.log1p(-held))


def learn_spread(
    periods: list[Period], score: str, way: str, correction: Correction | None, level: float = CONFIDENCE
) -> Spread | None:
    """The range that holds `level` of the outcomes, by size of what was expected; None with too few customers."""
    pairs = []
    for period in periods:
        ways = expectations(replace(period, full=period.short), score, correction)
        if way in ways and len(period.purchases) >= CUSTOMERS_PER_BIN:
            pairs.append((ways[way], period.outcome(score)))
    if not pairs:
        return None
    expected = np.concatenate([pair[0] for pair in pairs])
    ratio = np.concatenate([pair[1] for pair in pairs]) / np.maximum(expected, 1e-9)
    count = int(np.clip(len(expected) // CUSTOMERS_PER_BIN, 1, MAX_BINS))
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, count + 1)[1:-1]))
    bins = np.searchsorted(edges, expected, side="right")
    lows, highs = np.zeros(len(edges) + 1), np.ones(len(edges) + 1)
    for number in np.unique(bins):
        inside = ratio[bins == number]
        low = np.quantile(inside, (1 - level) / 2, method="lower")
        # Where many buy nothing the range begins at 0 and all of the rest is left out above it.
        lows[number] = low
        highs[number] = np.quantile(inside, (1 + level) / 2 if low > 0 else level, method="higher")
    return Spread(edges, lows, highs)


def learn_and_score(
    periods: list[Period], customers: int, horizon_days: int, seed: int
) -> tuple[dict[str, Scored], list[ModelCard], str]:
    """Judge each score, refit it on every cutoff with an outcome, and score all customers of the first period.

    Returns the scores by name, their cards, and one line in words.
    """
    current, *past = periods
    has_amounts = bool((current.purchases.spent > 0).any())
    leads = learn_leads(past[0], _usual(current, VALUE)) if past else None
    scored, cards, notes = {}, [], []
    for score in (ORDERS, VALUE) if has_amounts else (ORDERS,):
        judgement = judge(periods, score, seed)
        correction = learn_correction(past, score) if judgement.way == "corrected" else None
        ways = expectations(current, score, correction)
        way = judgement.way if judgement.way in ways else "model" if "model" in ways else "naive"
        spread = learn_spread(past, score, way, correction, judgement.level)
        buyers = _with_interval(ways[way], spread, current, score)
        of_leads = _score_leads(current, leads, score, horizon_days)
        scored[score] = _join(customers, current, buyers, of_leads)
        version = _version(score, way, horizon_days, seed, current, correction)
        lines = (
            *judgement.lines,
            *_correction_lines(correction),
            CardLine(
                "buyers", exact(len(current.purchases)), note=f"scored by {way}, {horizon_days} days ahead"
            ),
            CardLine("leads", exact(len(current.leads)), note=_leads_note(past)),
            *_lead_lines(past, score),
        )
        cards.append(ModelCard(score, version, TASK, lines))
        notes.append(f"{score} by {way}")
    if not has_amounts:
        cards.append(skipped_card(VALUE, TASK, "no order has an amount"))
    promoted, line = judge_active(past)
    sobering = sober(past) if promoted else None
    scored[ACTIVE] = _score_active(customers, current, leads, horizon_days, sobering)
    version = _version(ACTIVE, f"model, {sobering}", horizon_days, seed, current, None)
    active_lines = _active_lines(current, past, sobering)
    active_lines += [*([line] if line else []), *_lead_lines(past, ACTIVE)]
    cards.append(ModelCard(ACTIVE, version, TASK, tuple(active_lines)))
    return (
        scored,
        cards,
        f"{customers:,} customers, {len(current.purchases):,} of them buyers; " + ", ".join(notes),
    )


def _look(
    cutoff: Cutoff, purchases: Purchases, leads: Leads, drawn: np.ndarray, days: tuple[int, int]
) -> Period:
    """Fit at a cutoff and look ahead: `days` are the internal horizon and, for the day itself, all of the days."""
    models = fit_models(purchases, drawn[purchases.who])
    short = expect(models, purchases, days[0])
    full = short if cutoff.ahead or days[0] == days[1] else expect(models, purchases, days[1])
    return Period(cutoff, purchases, leads, models, short, full)


def _model(expected: Expected, score: str) -> np.ndarray:
    return expected.orders if score == ORDERS else expected.value


def _share(expected: np.ndarray) -> np.ndarray:
    """Logarithm of expectations (n,) in units of their mean."""
    return np.log(np.maximum(expected, 1e-9)) - np.log(max(expected.mean(), 1e-9))


def _can_learn(period: Period, score: str) -> bool:
    outcome = period.outcome(score)
    return (
        len(outcome) >= MIN_BUYERS
        and int((outcome > 0).sum()) >= MIN_LATER_BUYERS
        and period.models.buying is not None
    )


def _with_interval(expected: np.ndarray, spread: Spread | None, period: Period, score: str) -> Scored:
    if spread is not None:
        low, high = spread.interval(expected)
        return Scored(expected, low, high)
    # Nothing was measured: as if rates varied like an exponential, and at least one order may always come.
    orders = period.full.naive_orders
    most = np.maximum(np.ceil(np.log(1 - CONFIDENCE) / np.log(orders / (1 + orders)) - 1), 1.0)
    each = (
        np.divide(expected, orders, out=np.ones_like(expected), where=orders > 0) if score == VALUE else 1.0
    )
    return Scored(expected, np.zeros(len(expected)), np.maximum(most * each, expected))


def _join(customers: int, period: Period, buyers: Scored, leads: Scored) -> Scored:
    """One array over all customers of what is said of the buyers and of the others."""
    joined = Scored(*(np.zeros(customers) for _ in range(3)))
    for name, column in vars(joined).items():
        column[period.purchases.who] = getattr(buyers, name)
        column[period.leads.who] = getattr(leads, name)
    return joined


@dataclass(frozen=True)
class LeadModel:
    """What became of the leads of a cutoff: how many there were, how many of them bought in the days `ahead`, when
    (`first`), how many orders a day followed (`pace`), how many one who bought made in all (`each`), what an order was
    worth, and the 90 % quantile of orders."""

    first: FirstBuying
    ahead: int
    watched: int
    bought: int
    pace: float
    each: float
    worth: float
    most: float

    @property
    def rate(self) -> float:
        """The share that bought, with half a person more who did and half a person more who did not."""
        return (self.bought + 0.5) / (self.watched + 1)

    def chance(self, leads: Leads, ahead: int) -> np.ndarray:
        """The probability (leads,) of a first purchase in the days `ahead`."""
        return self.first.chance(np.minimum(leads.known_days, self.ahead), ahead)

    def expect(self, leads: Leads, ahead: int, score: str) -> np.ndarray:
        """The orders, or their value, expected (leads,): a first one, and what follows it in the rest of the days."""
        left = self.first.days_left(np.minimum(leads.known_days, self.ahead), ahead)
        return (self.chance(leads, ahead) + self.pace * left) * (1.0 if score == ORDERS else self.worth)


def learn_leads(period: Period, usual: float) -> LeadModel | None:
    """Learn from the leads of a cutoff with an outcome; None when there were none. `usual` is what an order is worth
    where none of them bought."""
    leads, ahead = period.leads, period.cutoff.ahead
    if not len(leads):
        return None
    did = leads.later_orders > 0
    waited, orders = leads.waited_days[did], leads.later_orders[did].sum()
    left = (ahead - waited).sum()
    return LeadModel(
        fit_first_buying(waited, len(leads), ahead),
        ahead,
        len(leads),
        len(waited),
        float((orders - len(waited)) / left) if left > 0 else 0.0,
        float(orders / len(waited)) if len(waited) else 1.0,
        float(leads.later_spent[did].sum() / orders) if orders else usual,
        float(np.quantile(leads.later_orders, CONFIDENCE, method="higher")),
    )


def _score_leads(current: Period, model: LeadModel | None, score: str, horizon_days: int) -> Scored:
    """What is expected of who has not bought. The interval is wide: from nothing to at least one usual order."""
    usual = _usual(current, score)
    if model is None:
        value, most = _chance_of_leads(current, model, horizon_days).value * usual, 0.0
    else:
        value = model.expect(current.leads, horizon_days, score)
        most = model.most * horizon_days / model.ahead * (1.0 if score == ORDERS else model.worth)
    return Scored(value, np.zeros(len(value)), np.maximum(max(most, usual), value))


def _chance_of_leads(current: Period, model: LeadModel | None, horizon_days: int) -> Scored:
    """The probability (leads,) of a first purchase in all of the days, with a 90 % interval as wide for its size as
    that of the share of earlier leads who bought (Jeffreys)."""
    count = len(current.leads)
    if model is None:
        share = (len(current.purchases) + 0.5) / (len(current.purchases) + count + 1)
        return Scored(np.full(count, share), np.zeros(count), np.ones(count))
    chance = model.chance(current.leads, horizon_days)
    a, b = model.bought + 0.5, model.watched - model.bought + 0.5
    low, high = beta.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], a, b) * (a + b) / a
    return Scored(chance, chance * min(low, 1.0), np.minimum(chance * max(high, 1.0), 1.0))


def _lead_lines(past: list[Period], score: str) -> tuple[CardLine, ...]:
    """How what was learned from the leads of the oldest cutoff foretold those of the latest; the baseline is their rate
    as it was."""
    if len(past) < 2 or not len(past[0].leads):
        return ()
    later, model = past[0], learn_leads(past[-1], _usual(past[0], VALUE))
    if model is None:
        return ()
    leads, ahead = later.leads, later.cutoff.ahead
    did = leads.later_orders > 0
    note = (
        f"{len(leads):,} leads of {later.cutoff.day:%Y-%m-%d}, of whom {int(did.sum()):,} bought in the {ahead} days "
        f"after; learned on {past[-1].cutoff.day:%Y-%m-%d}"
    )
    if score == ACTIVE:
        chance = model.chance(leads, ahead)
        error = calibration_metrics(did.astype(np.float64), chance, np.ones((1, len(did))))["ece"][0]
        constant = abs(model.rate - float(did.mean()))
        return (
            CardLine(
                "leads_buy", exact(float(chance.mean())), float(did.mean()), "the share that did", note=note
            ),
            CardLine(
                "ece_of_leads", exact(float(error)), constant, "the rate of the leads before", note=note
            ),
        )
    came = float((leads.later_orders if score == ORDERS else leads.later_spent).sum())
    if came <= 0:
        return ()
    each = model.each * (1.0 if score == ORDERS else model.worth)
    return (
        CardLine(
            "leads_total_error",
            exact(float(model.expect(leads, ahead, score).sum()) / came - 1),
            len(leads) * model.rate * each / came - 1,
            "the rate of the leads before",
            note=f"expected over actual, less 1: {note}",
        ),
    )


def _usual(period: Period, score: str) -> float:
    """One order, or what one is worth on average."""
    spent = float(np.maximum(period.purchases.spent, 0).sum())
    return 1.0 if score == ORDERS else spent / float(period.purchases.orders.sum())


def _score_active(
    customers: int, current: Period, leads: LeadModel | None, horizon_days: int, sobering: Sobering | None
) -> Scored:
    """The probability of being active, with the interval that the uncertain parameters allow; of a lead, the
    probability of a first purchase."""
    active, models = current.short.active, current.models
    if models.buying is None:
        buyers = Scored(active, np.zeros(len(active)), np.ones(len(active)))
    else:
        low, high = active_interval(models.buying, models.uncertainty, current.purchases.history, DEVIATIONS)
        buyers = Scored(active, np.minimum(low, active), np.maximum(high, active))
        if sobering is not None:
            buyers = Scored(*(sobering(column) for column in vars(buyers).values()))
    return _join(customers, current, buyers, _chance_of_leads(current, leads, horizon_days))


def _active_lines(current: Period, past: list[Period], sobering: Sobering | None) -> list[CardLine]:
    """The parameters, and how well the probabilities foretell on the later period who buys again."""
    models = current.models
    if models.buying is None:
        return [
            CardLine(
                "none",
                None,
                note=f"no model: {models.reason}; it falls with the time since the last purchase, and its interval is "
                "all there is",
            )
        ]
    buying = models.buying
    lines = [
        CardLine("shape", exact(buying.shape), note=f"{buying.name}, times in days"),
        CardLine("scale", exact(buying.scale)),
        CardLine("a", exact(buying.a)),
        CardLine("b", exact(buying.b)),
        CardLine(
            "mean", exact(float(current.short.active.mean())), note="of all buyers, before it is sobered"
        ),
    ]
    if sobering is not None:
        name = "the model as it is"
        lines += [
            CardLine("slope", exact(sobering.slope), 1.0, name, note="of the log-odds"),
            CardLine("intercept", exact(sobering.intercept), 0.0, name, note="of the log-odds"),
        ]
    if not past or past[0].models.buying is None:
        return lines
    later = past[0]
    again = (later.purchases.later_orders > 0).astype(np.float64)
    if 0 < again.sum() < len(again):
        pause = later.purchases.age - later.purchases.last
        everyone = np.ones((1, len(again)))
        calibration = calibration_metrics(again, later.short.any_purchase, everyone)
        lines += [
            CardLine(
                "auc_of_buying_again",
                exact(auc(again, later.short.active)),
                auc(again, -pause),
                "recency",
                note=f"who buys in the {later.cutoff.ahead} days after {later.cutoff.day:%Y-%m-%d}; to be active is "
                "more than to buy by then",
            ),
            CardLine(
                "buys_again",
                exact(float(later.short.any_purchase.mean())),
                float(again.mean()),
                "the share that did",
                note="the same model's probability of any purchase in these days",
            ),
            CardLine(
                "ece_of_buying_again",
                exact(float(calibration["ece"][0])),
                float(np.abs(again - again.mean()).mean()),
                "the base rate's mean error",
            ),
        ]
    return lines


def _quality_lines(quality: Quality, naive: Quality, verdict: str) -> tuple[CardLine, ...]:
    name = "the past rate"
    return (
        CardLine("mae", quality.mae, naive.mae.value, name, verdict),
        CardLine("rmse", exact(quality.rmse), naive.rmse, name, verdict),
        CardLine(
            "total_error",
            exact(quality.total_error),
            naive.total_error,
            name,
            verdict,
            "expected over actual, less 1",
        ),
    )


@dataclass(frozen=True)
class Coverage:
    """How many outcomes of the later period lie in intervals learned on the older one: at the level aimed at, and the
    least level at which as many do."""

    share: Estimate
    level: float


def check_intervals(older: Period, later: Period, score: str, way: str) -> Coverage | None:
    """Learn intervals on the `older` period and count what they hold of the `later` one; None with too few customers.

    What customers do varies more from one time to the next than within one, so intervals of the level aimed at may hold
    too little later. Wider ones are tried until they do.
    """
    correction = learn_correction([older], score) if way == "corrected" else None
    ways, outcome = expectations(later, score, correction), later.outcome(score)
    shares = []
    for level in LEVELS:
        spread = learn_spread([older], score, way, correction, level)
        if spread is None or way not in ways:
            return None
        low, high = spread.interval(ways[way])
        inside = ((low <= outcome) & (outcome <= high)).astype(np.float64)
        shares.append(gain(inside))
        if shares[-1].value >= NEARLY_COVERED:
            break
    return Coverage(shares[0], level)


def _coverage_lines(coverage: Coverage | None, verdict: str) -> tuple[CardLine, ...]:
    if coverage is None:
        return ()
    return (
        CardLine(
            "coverage",
            coverage.share,
            CONFIDENCE,
            "the share aimed at",
            verdict,
            "buyers of the later period whose outcome lies in the interval learned on the older one; more where nearly "
            "all buy nothing",
        ),
        CardLine(
            "interval_level",
            exact(coverage.level),
            CONFIDENCE,
            "the share aimed at",
            verdict,
            "the level of the intervals of today's scores, raised until the later period was covered",
        ),
    )


def _correction_lines(correction: Correction | None) -> tuple[CardLine, ...]:
    if correction is None:
        return ()
    names = (
        "expected orders",
        "value of an order",
        "past spend",
        "purchases",
        "recency",
        "age",
        "orders per purchase",
    )
    said = ", ".join(f"{name} {weight:+.2f}" for name, weight in zip(names, correction.weights, strict=True))
    size = float(np.sqrt((correction.weights**2).sum()))
    return (CardLine("correction", exact(size), note=f"weights on the standardised logarithms: {said}"),)


def _leads_note(past: list[Period]) -> str:
    if not past or not len(past[0].leads):
        return "no earlier leads were watched: the share of customers who have bought stands in, from nothing to all"
    earlier = past[0].leads
    return (
        f"{int((earlier.later_orders > 0).sum()):,} of {len(earlier):,} earlier leads bought within "
        f"{past[0].cutoff.ahead} days"
    )


def _unjudged(note: str) -> Judgement:
    return Judgement(
        "naive", False, CONFIDENCE, (CardLine("none", None, note=f"{note}; the past rate is scored"),), note
    )


def _version(
    score: str, way: str, horizon_days: int, seed: int, current: Period, correction: Correction | None
) -> str:
    parameters = {"task": TASK, "score": score, "way": way, "horizon_days": horizon_days, "seed": seed}
    purchases = current.purchases
    training = np.column_stack([purchases.purchases, purchases.last, purchases.age, purchases.spent])
    weights = correction.weights if correction else np.zeros(0)
    return model_version(parameters, training, weights)


def _frame(
    scored: dict[str, Scored], cards: list[ModelCard], customers: np.ndarray, day: date
) -> pd.DataFrame:
    versions = {card.model: card.model_version for card in cards}
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "customer_id": customers,
                    "as_of_date": day,
                    "score": score,
                    "value": values.value,
                    "percentile": 100 * rankdata(values.value, method="max") / max(len(customers), 1),
                    "low": values.low,
                    "high": values.high,
                    "model_version": versions[score],
                }
            )
            for score, values in scored.items()
        ],
        ignore_index=True,
    )[CUSTOMER_SCORES.names]


def _draw(customers: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """A mask of about `rows` customers, by a hash of their id."""
    if len(customers) <= rows:
        return np.ones(len(customers), dtype=bool)
    return stable_uniform(customers, "value sample", seed) < rows / len(customers)


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, CUSTOMER_SCORES, ["customer_id", "score"], lake.ml(day, f"customer_scores_{TASK}"))
    return skip(lake, day, TASK, (ACTIVE, ORDERS, VALUE), reason)
