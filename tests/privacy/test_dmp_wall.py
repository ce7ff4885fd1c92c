"""What crosses the wall into the DMP side and what does not, on two days under two keys, and who may read whom."""

from __future__ import annotations

import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from include.lake import Lake
from include.ledger import StepFailed
from include.normalise.taxonomies import Taxonomy, audience_taxonomy, content_taxonomy
from include.warehouse.dbt import DBT_PROJECT, run_models
from tests.privacy.wall_lake import (
    FIRST_DAY,
    KEYS,
    LATER,
    WallLake,
    build,
    configure,
    land,
    manifest,
    variables,
)

LABELS = {"none", "indirect", "pseudonymous"}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[WallLake, WallLake]:
    """The first day, and the same lake on the later day under a new key."""
    lake, folder = Lake(tmp_path_factory.mktemp("wall")), tmp_path_factory.mktemp("config")
    land(lake)
    return build(lake, FIRST_DAY, folder / "first"), build(lake, LATER, folder / "later")


@pytest.fixture(scope="module")
def first(days: tuple[WallLake, WallLake]) -> WallLake:
    return days[0]


@pytest.fixture(scope="module")
def later(days: tuple[WallLake, WallLake]) -> WallLake:
    return days[1]


def features(lake: WallLake, cookie: str) -> set[str]:
    found = lake.files["visitor_features"]
    return {row["feature"] for row in found if row["visitor_id"] == lake.visitor(cookie)}


def traits_of(lake: WallLake, cookie: str) -> set[str]:
    found = lake.files["trait_qualifications"]
    return {row["trait_id"] for row in found if row["visitor_id"] == lake.visitor(cookie)}


def test_a_tcf_string_makes_a_visitor_and_one_that_refuses_does_not(first: WallLake) -> None:
    assert first.names(first.ids("visitors")) == {"ck-reader", "ck-tcf", "ck-idle", "ck-told"}


def test_of_sensitive_pages_not_even_the_visit_is_kept(first: WallLake) -> None:
    (reader,) = (row for row in first.files["visitors"] if row["visitor_id"] == first.visitor("ck-reader"))
    assert reader["last_seen_at"] == datetime(2024, 6, 11, 10)
    activity = {row["visitor_id"]: row["events"] for row in first.files["visitor_activity"]}
    assert activity[first.visitor("ck-reader")] == 2
    assert first.visitor("ck-patient") not in first.ids("visitors")


def test_a_rule_finds_nothing_on_a_sensitive_page(first: WallLake) -> None:
    """`reads_secret` is asked of titles and addresses, of which five were sensitive pages' and one was not."""
    found = {row["trait_id"]: row["frequency"] for row in first.files["trait_qualifications"]
             if row["visitor_id"] == first.visitor("ck-reader")}  # fmt: skip
    assert found == {"reads_secret": 1, "reads_pets": 2, "has_pet": 1}


def test_what_means_something_sensitive_is_no_trait_whoever_says_it(first: WallLake) -> None:
    assert traits_of(first, "ck-tcf") == {"has_pet", "habit"}
    found = features(first, "ck-reader")
    assert {"category:Pets", "site:paper.example", "trait:has_pet=yes"} <= found
    harmful = (
        "illness",
        "asthma",
        "church",
        "clinic",
        "treatments",
        "Cancer",
        "Health",
        "faith",
        "Elections",
    )
    assert [name for name in found if any(word in name for word in harmful)] == []
    catalogue = {(row["trait_id"], row["value"]): row for row in first.files["traits"]}
    sensitive = {key for key, row in catalogue.items() if row["is_sensitive"]}
    assert sensitive == {("illness", ""), ("habit", "church")}
    assert {catalogue[key]["visitors"] for key in sensitive} == {0}


def test_the_catalogue_names_each_trait_once_and_each_value_that_means_something(first: WallLake) -> None:
    columns = ("trait_id", "value", "source", "iab_audience_name", "ttl_days", "visitors")
    assert [tuple(row[column] for column in columns) for row in first.files["traits"]] == [
        ("habit", "", "third", None, 120, 1),
        ("habit", "church", None, "Interest | Music and Audio | Religious (Music and Audio)", 120, 0),
        ("has_pet", "", "third", None, 120, 2),
        ("has_pet", "yes", "third", "Interest | Pets", 120, 1),
        ("illness", "", None, "Interest | Medical Health", 120, 0),
        ("reads_pets", "", "rule", None, 90, 1),
        ("reads_secret", "", "rule", None, 90, 1),
    ]


def test_a_property_of_a_page_tells_its_category(first: WallLake) -> None:
    with duckdb.connect(str(first.lake.warehouse), read_only=True) as connection:
        found = connection.execute(
            "select properties, content_category, content_category_id from stg_events"
            " where properties is not null order by all"
        ).fetchall()
    assert [row[1:] for row in found] == [
        ("Elections", "387"),
        ("Pets", content_taxonomy().find("Pets").category_id),
    ]


@pytest.mark.parametrize("taxonomy", [content_taxonomy(), audience_taxonomy()], ids=["content", "audience"])
def test_the_published_taxonomy_is_the_one_that_rules_are_checked_with(
    first: WallLake, taxonomy: Taxonomy
) -> None:
    kind = taxonomy.title.split()[1].lower()
    published = {row["category_id"]: row for row in first.files["iab_categories"] if row["taxonomy"] == kind}
    assert {key: (row["parent_id"], row["path"]) for key, row in published.items()} == {
        key: (category.parent_id, category.path) for key, category in taxonomy.categories.items()
    }
    privacy = configure(first.lake.data / "config", epoch=1).privacy
    expected = privacy.sensitive_content_ids if kind == "content" else privacy.sensitive_audience_ids
    assert {key for key, row in published.items() if row["is_sensitive"]} == expected


def test_events_leave_before_visitors_and_nothing_outlives_its_visitor(
    first: WallLake, later: WallLake
) -> None:
    assert first.names(first.ids("visitor_activity")) == {"ck-reader", "ck-tcf", "ck-told"}
    assert later.names(later.ids("visitor_activity")) == {"ck-late"}
    assert later.names(later.ids("visitors")) == {"ck-reader", "ck-tcf", "ck-told", "ck-late"}
    for lake in (first, later):
        end = datetime.combine(lake.day + timedelta(days=1), datetime.min.time())
        assert min(row["expires_at"] for row in lake.files["visitors"]) > end
        holders = {name for name, rows in lake.files.items() if rows and "visitor_id" in rows[0]}
        assert holders >= {"visitors", "trait_qualifications", "visitor_features", "visitor_activity"}
        assert {name for name in holders if not lake.ids(name) <= lake.ids("visitors")} == set()


def test_after_a_rotation_no_id_of_the_old_epoch_is_in_any_file_or_table(
    first: WallLake, later: WallLake
) -> None:
    assert {row["key_epoch"] for row in first.files["visitors"]} == {1}
    assert {row["key_epoch"] for row in later.files["visitors"]} == {2}
    old, new = first.ids("visitors"), later.ids("visitors")
    assert first.names(old) & later.names(new) == {"ck-reader", "ck-tcf", "ck-told"}
    assert not old & new
    assert ids_in_warehouse(later.lake) >= new
    assert not ids_in_warehouse(later.lake) & old
    for rows in later.files.values():
        assert not old & {str(value) for row in rows for value in row.values()}


def ids_in_warehouse(lake: Lake) -> set[str]:
    """The visitor ids in every table and view of the warehouse that has some."""
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        tables = connection.execute(
            "select distinct table_schema || '.' || table_name from information_schema.columns"
            " where column_name = 'visitor_id' order by all"
        ).fetchall()
        assert len(tables) >= 8
        return {
            visitor_id
            for (table,) in tables
            for (visitor_id,) in connection.execute(f"select distinct visitor_id from {table}").fetchall()
        }


def test_no_model_of_the_dmp_side_descends_from_one_that_knows_people(first: WallLake) -> None:
    nodes = manifest(first.lake)["nodes"]
    side = [
        name for name, node in nodes.items() if node["resource_type"] == "model" and node["fqn"][1] == "dmp"
    ]
    assert len(side) >= 10
    for model in side:
        above, waiting = set(), [model]
        while waiting:
            parents = {parent for parent in nodes[waiting.pop()]["depends_on"]["nodes"] if parent in nodes}
            waiting += parents - above
            above |= parents
        assert {nodes[parent]["fqn"][1] for parent in above} <= {"staging", "dmp"}, model


def test_every_column_that_leaves_the_dmp_side_or_the_bridge_has_a_label(first: WallLake) -> None:
    leaving = [
        node
        for node in manifest(first.lake)["nodes"].values()
        if node["resource_type"] == "model"
        and node["config"]["materialized"] == "external"
        and (
            node["fqn"][1] in ("dmp", "bridge") or node["config"]["meta"]["side"] in ("dmp", "bridge", "both")
        )
    ]
    assert len(leaving) >= 10
    labels = {
        f"{node['name']}.{name}": (column.get("config") or {}).get("meta", {}).get("pii")
        for node in leaving
        for name, column in node["columns"].items()
    }
    assert {node["name"] for node in leaving if not node["columns"]} == set()
    assert {name: label for name, label in labels.items() if label not in LABELS} == {}


def test_columns_without_a_fitting_label_are_not_written(later: WallLake, tmp_path: Path) -> None:
    project, file = tmp_path / "dbt_project", Path("models", "dmp", "handover", "dmp_handover.yml")
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    text = (project / file).read_text()
    for column, label in (("events", "indirect"), ("active_days", "")):
        label_line = rf"        config: {{meta: {{pii: {label}}}}}\n"
        text, changes = re.subn(rf"(- name: {column}\n.*\n).*\n", rf"\1{label_line}", text)
        assert changes == 1
    (project / file).write_text(text)
    lake, before = later.lake, later.lake.staged("visitor_activity").read_bytes()
    told = variables(configure(tmp_path / "config", epoch=2), LATER, lake)
    refusal = (
        r"visitor_activity: found columns .*: events with 'indirect', active_days with none; allowed: none"
    )
    with pytest.raises(StepFailed, match=refusal):
        run_models(["visitor_activity"], lake, told, KEYS[LATER], project)
    assert lake.staged("visitor_activity").read_bytes() == before
