"""The small lake, built once for all tests of the folder."""

from __future__ import annotations

import pytest

from include.lake import Lake
from include.warehouse import run_dbt
from tests.dbt_project import small_lake


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The small lake after stage, unify and the scores of segment."""
    lake = Lake(tmp_path_factory.mktemp("small"))
    small_lake.land_small_lake(lake)
    run_dbt("stage", lake, small_lake.variables(), small_lake.KEY)
    small_lake.resolve_small_lake(lake)
    run_dbt("unify", lake, small_lake.variables(), small_lake.KEY)
    small_lake.learn_small_lake(lake)
    run_dbt("segment", lake, small_lake.variables(), small_lake.KEY)
    return lake
