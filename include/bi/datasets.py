"""Datasets of a BI tool: the published tables and joins of them, described and measured by dbt's YAML alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from include.core_yaml import load_yaml
from include.publish.tables import published_tables
from include.settings import PROJECT
from include.warehouse.contracts import described_models, doc_blocks, plain_text

JOINS = PROJECT / "include" / "bi" / "datasets"


@dataclass(frozen=True)
class Column:
    """A column of a dataset. `pii` says whether it identifies a person: none, indirect, pseudonymous or direct."""

    name: str
    type: str
    description: str
    pii: str

    @property
    def is_time(self) -> bool:
        return self.type in ("date", "timestamp")


@dataclass(frozen=True)
class Metric:
    """A number that is defined once: an aggregate over the rows of one dataset, in SQL that DuckDB and PostgreSQL
    both understand. `format` is d3's."""

    name: str
    label: str
    expression: str
    format: str
    description: str


@dataclass(frozen=True)
class Dataset:
    """What a chart reads: a published table, or the SQL of a join of some."""

    name: str
    side: str
    description: str
    columns: tuple[Column, ...]
    metrics: tuple[Metric, ...]
    sql: str = ""

    @property
    def relation(self) -> str:
        """What stands after `from`."""
        return f"({self.sql}) as {self.name}" if self.sql else f'"{self.side}"."{self.name}"'

    @property
    def reads(self) -> frozenset[str]:
        """The published tables behind it."""
        return (
            frozenset(re.findall(r"\b(?:from|join) \w+\.(\w+)", self.sql))
            if self.sql
            else frozenset({self.name})
        )


@cache
def datasets() -> dict[str, Dataset]:
    """Every dataset by name. Columns that say directly who somebody is are of no use for counting and left out."""
    models = described_models()
    found = {
        table.name: _dataset(models[table.name], table.side)
        for table in published_tables()
        if table.name in models
    }
    for path in sorted(JOINS.glob("*.yml")):
        description = load_yaml(path)
        joined = _dataset(description, "cdp", _sql(path.with_suffix(".sql")))
        found[joined.name] = joined
    return found


def _dataset(described: dict[str, Any], side: str, sql: str = "") -> Dataset:
    docs = doc_blocks()
    columns = tuple(
        Column(
            column["name"],
            column["data_type"],
            plain_text(column["description"], docs),
            column["config"]["meta"]["pii"],
        )
        for column in described["columns"]
    )
    metrics = described.get("config", {}).get("meta", {}).get("metrics", [])
    return Dataset(
        described["name"],
        side,
        plain_text(described["description"], docs),
        tuple(column for column in columns if column.pii != "direct"),
        tuple(Metric(**metric) for metric in metrics),
        sql,
    )


def _sql(path: Path) -> str:
    return path.read_text().strip()
