"""Connectors: one module per technology that data comes from. Each says what a channel has delivered up to a day, as
files that the formats can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel
    from include.extract.landing import Receipt


@dataclass(frozen=True)
class Delivery:
    """One file of a channel, or what one read of a database gives.

    `name` does not depend on where the data lies; `day` is the date in its path, None when it has none; `format` is
    one of the formats of `channels.yml`. `fetch` gives it as a file of this machine, in the folder that it is handed
    if a copy is needed, and raises StepFailed when it cannot. `fingerprint` changes with the content, where that is
    known without fetching.
    """

    name: str
    day: date | None
    format: str
    fetch: Callable[[Path], Path]
    fingerprint: str | None = None


def find_deliveries(
    channel: Channel, day: date, settings: Settings, receipts: list[Receipt]
) -> list[Delivery]:
    """What a channel has delivered up to `day`, sorted by day and name. `receipts` are of what landed before, by the
    same rules as today's.

    Raises StepFailed when a required channel has nothing for the day, or its source cannot be reached.
    """
    from include.extract.connectors.files import find_files

    return find_files(channel, day, settings)
