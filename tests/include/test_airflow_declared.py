"""What the DAG takes from the configuration whenever it is read, and who is told of a run that is late."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import structlog

from include.airflow_declared import channel_names, daily_deadline
from include.config import load_configuration
from include.settings import DEFAULT_CONFIG, DEMO_CONFIG, settings

LATE = "late_after_hours: 6\nnotify: [{to: log}, {to: webhook, connection: alerts}]\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder as the configuration."""
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """What a chat tool is told; its address is the connection `alerts`."""
    told = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", f"http://127.0.0.1:{server.server_port}/hook")
    yield told
    server.shutdown()


def test_the_form_offers_the_channels_that_are_configured(config: Path) -> None:
    (config / "channels.yml").write_text((DEMO_CONFIG / "channels.yml").read_text())
    assert channel_names() == list(load_configuration(config).channels)
    (config / "channels.yml").unlink()
    assert channel_names() == list(load_configuration(DEFAULT_CONFIG).channels)


@pytest.mark.parametrize("text", ["channels: [", "channels: 3", "- channels", "", "\x00"])
def test_a_file_that_cannot_be_read_hides_no_dag(config: Path, text: str) -> None:
    (config / "channels.yml").write_text(text)
    (config / "publishing.yml").write_text(text)
    assert (channel_names(), daily_deadline()) == ([], None)


def test_a_run_is_late_as_many_hours_after_it_was_queued_as_is_configured(config: Path) -> None:
    assert daily_deadline() is None
    (config / "publishing.yml").write_text(LATE)
    assert load_configuration(config).publishing.late_after_hours == 6
    deadline = daily_deadline()
    assert (deadline.interval, deadline.reference.reference_name) == (
        timedelta(hours=6),
        "DagRunQueuedAtDeadline",
    )


@pytest.mark.parametrize(("run_type", "expected"), [("scheduled", 1), ("backfill", 0)])
def test_who_is_to_hear_of_a_late_run_hears_of_it(
    config: Path, airflow_database: None, alerts: list[dict], run_type: str, expected: int
) -> None:
    """From Airflow's record of a missed deadline, through its runner of callbacks, to the chat tool."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.deadline import Deadline
    from airflow.sdk.execution_time.callback_supervisor import execute_callback
    from airflow.utils.session import create_session

    (config / "publishing.yml").write_text(LATE)
    callback = daily_deadline().callback
    midnight = datetime(2017, 12, 2, tzinfo=UTC)
    with create_session() as session:
        run = DagRun(
            dag_id="late",
            run_id=f"{run_type}__1",
            run_type=run_type,
            logical_date=midnight,
            run_after=midnight,
        )
        session.add(DagBundleModel(name="late"))
        session.flush()
        session.add(DagModel(dag_id="late", bundle_name="late"))
        session.add(run)
        session.flush()
        deadline = Deadline(midnight + timedelta(hours=6), callback, run.id, None, "late")
        session.add(deadline)
        session.flush()
        deadline.handle_miss(session)
        called = json.loads(json.dumps(deadline.callback.data, default=str))
        session.rollback()
    done, error = execute_callback(called["path"], called["kwargs"], Path(), None, structlog.get_logger())
    assert (done, error) == (True, None)
    assert [(each["business_day"], each["severity"], each["text"]) for each in alerts] == [
        (
            "2017-12-01",
            "late",
            "Tandem, 2017-12-01: not published by 2017-12-02 06:00 UTC; readers keep the last good release.",
        )
    ] * expected
