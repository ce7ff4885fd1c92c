"""Connectors: one module per technology that data comes from. Each says what a channel has delivered up to a day, as
files that the formats can read."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from include.extract.connectors.delivery import Delivery
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel
    from include.extract.landing import Receipt


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
