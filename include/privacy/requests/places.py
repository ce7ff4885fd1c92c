"""The index of every place below DATA that can hold personal data: `places.yml` as objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from include.core_yaml import load_yaml

TREATMENTS = frozenset(
    {
        "landed", "rows", "rows_with", "rebuilt", "blanked", "unsent", "told", "released", "removed", "kept",
        "source",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Files of one sort: `erase` is what an erasure does with them, one of TREATMENTS."""

    name: str
    files: tuple[str, ...]
    erase: str
    holds: str

    def fits(self, path: str) -> bool:
        """Whether a path relative to DATA is of this place."""
        return any(_pattern(each).fullmatch(path) for each in self.files)


@dataclass(frozen=True)
class HeldFile:
    """A file below DATA and the place that it is of; None when the index does not know it."""

    path: Path
    place: Place | None


@lru_cache(maxsize=1)
def places() -> tuple[Place, ...]:
    """Every place, in the order of the file. Raises ValueError for a treatment that there is not."""
    return tuple(_place(name, entry) for name, entry in _document()["places"].items())


@lru_cache(maxsize=1)
def naming_columns() -> dict[str, str]:
    """Column name to what it names: customer, node, pseudonym, member or identifier."""
    return {column: what for what, columns in _document()["naming"].items() for column in columns}


def held_files(data: Path) -> Iterator[HeldFile]:
    """Every file below DATA in order of path, with its place. What `published/current` leads to is listed once."""
    for path in sorted(data.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and not path.is_relative_to(data / "published" / "current")
        ):
            relative = path.relative_to(data).as_posix()
            yield HeldFile(path, next((place for place in places() if place.fits(relative)), None))


def unknown_files(data: Path) -> list[str]:
    """Files below DATA that no place of the index fits, relative to it."""
    return [file.path.relative_to(data).as_posix() for file in held_files(data) if file.place is None]


@lru_cache(maxsize=1)
def _document() -> dict:
    return load_yaml(Path(__file__).with_name("places.yml"))


def _place(name: str, entry: dict) -> Place:
    if entry["erase"] not in TREATMENTS:
        raise ValueError(f"places.yml {name}.erase: found {entry['erase']!r}, allowed: {sorted(TREATMENTS)}")
    return Place(name, tuple(entry["files"]), entry["erase"], entry["holds"])


@lru_cache(maxsize=256)
def _pattern(glob: str) -> re.Pattern[str]:
    """`*` within a folder, `**` for all below, `#` for a number."""
    text = re.escape(glob).replace(r"\*\*", ".+").replace(r"\*", "[^/]+").replace(r"\#", "[0-9]+")
    return re.compile(text)
