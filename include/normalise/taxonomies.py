"""The two vocabularies of the IAB Tech Lab: what a page is about, and what is said of a person.

Both are files of this package, as their publisher wrote them; CC BY 3.0, see `taxonomy/NOTICE.md`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path

FOLDER = Path(__file__).with_name("taxonomy")
CONTENT_FILE = FOLDER / "content_taxonomy_3_1.tsv"
AUDIENCE_FILE = FOLDER / "audience_taxonomy_1_1.tsv"
BETWEEN_TIERS = " | "


@dataclass(frozen=True)
class Category:
    """One category; `tiers` are the names from the broadest one down to its own."""

    category_id: str
    parent_id: str | None
    tiers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.tiers[-1]

    @property
    def tier_1(self) -> str:
        return self.tiers[0]

    @property
    def path(self) -> str:
        return BETWEEN_TIERS.join(self.tiers)


@dataclass(frozen=True)
class Taxonomy:
    """A tree of categories, by id."""

    title: str
    categories: Mapping[str, Category]

    def find(self, text: str) -> Category | None:
        """The category whose id, path or name the text is, without regard to case and spaces; "and" is "&", and the
        steps of a path may be parted by ">", as other systems write both. A name that several categories have names
        none of them: `namesakes` are those."""
        found = self.categories.get(text.strip()) or self._by_path.get(_folded(text))
        if found is not None:
            return found
        named = self.namesakes(text) or self._by_spelling.get(_respelt(text), ())
        return named[0] if len(named) == 1 else None

    def namesakes(self, text: str) -> tuple[Category, ...]:
        """All categories that have the text as their name."""
        return self._by_name.get(_folded(text), ())

    def nearest(self, text: str) -> str | None:
        """The name or the path of a category that a mistyped text may have meant."""
        spellings = self._by_path if BETWEEN_TIERS.strip() in text else self._by_name
        close = get_close_matches(_folded(text), list(spellings), n=1, cutoff=0.6)
        if not close:
            return None
        return self._by_path[close[0]].path if spellings is self._by_path else self._by_name[close[0]][0].name

    def below(self, category_ids: Collection[str]) -> frozenset[str]:
        """The ids of these categories and of all that stand below them, by their parents or by their tiers: in the
        published files the two do not always agree."""
        found = set(category_ids)
        lines = {self.categories[category_id].tiers for category_id in category_ids}
        lengths = {len(line) for line in lines}
        for category in self._from_above:
            if category.parent_id in found or any(category.tiers[:length] in lines for length in lengths):
                found.add(category.category_id)
        return frozenset(found)

    @cached_property
    def _from_above(self) -> list[Category]:
        return sorted(self.categories.values(), key=lambda category: len(category.tiers))

    @cached_property
    def _by_path(self) -> dict[str, Category]:
        return {_folded(category.path): category for category in self.categories.values()}

    @cached_property
    def _by_spelling(self) -> dict[str, tuple[Category, ...]]:
        found: dict[str, tuple[Category, ...]] = {}
        for category in self.categories.values():
            for spelling in {_respelt(category.name), _respelt(category.path)}:
                found[spelling] = (*found.get(spelling, ()), category)
        return found

    @cached_property
    def _by_name(self) -> dict[str, tuple[Category, ...]]:
        found: dict[str, tuple[Category, ...]] = {}
        for category in self.categories.values():
            found[_folded(category.name)] = (*found.get(_folded(category.name), ()), category)
        return found


@lru_cache(maxsize=1)
def content_taxonomy() -> Taxonomy:
    """The Content Taxonomy 3.1: 704 categories of pages."""
    return _read("IAB Content Taxonomy 3.1", CONTENT_FILE, header=2, id_column=0, tiers=(3, 7))


@lru_cache(maxsize=1)
def audience_taxonomy() -> Taxonomy:
    """The Audience Taxonomy 1.1: 1,558 categories of people."""
    return _read("IAB Audience Taxonomy 1.1", AUDIENCE_FILE, header=1, id_column=1, tiers=(4, 10))


def _read(title: str, file: Path, header: int, id_column: int, tiers: tuple[int, int]) -> Taxonomy:
    """A file of tabs in which the parent's id stands right of the category's own. A star after a name points to a
    note and is no part of it; a parent that the file does not have is none."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[header:]
    ids = {row[id_column].strip() for row in rows}
    categories = {}
    for row in rows:
        category_id, parent_id = row[id_column].strip(), row[id_column + 1].strip()
        names = tuple(name.strip().rstrip("*") for name in row[slice(*tiers)] if name.strip())
        categories[category_id] = Category(category_id, parent_id if parent_id in ids else None, names)
    return Taxonomy(title, categories)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _respelt(text: str) -> str:
    return re.sub(r" ?& ?| and ", " & ", re.sub(r" ?[|>] ?", " | ", _folded(text)))
