"""Takes single people out of what was sent: for an erasure, which does not wait for the next run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from include.activate.deliver import Line, Target, bring_to, held_by_former, write_log
from include.activate.files import (
    ACTIONS,
    MANIFEST,
    Layout,
    activation_days,
    describe,
    layout_of,
    path_of,
    read_manifests,
    rows_of,
    write_set,
    written_days,
)
from include.activate.formats import formats
from include.activate.held import Held, held_audiences
from include.activate.members import decide, open_members, write_rows
from include.extract.sql import identifier, literal
from include.lake import Lake
from include.publish.release import business_day, current_release, sealed_releases
from include.scratch import scratch_engine
from include.settings import settings

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Destination

# A destination, an audience of it, and the columns of its files.
Key = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Removed:
    """What became of the rows of the people: lines of the log of deliveries, problems in words, and by what the rows
    themselves are known, by destination, audience and columns, for files that still have them."""

    lines: tuple[Line, ...]
    problems: tuple[str, ...]
    rows: Mapping[Key, pa.Table] = field(repr=False)

    def purge(self, folder: Path) -> tuple[Path, ...]:
        """Take the rows out of the files of an activation folder, of a day or of a release, with their manifests.
        Returns the files that changed."""
        found = []
        for pair, manifest in read_manifests(folder).items():
            rows = self.rows.get((*pair, layout_of(manifest).columns))
            if rows is not None and rows.num_rows:
                found.append((folder.joinpath(*pair), manifest, rows))
        if not found:
            return ()  # as of most folders, and an engine takes longer to open than they to read
        with duckdb.connect() as engine:
            return tuple(path for each in found for path in _purge(engine, *each))


def remove_people(
    lake: Lake,
    configuration: Configuration,
    customer_ids: Collection[str],
    visitor_ids: Collection[str] = (),
) -> Removed:
    """Have every destination remove what it holds of some customers and of their devices, and take them out of the
    files of the lake.

    Call it while the tables still know them: what they are recognised by is not kept elsewhere. What another member is
    recognised by too, a phone that two people share, stays. A destination that cannot be reached is named among the
    problems and removes them with the next run; so is one that still holds them and is not configured any more. Files
    of releases are the caller's, by `Removed.purge`, before anything is delivered again.
    """
    lines: list[Line] = []
    problems: list[str] = []
    found: dict[Key, pa.Table] = {}
    release = current_release(lake)
    day = business_day(release) if release else date(1970, 1, 1)
    with scratch_engine(lake, settings(), "remove") as (engine, scratch):
        sides = {"cdp": sorted(customer_ids), "dmp": sorted(visitor_ids)}
        ids = [(side, member_id) for side, members in sides.items() for member_id in members]
        names = ("side", "member_id")
        columns = {name: pa.array([each[at] for each in ids], pa.string()) for at, name in enumerate(names)}
        engine.register("erased_ids", pa.table(columns))
        former: dict[Key, pa.Table] = {}
        if lake.staged("member_consents").exists():
            open_members(engine, lake)
            for destination in configuration.destinations:
                audiences = _audiences_of(lake, destination, configuration)
                found |= _rows_of_people(engine, day, destination, audiences, configuration)
            for destination, audiences in _former(lake, configuration):
                former |= _rows_of_people(engine, day, destination, audiences, configuration)
        for (name, audience_id, _), rows in found.items():
            destination = next(each for each in configuration.destinations if each.destination_id == name)
            if release is None or destination.deliver is None or not rows.num_rows:
                continue
            target = _without(lake, engine, scratch, release, destination, audience_id, rows)
            if target is not None:
                sent, problem = bring_to(lake, target, configuration, engine, scratch)
                lines += sent
                problems += [problem[0]] if problem else []
        problems += [
            f"{name} holds {audience} and is no destination any more; configure it again, or have it forget everybody "
            f"and take {lake.held(name, audience).parent.relative_to(lake.data)} away"
            for name, audience in _holding(lake, configuration, engine, former)
        ]
        if release is not None:
            write_log(lake, day, lines, engine)
    removed = Removed(tuple(lines), tuple(problems), former | found)
    for folder in [*activation_days(lake), *written_days(lake)]:
        removed.purge(folder)
    return removed


def _audiences_of(lake: Lake, destination: Destination, configuration: Configuration) -> set[str]:
    name = destination.destination_id
    return configuration.audiences_of(name).keys() | {
        audience for owner, audience in held_audiences(lake) if owner == name
    }


def _former(lake: Lake, configuration: Configuration) -> Iterator[tuple[Destination, set[str]]]:
    """What files are of and `destinations.yml` no longer has: destinations as they were, with the audiences of their
    files. Of a format whose columns are free nothing is known any more; its files are searched like all others."""
    from include.config.schema import Destination

    now = {(each.destination_id, each.format_, each.layout.columns) for each in configuration.destinations}
    former = defaultdict(set)
    releases = [release / "activation" for release in sealed_releases(lake)]
    for folder in [*activation_days(lake), *releases]:
        for (name, audience_id), manifest in read_manifests(folder).items():
            former[name, manifest["format"], layout_of(manifest).columns].add(audience_id)
    for (name, format_, columns), audiences in former.items():
        known = formats().get(format_)
        if (name, format_, columns) not in now and known and not known.columns_are_free:
            also = [column for column in columns if column in known.also]
            yield Destination(id=name, format=format_, also=also), audiences


def _holding(
    lake: Lake,
    configuration: Configuration,
    engine: duckdb.DuckDBPyConnection,
    former: dict[Key, pa.Table],
) -> Iterator[tuple[str, str]]:
    """Former destinations that hold an audience with rows of the people, or, where nothing is known of its columns,
    hold one at all."""
    for name, audience in held_by_former(lake, configuration, engine):
        held = Held(lake.held(name, audience))
        gone = former.get((name, audience, held.layout.columns))
        if gone is not None:
            engine.register("gone", gone)
        if gone is None or engine.execute(
            f"select count(*) from ({held.perhaps(held.layout)}) as held semi join gone on {_same_row(gone)}"
        ).fetchone() != (0,):
            yield name, audience


def _rows_of_people(
    engine: duckdb.DuckDBPyConnection,
    day: date,
    destination: Destination,
    audience_ids: set[str],
    configuration: Configuration,
) -> dict[Key, pa.Table]:
    """By what the rows are known of the people, and of nobody else whom a destination is sent, by audience: the times
    in a row may be others by now."""
    name, layout = destination.destination_id, Layout.of(destination.layout)
    audiences = tuple(sorted(audience_ids))
    if not audiences:
        return {}
    decide(engine, day, destination, audiences, configuration.privacy)
    engine.execute(
        "create or replace temp table others as select * from identified anti join erased_ids using (member_id)"
    )
    listed = ", ".join(f"({literal(each)})" for each in audiences)
    write_rows(
        engine,
        destination,
        f"""(
            select audiences.audience_id, erased_ids.member_id, erased_ids.side, members.entered_at, members.expires_at
            from erased_ids
            cross join (values {listed}) as audiences (audience_id)
            left join members on members.audience_id = audiences.audience_id
                and members.member_id = erased_ids.member_id
        )""",
        configuration.privacy,
    )
    columns = ", ".join(identifier(each) for each in destination.layout.names)
    return {
        (name, audience, layout.columns): engine.execute(
            f"select {columns} from identified where audience_id = $audience "
            f"except select {columns} from others where audience_id = $audience order by all",
            {"audience": audience},
        ).to_arrow_table()
        for audience in audiences
    }


def _without(
    lake: Lake,
    engine: duckdb.DuckDBPyConnection,
    scratch: Path,
    release: Path,
    destination: Destination,
    audience_id: str,
    rows: pa.Table,
) -> Target | None:
    """What the destination is to hold: what it holds and the release says, without the rows; an erasure brings nobody
    there, for who withdrew stands in the release that was rolled back to. None when nothing was sent."""
    name, layout = destination.destination_id, Layout.of(destination.layout)
    held = Held(lake.held(name, audience_id))
    if not held.states:
        return None
    manifest = read_manifests(release / "activation").get((name, audience_id))
    engine.register("gone", rows)
    nothing = ", ".join(f"null as {identifier(each)}" for each in layout.columns)
    stay, days = f"select {nothing} where false", None
    if manifest and layout_of(manifest) == layout == held.layout:
        full = path_of(release / "activation" / name / audience_id, "full", layout)
        said = f"(from {rows_of(full, layout)}) intersect (from ({held.perhaps(layout)}))"
        stay, days = _without_gone(f"({said})", rows), manifest["membership_days"]
    path = scratch / f"{name}_{audience_id}.{layout.file}"
    write_set(engine, stay, path, layout)
    return Target(destination, audience_id, path, layout, release.name, days)


def _purge(
    engine: duckdb.DuckDBPyConnection, folder: Path, manifest: dict[str, Any], rows: pa.Table
) -> list[Path]:
    layout = layout_of(manifest)
    engine.register("gone", rows)
    changed, counts = [], {}
    for action in ACTIONS:
        path = path_of(folder, action, layout)
        before = manifest["files"][action]["rows"]
        stay = _without_gone(rows_of(path, layout), rows)
        (counts[action],) = engine.execute(f"select count(*) from ({stay})").fetchone()
        if counts[action] != before:
            write_set(engine, stay, path, layout)
            changed.append(path)
    if changed:
        said = {key: value for key, value in manifest.items() if key not in ("file", "columns", "files")}
        describe(folder, layout, counts, **said)
        changed.append(folder / MANIFEST)
    return changed


def _without_gone(rows: str, gone: pa.Table) -> str:
    return f"select held.* from {rows} as held anti join gone on {_same_row(gone)}"


def _same_row(gone: pa.Table) -> str:
    names = [identifier(name) for name in gone.column_names]
    return " and ".join(f"held.{name} is not distinct from gone.{name}" for name in names)
