from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from include.benchmark.limit import Limit, read_and_sort
from include.benchmark.pipeline import Measured, accept, accepted, read_measured
from include.benchmark.pipeline_page import picture, section
from include.benchmark.steps import Cost, cost_of
from include.extract.kinds import kinds
from include.lake import Lake
from include.settings import settings
from tests.landed import land_delivery

STARTS = {"python": 2.0, "dbt": 6.0, "gate": 4.0, "learning": 8.0, "airflow": 20.0}


def measured(rows: int = 1000, cpu: float = 10.0, **parts: float) -> Measured:
    """A run of a few parts, in multiples of a limit of ten seconds."""
    found = {"crm": 1.2, "stage_models": 10.6, "stg_events": 8.0, "value": 2.8, "gate": 1.4} | parts
    steps = {
        "crm": "extract", "gate": "extract", "stg_events": "stage", "stage_models": "stage", "value": "learn",
    }  # fmt: skip
    costs = tuple(
        Cost(steps.get(part, "stage"), "models" if part == "stage_models" else part, cost, cost, 100)
        for part, cost in found.items()
    )
    return Measured(rows, "a machine", Limit(rows, cpu, cpu), STARTS, costs, costs[:2])


def test_what_a_process_takes_to_start_is_no_work_of_its_step() -> None:
    run = measured()
    assert run.by_step(run.first) == pytest.approx({"extract": 1.0 + 1.0, "stage": 10.0, "learn": 2.0})
    assert (run.engine, run.learning) == pytest.approx((12.0, 2.0))
    # Airflow, five calls of dbt, and what gates and learning import beyond Python itself.
    assert run.starting == 20 + 5 * 6 + 2 + 6
    assert replace(run, starts=STARTS | {"calls": 9.0}).starting == 20 + 9 + 2 + 6


def test_the_next_day_is_held_against_the_first_load() -> None:
    run = measured()
    assert run.daily_share == pytest.approx((1.0 + 10.0) / 14.0)
    assert replace(run, daily=()).daily_share is None


def test_growth_is_of_the_work_over_that_of_the_rows() -> None:
    # Ten times the rows in ten times the seconds, and one step three times dearer than that.
    larger = replace(measured(rows=10_000, cpu=100.0), starts=STARTS | dict.fromkeys(STARTS, 0.0))
    growth = larger.growth(replace(measured(), starts=larger.starts))
    assert growth == pytest.approx({"extract": 1.0, "stage": 1.0, "learn": 1.0})
    dearer_model = replace(
        larger, first=(*larger.first[:1], replace(larger.first[1], cpu=31.8), *larger.first[2:])
    )
    assert dearer_model.growth(replace(measured(), starts=larger.starts))["stage"] == pytest.approx(3.0)


def test_what_is_accepted_is_read_back_the_same(tmp_path: Path) -> None:
    small = measured()
    accept(small, "small", tmp_path)
    accept(measured(rows=10_000), "medium", tmp_path)
    assert accepted(tmp_path) == {"small": small, "medium": measured(rows=10_000)}


def test_the_accepted_benchmark_of_the_project_is_whole() -> None:
    sizes = accepted()
    assert "small" in sizes
    for each in sizes.values():
        assert set(each.by_step(each.first)) == {
            "extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish",
        }  # fmt: skip
        assert each.limit.cpu > 0 and each.starting > 0


def test_measured_seconds_become_multiples_of_the_limit(tmp_path: Path) -> None:
    (tmp_path / "limit.json").write_text(json.dumps({"rows": 7, "cpu": 2.0, "wall": 3.0}))
    occasion = {"day": "2026-11-28", "commit": "abc", "machine": "m", "load": 0.5}
    (tmp_path / "starts.json").write_text(json.dumps({"occasion": occasion, "starts": STARTS}))
    cost = {"step": "extract", "part": "crm", "cpu": 5.0, "wall": 6.0, "peak": 9, "inputs": 1.0}
    (tmp_path / "costs.jsonl").write_text(json.dumps(cost) + "\n")
    run = read_measured(tmp_path, 10)
    assert run.first == (Cost("extract", "crm", 2.5, 3.0, 9, 0.5),) and run.daily == ()
    assert (run.machine, run.day, run.commit) == ("m, load 0.5 at the start", "2026-11-28", "abc")


def test_the_page_says_what_is_reached_and_missed_and_has_a_picture() -> None:
    sizes = {
        "small": measured(),
        "medium": measured(rows=10_000, cpu=100.0, stg_events=12.0, stage_models=14.6),
    }
    text = section(sizes)
    assert "| extract to publish without learning, in limits | small | 12.0 |  |" in text
    assert "| learning, in limits | medium | 2.7 | at most 12: reached |" in text
    assert "| extract to publish without learning, in limits | medium | 17.1 | at most 12: missed |" in text
    assert "| stage | `stg_events` | 1200.0 | 12.00 |" in text
    drawn = ElementTree.fromstring(picture(sizes))
    texts = [each.text for each in drawn.iter() if each.tag.endswith("text")]
    assert "stage, 10,000 × 10" in texts and "14.5 limits" in texts


def test_the_limit_reads_and_sorts_every_row_that_has_landed_by_the_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for kind in kinds():
        land_delivery(lake, kind, "none", date(1970, 1, 1), [])
    orders = [{"order_id": str(number), "ordered_at": "2024-01-01"} for number in range(5)]
    land_delivery(lake, "orders", "shop", date(2024, 1, 1), orders)
    land_delivery(lake, "orders", "shop", date(2024, 1, 2), orders[:3])
    land_delivery(lake, "orders", "shop", date(2024, 1, 3), orders[:2])
    limit = read_and_sort(replace(settings(), data=tmp_path), date(2024, 1, 2))
    assert limit.rows == 8 and limit.cpu > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_of_many_rows_some_are_sorted_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    for kind in kinds():
        land_delivery(lake, kind, "none", date(1970, 1, 1), [])
    orders = [{"order_id": str(number), "ordered_at": "2024-01-01"} for number in range(50)]
    land_delivery(lake, "orders", "shop", date(2024, 1, 1), orders)
    # A clock that ticks once between its two readings of each kind: of fifty rows ten are sorted, the rest is reckoned.
    ticks = itertools.count()
    monkeypatch.setattr("include.benchmark.limit.SORTED_AT_MOST", 10)
    monkeypatch.setattr("include.benchmark.limit.time.process_time", lambda: float(next(ticks)))
    limit = read_and_sort(replace(settings(), data=tmp_path), date(2024, 1, 1))
    others = len(kinds()) - 1
    assert (limit.rows, limit.cpu) == (50, 5.0 + others)


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_what_a_process_reads_and_writes_is_counted(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"copy (from repeat('x', 9) as t, range(900000)) to '{tmp_path}/rows.csv'")
    size = (tmp_path / "rows.csv").stat().st_size >> 20
    copied = "import shutil; shutil.copyfileobj(open('rows.csv','rb'), open('copy','wb'))"
    command = [sys.executable, "-S", "-c", f"import os; os.chdir({str(tmp_path)!r}); {copied}"]
    cost = cost_of(command, dict(os.environ))
    assert size > 5
    assert size <= cost.written <= size + 1 and size <= cost.read <= size + 2
    with pytest.raises(RuntimeError, match="failed with exit code 3"):
        cost_of([sys.executable, "-S", "-c", "raise SystemExit(3)"], dict(os.environ))
