"""What Airflow knows of a connection."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.ledger import StepFailed


def read_connection(connection_id: str) -> dict[str, Any]:
    """The fields of one of Airflow's connections: in a task all that Airflow knows, outside of one those of the
    environment.

    Raises StepFailed when there is none of that id, or it cannot be read.
    """
    variable = f"AIRFLOW_CONN_{connection_id.upper()}"
    try:
        found = BaseHook.get_connection(connection_id)
        extra = found.extra_dejson
    except AirflowNotFoundException:  # also what is said of a variable that cannot be read
        found = (
            f"{variable} is neither a URI nor JSON"
            if os.environ.get(variable)
            else "there is none of that id"
        )
        raise StepFailed(
            f"connection {connection_id!r}: {found}; add it in the Airflow UI (Admin, Connections), or set "
            f"{variable} to a URI such as postgres://user:password@host:5432/database"
        ) from None
    return {
        "connection_id": connection_id,
        "type": found.conn_type or "",
        "host": found.host or "",
        "login": found.login or "",
        "password": found.password or "",
        "schema": found.schema or "",
        "port": found.port,
        "extra": extra,
    }
