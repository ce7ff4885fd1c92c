from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact, hypergeom

from ml.rates import FALSE_DISCOVERIES, lifts

ROUNDS = 2_000


def _cell(inside, group, total, everybody):
    return lifts(*(np.array([count]) for count in (inside, group, total, everybody)))


def test_shares_and_lift_are_those_of_the_two_by_two_table():
    found = _cell(30, 100, 80, 1_000)
    assert found.share == pytest.approx(0.30)
    assert found.share_elsewhere == pytest.approx(50 / 900)
    assert found.lift == pytest.approx(0.30 / 0.08)


@pytest.mark.parametrize(
    "cell", [(30, 100, 80, 1_000), (2, 100, 80, 1_000), (0, 40, 25, 500), (7, 12, 9, 30)]
)
def test_the_p_value_is_twice_the_smaller_one_sided_p_value_of_fisher(cell):
    inside, group, total, everybody = cell
    table = [[inside, group - inside], [total - inside, everybody - group - total + inside]]
    one_sided = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert _cell(*cell).p_value == pytest.approx(min(1.0, 2 * min(one_sided)))


def test_p_values_of_large_and_lopsided_groups_are_those_of_the_hypergeometric_distribution():
    generator = np.random.default_rng(4)
    everybody, cells = 90_000, 300
    group = generator.integers(1, everybody, cells)
    total = (everybody * generator.random(cells) ** 4).astype(int)
    usual = generator.hypergeometric(total, everybody - total, group)
    fewest, most = np.maximum(0, group + total - everybody), np.minimum(group, total)
    inside = np.clip(usual + generator.integers(-60, 60, cells), fewest, most)
    found = lifts(inside, group, total, np.full(cells, everybody)).p_value
    tails = (
        hypergeom.cdf(inside, everybody, total, group),
        hypergeom.sf(inside - 1, everybody, total, group),
    )
    expected = np.minimum(2 * np.minimum(*tails), 1)
    assert (expected < 1e-6).any() and (expected > 0.5).any()
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-200)


def test_q_values_are_those_of_benjamini_and_hochberg():
    generator = np.random.default_rng(3)
    group = generator.integers(20, 200, 300)
    inside = generator.binomial(group, 0.2)
    found = lifts(inside, group, inside + 150, np.full(300, 1_000))
    order = np.argsort(found.p_value)
    stepped = found.p_value[order] * 300 / np.arange(1, 301)
    expected = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1)
    assert found.q_value[order] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("group", "others", "inside_rate", "outside_rate"),
    [(400, 1_600, 0.30, 0.10), (60, 2_000, 0.35, 0.05), (300, 300, 0.10, 0.10), (900, 100, 0.20, 0.30)],
)
def test_the_interval_of_the_lift_holds_the_truth_in_about_95_of_100_samples(
    group, others, inside_rate, outside_rate
):
    generator = np.random.default_rng(11)
    inside = generator.binomial(group, inside_rate, ROUNDS)
    outside = generator.binomial(others, outside_rate, ROUNDS)
    everybody = group + others
    found = lifts(inside, np.full(ROUNDS, group), inside + outside, np.full(ROUNDS, everybody))
    truth = inside_rate / ((group * inside_rate + others * outside_rate) / everybody)
    assert 0.935 <= ((found.low <= truth) & (truth <= found.high)).mean() <= 0.97


def test_where_nothing_differs_hardly_any_run_names_a_cell():
    generator = np.random.default_rng(5)
    runs, cells = 100, 200
    false_runs = 0
    for _ in range(runs):
        group = generator.integers(50, 400, cells)
        total = generator.integers(50, 600, cells)
        inside = generator.hypergeometric(total, 1_000 - total, group)
        false_runs += lifts(inside, group, total, np.full(cells, 1_000)).is_significant.any()
    # Three standard errors above what Benjamini and Hochberg promise; exact p-values are on the safe side of it.
    assert false_runs / runs <= FALSE_DISCOVERIES + 3 * np.sqrt(FALSE_DISCOVERIES * 0.95 / runs)


def test_of_the_cells_named_at_most_5_of_100_are_false_while_most_true_ones_are_found():
    generator = np.random.default_rng(6)
    shares, found_true = [], []
    for _ in range(50):
        differs = np.arange(500) < 100
        inside = generator.binomial(200, np.where(differs, 0.35, 0.15))
        outside = generator.binomial(800, 0.15, 500)
        named = lifts(inside, np.full(500, 200), inside + outside, np.full(500, 1_000)).is_significant
        shares.append((named & ~differs).sum() / max(1, named.sum()))
        found_true.append(named[differs].mean())
    assert np.mean(shares) <= FALSE_DISCOVERIES
    assert np.mean(found_true) > 0.95


def test_nobody_somebody_and_everybody_give_finite_intervals_around_the_lift():
    found = lifts(
        np.array([0, 5, 40, 0, 40]),
        np.array([40, 40, 40, 40, 40]),
        np.array([25, 5, 500, 0, 40]),
        np.array([500, 500, 500, 500, 500]),
    )
    known = ~np.isnan(found.lift)
    assert known.tolist() == [True, True, True, False, True]
    assert np.isfinite(found.low[known]).all() and np.isfinite(found.high[known]).all()
    assert (found.low[known] <= found.lift[known]).all() and (found.lift[known] <= found.high[known]).all()


def test_a_cell_that_is_extreme_among_a_million_people_keeps_its_order_of_magnitude():
    found = _cell(900, 20_000, 10_000, 1_000_000)
    assert found.p_value == pytest.approx(2 * hypergeom.sf(899, 1_000_000, 10_000, 20_000), rel=1e-6)
    assert 0 < found.p_value < 1e-200


def test_no_cells_give_no_lifts():
    found = lifts(*(np.zeros(0, dtype=int) for _ in range(4)))
    assert len(found.lift) == 0 and len(found.q_value) == 0


def test_a_group_that_is_no_part_of_everybody_is_refused():
    with pytest.raises(ValueError, match="larger than its whole"):
        _cell(30, 100, 20, 1_000)
