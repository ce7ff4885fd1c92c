"""The manifest of a release: what is in it, from which rows it came, under which code and configuration."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include.code import hash_of_code
from include.extract.landing import RECEIPT_SCHEMA, typed_rows
from include.lake import Lake, hash_file
from include.ledger import STEPS
from include.publish.content import TableContent, hash_of_release, release_id_of
from include.settings import PROJECT

if TYPE_CHECKING:
    from include.config import Configuration

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2  # since 2 a manifest ends in its own hash
LAST_ENTRY = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')


def build_manifest(
    lake: Lake,
    day: date,
    configuration: Configuration,
    release: Path,
    contents: Mapping[str, TableContent],
    connection: duckdb.DuckDBPyConnection,
) -> dict[str, Any]:
    """Everything about a release that is sealed, but its manifest. Nothing in it is read from the clock."""
    content_hash = hash_of_release({name: each.content_hash for name, each in contents.items()})
    inputs = _inputs(lake, day, connection)
    by_file = {f"{name}.parquet": each for name, each in contents.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "release_id": release_id_of(f"{day:%Y-%m-%d}", content_hash),
        "business_day": f"{day:%Y-%m-%d}",
        "content_hash": content_hash,
        "configuration": configuration.hash,
        "code": {"commit": _commit(), "files": hash_of_code()},
        "inputs": inputs,
        "row_flow": _row_flow(lake, inputs, connection),
        "gates": _gates(lake, day, connection),
        "files": [_file(path, release, by_file) for path in _files(release)],
    }


def reseal(
    manifest: dict[str, Any],
    release: Path,
    contents: Mapping[str, TableContent],
    release_id: str,
    content_hash: str,
) -> dict[str, Any]:
    """The manifest of a release whose files were written again, as without an erased person: what it came from stays
    as it was, what it holds and its name are new."""
    by_file = {f"{name}.parquet": each for name, each in contents.items()}
    return manifest | {
        "release_id": release_id,
        "content_hash": content_hash,
        "files": [_file(path, release, by_file) for path in _files(release)],
    }


def write_manifest(release: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json` into a release."""
    (release / MANIFEST).write_bytes(_sealed(manifest))


def _sealed(manifest: dict[str, Any]) -> bytes:
    """A manifest as it is written: its last entry is the SHA-256 of all before."""
    said = {key: value for key, value in manifest.items() if key != "sha256"}
    text = json.dumps(said, indent=1, ensure_ascii=False).removesuffix("\n}")
    digest = hashlib.sha256(f"{text}\n}}\n".encode()).hexdigest()
    return f'{text},\n "sha256": "{digest}"\n}}\n'.encode()


def _has_its_hash(content: bytes) -> bool:
    """Whether a manifest, as it is written, ends in the SHA-256 of all before."""
    last = LAST_ENTRY.search(content)
    if last is None:
        return False
    before = content[: last.start()] + b"\n}\n"
    return hashlib.sha256(before).hexdigest().encode() == last[1]


def read_manifest(release: Path) -> dict[str, Any]:
    """The manifest of a release. Raises FileNotFoundError, or ValueError when it is no JSON."""
    return json.loads((release / MANIFEST).read_text(encoding="utf-8"))


def verify_release(release: Path) -> tuple[str, ...]:
    """What is wrong with a release, one line each; empty when every file is what the manifest says.

    Bytes and SHA-256 of each file are compared, the manifest's own too, and the release's id with the hashes that it is
    made of.
    """
    try:
        content = (release / MANIFEST).read_bytes()
        manifest = json.loads(content)
    except FileNotFoundError:
        return (f"{MANIFEST} is missing",)
    except ValueError as error:
        return (f"{MANIFEST} cannot be read: {error}",)
    if (manifest.get("schema_version") != 1 or "sha256" in manifest) and not _has_its_hash(content):
        return (f"{MANIFEST} does not have the hash that it says of itself",)
    listed = {entry["path"]: entry for entry in manifest["files"]}
    found = {path.relative_to(release).as_posix(): path for path in _files(release)}
    problems = [f"{path} is missing" for path in sorted(listed.keys() - found.keys())]
    problems += [f"{path} is not in the manifest" for path in sorted(found.keys() - listed.keys())]
    for path in sorted(listed.keys() & found.keys()):
        if found[path].stat().st_size != listed[path]["bytes"]:
            problems.append(
                f"{path} has {found[path].stat().st_size} bytes, the manifest says {listed[path]['bytes']}"
            )
        elif hash_file(found[path]) != listed[path]["sha256"]:
            problems.append(f"{path} does not have the hash that the manifest says")
    tables = {entry["table"]: entry["content_hash"] for entry in manifest["files"] if "table" in entry}
    expected = release_id_of(manifest["business_day"], hash_of_release(tables))
    if manifest["release_id"] != expected:
        problems.append(f"{MANIFEST} names the release {manifest['release_id']}, its tables say {expected}")
    return tuple(problems)


def _files(release: Path) -> list[Path]:
    return sorted(path for path in release.rglob("*") if path.is_file() and path != release / MANIFEST)


def _file(path: Path, release: Path, contents: dict[str, TableContent]) -> dict[str, Any]:
    name = path.relative_to(release).as_posix()
    entry: dict[str, Any] = {"path": name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
    if name in contents:
        content = contents[name]
        entry |= {
            "table": content.name,
            "rows": content.rows,
            "content_hash": content.content_hash,
            "schema_version": content.schema_version,
            "columns": content.columns,
        }
    return entry


def _inputs(lake: Lake, day: date, connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Per channel up to the day the rows received, landed, quarantined and erased, and a hash of their files."""
    if not any(lake.receipts().glob("*/*/receipts.parquet")):
        return []
    receipts = typed_rows([lake.receipts() / "*" / "*" / "receipts.parquet"], RECEIPT_SCHEMA)
    return _rows(
        connection,
        f"""
        select
            channel,
            kind,
            count(*) as files,
            cast(sum(received) as bigint) as received,
            cast(sum(landed) as bigint) as landed,
            cast(sum(quarantined) as bigint) as quarantined,
            cast(coalesce(sum(erased), 0) as bigint) as erased,
            sha256(string_agg(
                concat_ws(' ', delivered_on, source_file, file_hash, spec_hash), ','
                order by delivered_on, source_file, file_hash, spec_hash
            )) as content_hash
        from ({receipts})
        where delivered_on <= ?
        group by channel, kind
        order by channel, kind
        """,
        [day],
    )


def _row_flow(
    lake: Lake, inputs: list[dict[str, Any]], connection: duckdb.DuckDBPyConnection
) -> dict[str, Any]:
    """The way of the rows from what was received to what is published, and whether each equation holds.

    received = landed + quarantined + erased; landed = staged + superseded + deleted; staged = published + unattributed.
    """
    counts = lake.staged("row_counts")
    staged = (
        _rows(
            connection,
            f"select * from read_parquet('{counts}') where landed_rows > 0 order by kind, channel",
            [],
        )
        if counts.exists()
        else []
    )
    landed_by_receipt = {(row["kind"], row["channel"]): row["landed"] for row in inputs if row["landed"]}
    landed_by_staging = {(row["kind"], row["channel"]): row["landed_rows"] for row in staged}
    checks = {
        "received = landed + quarantined + erased": all(
            row["received"] == row["landed"] + row["quarantined"] + row["erased"] for row in inputs
        ),
        "landed by extract = landed by stage": landed_by_receipt == landed_by_staging,
        "landed = staged + superseded + deleted": all(
            row["landed_rows"] == row["staged_rows"] + row["superseded_rows"] + row["deleted_rows"]
            for row in staged
        ),
        "staged = published + unattributed": all(
            row["staged_rows"] == row["published_rows"] + row["unattributed_rows"] for row in staged
        ),
    }
    return {
        "received": _sum(inputs, "received"),
        "quarantined": _sum(inputs, "quarantined"),
        "erased": _sum(inputs, "erased"),
        "landed": _sum(inputs, "landed"),
        "superseded": _sum(staged, "superseded_rows"),
        "deleted": _sum(staged, "deleted_rows"),
        "staged": _sum(staged, "staged_rows"),
        "unattributed": _sum(staged, "unattributed_rows"),
        "published": _sum(staged, "published_rows"),
        "by_kind_and_channel": staged,
        "checks": checks,
        "balanced": all(checks.values()),
    }


def _gates(lake: Lake, day: date, connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    kept = [(step, lake.ops(day, f"quality_{step}")) for step in STEPS]
    return [
        row
        for step, path in kept
        if path.exists()
        for row in _rows(
            connection,
            f"""
            select
                '{step}' as step,
                count(*) as expectations,
                count(*) filter (where not success and severity = 'warn') as warned,
                count(*) filter (where not success and severity = 'stop') as stopped
            from read_parquet('{path}', hive_partitioning = false)
            """,
            [],
        )
    ]


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]) -> list[dict[str, Any]]:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _sum(rows: Iterable[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in rows)


def _commit() -> str | None:
    """The commit that is checked out, or None outside of a git repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None
