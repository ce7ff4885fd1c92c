"""What is wrong with a configuration, all of it at once, each problem on its own line."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

SHOWN_CHARACTERS = 60


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: where it is written, what was found, what is allowed."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.key}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used. `str()` gives every problem, one per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refusal(found: object, allowed: str) -> str:
    """`found X, allowed: Y`."""
    return f"found {shown(found)}, allowed: {allowed}"


def refusal_of(found: object, allowed: Iterable[str], what: str = "") -> str:
    """`found X, allowed: a, b, c (did you mean 'b'?)`; `what` names the thing found, e.g. "column"."""
    names = list(allowed)
    close = get_close_matches(str(found).lower(), names, n=1, cutoff=0.6)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    return f"found {what + ' ' if what else ''}{shown(found)}, allowed: {', '.join(names) or 'nothing'}{hint}"


def shown(found: object) -> str:
    """A value as an error shows it: short, on one line, in the words of YAML."""
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, dict):
        return (
            f"a mapping ({', '.join(str(key) for key in list(found)[:5])})" if found else "an empty mapping"
        )
    if isinstance(found, list | tuple):
        return f"a list of {len(found)}"
    if isinstance(found, datetime.date):
        return found.isoformat()
    text = repr(found)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
