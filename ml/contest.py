"""A model is promoted only when later data says that it is better than a naive guess and than the champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ml.champions import Champion
from ml.classifier import ALGORITHMS, NAIVE, Classifier, at_level, choose_algorithm, learn
from ml.drift import MAJOR, drift, population_stability
from ml.evaluation import Estimate, auc, exact
from ml.features import Choice, FeatureSpace, learn_space, numbers
from ml.influence import estimate_metrics
from ml.registry import CardLine, model_version
from ml.rows import Rows

METRICS = ("auc", "average_precision", "lift_at_10", "brier", "log_loss", "ece")
LISTED_FEATURES = 8
CHANCE = 0.5  # the AUC of who knows nothing


@dataclass(frozen=True)
class NaiveGuess:
    """What anybody would guess from one fact, such as who bought lately or who buys often."""

    name: str
    column: str
    falling: bool = False
    per_day: bool = False

    def score(self, frame: pd.DataFrame | Rows) -> np.ndarray:
        """One number per customer, higher for likelier ones; whoever has no value is the least likely."""
        values = numbers(frame[self.column])
        if self.per_day:
            values = values / np.maximum(numbers(frame["days_observed"]), 1)
        values = -values if self.falling else values
        lowest = np.nanmin(values) if (~np.isnan(values)).any() else 0.0
        return np.where(np.isnan(values), lowest - 1, values)

    def transform(self, frame: pd.DataFrame | Rows) -> np.ndarray:
        score = self.score(frame)
        return (np.sign(score) * np.log1p(np.abs(score)))[:, None]


@dataclass(frozen=True)
class BaseRate:
    """No fact at all: everybody is as likely as anybody."""

    name: str = "nothing, the base rate"

    def score(self, frame: pd.DataFrame | Rows) -> np.ndarray:
        return np.zeros(len(frame))

    def transform(self, frame: pd.DataFrame | Rows) -> np.ndarray:
        return np.zeros((len(frame), 1))


@dataclass(frozen=True)
class Target:
    """What is to be foreseen: the score's name, what happens in words, snapshots in the order of their cutoffs with
    their `labels` (n,) of 0 and 1, the naive guesses to beat, how many refits give intervals, the algorithms to choose
    from and the features that they may see."""

    score: str
    event: str
    snapshots: Rows
    labels: np.ndarray
    naive: tuple[NaiveGuess, ...]
    horizon_days: int
    bags: int
    algorithms: tuple[str, ...] = ALGORITHMS
    choice: Choice | None = None


@dataclass(frozen=True)
class Outcome:
    """Who won. `verdict` is promoted, kept (the champion scores on) or refused (the naive guess scores);
    `champion` is who holds the office after the day, if anybody."""

    verdict: str
    scoring: Classifier
    version: str
    champion: Champion | None
    lines: tuple[CardLine, ...]
    note: str


def hold_contest(
    target: Target, current: Rows, champion: Champion | None, day: date, retrain_days: int, seed: int
) -> Outcome:
    """Judge champion, challenger and naive guess on the newest cutoff whose outcome is known, and let the best score.

    The challenger learns on the cutoffs before it alone, and so did the champion it is compared with. The challenger
    wins when the 95 % interval of its AUC over the naive guess's is above 0, that of its AUC above chance, for a guess
    may be worse than none, and its AUC above the champion's. A champion is challenged every `retrain_days`, and at once
    when it is no better than the naive guess or chance. `current` (a sample of today's snapshots) shows drift.
    """
    everything, labels = target.snapshots, target.labels
    known, first = everything.once("as_of_date", "cutoffs", _cutoffs)
    older, later = everything.part(0, first[-1]), everything.part(first[-1], len(everything))
    known_labels, outcome = labels[: first[-1]], labels[first[-1] :]
    ending = known[-2] + timedelta(days=target.horizon_days)

    guess = max(target.naive, key=lambda guess: auc(outcome, guess.score(later)), default=BaseRate())
    naive = learn(older, known_labels, guess, NAIVE, trained_until=ending, bags=0, seed=seed)
    # Everybody is judged, and scores, at the level of the newest outcome that was known then.
    rate = float(labels[first[-2] : first[-1]].mean())
    judged = {NAIVE: at_level(naive, later, rate)}
    if champion is not None and _may_be_judged(champion, later, known[-1]):
        judged["champion"] = at_level(champion.judged, later, rate)
    measured = _measure(judged, guess, later, outcome, seed)
    holds = (
        "champion" in judged
        and measured["champion - naive"]["auc"].value > 0
        and measured["champion"]["auc"].value > CHANCE
    )
    due = not holds or champion.is_due(day, retrain_days)
    space = learn_space(older, known_labels, target.choice) if due else None
    if space is not None and space.names:
        # Made of everything at once, though learned on the older cutoffs.
        space.transform(everything)
        algorithm, trial = choose_algorithm(older, known_labels, space, target.algorithms, seed)
        challenger = learn(
            older, known_labels, space, algorithm, trained_until=ending, bags=0, seed=seed, near=trial
        )
        judged["challenger"] = at_level(challenger, later, rate)
        measured = _measure(judged, guess, later, outcome, seed)
    wins = (
        "challenger" in judged
        and measured["challenger - naive"]["auc"].low > 0
        and measured["challenger"]["auc"].low > CHANCE
    )
    beaten = not holds or (
        "challenger" in judged and measured["challenger"]["auc"].value > measured["champion"]["auc"].value
    )

    until = known[-1] + timedelta(days=target.horizon_days)
    if wins and beaten:
        name, verdict = "challenger", "promoted"
        scoring = learn(
            everything,
            labels,
            space,
            judged[name].algorithm,
            trained_until=until,
            bags=target.bags,
            seed=seed,
            near=judged[name],
        )
        version = _version(target, space, scoring.algorithm, seed)
        after = Champion(version, day, day, judged[name], scoring, _columns(judged[name], scoring))
    elif holds:
        name, verdict = "champion", "kept"
        scoring, version = champion.scoring, champion.version
        challenged = day if due else champion.challenged_on
        after = Champion(version, champion.crowned_on, challenged, champion.judged, scoring, champion.columns)
    else:
        name, verdict, after = NAIVE, "refused", None
        scoring = learn(everything, labels, guess, NAIVE, trained_until=until, bags=target.bags, seed=seed)
        version = _version(target, guess, NAIVE, seed)
    scoring = at_level(scoring, current, float(outcome.mean()))
    note = _in_words(name, judged, measured, guess, target, champion, due, float(outcome.mean()))
    lines = (
        *_metric_lines(name, measured, guess.name, verdict, note),
        *_rival_lines(judged, measured, verdict),
        CardLine(
            "base_rate",
            _rate(outcome),
            float(known_labels.mean()),
            "the cutoffs before",
            verdict,
            _rate_note(outcome),
        ),
        *_drift_lines(scoring, later, current, verdict),
        *([_feature_line(space, verdict)] if space is not None else []),
    )
    return Outcome(verdict, scoring, version, after, lines, note)


def _cutoffs(cutoff: pd.Series) -> tuple[list[date], list[int]]:
    """The cutoffs, oldest first, and the row with which each begins."""
    known = sorted(cutoff.unique())
    return known, [int((cutoff < each).sum()) for each in known]


def _may_be_judged(champion: Champion, later: Rows, cutoff: date) -> bool:
    """A champion that has seen outcomes after the cutoff would be judged on what it learned."""
    return champion.judged.trained_until <= cutoff and set(champion.columns) <= set(later.columns)


def _measure(
    judged: Mapping[str, Classifier],
    guess: NaiveGuess | BaseRate,
    later: Rows,
    outcome: np.ndarray,
    seed: int,
) -> dict[str, dict[str, Estimate]]:
    """Ranking metrics of all, paired with the naive guess; its calibration is of the model made of it."""
    scores = {name: model.probabilities(later) for name, model in judged.items()}
    return estimate_metrics(
        outcome, scores | {NAIVE: guess.score(later)}, probabilities=scores, against=NAIVE, seed=seed
    )


def _metric_lines(
    name: str, measured: dict[str, dict[str, Estimate]], guess: str, verdict: str, note: str
) -> list[CardLine]:
    baseline = f"the naive guess by {guess}"
    difference = measured.get(f"{name} - {NAIVE}", {}).get("auc")
    return [
        CardLine("auc_difference", difference, 0.0, baseline, verdict, note),
        *(
            CardLine(metric, measured[name][metric], measured[NAIVE][metric].value, baseline, verdict)
            for metric in METRICS
        ),
    ]


def _rival_lines(
    judged: Mapping[str, Classifier], measured: dict[str, dict[str, Estimate]], verdict: str
) -> list[CardLine]:
    """The comparison of challenger and champion, when both were judged; what was refused, when only it was."""
    if "challenger" not in judged:
        return []
    challenger = measured["challenger"]["auc"]
    rival = measured["champion"]["auc"].value if "champion" in judged else None
    return [
        CardLine(
            "challenger_auc",
            challenger,
            rival,
            "the champion" if rival is not None else None,
            verdict,
            f"the challenger is {judged['challenger'].algorithm}",
        )
    ]


def _drift_lines(scoring: Classifier, before: Rows, current: Rows, verdict: str) -> list[CardLine]:
    if current.empty:
        return []
    names = [name for name in _read_by(scoring) if name in current and name in before]
    moved = drift(before, current, names)
    major = [f"{name} {index:.2f}" for name, index in moved.items() if index > MAJOR]
    of_scores = population_stability(scoring.probabilities(before), scoring.probabilities(current))
    largest = max(moved.values(), default=0.0)
    note = (
        "moved by more than 0.25: " + ", ".join(major[:LISTED_FEATURES])
        if major
        else "no feature has moved by more than 0.25"
    )
    return [
        CardLine("feature_drift", exact(largest), MAJOR, "a major shift", verdict, note),
        CardLine("score_drift", exact(of_scores), MAJOR, "a major shift", verdict),
    ]


def _feature_line(space: FeatureSpace, verdict: str) -> CardLine:
    refused = "; ".join(f"{name}: {reason}" for name, reason in sorted(space.refused.items()))
    return CardLine(
        "features",
        exact(len(space.names)),
        verdict=verdict,
        note=f"refused: {refused}"[:2000] if refused else None,
    )


def _in_words(
    name: str,
    judged: Mapping[str, Classifier],
    measured: dict[str, dict[str, Estimate]],
    guess: NaiveGuess | BaseRate,
    target: Target,
    champion: Champion | None,
    due: bool,
    rate: float,
) -> str:
    shown = "challenger" if name == NAIVE and "challenger" in judged else name
    gain = measured.get(f"{shown} - {NAIVE}", {}).get("auc")
    if gain is None:
        return f"no feature varies; the naive guess by {guess.name} scores"
    words = (
        f"{judged[shown].algorithm}: AUC {measured[shown]['auc'].value:.3f} against {measured[NAIVE]['auc'].value:.3f} "
        f"of the naive guess by {guess.name} ({gain.value:+.3f}, 95 % between {gain.low:+.3f} and {gain.high:+.3f}); "
        f"{rate:.1%} {target.event} within {target.horizon_days} days"
    )
    if name == NAIVE:
        return f"model refused: {words}"
    if name == "champion":
        why = "its challenger is no better" if due else "it is not due for a challenge"
        return f"the champion of {champion.crowned_on:%Y-%m-%d} scores, {why}: {words}"
    return words


def _version(target: Target, design: FeatureSpace | NaiveGuess | BaseRate, algorithm: str, seed: int) -> str:
    parameters = {
        "score": target.score,
        "algorithm": algorithm,
        "horizon_days": target.horizon_days,
        "seed": seed,
    }
    return model_version(parameters, design.transform(target.snapshots).T, target.labels)


def _columns(*models: Classifier) -> tuple[str, ...]:
    return tuple(sorted({name for model in models for name in _read_by(model)}))


def _read_by(model: Classifier) -> list[str]:
    """The columns of the snapshots that a model reads."""
    if isinstance(model.design, FeatureSpace):
        return [feature.name for feature in (*model.design.numeric, *model.design.categorical)]
    return [model.design.column] if isinstance(model.design, NaiveGuess) else []


def _rate(labels: np.ndarray) -> Estimate:
    rate = float(labels.mean())
    error = 1.96 * float(np.sqrt(rate * (1 - rate) / len(labels)))
    return Estimate(rate, rate - error, rate + error)


def _rate_note(outcome: np.ndarray) -> str | None:
    rate = float(outcome.mean())
    if rate > 0.9:
        return "it happens to nearly everybody in the horizon: read the score as who will not, or choose a shorter one"
    if rate < 0.01:
        return "it hardly ever happens in the horizon: probabilities are small, use the percentile"
    return None
