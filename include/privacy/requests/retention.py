"""Forgets what is older than `privacy.yml` lets it be kept: landed and refused rows, answers, what is left of runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.kinds import kinds
from include.extract.sql import literal
from include.lake import Lake
from include.privacy.requests.access import answers_folder
from include.privacy.requests.landed import recount
from include.privacy.requests.ownership import landed_files, refused_files, row_time
from include.privacy.requests.proofs import Proof, keep_proofs
from include.privacy.requests.queue import requests
from include.privacy.requests.rewriting import rewrite_parquet
from include.privacy.requests.search import ROW, parquet
from include.scratch import scratch_engine
from include.settings import Settings

if TYPE_CHECKING:
    from include.config.schema import Retention

KEPT_OF_RUNS = ("run.json", "published.json")  # the keys and inputs of past days, which name nobody


def expire(lake: Lake, retention: Retention, settings: Settings, day: date) -> list[Proof]:
    """Remove what may not be kept at the end of `day`. Returns a line per place that lost something, which
    `ops.privacy_requests` shows beside the requests.

    A row goes when its own time is more than so many days back, wherever and however late it landed, so that day by day
    and a rebuild agree. What is derived from landed rows follows in the same run.
    """
    limits = {name: day - timedelta(days=days) for name, days in retention.named().items()}
    removed: dict[str, tuple[int, int]] = {}
    with scratch_engine(lake, settings, "retention") as (connection, _):
        connection.execute(
            'create temp table mentioned ("row" bigint, request_id varchar, column_name varchar, token varchar)'
        )
        connection.execute("create temp table expired_order (order_id varchar)")
        for name in [name for name in limits if name in kinds()]:
            removed[name] = _expire_kind(connection, lake, name, limits[name])
        if "orders" in limits:
            removed["order_lines"] = _expire_lines(connection, lake, limits["orders"])
        if "quarantine" in limits:
            removed["quarantine"] = _expire_quarantine(connection, lake, limits["quarantine"])
    if "answers" in limits:
        removed["answers"] = _expire_answers(lake, limits["answers"])
    if "runs" in limits:
        removed["runs"] = _expire_runs(lake, limits["runs"])
    proofs = [
        Proof(f"retention-{day}", "retention", "", place, "privacy.yml", files, rows, rows, 0, day, day)
        for place, (files, rows) in removed.items()
        if rows
    ]
    keep_proofs(lake, proofs)
    return proofs


def _expire_kind(
    connection: duckdb.DuckDBPyConnection, lake: Lake, kind: str, oldest: date
) -> tuple[int, int]:
    time = row_time(kinds()[kind])

    is_old = f"{time} < timestamp '{oldest}'"
    if kind == "consents":
        # Who has refused has done so until they say otherwise; without it what they granted before would count again.
        is_old += " and status = 'granted'"

    def rows(path: Path) -> str:
        return f"select {ROW} from {parquet(path)} where {is_old}"

    if kind == "orders":
        for file in landed_files(lake):
            if file.kind == "orders":
                connection.execute(
                    f"insert into expired_order select order_id from {file.relation} where {is_old}"
                )
    return _remove(connection, lake, kind, rows)


def _expire_lines(connection: duckdb.DuckDBPyConnection, lake: Lake, oldest: date) -> tuple[int, int]:
    """Lines go with their orders. Of one that lands when its order has gone already, or never came, the day of its
    delivery counts: a line has no time of its own."""
    files = landed_files(lake)
    orders = ", ".join(literal(str(file.path)) for file in files if file.kind == "orders")
    lines = ", ".join(
        literal(str(file.path))
        for file in files
        if file.kind == "order_lines" and file.path.parent.name < f"date={oldest}"
    )
    if orders and lines:
        connection.execute(
            f"""
            insert into expired_order
            select distinct order_id from read_parquet([{lines}], hive_partitioning = false)
            where order_id not in (
                select order_id from read_parquet([{orders}], hive_partitioning = false)
            )
            """
        )
    return _remove(
        connection,
        lake,
        "order_lines",
        lambda path: (
            f"select {ROW} from {parquet(path)} where order_id in (select order_id from expired_order)"
        ),
    )


def _remove(
    connection: duckdb.DuckDBPyConnection, lake: Lake, kind: str, rows_of: Callable[[Path], str]
) -> tuple[int, int]:
    files = removed = 0
    for file in landed_files(lake):
        if file.kind != kind:
            continue
        files += 1
        (count,) = connection.execute(f"select count(*) from ({rows_of(file.path)})").fetchone()
        if count:
            rewrite_parquet(connection, file.path, rows_of(file.path))
            recount(connection, lake, file.path)
            removed += count
    return files, removed


def _expire_quarantine(connection: duckdb.DuckDBPyConnection, lake: Lake, oldest: date) -> tuple[int, int]:
    """Refused rows by the day of their delivery: nobody can read when they happened."""
    files = removed = 0
    for path in refused_files(lake):
        files += 1
        if path.parent.name >= f"date={oldest}":
            continue
        (count,) = connection.execute(f"select count(*) from {parquet(path)}").fetchone()
        if count:
            rewrite_parquet(connection, path, f"select {ROW} from {parquet(path)}")
            recount(connection, lake, path)
            removed += count
    return files, removed


def _expire_answers(lake: Lake, oldest: date) -> tuple[int, int]:
    old = [
        each for each in requests(lake) if each.kind == "access" and each.done_on and each.done_on < oldest
    ]
    folders = [answers_folder(lake, each.request_id) for each in old]
    folders = [folder for folder in folders if folder.exists()]
    for folder in folders:
        shutil.rmtree(folder)
    return len(old), len(folders)


def _expire_runs(lake: Lake, oldest: date) -> tuple[int, int]:
    """Pages of gates, ledgers and logs of days that are long past, and plans of identity; not what later days are
    compared with."""
    folders = [
        folder
        for name in ("quality", "runs", "identity_plan")
        for folder in sorted((lake.data / name).glob("date=*"))
        if folder.name < f"date={oldest}"
    ]
    old = [path for folder in folders for path in folder.iterdir() if path.name not in KEPT_OF_RUNS]
    for path in old:
        path.unlink()
    return len(folders), len(old)
