"""The page and the summary say what the release holds."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest

from include import ledger
from include.config import Configuration
from include.publish import seal_release, write_release
from include.report.html import write_report
from include.report.summary import published_summary
from tests.include.quality.small_lake import DAY, SmallLake


@pytest.fixture
def release(small: SmallLake, configuration: Configuration) -> Path:
    building = write_release(small.lake, DAY, configuration)
    return seal_release(small.lake, DAY, configuration, building).path


def test_the_report_is_one_self_contained_page_with_every_section(release: Path) -> None:
    page = (release / "report" / "index.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "What came in",
        "Who is who",
        "Where customers stand",
        "Segments",
        "Who buys what",
        "What makes people buy",
        "What to do next",
        "How good the scores are",
        "Audiences",
        "Look-alikes",
        "Where to meet whom",
        "Whom audiences reach",
        "What audiences share",
        "Where audiences are sent",
        "What was delivered",
        "What sending brings",
        "What they look for afterwards",
        "What to offer afterwards",
        "Where the time goes",
    ]
    assert page.count("<svg") == len(titles)
    assert page.count("<details") == len(titles)
    assert not re.search(r"(src|href)=|https?://|<script|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page


def test_numbers_of_the_report_are_those_of_the_release(release: Path) -> None:
    page = (release / "report" / "index.html").read_text()
    assert "<strong>120</strong><span>customers</span>" in page
    assert "<strong>200</strong><span>anonymous visitors</span>" in page
    assert "323 rows were received up to the business day; 1 of them are in quarantine." in page
    assert "<td>loyal</td><td>Loyal</td><td>cdp</td><td>60</td><td>6</td>" in page
    assert "<td>propensity</td><td>auc</td><td>0.8</td><td>0.75</td><td>0.85</td><td>0.7</td>" in page
    assert "<td>beats activity</td>" in page


def test_names_from_configuration_cannot_break_the_page(small: SmallLake, release: Path) -> None:
    building = small.lake.building_release(DAY)
    (building / "both").mkdir(parents=True)
    small.write(
        building / "both/audiences.parquet",
        "select 'x' as audience_id, '<script>alert(1)</script>' as name, 'cdp' as side, 1 as size, 1 as min_size, "
        "'published' as status",
    )
    small.write(
        building / "both/audience_members.parquet",
        "select 'x' as audience_id, 'm' as member_id, true as is_control",
    )
    page = write_report(small.lake, building, DAY).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_page_and_summary_say_why_an_audience_has_no_member(small: SmallLake, release: Path) -> None:
    building = small.lake.building_release(DAY)
    (building / "both").mkdir(parents=True)
    rows = "('few', 9, 'below_min_size'), ('none', 0, 'below_min_size'), ('loyal', 60, 'published')"
    for folder in (building, release):
        small.write(
            folder / "both/audiences.parquet",
            "select *, 'cdp' as side, audience_id as name, 50 as min_size "
            f"from (values {rows}) as t(audience_id, size, status)",
        )
    small.write(
        building / "both/audience_members.parquet",
        "select 'loyal' as audience_id, 'm' as member_id, false as is_control",
    )
    page = write_report(small.lake, building, DAY).read_text()
    assert "<td>few</td><td>few</td><td>cdp</td><td>0</td><td>0</td><td>9 of 50 people needed</td>" in page
    assert (
        "<td>none</td><td>none</td><td>cdp</td><td>0</td><td>0</td><td>nobody meets the condition</td>"
        in page
    )
    assert "<td>loyal</td><td>loyal</td><td>cdp</td><td>1</td><td>0</td><td></td>" in page
    assert re.search(
        r"^  cdp    few +0 members: 9 of 50 people needed$", published_summary(small.lake, DAY), re.MULTILINE
    )


def test_a_release_without_rows_still_has_a_report(small: SmallLake, configuration: Configuration) -> None:
    for path in (small.lake.root / "tables").rglob("*.parquet"):
        small.change(path, "from old limit 0")
    building = write_release(small.lake, DAY, configuration)
    release = seal_release(small.lake, DAY, configuration, building)
    page = (release.path / "report" / "index.html").read_text()
    assert "<strong>0</strong><span>customers</span>" in page
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["What came in"]


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
