"""What dbt's YAML says of the models: read as text, so that neither dbt nor a warehouse is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from include.settings import PROJECT

MODELS = PROJECT / "dbt_project" / "models"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # dbt's own, ten times as fast as one in Python


def described_models() -> dict[str, dict[str, Any]]:
    """Each model by name as its YAML has it, in the order of the files."""
    return {model["name"]: model for model in _entries("models")}


def described_exposures() -> dict[str, dict[str, Any]]:
    """Each exposure by name: who reads what."""
    return {exposure["name"]: exposure for exposure in _entries("exposures")}


def doc_blocks() -> dict[str, str]:
    """Texts that several descriptions share, by name."""
    found: dict[str, str] = {}
    for path in sorted(MODELS.rglob("*.md")):
        found |= re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", path.read_text(), flags=re.DOTALL)
    return found


def plain_text(description: str, docs: dict[str, str]) -> str:
    """A description on one line, with shared texts in their places."""
    filled = re.sub(r"{{\s*doc\('(\w+)'\)\s*}}", lambda found: docs[found[1]], description)
    return " ".join(filled.split())


def _entries(kind: str) -> Iterator[dict[str, Any]]:
    for path in sorted(MODELS.rglob("*.yml")):
        yield from (yaml.load(path.read_text(), Loader=LOADER) or {}).get(kind) or []
