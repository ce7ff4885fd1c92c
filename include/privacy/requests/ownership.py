"""Which landed rows are whose: by the identifiers that a row carries, by what it is a record of, and by who had the
device then. The same question is asked of what has landed, for a request, and of what lands, against the tombstones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.extract.kinds import Kind
from include.extract.sql import literal
from include.lake import Lake
from include.privacy.requests.people import dictionary
from include.privacy.requests.search import ROW, parquet

# The identifier columns of the nodes of each kind, as the macro `identifiers_of` of the dbt project has them.
PERSONAL = ("customer_number", "loyalty_number", "user_id", "email", "phone", "national_id")
BEHAVIOUR = ("user_id", "email", "phone", "anonymous_id", "previous_id", "device_id", "advertising_id")
CONTACT = ("customer_number", "loyalty_number", "user_id", "email", "phone", "anonymous_id", "device_id")
IDENTIFIERS = {
    "customers": PERSONAL,
    "events": BEHAVIOUR,
    "orders": CONTACT,
    "interactions": CONTACT,
    "messages": CONTACT,
    "order_lines": (),
    "products": (),
    "traits": (),
    "consents": (),
}
FILLED = "nullif(trim(landed.{}), '')"  # the macro `normalise_id` of the dbt project
STATED = ("traits", "consents")  # kinds whose rows say of which type their `id_value` is
# What names a record in all its versions, which may not all say who it was. A line goes with its order.
RECORD_KEYS = {
    "customers": ("customers", "channel || '|' || record_id"),
    "events": ("events", "channel || '|' || event_id"),
    "orders": ("orders", "order_id"),
    "order_lines": ("orders", "order_id"),
    "interactions": ("interactions", "channel || '|' || interaction_id"),
    "messages": ("messages", "channel || '|' || message_id"),
}


@dataclass(frozen=True)
class Landed:
    """A landed file: its kind and channel, and where it is."""

    path: Path
    kind: str
    channel: str

    @property
    def relation(self) -> str:
        return f"(select *, {literal(self.channel)} as channel from {parquet(self.path)})"


def landed_files(lake: Lake) -> list[Landed]:
    """Every file of landing, in order of path."""
    return [
        Landed(path, path.parents[2].name, path.parents[1].name.removeprefix("channel="))
        for path in sorted((lake.root / "landing").glob("*/*/*/*.parquet"))
    ]


def refused_files(lake: Lake) -> list[Path]:
    """Every file of quarantine, in order of path."""
    return sorted((lake.root / "quarantine").glob("*/*/*/*.parquet"))


def open_dictionaries(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """The views `emails`, `phones` and `countries`: what landed values are normalised to."""
    for name, columns in (
        ("emails", ("raw", "email")),
        ("phones", ("raw", "country", "phone")),
        ("countries", ("raw", "country")),
    ):
        connection.execute(
            f"create or replace temp view {name} as select * from {dictionary(lake, name, columns)} as known"
        )


def own_people(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Make what `owned_rows` asks, from the tables of `find_people`: `own_identifier(request_id, id_type, id_value)`,
    `own_node(request_id, node_key)` of records that carry shared identifiers only, `own_interval`, when a shared device
    was theirs, and `own_record(request_id, kind, record_key)`."""
    connection.execute(
        """
        create or replace temp table own_identifier as
        select request_id, id_type, id_value from person_identifier where is_own
        """
    )
    connection.execute(
        """
        create or replace temp table own_node as
        select request_id, node_key
        from person_node
        where
            kind <> 'customers'
            and (request_id, node_key) not in (
                select (own_identifier.request_id, edges.node_key)
                from edges inner join own_identifier using (id_type, id_value)
            )
        """
    )
    owned = lake.current / "cdp" / "device_ownership.parquet"
    nobody = (
        "select '' as id_type, '' as id_value, '' as customer_id, null::timestamp as owned_from, "
        "null::timestamp as owned_until where false"
    )
    intervals = (
        f"select * from read_parquet({literal(str(owned))}, hive_partitioning = false)"
        if owned.exists()
        else nobody
    )
    connection.execute(
        f"""
        create or replace temp table own_interval as
        select request_id, id_type, id_value, owned_from, owned_until
        from ({intervals}) inner join person_customer using (customer_id)
        """
    )
    connection.execute(
        """
        create or replace temp table own_record as
        select request_id, 'customers' as kind, channel || '|' || record_id as record_key
        from person_node where kind = 'customers'
        """
    )


def own_nobody(connection: duckdb.DuckDBPyConnection) -> None:
    """The tables of `own_people`, empty, for whoever fills them otherwise."""
    connection.execute(
        "create or replace temp table own_identifier (request_id varchar, id_type varchar, id_value varchar)"
    )
    connection.execute("create or replace temp table own_node (request_id varchar, node_key varchar)")
    connection.execute(
        "create or replace temp table own_interval (request_id varchar, id_type varchar, id_value varchar, "
        "owned_from timestamp, owned_until timestamp)"
    )
    connection.execute(
        "create or replace temp table own_record (request_id varchar, kind varchar, record_key varchar)"
    )


def owned_rows(kind: str, relation: str, channel: str, with_nodes: bool) -> str:
    """A query for the rows of a relation of landed rows that are somebody's: `file_row_number`, `request_id`.

    `with_nodes` looks at sets of identifiers too, which costs reading the dictionaries for every row.
    """
    queries = []
    for column in IDENTIFIERS[kind]:
        queries.append(_by_identifier(kind, relation, column))
    if kind in STATED:
        queries.append(_by_statement(relation))
    if kind in RECORD_KEYS:
        named, key = RECORD_KEYS[kind]
        queries.append(
            f"""
            select {ROW}, request_id from {relation} as landed
            inner join own_record on own_record.kind = {literal(named)} and own_record.record_key = {key}
            """
        )
    if kind == "events":
        queries += [
            _by_interval(relation, column) for column in ("anonymous_id", "device_id", "advertising_id")
        ]
    if with_nodes and IDENTIFIERS[kind] and kind != "customers":
        queries.append(_by_node(kind, relation, channel))
    if not queries:
        return f"select {ROW}, null::varchar as request_id from {relation} as landed where false"
    return " union ".join(queries)


def _by_identifier(kind: str, relation: str, column: str) -> str:
    id_type = "anonymous_id" if column == "previous_id" else column
    own = f"(select * from own_identifier where id_type = {literal(id_type)}) as own"
    if column == "email":
        return f"""
            select {ROW}, request_id from {relation} as landed
            inner join (select raw, request_id from emails inner join {own} on emails.email = own.id_value) as spelt
                on landed.email = spelt.raw
        """
    if column == "phone":
        country = "countries.country" if kind == "customers" else "null::varchar"
        join = "left join countries on landed.country = countries.raw" if kind == "customers" else ""
        return f"""
            select {ROW}, request_id from {relation} as landed
            {join}
            inner join (
                select raw, phones.country, request_id from phones inner join {own} on phones.phone = own.id_value
            ) as spelt
                on landed.phone = spelt.raw and {country} is not distinct from spelt.country
        """
    return f"""
        select {ROW}, request_id from {relation} as landed
        inner join {own} on trim(landed.{column}) = own.id_value
    """


def _by_statement(relation: str) -> str:
    return f"""
        select {ROW}, request_id from {relation} as landed
        left join emails on case landed.id_type when 'email' then landed.id_value end = emails.raw
        left join phones
            on case landed.id_type when 'phone' then landed.id_value end = phones.raw and phones.country is null
        inner join own_identifier
            on landed.id_type = own_identifier.id_type
            and coalesce(emails.email, phones.phone, trim(landed.id_value)) = own_identifier.id_value
    """


def _by_interval(relation: str, column: str) -> str:
    """Behaviour on a shared device while it was theirs, of which nothing says that it was another's."""
    return f"""
        select {ROW}, request_id from {relation} as landed
        inner join own_interval
            on own_interval.id_type = {literal(column)} and own_interval.id_value = trim(landed.{column})
            and landed.occurred_at between own_interval.owned_from and own_interval.owned_until
        where coalesce(landed.user_id, landed.email, landed.phone) is null
    """


def _by_node(kind: str, relation: str, channel: str) -> str:
    """The macro `node_key` of the dbt project, of rows whose set of identifiers is theirs though none of it is."""
    spelt = {"email": "emails.email", "phone": "phones.phone"}
    parts = ", ".join(
        f"{literal(f'{name}:')} || {spelt.get(name, FILLED.format(name))}" for name in IDENTIFIERS[kind]
    )
    return f"""
        select {ROW}, request_id from {relation} as landed
        left join emails on landed.email = emails.raw
        left join phones on landed.phone = phones.raw and phones.country is null
        inner join own_node
            on own_node.node_key = {literal(f"{kind}:{channel}:")} || md5(nullif(concat_ws('|', {parts}), ''))
    """


def row_time(kind: Kind) -> str | None:
    """The column that says when a row of a kind happened or was true; None for lines and products."""
    column = {"orders": "ordered_at", "events": "occurred_at"}.get(kind.name, kind.ordered_by)
    types = {each.name: each.type for each in kind.columns}
    return column if types[column] == "timestamp" else None
