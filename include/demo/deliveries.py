"""The channel files: every channel has one file per delivery day, and chunks of people are appended to them."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from include.demo.calendar import Calendar


class Deliveries:
    """Open files below `folder`, one per name and delivery day, until the context ends.

    Every day gets its file, with no rows when nothing happened. Rows that are due after the last day are left
    out: they have not been delivered yet. `rows` counts what was written, by name.
    """

    def __init__(self, folder: Path, calendar: Calendar) -> None:
        self.folder = folder
        self.calendar = calendar
        self.rows: dict[str, int] = {}
        self.files: list[Path] = []
        self._writers: dict[str, list[Any]] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Deliveries:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for writers in self._writers.values():
            for writer in writers:
                writer.close()
        for handle in self._handles:
            handle.close()

    def parquet(self, name: str, table: pa.Table, delivery: np.ndarray) -> None:
        """Append rows to `<name>_<date>.parquet`; `delivery` is each row's position in the delivery days."""
        table = table.replace_schema_metadata(None)
        if name not in self._writers:
            self._writers[name] = [
                pa.parquet.ParquetWriter(path, table.schema, compression="zstd", store_schema=False)
                for path in self._paths(name, "parquet")
            ]
        for writer, part in zip(self._writers[name], self._split(name, table, delivery), strict=True):
            if part.num_rows:
                writer.write_table(part)

    def csv(self, name: str, table: pa.Table, delivery: np.ndarray, delimiter: str = ",") -> None:
        """Append rows to `<name>_<date>.csv`, with a header line in every file."""
        if name not in self._writers:
            options = pa.csv.WriteOptions(include_header=True, delimiter=delimiter)
            self._writers[name] = [
                pa.csv.CSVWriter(str(path), table.schema, write_options=options)
                for path in self._paths(name, "csv")
            ]
        for writer, part in zip(self._writers[name], self._split(name, table, delivery), strict=True):
            if part.num_rows:
                writer.write_table(part)

    def lines(self, name: str, texts: pa.StringArray, delivery: np.ndarray) -> None:
        """Append texts, each ending with its line break, to `<name>_<date>.jsonl.gz`.

        Rows must come sorted by `delivery`: the text of a day is then one slice of Arrow's buffer.
        """
        if name not in self._writers:
            self._writers[name] = [self._gzip(path) for path in self._paths(name, "jsonl.gz")]
        if not len(texts):
            return
        bounds = np.searchsorted(delivery, np.arange(self.calendar.days + 2))
        offset_type = np.int64 if pa.types.is_large_string(texts.type) else np.int32
        offsets = np.frombuffer(texts.buffers()[1], dtype=offset_type)[texts.offset :]
        data = memoryview(texts.buffers()[2])
        for writer, start, stop in zip(self._writers[name], bounds[:-1], bounds[1:], strict=True):
            writer.write(data[offsets[start] : offsets[stop]])
            self.rows[name] = self.rows.get(name, 0) + int(stop - start)

    def _split(self, name: str, table: pa.Table, delivery: np.ndarray) -> list[pa.Table]:
        order = np.argsort(delivery, kind="stable")
        bounds = np.searchsorted(delivery[order], np.arange(self.calendar.days + 2))
        if not np.array_equal(order, np.arange(len(order))):
            table = table.take(pa.array(order))
        self.rows[name] = self.rows.get(name, 0) + int(bounds[-1])
        return [table.slice(start, stop - start) for start, stop in pairwise(bounds)]

    def _paths(self, name: str, suffix: str) -> list[Path]:
        self.rows.setdefault(name, 0)
        paths = [self.folder / f"{name}_{day:%Y-%m-%d}.{suffix}" for day in self.calendar.delivery_days]
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        self.files += paths
        return paths

    def _gzip(self, path: Path) -> gzip.GzipFile:
        handle = path.open("wb")
        self._handles.append(handle)
        # No name and no time in the header: the same rows give the same bytes.
        return gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=handle, mtime=0)
