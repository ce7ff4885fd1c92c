"""What a release says, as a hash of values: two files with the same rows are the same, whatever their bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.publish.tables import RUN_TABLES

HASH_CHARACTERS = 12
HISTORY = "ops/releases"  # it names the release itself, so it is written when all else has been read


@dataclass(frozen=True)
class TableContent:
    """One table file of a release: `name` is `<side>/<table>`, `columns` map name to DuckDB type, and `content_hash`
    depends on columns and rows but not on the rows' order."""

    name: str
    rows: int
    columns: dict[str, str]
    content_hash: str

    @property
    def schema_version(self) -> str:
        return schema_version_of(self.columns)


def schema_version_of(columns: dict[str, str]) -> str:
    """What changes when a column comes, goes, moves or has another type, and at no other time."""
    layout = hashlib.sha256(f"{list(columns.items())}".encode())
    return layout.hexdigest()[:HASH_CHARACTERS]


def release_id_of(business_day: str, content_hash: str) -> str:
    """The name of a release: its business day, and the beginning of the hash of what it holds."""
    return f"{business_day}_{content_hash[:HASH_CHARACTERS]}"


def read_contents(release: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, TableContent]:
    """The content of every `<side>/<table>.parquet` of a release by its name, in the order of names."""
    names = {f"{path.parent.name}/{path.stem}": path for path in sorted(release.glob("*/*.parquet"))}
    return {name: read_content(name, path, connection) for name, path in names.items()}


def hash_of_release(contents: dict[str, str]) -> str:
    """The hash that names a release: of its tables' content hashes, without the tables about the run itself."""
    lines = [f"{name} {content}" for name, content in sorted(contents.items()) if name not in RUN_TABLES]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_content(name: str, path: Path, connection: duckdb.DuckDBPyConnection) -> TableContent:
    """The content of one file, every row hashed by DuckDB's own function: another version of DuckDB may hash otherwise,
    and then gives the same rows another name."""
    source = f"read_parquet('{_quoted(path)}', hive_partitioning = false)"
    described = connection.execute(f"describe select * from {source}").fetchall()
    columns = {row[0]: row[1] for row in described}
    # Sums of whole numbers do not depend on order and, unlike xor, count a row that is there twice.
    rows, hashes = connection.execute(
        f"select count(*), coalesce(sum(cast(hash(published) as hugeint)), 0) from {source} as published"
    ).fetchone()
    content_hash = hashlib.sha256(f"{columns} {rows} {hashes}".encode()).hexdigest()
    return TableContent(name, rows, columns, content_hash)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
