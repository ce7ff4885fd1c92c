"""An objection is a refusal of consent that lands like any other: staging knows nothing of where it came from."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.kinds import kinds
from include.extract.landing import (
    PARQUET,
    QUARANTINE_SCHEMA,
    Part,
    Receipt,
    read_receipts,
    replace_partition,
    write_nothing,
)
from include.extract.sql import literal
from include.lake import Lake
from include.privacy.requests.people import find_people
from include.privacy.requests.proofs import Proof
from include.privacy.requests.queue import Request

if TYPE_CHECKING:
    from include.config import Configuration

CHANNEL = "privacy_requests"
VERSION = "1"


def object_to(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    configuration: Configuration,
    request: Request,
    day: date,
    folder: Path,
) -> list[Proof]:
    """Land a refusal of the purpose for every identifier of the person that nobody else has, at the end of the day on
    which the objection was received; only a later grant undoes it. A purpose of `privacy.yml` is refused by all names
    that it has in consent records, any other by its own."""
    find_people(connection, lake, [request], configuration.normalisation)
    names = configuration.privacy.purposes.get(request.purpose, (request.purpose,))
    landing, quarantine = folder / "landing.parquet", folder / "quarantine.parquet"
    schema = kinds()["consents"].landing_schema()
    given = {
        "id_type": "id_type",
        "id_value": "id_value",
        "purpose": "purpose",
        "status": "'denied'",
        "effective_at": f"timestamp '{request.received_on} 23:59:59'",
        "source": "'objection'",
        "attributes": "map()",
        "rejected_values": "map()",
        "party": "'first'",
        "source_file": literal(request.request_id),
        "source_row": "row_number() over (order by id_type, id_value, purpose)",
    }
    columns = ", ".join(
        f"cast({given.get(name, 'null')} as {kind}) as {name}" for name, kind in schema.items()
    )
    (count,) = connection.execute(
        f"""
        copy (
            select {columns}
            from person_identifier, (select unnest({list(names)}) as purpose)
            where is_own
            order by source_row
        ) to {literal(str(landing))} ({PARQUET})
        """
    ).fetchone()
    write_nothing(connection, quarantine, QUARANTINE_SCHEMA)
    said = hashlib.sha256(landing.read_bytes()).hexdigest()
    receipt = Receipt(
        CHANNEL, "consents", "first", request.request_id, request.received_on, said, VERSION, count, count, 0,
        "increment", {},
    )  # fmt: skip
    kept = [
        each
        for each in read_receipts(connection, lake, CHANNEL)
        if each.delivered_on == request.received_on and each.source_file != request.request_id
    ]
    replace_partition(
        connection, lake, CHANNEL, request.received_on, [Part(receipt, landing, quarantine)], kept, set()
    )
    return [
        Proof(
            request.request_id, request.kind, request.person, "landing", request.decided_by, 1, count, 0, 0,
            request.received_on, day,
        )
    ]  # fmt: skip
