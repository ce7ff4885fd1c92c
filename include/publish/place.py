"""A place outside of DATA where readers find releases: what each must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Edition:
    """A release as a place holds it. Its name says what is in it: a release that was rewritten, because somebody's
    data had to go, is another edition of the same release."""

    release_id: str
    fingerprint: str
    path: Path

    @property
    def name(self) -> str:
        return f"{self.release_id}_{self.fingerprint[:8]}"


class Place(Protocol):
    """Where readers look. Each method takes effect as a whole or not at all, and may be called again.

    Raises SourceUnreachable when the place does not answer and StepFailed when it refuses.
    """

    def held(self) -> tuple[str, ...]:
        """The names of the editions that are there, all of them whole."""

    def load(self, edition: Edition) -> None:
        """Bring an edition there, where no reader looks."""

    def point_readers_to(self, name: str) -> None:
        """Make readers see an edition that is held, in one step for all of its tables."""

    def drop(self, name: str) -> bool:
        """Remove an edition that readers were not pointed to. Returns False when somebody still reads it."""
