"""The one place that decides which day a run is about. No other module reads a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any


def business_day(params: Mapping[str, Any], partition_key: str | None, logical_date: datetime | None) -> date:
    """The day whose data a run takes in, up to its end in UTC.

    The `day` parameter wins, then the partition key, then the run's own date: the day that contains the
    last instant before it, so that a run scheduled for midnight is about the day that has just ended.

    Raises ValueError when none of the three says a day, or one is not a date.
    """
    for source, text in (("parameter day", params.get("day")), ("partition key", partition_key)):
        if text:
            try:
                return date.fromisoformat(str(text)[:10])
            except ValueError:
                raise ValueError(f"{source}: found {text!r}, expected a date like 2017-12-01") from None
    if logical_date is None:
        raise ValueError("the run has no date: give the parameter day, for example 2017-12-01")
    return (logical_date - timedelta(microseconds=1)).date()


def is_ahead(day: date) -> bool:
    """Whether no clock on earth has reached the day yet. A release of such a day would keep readers from all days
    before it, so who types one most likely mistook a digit."""
    return day > datetime.now(UTC).date() + timedelta(days=1)
