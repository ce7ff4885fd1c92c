"""The day of delivery in a path: `{date}` stands for 2015-05-17, `{date:%Y%m%d}` for 20150517, and the parts of the day
may be in several places, as in `{date:%Y}/{date:%m}/orders_{date}.csv`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

PARTS = {"%Y": ("year", 4), "%m": ("month", 2), "%d": ("day", 2)}
PLACE = re.compile(r"\{date(?::((?:%[Ymd]|[^%*?\[\]{}])+))?\}")
ISO = "%Y-%m-%d"


def parts_of(path: str) -> set[str]:
    """The parts of a day that a path has, of `%Y`, `%m` and `%d`; none when it has no date."""
    return {part for place in PLACE.finditer(path) for part in PARTS if part in (place[1] or ISO)}


def on_day(path: str, day: date) -> str:
    """The path of one day."""
    return PLACE.sub(lambda place: day.strftime(place[1] or ISO), path)


def as_glob(path: str) -> str:
    """The path as a glob that finds the files of all days."""
    return PLACE.sub(lambda place: _replaced(place[0], lambda _, digits: "[0-9]" * digits, str), path)


def as_expression(place: str, seen: set[str]) -> str:
    """A `{date}` as a regular expression with the groups `year`, `month` and `day`. A part that was `seen` in another
    place before has to be as it was there."""

    def group(name: str, digits: int) -> str:
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>[0-9]{{{digits}}})"

    return _replaced(place, group, re.escape)


def _replaced(place: str, part: Callable[[str, int], str], other: Callable[[str], str]) -> str:
    tokens = re.findall("%[Ymd]|.", PLACE.fullmatch(place)[1] or ISO)
    return "".join(part(*PARTS[token]) if token in PARTS else other(token) for token in tokens)
