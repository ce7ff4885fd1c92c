"""Serving: places outside of DATA where readers find the same release, and the way back to an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from include.lake import Lake, hash_file
from include.ledger import StepFailed
from include.publish.manifest import MANIFEST
from include.publish.release import current_release, point_readers_to, sealed_releases
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Publishing

logger = logging.getLogger(__name__)


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


def serve_release(lake: Lake, configuration: Configuration, settings: Settings) -> str:
    """Make every configured place show the release that `published/current` leads to, and hold none that DATA does not
    keep. Returns one line.

    Nothing is loaded twice. A place that fails leaves its readers on the release before.
    """
    current = current_release(lake)
    if current is None:
        return "nothing is published yet"
    kept = {each.name: each for each in (_edition(path) for path in sealed_releases(lake))}
    shown, told = _edition(current), []
    for title, opened in _places(configuration.publishing, settings):
        with opened as place:
            held = place.held()
            if shown.name not in held:
                place.load(shown)
            place.point_readers_to(shown.name)
            busy = [name for name in held if name not in kept and not place.drop(name)]
        if busy:
            logger.warning("%s still holds %s, which somebody reads", title, ", ".join(busy))
        told.append(f"{title}: {'shown' if shown.name in held else 'loaded and shown'}")
    return f"{shown.release_id}; {', '.join(told)}" if told else "no place is configured"


def roll_back(lake: Lake, release_id: str, configuration: Configuration, settings: Settings) -> str:
    """Point readers in DATA and at every place to a release that is kept. Returns one line.

    The next run moves forward again. Raises StepFailed naming the releases that there are.
    """
    kept = [path.name for path in sealed_releases(lake)]
    if release_id not in kept:
        there = ", ".join(kept) or "none"
        raise StepFailed(
            f"rollback: there is no release {release_id!r} in {lake.published}, kept are: {there}"
        )
    point_readers_to(lake, release_id)
    return f"readers see {release_id}; {serve_release(lake, configuration, settings)}"


def _edition(release: Path) -> Edition:
    return Edition(release.name, hash_file(release / MANIFEST), release)


def _places(
    publishing: Publishing, settings: Settings
) -> Iterator[tuple[str, AbstractContextManager[Place]]]:
    from include.extract.connectors.connections import connection_of

    if publishing.postgres:
        from include.publish.postgres import open_postgres

        connection = connection_of(publishing.postgres.connection, settings)
        yield "PostgreSQL", open_postgres(connection, publishing.postgres.reader)
    if publishing.storage:
        from include.publish.storage import open_storage_place

        key = publishing.storage.connection
        connection = connection_of(key, settings) if key else None
        yield "object storage", open_storage_place(publishing.storage.url, connection)
