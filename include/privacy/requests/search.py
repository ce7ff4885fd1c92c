"""Finds people in files of any kind: their ids and identifiers in the columns that name somebody, their longer values
and the hashes of these within any text."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.extract.sql import identifier, literal
from include.privacy.requests.people import SHORTEST_TOKEN, canonical
from include.privacy.requests.places import naming_columns

# A word ends where a text in JSON, CSV, HTML, a log or an address ends one; a telephone number may have signs in it.
WORD = r"[^\s\"'`<>(){}\[\],;|=&?#!*\\:/]{" + str(SHORTEST_TOKEN) + ",}"
PHONE = r"\+?\(?[0-9][0-9 ().\-]{6,18}[0-9]"
SINGLE_WORD = r"[A-Za-z0-9@._+\-]*"
SEPARATORS = r"[ ().\-]*"
ERASED = "(erased)"
ROW = "file_row_number"
FEW_ROWS = 50_000


@dataclass(frozen=True)
class Columns:
    """The columns of a relation in which somebody may stand: `naming` ones by what they name, and those with text."""

    naming: dict[str, str]
    texts: dict[str, str]  # name to DuckDB type
    names: frozenset[str]


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> Columns:
    """The columns of a relation (SQL) to look at."""
    types = {
        name: kind for name, kind, *_ in connection.execute(f"describe select * from {relation}").fetchall()
    }
    return Columns(
        {name: what for name, what in naming_columns().items() if types.get(name) == "VARCHAR"},
        {name: kind for name, kind in types.items() if "VARCHAR" in kind or kind == "JSON"},
        frozenset(types),
    )


def mark(connection: duckdb.DuckDBPyConnection, relation: str) -> str | None:
    """Make `named(row, request_id)`, rows that are somebody's by a naming column, and `mentioned(row, request_id,
    column_name, token)`, other rows with a value of theirs in a text. Returns what `in_memory` does.

    `relation` is SQL with a number of each row in the column `file_row_number`.
    """
    connection.execute(
        """
        create or replace temp table named ("row" bigint, request_id varchar);
        create or replace temp table mentioned ("row" bigint, request_id varchar, column_name varchar, token varchar)
        """
    )
    held = in_memory(connection, relation)
    if held is None:
        return None
    columns = columns_of(connection, held)
    queries = [_named(held, columns, name, what) for name, what in columns.naming.items()]
    if {"channel", "record_id"} <= columns.names:
        queries.append(
            f"""
            select held.{ROW}, person.request_id
            from {held} as held
            inner join person_value as person
                on person.what = 'node' and person.value = 'customers:' || held.channel || ':' || held.record_id
            """
        )
    named = 0
    if queries:
        (named,) = connection.execute(f"insert into named {' union '.join(queries)}").fetchone()
    texts = list(columns.texts.items())
    for together in [texts] if held != relation else [[text] for text in texts]:
        if together:
            _mark_mentions(connection, held, together)
    if named:
        connection.execute('delete from mentioned where "row" in (select "row" from named)')
    return held


def count_by_request(connection: duckdb.DuckDBPyConnection) -> Counter[str]:
    """Rows per request of what `mark` found last."""
    return Counter(
        dict(
            connection.execute(
                """
                select request_id, count(distinct "row")
                from (select "row", request_id from named union select "row", request_id from mentioned)
                group by request_id
                """
            ).fetchall()
        )
    )


def in_memory(connection: duckdb.DuckDBPyConnection, relation: str) -> str | None:
    """A relation to ask many things of: its rows in memory when they are few, for opening a file takes as long as
    reading it then; itself otherwise, and None when it has no row."""
    (count,) = connection.execute(
        f"create or replace temp table held_in_memory as select * from {relation} limit {FEW_ROWS + 1}"
    ).fetchone()
    if not count:
        return None
    return relation if count > FEW_ROWS else "held_in_memory"


def parquet(path: Path) -> str:
    """A Parquet file as a relation whose rows are numbered."""
    return f"read_parquet({literal(str(path))}, hive_partitioning = false, file_row_number = true)"


def tables_of(connection: duckdb.DuckDBPyConnection, database: Path) -> Iterator[str]:
    """Each table of a DuckDB file as a relation whose rows are numbered; the file is open while they are read."""
    connection.execute(f"attach {literal(str(database))} as searched (read_only)")
    try:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'searched' order by all"
        ).fetchall()
        for schema, table in tables:
            yield f"(select *, rowid as {ROW} from searched.{identifier(schema)}.{identifier(table)})"
    finally:
        connection.execute("detach searched")


def tokens_of(text: str) -> set[str]:
    """The words of a text that may be somebody's, as `person_token` has them."""
    text = text.replace("%40", "@")
    words = {canonical(word) for word in re.findall(WORD, text)}
    return words | {re.sub(r"\D", "", number) for number in re.findall(PHONE, text)}


def token_list(text: str) -> str:
    """SQL for the list of the words of a text, as `tokens_of`."""
    return f"""list_distinct(list_concat(
        list_transform(
            regexp_extract_all(lower(replace({text}, '%40', '@')), {literal(WORD)}), lambda word: trim(word, '.-_+')
        ),
        list_transform(
            regexp_extract_all({text}, {literal(PHONE)}), lambda number: regexp_replace(number, '[^0-9]', '', 'g')
        )
    ))"""


def read_text(path: Path) -> str:
    """A file that is no table as text, whatever it is."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "replace")


def requests_in(path: Path, tokens: dict[str, set[str]]) -> set[str]:
    """The requests of which a file that is no table holds a token; `tokens` has the requests of each."""
    return {request for token in tokens_of(read_text(path)) & tokens.keys() for request in tokens[token]}


def blanks(tokens: set[str]) -> re.Pattern[str]:
    """What finds these tokens in a text, so that it can be blanked."""
    return re.compile(_alternatives(tokens), re.IGNORECASE)


def blanking(name: str, kind: str, tokens: set[str]) -> str | None:
    """SQL of a column without these tokens; None when its type is not of texts."""
    pattern = literal(_alternatives(tokens))

    def blank(text: str) -> str:
        return f"regexp_replace({text}, {pattern}, {literal(ERASED)}, 'gi')"

    column = identifier(name)
    if kind == "VARCHAR":
        return blank(column)
    if kind == "VARCHAR[]":
        return f"list_transform({column}, lambda item: {blank('item')})"
    if kind == "MAP(VARCHAR, VARCHAR)":
        entry = f"{{'key': entry.key, 'value': {blank('entry.value')}}}"
        return f"map_from_entries(list_transform(map_entries({column}), lambda entry: {entry}))"
    return None


def _alternatives(tokens: set[str]) -> str:
    """The longest first, so that none is cut short by another; digits as of a telephone number, with signs between."""
    parts = []
    for token in sorted(tokens, key=lambda token: (-len(token), token)):
        if token.isdigit():
            parts.append(rf"\+?\(?{SEPARATORS.join(token)}")
        else:
            parts.append(re.escape(token).replace("@", "(?:@|%40)"))
    return "|".join(parts)


def _named(relation: str, columns: Columns, name: str, what: str) -> str:
    column = f"held.{identifier(name)}"
    if what == "member":
        condition = f"person.what in ('customer', 'pseudonym') and person.value = {column}"
    elif what != "identifier":
        condition = f"person.what = {literal(what)} and person.value = {column}"
    elif name == "id_value":
        if "id_type" not in columns.names:
            return f"select {ROW}, null::varchar from {relation} where false"
        condition = (
            f"person.what = 'identifier' and person.id_type = held.id_type and person.value = {column}"
        )
    else:
        id_type = literal("anonymous_id" if name == "previous_id" else name)
        condition = (
            f"person.what = 'identifier' and person.id_type = {id_type} and person.value = trim({column})"
        )
    return f"""
        select held.{ROW}, person.request_id
        from {relation} as held
        inner join person_value as person on {condition}
    """


def _mark_mentions(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: list[tuple[str, str]]
) -> None:
    """A value that is one word is compared as it is; only texts of several are taken apart, each distinct one once."""
    entries = ", ".join(
        f"{{'column_name': {literal(name)}, 'text': {_as_text(name, kind)}}}" for name, kind in columns
    )
    texts = f"(select {ROW}, unnest([{entries}], recursive := true) from {relation} as held)"
    if len(columns) == 1:
        ((name, kind),) = columns
        text = _as_text(name, kind)
        texts = f"(select {ROW}, {literal(name)} as column_name, {text} as text from {relation} as held)"
    (mentions,) = connection.execute(
        f"""
        insert into mentioned
        select texts.{ROW}, person.request_id, texts.column_name, person.token
        from {texts} as texts
        inner join person_token as person on trim(lower(texts.text), '.-_+') = person.token;
        create or replace temp table mention as
        select text, request_id, token
        from (
            select text, unnest({token_list("text")}) as token
            from (
                select distinct text from {texts} as texts
                where length(text) >= {SHORTEST_TOKEN} and not regexp_full_match(text, {literal(SINGLE_WORD)})
            )
        )
        inner join person_token using (token)
        """
    ).fetchone()
    if mentions:
        connection.execute(
            f"""
            insert into mentioned
            select texts.{ROW}, mention.request_id, texts.column_name, mention.token
            from {texts} as texts
            inner join mention on texts.text = mention.text
            """
        )


def _as_text(name: str, kind: str) -> str:
    column = f"held.{identifier(name)}"
    return column if kind == "VARCHAR" else f"cast(to_json({column}) as varchar)"
