"""A release has its report, and the summary says what it holds."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest

from include import ledger
from include.config import Configuration
from include.publish import seal_release, write_release
from include.report.summary import published_summary
from tests.include.quality.small_lake import DAY, SmallLake


@pytest.fixture
def release(small: SmallLake, configuration: Configuration) -> Path:
    building = write_release(small.lake, DAY, configuration)
    return seal_release(small.lake, DAY, configuration, building).path


def test_a_release_has_its_report(release: Path) -> None:
    page = (release / "report" / "index.html").read_text()
    assert "<h1>The release of 1 December 2017</h1>" in page
    assert "<dt>customers</dt><dd><strong>120</strong>" in page


def test_the_summary_says_why_an_audience_has_no_member(small: SmallLake, release: Path) -> None:
    small.write(
        release / "both/audiences.parquet",
        "select 'few' as audience_id, 'few' as name, 'cdp' as side, 9 as size, 50 as min_size, "
        "'below_min_size' as status",
    )
    assert re.search(
        r"^  cdp    few +0 members: 9 of 50 people needed$", published_summary(small.lake, DAY), re.MULTILINE
    )


def test_the_summary_tells_what_was_published_and_where_to_look(small: SmallLake, release: Path) -> None:
    with ledger.recorded(small.lake, DAY, "extract", "crm"), ledger.recorded(small.lake, DAY, "stage", "dbt"):
        pass
    text = published_summary(small.lake, DAY, 60.0)
    assert f"Published: release {release.name}" in text
    assert re.search(r"^  cdp    customers +120 rows$", text, re.MULTILINE)
    assert re.search(r"^  dmp    visitors +200 rows$", text, re.MULTILINE)
    assert "received 323 = landed 322 + quarantined 1" in text
    assert "DO NOT ADD UP" not in text
    assert re.search(r"^  cdp    loyal +60 members$", text, re.MULTILINE)
    assert re.search(r"^  published loyal +lift at 5 % 3\.00, activity alone 1\.90$", text, re.MULTILINE)
    assert re.search(r"^  orchestration +\d+\.\d s", text, re.MULTILINE)
    assert re.search(r"^  total +60\.0 s$", text, re.MULTILINE)
    assert str(small.lake.current / "report" / "index.html") in text


def test_orchestration_is_what_no_step_accounts_for(small: SmallLake, release: Path) -> None:
    path = small.lake.run_file(DAY, "ledger.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"step": "stage", "part": "dbt", "status": "running"},
        {"step": "stage", "part": "dbt", "status": "done", "wall_seconds": 10.0},
        {"step": "stage", "part": "gate", "status": "done", "wall_seconds": 5.5},
        {"step": "learn", "part": "propensity", "status": "skipped", "wall_seconds": 4.5},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = published_summary(small.lake, DAY, 50.0)
    times = dict(re.findall(r"^  (stage|learn|orchestration|total) +(\d+\.\d) s", text, re.MULTILINE))
    assert times == {"stage": "15.5", "learn": "4.5", "orchestration": "30.0", "total": "50.0"}


def test_the_summary_says_when_readers_stay_on_a_later_day(small: SmallLake, release: Path) -> None:
    text = published_summary(small.lake, date(2017, 11, 30))
    assert "readers stay on the later business day; the run of 2017-11-30 lies beside it" in text


def test_before_the_first_release_the_summary_says_so(tmp_path: Path) -> None:
    from include.lake import Lake

    assert published_summary(Lake(tmp_path)) == f"nothing is published in {tmp_path / 'published'} yet"
