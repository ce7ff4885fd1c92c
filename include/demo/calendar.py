"""The demo's time axis: what happened when, and with which day's files it is delivered. All UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

DAY = 86_400
NEVER = np.int64(2**40)  # seconds; later than any date that a file can hold


@dataclass(frozen=True)
class Calendar:
    """The history ends with the day before `first_business_day`; `days` daily deliveries follow."""

    first_business_day: date
    days: int

    @property
    def history_day(self) -> date:
        return self.first_business_day - timedelta(days=1)

    @property
    def delivery_days(self) -> list[date]:
        """The date in the name of each file: the history's, then one per business day."""
        return [self.history_day + timedelta(days=day) for day in range(self.days + 1)]

    @property
    def cutoff(self) -> int:
        """Seconds since 1970 at which the first business day begins."""
        return seconds(self.first_business_day)

    @property
    def end(self) -> int:
        """Seconds since 1970 at which the last business day has ended."""
        return self.cutoff + self.days * DAY

    @property
    def online_from(self) -> int:
        """The web shop opens 24 weeks before the first business day."""
        return self.cutoff - 168 * DAY

    @property
    def offsite_from(self) -> int:
        """The third party's feed begins 13 weeks before the first business day."""
        return self.cutoff - 91 * DAY

    def delivery(self, at: np.ndarray) -> np.ndarray:
        """The position in `delivery_days` of what became known at `at` (seconds); beyond the end it is larger
        than `days` and has not been delivered yet."""
        return np.where(at < self.cutoff, 0, 1 + (at - self.cutoff) // DAY).astype(np.int64)


def seconds(day: date) -> int:
    """Seconds since 1970 at which a day begins in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def times_of_day(rng: np.random.Generator, size: int) -> np.ndarray:
    """Seconds after midnight UTC for shoppers in North America: quiet mornings, busy evenings."""
    hour = rng.choice(24, size, p=_HOURS / _HOURS.sum())
    return hour * 3600 + rng.integers(0, 3600, size)


_HOURS = np.array([9, 8, 6, 4, 2, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 7, 7, 8, 9, 10], dtype=float)


def timestamps(at: np.ndarray) -> np.ndarray:
    """`yyyy-mm-ddThh:mm:ssZ` of seconds since 1970."""
    return np.datetime_as_string(at.astype("datetime64[s]"), unit="s", timezone="UTC")
