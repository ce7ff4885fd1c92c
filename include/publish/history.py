"""Keeps what was published of audiences, day by day: the next day says since when a member has been in an audience and
why one left; and removes what names people from what was learned on days that nobody asks for any more."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from include.lake import HISTORY_TABLES, Lake, earlier_days, replacing
from include.privacy.epochs import VISITORS_LEARNED, files_of_epoch

if TYPE_CHECKING:
    from include.config.schema import Privacy

CUSTOMERS_LEARNED = ("customer_scores*", "customer_segments", "product_recommendations")


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


def forget_learned(lake: Lake, day: date, privacy: Privacy) -> None:
    """Remove what names people from the days of `lake/ml` that nobody asks for any more; models and counts stay.

    Customers are asked for on their day alone and go with its releases. Who was found like whom is asked for later too
    (who became a member because of it?): it stays as long as visitors do, and no longer than releases once the key is
    another one.
    """
    released = day - timedelta(days=privacy.keep_releases_days)
    idle = min(released, day - timedelta(days=privacy.visitor_idle_days))
    customers = _learned_before(lake, released, CUSTOMERS_LEARNED)
    visitors = _learned_before(lake, released, VISITORS_LEARNED)
    asked_for = files_of_epoch(lake, visitors, privacy.key.epoch)
    for path in [*customers, *visitors]:
        if path not in asked_for or path.parent.name < f"date={idle:%Y-%m-%d}":
            path.unlink()


def _learned_before(lake: Lake, oldest: date, tables: tuple[str, ...]) -> list[Path]:
    """Files of tables, by pattern, of the days before one."""
    return [path for table in tables for path in earlier_days(lake.ml(oldest, table))]
