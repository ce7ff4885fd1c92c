"""dbt's own unit tests, and the tests of its macros."""

from __future__ import annotations

import pytest

from include.warehouse.dbt import run_unit_tests
from tests.dbt_project import audience_lake


def test_unit_tests_of_models_and_macros_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On a lake where all four steps ran: dbt takes the types of the rows given from what is built."""
    built = audience_lake.built_audience_lake(tmp_path_factory)
    result = run_unit_tests(built.lake, audience_lake.variables(), audience_lake.KEY)
    kinds = [node.resource_type for node in result.results]
    assert kinds.count("unit_test") >= 6
    assert kinds.count("test") >= 6
    assert {node.status for node in result.results} <= {"pass", "success"}
