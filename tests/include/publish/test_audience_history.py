"""A day keeps what it published of audiences, and days that nobody builds on are removed."""

from __future__ import annotations

from datetime import date, timedelta

from include.lake import HISTORY_TABLES, Lake, earlier_days
from include.publish.history import keep_history

DAY = date(2024, 6, 30)


def release_of(lake: Lake, day: date):
    folder = lake.published / "releases" / f"{day}_x"
    (folder / "both").mkdir(parents=True)
    for table in HISTORY_TABLES:
        (folder / "both" / f"{table}.parquet").write_text(f"{table} of {day}")
    return folder


def test_a_day_keeps_its_audiences_for_the_next(tmp_path):
    lake = Lake(tmp_path)
    keep_history(lake, DAY, release_of(lake, DAY), keep_days=30)
    for table in HISTORY_TABLES:
        assert lake.audiences(DAY, table).read_text() == f"{table} of {DAY}"
        assert earlier_days(lake.audiences(DAY, table)) == []
        assert earlier_days(lake.audiences(DAY + timedelta(days=3), table)) == [lake.audiences(DAY, table)]


def test_days_out_of_their_time_are_removed_but_for_the_one_that_the_day_builds_on(tmp_path):
    lake = Lake(tmp_path)
    for back in (90, 40, 31, 30, 0):
        day = DAY - timedelta(days=back)
        keep_history(lake, day, release_of(lake, day), keep_days=30)
    assert [path.name for path in sorted((lake.root / "audiences").iterdir())] == [
        "date=2024-05-31", "date=2024-06-30",
    ]  # fmt: skip
    later = DAY + timedelta(days=200)
    keep_history(lake, later, release_of(lake, later), keep_days=30)
    assert [path.name for path in sorted((lake.root / "audiences").iterdir())] == [
        "date=2024-06-30", f"date={later}",
    ]  # fmt: skip
