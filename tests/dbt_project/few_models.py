"""The dbt project with a few models of a test's own: all of its own take long to parse."""

from __future__ import annotations

import shutil
from pathlib import Path

from include.warehouse.dbt import DBT_PROJECT


def make_project(folder: Path, **models: str) -> Path:
    """Write the project's macros and settings below a folder, and models by name with their queries."""
    shutil.copytree(DBT_PROJECT / "macros", folder / "macros")
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(DBT_PROJECT / name, folder / name)
    (folder / "models").mkdir()
    for name, query in models.items():
        (folder / "models" / f"{name}.sql").write_text(f"{query}\n")
    return folder
