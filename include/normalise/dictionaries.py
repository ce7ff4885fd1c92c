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
    """Make a dictionary that of the values which are landed now: new ones are added, others are forgotten, and all
    are asked for again when the version has changed.

    The file is sorted by its key and replaced in one step; when nothing is new or gone it is not touched. New values
    pass through Python in batches, so memory does not grow with them.
    """
    path = lake.dictionary(dictionary.name)
    known = _read(path) if path.exists() and _version(path) == dictionary.version else None
    added = scratch / f"{dictionary.name}.parquet"
    columns = ", ".join(dictionary.key)
    connection.execute(
        f"create or replace temp table landed as select distinct {columns} from ({dictionary.landed}) as landed"
    )
    new = _normalise_new_values(connection, dictionary, known, added)
    if known is None:
        _write(connection, dictionary, _read(added), path)
    elif new or _has_gone(connection, dictionary, known):
        kept = f"(select known.* from {known} as known semi join landed on {_same_key(dictionary)})"
        _write(connection, dictionary, f"(from {kept} union all from {_read(added)})", path)
    added.unlink()
    refused = "count(reason)" if "reason" in dictionary.values else "0"
    values, refusals = connection.execute(f"select count(*), {refused} from {_read(path)}").fetchone()
    return Update(dictionary.name, values, new, refusals)


def _normalise_new_values(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, known: str | None, target: Path
) -> int:
    """Write the landed values that are not known to `target`, in no order. Returns how many."""
    query = "select * from landed"
    if known is not None:
        query += f" anti join {known} as known on {_same_key(dictionary)}"
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


def _has_gone(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, known: str) -> bool:
    """Whether there is a known value that is not landed any more, of an erased person for example."""
    query = f"select 1 from {known} as known anti join landed on {_same_key(dictionary)} limit 1"
    return connection.execute(query).fetchone() is not None


def _write(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, rows: str, path: Path) -> None:
    order = ", ".join(f"{column} nulls first" for column in dictionary.key)
    with replacing(path) as temporary:
        connection.execute(
            f"copy (select * from {rows} order by {order}) to {literal(str(temporary))}"
            f" ({PARQUET}, kv_metadata {{{VERSION.decode()}: {literal(dictionary.version)}}})"
        )


def _same_key(dictionary: Dictionary) -> str:
    return " and ".join(f"landed.{column} is not distinct from known.{column}" for column in dictionary.key)


def _read(path: Path) -> str:
    return f"read_parquet({literal(str(path))}, hive_partitioning = false)"


def _version(path: Path) -> str | None:
    version = (pq.read_schema(path).metadata or {}).get(VERSION)
    return version.decode() if version is not None else None
