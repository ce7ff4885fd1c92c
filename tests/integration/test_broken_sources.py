"""A source that breaks ends in a clear failure or in quarantine, and readers keep the last good release."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include import pipeline
from include.config import load_configuration
from include.launch import RunFailed
from include.ledger import StepFailed
from include.settings import settings
from tests.company import Company

DAY = date(2017, 12, 3)


def missing_column(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0].replace("customer_number", "customer_no"), *lines[1:]]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def rubbish(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(50_000))


@pytest.fixture
def next_day(two_days: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    """The company on the third morning, in a copy of its own whose files a test may break."""
    shutil.copytree(two_days.data, tmp_path / "data", symlinks=True)
    monkeypatch.setenv("TANDEM_CONFIG", str(two_days.config))
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield Company(two_days.config, tmp_path / "data", two_days.truth)
    settings.cache_clear()


def land_all() -> None:
    for channel in pipeline.open_run(DAY):
        pipeline.extract(DAY, channel)
    pipeline.complete_landing(DAY)
    pipeline.check(DAY, "extract")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (missing_column, r"no column 'customer_number' .*nearest: 'customer_no'"),
        (empty, r"customers_2017-12-03\.csv.*empty"),
        (rubbish, r"crm"),
    ],
)
def test_a_broken_file_stops_the_run_with_a_clear_line(
    next_day: Company, damage: Callable[[Path], None], said: str
):
    damage(next_day.data / "demo" / "crm" / "customers_2017-12-03.csv")
    before = next_day.lake.current.resolve()
    with pytest.raises(StepFailed, match=said) as failure:
        land_all()
    assert len(str(failure.value).splitlines()) == 1
    assert next_day.lake.current.resolve() == before


def test_a_healthy_third_day_passes_the_same_way(next_day: Company):
    land_all()


def test_rows_that_come_twice_are_landed_twice_and_staged_once(next_day: Company):
    path = next_day.data / "demo" / "web" / "events_2017-12-03.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    half = lines[: len(lines) // 2]
    assert half
    path.write_bytes(gzip.compress(b"".join(lines + half)))
    land_all()
    pipeline.build(DAY, "stage")
    pipeline.check(DAY, "stage")
    landed = next_day.lake.landing("events", "web", DAY) / "part.parquet"
    assert duckdb.sql(f"select count(*) from read_parquet('{landed}')").fetchone()[0] == len(lines) + len(
        half
    )
    with duckdb.connect(str(next_day.lake.warehouse), read_only=True) as warehouse:
        rows, events = warehouse.sql(
            "select count(*), count(distinct event_id) from stg_events where channel = 'web'"
        ).fetchone()
    assert rows == events > 0


def test_a_failed_run_through_airflow_says_why_and_leaves_the_release(two_days: Company, tmp_path: Path):
    shutil.copytree(two_days.data, tmp_path / "data", symlinks=True)
    company = Company(two_days.config, tmp_path / "data", two_days.truth)
    before = company.lake.current.resolve().name
    empty(company.data / "demo" / "crm" / "customers_2017-12-03.csv")
    with pytest.raises(RunFailed, match=r"extract \(crm\) failed: .*customers_2017-12-03\.csv") as failure:
        company.run(DAY)
    assert len(str(failure.value).splitlines()) == 1
    assert company.lake.current.resolve().name == before


def test_a_wrong_configuration_is_refused_before_anything_runs(tmp_path: Path):
    from include.__main__ import main

    (tmp_path / "channels.yml").write_text(
        "channels:\n  shop:\n    party: first\n    kind: orderz\n"
        "    source: {connector: file, path: a.csv, format: csv}\n    spec: mapped\n    map: {order_id: id}\n"
    )
    data = tmp_path / "data"
    assert main(["run", "--config", str(tmp_path), "--date", "2017-12-01", "--data", str(data)]) == 1
    assert not data.exists()
    with pytest.raises(Exception, match=r"channels\.yml:4 .*orderz.*orders"):
        load_configuration(tmp_path)
