"""Airflow's connections: where a database or an object storage is, and the keys to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.airflow_home import AirflowHome
from include.ledger import StepFailed
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel


@dataclass(frozen=True)
class Connection:
    """One connection, with the fields of Airflow's. What is secret shows in no message and no repr."""

    connection_id: str
    type: str
    host: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    port: int | None = None
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def hide(self, text: str) -> str:
        """The text on one line, without the connection's password."""
        line = " ".join(text.split())
        return line.replace(self.password, "***") if self.password else line


def find_connection(channel: Channel, settings: Settings) -> Connection:
    """The connection that a channel's source names: from the task's Airflow, or outside of a task from
    `AIRFLOW_CONN_<ID>` and the project's own Airflow.

    Raises StepFailed when there is none, or it cannot be read.
    """
    try:
        return connection_of(channel.source.connection, settings)
    except StepFailed as failure:
        raise StepFailed(f"channel {channel.name}: {failure}") from None


def connection_of(connection_id: str, settings: Settings) -> Connection:
    """The connection of that id, found as `find_connection` does. Raises StepFailed like it."""
    _stand_in_the_home(settings)
    from include.airflow_connections import read_connection

    return Connection(**read_connection(connection_id))


def _stand_in_the_home(settings: Settings) -> None:
    """Outside of Airflow, be in the home of the DATA folder: whatever imports Airflow makes a home where there is
    none, and in this one are the connections that were added in the UI."""
    if "AIRFLOW_HOME" in os.environ:
        return
    home = AirflowHome(settings.data)
    os.environ["AIRFLOW_HOME"] = str(home.path)
    if (home.path / "airflow.db").exists():
        # Only what calls itself a server may look into the database.
        os.environ |= home.environment(settings.config) | {"_AIRFLOW_PROCESS_CONTEXT": "server"}
