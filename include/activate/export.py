"""Writes what is to be sent: for each destination and audience everybody, and what changed since the release before."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include.activate.files import (
    Layout,
    activation_days,
    describe,
    layout_of,
    path_of,
    read_manifests,
    rows_of,
    write_set,
    written_for,
)
from include.activate.formats import Format
from include.activate.members import decide, open_members
from include.extract.sql import identifier, literal
from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.publish.release import business_day, link, sealed_releases
from include.scratch import scratch_engine
from include.settings import settings

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Audience, Destination, Privacy

ACTIVATIONS = (
    "destination_id varchar, audience_id varchar, format varchar, full_sha256 varchar, add_sha256 varchar, "
    "remove_sha256 varchar, people bigint, refused bigint, rows bigint, added_rows bigint, removed_rows bigint, "
    "membership_days bigint, compared_with_date date"
)
REFUSALS = "destination_id varchar, audience_id varchar, reason varchar, people bigint"
DECISIONS = "destination_id varchar, audience_id varchar, side varchar, member_id varchar, reason varchar"
DELIVERIES = (
    "as_of_date date, delivery_number bigint, destination_id varchar, audience_id varchar, release_id varchar, "
    "action varchar, status varchar, reason varchar, rows bigint, refused_rows bigint, batches bigint, attempts bigint"
)


@dataclass(frozen=True)
class Exported:
    """What was written: for how many destinations and audiences, how many people are sent and how many are not."""

    destinations: int
    audiences: int
    people: int
    refused: int
    added_rows: int
    removed_rows: int

    @property
    def rows(self) -> int:
        return self.people + self.refused

    @property
    def skipped(self) -> bool:
        return not self.destinations

    def __str__(self) -> str:
        if self.skipped:
            return "no destinations"
        return (
            f"{self.people:,} people of {self.audiences} audiences to {self.destinations} destinations, "
            f"{self.refused:,} refused; {self.added_rows:,} rows to add, {self.removed_rows:,} to remove"
        )


@dataclass(frozen=True)
class _Earlier:
    """What was written on the latest earlier business day that was published, which the day is compared with: of a day
    that failed nobody was given a file."""

    day: date | None
    folder: Path | None
    manifests: dict[tuple[str, str], dict[str, Any]]


def export_audiences(lake: Lake, day: date, configuration: Configuration) -> Exported:
    """Write `full`, `add` and `remove` with a manifest for every destination and audience, beside them
    `decisions.parquet`, who is sent and why not, for the run to publish; and count both for dbt. They become those of
    the day by `keep_activation`.

    The earlier day's full file without what is removed, with what is added, is today's full file. Whoever left,
    expired, withdrew or was erased is removed, and so is everybody of an audience that is no longer sent there.

    Raises StepFailed when a destination writes other columns than on the day before, which nobody could be removed by.
    """
    folder, earlier = written_for(lake, day), _earlier(lake, day)
    shutil.rmtree(folder, ignore_errors=True)
    with scratch_engine(lake, settings(), "activate") as (connection, _):
        connection.execute(f"create temp table decisions ({DECISIONS})")
        connection.execute(f"create temp table activations ({ACTIVATIONS})")
        audiences = {
            each.destination_id: _audiences_of(each, configuration, earlier)
            for each in configuration.destinations
        }
        sent = [each for each in configuration.destinations if audiences[each.destination_id]]
        if sent:
            open_members(connection, lake)
        for destination in sent:
            its_own = audiences[destination.destination_id]
            _export(connection, day, destination, its_own, configuration.privacy, folder, earlier)
        _count(connection, lake, day)
        totals = connection.execute(
            "select count(distinct audience_id), sum(people), sum(refused), sum(added_rows), sum(removed_rows) "
            "from activations"
        ).fetchone()
    return Exported(len(sent), *(int(each or 0) for each in totals))


def keep_activation(lake: Lake, day: date, keep_days: int) -> None:
    """Make what was written for a run that of its day, whose release is sealed, and remove days more than `keep_days`
    back, but not the one that this day is compared with."""
    written, earlier = written_for(lake, day), _earlier(lake, day)
    if written.exists():
        kept = lake.activation(day)
        fresh = kept.with_name(f".{kept.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(written, fresh, copy_function=link)
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
    oldest = lake.activation(day - timedelta(days=keep_days)).name
    for path in activation_days(lake):
        if path.name < oldest and path != earlier.folder:
            shutil.rmtree(path)


def _audiences_of(
    destination: Destination, configuration: Configuration, earlier: _Earlier
) -> dict[str, Audience | None]:
    """The audiences that go to a destination; None for one that does no longer and is to be removed there."""
    left = {
        audience: None
        for (name, audience), manifest in earlier.manifests.items()
        if name == destination.destination_id and manifest["files"]["full"]["rows"]
    }
    return left | configuration.audiences_of(destination.destination_id)


def _export(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    destination: Destination,
    audiences: dict[str, Audience | None],
    privacy: Privacy,
    folder: Path,
    earlier: _Earlier,
) -> None:
    asked = tuple(name for name, audience in audiences.items() if audience)
    decide(connection, day, destination, asked, privacy)
    name = destination.destination_id
    connection.execute(
        f"insert into decisions select {literal(name)}, audience_id, side, member_id, reason from decided"
    )
    for audience_id, audience in sorted(audiences.items()):
        _write(connection, day, destination, audience_id, audience, folder / name / audience_id, earlier)


def _write(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    destination: Destination,
    audience_id: str,
    audience: Audience | None,
    folder: Path,
    earlier: _Earlier,
) -> None:
    """The files of one destination and audience, from the tables `identified` and `decided`."""
    layout, name = Layout.of(destination.layout), destination.destination_id
    full = path_of(folder, "full", layout)
    before = _before(earlier, name, audience_id, layout)
    days = destination.days_of(audience.ttl_days) if audience else None
    today = f"select * from identified where audience_id = {literal(audience_id)}"
    if days and set(destination.layout.ends) not in (set(), set(layout.columns)):
        today = _with_lasting_ends(today, before, destination.layout, day + timedelta(days=days // 2))
    rows = {"full": write_set(connection, today, full, layout)}
    now, then = f"from {rows_of(full, layout)}", f"from {rows_of(before, layout)}" if before else None
    changes = {
        "add": f"({now}) except ({then})" if then else now,
        "remove": f"({then}) except ({now})" if then else f"{now} where false",
    }
    for action, change in changes.items():
        rows[action] = write_set(connection, change, path_of(folder, action, layout), layout)
    people, refusals = _counted(connection, audience_id)
    manifest = describe(
        folder,
        layout,
        rows,
        destination=name,
        audience=audience_id,
        format=destination.format_,
        business_day=f"{day:%Y-%m-%d}",
        compared_with=f"{earlier.day:%Y-%m-%d}" if before else None,
        people=people,
        refused=refusals,
        purposes=list(destination.purposes),
        purposes_in={region: list(each) for region, each in (destination.layout.purposes_in or {}).items()},
        membership_days=days,
    )
    connection.execute(
        "insert into activations values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            name, audience_id, destination.format_, *(manifest["files"][each]["sha256"] for each in rows),
            people, sum(refusals.values()), *rows.values(), manifest["membership_days"], manifest["compared_with"],
        ],
    )  # fmt: skip


def _with_lasting_ends(today: str, before: Path | None, format_: Format, soon: date) -> str:
    """The rows of today, each once, with the end of the membership that was told before; a new one is told when that
    comes before the day `soon`, or is later than the new one. The end moves with the day, so that else everybody would
    be removed and added every day."""
    ends = [identifier(name) for name in format_.ends]
    others = [identifier(name) for name in format_.columns if name not in format_.ends]

    def once(rows: str) -> str:
        latest = ", ".join([*others, *(f"max({name}) as {name}" for name in ends)])
        return f"(select {latest} from {rows} group by {', '.join(others)})"

    now = once(f"({today})")
    if before is None:
        return now
    same = " and ".join(f"now.{name} is not distinct from told.{name}" for name in others)
    lasting = ", ".join(
        f"if(told.{name} between '{soon}' and now.{name}, told.{name}, now.{name}) as {name}" for name in ends
    )
    told = once(rows_of(before, Layout.of(format_)))
    return f"select now.* replace ({lasting}) from {now} as now left join {told} as told on {same}"


def _counted(connection: duckdb.DuckDBPyConnection, audience_id: str) -> tuple[int, dict[str, int]]:
    """How many people are sent, and how many not, by reason."""
    counted = connection.execute(
        "select coalesce(reason, ''), count(*) from decided where audience_id = ? group by 1 order by 1",
        [audience_id],
    ).fetchall()
    people = dict(counted)
    return people.pop("", 0), people


def _before(earlier: _Earlier, destination: str, audience: str, layout: Layout) -> Path | None:
    manifest = earlier.manifests.get((destination, audience))
    if manifest is None:
        return None
    if layout_of(manifest) != layout:
        if not manifest["files"]["full"]["rows"]:
            return None
        raise StepFailed(
            f"activate: destination {destination} holds rows of {audience} in other columns than those that its format "
            "has now, by which they could not be removed; give the new columns a destination with an id of its own"
        )
    return earlier.folder / destination / audience / manifest["files"]["full"]["path"]


def _earlier(lake: Lake, day: date) -> _Earlier:
    published = {business_day(release) for release in sealed_releases(lake)}
    folders = {date.fromisoformat(path.name.removeprefix("date=")): path for path in activation_days(lake)}
    before = [each for each in folders if each < day and each in published]
    if not before:
        return _Earlier(None, None, {})
    latest = max(before)
    return _Earlier(latest, folders[latest], read_manifests(folders[latest]))


def _count(connection: duckdb.DuckDBPyConnection, lake: Lake, day: date) -> None:
    """Write the decisions, and the counts that dbt publishes; and have a log of deliveries, even an empty one."""
    refusals = (
        "select destination_id, audience_id, reason, count(*) as people from decisions where reason is not null "
        "group by all order by all"
    )
    written = {
        written_for(lake, day) / "decisions.parquet": "select * from decisions order by all",
        lake.ops(day, "activations"): "select * from activations order by destination_id, audience_id",
        lake.ops(day, "activation_refusals"): refusals,
    }
    deliveries = lake.ops(day, "deliveries")
    if not deliveries.exists():
        connection.execute(f"create temp table deliveries ({DELIVERIES})")
        written[deliveries] = "select * from deliveries"
    for path, query in written.items():
        with replacing(path) as temporary:
            connection.execute(
                f"copy ({query}) to {literal(str(temporary))} (format parquet, compression zstd)"
            )
