"""What holds for the dbt project as a whole: who may read whom, and what is promised of published tables."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from include.lake import Lake
from include.ledger import StepFailed
from include.settings import settings
from include.warehouse import dbt, parse_manifest, run_dbt
from include.warehouse.dbt import DBT_PROJECT
from include.warehouse.parsed import KEPT, forget_unused, key_of, parsed_project
from tests.dbt_project.small_lake import KEY, variables

# What the models of a folder may read: folders of models, and sources.
ALLOWED = {
    "staging": {"source.landing", "source.extract", "source.dictionaries", "source.taxonomies", "staging"},
    "identity": {"source.identity", "staging", "identity"},
    "cdp": {"source.identity", "source.ml", "staging", "identity", "cdp"},
    "dmp": {"staging", "dmp"},
    "bridge": {"source.ml", "staging", "identity", "cdp", "dmp", "bridge", "marts"},
    "marts": {
        *("source.extract", "source.ml", "source.ops", "source.runs", "source.privacy"),
        *("staging", "identity", "cdp", "dmp", "bridge", "marts"),
    },
}
PII = {"none", "indirect", "direct", "pseudonymous"}


@pytest.fixture(scope="module")
def manifest(small: Lake) -> dict[str, Any]:
    """What dbt made of the project when it built the small lake."""
    return json.loads((small.data / "dbt" / "target" / "manifest.json").read_text())


def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 30
    return found


def folder(node: dict[str, Any]) -> str:
    return f"source.{node['source_name']}" if node["resource_type"] == "source" else node["fqn"][1]


def test_models_read_only_from_the_folders_they_may(manifest: dict[str, Any]) -> None:
    nodes = manifest["nodes"] | manifest["sources"]
    found = {
        (folder(model), folder(nodes[parent]))
        for model in models(manifest)
        for parent in model["depends_on"]["nodes"]
    }
    assert found
    assert {(reader, read) for reader, read in found if read not in ALLOWED[reader]} == set()


def test_every_model_is_built_by_exactly_one_step(manifest: dict[str, Any]) -> None:
    steps = {"stage", "unify", "segment", "expand", "publish"}
    assert {
        model["name"]: model["tags"] for model in models(manifest) if len(steps & set(model["tags"])) != 1
    } == {}


def test_every_published_table_has_a_contract_a_grain_and_described_columns(manifest: dict[str, Any]) -> None:
    files = [model for model in models(manifest) if model["config"]["materialized"] == "external"]
    published = [model for model in files if model["config"]["meta"]["side"] != "staged"]
    assert len(published) >= 10
    for model in published:
        assert model["config"]["contract"]["enforced"], model["name"]
        assert "One row per" in model["description"], model["name"]
        assert set(model["config"]["meta"]["grain"]) <= set(model["columns"]), model["name"]
        for name, column in model["columns"].items():
            assert column["description"], f"{model['name']}.{name}"
            assert column["config"]["meta"]["pii"] in PII, f"{model['name']}.{name}"


def test_no_table_of_the_warehouse_has_a_contract_for_none_would_be_checked(manifest: dict[str, Any]) -> None:
    enforced = [model for model in models(manifest) if model["config"]["contract"]["enforced"]]
    assert len(enforced) > 40
    assert {model["config"]["materialized"] for model in enforced} == {"external"}


def test_every_model_says_what_one_row_is(manifest: dict[str, Any]) -> None:
    assert [model["name"] for model in models(manifest) if "One row per" not in model["description"]] == []


def test_what_is_parsed_does_not_depend_on_variables() -> None:
    """A parsed project serves all days and companies: `config(...)` and the YAML files are read at parsing alone, and
    of a YAML file only tests are rendered again at each run."""
    found = {
        path.name: re.findall(r"config\([^)]*\bvar\(", path.read_text())
        for path in DBT_PROJECT.rglob("*.sql")
        if "target" not in path.parts
    }
    assert len(found) > 100
    assert {name: calls for name, calls in found.items() if calls} == {}
    for path in (DBT_PROJECT / "models").rglob("*.yml"):
        rest = without_tests(yaml.safe_load(path.read_text()))
        assert re.search(r"\bvar\(", json.dumps(rest, default=str)) is None, path.name


def without_tests(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: without_tests(value) for key, value in part.items() if key != "data_tests"}
    return [without_tests(each) for each in part] if isinstance(part, list) else part


def test_a_project_is_parsed_again_only_when_it_has_changed(tmp_path: Path, small: Lake) -> None:
    project, cache = tmp_path / "dbt_project", tmp_path / "parsed"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    keys = [key_of(project)]
    (project / "target").mkdir()
    (project / "target" / "manifest.json").write_text("{}")
    keys.append(key_of(project))
    (project / "models" / "dmp" / "traits.sql").write_text("select 1")
    keys.append(key_of(project))
    assert keys[0] == keys[1] != keys[2]
    kept = settings().parsed / key_of(DBT_PROJECT)
    shutil.copytree(kept, cache / keys[2])
    manifest, written = parsed_project(project, cache, [])
    assert written == cache / keys[2] / "manifest.json"
    assert {node["name"] for node in models(json.loads(written.read_text()))} <= {
        node.name for node in manifest.nodes.values()
    }


def test_a_parsed_project_that_is_used_is_not_forgotten_for_newer_ones(tmp_path: Path, small: Lake) -> None:
    cache = tmp_path / "parsed"
    shutil.copytree(settings().parsed / key_of(DBT_PROJECT), cache / key_of(DBT_PROJECT))
    others = [cache / f"other-{number}" for number in range(KEPT)]
    for number, parsed in enumerate((cache / key_of(DBT_PROJECT), *others)):
        parsed.mkdir(exist_ok=True)
        os.utime(parsed, (number, number))
    _, written = parsed_project(DBT_PROJECT, cache, [])
    forget_unused(cache)
    assert written.exists()
    assert [parsed for parsed in others if not parsed.exists()] == others[:1]


def test_an_error_that_nobody_foresaw_is_told_by_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in run\nOSError: no such manifest.json\n'
    )
    monkeypatch.setattr(dbt.DBT, "run", lambda *_: CompletedProcess(["dbt"], 1, "", said))
    with pytest.raises(StepFailed, match=r"^dbt parse: OSError: no such manifest.json; see .*dbt\.log$"):
        parse_manifest(Lake(tmp_path / "data"))


def test_the_parser_refuses_a_dmp_model_that_looks_over_the_wall(tmp_path: Path) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "models" / "dmp" / "spy.sql").write_text("select * from {{ ref('customer_identifiers') }}\n")
    with pytest.raises(StepFailed, match=r"spy.*customer_identifiers.*not allowed because .*private"):
        parse_manifest(Lake(tmp_path / "data"), project)


def test_who_a_person_is_can_be_read_by_one_group_only(manifest: dict[str, Any]) -> None:
    """The same wall, for every model at once: what dbt's parser refuses follows from group and access."""
    for model in models(manifest):
        # What is published of look-alikes is built after the marts, yet it stands on the DMP side of the wall.
        if folder(model) == "dmp" or model["config"]["meta"].get("side") == "dmp":
            assert (model["group"], model["access"]) == ("audience", "protected"), model["name"]
        elif folder(model) in ("identity", "cdp", "bridge"):
            assert (model["group"], model["access"]) == ("customer", "private"), model["name"]


def test_lines_of_sql_are_short_enough_to_read() -> None:
    files = [path for path in DBT_PROJECT.rglob("*.sql") if "target" not in path.parts]
    assert len(files) > 40
    long = [f"{path.name}:{number}" for path in files for number, line in enumerate(path.read_text().splitlines(), 1)
            if len(line) > 120]  # fmt: skip
    assert long == []


def test_a_failure_names_the_model_the_reason_and_the_log(small: Lake, tmp_path: Path) -> None:
    """The landing is missing here: the first model that reads it fails."""
    with pytest.raises(StepFailed) as failure:
        run_dbt("stage", Lake(tmp_path), variables(), KEY)
    message = str(failure.value)
    assert "\n" not in message
    assert "model stg_" in message
    assert "No files found" in message
    assert str(tmp_path / "dbt" / "logs" / "dbt.log") in message


def test_models_are_built_one_at_a_time_so_that_each_has_the_memory(small: Lake) -> None:
    log = (small.data / "dbt" / "logs" / "dbt.log").read_text()
    assert len(re.findall(r"START .*model main\.", log)) > 100
    assert set(re.findall(r"\[(Thread-\d+) .*START ", log)) == {"Thread-1"}
