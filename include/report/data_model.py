"""The data dictionary `docs/data-model.md`, written from the contracts of the published tables.

`python -m include.report.data_model` renews it; a test holds it to the contracts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from include.publish.tables import published_tables
from include.settings import PROJECT

MODELS = PROJECT / "dbt_project" / "models"
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
    models = {model["name"]: model for model in _models()}
    docs = dict(_doc_blocks())
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


def _models() -> Iterator[dict[str, Any]]:
    for path in sorted(MODELS.rglob("*.yml")):
        yield from (YAML(typ="safe").load(path) or {}).get("models") or []


def _doc_blocks() -> Iterator[tuple[str, str]]:
    for path in sorted(MODELS.rglob("*.md")):
        yield from re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", path.read_text(), flags=re.DOTALL)


def _pii(column: dict[str, Any]) -> str:
    return (column.get("config") or column).get("meta", {}).get("pii", "")


def _text(description: str, docs: dict[str, str]) -> str:
    filled = re.sub(r"{{\s*doc\('(\w+)'\)\s*}}", lambda found: docs[found[1]], description)
    return " ".join(filled.split()).replace("|", "\\|")


def write(page: Path = PAGE) -> None:
    """Renew the page."""
    page.write_text(data_dictionary())


if __name__ == "__main__":
    write()
