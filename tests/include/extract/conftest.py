from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.config import Channel
from include.config.schema import FileSource, SqlSource
from include.extract import Extracted, extract_channel
from include.lake import Lake
from include.settings import Settings

DAY = date(2017, 12, 1)


@dataclass
class Desk:
    """A folder with a company's files, a lake, and one channel at a time between them."""

    folder: Path
    lake: Lake
    settings: Settings
    channel: Channel | None = None
    results: list[Extracted] = field(default_factory=list)

    def describe(self, **keys: Any) -> Desk:
        """Set the channel from the keys of its entry in channels.yml; `path` and `format` go to its source."""
        source = {name: keys.pop(name) for name in list(keys) if name in _SOURCE_KEYS}
        entry = {"name": "crm", "party": "first", "kind": "customers", "spec": "mapped", "map": {}} | keys
        self.channel = Channel.model_validate(entry | {"source": source})
        return self

    def deliver(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def extract(self, day: date = DAY) -> Extracted:
        """Extract the channel and hold it to the law: landed + quarantined = received, in files and in receipts."""
        result = extract_channel(self.channel, day, self.lake, self.settings)
        assert result.landed + result.quarantined == result.received
        receipts = self.receipts()
        assert sum(r["received"] for r in receipts) == sum(r["landed"] + r["quarantined"] for r in receipts)
        assert sum(r["landed"] for r in receipts) == self.count("landing")
        assert sum(r["quarantined"] for r in receipts) == self.count("quarantine")
        return result

    def count(self, area: str) -> int:
        """How many rows there are in `landing` or in `quarantine`."""
        rows = self._rows(area, "count(*) as rows", "all")
        return rows[0]["rows"] if rows else 0

    def landed(self, columns: str = "*") -> list[dict]:
        return self._rows("landing", columns, "date, source_file, source_row")

    def quarantined(self) -> list[dict]:
        return self._rows("quarantine", "*", "date, source_file, source_row")

    def reasons(self) -> list[tuple[int, str]]:
        return [(row["source_row"], row["reason"]) for row in self.quarantined()]

    def receipts(self) -> list[dict]:
        return _query(
            f"from read_parquet('{self.lake.receipts(self.channel.name)}/*/*.parquet', hive_partitioning = false)"
            " order by delivered_on, source_file"
        )

    def prints(self) -> dict[str, str]:
        """The hash of every file in the lake."""
        files = sorted(path for path in self.lake.root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.lake.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    def _rows(self, area: str, columns: str, order: str) -> list[dict]:
        folder = self.lake.root / area / self.channel.kind / f"channel={self.channel.name}"
        if not list(folder.glob("*/*.parquet")):
            return []
        files = (
            f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true, hive_types = {{'date': date}})"
        )
        return _query(f"select {columns} from {files} order by {order}")


_SOURCE_KEYS = {*FileSource.model_fields, *SqlSource.model_fields}


@cache
def reader() -> duckdb.DuckDBPyConnection:
    """One engine for all that the tests look up, since to open one takes longer than to ask it. It keeps nothing of the
    files that it has read, which the next run may have replaced."""
    config = {"threads": 1, "enable_external_file_cache": "false"}
    return duckdb.connect(":memory:", config=config)


def _query(sql: str) -> list[dict]:
    with reader().cursor() as connection:
        result = connection.execute(sql)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    data = tmp_path / "data"
    settings = Settings(
        config=tmp_path / "files", data=data, target="duckdb", threads=2, memory_limit="500MB"
    )
    return Desk(tmp_path / "files", Lake(data), settings)


@pytest.fixture
def customers(desk: Desk) -> Desk:
    """A CRM that delivers `customers_<date>.csv` with the columns id, updated_at, mail, born and shoe_size."""
    return desk.describe(
        path="customers_{date}.csv",
        format="csv",
        map={"record_id": "id", "observed_at": "updated_at", "email": "mail", "birth_date": "born"},
    )


@pytest.fixture
def web(desk: Desk) -> Desk:
    """A web site that delivers Segment JSON lines in `web_<date>.jsonl`."""
    return desk.describe(name="web", kind="events", spec="segment", path="web_{date}.jsonl", format="jsonl")


@pytest.fixture
def calls(desk: Desk) -> Desk:
    """A call centre that delivers JSON lines in `calls_<date>.jsonl`."""
    return desk.describe(
        name="calls", kind="interactions", path="calls_{date}.jsonl", format="jsonl",
        map={"interaction_id": "id", "occurred_at": "at", "duration_seconds": "seconds", "phone": "number"},
    )  # fmt: skip
