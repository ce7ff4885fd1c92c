"""dbt's models on Spark: the tables of the small lake, built again there, row by row those of DuckDB.

`python -m pytest tests/dbt_project/on_spark.py` runs these: they take minutes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from include.lake import Lake
from include.settings import settings
from include.warehouse import run_models
from include.warehouse.dbt import _invoke
from tests.dbt_project.small_lake import KEY, variables
from tests.spark.__main__ import copy_hand_overs
from tests.spark.parity import Parity, compare

# Every materialization, contracts, unions by name, the key, and what is built in parts.
IN_PARTS = (
    "customer_attribute_values",
    "customer_category_snapshots",
    "customer_feature_snapshots",
    "customer_timeline",
    "customers",
    "next_best_actions",
    "sessions",
)
MODELS = (*(f"+{model}" for model in IN_PARTS), "+traits", "stg_iab_categories")
FEW = {
    "memory_gb": 1,
    "values_at_a_time": 4,
    "snapshots_at_a_time": 2,
    "activities_at_a_time": 2,
    "visits_at_a_time": 4,
    "offered_at_a_time": 2,
}
# Tables of a few rows: compiling queries well would take longer than all the rest.
DEFAULTS = """
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
spark.sql.adaptive.enabled false
"""


@pytest.fixture(scope="module")
def compared(small: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Parity]]:
    folder = tmp_path_factory.mktemp("spark")
    lake = Lake(folder / "data")
    copy_hand_overs(small, lake)
    (folder / "spark-defaults.conf").write_text(DEFAULTS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TANDEM_TARGET", "spark")
        environment.setenv("SPARK_CONF_DIR", str(folder))
        environment.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        settings.cache_clear()
        run_models(list(MODELS), lake, variables() | FEW, KEY)
        # What is tested of their rows holds there too.
        _invoke(
            "test",
            lake,
            variables() | FEW,
            KEY,
            ["test", "--select", *(f"{name},test_name:rows_are_whole" for name in IN_PARTS)],
        )
    settings.cache_clear()
    yield {table.table: table for table in compare(small.warehouse, lake.spark_warehouse)}
    shutil.rmtree(folder)


def test_tables_on_spark_are_those_of_duckdb(compared: dict[str, Parity]) -> None:
    built = [table for table in compared.values() if table.problem != "not on Spark"]
    assert len(built) > 25
    assert set(IN_PARTS) <= {table.table for table in built if table.rows}
    assert sum(table.rows for table in built) > 100
    assert [table for table in built if not table.is_equal] == []


def test_a_difference_is_found(compared: dict[str, Parity], small: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "warehouse"
    (folder / "stg_orders").mkdir(parents=True)
    with duckdb.connect(str(small.warehouse), read_only=True) as connection:
        connection.execute(
            "copy (select * replace (total + 0.01 as total) from stg_orders"
            f" where order_id <> (select min(order_id) from stg_orders)) to '{folder}/stg_orders/part.parquet'"
        )
    (found,) = [table for table in compare(small.warehouse, folder) if table.problem != "not on Spark"]
    assert found.spark_rows == found.rows - 1
    assert found.different > 0
    assert found.columns == ("total",)
    assert not found.is_equal
