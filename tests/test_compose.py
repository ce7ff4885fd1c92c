"""docker-compose.yml: valid by the Compose Specification, no password of its own, and every part is watched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from include.bi.__main__ import URI
from include.settings import PROJECT

TEXT = (PROJECT / "docker-compose.yml").read_text()
SCHEMA = Path(__file__).with_name("compose-spec.json")  # the Compose Specification's, Apache License 2.0
ONCE = {"databases", "init", "bi-bundle", "superset-init"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(TEXT)


def test_it_is_what_the_specification_allows(compose: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(compose, schema)
    broken = compose | {"services": compose["services"] | {"superset": {"imagee": "x"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_nothing_secret_has_a_default(compose: dict[str, Any]) -> None:
    """A variable without a value stops everything; the few that have one are no secrets, or nothing by default."""
    optional = dict(re.findall(r"\$\{(\w+):?-([^}]*)", TEXT))
    assert optional.keys() == {
        "TANDEM_IMAGE",
        "TARGET",
        "SPARK_MASTER",
        "TANDEM_SPARK_PASSWORD",
        "EXECUTOR",
        "PARALLELISM",
    }
    assert not optional["TANDEM_SPARK_PASSWORD"]
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == optional.keys() | required
    said = {
        (name, key): str(value)
        for name, service in compose["services"].items()
        for key, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|SECRET|FERNET|_CONN|_KEY$", key)
    }
    assert len(said) >= 20
    open_ = {key for key, value in said.items() if "${" not in value}
    assert {name for _, name in open_} <= {
        "AWS_ACCESS_KEY_ID",  # a name, as the login of a database is
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",  # a path
    }


def test_the_page_on_deployment_makes_every_secret(compose: dict[str, Any]) -> None:
    page = (PROJECT / "docs" / "deployment.md").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert {name for name in required if not re.search(rf"\b{name}\b", page)} == set()


def test_what_runs_on_is_watched_and_what_runs_once_ends(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name in ONCE:
            assert service.get("restart", "no") == "no", name
        else:
            assert "healthcheck" in service, name
            assert service["restart"] == "unless-stopped", name


def test_services_wait_for_what_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, said in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert said["condition"] == expected, (name, needed)
            missing = set(services[needed].get("profiles", [])) - set(service.get("profiles", []))
            assert not missing, f"{name} needs {needed}, which only starts with {missing}"


def test_ports_are_of_this_machine_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_files_that_services_take_from_the_project_are_there(compose: dict[str, Any]) -> None:
    named = re.findall(r"(?:COPY |\./)((?:include/\S+|requirements\.txt)(?: include/\S+)*)", TEXT)
    paths = [path.split(":")[0] for each in named for path in each.split()]
    assert len(paths) >= 4
    assert [path for path in paths if not (PROJECT / path).is_file()] == []
    assert [
        name for name in re.findall(r"/opt/tandem/(include/\S+\.py)", TEXT) if not (PROJECT / name).is_file()
    ] == []
    assert "@postgres/bi" in URI


def test_drivers_of_the_metadata_database_are_in_the_lock() -> None:
    lock = (PROJECT / "requirements.txt").read_text()
    assert "postgresql+psycopg2://" in TEXT
    assert re.search(r"^psycopg2-binary==", lock, flags=re.MULTILINE)
    assert re.search(r"^asyncpg==", lock, flags=re.MULTILINE)  # what Airflow's API reads with
    server = (PROJECT / "include" / "bi" / "server" / "requirements.txt").read_text()
    assert re.search(r"^apache-superset==6", server, flags=re.MULTILINE)
