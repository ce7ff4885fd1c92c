"""What the report says of what buyers look for afterwards."""

from __future__ import annotations

import duckdb
import pytest

from include.config import Configuration
from include.publish import write_release
from include.report.offsite import offsite_interests, upsell_opportunities
from include.report.sections import Source
from tests.include.quality.small_lake import DAY, SmallLake


@pytest.fixture
def source(small: SmallLake, configuration: Configuration):
    with duckdb.connect() as connection:
        yield Source(connection, small.lake, write_release(small.lake, DAY, configuration), DAY)


def test_each_interest_is_told_once_in_its_clearest_window(source: Source) -> None:
    section = offsite_interests(source)
    assert section.title == "What they look for afterwards"
    assert [row[:6] for row in section.rows] == [("DOG FOOD", "Pets", 28, "3.00", "2.25", "4.00")]
    assert [(bar.label, bar.value) for bar in section.bars] == [("DOG FOOD, 28 days: Pets", "3.00")]
    assert all(len(row) == len(section.columns) for row in section.rows)


def test_offers_to_few_people_are_not_told(source: Source) -> None:
    section = upsell_opportunities(source)
    assert [row[:4] for row in section.rows] == [("DOG FOOD", "CAT FOOD", "Pets", "70")]
    assert all(len(row) == len(section.columns) for row in section.rows)


def test_without_the_tables_there_are_no_rows(source: Source) -> None:
    for name in ("offsite_interests", "upsell_opportunities"):
        (source.release / "bridge" / f"{name}.parquet").unlink()
    assert offsite_interests(source).rows == ()
    assert upsell_opportunities(source).rows == ()
