"""How likely each customer is to buy within the horizon, at all and in each large category, or to do something else
that the company names. Each is a contest of its own (`ml.contest`), with its own model card.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import rankdata

from include.config.schema import Models
from include.lake import Lake, replacing
from ml.champions import read_champion, write_champion
from ml.classifier import ALGORITHMS, LINEAR, Classifier
from ml.contest import NaiveGuess, Target, hold_contest
from ml.features import (
    FREQUENCY_NAMES,
    LABEL,
    LATELY_NAMES,
    RECENCY_NAMES,
    SNAPSHOTS,
    count_current,
    current_customers_at,
    find_column,
    numbers,
    read_current,
    read_snapshots,
    refuse_another_day,
)
from ml.registry import ModelCard, Summary, skipped_card, write_model_cards
from ml.rows import Rows
from ml.spread import Part, Spread, in_one_process, share
from ml.tables import CUSTOMER_SCORES, read_table, stable_uniform, write_table
from ml.threads import single_threaded

MODEL = "purchase_probability"
TASK = "propensity"
CATEGORY_TABLE = "customer_category_snapshots"
LABEL_TABLE = "propensity_labels"
MIN_POSITIVES = 50
MIN_NEGATIVES = 30
TRAINING_ROWS = 200_000  # per cutoff; more customers are sampled by a hash of their id
CATEGORY_ROWS = 50_000
BAGS = 10
CATEGORY_BAGS = 7
SCORING_BLOCK = 100_000
DRIFT_ROWS = 20_000
KEYS = ["customer_id", "as_of_date"]
INTERVAL = ("value", "low", "high")


@dataclass(frozen=True)
class Question:
    """A score, what it foresees in words, and how its snapshots differ from those of buying at all."""

    score: str
    event: str
    category: str | None = None
    is_custom: bool = False


@dataclass(frozen=True)
class Scorer:
    """What gives a score: its question, the version of its model, and the model."""

    question: Question
    version: str
    model: Classifier


def score_customers(lake: Lake, day: date, models: Models) -> Summary:
    """Write the propensities of `customer_scores`, their model cards and champions, as of `day`, in one process.

    Buying at all is `purchase_probability`, in a category `purchase_probability:<category>`, and a propensity that the
    configuration names bears its own name. What cannot be learned is skipped with the reason in its card. Raises
    StepFailed when the snapshots are those of another day.
    """
    return in_one_process(train, score, gather, lake, day, models)


def train(lake: Lake, day: date, models: Models) -> int:
    """Hold the contests and hand the winners on. Returns how many parts score; errors as of `score_customers`."""
    with single_threaded():
        refuse_another_day(lake, day)
        past = read_snapshots(lake, [("is_current", "=", False)])
        questions = _questions(lake, models)
        known = _Known(lake, past, models.seed)
        del past
        sample = Rows(_current_sample(lake, models.seed))
        of_sample = _read_categories(lake, sample, current=True)
        cards, notes, scorers, verdicts = [], [], [], []
        for question in questions:
            reason, target = _target(known, question, models)
            if target is None:
                cards.append(skipped_card(question.score, TASK, reason))
                write_champion(lake, day, _file_of(question.score), None)
                notes.append(reason)
                continue
            outcome = hold_contest(
                target,
                _with_category(sample, of_sample, question),
                read_champion(lake, day, _file_of(question.score)),
                day,
                models.purchase.retrain_days,
                models.seed,
            )
            write_champion(lake, day, _file_of(question.score), outcome.champion)
            cards.append(ModelCard(question.score, outcome.version, TASK, outcome.lines))
            notes.append(outcome.note)
            scorers.append(Scorer(question, outcome.version, outcome.scoring))
            verdicts.append(outcome.verdict)
        write_model_cards(lake, day, TASK, cards)
    if not scorers:
        return _hand_on(lake, day, scorers, Summary(TASK, "skipped", 0, notes[0]))
    first = scorers[0].question
    extra = f"; {len(scorers) - 1} other propensities" if len(scorers) > 1 else ""
    summary = Summary(TASK, verdicts[0], 0, f"{first.score}: {notes[questions.index(first)]}{extra}")
    return _hand_on(lake, day, scorers, summary)


def _hand_on(lake: Lake, day: date, scorers: list[Scorer], summary: Summary) -> int:
    spread = Spread.of(lake, day, TASK)
    spread.begin()
    if not scorers:
        return spread.hand_on(summary)
    edges = share(count_current(lake), SCORING_BLOCK)
    spread.keep("scorers", sorted(scorers, key=lambda each: each.question.score))
    spread.keep("first_customers", current_customers_at(lake, edges))
    return spread.hand_on(summary, edges)


def score(lake: Lake, day: date, part: Part) -> None:
    """Score the customers of a part by every model, block by block: `value`, `low` and `high` of each."""
    spread = Spread.of(lake, day, TASK)
    scorers: list[Scorer] = spread.load("scorers")
    first, beyond = spread.load("first_customers")[part.number : part.number + 2]
    schema = _schema_of_parts(len(scorers))
    with (
        single_threaded(),
        replacing(spread.path(part)) as temporary,
        pq.ParquetWriter(temporary, schema, compression="none") as writer,
    ):
        for block in read_current(lake, SCORING_BLOCK, first, beyond):
            rows = Rows(block)
            found = _read_categories(lake, rows, current=True)
            columns: list[Any] = [pa.array(block["customer_id"], type=pa.string())]
            for scorer in scorers:
                columns += scorer.model.interval(_with_category(rows, found, scorer.question))
            writer.write_table(pa.table(columns, schema=schema))


def _schema_of_parts(scores: int) -> pa.Schema:
    numbers_of = [(f"{name}_{place}", pa.float64()) for place in range(scores) for name in INTERVAL]
    return pa.schema([("customer_id", pa.string()), *numbers_of])


def gather(lake: Lake, day: date) -> Summary:
    """Make the scores' table of what the parts wrote, one score after the other, with the place of each customer."""
    spread = Spread.of(lake, day, TASK)
    summary, paths = spread.handed_on()
    path = lake.ml(day, f"customer_scores_{TASK}")
    if not paths:
        write_table(None, CUSTOMER_SCORES, ["customer_id", "score"], path)
        return summary
    scorers: list[Scorer] = spread.load("scorers")
    (everybody,) = _read_parts(paths, ["customer_id"])
    order = np.argsort(everybody.astype(str), kind="stable")
    everybody, rows = everybody[order], 0
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, CUSTOMER_SCORES, compression="zstd") as writer,
    ):
        for place, scorer in enumerate(scorers):
            names = [f"{name}_{place}" for name in INTERVAL]
            value, low, high = (each[order] for each in _read_parts(paths, names))
            percentile = 100 * rankdata(value, method="max") / len(value)
            for begin in range(0, len(value), SCORING_BLOCK):
                part = slice(begin, begin + SCORING_BLOCK)
                size = len(value[part])
                writer.write_table(
                    pa.table(
                        {
                            "customer_id": everybody[part],
                            "as_of_date": pa.repeat(pa.scalar(day, pa.date32()), size),
                            "score": pa.repeat(pa.scalar(scorer.question.score), size),
                            "value": value[part],
                            "percentile": percentile[part],
                            "low": low[part],
                            "high": high[part],
                            "model_version": pa.repeat(pa.scalar(scorer.version), size),
                        },
                        schema=CUSTOMER_SCORES,
                    )
                )
            rows += len(value)
    return replace(summary, rows=rows)


def _read_parts(paths: list[Path], columns: list[str]) -> list[np.ndarray]:
    """Columns (customers,) of all parts, in their order."""
    table = pa.concat_tables([pq.read_table(path, columns=columns, use_threads=False) for path in paths])
    return [table[name].to_numpy() for name in columns]


def _questions(lake: Lake, models: Models) -> list[Question]:
    categories = _categories(lake)
    return [
        Question(MODEL, "buy"),
        *(Question(f"{MODEL}:{name}", f"buy {name}", category=name) for name in categories),
        *(
            Question(each.score, each.name or each.propensity_id.replace("_", " "), is_custom=True)
            for each in models.propensities
        ),
    ]


def _target(known: _Known, question: Question, models: Models) -> tuple[str, Target | None]:
    """What is to be learned, or why nothing can be."""
    horizon = models.purchase.horizon_days
    if not known.samples:
        return "nobody was known a horizon ago, so no outcome is known", None
    rows, labels = known.ask(question)
    reason = _reason_to_skip(rows, labels, question, horizon)
    if reason:
        return reason, None
    naive = _naive_guesses(rows, question)
    bags = BAGS if question.score == MODEL else CATEGORY_BAGS
    # Boosting takes twenty times as long and was no better than by 0.002 in any of the demo's categories.
    algorithms = ALGORITHMS if question.category is None else LINEAR
    return "", Target(
        question.score,
        question.event,
        rows,
        labels,
        naive,
        horizon,
        bags,
        algorithms,
        models.purchase.features,
    )


class _Known:
    """The snapshots whose outcome is known, of which questions share what they have in common."""

    def __init__(self, lake: Lake, past: pd.DataFrame | None, seed: int) -> None:
        self.lake = lake
        self.samples: dict[int, Rows] = {}
        if past is not None and not past.empty:
            labelled = past[past[LABEL].notna()]
            self.samples = {
                rows: Rows(_sample(labelled, rows, seed)) for rows in (TRAINING_ROWS, CATEGORY_ROWS)
            }
        self._categories: dict[str, pd.DataFrame] | None = None

    def ask(self, question: Question) -> tuple[Rows, np.ndarray]:
        """The rows to learn a question from, in the order of their cutoffs, and their labels (n,)."""
        # The larger sample is asked one question only, and need not be kept.
        sample = self.samples.pop(TRAINING_ROWS) if question.score == MODEL else self.samples[CATEGORY_ROWS]
        if question.category is not None:
            if self._categories is None:
                self._categories = _read_categories(self.lake, sample, current=False)
            rows = _with_category(sample, self._categories, question)
            return rows, np.nan_to_num(numbers(rows[LABEL]))
        if question.is_custom:
            found = read_table(self.lake.staged(LABEL_TABLE), [("score", "=", question.score)])
            labels = np.zeros(len(sample))
            labels[_places(sample, found)[1]] = 1.0
            return sample, labels
        return sample, numbers(sample[LABEL])


def _read_categories(lake: Lake, rows: Rows, *, current: bool) -> dict[str, pd.DataFrame]:
    """The hand-over of categories for some rows, by category.

    It is in the order of customers, so of a block of them only its part is read.
    """
    if rows.empty or not lake.staged(CATEGORY_TABLE).exists():
        return {}
    found = read_table(
        lake.staged(CATEGORY_TABLE),
        [
            ("is_current", "=", current),
            ("customer_id", ">=", rows["customer_id"].min()),
            ("customer_id", "<=", rows["customer_id"].max()),
        ],
    )
    return dict(list(found.drop(columns="is_current").groupby("category", sort=False)))


def _with_category(rows: Rows, found: dict[str, pd.DataFrame], question: Question) -> Rows:
    """The rows with the columns of the question's category, if it has one.

    Customers who have nothing to do with a category have no row there: their counts are 0, the rest is missing.
    """
    if question.category is None or rows.empty:
        return rows
    of_category = found.get(question.category, next(iter(found.values()))[:0])
    there, at = _places(rows, of_category)
    columns = {}
    for name in of_category.columns.difference([*KEYS, "category"]):
        counts = name.startswith("category_") and "since" not in name
        columns[name] = np.full(len(rows), 0.0 if counts else np.nan)
        columns[name][at] = numbers(of_category[name])[there]
    return Rows(pd.DataFrame(columns), rows)


def _places(rows: Rows, found: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of `found` are of the customers and cutoffs of some rows, and at which of these they are."""
    cutoff = pd.to_datetime(found["as_of_date"]).dt.date
    index = rows.once("customer_id", "index", lambda people: _index_of(people, rows["as_of_date"]))
    there, at = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for day, (begin, people) in index.items():
        of_day = np.flatnonzero(cutoff == day)
        place = people.get_indexer(found["customer_id"].iloc[of_day])
        there.append(of_day[place >= 0])
        at.append(begin + place[place >= 0])
    return np.concatenate(there), np.concatenate(at)


def _index_of(people: pd.Series, cutoff: pd.Series) -> dict[date, tuple[int, pd.Index]]:
    """The first row of each cutoff and its customers; rows are in the order of their cutoffs."""
    index = {}
    for day in cutoff.unique():
        of_day = np.flatnonzero(cutoff == day)
        index[day] = int(of_day[0]), pd.Index(people.iloc[of_day])
    return index


def _naive_guesses(frame: Rows, question: Question) -> tuple[NaiveGuess, ...]:
    guesses = []
    recency, frequency, lately = (
        find_column(frame, names) for names in (RECENCY_NAMES, FREQUENCY_NAMES, LATELY_NAMES)
    )
    if question.category is not None:
        guesses += [
            NaiveGuess("orders in the category", "category_orders"),
            NaiveGuess("recency in the category", "days_since_category_order", falling=True),
        ]
    if recency:
        guesses.append(NaiveGuess("recency", recency, falling=True))
    if lately:
        guesses.append(NaiveGuess(f"orders in the last {re.search('[0-9]+', lately)[0]} days", lately))
    if frequency:
        guesses.append(NaiveGuess("orders so far", frequency))
        if "days_observed" in frame:
            guesses.append(NaiveGuess("frequency", frequency, per_day=True))
    return tuple(guesses)


def _current_sample(lake: Lake, seed: int) -> pd.DataFrame:
    """Some of today's customers, drawn by a hash of their ids: enough to see a shift."""
    if not lake.staged(SNAPSHOTS).exists():
        return pd.DataFrame()
    drawn = [block[_drawn(block, seed)] for block in read_current(lake, SCORING_BLOCK)]
    return pd.concat(drawn or [pd.DataFrame()], ignore_index=True)


def _drawn(block: pd.DataFrame, seed: int) -> np.ndarray:
    chance = stable_uniform(block["customer_id"], "drift", seed)
    share = min(1.0, DRIFT_ROWS / SCORING_BLOCK)
    return chance < (1.0 if len(block) <= DRIFT_ROWS else share)


def _categories(lake: Lake) -> list[str]:
    path = lake.staged(CATEGORY_TABLE)
    if not path.exists():
        return []
    found = pq.read_table(path, columns=["category"], use_threads=False)["category"]
    return sorted(found.unique().to_pylist())


def _file_of(score: str) -> str:
    """A file name for any score: categories may hold any characters."""
    return score if score.isidentifier() else hashlib.sha256(score.encode()).hexdigest()[:16]


def _reason_to_skip(rows: Rows, labels: np.ndarray, question: Question, horizon_days: int) -> str | None:
    cutoff = rows["as_of_date"]
    known = sorted(cutoff.unique())
    if len(known) < 2:
        return (
            f"two cutoffs with a known outcome are needed, one to learn on and a later one to judge on; there are "
            f"{len(known)}, so {2 * horizon_days} days of history before the day are missing"
        )
    for day in (known[0], known[-1]):
        of_day = labels[(cutoff == day).to_numpy()]
        yes, no = int(of_day.sum()), int(len(of_day) - of_day.sum())
        if yes < MIN_POSITIVES or no < MIN_NEGATIVES:
            return (
                f"of {len(of_day):,} customers on {day:%Y-%m-%d} {yes:,} {question.event} within {horizon_days} "
                f"days and {no:,} did not; at least {MIN_POSITIVES} and {MIN_NEGATIVES} are needed"
            )
    return None


def _sample(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """At most `rows` customers of each cutoff, the same ones for as long as there are not more."""
    drawn = stable_uniform(frame["customer_id"], "train", seed)
    place = pd.Series(drawn, index=frame.index).groupby(frame["as_of_date"]).rank(method="first")
    return frame[(place <= rows).to_numpy()].reset_index(drop=True)
