"""The suites of `suites/<step>.yml` as objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from include.core_yaml import load_yaml
from include.ledger import STEPS

SUITES = Path(__file__).with_name("suites")
UNEXPECTED_ROWS = "unexpected_rows_expectation"
ASSET_KEYS = {"from", "lazy", "owner", "expect"}
EXPECTATION_KEYS = {"type", "severity", "meaning", "owner", "name", "where", "show", "applies_when_rows"}


class SuiteError(ValueError):
    """A suite file that does not say what it must. The message names file, asset and key."""


@dataclass(frozen=True)
class Expectation:
    """Something that must hold of an asset.

    `type` and `arguments` are Great Expectations' own. `severity` is stop (the run ends) or warn; `meaning` says
    what a failure means; `applies_when_rows` leaves it out for an asset without rows. For
    `unexpected_rows_expectation` the rows `where` a condition holds break it, and `show` are the columns of the
    examples.
    """

    type: str
    severity: str
    meaning: str
    owner: str
    name: str | None = None
    where: str | None = None
    show: tuple[str, ...] = ()
    applies_when_rows: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What is in the brackets after the type: the columns, or the name of a rule."""
        columns = self.arguments.get("column") or self.arguments.get("column_list")
        if self.name:
            return self.name
        return columns if isinstance(columns, str) else ", ".join(columns or ())


@dataclass(frozen=True)
class Asset:
    """A query and what must hold of its rows.

    The conditions of an asset are looked for together, in one reading of it, and every other expectation becomes a
    query over it: its rows are computed once and kept, or, when `lazy`, read again by each, which is better for a large
    table of which an expectation needs one column.
    """

    name: str
    query: str
    lazy: bool
    expectations: tuple[Expectation, ...]


@lru_cache(maxsize=len(STEPS))
def load_suite(step: str) -> tuple[Asset, ...]:
    """The assets of a step's suite. Raises SuiteError naming the file and the key."""
    path = SUITES / f"{step}.yml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in SUITES.glob("*.yml")))
        raise SuiteError(f"there is no suite for the step {step!r}; there are {known}")
    document = load_yaml(path)
    return tuple(_asset(name, entry, path.name) for name, entry in document["assets"].items())


def _asset(name: str, entry: dict[str, Any], file: str) -> Asset:
    where = f"{file}: {name}"
    _refuse_unknown(set(entry) - ASSET_KEYS, where, ASSET_KEYS)
    _require(entry, ("from", "owner", "expect"), where)
    return Asset(
        name=name,
        query=entry["from"].strip(),
        lazy=entry.get("lazy", False),
        expectations=tuple(_expectation(each, entry["owner"], where) for each in entry["expect"]),
    )


def _expectation(entry: dict[str, Any], owner: str, where: str) -> Expectation:
    where = f"{where}: {entry.get('type')}"
    _require(entry, ("type", "severity", "meaning"), where)
    if entry["severity"] not in ("stop", "warn"):
        raise SuiteError(f"{where}: severity is {entry['severity']!r}, allowed are stop and warn")
    if entry["type"] == UNEXPECTED_ROWS:
        _require(entry, ("name", "where", "show"), where)
    return Expectation(
        type=entry["type"],
        severity=entry["severity"],
        meaning=entry["meaning"],
        owner=entry.get("owner", owner),
        name=entry.get("name"),
        where=entry.get("where"),
        show=tuple(entry.get("show", ())),
        applies_when_rows=entry.get("applies_when_rows", False),
        arguments={key: value for key, value in entry.items() if key not in EXPECTATION_KEYS},
    )


def _require(entry: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    missing = [key for key in keys if key not in entry]
    if missing:
        raise SuiteError(f"{where}: {', '.join(missing)} is missing")


def _refuse_unknown(unknown: set[str], where: str, allowed: set[str]) -> None:
    if unknown:
        raise SuiteError(
            f"{where}: unknown {', '.join(sorted(unknown))}, allowed are {', '.join(sorted(allowed))}"
        )
