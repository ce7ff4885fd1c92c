"""`python -m include.warehouse.pages DATA`: dbt's documentation as one page, without network or warehouse."""

from __future__ import annotations

import sys
from pathlib import Path

from dbt.task.docs import DOCS_INDEX_FILE_PATH

from include.lake import Lake, replacing
from include.warehouse.dbt import manifest_path, parse_manifest

NOTHING_CATALOGUED = '{"metadata": {}, "nodes": {}, "sources": {}}'


def page_of(manifest: Path) -> str:
    """dbt's page with a manifest in it: models, columns, tests, sources, exposures and the lineage between them.

    It is what `dbt docs generate --static --empty-catalog` writes, without the ten seconds that dbt takes to begin.
    """
    page = Path(DOCS_INDEX_FILE_PATH).read_text(encoding="utf-8")
    for place, content in (
        ("MANIFEST.JSON", manifest.read_text(encoding="utf-8")),
        ("CATALOG.JSON", NOTHING_CATALOGUED),
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


if __name__ == "__main__":
    sys.stdout.write(f"{write_page(Lake(Path(sys.argv[1]).resolve()))}\n")
