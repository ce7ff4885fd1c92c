"""`tandem.duckdb`: a release's tables in one file that a BI tool opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from include.lake import Lake
from include.publish.content import HISTORY
from include.settings import settings

DATABASE = "tandem.duckdb"
# The one table that is no model of dbt.
RELEASES = {
    "description": "This release and every earlier one that is known. One row per release.",
    "columns": {
        "release_id": {"description": "Business day and hash of the content; the folder's name."},
        "as_of_date": {"description": "The business day that it is of."},
        "tables": {"description": "How many tables it has."},
        "rows": {"description": "Rows of all its tables but this one."},
        "content_hash": {"description": "Hash of all values but those that tell of the run itself."},
    },
}


def build_database(lake: Lake, release: Path) -> Path:
    """Write `tandem.duckdb` into a release: a schema per side, tables with dbt's descriptions as comments.

    The file is made fresh, has no keys or indexes, and is checkpointed and closed: there is no log to replay.
    """
    path = release / DATABASE
    path.unlink(missing_ok=True)
    descriptions = _descriptions(lake)
    with duckdb.connect(str(path), config=settings().limits) as connection:
        connection.begin()  # else each statement is logged and synchronised on its own
        for file in sorted(release.glob("*/*.parquet")):
            side, table = file.parent.name, file.stem
            connection.execute(f'create schema if not exists "{side}"')
            connection.execute(
                f'create table "{side}"."{table}" as '
                f"select * from read_parquet('{str(file).replace(chr(39), chr(39) * 2)}', hive_partitioning = false)"
            )
            _comment(connection, f'"{side}"."{table}"', descriptions.get(table))
        connection.commit()
        connection.execute("checkpoint")
    return path


def _comment(connection: duckdb.DuckDBPyConnection, relation: str, model: dict[str, Any] | None) -> None:
    if not model:
        return
    connection.execute(f"comment on table {relation} is {_literal(model['description'])}")
    present = {row[0] for row in connection.execute(f"describe {relation}").fetchall()}
    for name, column in model["columns"].items():
        if name in present and column["description"]:
            connection.execute(f'comment on column {relation}."{name}" is {_literal(column["description"])}')


def _descriptions(lake: Lake) -> dict[str, dict[str, Any]]:
    """dbt's models by name, from the manifest of the last dbt call, which there may not be, and what publishing writes
    itself."""
    described = {Path(HISTORY).name: RELEASES}
    path = lake.data / "dbt" / "target" / "manifest.json"
    if not path.exists():
        return described
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    return described | {node["name"]: node for node in nodes if node["resource_type"] == "model"}


def _literal(text: str) -> str:
    return "'" + " ".join(text.split()).replace("'", "''") + "'"
