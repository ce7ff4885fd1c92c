"""Connectors: one module per technology that data comes from. Each says what a channel has delivered up to a day, as
files that the formats can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    known without fetching. `partitions` are the Hive partitions of its path: columns of all its rows.
    """

    name: str
    day: date | None
    format: str
    fetch: Callable[[Path], Path]
    fingerprint: str | None = None
    partitions: Mapping[str, str | None] = field(default_factory=dict)


def find_deliveries(
    channel: Channel, day: date, settings: Settings, receipts: list[Receipt]
) -> list[Delivery]:
    """What a channel has delivered up to `day`, sorted by day and name. `receipts` are of what landed before, by the
    same rules as today's.

    Raises StepFailed when a required channel has nothing for the day, and SourceUnreachable when its source does
    not answer.
    """
    from include.extract.connectors.databases import find_reads
    from include.extract.connectors.files import find_files

    if channel.source.connector == "sql":
        return find_reads(channel, day, settings, receipts)
    return find_files(channel, day, settings)
