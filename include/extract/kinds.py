"""The record kinds of `kinds.yml` as objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from include.core_yaml import load_yaml

SQL_TYPES = {
    "string": "varchar",
    "timestamp": "timestamp",
    "date": "date",
    "integer": "bigint",
    "decimal": "decimal(18, 4)",
    "double": "double",
    "boolean": "boolean",
    "json": "varchar",
    "consent": "varchar",
}
# Columns that every landed row has beside those of its kind; `channel` and `date` come from the path.
TECHNICAL_COLUMNS = {
    "attributes": "map(varchar, varchar)",  # source columns that the mapping does not name
    "rejected_values": "map(varchar, varchar)",  # optional values that could not be read, as they came
    "party": "varchar",
    "source_file": "varchar",
    "source_row": "bigint",
}


@dataclass(frozen=True)
class Column:
    """One canonical column: its declared type and what a value must satisfy to be landed. `words` are pairs of another
    word and the allowed one that it means."""

    name: str
    type: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    min: str | int | float | None = None
    max: str | int | float | None = None

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]

    def words_for(self, meant: str) -> list[str]:
        """An allowed word and all others that mean it."""
        return [meant, *(word for word, means in self.words if means == meant)]


@dataclass(frozen=True)
class Kind:
    """One record kind: `key` names a record, which of two versions holds is decided by `ordered_by` first. The part of
    the key that is `counted` may be left out of a map."""

    name: str
    grain: str
    key: tuple[str, ...]
    ordered_by: str
    columns: tuple[Column, ...]
    counted: str | None = None

    def landing_schema(self) -> dict[str, str]:
        """Column name to DuckDB type of a landed file, in file order."""
        return {column.name: column.sql_type for column in self.columns} | TECHNICAL_COLUMNS

    def column(self, name: str) -> Column:
        """The canonical column of a name. Raises StopIteration when the kind has no such column."""
        return next(column for column in self.columns if column.name == name)


@lru_cache(maxsize=1)
def kinds() -> dict[str, Kind]:
    """All record kinds by name."""
    document = load_yaml(Path(__file__).with_name("kinds.yml"))
    return {name: _kind(name, spec, document["identifiers"]) for name, spec in document["kinds"].items()}


def _kind(name: str, spec: dict, identifiers: list[str]) -> Kind:
    columns = dict(spec["columns"]) | {"is_deleted": "boolean"}
    if spec.get("identifiers"):
        columns |= dict.fromkeys(identifiers, "string")
    return Kind(
        name=name,
        grain=spec["grain"],
        key=tuple(spec["key"]),
        ordered_by=spec["ordered_by"],
        columns=tuple(_column(column, value) for column, value in columns.items()),
        counted=spec.get("counted"),
    )


def _column(name: str, value: str | dict) -> Column:
    if isinstance(value, str):
        return Column(name, value)
    words = [(other, word) for word, others in value.get("words", {}).items() for other in others]
    return Column(name, **(value | {"allowed": tuple(value.get("allowed", ())), "words": tuple(words)}))
