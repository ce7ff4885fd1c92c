"""Categories of content: the IAB Content Taxonomy 3.1, and which of its categories a text names.

The taxonomy is the IAB Tech Lab's, CC BY 3.0: see `taxonomy/NOTICE.md`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

TAXONOMY = Path(__file__).with_name("taxonomy") / "content_taxonomy_3_1.tsv"
HEADER_LINES = 2


@dataclass(frozen=True)
class Category:
    """A category of the taxonomy; `tier_1` is the name of the broadest one that it belongs to."""

    category_id: str
    name: str
    tier_1: str


@lru_cache(maxsize=1)
def taxonomy() -> dict[str, Category]:
    """Every category by its id."""
    with TAXONOMY.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[HEADER_LINES:]
    categories = (Category(line[0].strip(), line[2].strip(), line[3].strip()) for line in lines)
    return {category.category_id: category for category in categories}


def find_category(text: str) -> Category | None:
    """The category whose id the text is, or whose name without regard to case and spaces; None for any other text."""
    return taxonomy().get(text.strip()) or _by_name().get(_folded(text))


def nearest_name(text: str) -> str | None:
    """The name of a category that a mistyped text may have meant."""
    close = get_close_matches(_folded(text), list(_by_name()), n=1, cutoff=0.6)
    return _by_name()[close[0]].name if close else None


def normalise_content_category(raw: str) -> tuple[str | None, str | None, str | None]:
    """The id, name and first tier of the category that an event names itself; nothing when it is none of IAB's."""
    category = find_category(raw)
    return (category.category_id, category.name, category.tier_1) if category else (None, None, None)


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Category]:
    return {_folded(category.name): category for category in taxonomy().values()}


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
