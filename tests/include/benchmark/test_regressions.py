"""A check of the pipeline against what was accepted finds what got worse, at every size, and not what is chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from include.benchmark.limit import Limit
from include.benchmark.pipeline import Measured, accepted
from include.benchmark.regressions import regressions, slack
from include.benchmark.steps import MODELS, Cost

ACCEPTED = accepted()
STARTS = {"python": 2.0, "dbt": 6.0, "gate": 4.0, "learning": 8.0, "airflow": 20.0}
# In multiples of a limit of ten seconds; the models of stage take six tenths to start.
CRM = Cost("extract", "crm", 1.2, 1.2, 100, read=50, written=10)
EVENTS = Cost("stage", "stg_events", 8.0, 8.0, 900, read=500, written=100)
TESTS = Cost("stage", "14 tests", 0.5, 0.5, 400)
STAGE = Cost("stage", MODELS, 10.6, 10.6, 300, read=600, written=200)


def run(*costs: Cost, daily: tuple[Cost, ...] = ()) -> Measured:
    return Measured(1000, "a machine", Limit(1000, 10.0, 10.0), STARTS, costs, daily)


BEFORE = run(CRM, EVENTS, TESTS, STAGE)


def changed(size: str, part: str, change: Callable[[Cost], Cost]) -> Measured:
    """What was accepted of a size, with one part of the first load another."""
    measured = ACCEPTED[size]
    assert part in {cost.part for cost in measured.first}
    return replace(
        measured, first=tuple(change(cost) if cost.part == part else cost for cost in measured.first)
    )


def test_a_check_names_the_step_and_the_model_that_got_dearer() -> None:
    now = run(CRM, replace(EVENTS, cpu=12.0), TESTS, replace(STAGE, cpu=14.6))
    assert regressions(now, BEFORE) == [
        "first: stage takes 14.000 limits, accepted are 10.000",
        "first: stage, stg_events takes 12.000 limits, accepted are 8.000",
    ]


def test_a_check_bites_on_a_model_that_is_new_and_on_the_daily_run() -> None:
    new = Cost("stage", "stg_new", 0.2, 0.2, 900, read=500)
    assert regressions(run(CRM, EVENTS, new, TESTS, STAGE), BEFORE) == [
        "first: stage, stg_new takes 0.200 limits, accepted are 0.000"
    ]
    slower = replace(BEFORE, daily=(replace(CRM, cpu=3.0),))
    assert regressions(slower, replace(BEFORE, daily=(CRM,))) == [
        "daily: extract takes 2.800 limits, accepted are 1.000",
        "daily: extract, crm takes 3.000 limits, accepted are 1.200",
    ]


@pytest.mark.parametrize("size", [size for size in ACCEPTED if size != "small"])
def test_a_model_that_doubles_is_found_at_every_size_where_it_is_more_than_chance(size: str) -> None:
    twice = changed(size, "sessions", lambda cost: replace(cost, cpu=2 * cost.cpu))
    assert [line for line in regressions(twice, ACCEPTED[size]) if ", sessions takes" in line]


@pytest.mark.parametrize("size", ACCEPTED)
def test_what_a_process_takes_more_by_chance_is_let_pass(size: str) -> None:
    assert regressions(ACCEPTED[size], ACCEPTED[size]) == []
    measured = ACCEPTED[size]
    jitter = 0.4 / measured.limit.cpu
    small = {"activate", "stg_orders", "write"}
    for part in small:
        later = changed(size, part, lambda cost: replace(cost, cpu=cost.cpu + jitter))
        assert regressions(later, measured) == []


def test_chance_is_half_of_the_limit_and_between_half_a_second_and_one() -> None:
    assert [slack(limit) * limit for limit in (0.5, 1.6, 31.4, 354.0)] == pytest.approx([0.5, 0.8, 1.0, 1.0])


def test_more_memory_of_a_process_is_found_and_of_models_the_largest_counts() -> None:
    assert regressions(run(replace(CRM, peak=230), EVENTS, TESTS, STAGE), BEFORE) == [
        "first: extract, crm needs 230 MiB, accepted are 100"
    ]
    assert regressions(run(CRM, replace(EVENTS, peak=1200), TESTS, STAGE), BEFORE) == [
        "first: stage, models needs 1,200 MiB, accepted are 900"
    ]
    # Tests come after the models and find what memory the process has still.
    assert regressions(run(CRM, EVENTS, replace(TESTS, peak=880), STAGE), BEFORE) == []
    assert regressions(run(replace(CRM, peak=220), EVENTS, TESTS, STAGE), BEFORE) == []


def test_more_bytes_read_and_written_are_found() -> None:
    now = run(CRM, replace(EVENTS, read=640, written=170), TESTS, STAGE)
    assert regressions(now, BEFORE) == [
        "first: stage, stg_events reads 640 MiB, accepted are 500",
        "first: stage, stg_events writes 170 MiB, accepted are 100",
    ]
    assert regressions(run(CRM, replace(EVENTS, read=620, written=160), TESTS, STAGE), BEFORE) == []
    # Where the system does not tell there is nothing to compare.
    assert regressions(run(CRM, replace(EVENTS, read=None, written=None), TESTS, STAGE), BEFORE) == []


def test_a_part_that_is_gone_is_named_and_so_is_a_run() -> None:
    assert regressions(run(CRM, replace(TESTS, part="15 tests"), STAGE), BEFORE) == [
        "first: stage, stg_events is not there any more"
    ]
    assert regressions(BEFORE, replace(BEFORE, daily=(CRM,))) == ["daily: nothing was measured"]
