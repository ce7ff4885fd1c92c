"""The hand-overs of this package: how they are read, and the typed tables that it writes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include.config.conditions import text_literal
from include.lake import replacing

CUSTOMER_SCORES = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of_date", pa.date32()),
        ("score", pa.string()),
        ("value", pa.float64()),
        ("percentile", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("model_version", pa.string()),
    ]
)
SEGMENTS = pa.schema(
    [
        ("segment_id", pa.string()),
        ("scheme", pa.string()),
        ("as_of_date", pa.date32()),
        ("name", pa.string()),
        ("description", pa.string()),
        ("size", pa.int64()),
        ("share", pa.float64()),
        ("mean_recency_days", pa.float64()),
        ("mean_orders", pa.float64()),
        ("mean_spend", pa.float64()),
        ("mean_expected_value", pa.float64()),
        ("compared_with", pa.date32()),
        ("size_before", pa.int64()),
        ("mean_spend_before", pa.float64()),
        ("trend", pa.float64()),
        ("differences", pa.string()),
        ("centroid", pa.string()),
        ("model_version", pa.string()),
    ]
)
CUSTOMER_SEGMENTS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of_date", pa.date32()),
        ("scheme", pa.string()),
        ("segment_id", pa.string()),
        ("distance", pa.float64()),
        ("recency_score", pa.int64()),
        ("frequency_score", pa.int64()),
        ("money_score", pa.int64()),
    ]
)
MODEL_CARDS = pa.schema(
    [
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("as_of_date", pa.date32()),
        ("task", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("baseline", pa.float64()),
        ("baseline_name", pa.string()),
        ("verdict", pa.string()),
        ("note", pa.string()),
    ]
)
LOOKALIKE_MODELS = pa.schema(
    [
        ("audience_id", pa.string()),
        ("model_version", pa.string()),
        ("as_of_date", pa.date32()),
        ("algorithm", pa.string()),
        ("seed_size", pa.int64()),
        ("set_aside_size", pa.int64()),
        ("candidate_size", pa.int64()),
        ("features", pa.int64()),
        ("refused_features", pa.int64()),
        ("base_rate", pa.float64()),
        ("auc", pa.float64()),
        ("lift_at_1", pa.float64()),
        ("lift_at_1_low", pa.float64()),
        ("lift_at_1_high", pa.float64()),
        ("lift_at_5", pa.float64()),
        ("lift_at_5_low", pa.float64()),
        ("lift_at_5_high", pa.float64()),
        ("lift_at_10", pa.float64()),
        ("lift_at_10_low", pa.float64()),
        ("lift_at_10_high", pa.float64()),
        ("activity_lift_at_5", pa.float64()),
        ("gain_over_activity", pa.float64()),
        ("gain_over_activity_low", pa.float64()),
        ("gain_over_activity_high", pa.float64()),
        ("trait_weights_lift_at_5", pa.float64()),
        ("gain_over_trait_weights", pa.float64()),
        ("gain_over_trait_weights_low", pa.float64()),
        ("gain_over_trait_weights_high", pa.float64()),
        ("calibration_error", pa.float64()),
        ("tests", pa.string()),
        ("joined_size", pa.int64()),
        ("later_lift_at_5", pa.float64()),
        ("later_lift_at_5_low", pa.float64()),
        ("later_lift_at_5_high", pa.float64()),
        ("later_activity_lift_at_5", pa.float64()),
        ("compared_with", pa.date32()),
        ("member_overlap", pa.float64()),
        ("largest_drift", pa.float64()),
        ("drifted_feature", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("curve", pa.string()),
    ]
)
LOOKALIKE_TRAITS = pa.schema(
    [
        ("audience_id", pa.string()),
        ("feature", pa.string()),
        ("as_of_date", pa.date32()),
        ("rank", pa.int64()),
        ("seed_share", pa.float64()),
        ("candidate_share", pa.float64()),
        ("ratio", pa.float64()),
    ]
)
LOOKALIKE_FAIRNESS = pa.schema(
    [
        ("audience_id", pa.string()),
        ("attribute", pa.string()),
        ("group_name", pa.string()),
        ("as_of_date", pa.date32()),
        ("candidates", pa.int64()),
        ("candidate_share", pa.float64()),
        ("selected_share", pa.float64()),
        ("selection_ratio", pa.float64()),
        ("is_flagged", pa.bool_()),
        ("proxy_auc", pa.float64()),
        ("score_auc", pa.float64()),
    ]
)
# How many of the strangers have a feature: what the next day's run compares itself with.
LOOKALIKE_SHARES = pa.schema([("feature", pa.string()), ("visitors", pa.int64()), ("share", pa.float64())])
LOOKALIKE_SEEDS = pa.schema([("audience_id", pa.string()), ("visitor_id", pa.string())])
LOOKALIKE_MEMBERS = pa.schema(
    [
        ("audience_id", pa.string()),
        ("visitor_id", pa.string()),
        ("as_of_date", pa.date32()),
        ("score", pa.float64()),
        ("percentile", pa.float64()),
        ("level", pa.string()),
        ("is_control", pa.bool_()),
        ("expires_at", pa.timestamp("us")),
    ]
)


def parquet(path: Path) -> str:
    """The SQL that reads a Parquet file, whatever folder it lies in."""
    return f"read_parquet({text_literal(str(path))}, hive_partitioning = false)"


def quoted(name: str) -> str:
    """A column's name in SQL, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


class KeyRepeated(ValueError):
    """A table was about to be written with the same key twice."""


def read_table(
    path: Path, filters: list[tuple] | None = None, columns: list[str] | None = None
) -> pd.DataFrame | None:
    """Read a hand-over, or some columns of it, or None when dbt has not exported it.

    Decimals become floats, for learning works on floats; the order of rows is that of the file.
    """
    if not path.exists():
        return None
    return _frame(pq.read_table(path, filters=filters, columns=columns, use_threads=False))


def _frame(table: pa.Table) -> pd.DataFrame:
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.float64()))
    return table.to_pandas(use_threads=False)


def write_table(frame: pd.DataFrame | None, schema: pa.Schema, key: list[str], path: Path) -> int:
    """Write `frame` with exactly the columns of `schema`, ordered by `key`; no frame means no rows.

    Returns the number of rows. Raises KeyRepeated when `key` does not name a row.
    """
    if frame is None or frame.empty:
        table = schema.empty_table()
    else:
        ordered = frame.sort_values(key, kind="stable").reset_index(drop=True)
        if ordered.duplicated(key).any():
            example = ordered.loc[ordered.duplicated(key), key].iloc[0].to_dict()
            raise KeyRepeated(f"{path.name}: the key {key} is repeated, for example {example}")
        table = pa.Table.from_pandas(ordered, schema=schema, preserve_index=False).replace_schema_metadata(
            None
        )
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return table.num_rows


@dataclass
class TableWriter:
    """Writes a table part by part, so that it need not fit in memory; parts come in the order of the key."""

    schema: pa.Schema
    key: list[str]
    path: Path
    rows: int
    _file: pq.ParquetWriter
    _last: tuple | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Append rows, ordered by the key within the part. Raises KeyRepeated unless they follow the rows before."""
        if frame.empty:
            return
        ordered = frame.sort_values(self.key, kind="stable").reset_index(drop=True)
        first, last = (tuple(ordered.loc[row, self.key]) for row in (0, len(ordered) - 1))
        if ordered.duplicated(self.key).any() or (self._last is not None and first <= self._last):
            raise KeyRepeated(f"{self.path.name}: rows do not rise by {self.key}, near {first}")
        table = pa.Table.from_pandas(ordered, schema=self.schema, preserve_index=False)
        self._file.write_table(table.replace_schema_metadata(None))
        self._last, self.rows = last, self.rows + len(ordered)


@contextmanager
def writing_table(schema: pa.Schema, key: list[str], path: Path) -> Iterator[TableWriter]:
    """Open a table to be written part by part; it appears at `path` once the block has ended well."""
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        yield TableWriter(schema, key, path, 0, file)


def stable_uniform(values: pd.Series | np.ndarray, purpose: str, seed: int = 0) -> np.ndarray:
    """A number in [0, 1) for each id that depends on nothing but the id, the purpose and the seed.

    Splits drawn from it stay the same when other rows come or go, or when rows are read in another order.
    """
    key = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).hexdigest()
    hashes = pd.util.hash_array(np.asarray(values, dtype=object), hash_key=key, categorize=False)
    return (hashes >> np.uint64(11)).astype(np.float64) / float(1 << 53)
