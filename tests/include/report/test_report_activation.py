"""What the report says of where audiences are sent and what it brings."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from include.report.activation import activations, deliveries, lift
from include.report.sections import Source
from tests.include.quality.small_lake import DAY, SmallLake


@pytest.fixture
def source(small: SmallLake) -> Iterator[Source]:
    with duckdb.connect() as connection:
        yield Source(connection, small.lake, small.lake.root / "tables", DAY)


def test_who_is_not_sent_is_told_with_the_reasons(source: Source) -> None:
    section = activations(source)
    assert section.rows == (
        ("ads", "loyal", "csv", "50", "10", "5", "2", "control 6; consent unknown:advertising 4"),
    )
    assert [bar.label for bar in section.bars] == ["loyal to ads"]


def test_deliveries_are_told_failures_first(source: Source, small: SmallLake) -> None:
    small.change(
        small.lake.table("ops", "deliveries"),
        "from old union all by name "
        "select * replace (2 as delivery_number, 'failed' as status, '503' as reason) from old",
    )
    assert [(row[4], row[8]) for row in deliveries(source).rows] == [("failed", "503"), ("sent", "")]


def test_lift_is_told_of_audiences_that_are_sent(source: Source, small: SmallLake) -> None:
    assert [row[:5] for row in lift(source).rows] == [
        ("loyal", outcome, "54", "6", "0.500") for outcome in ("buyers", "orders", "spend")
    ]
    small.change(small.lake.table("both", "audience_lift"), "select * replace (false as is_sent) from old")
    assert lift(source).rows == ()
