"""`python -m include.warehouse.pages FOLDER`: dbt's documentation as one page, without network or warehouse."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from dbt.cli.main import dbtRunner

from include.lake import replacing
from include.settings import PROJECT


def write_pages(folder: Path) -> Path:
    """Write `index.html`: models, columns, tests, sources, exposures and the lineage between them.

    Raises RuntimeError with dbt's reason when the project does not parse.
    """
    project = str(PROJECT / "dbt_project")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dbt-docs-") as name:
        target = Path(name)
        options = [
            "--quiet",
            "--project-dir",
            project,
            "--profiles-dir",
            project,
            "--target-path",
            str(target),
        ]
        for command in (["parse"], ["docs", "generate", "--static", "--no-compile", "--empty-catalog"]):
            done = dbtRunner().invoke([*command, *options])
            if not done.success:
                raise RuntimeError(f"dbt {command[0]} failed: {done.exception}")
        page = folder / "index.html"
        with replacing(page) as temporary:
            shutil.copyfile(target / "static_index.html", temporary)
    return page


if __name__ == "__main__":
    sys.stdout.write(f"{write_pages(Path(sys.argv[1]).resolve())}\n")
