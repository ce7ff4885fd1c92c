"""What every connector gives: files that the formats can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path


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
