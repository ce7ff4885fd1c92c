"""Shows the report, what the gates found and dbt's documentation inside the Airflow UI, to who may see the DAG there.

The pages lie below `/tandem`, behind the login of the UI; a request names a step or a run, never a file. Only the API
server imports this module, for the plugin in `airflow_plugins`.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from include.lake import Lake
from include.ledger import STEPS
from include.publish.reuse import release_of
from include.settings import settings
from include.warehouse.dbt import manifest_path
from include.warehouse.pages import page_of

DAG_ID = "customer_audiences"
# The pages hold all they need, and no other site may frame them.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
# dbt's page is a program: it may run, and reach neither the network nor what the reader is logged in to.
PROGRAM = HEADERS | {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; sandbox allow-scripts; frame-ancestors 'self'"
}
Page = StrEnum("Page", {name: f"{name}.html" for name in ("index", *STEPS)})


def require_reader(user: GetUserDep) -> None:
    """Let pass who is logged in and may see the DAG; raises 401 or 403 for anybody else."""
    if not get_auth_manager().is_authorized_dag(method="GET", user=user, details=DagDetails(id=DAG_ID)):
        raise HTTPException(403, f"{DAG_ID} may not be seen by this user")


app = FastAPI(title="Tandem", docs_url=None, openapi_url=None, dependencies=[Depends(require_reader)])


@app.get("/report")
def show_report(run: str = "") -> FileResponse:
    """The report of the release that readers see, or of the one that a run published."""
    release, missing = _lake().current, "Nothing is published yet: run the DAG first."
    if run:
        release, missing = (
            _release_of(run),
            "This run has published nothing, or its release is not kept any more.",
        )
    return _page(release / "report" / "index.html", missing)


@app.get("/models")
def show_models() -> HTMLResponse:
    """dbt's documentation of the models, as the latest run knew them."""
    manifest = manifest_path(_lake())
    if not manifest.is_file():
        raise HTTPException(404, "No model has been built yet: run the DAG first.")
    return HTMLResponse(page_of(manifest), headers=PROGRAM)


@app.get("/quality")
def find_quality(run: str = "", task: str = "") -> RedirectResponse:
    """Lead to what the gates found on the day of a run, by default on the latest day, and of a task to its step."""
    days = sorted(
        each.name.removeprefix("date=")
        for each in _lake().quality_page(date.min, "index").parents[1].glob("date=*")
    )
    day = _day_of(run) or (days[-1] if days else None)
    if day is None:
        raise HTTPException(404, "No gate has stood yet: run the DAG first.")
    step = task.partition(".")[0]
    return RedirectResponse(f"quality/{day}/{Page[step] if step in STEPS else Page.index}", headers=HEADERS)


@app.get("/quality/{day}/{page}")
def show_quality(day: date, page: Page) -> FileResponse:
    """What the gates found on a business day: all of them, or that of one step."""
    path = _lake().quality_page(day, Path(page).stem)
    return _page(path, f"The gate of {Path(page).stem} has not stood on {day} yet.")


def _page(path: Path, missing: str) -> FileResponse:
    if not path.is_file():
        raise HTTPException(404, missing)
    return FileResponse(path, media_type="text/html", headers=HEADERS)


def _lake() -> Lake:
    return Lake(settings().data)


def _release_of(run: str) -> Path:
    """The folder of the release that the day of a run is published as, which need not be there any more."""
    day = _day_of(run)
    release = day and release_of(_lake(), date.fromisoformat(day))
    return _lake().published / "releases" / (release or "none")


def _day_of(run: str) -> str | None:
    """The business day that a run of the DAG has found, or None before it has."""
    if not run:
        return None
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.scalars(
            XComModel.get_many(run_id=run, key="day", task_ids="open_run", dag_ids=DAG_ID, limit=1)
        ).first()
        day = found and XComModel.deserialize_value(found)
    return f"{date.fromisoformat(day)}" if day else None
