"""The plugin that puts the pages of `include.airflow_pages` into the navigation of the Airflow UI, and beside the DAG,
its runs and its tasks.

Every Airflow process loads plugins; the pages themselves are imported by the API server alone.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

DAG_ID, URL = "customer_audiences", "/tandem"
# The UI itself may be served below a path.
PREFIX = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + URL


def _view(name: str, path: str, route: str, destination: str) -> dict[str, str]:
    return {"name": name, "href": f"{PREFIX}/{path}", "url_route": route, "destination": destination}


class GateLink(BaseOperatorLink):
    """From a gate to its result."""

    name = "Result of the gate"

    def get_link(self, operator: object, *, ti_key: TaskInstanceKey) -> str:
        """The path of the page, or nothing for other tasks."""
        return _link(ti_key, "*.gate", f"quality?run={quote(ti_key.run_id)}&task={quote(ti_key.task_id)}")


class ModelsLink(BaseOperatorLink):
    """From a task that runs dbt to the models that it builds, with where they come from."""

    name = "dbt models"

    def get_link(self, operator: object, *, ti_key: TaskInstanceKey) -> str:
        """The path of the page, or nothing for other tasks."""
        step = ti_key.task_id.partition(".")[0]
        return _link(ti_key, "*.build", f"models#!/overview?g_v=1&g_i=tag:{quote(step)}")


class ReportLink(BaseOperatorLink):
    """From the tasks that publish to the report of what they published."""

    name = "Report"

    def get_link(self, operator: object, *, ti_key: TaskInstanceKey) -> str:
        """The path of the page, or nothing for other tasks."""
        return _link(ti_key, "publish.*", f"report?run={quote(ti_key.run_id)}")


def _link(task: TaskInstanceKey, pattern: str, page: str) -> str:
    is_its = task.dag_id == DAG_ID and fnmatch(task.task_id, pattern)
    return f"{PREFIX}/{page}" if is_its else ""


class TandemPlugin(AirflowPlugin):
    """The report, the results of the gates and dbt's documentation, for who may see the DAG."""

    name = "tandem"

    def __init__(self) -> None:
        self.global_operator_extra_links = [GateLink(), ModelsLink(), ReportLink()]
        self.external_views = [
            _view("Tandem report", "report", "tandem-report", "nav"),
            _view("Tandem quality", "quality", "tandem-quality", "nav"),
            _view("Tandem models", "models", "tandem-models", "nav"),
            _view("Report", "report", "report", "dag"),
            _view("Models", "models", "models", "dag"),
            _view("Report", "report?run={RUN_ID}", "run-report", "dag_run"),
            _view("Quality gates", "quality?run={RUN_ID}", "quality-gates", "dag_run"),
            _view("Quality gate", "quality?run={RUN_ID}&task={TASK_ID}", "quality-gate", "task_instance"),
        ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The pages, as Airflow mounts them."""
        from include.airflow_pages import app

        return [{"app": app, "url_prefix": URL, "name": "Tandem"}]
