"""Answers an access request: all that is held of a person, as a page to read and as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include.activate.files import activation_days
from include.extract.kinds import kinds
from include.lake import Lake, replacing
from include.privacy.epochs import keys_at_hand
from include.privacy.requests.landed import UNION, find_records, mark_landed
from include.privacy.requests.ownership import landed_files, own_people, refused_files
from include.privacy.requests.people import find_people, find_values
from include.privacy.requests.proofs import Proof
from include.privacy.requests.queue import Request
from include.privacy.requests.search import ROW, mark, parquet
from include.templates import fill

if TYPE_CHECKING:
    from include.config import Configuration

TEMPLATE = Path(__file__).with_name("templates") / "answer.html"
ROWS_SHOWN = 200


def answers_folder(lake: Lake, request_id: str) -> Path:
    return lake.data / "privacy" / "answers" / request_id


def answer(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    configuration: Configuration,
    request: Request,
    day: date,
) -> list[Proof]:
    """Write `answer.html` and `answer.json` of what is held of a person, readable by their owner alone: published rows,
    rows as they landed, rows in quarantine. Nothing else is changed. Returns how many rows came from where."""
    find_people(connection, lake, [request], configuration.normalisation)
    at_hand = keys_at_hand(lake)
    find_values(connection, lake, at_hand.keys)
    own_people(connection, lake)
    find_records(connection, lake)
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    files = {"releases": 0, "landing": 0, "quarantine": 0}
    for path in sorted(lake.current.resolve().glob("*/*.parquet")) if lake.current.exists() else []:
        mark(connection, parquet(path))
        files["releases"] += 1
        found["releases"][f"{path.parent.name}.{path.stem}"] += _rows(connection, parquet(path))
    for file in landed_files(lake):
        mark_landed(connection, file)
        files["landing"] += 1
        found["landing"][f"landed.{file.kind}"] += _rows(connection, file.relation)
    for path in refused_files(lake):
        mark(connection, parquet(path))
        files["quarantine"] += 1
        found["quarantine"][f"refused.{path.parents[2].name}"] += _rows(connection, parquet(path))
    identifiers = connection.execute(
        "select id_type, id_value, bool_and(is_own) from person_identifier group by all order by all"
    ).fetchall()
    tables = {name: rows for place in found.values() for name, rows in sorted(place.items()) if rows}
    _write(lake, configuration, request, day, identifiers, tables, _sent_to(connection, lake))
    lost = ", ".join(map(str, at_hand.lost))
    return [
        Proof(
            request.request_id, request.kind, request.person, place, request.decided_by, files[place],
            sum(len(rows) for rows in found[place].values()), 0, 0, request.received_on, day,
            lost,
        )
        for place in files
    ]  # fmt: skip


def _rows(connection: duckdb.DuckDBPyConnection, relation: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        f"""
        select cast(to_json(held) as varchar)
        from (
            select * exclude ({ROW}) from {relation} where {ROW} in (select "row" from ({UNION})) order by {ROW}
        ) as held
        """
    ).fetchall()
    return [json.loads(row) for (row,) in rows]


def _sent_to(connection: duckdb.DuckDBPyConnection, lake: Lake) -> list[str]:
    """The destinations that the person was to be sent to on any day that is kept."""
    files = [day / "decisions.parquet" for day in activation_days(lake)]
    files = [str(file) for file in files if file.exists()]
    if not files:
        return []
    rows = connection.execute(
        """
        select distinct destination_id from read_parquet($files)
        where reason is null and (
            (side = 'cdp' and member_id in (select customer_id from person_customer))
            or (side = 'dmp' and member_id in (select value from person_value where what = 'pseudonym'))
        )
        order by destination_id
        """,
        {"files": files},
    ).fetchall()
    return [destination_id for (destination_id,) in rows]


def _write(
    lake: Lake,
    configuration: Configuration,
    request: Request,
    day: date,
    identifiers: list[tuple[str, str, bool]],
    tables: dict[str, list[dict[str, Any]]],
    destinations: list[str],
) -> None:
    privacy = configuration.privacy
    retention = privacy.retention.named() | {
        "events of visitors": privacy.event_days,
        "visitors after they were last seen": privacy.visitor_idle_days,
        "earlier releases": privacy.keep_releases_days,
    }
    folder = answers_folder(lake, request.request_id)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    machine = {
        "request_id": request.request_id,
        "received_on": f"{request.received_on}",
        "as_of_date": f"{day}",
        "identifiers": [
            {"id_type": id_type, "id_value": value, "is_shared": not is_own}
            for id_type, value, is_own in identifiers
        ],
        "retention_days": retention,
        "sent_to": destinations,
        "tables": tables,
    }
    page = fill(
        TEMPLATE,
        {
            "request": request,
            "day": day,
            "identifiers": identifiers,
            "retention": retention,
            "destinations": destinations,
            "tables": tables,
            "meanings": {
                f"landed.{kind.name}": f"As it was delivered; each row is {kind.grain}."
                for kind in kinds().values()
            },
            "shown": ROWS_SHOWN,
        },
    )
    for name, text in (
        ("answer.json", json.dumps(machine, indent=1, ensure_ascii=False)),
        ("answer.html", page),
    ):
        with replacing(folder / name) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(text, encoding="utf-8")
