"""What all tests share: an Airflow of their own, and a place for data that no test outside sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports Airflow: the tests' Airflow is not the user's and not the project's.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).resolve().parents[1] / ".airflow" / "tests"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).resolve().parents[1] / "dags")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
os.environ.setdefault("TANDEM_PSEUDONYM_KEY", "a key for the tests alone")


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A migrated metadata database in the tests' own Airflow home."""
    from airflow.utils.db import initdb

    initdb()
