"""Whether a day's release still stands: the same code, configuration, key and landed data gave it before."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import TYPE_CHECKING

import duckdb

from include.code import hash_of_code
from include.lake import Lake, earlier_days, hash_file, replacing
from include.normalise.versions import normalisation_version
from include.privacy.epochs import fingerprint
from include.privacy.requests.proofs import proofs_path
from include.privacy.requests.tombstones import tombstones_path
from include.publish.manifest import verify_release
from include.publish.release import publish_sealed
from include.settings import pseudonym_key

if TYPE_CHECKING:
    from include.config import Configuration

RECORD = "published.json"


def find_unchanged_release(lake: Lake, day: date, configuration: Configuration) -> str | None:
    """The id of the release that this day's inputs gave before, if it is whole; readers are pointed to it.

    A run is a function of its inputs, so equal inputs need no second run. Raises nothing when there is no such
    release: the answer is then None.
    """
    record = lake.run_file(day, RECORD)
    if not record.exists():
        return None
    known = json.loads(record.read_text())
    release = lake.published / "releases" / known["release"]
    if known["inputs"] != hash_of_inputs(lake, day, configuration) or not release.is_dir():
        return None
    if verify_release(release):
        return None
    publish_sealed(lake, day, known["release"])
    return known["release"]


def release_of(lake: Lake, day: date) -> str | None:
    """The release that a day was published as last, or None."""
    record = lake.run_file(day, RECORD)
    return json.loads(record.read_text())["release"] if record.exists() else None


def remember_inputs(lake: Lake, day: date, configuration: Configuration, release_id: str) -> None:
    """Write down which inputs gave the release of this day."""
    with replacing(lake.run_file(day, RECORD)) as path:
        path.write_text(
            json.dumps({"release": release_id, "inputs": hash_of_inputs(lake, day, configuration)})
        )


def hash_of_inputs(lake: Lake, day: date, configuration: Configuration) -> str:
    """SHA-256 of all that a run of `day` depends on: code, configuration, what values are normalised with,
    key, landed files, who was erased, and the days before."""
    with duckdb.connect() as connection:
        receipts = connection.execute(
            f"""
            select channel, kind, party, source_file, delivered_on, file_hash, spec_hash, received, landed
            from read_parquet('{lake.receipts()}/*/*/receipts.parquet', hive_partitioning = false)
            where delivered_on <= cast('{day:%Y-%m-%d}' as date)
            order by all
            """
        ).fetchall()
        requests = _requests(lake, day, connection)
    # What an earlier day left behind (identity, segments) is named by the inputs of that day.
    earlier = sorted(path.read_text() for path in earlier_days(lake.run_file(day, RECORD)))
    key = fingerprint(pseudonym_key())
    rules = [configuration.hash, normalisation_version(configuration.normalisation)]
    parts = [f"{day:%Y-%m-%d}", hash_of_code(), *rules, key, *requests, *earlier, *map(str, receipts)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _requests(lake: Lake, day: date, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Who was erased, as hashes, and what was done for requests up to the day."""
    erased = [hash_file(path) for path in [tombstones_path(lake)] if path.exists()]
    if not proofs_path(lake).exists():
        return erased
    done = connection.execute(
        f"from read_parquet('{proofs_path(lake)}') where done_on <= cast('{day:%Y-%m-%d}' as date) order by all"
    )
    return [*erased, *map(str, done.fetchall())]
