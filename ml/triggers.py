"""What makes customers buy: the signals after which the daily chance of an order is higher, or lower, than usual.

Every customer is their own control (`ml.hazard`). All signals are weighed together, so that one which merely comes
with another gets no credit for it; so are the days of the calendar.
A signal counts from the day after it. Each is tried with five windows, and the one that tells most is shown with an
interval and a p-value that hold for all five at once (Bonferroni), so that choosing costs no honesty.

Two things must fail before a trigger counts as found. The placebo, the same signal at shuffled times, must show
nothing; and the week before the signal must not look like the days after it, for then signal and orders come
together and neither needs the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import csr_matrix
from scipy.stats import norm

from include.lake import Lake
from ml.evaluation import exact
from ml.hazard import Days, HazardFit, fit_hazard
from ml.rates import CONFIDENCE, FALSE_DISCOVERIES, q_values
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.signals import (
    CHANNELS,
    DayIndex,
    History,
    Lags,
    Occurrences,
    Purchases,
    days_at_risk,
    lags_of,
    read_history,
    shifted,
)
from ml.tables import write_table
from ml.threads import single_threaded

MODEL = "purchase_triggers"
TASK = "triggers"
PURCHASE_TRIGGERS = pa.schema(
    [
        ("trigger_id", pa.string()),
        ("trigger", pa.string()),
        ("trigger_kind", pa.string()),
        ("category", pa.string()),
        ("stage", pa.string()),
        ("sales_channel", pa.string()),
        ("window_days", pa.int64()),
        ("customers", pa.int64()),
        ("support", pa.int64()),
        ("purchases_after", pa.int64()),
        ("effect", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("placebo", pa.float64()),
        ("placebo_low", pa.float64()),
        ("placebo_high", pa.float64()),
        ("before_effect", pa.float64()),
        ("before_low", pa.float64()),
        ("before_high", pa.float64()),
        ("verdict", pa.string()),
        ("meaning", pa.string()),
        ("model_version", pa.string()),
        ("as_of_date", pa.date32()),
    ]
)
KEY = ["trigger_id", "category", "stage", "sales_channel"]
ANY = "any"
WINDOWS = (1, 3, 7, 14, 28)
FIRST_WINDOW = 7  # of the signals of which no window can be judged
CRITICAL = float(norm.ppf(1 - (1 - CONFIDENCE) / 2 / len(WINDOWS)))
# What follows orders does so beyond doubt, for many signals are asked.
FOLLOWING_CRITICAL = float(norm.ppf(0.9995))
FOLLOWING_RATIO = 1.3
FOLLOWING_WINDOW = 14
MAX_SIGNALS = 40
RARE_SHARE = 0.2  # of customers at most have a signal of which few are to be lost
SAME_SIGNAL = 0.8  # of the days of either of two signals that hold both
MAX_STRATA = 10_000
MAX_CATEGORY_STRATA = 4_000
MIN_CUSTOMERS = 20
MIN_PURCHASES = 5
MIN_STRATA = 50
# Standard deviations of the priors on logarithms of ratios. A calendar day needs many orders to move from its weekday.
EFFECT_PRIOR = 2.0
WEEKDAY_PRIOR = 1.0
DATE_PRIOR = 0.5


@dataclass(frozen=True)
class Effects:
    """Effects of signals on one outcome (signals,): logarithms of hazard ratios and standard errors of the days after,
    of the placebo and of the week before; purchases within the window; `is_known` where the data say anything."""

    after: np.ndarray
    after_error: np.ndarray
    before: np.ndarray
    before_error: np.ndarray
    difference_error: np.ndarray
    purchases: np.ndarray
    is_known: np.ndarray


def find_triggers(lake: Lake, day: date, models: Any) -> Summary:
    """Write `purchase_triggers` and its model card as of `day`.

    Uses `models.triggers.history_days`, `.categories`, `.min_support` and `models.seed`. Without signals, orders or
    anything that came often enough the table is written empty and the card says why.
    """
    parameters = models.triggers
    with single_threaded():
        history = read_history(lake, day, parameters.history_days, parameters.categories, models.seed)
        if isinstance(history, str):
            return _write_nothing(lake, day, history)
        table = weigh(history, parameters.min_support, models.seed)
        if table.empty:
            return _write_nothing(lake, day, "no signal came often enough among customers who order")
        version = model_version(
            {"task": TASK, "seed": models.seed, **parameters.model_dump()},
            table.drop(columns="meaning"),
        )
        table = table.assign(model_version=version, as_of_date=day)
        rows = write_table(table, PURCHASE_TRIGGERS, KEY, lake.ml(day, MODEL))
        write_model_cards(lake, day, TASK, [_card(table, version)])
    found = table[table["verdict"].isin(["raises", "lowers"])]
    return Summary(
        TASK,
        "reported",
        rows,
        f"{len(found)} of {rows:,} effects found, of {found['trigger_id'].nunique()} triggers",
    )


def weigh(history: History, min_support: int, seed: int) -> pd.DataFrame:
    """The rows of `purchase_triggers` without version and date: every signal that came `min_support` times, at most
    the 40 that most customers had, by sales channel, by stage and by category of what was bought."""
    chosen = _often(history, min_support)
    rng = np.random.default_rng(seed)
    placebo = shifted(history, history.occurrences.where(np.isin(history.occurrences.signal, chosen)), rng)
    occurrences, priority = history.occurrences.sorted(), _priority(history, chosen)
    parts = [
        part
        for channel in _channels(history)
        for part in _weigh_channel(history, chosen, occurrences, placebo, priority, channel, min_support)
    ]
    if not parts:
        return pd.DataFrame(columns=PURCHASE_TRIGGERS.names)
    return _judge(pd.concat(parts, ignore_index=True))


def _often(history: History, min_support: int) -> np.ndarray:
    """The positions of the signals that came often enough; of more than 40, those that most customers had.

    Two that nearly always come together, like opening an application and seeing its first screen, cannot be told
    apart: the one that fewer customers had is left out.
    """
    inside = history.occurrences.where(history.occurrences.day >= 0)
    size = len(history.signals)
    key, place = np.unique(inside.customer * history.length + inside.day, return_inverse=True)
    came = csr_matrix((np.ones(len(place)), (inside.signal, place)), (size, len(key)))
    came.data[:] = 1.0  # a day counts once, whatever number of categories the signal was about
    times = np.diff(came.indptr)
    people = np.bincount(inside.firsts.signal, minlength=size)
    together = (came @ came.T).toarray()
    alike = together / np.maximum(times[:, None] + times[None, :] - together, 1)
    kept: list[int] = []
    for signal in np.lexsort((np.arange(size), -times, -people)):
        is_often = times[signal] >= min_support and people[signal] >= MIN_CUSTOMERS
        if is_often and len(kept) < MAX_SIGNALS and (alike[signal, kept] < SAME_SIGNAL).all():
            kept.append(int(signal))
    return np.sort(np.array(kept, dtype=np.int64))


def _channels(history: History) -> list[str]:
    """Every sales channel apart, where there are both."""
    both = len(np.unique(history.orders.is_store)) == 2
    return list(CHANNELS) if both else [ANY]


def _weigh_channel(
    history: History,
    chosen: np.ndarray,
    occurrences: Occurrences,
    placebo: Occurrences,
    priority: np.ndarray,
    channel: str,
    min_support: int,
) -> Iterator[pd.DataFrame]:
    """All rows of one channel: of all purchases, split by stage, and of each category; `occurrences` are those of the
    history, a day counting once.

    Signals that follow orders are weighed apart: their days tell of orders, and beside them the effect of a signal
    that brings orders about would look smaller than it is.
    """
    outcome = _Outcome.of(history, history.orders, channel, priority)
    if outcome is None:
        return
    following = _follow_orders(outcome, occurrences, chosen)
    own, windows = chosen[~following], np.full(len(chosen), FIRST_WINDOW)
    whole: dict[str, Any] = {
        "sales_channel": channel,
        "min_support": min_support,
        "category": ANY,
        "stage": ANY,
    }
    if following.any():
        rows = _rows(outcome, occurrences, placebo, chosen, windows)
        yield rows[following].assign(**whole)
    if not len(own):
        return
    windows = choose_windows(outcome, occurrences, own)
    yield _rows(outcome, occurrences, placebo, own, windows).assign(**whole)
    if channel == ANY and len(_channels(history)) > 1:
        return  # the parts say more of stages and categories than their sum
    if len(history.stages) > 1:
        for stage, rows in _rows_by_stage(outcome, occurrences, placebo, own, windows):
            yield rows.assign(**whole | {"stage": stage})
    for position, category in enumerate(history.categories):
        outcome = _Outcome.of(history, history.category_orders, channel, priority, position)
        if outcome is not None:
            about = _about(history.occurrences, position).sorted()
            rows = _rows(outcome, about, _about(placebo, position), own, windows)
            yield rows.assign(**whole | {"category": category})


def _priority(history: History, chosen: np.ndarray) -> np.ndarray:
    """Who is taken first where not everybody can be (customers,): those with signals that few have."""
    customers = len(history.watched_from)
    firsts = history.occurrences.firsts
    people = np.bincount(firsts.signal, minlength=len(history.signals))
    firsts = firsts.where(np.isin(firsts.signal, chosen))
    rarest = np.full(customers, customers)
    np.minimum.at(rarest, firsts.customer, people[firsts.signal])
    is_rare = rarest < RARE_SHARE * customers
    priority = np.empty(customers, dtype=np.int64)
    priority[np.lexsort((np.arange(customers), ~is_rare))] = np.arange(customers)
    return priority


def _follow_orders(outcome: _Outcome, occurrences: Occurrences, chosen: np.ndarray) -> np.ndarray:
    """Which of the chosen signals come after orders: the week before them holds far more of these than usual.

    What those leave to others that come with them, such as an answer to the same call, shows in a second round. The
    days after a signal are taken out of what is usual by a long window, lest fewer orders in them pass for more before.
    """
    following = np.zeros(len(chosen), dtype=bool)
    for _ in range(2):
        rest = np.flatnonzero(~following)
        if not len(rest):
            break
        around = outcome.around(occurrences, chosen[rest])
        fitted = _within(outcome, around, np.full(len(rest), FOLLOWING_WINDOW))
        following[rest] = _is_following(fitted.before, fitted.before_error)
        if not following[rest].any():
            break
    return following


def _is_following(before: np.ndarray, error: np.ndarray) -> np.ndarray:
    known = ~np.isnan(before)
    return known & (before > np.log(FOLLOWING_RATIO)) & (before > FOLLOWING_CRITICAL * error)


def _about(occurrences: Occurrences, category: int) -> Occurrences:
    """The signals about a category, and those about none."""
    return occurrences.where((occurrences.category == category) | (occurrences.category == -1))


@dataclass(frozen=True)
class _Around:
    """The days around each signal of some `occurrences`, as far as they were asked for."""

    occurrences: Occurrences
    found: dict[int, tuple[Occurrences, Lags]]

    def signal(self, signal: int, index: DayIndex) -> tuple[Occurrences, Lags]:
        if signal not in self.found:
            begin, end = np.searchsorted(self.occurrences.signal, [signal, signal + 1])
            part = self.occurrences.where(slice(begin, end))
            self.found[signal] = part, lags_of(part, index)
        return self.found[signal]


@dataclass(frozen=True)
class _Outcome:
    """One sort of purchase: its days at risk, and which columns of the calendar, its weekday and its date, each of them
    has. How long the customer's own last order is ago is no column: within a stratum it depends on where the orders
    lie, and would bend every effect (a ratio of 3 became 3.7)."""

    history: History
    days: Days
    index: DayIndex
    calendar: np.ndarray
    prior: np.ndarray
    level: np.ndarray
    seen: dict[int, _Around]

    @staticmethod
    def of(
        history: History,
        purchases: Purchases,
        channel: str,
        priority: np.ndarray,
        category: int | None = None,
    ) -> _Outcome | None:
        """None when too few customer months hold such a purchase."""
        kept = np.ones(len(purchases.day), dtype=bool)
        if channel != ANY:
            kept &= purchases.is_store == (channel == "store")
        if category is not None:
            kept &= purchases.category == category
        pairs = np.unique(np.stack([purchases.customer[kept], purchases.day[kept]], axis=1), axis=0)
        limit = MAX_STRATA if category is None else MAX_CATEGORY_STRATA
        days, index = days_at_risk(history, pairs[:, 0], pairs[:, 1], priority, limit)
        if len(days.cluster) < MIN_STRATA:
            return None
        date_of = index.date
        opened = int(date_of.min())
        weekday = (date_of + history.first_date.weekday()) % 7
        # Of who is new the data do not know yet which signals concern them: their calendar is their own, of weeks.
        length = history.length - opened
        first_day = np.full(len(history.watched_from), history.length)
        np.minimum.at(first_day, pairs[:, 0], pairs[:, 1])
        is_new = np.repeat(first_day[days.cluster] >= date_of[days.begin[:-1]], np.diff(days.begin))
        day = date_of - opened
        calendar = np.stack([weekday, 7 + np.where(is_new, length + day // 7, day)], axis=1)
        prior = np.concatenate([np.full(7, WEEKDAY_PRIOR), np.full(length + length // 7 + 1, DATE_PRIOR)])
        alone = _Outcome(history, days, index, calendar, prior, np.zeros(len(prior)), {})
        level = fit_hazard(days, alone.exposures([]), prior, asked=len(prior)).log_ratio
        return replace(alone, level=level)

    def exposures(self, groups: list[np.ndarray]) -> csr_matrix:
        """The columns of the calendar, and one more for each group of days."""
        first, size = len(self.prior), len(self.calendar)
        every_day = np.arange(size)
        rows = np.concatenate([every_day, every_day, *groups])
        places = np.concatenate(
            [*self.calendar.T, *(np.full(len(group), first + at) for at, group in enumerate(groups))]
        )
        return csr_matrix((np.ones(len(rows)), (rows, places)), (size, first + len(groups)))

    def around(self, occurrences: Occurrences, chosen: np.ndarray) -> list[tuple[Occurrences, Lags]]:
        """The days around each chosen signal; they are remembered, for the same signals are asked for again."""
        if id(occurrences) not in self.seen:
            self.seen[id(occurrences)] = _Around(occurrences, {})
        return [self.seen[id(occurrences)].signal(int(signal), self.index) for signal in chosen]

    def fit(self, after: list[np.ndarray], lags: list[Lags]) -> HazardFit:
        """Fit ratios of the days `after`, and then of the days before and on each signal."""
        groups = [*after, *(lag.before for lag in lags), *(lag.on for lag in lags)]
        first = len(self.prior)
        prior = np.concatenate([self.prior, np.full(len(groups), EFFECT_PRIOR)])
        start = np.concatenate([self.level, np.zeros(len(groups))])
        fitted = fit_hazard(self.days, self.exposures(groups), prior, start, asked=first)
        return HazardFit(fitted.log_ratio[first:], fitted.covariance, fitted.is_known[first:])


def choose_windows(outcome: _Outcome, occurrences: Occurrences, chosen: np.ndarray) -> np.ndarray:
    """The window (chosen signals,) in which each signal tells most, all of them having the same length in a fit."""
    around = outcome.around(occurrences, chosen)
    lags = [lag for _, lag in around]
    told = np.zeros((len(WINDOWS), len(chosen)))
    for number, window in enumerate(WINDOWS):
        fitted = outcome.fit([lag.after[lag.lag <= window] for lag in lags], lags)
        size = len(chosen)
        told[number] = np.abs(fitted.log_ratio[:size]) / fitted.error[:size] * fitted.is_known[:size]
    best = np.array(WINDOWS)[told.argmax(axis=0)]
    return np.where(told.max(axis=0) > 0, best, FIRST_WINDOW)


def _effects(outcome: _Outcome, after: list[np.ndarray], lags: list[Lags], of: np.ndarray) -> Effects:
    """Effects of the groups of days `after`; `of` (groups,) says which signal each belongs to."""
    size = len(after)
    fitted = outcome.fit(after, lags)
    error, before = fitted.error, size + of
    group = np.arange(size)
    variance = error[group] ** 2 + error[before] ** 2 - 2 * fitted.covariance[group, before]
    return Effects(
        fitted.log_ratio[:size],
        error[:size],
        np.where(fitted.is_known[before], fitted.log_ratio[before], np.nan),
        np.where(fitted.is_known[before], error[before], np.nan),
        np.sqrt(np.maximum(variance, 1e-12)),
        np.array([int(outcome.days.is_purchase[days].sum()) for days in after], dtype=np.int64),
        fitted.is_known[:size],
    )


def _rows(
    outcome: _Outcome,
    occurrences: Occurrences,
    placebo: Occurrences,
    chosen: np.ndarray,
    windows: np.ndarray,
) -> pd.DataFrame:
    """One row per chosen signal, with support among all customers of the history."""
    around = outcome.around(occurrences, chosen)
    real = _within(outcome, around, windows)
    shuffled = _within(outcome, outcome.around(placebo, chosen), windows)
    inside = [part.where(part.day >= 0) for part, _ in around]
    return _frame(outcome.history, chosen, windows, inside, real, shuffled)


def _within(outcome: _Outcome, around: list[tuple[Occurrences, Lags]], windows: np.ndarray) -> Effects:
    lags = [lag for _, lag in around]
    after = [lag.after[lag.lag <= window] for lag, window in zip(lags, windows, strict=True)]
    return _effects(outcome, after, lags, np.arange(len(lags)))


def _rows_by_stage(
    outcome: _Outcome,
    occurrences: Occurrences,
    placebo: Occurrences,
    chosen: np.ndarray,
    windows: np.ndarray,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Effects by the stage in which the customer was when the month of the signal began, of one joint fit."""
    stages = len(outcome.history.stages)

    def split(times: Occurrences) -> tuple[list[tuple[Occurrences, Lags]], Effects]:
        around = outcome.around(times, chosen)
        lags = [lag for _, lag in around]
        after = [
            lag.after[(lag.lag <= window) & (part.stage[lag.last] == stage)]
            for (part, lag), window in zip(around, windows, strict=True)
            for stage in range(stages)
        ]
        return around, _effects(outcome, after, lags, np.repeat(np.arange(len(lags)), stages))

    around, real = split(occurrences)
    _, shuffled = split(placebo)
    for stage, name in enumerate(outcome.history.stages):
        part = slice(stage, None, stages)
        inside = [times.where((times.day >= 0) & (times.stage == stage)) for times, _ in around]
        yield (
            name,
            _frame(outcome.history, chosen, windows, inside, _every(real, part), _every(shuffled, part)),
        )


def _every(effects: Effects, part: slice) -> Effects:
    return Effects(*(getattr(effects, name)[part] for name in effects.__dataclass_fields__))


def _frame(
    history: History,
    chosen: np.ndarray,
    windows: np.ndarray,
    inside: list[Occurrences],
    real: Effects,
    shuffled: Effects,
) -> pd.DataFrame:
    kinds = [history.signals[position] for position in chosen]
    return pd.DataFrame(
        {
            "trigger_id": [hashlib.sha256("\n".join(kind).encode()).hexdigest()[:12] for kind in kinds],
            "trigger": [signal for _, signal in kinds],
            "trigger_kind": [kind for kind, _ in kinds],
            "window_days": windows,
            "customers": [times.customers for times in inside],
            "support": [len(times) for times in inside],
            "purchases_after": real.purchases,
            "after": real.after,
            "after_error": real.after_error,
            "shuffled": shuffled.after,
            "shuffled_error": shuffled.after_error,
            "before": real.before,
            "before_error": real.before_error,
            "difference_error": real.difference_error,
            "is_known": real.is_known,
        }
    )


def _judge(rows: pd.DataFrame) -> pd.DataFrame:
    """Effects, intervals, corrected p-values, verdicts and sentences of all rows at once."""
    expected = rows["purchases_after"] / np.exp(rows["after"])
    enough = (
        rows["is_known"]
        & (rows["support"] >= rows["min_support"])
        & (rows["customers"] >= MIN_CUSTOMERS)
        & (np.maximum(rows["purchases_after"], expected) >= MIN_PURCHASES)
    )
    score = rows["after"].abs() / rows["after_error"]
    p_value = np.minimum(2 * norm.sf(score) * len(WINDOWS), 1.0)
    q_value = q_values(np.where(enough, p_value, np.nan))
    placebo_is_null = rows["shuffled"].abs() <= CRITICAL * rows["shuffled_error"]
    before_tells = rows["before"].abs() > CRITICAL * rows["before_error"]
    same_way = np.sign(rows["before"]) == np.sign(rows["after"])
    beyond_before = (rows["after"] - rows["before"]) * np.sign(rows["after"]) > norm.ppf(
        (1 + CONFIDENCE) / 2
    ) * rows["difference_error"]
    # After an order many pause: what follows orders comes before fewer of them without being the reason.
    follows = _is_following(rows["before"].to_numpy(), rows["before_error"].to_numpy()) & (rows["after"] < 0)
    comes_along = (before_tells & same_way & ~beyond_before) | follows
    significant = enough & (q_value <= FALSE_DISCOVERIES)
    found = significant & placebo_is_null & ~comes_along
    shown = rows.assign(p_value=p_value, q_value=q_value)
    for effect, name, log_ratio, error in (
        ("effect", "", "after", "after_error"),
        ("placebo", "placebo_", "shuffled", "shuffled_error"),
        ("before_effect", "before_", "before", "before_error"),
    ):
        shown[effect] = np.exp(rows[log_ratio])
        shown[name + "low"] = np.exp(rows[log_ratio] - CRITICAL * rows[error])
        shown[name + "high"] = np.exp(rows[log_ratio] + CRITICAL * rows[error])
    shown["verdict"] = np.select(
        [~enough, found & (rows["after"] > 0), found], ["too few", "raises", "lowers"], "none shown"
    )
    measures = [
        name
        for name in shown.columns
        if name.endswith(("effect", "placebo", "low", "high", "p_value", "q_value"))
    ]
    shown.loc[~enough, measures] = np.nan
    reason = np.select([significant & ~placebo_is_null, significant & comes_along], ["placebo", "along"], "")
    shown["meaning"] = [_meaning(row, why) for row, why in zip(shown.to_dict("records"), reason, strict=True)]
    return shown.reindex(columns=PURCHASE_TRIGGERS.names)


def _meaning(row: dict[str, Any], reason: str) -> str:
    """The row in one sentence."""
    orders = {"any": "orders", "online": "on-line orders", "store": "store orders"}[row["sales_channel"]]
    if row["category"] != ANY:
        orders += f" of {row['category']}"
    whose = "" if row["stage"] == ANY else f" by customers in the stage {row['stage']}"
    window = "day" if row["window_days"] == 1 else f"{row['window_days']} days"
    begin = f"In the {window} after “{row['trigger']}”, {orders}{whose}"
    if row["verdict"] == "too few":
        return f"{begin} were too few to judge."
    figures = f"{row['effect']:.2f} times as frequent as usual ({row['low']:.2f} to {row['high']:.2f})"
    if reason == "placebo":
        return f"{begin} were {figures}, but so they were at shuffled times: nothing is shown."
    if reason == "along":
        return (
            f"{begin} were {figures}, but in the week before it {row['before_effect']:.2f} times: "
            "the signal comes along with buying and need not be a reason."
        )
    if row["verdict"] == "none shown":
        return f"{begin} were {figures}: no effect is shown."
    return f"{begin} are {figures}."


def _card(table: pd.DataFrame, version: str) -> ModelCard:
    """How many effects are found, beside how many the placebo would have found."""
    judged = table[table["verdict"] != "too few"]
    found = judged["verdict"].isin(["raises", "lowers"])
    error = (np.log(judged["placebo_high"]) - np.log(judged["placebo_low"])) / (2 * CRITICAL)
    placebo_p = np.minimum(2 * norm.sf(np.log(judged["placebo"]).abs() / error) * len(WINDOWS), 1.0)
    placebo_found = float((q_values(placebo_p) <= FALSE_DISCOVERIES).mean()) if len(judged) else 0.0
    share = float(found.mean()) if len(judged) else 0.0
    inside = (
        float(((judged["placebo_low"] <= 1) & (judged["placebo_high"] >= 1)).mean()) if len(judged) else 1.0
    )
    return ModelCard(
        MODEL,
        version,
        TASK,
        (
            CardLine(
                "share of judged effects found",
                exact(share),
                placebo_found,
                "the same signals at shuffled times",
                note=f"{int(found.sum())} of {len(judged)} judged effects; {len(table) - len(judged)} too few to judge",
            ),
            CardLine(
                "share of placebo intervals that hold no effect",
                exact(inside),
                CONFIDENCE,
                "what the intervals promise",
            ),
        ),
    )


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, PURCHASE_TRIGGERS, KEY, lake.ml(day, MODEL))
    return skip(lake, day, TASK, [MODEL], reason)
