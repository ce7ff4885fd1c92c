"""What all tests share: an Airflow of their own, and a place for data that no test outside sees."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Before anything imports Airflow: the tests' Airflow is not the user's and not the project's.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).resolve().parents[1] / ".airflow" / "tests"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).resolve().parents[1] / "dags")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
os.environ.setdefault(
    "TANDEM_PARSED", str(Path(__file__).resolve().parents[1] / ".airflow" / "tests" / "parsed")
)
os.environ.setdefault("TANDEM_PSEUDONYM_KEY", "a key for the tests alone")

from include.settings import settings
from tests.company import DAYS, Company, configure, make_channels

# It tells of its end when there is nothing to write to any more.
logging.getLogger("py4j").setLevel(logging.WARNING)

COMPANY = ("tests/integration", "tests/privacy", "tests/faults")
# The folders that take longest after those, longest first.
LONG = (
    "tests/dbt_project",
    "tests/include/extract",
    "tests/include/identity",
    "tests/ml",
    "tests/include/benchmark",
)
# Files that share nothing with the others of their folder and take long: the other worker may run them.
ALONE = (
    "tests/integration/test_stitching_scenarios.py",
    "tests/dbt_project/test_time.py",
    "tests/dbt_project/test_unit_tests.py",
    "tests/include/identity/test_spark.py",
    "tests/include/identity/linkage/test_febrl.py",
)


class FolderScheduling(LoadScopeScheduling):
    """The tests of a folder share expensive fixtures, so one worker runs them all; three folders share the company."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if file in ALONE:
            return file
        folder = file.rpartition("/")[0]
        return "company" if folder in COMPANY else folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    return FolderScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker has it left when the other is done."""
    order = [COMPANY, *LONG]
    items.sort(
        key=lambda item: next(
            (at for at, folder in enumerate(order) if item.nodeid.startswith(folder)), len(order)
        )
    )


@pytest.fixture(autouse=True)
def no_settings_of_another_test() -> Iterator[None]:
    """Settings are read from the environment once; each test may have set its own, and the command line does."""
    before = _ours()
    yield
    for name in _ours().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    settings.cache_clear()


def _ours() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("TANDEM_")}


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A migrated metadata database in the tests' own Airflow home."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def make_company(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Company]:
    """Make a company with the small demo's channels; the channel files are made once and copied."""
    source = tmp_path_factory.mktemp("source")
    make_channels(source)

    def make(name: str) -> Company:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(source, folder / "data")
        return configure(folder)

    return make


@pytest.fixture(scope="session")
def two_days(make_company: Callable[[str], Company]) -> Company:
    """The company after two business days, the first of which Airflow ran."""
    company = make_company("two_days")
    company.run(DAYS[0])
    company.call(DAYS[1])
    return company


@pytest.fixture(scope="session")
def rebuilt(make_company: Callable[[str], Company]) -> Company:
    """The same company whose first run is the second day's."""
    company = make_company("rebuilt")
    company.call(DAYS[-1])
    return company
