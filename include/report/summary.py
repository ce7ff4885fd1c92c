"""The summary that a run ends with on the console."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import duckdb

from include import ledger
from include.lake import Lake
from include.publish.manifest import read_manifest
from include.publish.release import business_day, current_release
from include.report.sections import NOT_PUBLISHED

TOP_AUDIENCES = 8


def published_summary(lake: Lake, day: date | None = None, seconds: float | None = None) -> str:
    """What readers see now, as text: tables and rows, audiences, look-alikes, gates, time by step, where to look.

    `day` is the business day that was run (that of the release when not given), `seconds` the wall time of the whole
    run: what no step accounts for is shown as orchestration.
    """
    release = current_release(lake)
    if release is None:
        return f"nothing is published in {lake.published} yet"
    manifest = read_manifest(release)
    run_day = day or business_day(release)
    with duckdb.connect() as connection:
        blocks = [
            _heading(manifest, run_day),
            _tables(manifest),
            _rows_flow(manifest),
            _audiences(release, connection),
            _lookalikes(release, connection),
            _activations(release, connection),
            _gates(manifest),
            _time(lake, run_day, seconds),
            _where(lake, run_day),
        ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _heading(manifest: dict, run_day: date) -> list[str]:
    lines = ["", f"Published: release {manifest['release_id']}"]
    if manifest["business_day"] != f"{run_day:%Y-%m-%d}":
        lines.append(
            f"  readers stay on the later business day; the run of {run_day:%Y-%m-%d} lies beside it"
        )
    return lines


def _tables(manifest: dict) -> list[str]:
    by_side: dict[str, list[tuple[str, int]]] = {}
    for entry in manifest["files"]:
        if "table" in entry:
            side, name = entry["table"].split("/")
            by_side.setdefault(side, []).append((name, entry["rows"]))
    lines = ["Tables"]
    for side in sorted(by_side, key=["cdp", "dmp", "bridge", "both", "ops"].index):
        lines += [f"  {side:<7}{name:<24}{rows:>12,} rows" for name, rows in sorted(by_side[side])]
    return lines


def _rows_flow(manifest: dict) -> list[str]:
    flow = manifest["row_flow"]
    return [
        "Rows" + ("" if flow["balanced"] else "  DO NOT ADD UP: see row_flow in manifest.json"),
        f"  received {flow['received']:,} = landed {flow['landed']:,} + quarantined {flow['quarantined']:,}",
        f"  landed = staged {flow['staged']:,} + superseded {flow['superseded']:,}"
        + (f" + deleted {flow['deleted']:,}" if flow["deleted"] else ""),
        f"  staged = published {flow['published']:,} + unattributed {flow['unattributed']:,}",
    ]


def _audiences(release, connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        f"""
        select audiences.audience_id, audiences.side, count(members.member_id) as size,
            {NOT_PUBLISHED} as not_published
        from read_parquet('{release}/both/audiences.parquet') as audiences
        left join read_parquet('{release}/both/audience_members.parquet') as members using (audience_id)
        group by all order by size desc, 1
        """
    ).fetchall()
    lines = [
        f"  {side:<7}{name:<34}{size:>10,} members{f': {reason}' if reason else ''}"
        for name, side, size, reason in rows[:TOP_AUDIENCES]
    ]
    more = [f"  … and {len(rows) - TOP_AUDIENCES} more"] if len(rows) > TOP_AUDIENCES else []
    return ["Audiences", *lines, *more] if lines else []


def _lookalikes(release, connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        f"""
        select audience_id, verdict, lift_at_5, activity_lift_at_5, reason
        from read_parquet('{release}/dmp/lookalike_models.parquet') order by audience_id
        """
    ).fetchall()
    lines = []
    for name, verdict, lift, activity, reason in rows:
        measured = (
            f"lift at 5 % {lift:.2f}, activity alone {activity:.2f}"
            if lift and activity
            else str(reason or "")
        )
        lines.append(f"  {verdict:<10}{name:<31}{measured[:90]}")
    return ["Look-alikes", *lines] if lines else []


def _activations(release, connection: duckdb.DuckDBPyConnection) -> list[str]:
    path = release / "ops" / "activations.parquet"
    if not path.exists():
        return []
    rows = connection.execute(
        f"select destination_id, audience_id, people, refused from read_parquet('{path}') order by 1, 2"
    ).fetchall()
    lines = [
        f"  {destination:<15}{audience:<26}{people:>10,} people, {refused:,} refused"
        for destination, audience, people, refused in rows
    ]
    return ["Sent to", *lines] if lines else []


def _gates(manifest: dict) -> list[str]:
    gates = manifest["gates"]
    expectations, warned = sum(gate["expectations"] for gate in gates), sum(gate["warned"] for gate in gates)
    warnings = (
        f", {warned} warned in {_listed(gate['step'] for gate in gates if gate['warned'])}" if warned else ""
    )
    return ["Gates", f"  {len(gates)} passed with {expectations} expectations{warnings}"] if gates else []


def _time(lake: Lake, day: date, seconds: float | None) -> list[str]:
    """Seconds by step, from the lines that the parts left when they ended."""
    by_step: dict[str, float] = {}
    for entry in ledger.read(lake, day):
        if entry.status != "running":
            by_step[entry.step] = by_step.get(entry.step, 0.0) + entry.wall_seconds
    if not by_step:
        return []
    spent = sum(by_step.values())
    lines = [f"  {step:<16}{value:>8.1f} s" for step, value in by_step.items()]
    if seconds is not None:
        # Parts that run side by side are counted each, so there may be less wall time than work.
        lines.append(
            f"  {'orchestration':<16}{max(seconds - spent, 0.0):>8.1f} s  (Airflow, start-up of tasks, waiting)"
        )
        lines.append(f"  {'total':<16}{seconds:>8.1f} s")
    return ["Where the time went", *lines]


def _where(lake: Lake, day: date) -> list[str]:
    return [
        "Where to look",
        f"  report       {lake.current / 'report' / 'index.html'}",
        f"  tables       {lake.current}/<side>/<table>.parquet",
        f"  in a BI tool {lake.current / 'tandem.duckdb'}",
        f"  gates        {lake.quality_page(day, 'index')}",
        "  in Airflow   make ui",
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
