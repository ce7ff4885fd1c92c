"""The run's ledger and the replacing of files."""

from __future__ import annotations

import logging
import re
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include import ledger
from include.lake import Lake, replacing

DAY = date(2017, 12, 1)


def test_a_step_leaves_a_line_when_it_begins_and_one_when_it_ends(tmp_path: Path):
    with ledger.recorded(Lake(tmp_path), DAY, "extract", "crm") as entry:
        entry.rows = 12
    began, ended = ledger.read(Lake(tmp_path), DAY)
    assert (began.status, ended.status) == ("running", "done")
    assert (ended.step, ended.part, ended.rows) == ("extract", "crm", 12)
    assert ended.peak_memory_bytes > 1_000_000


def test_the_log_says_which_step_begins_and_what_it_took(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with (
        caplog.at_level(logging.INFO, ledger.__name__),
        ledger.recorded(Lake(tmp_path), DAY, "unify", "dbt") as entry,
    ):
        entry.rows, entry.note = 1234, "98 models"
    began, ended = (record.getMessage() for record in caplog.records)
    assert began == "2017-12-01: unify dbt (step 4 of 8) begins"
    assert re.fullmatch(
        r"2017-12-01: unify dbt \(step 4 of 8\) done, 1,234 rows, \d+\.\d s, \d+\.\d of CPU, [\d,]+ MiB: 98 models",
        ended,
    )


def test_a_failure_leaves_its_first_line_as_the_reason(tmp_path: Path):
    with (
        pytest.raises(ledger.StepFailed),
        ledger.recorded(Lake(tmp_path), DAY, "extract", "crm"),
    ):
        raise ledger.StepFailed("the file is empty\nand more that nobody reads")
    failed = ledger.read(Lake(tmp_path), DAY)[-1]
    assert (failed.status, failed.note) == ("failed", "the file is empty")


def test_of_a_reason_that_is_too_long_the_middle_is_left_out_between_words(tmp_path: Path):
    line = f"gate extract: {'so many rows ' * 500}- see quality/extract.html"
    with pytest.raises(ledger.StepFailed), ledger.recorded(Lake(tmp_path), DAY, "extract", "gate"):
        raise ledger.StepFailed(line)
    note = ledger.read(Lake(tmp_path), DAY)[-1].note
    begin, end = note.split(" … ")
    assert line.startswith(f"{begin} ") and line.endswith(f" {end}")
    assert end.endswith("- see quality/extract.html")
    assert 1_000 < len(note) <= ledger.LONGEST_NOTE


def test_a_line_of_the_ledger_is_below_a_page_in_any_script(tmp_path: Path):
    with pytest.raises(ledger.StepFailed), ledger.recorded(Lake(tmp_path), DAY, "extract", "crm"):
        raise ledger.StepFailed("京都" * 2_000)
    lines = Lake(tmp_path).run_file(DAY, "ledger.jsonl").read_bytes().split(b"\n")
    assert max(map(len, lines)) < 4096
    assert ledger.read(Lake(tmp_path), DAY)[-1].status == "failed"


def test_half_a_line_of_a_disk_that_was_full_harms_no_other(tmp_path: Path):
    path = Lake(tmp_path).run_file(DAY, "ledger.jsonl")
    path.parent.mkdir(parents=True)
    path.write_text('{"step": "resolve", "part": "", "status": "runn')
    with ledger.recorded(Lake(tmp_path), DAY, "resolve"):
        pass
    assert [entry.status for entry in ledger.read(Lake(tmp_path), DAY)] == ["running", "done"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "folder" / "table.parquet"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_next_run_tells_what_a_run_took_after_it_had_shown_its_costs(tmp_path: Path):
    lake, next_day = Lake(tmp_path), date(2017, 12, 2)

    def run(day: date, *parts: str) -> None:
        for part in parts:
            with ledger.recorded(lake, day, "publish", part):
                pass

    def parts_of(day: date) -> list[str]:
        rows = duckdb.read_parquet(str(lake.ops(day, "run_costs"))).fetchall()
        return [part for _, _, part, *_ in rows]

    run(DAY, "activate")
    ledger.write_run_costs(lake, DAY)
    assert parts_of(DAY) == ["activate"]
    run(DAY, "write", "swap")
    run(next_day, "activate")
    ledger.write_run_costs(lake, next_day)
    assert (parts_of(DAY), parts_of(next_day)) == (["activate", "write", "swap"], ["activate"])
    # The same day again, and nothing to publish: what it took to publish it stays.
    lake.run_file(DAY, "ledger.jsonl").unlink()
    run(DAY, "compare")
    ledger.write_run_costs(lake, next_day)
    assert parts_of(DAY) == ["activate", "write", "swap"]
