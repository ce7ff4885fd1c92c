"""How likely each customer is to buy within the horizon, measured on later data against what anybody would guess.

The model is learned on the oldest cutoff, whose outcome is known, and judged on the next one, which is strictly
later. It is promoted only when it orders those customers better than the best naive guess does; otherwise the
naive guess is calibrated and scored, and the model card says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from include.lake import Lake
from include.ledger import StepFailed
from ml.calibration import Calibration, calibrate, logit
from ml.evaluation import Estimate, auc, evaluate
from ml.features import (
    FREQUENCY_NAMES,
    LABEL,
    RECENCY_NAMES,
    cutoffs,
    find_column,
    learn_space,
    numbers,
    read_snapshots,
)
from ml.registry import CardLine, ModelCard, Summary, model_version, skipped_card, write_model_cards
from ml.tables import CUSTOMER_SCORES, stable_uniform, write_table
from ml.threads import single_threaded

MODEL = "purchase_probability"
TASK = "propensity"
MIN_POSITIVES = 100
MIN_NEGATIVES = 30
TRAINING_ROWS = 200_000  # per cutoff; more customers are sampled by a hash of their id
EVALUATION_ROWS = 100_000
FOLDS = 3
BAGS = 15
BAG_ROWS = 50_000
BOOTSTRAP_ROUNDS = 400
SCORING_BLOCK = 100_000
CANDIDATES = ("logistic, strong penalty", "logistic", "gradient boosting")
METRICS = ("auc", "average_precision", "lift_at_10", "brier", "log_loss", "ece")


class Design(Protocol):
    """What turns snapshots into the matrix that a model learns from."""

    def transform(self, frame: pd.DataFrame) -> np.ndarray: ...


@dataclass(frozen=True)
class NaiveGuess:
    """What anybody would guess from one fact: bought lately, or buys often."""

    name: str
    column: str
    per_day: bool
    falling: bool

    def score(self, frame: pd.DataFrame) -> np.ndarray:
        """One number per customer, higher for likelier buyers; whoever has no value is the least likely."""
        values = numbers(frame[self.column])
        if self.per_day:
            values = values / np.maximum(numbers(frame["days_observed"]), 1)
        values = -values if self.falling else values
        lowest = np.nanmin(values) if (~np.isnan(values)).any() else 0.0
        return np.where(np.isnan(values), lowest - 1, values)

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        score = self.score(frame)
        return (np.sign(score) * np.log1p(np.abs(score)))[:, None]


@dataclass(frozen=True)
class Assessment:
    """What the later cutoff says of the model that learned on the earlier one."""

    algorithm: str
    design: Design
    naive: NaiveGuess | None
    promoted: bool
    lines: tuple[CardLine, ...]
    note: str


def score_customers(lake: Lake, day: date, models: Any) -> Summary:
    """Write `customer_scores` and the model card of the purchase probability as of `day`.

    Uses `models.purchase.horizon_days` and `models.seed`. Without enough labelled snapshots both are written
    empty but for the reason. Raises StepFailed when the snapshots are those of another day.
    """
    with single_threaded():
        snapshots = read_snapshots(lake)
        reason = _reason_to_skip(snapshots, day, models.purchase.horizon_days)
        if reason:
            write_table(
                None, CUSTOMER_SCORES, ["customer_id", "score"], lake.ml(day, f"customer_scores_{TASK}")
            )
            write_model_cards(lake, day, TASK, [skipped_card(MODEL, TASK, reason)])
            return Summary(TASK, "skipped", 0, reason)
        scores, card, note = learn_and_score(snapshots, day, models.purchase.horizon_days, models.seed)
        rows = write_table(
            scores, CUSTOMER_SCORES, ["customer_id", "score"], lake.ml(day, f"customer_scores_{TASK}")
        )
        write_model_cards(lake, day, TASK, [card])
    return Summary(TASK, card.lines[0].verdict, rows, note)


def learn_and_score(
    snapshots: pd.DataFrame, day: date, horizon_days: int, seed: int
) -> tuple[pd.DataFrame, ModelCard, str]:
    """Judge, refit on every labelled cutoff and score the current snapshots.

    Returns the rows of `customer_scores`, the model card and one line in words.
    """
    known = cutoffs(snapshots)
    older = _sample(snapshots[snapshots["as_of_date"] == known[0]], TRAINING_ROWS, "train", seed)
    later = _sample(snapshots[snapshots["as_of_date"] == known[-1]], TRAINING_ROWS, "train", seed)
    assessment = assess(older, _sample(later, EVALUATION_ROWS, "evaluate", seed), horizon_days, seed)

    both = pd.concat([older, later], ignore_index=True)
    labels = _labels(both)
    design = learn_space(both, labels) if assessment.promoted else assessment.design
    version = model_version(
        {
            "task": TASK,
            "algorithm": assessment.algorithm,
            "promoted": assessment.promoted,
            "horizon_days": horizon_days,
            "seed": seed,
        },
        design.transform(both),
        labels,
    )
    current = snapshots[snapshots["is_current"].astype(bool)].reset_index(drop=True)
    scores = _score(both, labels, current, design, assessment.algorithm, seed)
    scores = scores.assign(
        customer_id=current["customer_id"], as_of_date=day, score=MODEL, model_version=version
    )
    return (
        scores[CUSTOMER_SCORES.names],
        ModelCard(MODEL, version, TASK, assessment.lines),
        f"{len(current):,} customers scored by {assessment.algorithm}; {assessment.note}",
    )


def assess(older: pd.DataFrame, later: pd.DataFrame, horizon_days: int, seed: int) -> Assessment:
    """Learn on `older` snapshots, choose the algorithm by cross-validation there, and judge it on `later` ones."""
    known, outcome = _labels(older), _labels(later)
    space = learn_space(older, known)
    matrix = space.transform(older)
    folds = _folds(older, seed)
    guesses = {
        name: out_of_fold(name, matrix, known, folds, seed) for name in CANDIDATES if matrix.shape[1] > 0
    }
    naive, naive_scores = _best_naive(older, later, outcome)
    naive_line = f"the naive guess by {naive.name}" if naive else "the base rate"
    if not guesses:
        note = "no feature varies"
        return Assessment("naive", naive or _NoFeature(), naive, False, _refused_line(note), note)

    algorithm = max(guesses, key=lambda name: (round(auc(known, guesses[name]), 4), -CANDIDATES.index(name)))
    calibration = calibrate(guesses[algorithm], known)
    fitted = fit(algorithm, matrix, known, seed)
    probabilities = calibration(predict(fitted, space.transform(later)))
    naive_design = naive or _NoFeature()
    naive_matrix = naive_design.transform(older)
    naive_calibration = calibrate(out_of_fold("naive", naive_matrix, known, folds, seed), known)
    naive_fit = fit("naive", naive_matrix, known, seed)
    naive_probabilities = naive_calibration(predict(naive_fit, naive_design.transform(later)))

    ranked = evaluate(
        outcome,
        {"model": probabilities, "naive": naive_scores},
        rounds=BOOTSTRAP_ROUNDS,
        seed=seed,
        probabilities=["model"],
        against="naive",
    )
    calibrated = evaluate(
        outcome, {"naive": naive_probabilities}, probabilities=["naive"], rounds=1, seed=seed
    )
    gain = ranked["model - naive"]["auc"]
    promoted = bool(gain.low > 0)
    verdict = "promoted" if promoted else "refused"
    rate = float(outcome.mean())
    note = (
        f"AUC {ranked['model']['auc'].value:.3f} against {ranked['naive']['auc'].value:.3f} of {naive_line} "
        f"({gain.value:+.3f}, 95 % between {gain.low:+.3f} and {gain.high:+.3f}); "
        f"{rate:.1%} buy within {horizon_days} days"
    )
    lines = [
        CardLine("auc_difference", gain, 0.0, naive_line, verdict, f"{algorithm}: {note}"),
        *(
            CardLine(
                metric,
                ranked["model"][metric],
                (calibrated if metric in ("brier", "log_loss", "ece") else ranked)["naive"][metric].value,
                naive_line,
                verdict,
            )
            for metric in METRICS
        ),
        CardLine(
            "base_rate", _rate(outcome), float(known.mean()), "the older cutoff", verdict, _rate_note(rate)
        ),
        CardLine("features", _exact(len(space.names)), None, None, verdict, _refusal_note(space.refused)),
    ]
    return Assessment(
        algorithm if promoted else f"naive guess by {naive.name}" if naive else "base rate",
        space if promoted else naive_design,
        naive,
        promoted,
        tuple(lines),
        note if promoted else f"model refused: {note}",
    )


def fit(algorithm: str, matrix: np.ndarray, labels: np.ndarray, seed: int) -> Any:
    """Fit one algorithm to `matrix` (n, features) and `labels` (n,); every naive guess is a plain logistic."""
    if algorithm == "gradient boosting":
        estimator = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.06,
            max_leaf_nodes=12,
            min_samples_leaf=30,
            l2_regularization=5.0,
            early_stopping=False,
            random_state=seed,
        )
    else:
        strength = {"logistic, strong penalty": 0.003, "logistic": 0.1}.get(algorithm, 10.0)
        estimator = LogisticRegression(C=strength, max_iter=2000)
    return estimator.fit(matrix, labels)


def predict(fitted: Any, matrix: np.ndarray) -> np.ndarray:
    """Uncalibrated probabilities (n,)."""
    return fitted.predict_proba(matrix)[:, 1]


def out_of_fold(
    algorithm: str, matrix: np.ndarray, labels: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """Probabilities (n,) of each row by a model that never saw the row's customer."""
    predicted = np.full(len(labels), labels.mean())
    for fold in range(FOLDS):
        inside, outside = folds == fold, folds != fold
        if inside.any() and len(np.unique(labels[outside])) == 2:
            fitted = fit(algorithm, matrix[outside], labels[outside], seed)
            predicted[inside] = predict(fitted, matrix[inside])
    return predicted


def _score(
    both: pd.DataFrame, labels: np.ndarray, current: pd.DataFrame, design: Design, algorithm: str, seed: int
) -> pd.DataFrame:
    """Value, percentile, low and high of the current snapshots.

    The interval is that of the probability, from refits on resampled customers, each calibrated on the
    customers that it left out.
    """
    matrix = design.transform(both)
    latest = (both["as_of_date"] == both["as_of_date"].max()).to_numpy()
    guesses = out_of_fold(algorithm, matrix, labels, _folds(both, seed), seed)
    calibration = calibrate(guesses[latest], labels[latest])
    fitted = fit(algorithm, matrix, labels, seed)
    bags = _bags(both, matrix, labels, latest, algorithm, seed)
    shrink = min(1.0, np.sqrt(BAG_ROWS / len(both)))

    values, spreads = [], []
    for begin in range(0, len(current), SCORING_BLOCK):
        block = design.transform(current.iloc[begin : begin + SCORING_BLOCK])
        values.append(calibration(predict(fitted, block)))
        drawn = np.stack([logit(calibrated(predict(bag, block))) for bag, calibrated in bags])
        spreads.append(drawn.std(axis=0, ddof=1) * shrink)
    value = np.concatenate(values) if values else np.zeros(0)
    spread = 1.96 * np.concatenate(spreads) if spreads else np.zeros(0)
    center = logit(value)
    return pd.DataFrame(
        {
            "value": value,
            "percentile": 100 * rankdata(value, method="max") / max(len(value), 1),
            "low": 1 / (1 + np.exp(-(center - spread))),
            "high": 1 / (1 + np.exp(-(center + spread))),
        }
    )


def _bags(
    both: pd.DataFrame,
    matrix: np.ndarray,
    labels: np.ndarray,
    latest: np.ndarray,
    algorithm: str,
    seed: int,
) -> list[tuple[Any, Calibration]]:
    people = np.unique(both["customer_id"].to_numpy(dtype=object), return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    bags = []
    for _ in range(BAGS):
        times = generator.poisson(1.0, people.max() + 1)[people]
        left_out = (times == 0) & latest
        # Rows are repeated and not weighted: with weights, boosting bins its features a hundred times slower.
        drawn = np.repeat(np.arange(len(labels)), times)
        if len(drawn) > BAG_ROWS:
            drawn = np.sort(generator.choice(drawn, BAG_ROWS, replace=False))
        if len(np.unique(labels[drawn])) < 2 or len(np.unique(labels[left_out])) < 2:
            continue
        bag = fit(algorithm, matrix[drawn], labels[drawn], seed)
        bags.append((bag, calibrate(predict(bag, matrix[left_out]), labels[left_out])))
    return bags


def _best_naive(
    older: pd.DataFrame, later: pd.DataFrame, outcome: np.ndarray
) -> tuple[NaiveGuess | None, np.ndarray]:
    """The naive guess that is best on the very rows on which the model is judged: the hardest to beat."""
    guesses = []
    recency, frequency = find_column(older, RECENCY_NAMES), find_column(older, FREQUENCY_NAMES)
    if recency:
        guesses.append(NaiveGuess("recency", recency, per_day=False, falling=True))
    if frequency:
        guesses.append(NaiveGuess("frequency", frequency, per_day="days_observed" in older, falling=False))
    if not guesses:
        return None, np.zeros(len(later))
    best = max(guesses, key=lambda guess: auc(outcome, guess.score(later)))
    return best, best.score(later)


@dataclass(frozen=True)
class _NoFeature:
    """A design of one constant: the base rate for everybody."""

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros((len(frame), 1))


def _reason_to_skip(snapshots: pd.DataFrame | None, day: date, horizon_days: int) -> str | None:
    if snapshots is None or snapshots.empty:
        return "there are no customer features"
    current = snapshots.loc[snapshots["is_current"].astype(bool), "as_of_date"]
    if len(current) and current.max() != day:
        raise StepFailed(
            f"learn: customer_feature_snapshots is of {current.max():%Y-%m-%d}, the run of {day:%Y-%m-%d}: "
            "run the step unify of this day first"
        )
    known = cutoffs(snapshots)
    if len(known) < 2:
        return (
            f"two cutoffs with a known outcome are needed, one to learn on and a later one to judge on; there are "
            f"{len(known)}, so {2 * horizon_days} days of history before the day are missing"
        )
    for cutoff in (known[0], known[-1]):
        labels = _labels(snapshots[snapshots["as_of_date"] == cutoff])
        buyers, others = int(labels.sum()), int(len(labels) - labels.sum())
        if buyers < MIN_POSITIVES or others < MIN_NEGATIVES:
            return (
                f"of {len(labels):,} customers on {cutoff:%Y-%m-%d} {buyers:,} bought within {horizon_days} days and "
                f"{others:,} did not; at least {MIN_POSITIVES} and {MIN_NEGATIVES} are needed"
            )
    return None


def _labels(frame: pd.DataFrame) -> np.ndarray:
    return numbers(frame[LABEL])


def _sample(frame: pd.DataFrame, rows: int, purpose: str, seed: int) -> pd.DataFrame:
    known = frame[frame[LABEL].notna()]
    if len(known) > rows:
        drawn = stable_uniform(known["customer_id"], purpose, seed)
        known = known.iloc[np.sort(np.argsort(drawn, kind="stable")[:rows])]
    return known.reset_index(drop=True)


def _folds(frame: pd.DataFrame, seed: int) -> np.ndarray:
    return (stable_uniform(frame["customer_id"], "fold", seed) * FOLDS).astype(int)


def _refused_line(note: str) -> tuple[CardLine, ...]:
    return (CardLine("auc_difference", None, None, None, "refused", note),)


def _rate(labels: np.ndarray) -> Estimate:
    rate = float(labels.mean())
    error = 1.96 * float(np.sqrt(rate * (1 - rate) / len(labels)))
    return Estimate(rate, rate - error, rate + error)


def _rate_note(rate: float) -> str | None:
    if rate > 0.9:
        return "nearly everybody buys in the horizon: read the score as who will not, and choose a shorter horizon"
    if rate < 0.01:
        return "hardly anybody buys in the horizon: probabilities are small, use the percentile"
    return None


def _refusal_note(refused: dict[str, str]) -> str | None:
    if not refused:
        return None
    return ("refused: " + "; ".join(f"{name}: {reason}" for name, reason in sorted(refused.items())))[:2000]


def _exact(value: float) -> Estimate:
    return Estimate(float(value), float(value), float(value))
