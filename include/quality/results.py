"""What a gate found: a result for each expectation, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class ExpectationResult:
    """What one expectation found. `unexpected_share` is of the asset's rows, in [0, 1]; both are None for an
    expectation about the table as a whole. `rows` are the asset's, `samples` some of those that break it, as JSON."""

    asset: str
    expectation: str
    subject: str
    severity: str
    success: bool
    observed: str
    unexpected_count: int | None
    unexpected_share: float | None
    examples: tuple[str, ...]
    meaning: str
    owner: str
    rows: int
    samples: tuple[str, ...] = ()

    @property
    def finding(self) -> str:
        """In words: how many rows break it, or what was seen instead."""
        if self.unexpected_count is None:
            return f"found {self.observed}"
        share = f"{self.unexpected_count:,} of {self.rows:,} rows"
        return f"{share}, e.g. {', '.join(self.examples)}" if self.examples else share


@dataclass(frozen=True)
class GateResult:
    """What a gate found, and how many wall seconds it took to evaluate once everything was imported."""

    step: str
    day: date
    results: tuple[ExpectationResult, ...]
    page: Path
    seconds: float

    @property
    def passed(self) -> int:
        """How many expectations hold."""
        return sum(result.success for result in self.results)

    @property
    def warned(self) -> int:
        """How many expectations do not hold but let the run go on."""
        return sum(not result.success and result.severity == "warn" for result in self.results)

    @property
    def failed(self) -> tuple[ExpectationResult, ...]:
        """The expectations that stop the run."""
        return tuple(each for each in self.results if not each.success and each.severity == "stop")
