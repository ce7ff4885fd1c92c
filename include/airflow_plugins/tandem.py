"""The plugin that puts the pages of `include.airflow_pages` into the navigation of the Airflow UI, and beside the DAG,
its runs and its tasks.

Every Airflow process loads plugins; the pages themselves are imported by the API server alone.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

URL = "/tandem"
# The UI itself may be served below a path.
PREFIX = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + URL


def _view(name: str, path: str, route: str, destination: str) -> dict[str, str]:
    return {"name": name, "href": f"{PREFIX}/{path}", "url_route": route, "destination": destination}


class TandemPlugin(AirflowPlugin):
    """The report and the results of the gates, for who may see the DAG."""

    name = "tandem"

    def __init__(self) -> None:
        self.external_views = [
            _view("Tandem report", "report", "tandem-report", "nav"),
            _view("Tandem quality", "quality", "tandem-quality", "nav"),
            _view("Report", "report", "report", "dag"),
            _view("Quality gates", "quality?run={RUN_ID}", "quality-gates", "dag_run"),
            _view("Quality gate", "quality?run={RUN_ID}&task={TASK_ID}", "quality-gate", "task_instance"),
        ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The pages, as Airflow mounts them."""
        from include.airflow_pages import app

        return [{"app": app, "url_prefix": URL, "name": "Tandem"}]
