"""The line that a run ends with when it has not published."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from include import ledger
from include.lake import Lake
from include.launch import reason_of

DAY = date(2017, 12, 1)


def end(lake: Lake, step: str, part: str = "", failure: str = "") -> None:
    if not failure:
        with ledger.recorded(lake, DAY, step, part):
            return
    with pytest.raises(ledger.StepFailed), ledger.recorded(lake, DAY, step, part):
        raise ledger.StepFailed(failure)


def test_the_last_line_names_every_part_that_failed_and_not_the_one_that_was_tried_again(tmp_path: Path):
    lake, log = Lake(tmp_path), tmp_path / "airflow.log"
    end(lake, "configure")
    end(lake, "extract", "shop", "channel shop: does not answer")
    end(lake, "extract", "crm", "channel crm: crm.csv is empty")
    end(lake, "extract", "shop")
    end(lake, "extract", "web", "channel web: no file matches web.json")
    end(lake, "extract", "calls")
    assert reason_of(lake, DAY, log) == (
        "extract (crm) failed: channel crm: crm.csv is empty; "
        f"extract (web) failed: channel web: no file matches web.json; log: {log}"
    )


def test_when_no_part_has_begun_the_last_error_of_airflow_is_named(tmp_path: Path):
    log = tmp_path / "airflow.log"
    log.write_text("INFO begins\nImportError: no module\nINFO ends\n")
    assert reason_of(Lake(tmp_path), DAY, log) == (
        f"Airflow could not run the DAG: ImportError: no module; log: {log}"
    )
