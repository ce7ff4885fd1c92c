"""What the report says of where audiences are met, whom they reach and what they share."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from include.report.audiences import overlaps, placements, reach
from include.report.sections import Source
from tests.include.quality.small_lake import DAY, SmallLake


@pytest.fixture
def source(small: SmallLake) -> Iterator[Source]:
    """The tables as dbt wrote them, which a release takes as they are."""
    with duckdb.connect() as connection:
        yield Source(connection, small.lake, small.lake.root / "tables", DAY)


def test_the_best_placements_of_an_audience_are_drawn_against_everybody(source: Source) -> None:
    section = placements(source)
    assert [bar.label for bar in section.bars] == [
        "loyal, look-alikes: 20",
        "loyal, look-alikes: news.example.com",
    ]
    assert section.rows[1] == (
        "loyal, look-alikes", "site", "news.example.com", "500", "420", "580", "300", "60", "50.0%", "0.001",
    )  # fmt: skip
    assert all(0 < bar.mark < bar.low < bar.width < bar.high for bar in section.bars)


def test_placements_that_do_not_differ_are_not_shown(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("dmp", "placements"),
        "select * replace (dimension <> 'hour' as is_significant) from old",
    )
    assert [row[2] for row in placements(source).rows] == ["news.example.com"]


def test_reach_says_why_a_size_is_not_told(source: Source) -> None:
    rows = {row[0]: row for row in reach(source).rows}
    assert rows["loyal"] == ("loyal", "visitors", "", "", "2.5", "too few people")
    assert rows["sporty"][2] == "110"


def test_the_overlap_matrix_gives_the_share_of_the_row(source: Source) -> None:
    section = overlaps(source)
    assert section.columns == ("counted as", "audience", "loyal, look-alikes", "sporty")
    assert section.rows == (
        ("visitors", "loyal, look-alikes", "", "50%"),
        ("visitors", "sporty", "55%", ""),
    )


def test_without_the_tables_there_is_nothing_to_tell(source: Source, small: SmallLake) -> None:
    for side, table in (("dmp", "placements"), ("bridge", "reach"), ("bridge", "audience_overlaps")):
        small.lake.table(side, table).unlink()
    assert [each(source).rows for each in (placements, reach, overlaps)] == [(), (), ()]
