"""Delivery: brings what destinations hold to what the release that readers see says, and writes down how it went."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include.activate.export import DELIVERIES
from include.activate.files import Layout, layout_of, path_of, read_manifests, rows_of, write_set
from include.activate.held import Held, held_audiences
from include.activate.transports import DeliveryFailed, Parcel, Receipt, transport_to
from include.extract.sql import identifier, literal
from include.lake import Lake, hash_file, replacing
from include.ledger import DestinationUnreachable, StepFailed
from include.publish.manifest import read_manifest
from include.publish.release import business_day, current_release
from include.scratch import scratch_engine
from include.settings import settings

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Destination

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """One line of the log: what was sent of an audience, and how it went."""

    destination_id: str
    audience_id: str
    release_id: str
    action: str
    status: str
    reason: str | None
    rows: int
    refused_rows: int
    batches: int
    attempts: int


@dataclass(frozen=True)
class Delivered:
    """What a run sent: lines of the log, and destinations that are no longer configured but still hold rows."""

    lines: tuple[Line, ...]
    forgotten: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return sum(line.rows for line in self.lines)

    @property
    def failed(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.status == "failed")

    def __str__(self) -> str:
        said = {
            action: sum(line.rows for line in self.lines if line.action == action and line.status != "failed")
            for action in ("add", "remove", "full")
        }
        words = {"add": "rows added", "remove": "removed", "full": "sent whole"}
        parts = [f"{rows:,} {words[action]}" for action, rows in said.items() if rows]
        parts += [f"{', '.join(self.forgotten)} still holds rows but is no destination any more"] * bool(
            self.forgotten
        )
        return "; ".join(parts) or "nothing to send"


@dataclass(frozen=True)
class Target:
    """What a destination is to hold of an audience: a file, of a release."""

    destination: Destination
    audience_id: str
    path: Path
    layout: Layout
    release_id: str
    days: int | None


def deliver_release(lake: Lake, day: date, configuration: Configuration) -> Delivered:
    """Send every destination what it does not hold yet of the release that readers see, and have it remove what it
    holds and the release does not have; write a line each to the log of the day.

    A destination that fails does not keep the others from theirs. What it was to be sent is sent by the next run, and
    nothing that it took is sent twice. Raises DestinationUnreachable when another try may help and StepFailed
    when it may not.
    """
    release = current_release(lake)
    if release is None:
        return Delivered(())
    with scratch_engine(lake, settings(), "deliver") as (engine, scratch):
        lines: list[Line] = []
        problems: dict[str, tuple[str, bool]] = {}
        for target in _targets(lake, release, configuration, engine, scratch):
            name = target.destination.destination_id
            if name in problems and problems[name][1]:
                continue  # it is away: waiting for it once is enough
            sent, problem = bring_to(lake, target, configuration, engine, scratch, renews=True)
            write_log(lake, day, sent, engine)
            lines += sent
            if problem:
                problems[name] = problem
        forgotten = {name for name, _ in held_by_former(lake, configuration, engine)}
    if problems:
        kind = DestinationUnreachable if any(may_pass for _, may_pass in problems.values()) else StepFailed
        first, *others = (reason for reason, _ in problems.values())
        more = f", and {len(others)} other destinations" if others else ""
        raise kind(f"deliver: {first}{more}; the release is published, and nothing of it is lost")
    return Delivered(tuple(lines), tuple(sorted(forgotten)))


def bring_to(
    lake: Lake,
    target: Target,
    configuration: Configuration,
    engine: duckdb.DuckDBPyConnection,
    scratch: Path,
    renews: bool = False,
) -> tuple[list[Line], tuple[str, bool] | None]:
    """Have one destination hold a target, removals first. When it `renews`, who stays is added again before the
    destination's days with them are over. Returns lines for the log, and what went wrong with whether another try may
    help."""
    name = target.destination.destination_id
    held = Held(lake.held(name, target.audience_id))
    place = target.destination.place_of(target.audience_id)
    was = held.place
    if was != place[: len(was)] and held.count(engine):
        is_sent = target.audience_id in configuration.audiences_of(name)
        is_reached = was[0] == place[0] == "http" and was[2:3] in ((), place[2:3])
        if is_sent or not is_reached:
            reason = (
                f"{name} holds {target.audience_id} in {' '.join(was)} and not {' '.join(place)}; give the new one an "
                "id of its own"
            )
            return [], (reason, False)
        place = (*was, *place[len(was) :])
    day = business_day(Path(target.release_id))
    everybody = not held.states or (renews and place[0] != "table" and held.may_lapse(day, target.days))
    if held.holds(target.path) and not everybody:
        return [], None
    if held.layout not in (None, target.layout):
        if held.count(engine):
            reason = (
                f"{name} holds {target.audience_id} in other columns; give the new ones an id of their own"
            )
            return [], (reason, False)
        held.forget()
    paths, rows = held.begin(engine, target.path, target.layout, place, scratch, everybody)
    if getattr(target.destination.deliver, "send", "changes") == "full":
        everybody = True
        counted = f"select count(*) from {rows_of(target.path, target.layout)}"
        paths, rows = {"full": target.path}, {"full": engine.execute(counted).fetchone()[0]}
    lines = []
    try:
        transport = transport_to(target.destination, configuration, settings())
        for action, path in paths.items():
            if rows[action] or action == "full":
                parcel = Parcel(
                    action, path, target.layout, target.audience_id, place, target.release_id, held.state,
                    target.days, held.acknowledged, held.acknowledge,
                )  # fmt: skip
                receipt = Receipt()
                try:
                    transport.send(parcel, receipt, engine)
                except DeliveryFailed as failure:
                    lines.append(_line(target, action, "failed", str(failure), rows[action], receipt))
                    return lines, (f"{name}: {failure}", failure.may_pass)
                status = "partial" if receipt.refused_rows else "sent"
                lines.append(_line(target, action, status, None, rows[action], receipt))
    except StepFailed as failure:
        return lines, (f"{name}: {failure}", False)
    held.settle(target.path, told_on=day if everybody else None)
    return lines, None


def _line(target: Target, action: str, status: str, reason: str | None, rows: int, receipt: Receipt) -> Line:
    return Line(
        target.destination.destination_id, target.audience_id, target.release_id, action, status, reason, rows,
        receipt.refused_rows, receipt.batches, receipt.attempts,
    )  # fmt: skip


def _targets(
    lake: Lake,
    release: Path,
    configuration: Configuration,
    engine: duckdb.DuckDBPyConnection,
    scratch: Path,
) -> list[Target]:
    """What every destination is to hold: the files of the release, and nothing where it has none.

    Raises StepFailed when a file is not what was sealed.
    """
    folder = release / "activation"
    manifests = read_manifests(folder)
    sealed = {entry["path"]: entry["sha256"] for entry in read_manifest(release)["files"]}
    targets = []
    for destination in configuration.destinations:
        if destination.deliver is None:
            continue
        name = destination.destination_id
        known = {audience for owner, audience in manifests if owner == name}
        held = {audience for owner, audience in held_audiences(lake) if owner == name}
        for audience_id in sorted(known | held):
            manifest = manifests.get((name, audience_id))
            if manifest:
                layout = layout_of(manifest)
                path = path_of(folder / name / audience_id, "full", layout)
                if hash_file(path) != sealed.get(path.relative_to(release).as_posix()):
                    raise StepFailed(f"deliver: {path} is not what was sealed; run the day again")
                days = manifest["membership_days"]
            else:
                layout, days = Held(lake.held(name, audience_id)).layout, None
                if layout is None:
                    continue
                path = scratch / f"nobody_{name}_{audience_id}.{layout.file}"
                nothing = ", ".join(f"null as {identifier(column)}" for column in layout.columns)
                write_set(engine, f"select {nothing} where false", path, layout)
            targets.append(Target(destination, audience_id, path, layout, release.name, days))
    return targets


def held_by_former(
    lake: Lake, configuration: Configuration, engine: duckdb.DuckDBPyConnection
) -> list[tuple[str, str]]:
    """What is no longer delivered to but still holds rows: destination and audience."""
    known = {destination.destination_id for destination in configuration.destinations if destination.deliver}
    return [
        (name, audience)
        for name, audience in held_audiences(lake)
        if name not in known and Held(lake.held(name, audience)).count(engine)
    ]


def write_log(lake: Lake, day: date, lines: list[Line], engine: duckdb.DuckDBPyConnection) -> None:
    """Add lines to the log of the day."""
    if not lines:
        return
    path = lake.ops(day, "deliveries")
    engine.execute(f"create or replace temp table log ({DELIVERIES})")
    if path.exists():
        engine.execute(f"insert into log from read_parquet({literal(str(path))}, hive_partitioning = false)")
    (last,) = engine.execute("select coalesce(max(delivery_number), 0) from log").fetchone()
    for number, line in enumerate(lines, last + 1):
        row: dict[str, Any] = {"as_of_date": day, "delivery_number": number} | asdict(line)
        names = ", ".join(row)
        engine.execute(f"insert into log ({names}) values ({', '.join('?' * len(row))})", list(row.values()))
    with replacing(path) as temporary:
        engine.execute(
            f"copy (from log order by delivery_number) to {literal(str(temporary))} (format parquet, compression zstd)"
        )
