"""Airflow's home belongs to one DATA folder, lies inside the project, and its secrets are nobody else's to read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from include.airflow_home import AirflowHome
from include.settings import PROJECT


@pytest.fixture
def home(tmp_path: Path) -> AirflowHome:
    return AirflowHome(tmp_path / "data")


def test_two_data_folders_of_one_name_have_two_homes(tmp_path: Path):
    one, two = AirflowHome(tmp_path / "a" / "data"), AirflowHome(tmp_path / "b" / "data")
    assert one.path != two.path
    assert one.environment(tmp_path)["AIRFLOW_HOME"] != two.environment(tmp_path)["AIRFLOW_HOME"]


def test_everything_of_airflow_lies_inside_the_project(home: AirflowHome, tmp_path: Path):
    environment = home.environment(tmp_path)
    for name in ("AIRFLOW_HOME", "AIRFLOW__LOGGING__BASE_LOG_FOLDER", "AIRFLOW__CORE__DAGS_FOLDER"):
        assert Path(environment[name]).is_relative_to(PROJECT), name
    assert str(PROJECT / ".airflow") in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_the_keys_are_made_once_and_are_the_owners_alone(home: AirflowHome, tmp_path: Path):
    first, second = home.environment(tmp_path), home.environment(tmp_path)
    assert first == second
    path = PROJECT / ".secrets" / f"{home.name}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(json.loads(path.read_text()).values())) == 5
    path.unlink()


def test_the_users_own_pseudonym_key_is_kept(
    home: AirflowHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEY", "mine")
    assert home.environment(tmp_path)["TANDEM_PSEUDONYM_KEY"] == "mine"
    monkeypatch.delenv("TANDEM_PSEUDONYM_KEY")
    made = home.environment(tmp_path)["TANDEM_PSEUDONYM_KEY"]
    assert len(made) == 64
    assert made not in os.environ.values()


def test_as_many_tasks_run_at_once_as_fit_unless_the_user_says_how_many(
    home: AirflowHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AIRFLOW__CORE__PARALLELISM", raising=False)
    monkeypatch.setattr("include.airflow_home.machine_memory", lambda: 10**9)
    assert home.environment(tmp_path)["AIRFLOW__CORE__PARALLELISM"] == "1"
    monkeypatch.setattr("include.airflow_home.machine_memory", lambda: 10**12)
    assert home.environment(tmp_path)["AIRFLOW__CORE__PARALLELISM"] == "4"
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "9")
    assert home.environment(tmp_path)["AIRFLOW__CORE__PARALLELISM"] == "9"


def test_a_prepared_home_has_the_pool_that_lets_one_task_open_the_warehouse(home: AirflowHome):
    import sqlite3

    home.prepare()
    with sqlite3.connect(home.path / "airflow.db") as database:
        pools = database.execute("select pool, slots from slot_pool where pool = 'warehouse'").fetchall()
    assert pools == [("warehouse", 1)]


def test_a_form_that_cannot_be_cleared_is_told_with_what_to_do(
    home: AirflowHome, monkeypatch: pytest.MonkeyPatch
):
    """Nobody's identifier stays in Airflow without a word: neither this home nor another database is known here."""
    monkeypatch.delenv("TANDEM_METADATA_DATABASE", raising=False)
    with pytest.raises(RuntimeError, match=r"privacy_requests stays .*: set TANDEM_METADATA_DATABASE"):
        home.forget_forms("privacy_requests")
