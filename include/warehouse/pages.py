"""`python -m include.warehouse.pages DATA`: dbt's documentation as one page, without network or warehouse."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dbt.task.docs import DOCS_INDEX_FILE_PATH

from include.lake import Lake, replacing
from include.warehouse.dbt import manifest_path, parse_manifest


def page_of(manifest: Path) -> str:
    """dbt's page with a manifest in it: models, columns, tests, sources, exposures and the lineage between them.

    It is what `dbt docs generate --static` writes, without the ten seconds that dbt takes to begin, and without asking
    the warehouse: types are those of the contracts.
    """
    text = manifest.read_text(encoding="utf-8")
    page = Path(DOCS_INDEX_FILE_PATH).read_text(encoding="utf-8")
    for place, content in (
        ("MANIFEST.JSON", text),
        ("CATALOG.JSON", json.dumps(_catalog_of(json.loads(text)))),
    ):
        page = page.replace(f'"{place} INLINE DATA"', content.replace("</", r"<\/"))
    return page


def write_page(lake: Lake) -> Path:
    """Write the page of the project as it is now to `DATA/docs/index.html`.

    Raises StepFailed with dbt's words when the project does not parse.
    """
    parse_manifest(lake)
    page = lake.data / "docs" / "index.html"
    with replacing(page) as temporary:
        temporary.write_text(page_of(manifest_path(lake)), encoding="utf-8")
    return page


def _catalog_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The columns of each model with the types of its contract, as dbt writes what a warehouse says of them."""
    nodes = {
        name: {
            "unique_id": name,
            "metadata": {"type": "", "schema": node["schema"], "name": node["name"]},
            "columns": {
                column["name"]: {"name": column["name"], "type": column["data_type"] or "", "index": number}
                for number, column in enumerate(node["columns"].values(), start=1)
            },
            "stats": {},
        }
        for name, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["contract"]["enforced"]
    }
    return {"metadata": {}, "nodes": nodes, "sources": {}}


if __name__ == "__main__":
    sys.stdout.write(f"{write_page(Lake(Path(sys.argv[1]).resolve()))}\n")
