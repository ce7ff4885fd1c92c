"""The fields of a source's rows: its columns, or the keys of its JSON lines, by name or by a path into nested ones.

A name is looked for as it is written first; `address.city` and `items[0].sku` lead into structs, lists and objects
where nothing has that name. `source_row` and `source_file` are the number of the row in its delivery and the
delivery's name, where the source has no such field of its own.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, SOURCE
from include.extract.sql import as_text, identifier, literal, texts
from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config import Channel, MapEntry

ENTRY = "struct(key varchar, value varchar)"
VALUES = "tandem_values"
SILENT = re.compile(r"\btry_", re.IGNORECASE)
PLACE = re.compile(r"([^.\[\]]+)((?:\[[0-9]+\])*)")
EMPTY = ("", "{}", "[]")
NOTHING = "null::varchar"
OWN = ("source_row", "source_file")
Structure = str | dict[str, "Structure"] | list["Structure"]  # as DuckDB's json_transform wants it


@dataclass(frozen=True)
class Fields:
    """`query` gives `tandem_row, tandem_raw, tandem_is_malformed` and all that the SQL of the others reads: `mapped`
    is the channel's map as SQL, with `<column>__source` where an expression may fail; `used` are the fields that it
    takes whole. Of JSON lines `types` is empty, of columns it has name and DuckDB type."""

    query: str
    mapped: dict[str, str]
    used: tuple[str, ...]
    types: dict[str, str]

    def column(self, name: str) -> str | None:
        """A column by its name in any case, None when it is not there."""
        return next((column for column in self.types if column.lower() == name.lower()), None)

    def entries(self, names: Collection[str]) -> str:
        """The values of some fields, those that are there, as a list of entries of a map."""
        if not self.types:
            return f"list_filter(map_entries({VALUES}), lambda entry: list_contains({texts(tuple(names))}, entry.key))"
        lower = {name.lower() for name in names}
        return _column_entries({name: kind for name, kind in self.types.items() if name.lower() in lower})

    def entries_except(self, names: Collection[str]) -> str:
        """The values of all other fields as a list of entries of a map."""
        if not self.types:
            return (
                f"list_filter(map_entries({VALUES}), lambda entry: entry.value is not null"
                f" and not list_contains({texts(tuple(names))}, entry.key))"
            )
        lower = {name.lower() for name in names}
        return _column_entries({name: kind for name, kind in self.types.items() if name.lower() not in lower})

    def attributes(self, consumed: Iterable[str]) -> str:
        """A map of every field that is neither consumed by the spec nor taken by the channel's map, without empty
        ones. Of columns it is put together as JSON text and read back, which is ten times as fast as from entries."""
        taken = {*consumed, *self.used}
        if not self.types:
            rest = f"list_filter({self.entries_except(taken)}, lambda entry: entry.value not in {_in(EMPTY)})"
            return (
                f"case when {IS_MALFORMED} then map() else map_from_entries({rest}::{ENTRY}[]) end"
                "::map(varchar, varchar)"
            )
        lower = {name.lower() for name in taken}
        members = []
        for name, kind in self.types.items():
            if name.lower() not in lower:
                text = as_text(identifier(name), kind)
                member = f"{literal(json.dumps(name, ensure_ascii=False) + ':')} || to_json({text})::varchar"
                members.append(f"case when {text} not in {_in(EMPTY)} then {member} end")
        if not members:
            return "map()::map(varchar, varchar)"
        return f"""json_transform('{{' || concat_ws(',', {", ".join(members)}) || '}}', '"MAP(VARCHAR, VARCHAR)"')
            ::map(varchar, varchar)"""

    def structured(self, structure: dict[str, Structure]) -> str:
        """The fields that a spec knows as one struct of the given structure; what a source has not is NULL."""
        if not self.types:
            text = literal(json.dumps(structure))
            return f"case when not {IS_MALFORMED} then try(json_transform(tandem_line, {text})) end"
        members = (f"{literal(name)}: {self._structured(name, inner)}" for name, inner in structure.items())
        return f"{{{', '.join(members)}}}"

    def _structured(self, name: str, structure: Structure) -> str:
        column = self.column(name)
        if column is None:
            return f"null::{_sql_type(structure)}"
        value, kind = identifier(column), self.types[column]
        if structure == "VARCHAR":
            return as_text(value, kind)
        listed = re.match(
            r'STRUCT\("?list"? STRUCT\("?element"? ', kind
        )  # lists as Parquet of BigQuery has them
        if listed:
            value = f"""list_transform({value}."list", lambda item: item."element")"""
        text = f"case when json_valid({value}) then {value} end" if kind == "VARCHAR" else f"to_json({value})"
        return (
            f"{text}::json"
            if structure == "JSON"
            else f"json_transform({text}, {literal(json.dumps(structure))})"
        )


def read_fields(
    channel: Channel, file_name: str, columns: dict[str, str], relation: str = f"select * from {SOURCE}"
) -> Fields:
    """The fields of a relation with these columns (name to type), or of JSON lines when it has none, and the
    channel's map over them.

    A column that the map names must be there; JSON lines leave out what is empty, so a key that is missing there is
    NULL, as is a missing field of a struct. Raises StepFailed for a missing column, with the nearest one present.
    """
    if not columns:
        return _keys(channel, file_name, relation)
    return _columns(channel, file_name, columns, relation)


def settled(channel: Channel, columns: dict[str, str]) -> Channel:
    """The channel with one column in the place of each list of them in its map: the first one that is among these.

    JSON has no columns: each of its rows has the keys that it has."""
    if not columns:
        return channel
    chosen = {}
    for canonical, entry in channel.map.items():
        names = entry.column if isinstance(entry.column, tuple) else ()
        found = {name: sql for name in names if (sql := _reached(name, columns)) is not None}
        if found:
            first = min(found, key=lambda name: found[name] == NOTHING)
            chosen[canonical] = entry.model_copy(update={"column": first})
    return channel.model_copy(update={"map": {**channel.map, **chosen}})


def without_nulls(channel: Channel, columns: dict[str, str]) -> str:
    """The source with the texts that mean "no value" as NULL."""
    values = channel.source.null_values if getattr(channel.source, "format", None) == "csv" else ()
    words = tuple(word for word in values if word != "")
    if not words or not columns:
        return f"select * from {SOURCE}"
    replaced = ", ".join(
        f"case when list_contains({texts(words)}, {identifier(name)}) then null else {identifier(name)} end"
        f" as {identifier(name)}"
        for name in columns
    )
    return f"select * replace ({replaced}) from {SOURCE}"


def missing_column(
    channel: Channel, place: str, column: str, present: list[str], file_name: str, *others: str
) -> StepFailed:
    """What to raise for a column that is not there, nor any of the `others`: it names the nearest one."""
    lower = {name.lower(): name for name in present}
    near = [lower[name] for name in difflib.get_close_matches(column.lower(), list(lower), n=1, cutoff=0.0)]
    nearest = f", nearest: {near[0]!r}" if near else ""
    names, hint = " or ".join(map(repr, (column, *others))), ""
    if len(present) == 1 and getattr(channel.source, "format", None) == "csv":
        hint = f"; the file has one column only, is delimiter {channel.source.delimiter!r} right?"
    return StepFailed(f"channel {channel.name}: {file_name} has no column {names} ({place}){nearest}{hint}")


def first_part(name: str) -> str | None:
    """The field that a path leads into, None for a name that is no path."""
    steps = _steps(name)
    return str(steps[0]) if len(steps) > 1 else None


def _columns(channel: Channel, file_name: str, columns: dict[str, str], relation: str) -> Fields:
    present = {name.lower(): name for name in columns}
    own = {"source_row": ROW, "source_file": literal(file_name)}
    mapped, used, added = {}, [], {}
    for canonical, entry in settled(channel, columns).map.items():
        for name in entry.columns:
            if name.lower() in present:
                used.append(present[name.lower()])
            elif name.lower() in own:
                added[name.lower()] = own[name.lower()]
            elif entry.column is None or _reached(name, columns) is None:
                others = entry.columns[1:] if entry.column is not None else ()
                raise missing_column(channel, f"map.{canonical}", name, list(columns), file_name, *others)
        if entry.column is None:
            mapped |= _expressions(canonical, entry)
        else:
            mapped[canonical] = _reached(entry.column, columns)
    own_columns = "".join(f", {sql} as {identifier(name)}" for name, sql in added.items())
    query = f"select *{own_columns} from ({relation})" if added else relation
    return Fields(query, mapped, tuple(dict.fromkeys(used)), columns)


def _reached(name: str, columns: dict[str, str]) -> str | None:
    """SQL for what a name leads to; None when it leads nowhere."""
    present = {column.lower(): column for column in columns}
    if name.lower() in present or name.lower() in OWN:
        return identifier(present.get(name.lower(), name.lower()))
    return _nested(name, columns, present)


def _keys(channel: Channel, file_name: str, relation: str) -> Fields:
    """Each line becomes one map of its keys, parsed once. A key that comes twice has no one value, so such a line is
    malformed. Paths are looked up all at once as well."""
    used = list(dict.fromkeys(column for entry in channel.map.values() for column in entry.columns))
    paths = [name for name in used if first_part(name) is not None]
    inside = texts([_json_path(_steps(name)) for name in paths]) if paths else ""
    parsed = {VALUES: """json_transform(tandem_line, '"MAP(VARCHAR, VARCHAR)"')"""} | (
        {"tandem_nested": f"json_extract_string(tandem_line, {inside})"} if paths else {}
    )
    tries = "".join(
        f",\n                case when tandem_is_object then try({sql}) end as {name}"
        for name, sql in parsed.items()
    )
    own = {"source_row": f"{ROW}::varchar", "source_file": literal(file_name)}
    values = {name: f"{VALUES}[{literal(name)}]" for name in used}
    values |= {
        name: f"coalesce({values[name]}, tandem_nested[{number}])"
        for number, name in enumerate(paths, start=1)
    }
    values |= {name: f"coalesce({values[name]}, {own[name]})" for name in used if name in own}
    columns = "".join(f",\n            {values[name]} as {identifier(name)}" for name in used)
    query = f"""
        select
            {ROW},
            {RAW},
            tandem_line,
            {VALUES} is null or len(map_keys({VALUES})) <> len(list_distinct(map_keys({VALUES}))) as {IS_MALFORMED},
            {VALUES}{columns}
        from (
            select
                *{tries}
            from ({relation})
        )"""
    mapped: dict[str, str] = {}
    for canonical, entry in channel.map.items():
        if entry.column is not None:
            mapped[canonical] = f"coalesce({', '.join(map(identifier, entry.columns))})"
        else:
            mapped |= _expressions(canonical, entry)
    return Fields(query, mapped, tuple(used), {})


def _expressions(canonical: str, entry: MapEntry) -> dict[str, str]:
    """A constant, or an expression that must not fail the file when it fails on one row: `try` makes it NULL there.
    (It works only while DuckDB does not move a common part of two expressions out of it, see `land_file`.)"""
    if entry.sql is not None:
        return {canonical: f"try({entry.sql})", f"{canonical}__source": _failed_on(entry)}
    value = entry.value
    return {canonical: literal(str(value).lower() if isinstance(value, bool) else str(value))}


def _failed_on(entry: MapEntry) -> str:
    """The source columns of an expression as text, in the rows where it fails; NULL where it does not.

    `try_cast` and `try_strptime` fail in silence: with them, nothing out of something is a failure too.
    """
    columns = [identifier(name) for name in entry.columns]
    if len(columns) == 1:
        text = f"{columns[0]}::varchar"
    else:
        text = f"json_object({', '.join(f'{literal(name)}, {identifier(name)}' for name in entry.columns)})::varchar"
    fails = f"try(({entry.sql}) is null) is null"
    if columns and SILENT.search(entry.sql):
        given = f"trim(concat_ws('', {', '.join(f'{column}::varchar' for column in columns)})) <> ''"
        fails = f"{fails} or (try({entry.sql}) is null and {given})"
    return f"case when {fails} then {text} end"


def _steps(path: str) -> list[str | int]:
    """`items[0].sku` as ['items', 0, 'sku']; a name that is no path is one step."""
    steps: list[str | int] = []
    for part in path.split("."):
        place = PLACE.fullmatch(part)
        if place is None:
            return [path]
        steps += [place[1], *(int(number) for number in re.findall(r"[0-9]+", place[2]))]
    return steps


def _json_path(steps: list[str | int]) -> str:
    return "$" + "".join(
        f"[{step}]" if isinstance(step, int) else "." + json.dumps(step, ensure_ascii=False) for step in steps
    )


def _nested(path: str, columns: dict[str, str], present: dict[str, str]) -> str | None:
    """SQL that follows a path into a column of a nested type; None when there is no such column."""
    head, *steps = _steps(path)
    column = present.get(str(head).lower())
    if column is None or not steps:
        return None
    value, kind = identifier(column), duckdb.sqltype(columns[column])
    for number, step in enumerate(steps):
        inner = dict(kind.children) if kind.id in ("struct", "map", "list", "array") else {}
        if str(kind) == "JSON":
            return f"json_extract_string({value}, {literal(_json_path(steps[number:]))})"
        if kind.id in ("list", "array") and isinstance(step, int):
            value, kind = f"{value}[{step + 1}]", inner["child"]
        elif kind.id == "map":
            value, kind = f"{value}[{literal(str(step))}]", inner["value"]
        elif kind.id == "struct":
            fields = {name.lower(): name for name in inner}
            if str(step).lower() not in fields:
                return NOTHING
            name = fields[str(step).lower()]
            value, kind = f"{value}.{identifier(name)}", inner[name]
        else:
            return None if number == 0 else NOTHING
    return value


def _sql_type(structure: Structure) -> str:
    if isinstance(structure, dict):
        members = ", ".join(f"{identifier(name)} {_sql_type(inner)}" for name, inner in structure.items())
        return f"struct({members})"
    return f"{_sql_type(structure[0])}[]" if isinstance(structure, list) else structure


def _column_entries(columns: dict[str, str]) -> str:
    items = list(_pairs(columns))
    if not items:
        return "[]"
    return f"list_filter([{', '.join(items)}]::{ENTRY}[], lambda entry: entry.value is not null)"


def _pairs(columns: dict[str, str]) -> Iterator[str]:
    for name, kind in columns.items():
        yield f"{{'key': {literal(name)}, 'value': {as_text(identifier(name), kind)}}}"


def _in(values: Iterable[str]) -> str:
    return f"({', '.join(literal(value) for value in values)})"
