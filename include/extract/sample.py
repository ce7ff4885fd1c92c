"""The beginning of a delivery, so that a look at it takes seconds however large it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.connectors.delivery import Delivery
from include.extract.formats.lines import MAX_LINE_BYTES, open_text
from include.extract.formats.reading import SourceFile
from include.extract.landing import PARQUET
from include.extract.sql import literal

if TYPE_CHECKING:
    from include.config import Channel

ROWS, BYTES = 20_000, 16 << 20
LINES_TO_CLOSE_A_QUOTE = 1_000


@dataclass(frozen=True)
class Sample:
    """The rows that are looked at, as a file, and the channel that reads it; `is_whole` when there are no others.
    `delivered` is the file that they are of."""

    file: SourceFile
    channel: Channel
    is_whole: bool
    delivered: Path


def take_sample(
    connection: duckdb.DuckDBPyConnection, channel: Channel, delivery: Delivery, folder: Path
) -> Sample:
    """The first 20,000 rows or 16 MB of a delivery. A JSON document is one value and is taken as a whole.

    Raises StepFailed when the delivery cannot be fetched or unpacked.
    """
    path = delivery.fetch(folder)
    whole = Sample(SourceFile(path, delivery.name, delivery.format, delivery.partitions), channel, True, path)
    target = folder / "sample"
    if delivery.format == "json":
        return whole
    if delivery.format == "parquet":
        rows = f"read_parquet({literal(str(path))}, hive_partitioning = false)"
        try:
            (count,) = connection.execute(f"select count(*) from {rows}").fetchone()
            if count <= ROWS:
                return whole
            connection.execute(f"copy (from {rows} limit {ROWS}) to {literal(str(target))} ({PARQUET})")
        except duckdb.Error:
            return whole  # what is wrong with it is said by the reader of the format
    else:
        layout = channel.source
        quote = layout.quote if delivery.format == "csv" else ""
        if _cut(path, target, layout.encoding, quote):
            return whole
        channel = channel.model_copy(update={"source": layout.model_copy(update={"encoding": "utf-8"})})
    return Sample(
        SourceFile(target, delivery.name, delivery.format, delivery.partitions), channel, False, path
    )


def _cut(path: Path, target: Path, encoding: str, quote: str) -> bool:
    """Copy the first lines as UTF-8, not in the middle of a quoted record. Returns whether that is all there is."""
    lines = size = quotes = 0
    with open_text(path, encoding) as stream, target.open("wb") as handle:
        while line := stream.readline(MAX_LINE_BYTES):
            is_enough = lines > ROWS or size > BYTES
            is_open = quotes % 2 == 1 and lines <= ROWS + LINES_TO_CLOSE_A_QUOTE and size <= 2 * BYTES
            if is_enough and not is_open:
                return False
            handle.write(line)
            lines += 1
            size += len(line)
            quotes += line.count(quote.encode()) if quote else 0
    return True
