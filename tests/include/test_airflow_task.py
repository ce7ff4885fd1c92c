"""Which failures a task of the DAG is tried again for, and what a task knows of Airflow's connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import ledger, pipeline
from include.airflow_task import call, chosen_channels, tell_of_failure
from include.business_day import business_day
from include.extract.connectors import retrying
from include.extract.connectors.connections import connection_of
from include.lake import Lake
from include.ledger import SourceUnreachable, StepFailed
from include.settings import settings

DAY = "2017-12-01"
CHANNELS = """\
channels:
  crm:
    party: first
    kind: customers
    source: {connector: sql, connection: shop, table: people}
    spec: mapped
    map: {record_id: id, observed_at: changed_at}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An open run of a company whose only channel is a table."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "channels.yml").write_text(CHANNELS)
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(retrying, "PAUSES", (0, 0))
    settings.cache_clear()
    pipeline.open_run(business_day({"day": DAY}, None, None))
    yield Lake(tmp_path / "data")
    settings.cache_clear()


def test_a_source_that_does_not_answer_is_worth_another_try_of_the_task(run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://reader:s3cret@127.0.0.1:9/shop")
    with pytest.raises(SourceUnreachable) as failure:
        call("extract", DAY, "crm")
    assert not isinstance(failure.value, AirflowFailException)
    assert failure.value.__suppress_context__
    assert len(str(failure.value).splitlines()) == 1
    last = ledger.read(run, business_day({"day": DAY}, None, None))[-1]
    assert (last.part, last.status) == ("crm", "failed")
    assert last.note.startswith("channel crm: people of postgres 127.0.0.1:9/shop as reader does not answer")
    assert "s3cret" not in last.note


def test_a_connection_that_is_missing_is_not_worth_another_try(run):
    with pytest.raises(
        AirflowFailException, match="channel crm: connection 'shop': there is none of that id"
    ):
        call("extract", DAY, "crm")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("postgres://u:p%40%2F@db.example:5433/shop?sslmode=require",
         ("postgres", "db.example", "u", "p@/", "shop", 5433, {"sslmode": "require"})),
        ('{"conn_type": "mysql", "login": "u", "password": "p@/", "host": "db", "schema": "shop", "port": 3306, '
         '"extra": {"charset": "utf8"}}', ("mysql", "db", "u", "p@/", "shop", 3306, {"charset": "utf8"})),
        ("sqlite:////data/shop.db", ("sqlite", "", "", "", "/data/shop.db", None, {})),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/shop", ("postgres", "/var/run/postgresql", "u", "", "shop", None, {})),
    ],
    ids=["uri", "json", "file", "socket"],
)  # fmt: skip
def test_a_connection_of_the_environment_is_read_without_a_database(monkeypatch, value, expected):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", value)
    found = connection_of("shop", settings())
    assert (
        found.type,
        found.host,
        found.login,
        found.password,
        found.schema,
        found.port,
        found.extra,
    ) == expected


def test_a_password_is_no_part_of_how_a_connection_shows(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://u:hidden-word@db/shop?sslpassword=other-word")
    found = connection_of("shop", settings())
    assert "word" not in repr(found)
    assert found.hide("said hidden-word\nand more") == "said *** and more"


def test_a_missing_connection_fails_the_step():
    with pytest.raises(StepFailed, match="set AIRFLOW_CONN_NOWHERE to a URI"):
        connection_of("nowhere", settings())


@pytest.mark.parametrize("name", ["it's", "data[1]", "a*"])
def test_a_data_folder_that_sql_cannot_name_is_refused_at_once(run, tmp_path, monkeypatch, name):
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path / name))
    settings.cache_clear()
    with pytest.raises(AirflowFailException, match=r"configure: the path of .* choose another DATA folder"):
        call("open_run", DAY)


@pytest.mark.parametrize(
    ("asked", "landed"),
    [(None, ["crm", "web"]), ([], ["crm", "web"]), (["web"], ["web"]), (["web", "crm"], ["crm", "web"])],
)
def test_a_run_asks_the_channels_of_its_form(asked, landed):
    assert chosen_channels({"params": {"channels": asked}}, ["crm", "web"]) == landed


def test_a_channel_that_is_not_configured_is_refused_by_its_name():
    with pytest.raises(AirflowFailException, match="channels: found shop, allowed: crm, web"):
        chosen_channels({"params": {"channels": ["crm", "shop"]}}, ["crm", "web"])


class Failed:
    """What a task instance tells a callback."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id

    def xcom_pull(self, task_ids: str, key: str) -> str:
        return {("open_run", "day"): DAY}[task_ids, key]


def test_a_task_that_fails_is_told_and_its_reason_stays_in_the_log(run, tmp_path, caplog):
    (tmp_path / "config" / "publishing.yml").write_text("notify: [{to: log}]\n")
    tell_of_failure({"ti": Failed("stage.build"), "exception": StepFailed("ann@example.com is twice")})
    assert "2017-12-01: stage.build failed" in caplog.text
    assert "ann@example.com" not in caplog.text


def test_a_gate_that_stops_tells_by_itself_alone(run, tmp_path, caplog):
    (tmp_path / "config" / "publishing.yml").write_text("notify: [{to: log}]\n")
    tell_of_failure({"ti": Failed("stage.gate")})
    assert caplog.text == ""
