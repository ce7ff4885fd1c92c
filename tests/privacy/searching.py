"""Looks for values in files of any kind: the texts of every column of a table, the words of everything else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

WORD = re.compile(r"[^\s\"'`<>(){}\[\],;|=&?#!*\\]+")
WHOLE = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "HUGEINT")
NO_COUNT = re.compile(r"(^|_)(days|rank|hour|window|epoch|version|number)(_|$)")
PART = re.compile(r"[^/:@]+")


def find_secrets(secrets: frozenset[str], files: Iterable[Path]) -> dict[str, set[str]]:
    """File to the secrets that stand in it: as a whole value, as a word, or as a part of a word between `/`, `:` and
    `@`. Files without any are not listed."""
    found = {str(path): secrets & words_of(path) for path in files}
    return {path: secrets_there for path, secrets_there in found.items() if secrets_there}


def words_of(path: Path) -> frozenset[str]:
    """All values, words and parts of words of a file; of a Parquet file those of all columns, nested ones too."""
    texts = values_of(path) if path.suffix == ".parquet" else [path.read_bytes().decode("utf-8", "replace")]
    return frozenset(word for text in texts for word in _words(text))


def values_of(path: Path) -> Iterator[str]:
    """Every distinct value of every column of a Parquet file, as text."""
    relation = duckdb.read_parquet(str(path), hive_partitioning=False)
    for column in relation.project("columns(*)::varchar").to_arrow_table().columns:
        yield from (value for value in column.unique().to_pylist() if value is not None)


def with_hashes(values: Iterable[str]) -> frozenset[str]:
    """The values and their plain hashes, which anybody could match again."""
    algorithms = ("md5", "sha1", "sha256")
    return frozenset(
        text
        for value in values
        for text in (value, *(hashlib.new(name, value.encode()).hexdigest() for name in algorithms))
    )


def small_cells(tables: Iterable[Path], minimum: int) -> dict[str, list[int]]:
    """Counts above zero and below the minimum, by table and column. Whole numbers are counts of people or of what
    people did, unless their column's name says otherwise."""
    found = {}
    for path in tables:
        relation = duckdb.read_parquet(str(path))
        for column, kind in zip(relation.columns, relation.types, strict=True):
            if kind not in WHOLE or NO_COUNT.search(column):
                continue
            small = (
                relation.project(f'"{column}" as cell').filter(f"cell > 0 and cell < {minimum}").distinct()
            )
            if cells := sorted(cell for (cell,) in small.fetchall()):
                found[f"{path.stem}.{column}"] = cells
    return found


def _words(text: str) -> Iterator[str]:
    yield text
    for word in set(WORD.findall(text)):
        word = word.strip(".:-")
        yield word
        yield from (part.strip(".-") for part in PART.findall(word))
