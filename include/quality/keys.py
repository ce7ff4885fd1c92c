"""Finds keys that come twice by their hashes, in a part of the time and memory that grouping the keys takes."""

from __future__ import annotations

from collections.abc import Iterable


def repeated_hashes(columns: Iterable[str], rows: str) -> str:
    """A query for the hashes that two of `rows` share, a relation with its condition if it has one: those of equal keys
    and, once in a great while, of different ones. Without any, no key comes twice."""
    names = ", ".join(f'"{column}"' for column in columns)
    return (
        "select key_hash from (select key_hash, lag(key_hash) over (order by key_hash) as hash_before "
        f"from (select hash({names}) as key_hash from {rows})) where key_hash = hash_before"
    )
