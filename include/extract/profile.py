"""What the columns of a source look like: the type and the shape of their values, and an example that names nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from include.extract.formats.reading import RAW, ROW, SOURCE, Source
from include.extract.sql import NUMBER, as_text, clean, identifier, literal, read_value

VALUES = "tandem_values"  # of the rows looked at: `source_row, name, value`, the value as text
MOSTLY = 0.95
CATEGORIES = 20
# What a text must match to be of a shape, the first that nearly all values match counts.
SHAPES = {
    "boolean": "lower({text}) in ('true', 'false', 't', 'f', 'yes', 'no', 'y', 'n')",
    "integer": r"regexp_full_match({text}, '[+-]?[0-9]{{1,18}}')",
    "decimal": "regexp_full_match({text}, '" + NUMBER.replace("{", "{{").replace("}", "}}") + "')",
    "date": r"regexp_full_match({text}, '[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}')",
    "timestamp": "length({text}) > 10 and ({timestamp}) is not null",
    "e-mail": r"regexp_full_match({text}, '[^@\s\x22{{]+@[^@\s\x22]+\.[a-zA-Z0-9-]+')",
    "uuid": "regexp_full_match({text}, '(?i)[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}')",
    "ip": r"regexp_full_match({text}, '[0-9]{{1,3}}(\.[0-9]{{1,3}}){{3}}|[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*')",
    "url": "regexp_matches({text}, '^(?i)https?://')",
    "d/m/y": r"regexp_full_match({text}, '[0-3]?[0-9][-/.][0-3]?[0-9][-/.]([0-9]{{2}}){{1,2}}([ T][0-9]{{1,2}}:.*)?')",
    "phone": r"regexp_full_match({text}, '(\+|00|\()[0-9 ()./-]{{6,20}}|[0-9]{{2,5}}[ ./-][0-9 ()./-]{{4,16}}')",
    "json": r"regexp_matches({text}, '^[{{\[]') and json_valid({text})",
}
PERSONAL_SHAPES = ("e-mail", "phone", "ip", "uuid", "url", "json")


@dataclass(frozen=True)
class SourceColumn:
    """One column of a source: its own `type` or, where its format has none, the one that its values look like; the
    `shape` of its values, of `SHAPES` or `text`; how many rows have a value and how many different ones there are."""

    name: str
    type: str
    shape: str
    filled: int
    distinct: int
    example: str

    @property
    def is_category(self) -> bool:
        """Few values that come again and again, so that one of them says nothing of a person."""
        return self.distinct <= CATEGORIES and self.distinct * 5 <= self.filled


def profile_columns(connection: duckdb.DuckDBPyConnection, source: Source) -> list[SourceColumn]:
    """The columns of a source in its order; of JSON and other texts the keys of its objects in that of their names.

    Leaves the table `tandem_values`. Raises StepFailed when the source cannot be read.
    """
    source.run(connection, f"create or replace temp table {VALUES} as {_values_of(source)}")
    checks = ",\n".join(
        f"count(*) filter (where {_matches(shape)}) as {identifier(shape)}" for shape in SHAPES
    )
    rows = connection.execute(
        f"""
        select name, count(*) as filled, count(distinct value), min_by(value, source_row), {checks}
        from {VALUES} group by name order by name
        """
    ).fetchall()
    found = {}
    for name, filled, distinct, example, *counts in rows:
        matching = dict(zip(SHAPES, counts, strict=True))
        shape = next((shape for shape, count in matching.items() if count >= MOSTLY * filled), "text")
        own = source.columns.get(name, "VARCHAR")
        found[name] = SourceColumn(
            name, shape if own == "VARCHAR" else own.lower(), shape, filled, distinct, example
        )
    empty = [SourceColumn(name, "empty", "text", 0, 0, "") for name in source.columns if name not in found]
    columns = {column.name: column for column in [*found.values(), *empty]}
    return [columns[name] for name in source.columns or found]


def shown(value: str, is_personal: bool) -> str:
    """A value as a log may have it: of a personal one only how it begins and how long it is."""
    text = " ".join(value.split())
    if is_personal:
        domain = re.fullmatch(r'[^@\s"{]+@[^@\s"]+\.([A-Za-z]{2,10})', text)
        ending = f"@…{domain[1]}" if domain else ""
        return f"{text[:1]}…{ending} ({len(text)})"
    return text if len(text) <= 28 else f"{text[:25]}… ({len(text)})"


def pattern_of(value: str) -> str:
    """The form of a value without what it says: each digit as 9, each letter as a."""
    text = " ".join(value.split())[:28]
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))


def _values_of(source: Source) -> str:
    if source.columns:
        entries = ", ".join(
            f"{{'name': {literal(name)}, 'value': {clean(as_text(identifier(name), kind))}}}"
            for name, kind in source.columns.items()
        )
        entries = f"[{entries}]::struct(name varchar, value varchar)[]"
        return f"""
            select source_row, entry.name as name, entry.value as value
            from (select {ROW} as source_row, unnest({entries}) as entry from {SOURCE})
            where entry.value is not null
        """
    return f"""
        select source_row, entry.key as name, {clean("entry.value")} as value
        from (
            select {ROW} as source_row,
                unnest(map_entries(try(json_transform({RAW}, '"MAP(VARCHAR, VARCHAR)"')))) as entry
            from {SOURCE}
            where json_valid({RAW}) and json_type({RAW}) = 'OBJECT'
        )
        where {clean("entry.value")} is not null
    """


def _matches(shape: str) -> str:
    return SHAPES[shape].format(text="value", timestamp=read_value("value", "timestamp"))
