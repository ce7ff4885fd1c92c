"""Features as they are declared in features.yml, compiled to what one dbt macro turns into SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from include.config.conditions import compile_row_condition, compile_row_value
from include.config.schema import FeatureRule

MONEY = "decimal(18,4)"
# What the table of a source says of every row.
COMMON_COLUMNS = {"channel": "varchar", "occurred_at": "timestamp"}
ORDER_COLUMNS = {
    "order_id": "varchar",
    "status": "varchar",
    "sales_channel": "varchar",
    "currency": "varchar",
    "coupon": "varchar",
    "part_of_day": "varchar",
    "total_amount": MONEY,
    "discount_amount": MONEY,
    "line_count": "bigint",
    "is_valid": "boolean",
    "is_store_order": "boolean",
    "is_weekend": "boolean",
}


@dataclass(frozen=True)
class Source:
    """What a feature may count: rows of a dbt model that meet `where` (SQL), with these columns (name to type)."""

    table: str
    columns: Mapping[str, str]
    where: str | None = None


SOURCES: dict[str, Source] = {
    "orders": Source("int_known_orders", ORDER_COLUMNS, '"is_valid"'),
    "placed_orders": Source("int_known_orders", ORDER_COLUMNS),
    "order_lines": Source(
        "int_known_order_lines",
        {
            "order_id": "varchar",
            "product_id": "varchar",
            "category": "varchar",
            "quantity": MONEY,
            "amount": MONEY,
        },
    ),
    "behaviours": Source(
        "int_customer_events",
        {"activity": "varchar", "product_id": "varchar", "category": "varchar", "platform": "varchar"},
    ),
    "visits": Source(
        "int_known_visits",
        {
            "platform": "varchar",
            "site": "varchar",
            "campaign_source": "varchar",
            "campaign_medium": "varchar",
            "campaign_name": "varchar",
            "page_views": "bigint",
            "events": "bigint",
            "converted": "boolean",
        },
    ),
    "messages": Source(
        "int_known_messages", {"medium": "varchar", "action": "varchar", "campaign_id": "varchar"}
    ),
    "contacts": Source(
        "int_known_contacts",
        {
            "type": "varchar",
            "direction": "varchar",
            "reason": "varchar",
            "outcome": "varchar",
            "duration_seconds": "double",
            "satisfaction": "double",
        },
    ),
    "consents": Source(
        "int_known_consents", {"purpose": "varchar", "status": "varchar", "is_granted": "boolean"}
    ),
}

COUNTS = ("count", "distinct", "new")
DAYS = ("days_since_last", "days_since_first")
TEXTS = {"most_frequent": "varchar", "top": "varchar", "top_five": "varchar[]"}
# What a measure must have, and what it may have besides, of `of`, `per`, `by`, `where` and `days`.
NEEDED = {
    "distinct": ("of",),
    "sum": ("of",),
    "mean": ("of",),
    "median": ("of",),
    "min": ("of",),
    "max": ("of",),
    "share": ("where",),
    "ratio": ("of", "per"),
    "change": ("days",),
    "most_frequent": ("of",),
    "top": ("by", "of"),
    "top_five": ("by", "of"),
    "top_share": ("by", "of"),
    "new": ("by", "of", "days"),
}
ALLOWED = {
    "count": ("where", "days"),
    "distinct": ("where", "days"),
    "sum": ("where", "days"),
    "mean": ("where", "days"),
    "median": ("where", "days"),
    "min": ("where", "days"),
    "max": ("where", "days"),
    "share": ("of", "days"),
    "ratio": ("where", "days"),
    "change": ("of", "where"),
    "most_frequent": ("where", "days"),
    "days_since_last": ("where",),
    "days_since_first": ("where",),
    "gap_mean": ("where",),
    "gap_median": ("where",),
    "gap_spread": ("where",),
    "days_overdue": ("where",),
}
OPTIONS = ("of", "per", "by", "where", "days")


def source_columns(over: str) -> dict[str, str]:
    """The columns that conditions and expressions over a source may name, with their DuckDB types."""
    return {**COMMON_COLUMNS, **SOURCES[over].columns}


def compile_feature(name: str, rule: FeatureRule) -> dict[str, Any]:
    """One feature as plain values for dbt, its expressions as SQL over the columns of its source.

    Raises ConditionError when an expression is refused.
    """
    source, columns = SOURCES[rule.over], source_columns(rule.over)
    compiled = {
        option: compile_row_value(text, columns) if text else (None, None)
        for option, text in (("of", rule.of), ("per", rule.per), ("by", rule.by))
    }
    where = compile_row_condition(rule.where, columns).predicate() if rule.where else None
    return {
        "name": name,
        "table": source.table,
        "within": source.where,
        "measure": rule.measure,
        "of": compiled["of"][0],
        "per": compiled["per"][0],
        "by": compiled["by"][0],
        "where": where,
        "days": rule.days,
        "missing": rule.missing if rule.missing is not None else _default(rule.measure),
        "type": _type(rule.measure, compiled["of"][1] or ""),
    }


def compile_features(rules: Mapping[str, FeatureRule], own: Iterable[str]) -> list[dict[str, Any]]:
    """All features in the order in which they are declared; `own` are the names that the company added."""
    added = set(own)
    return [compile_feature(name, rule) | {"is_own": name in added} for name, rule in rules.items()]


def _default(measure: str) -> float | None:
    return 0 if measure in (*COUNTS, "sum") else None


def _type(measure: str, of: str) -> str:
    if measure in TEXTS:
        return TEXTS[measure]
    if measure in (*COUNTS, *DAYS):
        return "bigint"
    if measure in ("sum", "mean", "min", "max") and of.startswith("DECIMAL"):
        return MONEY
    return "double"
