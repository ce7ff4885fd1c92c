from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ml.logistic import fit_logistic

ROWS, COLUMNS = 4_000, 12


@pytest.fixture(scope="module", params=[-1.0, -4.5])
def data(request) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that repeat one another, labels that are common or rare, and how often each row counts."""
    generator = np.random.default_rng(3)
    matrix = generator.normal(size=(ROWS, COLUMNS))
    matrix[:, 1:4] += matrix[:, [0]]
    odds = matrix @ generator.normal(scale=0.5, size=COLUMNS) + request.param
    labels = (generator.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(float)
    assert labels.sum() > 40
    return matrix, labels, generator.poisson(1.0, ROWS)


def _oracle(matrix, labels, strength, times=None) -> np.ndarray:
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10, max_iter=500)
    model.fit(matrix, labels, sample_weight=times)
    return np.append(model.coef_, model.intercept_)


def _found(fit) -> np.ndarray:
    return np.append(fit.model.coefficients, fit.model.intercept)


@pytest.mark.parametrize("strength", [0.003, 0.1, 10.0])
def test_coefficients_are_those_of_scikit_learn(data, strength):
    matrix, labels, times = data
    assert _found(fit_logistic(matrix, labels, strength)) == pytest.approx(
        _oracle(matrix, labels, strength), abs=2e-3
    )
    assert _found(fit_logistic(matrix, labels, strength, times)) == pytest.approx(
        _oracle(matrix, labels, strength, times), abs=2e-3
    )


def test_where_a_fit_ends_does_not_hang_on_where_it_began(data):
    matrix, labels, times = data
    outside = np.arange(ROWS) % 3 > 0
    near = fit_logistic(matrix, labels, 0.1)
    for weights in (times, outside.astype(float)):
        begun_near = fit_logistic(matrix, labels, 0.1, weights, near)
        assert _found(begun_near) == pytest.approx(_oracle(matrix, labels, 0.1, weights), abs=2e-3)
    assert _found(fit_logistic(matrix, labels, 0.1, near=near.model)) == pytest.approx(_found(near), abs=2e-3)


def test_single_precision_moves_coefficients_by_less_than_their_errors(data):
    matrix, labels, _ = data
    single = fit_logistic(matrix.astype(np.float32), labels, 0.1)
    assert _found(single) == pytest.approx(_oracle(matrix, labels, 0.1), abs=2e-3)


def test_labels_that_a_feature_separates_are_held_by_the_penalty():
    matrix = np.arange(100.0)[:, None] / 50 - 1
    labels = (np.arange(100) >= 50).astype(float)
    assert _found(fit_logistic(matrix, labels, 10.0)) == pytest.approx(
        _oracle(matrix, labels, 10.0), abs=2e-2
    )
