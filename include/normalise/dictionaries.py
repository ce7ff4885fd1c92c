"""Dictionaries in the lake: each distinct landed value once, with what it is normalised to.

A library is asked once per value and not once per row, and only for values that the dictionary does not have. What a
dictionary says depends on its version alone (libraries and rules), so another version is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from include.extract.sql import literal
from include.lake import Lake, replacing

VERSION = b"tandem_version"
ROWS_PER_BATCH = 50_000
PARQUET = "format parquet, compression zstd, row_group_size 122880"


@dataclass(frozen=True)
class Dictionary:
    """What one dictionary is made of.

    `landed` is a query over the landed files that gives the columns of `key`, all text, with repetitions; `normalise`
    takes one key and gives the `values`; `version` changes when the same key would become other values.
    """

    name: str
    key: tuple[str, ...]
    values: Mapping[str, pa.DataType]
    landed: str
    normalise: Callable[..., tuple]
    version: str

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*((name, pa.string()) for name in self.key), *self.values.items()])


@dataclass(frozen=True)
class Update:
    """What became of a dictionary: how many `values` it has, how many of them are `new`, how many are `refused`,
    that is have a reason instead of a normalised value."""

    name: str
    values: int
    new: int
    refused: int


def update_dictionary(
    connection: duckdb.DuckDBPyConnection, lake: Lake, dictionary: Dictionary, scratch: Path
) -> Update:
    """Add what has landed since to a dictionary, or write it anew when its version has changed.

    The file is sorted by its key and replaced in one step; when there is nothing to add it is not touched. New
    values pass through Python in batches, so memory does not grow with them.
    """
    path = lake.dictionary(dictionary.name)
    known = path if path.exists() and _version(path) == dictionary.version else None
    added = scratch / f"{dictionary.name}.parquet"
    new = _normalise_new_values(connection, dictionary, known, added)
    if new or known is None:
        _merge(connection, dictionary, [known, added] if known else [added], path)
    added.unlink()
    refused = "count(reason)" if "reason" in dictionary.values else "0"
    values, refusals = connection.execute(
        f"select count(*), {refused} from read_parquet({literal(str(path))})"
    ).fetchone()
    return Update(dictionary.name, values, new, refusals)


def _normalise_new_values(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, known: Path | None, target: Path
) -> int:
    """Write the values that the known file does not have to `target`, in no order. Returns how many."""
    columns = ", ".join(dictionary.key)
    query = f"select distinct {columns} from ({dictionary.landed}) as landed"
    if known is not None:
        same = " and ".join(
            f"landed.{column} is not distinct from known.{column}" for column in dictionary.key
        )
        query = (
            f"select landed.* from ({query}) as landed"
            f" anti join read_parquet({literal(str(known))}) as known on {same}"
        )
    rows = 0
    with pq.ParquetWriter(target, dictionary.schema) as writer:
        for batch in connection.execute(query).to_arrow_reader(ROWS_PER_BATCH):
            if batch.num_rows:
                writer.write_batch(_normalised(dictionary, batch))
            rows += batch.num_rows
    return rows


def _normalised(dictionary: Dictionary, batch: pa.RecordBatch) -> pa.RecordBatch:
    keys = [batch.column(name).cast(pa.string()) for name in dictionary.key]
    rows = [dictionary.normalise(*key) for key in zip(*(key.to_pylist() for key in keys), strict=True)]
    columns = zip(*rows, strict=True)
    values = [
        pa.array(column, kind) for column, kind in zip(columns, dictionary.values.values(), strict=True)
    ]
    return pa.RecordBatch.from_arrays([*keys, *values], schema=dictionary.schema)


def _merge(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, parts: list[Path], path: Path
) -> None:
    listed = ", ".join(literal(str(part)) for part in parts)
    order = ", ".join(f"{column} nulls first" for column in dictionary.key)
    with replacing(path) as temporary:
        connection.execute(
            f"copy (select * from read_parquet([{listed}]) order by {order}) to {literal(str(temporary))}"
            f" ({PARQUET}, kv_metadata {{{VERSION.decode()}: {literal(dictionary.version)}}})"
        )


def _version(path: Path) -> str | None:
    version = (pq.read_schema(path).metadata or {}).get(VERSION)
    return version.decode() if version is not None else None
