"""The pages inside the Airflow UI are for who is logged in and may see the DAG, and show nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient

from include import airflow_pages
from include.lake import Lake
from include.settings import settings
from include.warehouse.dbt import manifest_path
from tests.ways_out import WAYS_OUT

DAY = date(2017, 12, 1)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airflow_database: None) -> Iterator[TestClient]:
    """The pages as the API server mounts them, over a lake with a report and what two gates found."""
    from airflow.api_fastapi.app import init_auth_manager
    from fastapi import FastAPI

    from include.airflow_plugins.tandem import TandemPlugin

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path))
    settings.cache_clear()
    lake = Lake(tmp_path)
    (tmp_path / "published/releases/2017-12-01_ab/report").mkdir(parents=True)
    lake.current.symlink_to("releases/2017-12-01_ab")
    (lake.current / "report/index.html").write_text("the report")
    lake.quality_page(DAY, "index").parent.mkdir(parents=True)
    for step in ("index", "stage"):
        lake.quality_page(DAY, step).write_text(f"what {step} found")
    manifest_path(lake).parent.mkdir(parents=True)
    customers = {
        "resource_type": "model",
        "schema": "cdp",
        "name": "customers",
        "contract": {"enforced": True},
        "columns": {"customer_id": {"name": "customer_id", "data_type": "varchar(36)</script>"}},
    }
    manifest_path(lake).write_text(json.dumps({"nodes": {"model.tandem.customers": customers}}))
    for folder in (tmp_path, lake.quality_page(DAY, "index").parent.parent):
        (folder / "secret.html").write_text("the secret")
    init_auth_manager()
    server = FastAPI()
    for entry in TandemPlugin().fastapi_apps:
        server.mount(entry["url_prefix"], entry["app"])
    yield TestClient(server)
    settings.cache_clear()


@pytest.fixture
def reader(client: TestClient) -> TestClient:
    """A client with the cookie that the login of the UI gives to somebody who may only look."""
    from airflow.api_fastapi.app import get_auth_manager

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="viewer"))
    client.cookies.set("_token", token)
    return client


PATHS = ["/tandem/report", "/tandem/quality", "/tandem/quality/2017-12-01/stage.html", "/tandem/models"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_login_nothing_is_shown(client: TestClient, path: str) -> None:
    for cookie in (None, "not.a.token"):
        if cookie:
            client.cookies.set("_token", cookie)
        answer = client.get(path, follow_redirects=False)
        assert answer.status_code in (401, 403)
        assert "found" not in answer.text.replace("Not Found", "")
        assert "the report" not in answer.text


def test_who_may_not_see_the_dag_sees_no_page(reader: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    asked = []
    monkeypatch.setattr(
        type(get_auth_manager()), "is_authorized_dag", lambda _, **about: asked.append(about["details"].id)
    )
    assert reader.get("/tandem/report").status_code == 403
    assert asked == ["customer_audiences"]


def test_a_reader_sees_the_report_and_the_gates(reader: TestClient) -> None:
    report = reader.get("/tandem/report")
    assert (report.status_code, report.text) == (200, "the report")
    assert "frame-ancestors 'self'" in report.headers["content-security-policy"]
    assert reader.get("/tandem/quality").text == "what index found"
    assert reader.get("/tandem/quality", params={"task": "stage.gate"}).text == "what stage found"
    assert reader.get("/tandem/quality", params={"task": "open_run"}).text == "what index found"
    assert reader.get("/tandem/quality", params={"run": "manual__unknown"}).text == "what index found"


def test_a_reader_sees_the_models_in_a_page_that_reaches_nothing_else(reader: TestClient) -> None:
    page = reader.get("/tandem/models")
    assert page.status_code == 200
    assert (
        page.text.count('"model.tandem.customers"') == 3
    )  # of the manifest, and with types of the catalogue
    assert page.text.count(r"varchar(36)<\/script>") == 2
    assert "INLINE DATA" not in page.text
    allowed = page.headers["content-security-policy"]
    assert "default-src 'none'" in allowed
    assert "sandbox allow-scripts;" in allowed
    manifest_path(Lake(settings().data)).unlink()
    assert reader.get("/tandem/models").status_code == 404


@pytest.mark.parametrize(("published", "seen"), [("2017-12-01_ab", 200), ("2017-12-01_cd", 404), (None, 404)])
def test_a_run_shows_the_report_of_its_own_release(
    reader: TestClient, monkeypatch: pytest.MonkeyPatch, published: str | None, seen: int
) -> None:
    """A release may be gone, and a run may have published nothing: another one's report is not shown for it."""
    monkeypatch.setattr(airflow_pages, "_day_of", {"scheduled__2": f"{DAY}"}.get)
    if published:
        record = Lake(settings().data).run_file(DAY, "published.json")
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"release": published, "inputs": ""}))
    assert reader.get("/tandem/report", params={"run": "scheduled__2"}).status_code == seen
    assert reader.get("/tandem/report", params={"run": "manual__3"}).status_code == 404


@pytest.mark.parametrize(
    ("task", "links"),
    [
        ("stage.gate", {"Result of the gate": "quality?run=manual__1%2B00%3A00&task=stage.gate"}),
        ("unify.build", {"dbt models": "models#!/overview?g_v=1&g_i=tag:unify"}),
        ("publish.swap", {"Report": "report?run=manual__1%2B00%3A00"}),
        ("learn.value", {}),
    ],
)
def test_a_task_links_to_the_page_that_is_its_own(
    reader: TestClient, task: str, links: dict[str, str]
) -> None:
    from airflow.sdk.types import TaskInstanceKey

    from include.airflow_plugins.tandem import TandemPlugin

    key = TaskInstanceKey(dag_id="customer_audiences", task_id=task, run_id="manual__1+00:00")
    found = {
        link.name: link.get_link(None, ti_key=key) for link in TandemPlugin().global_operator_extra_links
    }
    assert {name: path for name, path in found.items() if path} == {
        name: f"/tandem/{path}" for name, path in links.items()
    }
    other = key._replace(dag_id="privacy_requests")
    assert not any(link.get_link(None, ti_key=other) for link in TandemPlugin().global_operator_extra_links)


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize(
    "page",
    [
        "/tandem/quality/2017-12-01/NAME.html",
        "/tandem/quality/NAME/stage.html",
        "/tandem/quality/2017-12-01%2fNAME/stage.html",
        "/tandem/NAME.html",
        "/tandem/report/NAME.html",
        "/tandem/models/NAME.html",
    ],
)
def test_no_path_leads_out_of_the_pages(reader: TestClient, page: str, way: str) -> None:
    for safe in ("", "/"):  # a server may have decoded it
        answer = reader.get(page.replace("NAME", quote(WAYS_OUT[way], safe=safe)), follow_redirects=False)
        assert answer.status_code in (404, 422)
        assert "the secret" not in answer.text


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_run_and_no_task_leads_out_of_the_pages(reader: TestClient, way: str) -> None:
    asked = {"run": WAYS_OUT[way], "task": WAYS_OUT[way]}
    assert reader.get("/tandem/report", params=asked).status_code == 404
    led = reader.get("/tandem/quality", params=asked, follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (307, f"quality/{DAY}/index.html")


def test_what_is_not_there_yet_is_said(reader: TestClient) -> None:
    answer = reader.get("/tandem/quality/2017-12-02/stage.html")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "The gate of stage has not stood on 2017-12-02 yet.",
    )
    Lake(settings().data).current.unlink()
    assert reader.get("/tandem/report").json()["detail"] == "Nothing is published yet: run the DAG first."
