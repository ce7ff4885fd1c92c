"""Which day a run is about."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from include.business_day import business_day

MIDNIGHT = datetime(2017, 12, 2, tzinfo=UTC)


def test_the_parameter_wins_over_the_partition_and_the_runs_date():
    assert business_day({"day": "2017-12-01"}, "2017-11-30", MIDNIGHT) == date(2017, 12, 1)


def test_the_partition_key_wins_over_the_runs_date():
    assert business_day({"day": None}, "2017-11-30T00:00:00", MIDNIGHT) == date(2017, 11, 30)


def test_a_run_at_midnight_is_about_the_day_that_has_just_ended():
    assert business_day({}, None, MIDNIGHT) == date(2017, 12, 1)


def test_a_run_at_noon_is_about_its_own_day():
    assert business_day({}, None, MIDNIGHT.replace(hour=12)) == date(2017, 12, 2)


@pytest.mark.parametrize("params", [{"day": "yesterday"}, {"day": "2017-02-30"}])
def test_a_day_that_is_none_is_refused_with_an_example(params: dict):
    with pytest.raises(ValueError, match=r"parameter day: found '.*', expected a date like 2017-12-01"):
        business_day(params, None, MIDNIGHT)


def test_a_run_without_any_date_is_refused():
    with pytest.raises(ValueError, match="the run has no date"):
        business_day({}, None, None)
