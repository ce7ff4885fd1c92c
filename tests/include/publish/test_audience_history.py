"""A day keeps what it published of audiences, and days that nobody builds on are removed."""

from __future__ import annotations

import importlib
import json
import pkgutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

import ml
from include.config import load_configuration
from include.lake import HISTORY_TABLES, Lake, earlier_days
from include.privacy.epochs import VISITORS_LEARNED
from include.privacy.requests.places import naming_columns
from include.publish.history import CUSTOMERS_LEARNED, forget_learned, keep_history
from include.settings import DEFAULT_CONFIG

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


def test_what_names_people_goes_from_what_was_learned_when_nobody_asks_for_it(tmp_path: Path) -> None:
    lake, privacy = Lake(tmp_path), load_configuration(DEFAULT_CONFIG).privacy
    privacy = privacy.model_copy(update={"key": privacy.key.model_copy(update={"epoch": 2})})
    assert (privacy.keep_releases_days, privacy.visitor_idle_days) == (30, 120)
    tables = {"customer_scores_value", "customer_segments", "lookalike_members", "segments"}
    for back, epoch in ((121, 2), (120, 2), (60, 1), (31, 2), (30, 1), (0, 2)):
        day = DAY - timedelta(days=back)
        run = lake.run_file(day, "run.json")
        run.parent.mkdir(parents=True)
        run.write_text(json.dumps({"dbt": {"key_epoch": epoch}}))
        for table in tables:
            lake.ml(day, table).parent.mkdir(parents=True, exist_ok=True)
            lake.ml(day, table).touch()
    forget_learned(lake, DAY, privacy)
    left = {
        back: {path.stem for path in lake.ml(DAY - timedelta(days=back), "any").parent.iterdir()}
        for back in (121, 120, 60, 31, 30, 0)
    }
    assert left == {
        121: {"segments"},
        120: {"segments", "lookalike_members"},
        60: {"segments"},
        31: {"segments", "lookalike_members"},
        30: tables,
        0: tables,
    }


def test_every_table_that_is_learned_and_names_people_is_known_to_be_forgotten() -> None:
    naming = set(naming_columns())
    named = {
        name
        for module in pkgutil.iter_modules(ml.__path__)
        for name, schema in vars(importlib.import_module(f"ml.{module.name}")).items()
        if isinstance(schema, pa.Schema) and naming & set(schema.names)
    }
    assert named == {
        "CUSTOMER_SCORES", "CUSTOMER_SEGMENTS", "LOOKALIKE_MEMBERS", "LOOKALIKE_SEEDS", "PRODUCT_RECOMMENDATIONS",
    }  # fmt: skip
    assert {name.rstrip("*").upper() for name in (*CUSTOMERS_LEARNED, *VISITORS_LEARNED)} == named
