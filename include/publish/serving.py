"""Serving: places outside of DATA where readers find the same release, and the way back to an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from include.lake import Lake, hash_file
from include.ledger import StepFailed
from include.publish.manifest import MANIFEST
from include.publish.place import Edition, Place
from include.publish.release import current_release, point_readers_to, sealed_releases
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Publishing

logger = logging.getLogger(__name__)


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
