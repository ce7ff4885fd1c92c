"""The columns that conditions of the cdp side may name, read from the contracts of the published tables."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import yaml

from include.core_yaml import load_yaml
from include.settings import PROJECT

CUSTOMER_TABLES = ("customers", "customer_features")
# Where no contract is at hand: what the published tables promise at least.
PROMISED_COLUMNS = {
    "customer_id": "varchar",
    "lifecycle_stage": "varchar",
    "confidence_tier": "varchar",
    "first_seen_at": "timestamp",
    "last_seen_at": "timestamp",
    "as_of_date": "date",
}


def customer_columns(models: Path = PROJECT / "dbt_project" / "models" / "cdp") -> Mapping[str, str]:
    """Name to DuckDB type of the columns of `customers` and `customer_features`.

    Reads the dbt properties files below `models`; `PROMISED_COLUMNS` when they do not describe both tables.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted(models.rglob("*.yml")):
        found |= _contracts(path.read_text())
    if set(found) != set(CUSTOMER_TABLES):
        return dict(PROMISED_COLUMNS)
    return {name: kind for table in CUSTOMER_TABLES for name, kind in found[table].items()}


@functools.lru_cache
def _contracts(text: str) -> dict[str, dict[str, str]]:
    if not any(f"name: {table}\n" in text for table in CUSTOMER_TABLES):
        return {}
    try:
        models = (load_yaml(text) or {}).get("models") or []
    except yaml.YAMLError:
        return {}  # dbt itself says what is wrong with its files
    return {
        model["name"]: {column["name"]: column["data_type"].lower() for column in model["columns"]}
        for model in models
        if model.get("name") in CUSTOMER_TABLES
        and model.get("columns")
        and all("data_type" in column for column in model["columns"])
    }
