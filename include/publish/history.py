"""Keeps what was published of audiences, day by day: the next day says since when a member has been in an audience and
why one left."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

from include.lake import HISTORY_TABLES, Lake, earlier_days, replacing


def keep_history(lake: Lake, day: date, release: Path, keep_days: int) -> None:
    """Keep the audiences of a sealed release as those of its day, and remove days that nobody builds on any more.

    A day builds on the latest day before it alone. Days more than `keep_days` back go, for they name visitors who may
    have withdrawn their consent since; the latest of them stays until there is a later one.
    """
    for table in HISTORY_TABLES:
        with replacing(lake.audiences(day, table)) as path:
            shutil.copyfile(release / "both" / f"{table}.parquet", path)
    oldest = f"date={day - timedelta(days=keep_days):%Y-%m-%d}"
    folders = [path.parent for path in earlier_days(lake.audiences(day, HISTORY_TABLES[0]))]
    for folder in folders[:-1]:
        if folder.name < oldest:
            shutil.rmtree(folder)
