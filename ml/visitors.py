"""The visitors whose features dbt hands over, read part by part: a million of them are never held at once.

The hand-over has one row per visitor and feature, in that order. The index keeps who there is and where the rows of
each visitor begin; whoever learns reads a sample of visitors, whoever scores goes through all of them in parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

CELLS_PER_BATCH = 500_000
IDS_PER_BLOCK = 100_000
# Families of features that hold a number and no count: 0 is a value of theirs and says more than nothing.
NUMBER_FAMILY = "trait"


class Unordered(ValueError):
    """The rows of a hand-over are not in the order of their visitors, so that it cannot be read in parts."""


@dataclass(frozen=True)
class Visitors:
    """Every visitor with features, n of them in the order of their ids.

    `starts` (n + 1,) are the first row of each in the file. `people` (n,) are hashes of the person: one person's
    devices share it, a stranger's own id stands for the person. `is_known` (n,) says who is a customer's device.
    """

    path: Path
    ids: pa.Array
    starts: np.ndarray
    people: np.ndarray
    is_known: np.ndarray
    activity: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, visitors: pa.Array | np.ndarray) -> np.ndarray:
        """The rows of those of `visitors` that there are, rising."""
        wanted = pa.array(visitors, type=pa.string())
        return np.flatnonzero(pc.is_in(self.ids, value_set=wanted).to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class Observations:
    """What is observed of some visitors: `matrix` (rows, names), sparse, values as they were handed over."""

    matrix: sparse.csr_array
    names: tuple[str, ...]

    def take(self, rows: np.ndarray) -> Observations:
        return Observations(self.matrix[rows], self.names)

    def keep(self, columns: np.ndarray) -> Observations:
        """The observations of some columns (a rising list of numbers) only."""
        return Observations(self.matrix[:, columns].tocsr(), tuple(self.names[column] for column in columns))


def is_number(name: str) -> bool:
    """Whether a feature holds a number: `trait:age`, unlike `trait:age=30-39` and counts such as `site:a.example`."""
    return name.startswith(f"{NUMBER_FAMILY}:") and "=" not in name


def index_visitors(path: Path) -> Visitors | None:
    """Index a hand-over of features; None without a file or without rows. Raises Unordered.

    Everybody is a stranger without activity until told otherwise.
    """
    if not path.exists():
        return None
    ids, starts, cells, last = [], [], 0, None
    for batch in _batches(path, ["visitor_id"]):
        codes, names = _decoded(batch.column(0))
        first = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
        found = names.take(pa.array(codes[first]))
        if last is not None and found[0] == last:
            first, found = first[1:], found.slice(1)
        if len(found):
            ids.append(found)
            starts.append(cells + first)
            last = found[-1]
        cells += len(codes)
    if not ids:
        return None
    everyone = pa.concat_arrays(ids)
    if (
        not pc.all(pc.less(everyone.slice(0, len(everyone) - 1), everyone.slice(1))).as_py()
        and len(everyone) > 1
    ):
        raise Unordered(f"{path.name} is not in the order of visitor_id: export it by its grain")
    n = len(everyone)
    return Visitors(
        path,
        everyone,
        np.append(np.concatenate(starts), cells),
        hash_ids(everyone),
        np.zeros(n, dtype=bool),
        np.zeros(n),
    )


def with_people(visitors: Visitors, people: pd.DataFrame) -> Visitors:
    """Say which visitors are devices of one person; `people` has visitor_id and person_key, the least key counts."""
    keys = people.sort_values(["visitor_id", "person_key"], kind="stable").drop_duplicates("visitor_id")
    place = pc.index_in(visitors.ids, value_set=pa.array(keys["visitor_id"], type=pa.string()))
    at = place.fill_null(-1).to_numpy(zero_copy_only=False)
    hashes = hash_ids(pa.array(keys["person_key"], type=pa.string()))
    mine = visitors.people.copy()
    mine[at >= 0] = hashes[at[at >= 0]]
    return replace(visitors, people=mine)


def with_customers(visitors: Visitors, known: np.ndarray) -> Visitors:
    """Mark the visitors that are some customer's device."""
    is_known = visitors.is_known.copy()
    is_known[visitors.rows_of(known)] = True
    return replace(visitors, is_known=is_known)


def with_activity(visitors: Visitors, ids: pa.Array, events: np.ndarray) -> Visitors:
    """Give visitors the number of their events (m,); those not among `ids` (m,) have none."""
    at = pc.index_in(visitors.ids, value_set=ids).fill_null(-1).to_numpy(zero_copy_only=False)
    activity = np.zeros(len(visitors))
    activity[at >= 0] = events[at[at >= 0]]
    return replace(visitors, activity=activity)


def read_observations(visitors: Visitors, rows: np.ndarray) -> Observations:
    """What is observed of the visitors of `rows` (rising), with the names that any of them has, in order of name."""
    is_wanted = np.zeros(len(visitors), dtype=bool)
    is_wanted[rows] = True
    codes_of: dict[str, int] = {}
    parts, codes, values, begin = [], [], [], 0
    for batch in _batches(visitors.path, ["feature", "value"]):
        owner = _owners(visitors.starts, begin, begin + len(batch))
        begin += len(batch)
        cells = np.flatnonzero(is_wanted[owner])
        if not len(cells):
            continue
        own, names = _decoded(batch.column(0))
        own, amounts = own[cells], _numbers(batch.column(1))[cells]
        used = np.unique(own[own >= 0])
        code = np.full(len(names) + 1, -1, dtype=np.int64)
        code[used] = [
            codes_of.setdefault(name, len(codes_of)) for name in names.take(pa.array(used)).to_pylist()
        ]
        parts.append(owner[cells])
        codes.append(code[own])
        values.append(amounts)
    names = sorted(codes_of)
    if not names:
        return Observations(sparse.csr_array((len(rows), 0)), ())
    place = np.zeros(len(names), dtype=np.int64)
    place[[codes_of[name] for name in names]] = np.arange(len(names))
    owner, code, amounts = np.concatenate(parts), np.concatenate(codes), np.concatenate(values)
    code = np.where(code >= 0, place[code], -1)
    is_kept = _is_said(code, amounts, np.array([is_number(name) for name in names]))
    at = np.searchsorted(rows, owner[is_kept])
    pointers = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=len(rows)))])
    matrix = sparse.csr_array(
        (amounts[is_kept], code[is_kept].astype(np.int32), pointers), shape=(len(rows), len(names))
    )
    return Observations(matrix, tuple(names))


def parts(
    path: Path, starts: np.ndarray, names: tuple[str, ...], rows: range
) -> Iterator[tuple[int, Observations]]:
    """Go through the visitors of `rows`, one after another, of a hand-over in which those of each begin at `starts`
    (visitors + 1,): the row of the first of each part, and what is observed of the part under `names`."""
    if not names:
        yield rows.start, Observations(sparse.csr_array((len(rows), 0)), names)
        return
    wanted = pa.array(names, type=pa.string())
    numbers = np.array([is_number(name) for name in names])
    left_codes, left_values = np.zeros(0, dtype=np.int32), np.zeros(0)
    first, begin = rows.start, int(starts[rows.start])
    for batch in _batches(path, ["feature", "value"], begin, int(starts[rows.stop])):
        own, found = _decoded(batch.column(0))
        at = pc.index_in(found, value_set=wanted).fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.concatenate([left_codes, np.append(at, -1)[own].astype(np.int32)])
        values = np.concatenate([left_values, _numbers(batch.column(1))])
        begin += len(batch)
        beyond = int(np.searchsorted(starts, begin, side="right")) - 1
        cells = starts[first : beyond + 1] - starts[first]
        if beyond > first:
            is_kept = _is_said(codes[: cells[-1]], values[: cells[-1]], numbers)
            pointers = np.concatenate([[0], np.cumsum(is_kept)])[cells]
            matrix = sparse.csr_array(
                (values[: cells[-1]][is_kept], codes[: cells[-1]][is_kept], pointers),
                shape=(beyond - first, len(names)),
            )
            yield first, Observations(matrix, names)
        left_codes, left_values, first = codes[cells[-1] :], values[cells[-1] :], beyond


def hash_ids(ids: pa.Array) -> np.ndarray:
    """A 64-bit hash (n,) of each id, the same in every process."""
    blocks = [
        pd.util.hash_array(ids.slice(begin, IDS_PER_BLOCK).to_numpy(zero_copy_only=False), categorize=False)
        for begin in range(0, len(ids), IDS_PER_BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.uint64)


def drawn(hashes: np.ndarray, purpose: str, seed: int) -> np.ndarray:
    """A number in [0, 1) for each hash (n,), of its own for every purpose and seed.

    The mixing is the end of SplitMix64 (Steele, Lea and Flood 2014).
    """
    key = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).digest()
    mixed = hashes ^ np.frombuffer(key, dtype=np.uint64)[0]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _batches(
    path: Path, columns: list[str], begin: int = 0, end: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The cells of a hand-over from `begin` up to before `end`, of the groups of rows alone that hold some of them."""
    with pq.ParquetFile(path, read_dictionary=[name for name in columns if name != "value"]) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        edges = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        end = int(edges[-1]) if end is None else end
        groups = [number for number in range(len(sizes)) if edges[number] < end and edges[number + 1] > begin]
        if not groups:
            return
        at = int(edges[groups[0]])
        for batch in file.iter_batches(
            CELLS_PER_BATCH, row_groups=groups, columns=columns, use_threads=False
        ):
            wanted = batch.slice(max(begin - at, 0), max(min(end - at, len(batch)) - max(begin - at, 0), 0))
            at += len(batch)
            if len(wanted):
                yield wanted


def _decoded(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """The codes (m,) of a column of texts, -1 for none, and the texts that they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, column.dictionary.cast(pa.string())


def _numbers(column: pa.Array) -> np.ndarray:
    return column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)


def _owners(starts: np.ndarray, begin: int, end: int) -> np.ndarray:
    """The visitor's row of each cell between `begin` and `end`."""
    first = int(np.searchsorted(starts, begin, side="right")) - 1
    last = int(np.searchsorted(starts, end, side="left"))
    inside = np.clip(starts[first : last + 1], begin, end)
    return np.repeat(np.arange(first, last), np.diff(inside))


def _is_said(codes: np.ndarray, values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Which cells say something: of a known feature, and finite; a count of 0 is as good as none."""
    known = codes >= 0
    return known & np.isfinite(values) & ((values != 0) | numbers[np.where(known, codes, 0)])
