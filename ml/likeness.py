"""Judging and learning the likeness of strangers to a seed, always on people that the model never saw.

Two questions are asked. Does it find hidden members: people of the seed who are kept aside? And does it find future
ones: learned from what was known some weeks ago, does it rank high those who have joined since?
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ml import pu
from ml.evaluation import Estimate, evaluate
from ml.leaks import require_unseen
from ml.visitors import drawn

REACH_SHARES = {f"lift_at_{percent}": percent / 100 for percent in (1, 2, 3, 5, 10, 15, 20, 30, 50)}
BASELINES = ("activity", "trait weights")
LARGE_SEED = 1_000  # people, from which on a single hold-out decides
FEWEST_JOINED = 30  # people; the lift of fewer is luck


class TooLittle(Exception):
    """There is too little to learn a look-alike from; the message is the reason to publish."""


@dataclass(frozen=True)
class Sample:
    """Some visitors, n of them: a seed and unlabelled ones. `people` (n,) are hashes, `matrix` is (n, features), and
    `families` (features,) numbers the counts that make a whole."""

    rows: np.ndarray
    people: np.ndarray
    is_seed: np.ndarray
    activity: np.ndarray
    matrix: sparse.csr_array
    families: np.ndarray

    def take(self, places: np.ndarray) -> Sample:
        return replace(
            self,
            rows=self.rows[places],
            people=self.people[places],
            is_seed=self.is_seed[places],
            activity=self.activity[places],
            matrix=self.matrix[places],
        )

    def keep(self, columns: np.ndarray) -> Sample:
        return replace(self, matrix=self.matrix[:, columns].tocsr(), families=self.families[columns])

    @property
    def folds(self) -> np.ndarray:
        return folds_of(self.people)


@dataclass(frozen=True)
class Judgement:
    """What people kept aside say of a model: metrics per score and per difference, and the verdict.

    `places` (m,) are where the m people judged stand among candidates, `labels` (m,) whether each is of the seed,
    `rows` (m,) who they are.
    """

    algorithm: str
    hidden_seed_lifts: dict[str, float]
    metrics: dict[str, dict[str, Estimate]]
    places: np.ndarray
    labels: np.ndarray
    people: np.ndarray
    rows: np.ndarray
    published: bool
    reason: str


@dataclass(frozen=True)
class Learned:
    """The model in use: one scorer per fold, which has seen nobody of it."""

    algorithm: str
    scorers: dict[int, pu.Scorer]

    def among(self, columns: np.ndarray, width: int) -> Learned:
        return Learned(
            self.algorithm, {fold: scorer.among(columns, width) for fold, scorer in self.scorers.items()}
        )

    def score(self, matrix: sparse.csr_array, folds: np.ndarray) -> np.ndarray:
        """Scores (n,) of rows by the scorer of their fold; comparable within a fold only."""
        scores = np.full(len(folds), np.nan)
        for fold, scorer in self.scorers.items():
            mine = np.flatnonzero(folds == fold)
            if len(mine):
                scores[mine] = scorer.score(matrix[mine])
        return scores


def folds_of(people: np.ndarray, seed: int = 0) -> np.ndarray:
    """A fold (n,) per row by the hash of its person: one person's devices share it."""
    return (drawn(people, "fold", seed) * pu.FOLDS).astype(int)


def learn(sample: Sample, seed: int) -> Learned:
    """Fit the algorithm that finds most hidden seeds, once without each fold. Raises TooLittle."""
    learner, folds = pu.Learner(sample.families, seed), sample.folds
    contest = learner.compete(sample.matrix, sample.is_seed, folds)
    if len(contest.fitted) < pu.FOLDS:
        raise TooLittle("the seed is too small to hide people for the choice of an algorithm")
    for fold in contest.fitted:
        require_unseen(sample.people[folds != fold], sample.people[folds == fold])
    return Learned(contest.chosen, learner.winners(contest, sample.matrix, sample.is_seed, folds))


def places_of_unlabelled(learned: Learned, sample: Sample) -> np.ndarray:
    """The place (n,) in (0, 1] of each unlabelled row of the sample among those of its fold; NaN for the seed."""
    scores, folds = learned.score(sample.matrix, sample.folds), sample.folds
    return places_by_fold(scores, folds, ~sample.is_seed)


def places_by_fold(scores: np.ndarray, folds: np.ndarray, is_candidate: np.ndarray) -> np.ndarray:
    """Each candidate's place (n,) among the candidates of its fold, for scorers of two folds have no common scale."""
    places = np.full(len(scores), np.nan)
    for fold in np.unique(folds):
        mine = np.flatnonzero((folds == fold) & is_candidate)
        places[mine] = pu.places_among(np.sort(scores[mine]), scores[mine])
    return places


def judge(sample: Sample, hold_out_share: float, rounds: int, seed: int) -> Judgement:
    """Choose an algorithm on one part of the people and measure it on the others, who are strangers to it.

    With a small seed the parts change places until everybody has been held out once (cross-fitting): a few dozen
    people held out could not tell a good model from luck. Scores of different turns are compared by their place
    among the held-out candidates of their own turn. Raises TooLittle.
    """
    turns = [_judge_turn(sample, held_out, seed) for held_out in _hold_outs(sample, hold_out_share, seed)]
    judging = np.concatenate([turn.judging for turn in turns])
    outcome, people = sample.is_seed[judging], sample.people[judging]
    places = np.concatenate([turn.places for turn in turns])
    found = {name: float(np.mean([turn.found[name] for turn in turns])) for name in turns[0].found}
    metrics = evaluate(
        outcome,
        {
            "model": places,
            "activity": sample.activity[judging],
            "trait weights": np.concatenate([turn.trait_weights for turn in turns]),
        },
        people=people,
        rounds=rounds,
        seed=seed,
        shares=REACH_SHARES,
        against=BASELINES,
    )
    gain = metrics["model - activity"]["lift_at_5"]
    comparison = (
        f"lift at 5 % of {metrics['model']['lift_at_5'].value:.2f} against "
        f"{metrics['activity']['lift_at_5'].value:.2f} of activity alone "
        f"({gain.value:+.2f}, 95 % between {gain.low:+.2f} and {gain.high:+.2f})"
    )
    published = bool(gain.low > 0)
    reason = comparison if published else f"not better than activity alone at 95 %: {comparison}"
    return Judgement(
        pu.choose(found), found, metrics, places, outcome, people, sample.rows[judging], published, reason
    )


@dataclass(frozen=True)
class TestOverTime:
    """How a model learned from what was known then ranks who joined later; None where that is not possible."""

    metrics: dict[str, dict[str, Estimate]] | None
    joined: int
    note: str


def judge_over_time(sample: Sample, has_joined: np.ndarray, rounds: int, seed: int) -> TestOverTime:
    """Learn from the seed of then and measure how high those of the unlabelled stand who joined later (n,).

    Everything in the sample is as it was known then.
    """
    joined = len(np.unique(sample.people[has_joined & ~sample.is_seed]))
    if joined < FEWEST_JOINED:
        return TestOverTime(None, joined, f"{joined:,} people have joined since, {FEWEST_JOINED} are needed")
    try:
        learned = learn(sample, seed)
    except TooLittle as little:
        return TestOverTime(None, joined, str(little))
    unlabelled = np.flatnonzero(~sample.is_seed)
    metrics = evaluate(
        has_joined[unlabelled],
        {
            "model": places_of_unlabelled(learned, sample)[unlabelled],
            "activity": sample.activity[unlabelled],
        },
        people=sample.people[unlabelled],
        rounds=rounds,
        seed=seed,
        against="activity",
    )
    return TestOverTime(metrics, joined, f"{joined:,} people have joined since")


@dataclass(frozen=True)
class Turn:
    """One turn of the judging: the rows held out (m,), their places and trait-weight places, each algorithm's lifts."""

    judging: np.ndarray
    places: np.ndarray
    trait_weights: np.ndarray
    found: dict[str, float]


def _judge_turn(sample: Sample, held_out: np.ndarray, seed: int) -> Turn:
    learning, judging = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if not sample.is_seed[learning].any() or not sample.is_seed[judging].any():
        raise TooLittle("the seed is too small to hold people out")
    require_unseen(sample.people[learning], sample.people[judging])
    learner, known = pu.Learner(sample.families, seed), sample.take(learning)
    contest = learner.compete(known.matrix, known.is_seed, known.folds)
    if not contest.lifts:
        raise TooLittle("the seed is too small to hide people for the choice of an algorithm")
    scorers = (
        learner.fit(contest.chosen, known.matrix, known.is_seed),
        learner.fit_trait_weights(known.matrix, known.is_seed),
    )
    scores, trait_weights = (scorer.score(sample.matrix[judging]) for scorer in scorers)
    candidates = ~sample.is_seed[judging]
    return Turn(
        judging,
        pu.places_among(np.sort(scores[candidates]), scores),
        pu.places_among(np.sort(trait_weights[candidates]), trait_weights),
        contest.lifts,
    )


def _hold_outs(sample: Sample, hold_out_share: float, seed: int) -> list[np.ndarray]:
    """Masks (n,) of the people held out, the same share of the seed's people as of the others, one mask a turn."""
    places = drawn(sample.people, "hold-out", seed)
    small = len(np.unique(sample.people[sample.is_seed])) < LARGE_SEED
    turns = max(2, round(1 / hold_out_share)) if small else 1
    share = 1 / turns if small else hold_out_share
    rank = np.zeros(len(places))
    for mask in (sample.is_seed, ~sample.is_seed):
        of_people = np.unique(places[mask])
        rank[mask] = np.searchsorted(of_people, places[mask]) / max(1, len(of_people))
    return [(rank >= turn * share) & (rank < (turn + 1) * share) for turn in range(turns)]
