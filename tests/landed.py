"""Rows as extraction lands them, for tests that begin there."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from include.extract.kinds import kinds
from include.lake import Lake


def land_delivery(lake: Lake, kind: str, channel: str, day: date, records: list[dict[str, Any]]) -> None:
    """Land records of a kind as one delivery of a channel; what a record does not say is empty."""
    path = lake.landing(kind, channel, day) / "part.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(f"{name} {type_}" for name, type_ in kinds()[kind].landing_schema().items())
    with duckdb.connect() as connection:
        connection.execute(f"create table landed ({columns})")
        for number, record in enumerate(records, start=1):
            row = {
                "attributes": {}, "rejected_values": {}, "party": "first", "source_file": f"{channel}.csv",
                "source_row": number,
            } | record  # fmt: skip
            holes = ", ".join("?" * len(row))
            connection.execute(f"insert into landed ({', '.join(row)}) values ({holes})", list(row.values()))
        connection.execute(f"copy landed to '{path}' (format parquet)")
