"""What is built in parts is written to one file, a part after the other, wholly or not at all."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.relation import DuckDBRelation
from dbt.adapters.duckdb.utils import TargetConfig, TargetLocation
from dbt_common.exceptions import DbtRuntimeError

from include.warehouse.plugin import ROW_GROUP, Plugin

PARTS = [["set variable part_from = 1"], ["set variable part_from = 2"]]


@pytest.fixture()
def plugin() -> Plugin:
    plugin = Plugin("plugin", {}, DuckDBCredentials(database="memory", schema="main"))
    plugin.configure_connection(duckdb.connect())
    return plugin


def store(plugin: Plugin, query: str, path: Path) -> None:
    relation = DuckDBRelation.create(identifier="timeline")
    location = TargetLocation(path=str(path), format="parquet")
    plugin.store(TargetConfig(relation, [], {"query": query, "parts": PARTS}, location))


def test_parts_follow_each_other_in_the_file(plugin: Plugin, tmp_path: Path) -> None:
    rows = f"from range({ROW_GROUP + 1}) as numbers(number)"
    store(plugin, f"select getvariable('part_from') as part, number {rows}", tmp_path / "rows.parquet")
    found = duckdb.read_parquet(str(tmp_path / "rows.parquet")).fetchall()
    assert found == [(part, number) for part in (1, 2) for number in range(ROW_GROUP + 1)]
    groups = duckdb.sql(
        f"select distinct row_group_id, row_group_num_rows from parquet_metadata('{tmp_path}/rows.parquet') order by 1"
    ).fetchall()
    assert groups == [(0, ROW_GROUP), (1, 1), (2, ROW_GROUP), (3, 1)]


def test_parts_without_rows_leave_an_empty_file_with_its_columns(plugin: Plugin, tmp_path: Path) -> None:
    store(plugin, "select 1 as part, 'x' as name where false", tmp_path / "rows.parquet")
    found = duckdb.read_parquet(str(tmp_path / "rows.parquet"))
    assert (found.columns, found.types, found.fetchall()) == (["part", "name"], ["INTEGER", "VARCHAR"], [])


@pytest.mark.parametrize(
    "query, problem",
    [
        ("select if(getvariable('part_from') = 2, error('no such day'), 'a day') as day", "no such day"),
        ("select * from nowhere", "nowhere"),
        ("select interval 1 day as pause", "interval"),
    ],
)
def test_a_part_that_fails_leaves_the_file_before(
    plugin: Plugin, tmp_path: Path, query: str, problem: str
) -> None:
    store(plugin, "select 'before' as day", tmp_path / "rows.parquet")
    with pytest.raises(DbtRuntimeError, match=f"timeline: .*{problem}"):
        store(plugin, query, tmp_path / "rows.parquet")
    assert duckdb.read_parquet(str(tmp_path / "rows.parquet")).fetchall() == [("before",)] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
