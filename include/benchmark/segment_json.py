"""Segment JSON lines to typed, checked Parquet: Tandem's extract against DuckDB's own reader and an orjson loader."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from include.benchmark.harness import Ratio, Topic, Variant, digest_rows
from include.benchmark.segment_events import BAD_SHARE, write_events

THREADS = 2
GROWTH = 4
COLUMNS = {
    "anonymousId": "varchar",
    "channel": "varchar",
    "context": """struct(
        ip varchar, library struct("name" varchar, "version" varchar), locale varchar,
        page struct("path" varchar, referrer varchar, title varchar, url varchar), userAgent varchar,
        campaign struct("source" varchar, medium varchar, "name" varchar),
        consent struct(categoryPreferences map(varchar, boolean))
    )""",
    "event": "varchar",
    "integrations": "json",
    "messageId": "varchar",
    "name": "varchar",
    "originalTimestamp": "timestamp",
    "properties": "json",
    "receivedAt": "timestamp",
    "sentAt": "timestamp",
    "timestamp": "timestamp",
    "traits": "json",
    "type": "varchar",
    "userId": "varchar",
    "version": "bigint",
    "writeKey": "varchar",
}


def prepare(folder: Path, lines: int) -> None:
    write_events(folder / "good.jsonl", lines)
    write_events(folder / "bad.jsonl", lines, BAD_SHARE)
    write_events(folder / "grown.jsonl", lines * GROWTH)


def run_read_json(inputs: Path, output: Path) -> int:
    """One statement with an explicit schema, as one writes it when every line is known to be good."""
    columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in COLUMNS.items())
    reader = f"read_json('{inputs / 'good.jsonl'}', format = 'newline_delimited', columns = {{{columns}}})"
    with duckdb.connect(":memory:", config={"threads": THREADS}) as connection:
        (rows,) = connection.execute(
            f"copy (select * from {reader}) to '{output / 'events.parquet'}' (format parquet, compression zstd)"
        ).fetchone()
    return rows


def run_tandem(inputs: Path, output: Path, name: str) -> int:
    """The extract step of one channel and one file, as a run does it."""
    from include.config import Channel
    from include.extract import extract_channel
    from include.lake import Lake
    from include.settings import Settings

    channel = Channel.model_validate(
        {
            "name": "web", "party": "first", "kind": "events", "spec": "segment",
            "source": {"path": str(inputs / name), "format": "jsonl"},
        }
    )  # fmt: skip
    settings = Settings(config=inputs, data=output, target="duckdb", threads=THREADS, memory_limit="1200MB")
    return extract_channel(channel, date(2026, 10, 1), Lake(output), settings).landed


def run_orjson(inputs: Path, output: Path) -> int:
    """A loader as one writes it in Python: orjson for each line, checks, Arrow batches, typed Parquet."""
    from include.benchmark.orjson_loader import load

    return load(inputs / "good.jsonl", output / "events.parquet", output / "quarantine.jsonl")


def digest(output: Path) -> str:
    """Of the canonical columns that the loader with orjson writes and Tandem too; `read_json` has others."""
    from include.benchmark.orjson_loader import SCHEMA
    from include.lake import Lake

    landed = Lake(output).landing("events").glob("*/*/*.parquet")
    columns = [name for name in SCHEMA.names if name != "source_file"]  # a path here, a name there
    return digest_rows([*output.glob("events.parquet"), *landed], columns)


TOPIC = Topic(
    name="segment_json",
    title="Segment JSON lines to typed Parquet",
    text=(
        "Tandem's extract of one file: hash it, split it, parse and check every line, write the canonical columns and"
        " the receipt, lose nothing."
        " `read_json` is one DuckDB `copy` with an explicit nested schema and no check at all. The loader with orjson"
        " writes the same values of the same columns as Tandem."
    ),
    sizes={"small": 50_000, "medium": 500_000, "large": 2_500_000},
    prepare=prepare,
    digest=digest,
    variants=(
        Variant("read_json", "DuckDB's `read_json`, good lines", run_read_json),
        Variant("tandem", "Tandem, good lines", lambda i, o: run_tandem(i, o, "good.jsonl")),
        Variant(
            "tandem_bad",
            f"Tandem, {BAD_SHARE:.1%} of the lines bad",
            lambda i, o: run_tandem(i, o, "bad.jsonl"),
            rows="bad",
        ),
        Variant("orjson", "a loader with orjson and pyarrow, good lines", run_orjson),
        Variant(
            "tandem_grown",
            f"Tandem, {GROWTH} times the lines",
            lambda i, o: run_tandem(i, o, "grown.jsonl"),
            rows="grown",
        ),
    ),
    ratios=(
        Ratio("Tandem over `read_json`, good lines", "tandem", "read_json", at_most=2.0),
        Ratio(
            f"Tandem with {BAD_SHARE:.1%} bad lines over `read_json`", "tandem_bad", "read_json", at_most=4.0
        ),
        Ratio("the orjson loader over Tandem", "orjson", "tandem", at_least=2.5),
        Ratio(f"{GROWTH} times the lines over once", "tandem_grown", "tandem", at_most=GROWTH * 1.1),
    ),
)
