"""What sqlfluff needs of dbt beyond its own stand-ins, so that models are linted without running dbt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PROJECT_FILE = Path(__file__).parent.parent / "dbt_project.yml"
# A configuration with something in it, so that what loops write is linted too.
SAMPLES = {
    "trait_windows": [30],
    "questions": [
        {"word": "answers_1", "bit": 1, "trait_id": "age", "predicate": "value = '30'", "default": False},
        {"word": "answers_1", "bit": 2, "trait_id": "sport", "predicate": "frequency_30 > 1", "default": True},
    ],
    "atoms": [
        {"alias": "t1", "trait_id": "age", "kind": "trait", "days": None},
        {"alias": "f1", "trait_id": "sport", "kind": "frequency", "days": 30},
        {"alias": "r1", "trait_id": "sport", "kind": "recency", "days": None},
    ],
    "features": [
        {"name": "orders_28d", "table": "int_known_orders", "within": '"is_valid"', "measure": "count", "of": None,
         "per": None, "by": None, "where": None, "days": 28, "missing": 0, "type": "bigint", "is_own": False},
        {"name": "top_category", "table": "int_known_order_lines", "within": None, "measure": "top", "of": "amount",
         "per": None, "by": "category", "where": None, "days": None, "missing": None, "type": "varchar",
         "is_own": False},
    ],
}  # fmt: skip


class _Missing:
    """Takes the place of dbt objects that only matter when a model runs; each use of it is empty text."""

    def __getattr__(self, name: str) -> _Missing:
        return self

    def __call__(self, *arguments: Any, **named: Any) -> str:
        return ""


class _Adapter(_Missing):
    """A macro that each engine has its own of is a column here."""

    def dispatch(self, name: str, package: str) -> Any:
        return lambda *arguments: name


exceptions = _Missing()
adapter = _Adapter()
execute = False


def var(name: str, default: Any = None) -> Any:
    """The variable's sample, or else its default in dbt_project.yml."""
    if name in SAMPLES:
        return SAMPLES[name]
    return YAML(typ="safe").load(PROJECT_FILE)["vars"].get(name, default)
