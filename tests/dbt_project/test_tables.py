"""How a table is replaced, and what the test of its rows finds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from include.lake import Lake
from include.ledger import StepFailed
from include.warehouse import run_models
from include.warehouse.dbt import OUTCOME, _invoke, _results
from tests.dbt_project.few_models import make_project
from tests.dbt_project.small_lake import KEY, variables

WHOLE = "select * from (values (1, 'a', 1.5), (1, 'b', 2.5), (2, 'c', 3.5)) as rows (person, kind, amount)"
MODELS = {
    "whole": WHOLE,
    "broken": f"{WHOLE} union all select 1, 'b', null union all select 3, null, null",
    "without_grain": f"{WHOLE} union all {WHOLE}",
    "one": """
{{ config(materialized='table') }}
{% if var('attempt') == 1 %}select 2 as number
{% elif var('attempt') == 2 %}select number + 1 as number from {{ this }}
{% else %}select cast('no number' as integer) as number from range(200000)
{% endif %}
""",
}
TESTS = """
models:
  - name: whole
    config: {meta: {grain: [person, kind]}}
    data_tests:
      - rows_are_whole: {name: by_person_and_kind, arguments: {filled: [person, kind, amount]}}
      - rows_are_whole: {name: by_person, arguments: {grain: [person]}}
  - name: broken
    config: {meta: {grain: [person, kind]}}
    data_tests:
      - rows_are_whole: {name: broken_rows, arguments: {filled: [person, kind, amount]}}
  - name: without_grain
    data_tests:
      - rows_are_whole: {name: filled_only, arguments: {filled: [amount]}}
      - rows_are_whole: {name: of_nothing}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("few") / "project", **MODELS)
    (folder / "models" / "tests.yml").write_text(TESTS)
    return folder


def test_repeated_keys_and_nulls_are_found_and_told(project: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "data")
    with pytest.raises(StepFailed, match=r"^dbt models: test \w+ failed: .*\(and 2 more\)"):
        _invoke("models", lake, variables(), KEY, ["build", "--exclude", "one"], project)
    target = lake.data / "dbt" / "target"
    tests = {result.name: result for result in _results(target / OUTCOME) if result.resource_type == "test"}
    assert {name: (test.status, test.failures) for name, test in tests.items()} == {
        "by_person_and_kind": ("pass", 0),
        "by_person": ("fail", 1),
        "broken_rows": ("fail", 3),
        "filled_only": ("pass", 0),
        "of_nothing": ("error", 0),
    }
    assert "without_grain has neither a grain nor a column to be filled" in tests["of_nothing"].message
    (query,) = (target / "compiled").rglob("broken_rows.sql")
    assert sorted(rows_of(lake, f"({query.read_text()})")) == [
        ("null", "amount", 2),
        ("null", "kind", 1),
        ("repeated", "1, b", 2),
    ]


def test_a_table_replaces_what_was_there_and_stays_when_its_query_fails(
    project: Path, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "data")
    lake.data.mkdir()
    with duckdb.connect(str(lake.warehouse)) as connection:
        connection.execute("create view one as select 1 as number")
    for attempt in (1, 2):
        run_models(["one"], lake, variables() | {"attempt": attempt}, KEY, project)
        assert rows_of(lake, "one") == [(attempt + 1,)]
    with pytest.raises(StepFailed, match=r"model one failed: .*'no number'"):
        run_models(["one"], lake, variables() | {"attempt": 3}, KEY, project)
    assert rows_of(lake, "one") == [(3,)]


def rows_of(lake: Lake, relation: str) -> list[tuple]:
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        return connection.execute(f"select * from {relation}").fetchall()
