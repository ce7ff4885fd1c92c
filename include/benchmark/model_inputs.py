"""What it costs to decode once the columns that a model reads: nobody can build it without."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator

import duckdb

from include.lake import Lake
from include.settings import Settings

# A call of read_parquet, whose options may have parentheses of their own.
PARQUET = re.compile(r"read_parquet\((?:[^()]|\([^()]*\))*\)")
ROWS_PLANNED = 100  # nothing is planned for tables without rows
RELATION = re.compile(r'"warehouse"\."main"\."(\w+)"')
# The keys that the materialization `accumulated` finds before the model's query runs.
KNOWN = re.compile(r"\b(\w+)__known\b")


def cost_of_inputs(step: str, settings: Settings) -> dict[str, float]:
    """CPU seconds for each model of a step that dbt has built last, by the model's name.

    DuckDB's plan over small tables of the same columns says which columns a model reads of each relation.
    """
    lake = Lake(settings.data)
    manifest = json.loads((lake.data / "dbt" / "target" / "manifest.json").read_text())
    options = settings.limits
    costs = {}
    with duckdb.connect(":memory:", config=options) as connection:
        connection.execute(f"attach '{lake.warehouse}' as warehouse (read_only)")
        connection.execute("attach ':memory:' as stubs")
        connection.execute("use warehouse")
        for node in manifest["nodes"].values():
            query = node.get("compiled_code")
            if node["resource_type"] != "model" or step not in node["tags"] or not query:
                continue
            read = columns_read(connection, query)
            began = time.process_time()
            for relation, columns in sorted(read.items()):
                wanted = ", ".join(f'max("{column}")' for column in sorted(columns)) or "count(*)"
                connection.execute(f"select {wanted} from {relation}").fetchall()
            costs[node["name"]] = round(time.process_time() - began, 1)
    return costs


def columns_read(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, set[str]]:
    """The columns that a query reads of each relation and of each set of Parquet files."""
    relations = {f'"warehouse"."main"."{name}"' for name in RELATION.findall(query)} | set(
        PARQUET.findall(query)
    )
    stubs = {}
    for number, relation in enumerate(sorted(relations)):
        connection.execute(
            f"create or replace table stubs.main.stub_{number} as from {relation} limit {ROWS_PLANNED}"
        )
        stubs[f"stub_{number}"] = relation
        query = query.replace(relation, f"stubs.main.stub_{number}")
    for table in set(KNOWN.findall(query)):
        connection.execute(
            f"create or replace temp table {table}__known as"
            f' from "warehouse"."main"."{table}" limit {ROWS_PLANNED}'
        )
    ((_, plan),) = connection.execute(f"explain (format json) {query}").fetchall()
    read: dict[str, set[str]] = defaultdict(set)
    for scan in _scans(json.loads(plan)):
        columns = scan.get("Projections", [])
        stub = scan["Table"].rsplit(".", 1)[-1]
        if stub not in stubs:
            continue
        # Where only rows are counted the plan names no column, or an empty one.
        read[stubs[stub]].update(filter(None, [columns] if isinstance(columns, str) else columns))
    return read


def _scans(plan: list[dict]) -> Iterator[dict]:
    for operator in plan:
        if "Table" in operator["extra_info"]:
            yield operator["extra_info"]
        yield from _scans(operator["children"])
