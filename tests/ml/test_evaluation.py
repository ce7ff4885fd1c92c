from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from ml.evaluation import auc, evaluate, lift


@pytest.fixture
def tied() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    scores = generator.poisson(3, 500).astype(float)
    labels = (generator.random(500) < 0.1 + 0.05 * scores).astype(float)
    return labels, scores


def test_ranking_metrics_of_tied_scores_equal_those_of_scikit_learn(tied):
    labels, scores = tied
    measured = evaluate(labels, {"score": scores}, rounds=0)["score"]
    assert measured["auc"].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert measured["average_precision"].value == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_calibration_metrics_equal_those_of_scikit_learn(tied):
    labels, scores = tied
    probabilities = 0.05 + 0.07 * scores
    measured = evaluate(labels, {"score": probabilities}, probabilities=["score"], rounds=0)["score"]
    assert measured["brier"].value == pytest.approx(brier_score_loss(labels, probabilities))
    assert measured["log_loss"].value == pytest.approx(log_loss(labels, probabilities))


def test_tied_scores_share_their_places_so_a_constant_score_lifts_nothing():
    labels = np.repeat([1.0, 0.0], [10, 90])
    assert lift(labels, np.zeros(100), 0.05) == pytest.approx(1.0)
    assert auc(labels, np.zeros(100)) == pytest.approx(0.5)


def test_a_perfect_score_lifts_by_the_reciprocal_of_the_base_rate():
    labels = np.repeat([1.0, 0.0], [10, 90])
    assert lift(labels, labels, 0.05) == pytest.approx(10.0)


def test_the_calibration_error_of_probabilities_that_are_a_tenth_too_high_is_a_tenth():
    generator = np.random.default_rng(5)
    truth = generator.uniform(0.1, 0.8, 20_000)
    labels = (generator.random(20_000) < truth).astype(float)
    honest = evaluate(labels, {"p": truth}, probabilities=["p"], rounds=0)["p"]["ece"].value
    raised = evaluate(labels, {"p": truth + 0.1}, probabilities=["p"], rounds=0)["p"]["ece"].value
    assert honest < 0.02
    assert raised == pytest.approx(0.1, abs=0.01)


def test_intervals_cover_the_truth_of_a_random_score_about_as_often_as_they_say():
    covered = 0
    for draw in range(40):
        generator = np.random.default_rng(draw)
        labels = (generator.random(400) < 0.3).astype(float)
        interval = evaluate(labels, {"score": generator.random(400)}, rounds=200, seed=draw)["score"]["auc"]
        covered += interval.low <= 0.5 <= interval.high
    assert 33 <= covered <= 40


def test_the_interval_of_a_paired_difference_is_narrower_than_the_two_intervals_apart():
    generator = np.random.default_rng(1)
    truth = generator.normal(size=1500)
    labels = (generator.random(1500) < 1 / (1 + np.exp(-truth))).astype(float)
    scores = {"good": truth, "nearly": truth + generator.normal(scale=0.1, size=1500)}
    measured = evaluate(labels, scores, rounds=200, against="nearly")
    paired = measured["good - nearly"]["auc"]
    assert paired.high - paired.low < 0.3 * (measured["good"]["auc"].high - measured["good"]["auc"].low)


def test_drawing_people_instead_of_rows_widens_the_interval_when_rows_repeat():
    generator = np.random.default_rng(2)
    labels = np.repeat((generator.random(200) < 0.3).astype(float), 9)
    scores = np.repeat(generator.random(200), 9)
    people = np.repeat(np.arange(200), 9)
    rows = evaluate(labels, {"s": scores}, rounds=200)["s"]["auc"]
    persons = evaluate(labels, {"s": scores}, people=people, rounds=200)["s"]["auc"]
    assert persons.high - persons.low > 2 * (rows.high - rows.low)


def test_a_missing_score_is_refused_and_not_ranked_somewhere():
    with pytest.raises(ValueError, match="missing"):
        auc(np.array([0.0, 1.0]), np.array([np.nan, 1.0]))
