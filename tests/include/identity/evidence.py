"""Evidence as the stage step hands it over, written down in a line per record or event."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd

from include.config.schema import IdentityRules
from include.identity import Resolved, resolve
from include.lake import Lake
from include.settings import Settings

FIRST_DAY = date(2024, 3, 1)
COLUMNS = {
    "node_key": "varchar",
    "kind": "varchar",
    "channel": "varchar",
    "record_id": "varchar",
    "id_type": "varchar",
    "id_value": "varchar",
    "landed_on": "date",
    "first_seen_at": "timestamp",
    "last_seen_at": "timestamp",
    "observations": "bigint",
}


def day(number: int) -> date:
    """The business day of that number, 1 is the first."""
    return FIRST_DAY + timedelta(days=number - 1)


def record(record_id: str, landed: int = 1, channel: str = "crm", **identifiers: str) -> list[tuple]:
    """A record of kind customers; without identifiers it is a node with no edge."""
    return _rows(
        f"customers:{channel}:{record_id}", "customers", channel, record_id, identifiers, landed, landed
    )


def event(
    landed: int = 1, seen: int | None = None, kind: str = "events", channel: str = "web", **identifiers: str
) -> list[tuple]:
    """Something done by whoever has these identifiers; `seen` is an earlier day when it came late."""
    digest = hashlib.md5(repr(sorted(identifiers.items())).encode()).hexdigest()
    return _rows(f"{kind}:{channel}:{digest}", kind, channel, None, identifiers, landed, seen or landed)


def node_of(rows: list[tuple]) -> str:
    """The node key of a record or event."""
    return rows[0][0]


def _rows(
    node: str,
    kind: str,
    channel: str,
    record_id: str | None,
    identifiers: dict[str, str],
    landed: int,
    seen: int,
) -> list[tuple]:
    at = datetime.combine(day(seen), datetime.min.time()) + timedelta(hours=12)
    return [
        (node, kind, channel, record_id, id_type, id_value, day(landed), at, at, 1)
        for id_type, id_value in (identifiers or {None: None}).items()
    ]


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """One engine for all that is staged and looked up here, since to open one takes longer than to ask it. It keeps
    nothing of the files that it has read, which the next resolution may have replaced."""
    return duckdb.connect(config={"threads": 1, "enable_external_file_cache": "false"})


@dataclass
class Desk:
    """A lake to resolve in: put evidence down, resolve a day, read what came out.

    A few records take one thread less time than two; two are for what must not hang on the order of their work."""

    folder: Path
    rules: IdentityRules
    rows: list[tuple] = field(default_factory=list)
    threads: int = 1

    @property
    def lake(self) -> Lake:
        return Lake(self.folder)

    @property
    def settings(self) -> Settings:
        return Settings(self.folder, self.folder, "duckdb", threads=self.threads, memory_limit="500MB")

    def put(self, *groups: list[tuple]) -> Desk:
        for group in groups:
            self.rows.extend(group)
        return self

    def resolve(self, number: int = 1, rules: IdentityRules | None = None) -> Resolved:
        """Stage what has landed by that day, once per node and identifier, and resolve the day."""
        path = self.lake.staged("identity_evidence")
        path.parent.mkdir(parents=True, exist_ok=True)
        landed = pd.DataFrame(self.rows, columns=list(COLUMNS))
        with _engine().cursor() as connection:
            columns = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in COLUMNS.items())
            connection.register("landed", landed)
            connection.execute(
                f"""
                copy (
                    select
                        node_key, kind, channel, record_id, id_type, id_value,
                        min(landed_on) as landed_on,
                        arg_min(first_seen_at, (landed_on, first_seen_at)) as evident_at,
                        min(first_seen_at) as first_seen_at,
                        max(last_seen_at) as last_seen_at,
                        cast(sum(observations) as bigint) as observations
                    from (select {columns} from landed)
                    where landed_on <= date '{day(number)}'
                    group by all
                ) to '{path}' (format parquet)
                """
            )
        return self.resolve_staged(number, rules)

    def resolve_staged(self, number: int = 1, rules: IdentityRules | None = None) -> Resolved:
        """Resolve the day from what is staged, if anything."""
        return resolve(self.lake, day(number), rules or self.rules, self.settings)

    def read(self, table: str, number: int = 1) -> list[dict]:
        """The rows of a result in file order."""
        with _engine().cursor() as connection:
            result = connection.execute(
                f"select * from read_parquet('{self.path(table, number)}', hive_partitioning = false)"
            )
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def path(self, table: str, number: int = 1) -> Path:
        return self.lake.identity(day(number), table)

    def customers(self, number: int = 1) -> dict[str, str | None]:
        """Node key to customer id."""
        return {row["node_key"]: row["customer_id"] for row in self.read("node_customers", number)}

    def customer(self, rows: list[tuple], number: int = 1) -> str | None:
        """Whose a record or event is."""
        return self.customers(number)[node_of(rows)]

    def claimants(self, id_type: str, id_value: str, number: int = 1) -> set[str]:
        """The customers who may claim an identifier."""
        rows = self.read("identifier_customers", number)
        return {
            row["customer_id"] for row in rows if (row["id_type"], row["id_value"]) == (id_type, id_value)
        }

    def fates(self, number: int = 1) -> dict[tuple[str, str], tuple[str, str | None]]:
        """Node key and identifier value to status and reason."""
        rows = self.read("edges", number)
        return {(row["node_key"], row["id_value"]): (row["status"], row["reason"]) for row in rows}

    def changes(self, number: int = 1) -> list[tuple]:
        """What changed on that day, as it says itself."""
        return [row[:-1] for row in self.log(number) if row[-1] == day(number)]

    def log(self, number: int = 1) -> list[tuple]:
        """All changes up to that day, with the day of each."""
        names = ("customer_id", "previous_customer_id", "change", "reason", "as_of_date")
        return [tuple(row[name] for name in names) for row in self.read("changes", number)]

    def history(self, number: int = 1) -> list[dict]:
        """Where each id that was ever given has led."""
        return self.read("history", number)

    def leads_to(self, customer_id: str, number: int = 1) -> str | None:
        """Where an id leads as of that day."""
        rows = [row for row in self.history(number) if row["issued_customer_id"] == customer_id]
        return max(rows, key=lambda row: row["as_of_date"])["customer_id"]
