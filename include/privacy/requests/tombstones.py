"""Tombstones: keyed hashes of what an erased person was known by, so that no late file brings the person back.

A row that carries an erased identifier, or is another version of an erased record, is neither landed nor quarantined
but counted as erased. It is let through only when a request of kind `return` says that a new relation has begun, and
the row's own time is of that day or later. See docs/decisions/0027.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.kinds import Kind
from include.extract.landing import PARQUET, Part
from include.extract.sql import literal
from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.normalise.countries import normalise_country
from include.normalise.emails import normalise_email
from include.normalise.phones import normalise_phone
from include.privacy.epochs import fingerprint
from include.privacy.pseudonym import pads
from include.privacy.requests.ownership import (
    FILLED,
    IDENTIFIERS,
    RECORD_KEYS,
    STATED,
    own_nobody,
    owned_rows,
    row_time,
)
from include.privacy.requests.people import dictionary, insert_rows, is_telling
from include.privacy.requests.queue import ID_TYPES
from include.privacy.requests.search import ROW, parquet, token_list

if TYPE_CHECKING:
    from include.config import Normalisation

SCHEMA = {
    "id_type": "varchar",  # of an identifier, or the kind of a record
    "hash": "varchar",
    "request_id": "varchar",
    "erased_on": "date",
    "returned_on": "date",
    "key_mark": "varchar",
}


def tombstones_path(lake: Lake) -> Path:
    return lake.root / "privacy" / "tombstones.parquet"


def open_tombstones(connection: duckdb.DuckDBPyConnection, lake: Lake, key: bytes) -> bool:
    """Make `tombstone` from the file, and set the key for `hash_of`. Returns whether there is any.

    Raises StepFailed when the tombstones were made with another key: nobody could be recognised.
    """
    columns = ", ".join(f"{name} {kind}" for name, kind in SCHEMA.items())
    connection.execute(f"create or replace temp table tombstone ({columns})")
    path = tombstones_path(lake)
    if not path.exists():
        if key:
            _set_key(connection, key)
        return False
    connection.execute(f"insert into tombstone by name from read_parquet({literal(str(path))})")
    marks = [mark for (mark,) in connection.execute("select distinct key_mark from tombstone").fetchall()]
    if not marks:
        return False
    if not key or marks != [fingerprint(key)]:
        raise StepFailed(
            "erased people cannot be recognised: their tombstones were made with another key; give it as "
            "TANDEM_ERASURE_KEY (it is the TANDEM_PSEUDONYM_KEY of then, unless one of its own was set)"
        )
    _set_key(connection, key)
    return True


def place_tombstones(connection: duckdb.DuckDBPyConnection, lake: Lake, key: bytes, day: date) -> int:
    """Remember what `own_identifier` and `own_record` hold, as hashes. Returns how many tombstones there are now."""
    open_tombstones(connection, lake, key)
    connection.execute(
        f"""
        insert into tombstone
        select id_type, {hash_of("id_type", "value")}, min(request_id), {literal(f"{day}")}::date, null,
            {literal(fingerprint(key))}
        from (
            select request_id, id_type, id_value as value from own_identifier
            union all
            select request_id, kind as id_type, record_key as value from own_record
        )
        group by id_type, value
        """
    )
    return _keep(connection, lake)


def lift_tombstones(connection: duckdb.DuckDBPyConnection, lake: Lake, key: bytes, day: date) -> int:
    """Let those be taken in again from `day` on who are known by an identifier of `asked`. Returns of how many
    erasures the tombstones were lifted."""
    if not open_tombstones(connection, lake, key):
        return 0
    lifted = connection.execute(
        f"""
        select distinct tombstone.request_id from tombstone
        inner join asked on tombstone.id_type = asked.id_type and hash = {hash_of("asked.id_type", "asked.id_value")}
        """
    ).fetchall()
    for (request_id,) in lifted:
        connection.execute(
            f"update tombstone set returned_on = {literal(f'{day}')}::date where request_id = {literal(request_id)}"
        )
    _keep(connection, lake)
    return len(lifted)


def without_erased(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    part: Part,
    kind: Kind,
    normalisation: Normalisation | None = None,
) -> Part:
    """A part on its way to the lake without the rows of erased people, which its receipt counts as erased.
    `open_tombstones` has been called, and found some. Values are read by the rules of `normalisation`, the project's
    when none are given."""
    if normalisation is None:
        from include.config import Normalisation

        normalisation = Normalisation()
    channel = part.receipt.channel
    relation = f"(select *, {literal(channel)} as channel from {parquet(part.landing)})"
    _spell(connection, lake, relation, kind, normalisation)
    _recognise(connection, relation, kind)
    time = row_time(kind)
    has_returned = f"returned_on is not null and {time}::date >= returned_on" if time else "false"
    # In one query DuckDB 1.5 pairs every owned row with every landed one before it looks at their numbers.
    connection.execute(
        f"""
        create or replace temp table owned_row as
        {owned_rows(kind.name, relation, channel, with_nodes=False)};
        create or replace temp table person as
        select request_id, max(returned_on) as returned_on from tombstone group by request_id;
        create or replace temp table erased_row as
        select distinct owned_row.{ROW}
        from owned_row
        inner join {relation} as landed on owned_row.{ROW} = landed.{ROW}
        inner join person on owned_row.request_id = person.request_id
        where not coalesce({has_returned}, false)
        """
    )
    landed = _drop(connection, part.landing)
    _recognise_raw(connection, part.quarantine, normalisation)
    quarantined = _drop(connection, part.quarantine)
    if not landed + quarantined:
        return part
    receipt = replace(
        part.receipt,
        landed=part.receipt.landed - landed,
        quarantined=part.receipt.quarantined - quarantined,
        erased=part.receipt.erased + landed + quarantined,
    )
    return replace(part, receipt=receipt)


def hash_of(id_type: str, value: str) -> str:
    """SQL for HMAC-SHA-256(key, `erased:<id_type>:<value>`) in lower-case hex (RFC 2104); `open_tombstones` has set
    the key, which is in no SQL text but its own."""
    message = f"encode('erased:' || {id_type} || ':' || {value})"
    inner = f"unhex(sha256(getvariable('erased_inner') || {message}))"
    return f"sha256(getvariable('erased_outer') || {inner})"


def _set_key(connection: duckdb.DuckDBPyConnection, key: bytes) -> None:
    for name, pad in zip(("erased_inner", "erased_outer"), pads(key), strict=True):
        connection.execute(f"set variable {name} = unhex('{pad.hex()}')")


def _keep(connection: duckdb.DuckDBPyConnection, lake: Lake) -> int:
    path = tombstones_path(lake)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        (count,) = connection.execute(
            f"""
            copy (
                select id_type, hash, request_id, min(erased_on) as erased_on, max(returned_on) as returned_on, key_mark
                from tombstone
                group by all
                order by all
            ) to {literal(str(temporary))} ({PARQUET})
            """
        ).fetchone()
    return count


def _spell(
    connection: duckdb.DuckDBPyConnection, lake: Lake, relation: str, kind: Kind, normalisation: Normalisation
) -> None:
    """Make `emails`, `phones` and `countries` of the values of a part: from the dictionaries where they have them, from
    the libraries where a value is new, as the normalise step does after landing."""
    columns = IDENTIFIERS[kind.name]
    for name, id_type in (("emails", "email"), ("phones", "phone")):
        texts = (
            [f"select {id_type} as raw, null::varchar as country from {relation}"]
            if id_type in columns
            else []
        )
        if kind.name == "customers" and id_type == "phone":
            texts = [f"select phone as raw, country from {relation}"]
        if kind.name in STATED:
            texts = [
                f"select id_value as raw, null as country from {relation} where id_type = {literal(id_type)}"
            ]
        texts = texts or ["select null::varchar as raw, null::varchar as country where false"]
        connection.execute(
            f"create or replace temp table found as select distinct * from ({texts[0]}) where raw is not null"
        )
        if name == "emails":
            _spell_emails(connection, lake, normalisation)
        else:
            _spell_phones(connection, normalisation)


def _spell_emails(connection: duckdb.DuckDBPyConnection, lake: Lake, normalisation: Normalisation) -> None:
    connection.execute(
        f"""
        create or replace temp table emails as
        select raw, known.email
        from found
        inner join {dictionary(lake, "emails", ("raw", "email"))} as known using (raw)
        """
    )
    new = connection.execute("select raw from found anti join emails using (raw)").fetchall()
    spelt = [(raw, normalise_email(raw, normalisation.email.provider_rules)[0]) for (raw,) in new]
    insert_rows(connection, "emails", [row for row in spelt if row[1]])


def _spell_phones(connection: duckdb.DuckDBPyConnection, normalisation: Normalisation) -> None:
    found = connection.execute("select raw, country from found").fetchall()
    countries = {raw: normalise_country(raw)[0] for raw in {country for _, country in found} if raw}
    connection.execute("create or replace temp table countries (raw varchar, country varchar)")
    insert_rows(connection, "countries", [(raw, code) for raw, code in countries.items() if code])
    spelt = {
        (raw, code, normalise_phone(raw, code or normalisation.region)[0])
        for raw, country in found
        for code in [countries.get(country)]
    }
    connection.execute("create or replace temp table phones (raw varchar, country varchar, phone varchar)")
    insert_rows(connection, "phones", [row for row in spelt if row[2]])


def _recognise(connection: duckdb.DuckDBPyConnection, relation: str, kind: Kind) -> None:
    """Fill the tables of `owned_rows` with those identifiers and records of a part that have a tombstone."""
    own_nobody(connection)
    spelt = {"email": "select email from emails", "phone": "select phone from phones"}
    for column in IDENTIFIERS[kind.name]:
        id_type = "anonymous_id" if column == "previous_id" else column
        values = spelt.get(id_type) or f"select {FILLED.format(column)} from {relation} as landed"
        _recognise_values(connection, "own_identifier", literal(id_type), values)
    if kind.name in STATED:
        for id_type in ID_TYPES:
            plain = f"select {FILLED.format('id_value')} from {relation} as landed where id_type = {literal(id_type)}"
            _recognise_values(connection, "own_identifier", literal(id_type), spelt.get(id_type) or plain)
    if kind.name in RECORD_KEYS:
        named, key = RECORD_KEYS[kind.name]
        _recognise_values(connection, "own_record", literal(named), f"select {key} from {relation} as landed")


def _recognise_values(connection: duckdb.DuckDBPyConnection, table: str, id_type: str, values: str) -> None:
    connection.execute(
        f"""
        insert into {table}
        select tombstone.request_id, {id_type}, given.value
        from (select distinct value from ({values}) as given (value) where value is not null) as given
        inner join tombstone
            on tombstone.id_type = {id_type} and tombstone.hash = {hash_of(id_type, "given.value")}
        """
    )


def _recognise_raw(
    connection: duckdb.DuckDBPyConnection, quarantine: Path, normalisation: Normalisation
) -> None:
    """Make `erased_row` of quarantined rows with an erased identifier in their raw text, if it is long enough to be
    told from any other number."""
    connection.execute(
        f"""
        create or replace temp table raw_token as
        select {ROW}, unnest({token_list("raw")}) as token from {parquet(quarantine)}
        """
    )
    tokens = [token for (token,) in connection.execute("select distinct token from raw_token").fetchall()]
    named = []
    for token in tokens:
        if "@" in token:
            named.append((token, "email", normalise_email(token, normalisation.email.provider_rules)[0]))
        elif is_telling(token):
            named += [(token, id_type, token) for id_type in ID_TYPES if id_type not in ("email", "phone")]
            named += [
                (token, id_type, token.upper()) for id_type in ID_TYPES if id_type not in ("email", "phone")
            ]
        if token.isdigit():
            named += [
                (token, "phone", normalise_phone(text, normalisation.region)[0])
                for text in (token, f"+{token}")
            ]
    connection.execute(
        "create or replace temp table raw_name (token varchar, id_type varchar, value varchar)"
    )
    insert_rows(connection, "raw_name", sorted({row for row in named if row[2]}))
    connection.execute(
        f"""
        create or replace temp table erased_row as
        select distinct {ROW}
        from raw_token
        inner join raw_name using (token)
        inner join tombstone
            on tombstone.id_type = raw_name.id_type
            and tombstone.hash = {hash_of("raw_name.id_type", "raw_name.value")}
        where tombstone.returned_on is null
        """
    )


def _drop(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Take the rows of `erased_row` out of a file; returns how many."""
    (count,) = connection.execute("select count(*) from erased_row").fetchone()
    if count:
        rest = path.with_name(f"rest_{path.name}")
        connection.execute(
            f"""
            copy (
                select * exclude ({ROW}) from {parquet(path)}
                where {ROW} not in (select {ROW} from erased_row)
                order by {ROW}
            ) to {literal(str(rest))} ({PARQUET})
            """
        )
        rest.replace(path)
    return count
