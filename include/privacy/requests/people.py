"""Whom a request is about: from any identifier, through the identity graph, to everything that is known by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.sql import literal
from include.lake import Lake
from include.normalise.emails import normalise_email
from include.normalise.phones import normalise_phone
from include.privacy.pseudonym import visitor_id
from include.privacy.requests.queue import Request

if TYPE_CHECKING:
    from include.config import Normalisation

SHORTEST_TOKEN = 8
PHONE_DIGITS = 9
IDENTITY = {
    "node_customers": ("node_key", "kind", "channel", "record_id", "customer_id", "exact_id", "loose_id"),
    "edges": ("node_key", "id_type", "id_value", "status"),
    "history": ("issued_customer_id", "customer_id"),
    "links": ("node_key_b", "customer_id"),
}


@dataclass(frozen=True)
class Found:
    """What a request came to: how many customers, how many of their records only likeness links, and how many of
    their identifiers others have too; rows that carry nothing but those stay, for nobody knows whose they are."""

    customers: int
    likely_records: int
    shared_identifiers: int


def normalise_identifier(id_type: str, value: str, normalisation: Normalisation) -> str:
    """An identifier in the spelling that the identity graph has; what cannot be normalised only loses its spaces."""
    if id_type == "email":
        return normalise_email(value, normalisation.email.provider_rules)[0] or value.strip()
    if id_type == "phone":
        return normalise_phone(value, normalisation.region)[0] or value.strip()
    return value.strip()


def find_people(
    connection: duckdb.DuckDBPyConnection, lake: Lake, asked: Sequence[Request], normalisation: Normalisation
) -> dict[str, Found]:
    """Make the tables that say who is meant, by request:

    `person_customer(request_id, customer_id)`, the ids that lead to them today among them; `person_node(request_id,
    node_key, kind, channel, record_id)`, the records and sets of identifiers that are theirs; and
    `person_identifier(request_id, id_type, id_value, is_own)`, where `is_own` says that nobody else has it.

    Reads the latest day of identity. Somebody of whom it knows nothing, as a stranger's cookie, is their identifiers
    alone.
    """
    _read_identity(connection, lake)
    connection.execute(
        "create or replace temp table asked (request_id varchar, id_type varchar, id_value varchar)"
    )
    rows = [
        (request.request_id, each.id_type, normalise_identifier(each.id_type, each.id_value, normalisation))
        for request in asked
        for each in request.identifiers
    ]
    insert_rows(connection, "asked", rows)
    connection.execute(
        """
        create or replace temp table person_customer as
        select distinct asked.request_id, node_customers.customer_id
        from asked
        inner join edges on asked.id_type = edges.id_type and asked.id_value = edges.id_value
        inner join node_customers on edges.node_key = node_customers.node_key
        where node_customers.customer_id is not null
        union
        select asked.request_id, coalesce(history.customer_id, asked.id_value)
        from asked
        left join history on asked.id_value = history.issued_customer_id
        where asked.id_type = 'customer_id'
        """
    )
    connection.execute(
        """
        create or replace temp table person_node as
        select person_customer.request_id, node_key, kind, channel, record_id
        from node_customers
        inner join person_customer on node_customers.customer_id = person_customer.customer_id
        """
    )
    connection.execute(
        """
        create or replace temp table person_identifier as
        with

        theirs as (

            select person_node.request_id, id_type, id_value, bool_or(status = 'active') as is_active
            from edges
            inner join person_node on edges.node_key = person_node.node_key
            where id_type is not null
            group by all

        ),

        others as (

            select distinct person.request_id, edges.id_type, edges.id_value
            from (select request_id, id_type, id_value from theirs union select * from asked) as person
            inner join edges on person.id_type = edges.id_type and person.id_value = edges.id_value
            inner join node_customers on edges.node_key = node_customers.node_key
            where
                node_customers.customer_id is not null
                and node_customers.customer_id not in (
                    select customer_id from person_customer where person_customer.request_id = person.request_id
                )

        ),

        named as (

            select request_id, id_type, id_value, is_active from theirs
            union all
            select request_id, id_type, id_value, true as is_active from asked where id_type <> 'customer_id'

        )

        select
            named.request_id,
            named.id_type,
            named.id_value,
            bool_or(named.is_active) and count(others.id_value) = 0 as is_own,
        from named
        left join others using (request_id, id_type, id_value)
        group by all
        """
    )
    connection.execute(
        """
        insert into person_customer
        select distinct person_customer.request_id, issued_customer_id
        from history
        inner join person_customer on history.customer_id = person_customer.customer_id
        where (person_customer.request_id, issued_customer_id) not in (
            select (request_id, customer_id) from person_customer
        )
        """
    )
    return _count(connection, [request.request_id for request in asked])


def find_values(connection: duckdb.DuckDBPyConnection, lake: Lake, keys: Sequence[bytes]) -> None:
    """Make the tables of what is searched for, from those of `find_people`:

    `person_value(request_id, what, id_type, value)`: whole values, each of a sort: customer, node, pseudonym, or
    identifier with its type, as it is spelt in the graph and as it landed; pseudonyms under each of the keys;
    `person_token(request_id, token)`: those that are too long to be anything else, their plain hashes, and the digits
    of telephone numbers, as `tokens_of` finds them within any text.
    """
    identifiers = connection.execute(
        f"""
        select request_id, id_type, id_value from person_identifier where is_own
        union
        select request_id, 'email', emails.raw
        from person_identifier
        inner join {dictionary(lake, "emails", ("raw", "email"))} as emails
            on person_identifier.id_type = 'email' and person_identifier.id_value = emails.email
        where is_own
        union
        select request_id, 'phone', phones.raw
        from person_identifier
        inner join {dictionary(lake, "phones", ("raw", "phone"))} as phones
            on person_identifier.id_type = 'phone' and person_identifier.id_value = phones.phone
        where is_own
        order by all
        """
    ).fetchall()
    nodes = connection.execute(
        "select request_id, node_key, record_id from person_node order by all"
    ).fetchall()
    tiers = connection.execute(
        """
        select distinct person_node.request_id, unnest([customer_id, exact_id, loose_id]) as customer_id
        from node_customers inner join person_node using (node_key)
        union
        select request_id, customer_id from person_customer
        order by all
        """
    ).fetchall()
    values = {(request, "customer", "", value) for request, value in tiers if value}
    values |= {(request, "node", "", node) for request, node, _ in nodes}
    tokens = {(request, canonical(value)) for request, value in tiers if value}
    for request, node, record in nodes:
        tokens |= {
            (request, canonical(part)) for part in (node.rsplit(":", 1)[-1], record or "") if is_telling(part)
        }
    for request, id_type, value in identifiers:
        values.add((request, "identifier", id_type, value))
        pseudonyms = [visitor_id(key, id_type, value) for key in keys]
        values |= {(request, "pseudonym", "", each) for each in pseudonyms}
        tokens |= {(request, each) for each in pseudonyms}
        spellings = {value, value.strip().lower()}
        if id_type == "phone":
            digits = re.sub(r"\D", "", value)
            spellings.add(digits)
            if len(digits) >= PHONE_DIGITS:
                tokens.add((request, digits))
        if is_telling(value):
            tokens.add((request, canonical(value)))
        tokens |= {
            (request, hashlib.new(name, spelling.encode()).hexdigest())
            for spelling in spellings
            for name in ("md5", "sha1", "sha256")
        }
    connection.execute(
        "create or replace temp table person_value (request_id varchar, what varchar, id_type varchar, value varchar)"
    )
    connection.execute("create or replace temp table person_token (request_id varchar, token varchar)")
    insert_rows(connection, "person_value", sorted(values))
    insert_rows(connection, "person_token", sorted(tokens))


def is_telling(value: str) -> bool:
    """Whether a value is long enough to be looked for within any text: `1234` may be a price, an address is itself."""
    has_letter, has_digit = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    if "@" in value:
        return len(value) >= SHORTEST_TOKEN
    return len(value) >= 16 or (len(value) >= (9 if has_letter and has_digit else 11) and has_digit)


def canonical(value: str) -> str:
    """A value as it is compared within texts: lower case, without what often stands around it."""
    return value.strip().lower().strip(".-_+")


def dictionary(lake: Lake, name: str, columns: Iterable[str]) -> str:
    """A dictionary of landed values as a relation, empty when there is none yet."""
    path = lake.dictionary(name)
    listed = ", ".join(columns)
    if path.exists():
        return f"(select {listed} from read_parquet({literal(str(path))}, hive_partitioning = false))"
    return f"(select {', '.join(f'null::varchar as {column}' for column in columns)} where false)"


def insert_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[str, ...]]) -> None:
    """Put rows of texts into a table, as Arrow."""
    import pyarrow as pa

    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    given = pa.table(
        [pa.array(column, pa.string()) for column in columns], [f"c{n}" for n in range(len(columns))]
    )
    connection.register("tandem_given", given)
    connection.execute(f"insert into {table} select * from tandem_given")
    connection.unregister("tandem_given")


def latest_identity(lake: Lake) -> Path | None:
    """The folder of the latest day of identity, None when no day has been resolved."""
    days = sorted((lake.root / "identity").glob("date=*/node_customers.parquet"))
    return days[-1].parent if days else None


def _read_identity(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    folder = latest_identity(lake)
    for table, columns in IDENTITY.items():
        path = folder / f"{table}.parquet" if folder else None
        if path is not None and path.exists():
            query = f"select {', '.join(columns)} from read_parquet({literal(str(path))}, hive_partitioning = false)"
        else:
            query = f"select {', '.join(f'null::varchar as {column}' for column in columns)} where false"
        connection.execute(f"create or replace temp view {table} as {query}")


def _count(connection: duckdb.DuckDBPyConnection, request_ids: list[str]) -> dict[str, Found]:
    """What each request came to, from the tables of `find_people`."""
    counted = connection.execute(
        """
        select request_id, sum(customers), sum(likely), sum(shared)
        from (
            select request_id, count(distinct customer_id) as customers, 0 as likely, 0 as shared
            from person_node inner join node_customers using (node_key)
            group by request_id
            union all
            select request_id, 0, count(distinct node_key_b), 0
            from links inner join person_customer using (customer_id)
            group by request_id
            union all
            select request_id, 0, 0, count(*) from person_identifier where not is_own group by request_id
        )
        group by request_id
        """
    ).fetchall()
    found = {request_id: Found(*map(int, counts)) for request_id, *counts in counted}
    return {request_id: found.get(request_id, Found(0, 0, 0)) for request_id in request_ids}
