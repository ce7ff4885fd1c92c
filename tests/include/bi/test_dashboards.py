"""Dashboards: what they ask is there, is defined once, runs in PostgreSQL, and says of nobody who they are."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from pydantic import ValidationError

from include.bi.boards import Board, Chart, boards
from include.bi.bundle import bundle_files, write_bundle
from include.bi.datasets import datasets
from include.publish.postgres import postgres_type
from include.publish.tables import published_tables
from include.settings import PROJECT
from include.warehouse.contracts import described_exposures, described_models
from tests.include.publish.conftest import Database, database, postgres

__all__ = ["database", "postgres"]
URI = "postgresql+psycopg2://tandem_bi@postgres/bi"


@pytest.fixture(scope="module")
def files() -> dict[str, dict[str, Any]]:
    return bundle_files(URI)


def of(files: dict[str, dict[str, Any]], folder: str) -> dict[str, dict[str, Any]]:
    """The files of a folder by their uuid."""
    return {content["uuid"]: content for name, content in files.items() if name.startswith(f"{folder}/")}


def test_the_bundle_is_whole_and_the_same_every_time(
    tmp_path: Path, files: dict[str, dict[str, Any]]
) -> None:
    one, two = (write_bundle(tmp_path / name, URI).read_bytes() for name in ("one.zip", "two.zip"))
    assert one == two
    with zipfile.ZipFile(tmp_path / "one.zip") as bundle:
        read = {name: yaml.safe_load(bundle.read(name)) for name in bundle.namelist()}
    assert read == {f"tandem/{name}": content for name, content in files.items()}
    assert read["tandem/metadata.yaml"]["type"] == "assets"


def test_everything_that_a_file_of_the_bundle_names_is_in_it(files: dict[str, dict[str, Any]]) -> None:
    data, charts = of(files, "datasets"), of(files, "charts")
    assert len(charts) == sum(len(board.charts) for board in boards().values()) >= 40
    assert {each["database_uuid"] for each in data.values()} == set(of(files, "databases"))
    assert {chart["dataset_uuid"] for chart in charts.values()} <= set(data)
    placed = []
    for board in of(files, "dashboards").values():
        position = {key: node for key, node in board["position"].items() if isinstance(node, dict)}
        children = [child for node in position.values() for child in node.get("children", [])]
        assert set(children) == set(position) - {"ROOT_ID", "HEADER_ID"}
        assert len(children) == len(set(children))
        placed += [node["meta"]["uuid"] for node in position.values() if node["type"] == "CHART"]
        for row in (node for node in position.values() if node["type"] == "ROW"):
            assert sum(position[child]["meta"]["width"] for child in row["children"]) <= 12
        chosen = board["metadata"]["native_filter_configuration"]
        assert {each["targets"][0]["datasetUuid"] for each in chosen} <= set(data)
    assert sorted(placed) == sorted(charts)


def test_superset_measures_what_dbt_defines(files: dict[str, dict[str, Any]]) -> None:
    """Each metric stands once, in dbt's YAML or beside the SQL of a join, and nowhere else in the bundle."""
    defined: dict[str, dict[str, str]] = {}
    sources = [
        *(PROJECT / "dbt_project" / "models").rglob("*.yml"),
        *(PROJECT / "include" / "bi" / "datasets").glob("*.yml"),
    ]
    for path in sources:
        content = yaml.safe_load(path.read_text()) or {}
        for model in content.get("models", [content] if "name" in content else []):
            metrics = model.get("config", {}).get("meta", {}).get("metrics", [])
            defined |= (
                {model["name"]: {each["name"]: each["expression"] for each in metrics}} if metrics else {}
            )
    assert len(defined) >= 15
    shown = {
        each["table_name"]: {metric["metric_name"]: metric["expression"] for metric in each["metrics"]}
        for each in of(files, "datasets").values()
    }
    assert {name: metrics for name, metrics in shown.items() if metrics} == {
        name: metrics for name, metrics in defined.items() if name in shown
    }
    for chart in of(files, "charts").values():
        assert all(isinstance(metric, str) for metric in chart["params"].get("metrics", [])), chart[
            "slice_name"
        ]


def test_no_dataset_says_directly_who_somebody_is(files: dict[str, dict[str, Any]]) -> None:
    direct = {
        (model["name"], column["name"])
        for model in described_models().values()
        for column in model.get("columns", [])
        if (column.get("config") or {}).get("meta", {}).get("pii") == "direct"
    }
    shown = {
        (each["table_name"], column["column_name"])
        for each in of(files, "datasets").values()
        for column in each["columns"]
    }
    assert ("customers", "email") in direct
    assert ("customer_overview", "lifecycle_stage") in shown
    assert direct & shown == set()


def test_a_chart_that_asks_for_what_is_not_there_is_refused() -> None:
    said = {"title": "x", "kind": "table", "dataset": "customers", "columns": ["lifecycle_stage"]}
    assert Chart.model_validate(said).query.startswith('select "lifecycle_stage" from "cdp"."customers"')
    for wrong, message in [
        ({"dataset": "clients"}, "no dataset 'clients'"),
        ({"columns": ["stage"]}, r"customers has no column \['stage'\]"),
        ({"columns": ["email"]}, r"customers has no column \['email'\]"),
        ({"kind": "number", "columns": [], "metric": "clients"}, r"no metric \['clients'\] of customers"),
    ]:
        with pytest.raises(ValidationError, match=message):
            Chart.model_validate(said | wrong)


def test_every_chart_runs_in_postgresql(database: Database) -> None:
    """On tables with the columns and types that the contracts promise, as the publisher makes them."""
    models = described_models()
    with database.connect() as connection, connection.cursor() as cursor:
        for side in sorted({table.side for table in published_tables()}):
            cursor.execute(f'create schema "{side}"')
        for table in published_tables():
            columns = ", ".join(
                f'"{column["name"]}" {postgres_type(column["data_type"].upper())}'
                for column in models[table.name]["columns"]
            )
            cursor.execute(f'create table "{table.side}"."{table.name}" ({columns})')
        asked = 0
        for board in boards().values():
            for chart in board.charts:
                cursor.execute(chart.query)
                cursor.fetchall()
                asked += 1
    assert asked >= 40


def test_where_an_audience_is_met_less_than_everybody_is_not_told_as_more() -> None:
    asked = [chart for chart in boards()["audiences"].charts if chart.dataset == "placements"]
    assert len(asked) == 2
    with duckdb.connect() as connection:
        connection.execute(
            """
            create schema dmp;
            create table dmp.placements as
            select 'a' as audience_id, 'members' as part, dimension, value, 60 as reach, true as is_significant,
                index, index - 20 as low, index + 20 as high
            from (values ('site'), ('category')) as dimensions (dimension),
                (values ('less', 40), ('more', 200)) as cells (value, index)
            """
        )
        for chart in asked:
            (row,) = connection.execute(chart.query).fetchall()
            assert "more" in row, chart.title


def test_who_is_offered_nothing_is_not_counted_among_actions() -> None:
    offered = {"a": 2, "b": 0}
    with duckdb.connect() as connection:
        connection.execute(
            "create schema cdp; create table cdp.next_best_actions (customer_id text, action text)"
        )
        for customer, actions in offered.items():
            for action in ["product"] * actions or ["none"]:
                connection.execute("insert into cdp.next_best_actions values (?, ?)", [customer, action])
        said = {"title": "Actions", "kind": "table", "dataset": "next_best_actions"}
        chart = Chart.model_validate(said | {"metrics": ("actions", "customers")})
        assert connection.execute(chart.query).fetchall() == [(2, 1)]


def test_who_never_bought_is_not_averaged_among_who_may_be_gone() -> None:
    mean = {
        "title": "Active",
        "kind": "number",
        "dataset": "customer_overview",
        "metric": "mean_probability_active",
    }
    (spread,) = [chart for chart in boards()["customers"].charts if chart.column == "probability_active"]
    with duckdb.connect() as connection:
        connection.execute(
            "create table overview as "
            "select * from (values (3, 0.9), (0, 0.1)) as scored (frequency_orders, probability_active)"
        )
        for chart in (Chart.model_validate(mean), spread):
            rows = connection.execute(chart.query.replace(chart.source.relation, "overview")).fetchall()
            assert [float(value) for (value,) in rows] == [0.9], chart.title


def test_exposures_say_who_reads_what() -> None:
    exposures = described_exposures()
    told = {name: _tables(exposure) for name, exposure in exposures.items()}
    for name, board in boards().items():
        assert told[f"{name}_dashboard"] == _read_by(board), name
    code = "".join(path.read_text() for path in (PROJECT / "include" / "report").glob("*.py"))
    names = {table.name for table in published_tables()}
    assert told["report"] == {name for name in names if re.search(rf'["/]{name}("|\.parquet)', code)}
    assert told["destinations"] == {"audiences", "audience_members"}
    assert set(exposures) == {*(f"{name}_dashboard" for name in boards()), "report", "destinations"}


def _tables(exposure: dict[str, Any]) -> set[str]:
    return {reference.split("'")[3] for reference in exposure["depends_on"]}


def _read_by(board: Board) -> set[str]:
    return {table for name in board.datasets for table in datasets()[name].reads}
