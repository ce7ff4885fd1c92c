"""The data dictionary `docs/data-model.md`, written from the contracts of the published tables.

`python -m include.report.data_model` renews it; a test holds it to the contracts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.publish.tables import published_tables
from include.settings import PROJECT
from include.warehouse.contracts import described_models, doc_blocks, plain_text

PAGE = PROJECT / "docs" / "data-model.md"
SIDES = {
    "cdp": "Customers, who are known",
    "dmp": "Visitors, who are pseudonymous",
    "bridge": "What customers do as visitors, as numbers of many",
    "both": "Audiences of either side",
    "ops": "How the runs went",
}
INTRODUCTION = """\
# Data model

The published tables, as `published/current/<side>/<table>.parquet` and as `<side>.<table>` in `tandem.duckdb`. Every
table but `ops.releases`, which publishing writes itself, is a dbt model with an enforced contract. Times are UTC,
money is decimal; `pii` says whether a column identifies a person: directly, indirectly, by a pseudonym or not. `both`
is a reserved word of SQL: write `"both".audiences`.

This page is written from the contracts by `python -m include.report.data_model`.
"""


def data_dictionary() -> str:
    """The page as Markdown: each side, each table with its grain, each column with type, pii and meaning."""
    models, docs = described_models(), doc_blocks()
    lines = [INTRODUCTION]
    for side, title in SIDES.items():
        lines += [f"## {side}: {title}", ""]
        for table in sorted(table.name for table in published_tables() if table.side == side):
            lines += _table(f"{side}.{table}", models.get(table), docs)
    return "\n".join(lines).rstrip() + "\n"


def _table(name: str, model: dict[str, Any] | None, docs: dict[str, str]) -> list[str]:
    if model is None:
        return [f"### {name}", "", "Written by publishing: one row per release so far.", ""]
    rows = [
        f"| `{column['name']}` | {column['data_type']} | {_pii(column)} | {_text(column['description'], docs)} |"
        for column in model["columns"]
    ]
    head = [f"### {name}", "", _text(model["description"], docs), ""]
    return [*head, "| column | type | pii | meaning |", "|---|---|---|---|", *rows, ""]


def _pii(column: dict[str, Any]) -> str:
    return (column.get("config") or column).get("meta", {}).get("pii", "")


def _text(description: str, docs: dict[str, str]) -> str:
    return plain_text(description, docs).replace("|", "\\|")


def write(page: Path = PAGE) -> None:
    """Renew the page."""
    page.write_text(data_dictionary())


if __name__ == "__main__":
    write()
