"""The fixtures of the small lake, and what the report says of its tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from include.lake import Lake
from include.report.html import write_report
from include.report.sections import Source
from tests.include.quality.small_lake import CUSTOMER, DAY, SmallLake, clean_lake, configuration, small

__all__ = ["clean_lake", "configuration", "small"]


@pytest.fixture
def source(small: SmallLake) -> Iterator[Source]:
    """The tables as dbt wrote them, which a release takes as they are."""
    with duckdb.connect() as connection:
        yield Source(connection, small.lake, small.lake.root / "tables", DAY, 90)


@pytest.fixture(scope="session")
def page(clean_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the small lake, in which customers have a value too and audiences a day before."""
    small = SmallLake(Lake(tmp_path_factory.mktemp("page") / "data"))
    shutil.copytree(clean_lake, small.lake.data)
    score = f"""select {CUSTOMER} as customer_id, score, value, date '2017-12-01' as as_of_date
        from range(120) t(i), (values ('expected_value', i), ('probability_active', i / 120)) as of(score, value)"""
    small.write(small.lake.table("cdp", "customer_scores"), score)
    small.write(
        small.lake.audiences(DAY.replace(month=11, day=30), "audiences"),
        "select 'loyal' as audience_id, date '2017-11-30' as as_of_date, 'published' as status, 55 as size, "
        "0 as lookalike_size",
    )
    return write_report(small.lake, small.lake.root / "tables", DAY, 90)


@pytest.fixture(scope="session")
def document(page: Path) -> ElementTree.Element:
    """The page as a tree: it is well-formed XML too, so that nothing in it is left open or unescaped."""
    return ElementTree.fromstring(page.read_text())
