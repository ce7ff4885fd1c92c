"""Fills the templates of pages: whatever is put into one is escaped, and a value that is missing is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def fill(template: Path, values: dict[str, Any], *others: Path) -> str:
    """The page that a template makes of the values. What it extends or includes is beside it or in one of the folders
    `others`. Raises jinja2.UndefinedError when a value is missing."""
    return _environment(template.parent, *others).get_template(template.name).render(values)


@cache
def _environment(*folders: Path) -> Environment:
    """One for all pages of a folder: to compile a template takes longer than to fill it."""
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
