from __future__ import annotations

import numpy as np
import pytest

from ml.evaluation import Estimate, evaluate
from ml.influence import estimate_metrics

RANKING = ("auc", "average_precision", "lift_at_5", "lift_at_10")


@pytest.fixture(scope="module")
def judged() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A good score, a coarse one with many ties and the labels of 3,000 people, of whom one in seven says yes."""
    generator = np.random.default_rng(1)
    truth = generator.normal(size=3_000)
    labels = (generator.random(3_000) < 1 / (1 + np.exp(2 - truth))).astype(float)
    return labels, {
        "good": 1 / (1 + np.exp(1.9 - truth)),
        "coarse": np.round(truth + generator.normal(size=3_000)),
    }


@pytest.fixture(scope="module")
def resamples(judged) -> dict[str, dict[str, Estimate]]:
    """What 2,000 resamples of people come to, of all scores and metrics at once."""
    labels, scores = judged
    return evaluate(labels, scores, probabilities=["good"], rounds=2_000, against="coarse")


def test_values_are_those_of_the_evaluation_by_resamples(judged):
    labels, scores = judged
    resampled = evaluate(labels, scores, probabilities=["good"], rounds=0, against="coarse")
    measured = estimate_metrics(labels, scores, probabilities={"good": scores["good"]}, against="coarse")
    for score, metrics in resampled.items():
        assert {metric: measured[score][metric].value for metric in metrics} == pytest.approx(
            {metric: estimate.value for metric, estimate in metrics.items()}, abs=1e-12
        )


@pytest.mark.parametrize("score", ["good", "coarse", "good - coarse"])
@pytest.mark.parametrize("metric", RANKING)
def test_intervals_are_those_that_resamples_of_people_come_to(judged, resamples, score, metric):
    labels, scores = judged
    resampled = resamples[score][metric]
    measured = estimate_metrics(labels, scores, against="coarse")[score][metric]
    width = resampled.high - resampled.low
    assert measured.high - measured.low == pytest.approx(width, rel=0.1)
    assert (measured.low, measured.high) == pytest.approx((resampled.low, resampled.high), abs=0.1 * width)


@pytest.mark.parametrize("metric", ["brier", "log_loss", "ece"])
def test_intervals_of_calibration_are_those_that_resamples_of_people_come_to(judged, resamples, metric):
    labels, scores = judged
    resampled = resamples["good"][metric]
    measured = estimate_metrics(labels, scores, probabilities={"good": scores["good"]})["good"][metric]
    width = resampled.high - resampled.low
    assert (measured.low, measured.high) == pytest.approx((resampled.low, resampled.high), abs=0.1 * width)


def test_intervals_cover_the_truth_of_a_random_score_about_as_often_as_they_say():
    covered = 0
    for draw in range(40):
        generator = np.random.default_rng(draw)
        labels = (generator.random(400) < 0.3).astype(float)
        interval = estimate_metrics(labels, {"score": generator.random(400)})["score"]["auc"]
        covered += interval.low <= 0.5 <= interval.high
    assert 33 <= covered <= 40


def test_the_interval_of_a_paired_difference_is_narrower_than_the_two_intervals_apart(judged):
    labels, scores = judged
    nearly = scores["good"] + np.random.default_rng(2).normal(scale=0.01, size=len(labels))
    measured = estimate_metrics(labels, {"good": scores["good"], "nearly": nearly}, against="nearly")
    paired, alone = measured["good - nearly"]["auc"], measured["good"]["auc"]
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_a_missing_score_is_refused_and_not_ranked_somewhere():
    with pytest.raises(ValueError, match="missing"):
        estimate_metrics(np.array([0.0, 1.0]), {"score": np.array([np.nan, 1.0])})
