"""Anything tabular: each canonical column is a source column, an SQL expression over source columns, or a constant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, SOURCE, Source
from include.extract.specs import Canonical
from include.extract.sql import as_text, identifier, literal, texts
from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config import Channel, MapEntry

ENTRY = "struct(key varchar, value varchar)"
VALUES = "tandem_values"


def map_columns(channel: Channel, source: Source, file_name: str) -> Canonical:
    """The canonical columns of a channel over a file.

    In CSV and Parquet every column that the map or `unpivot` names must be there. JSON lines leave out what is
    empty, so a key that is missing there is NULL.
    Raises StepFailed for a missing column, with the nearest one present.
    """
    if not source.columns:
        return _over_keys(channel, source)
    return _over_columns(channel, source, file_name)


def check_keys_exist(channel: Channel, required: set[str], present: list[str], file_name: str) -> None:
    """Raise StepFailed when a JSON key that a required column comes from is in no line of the file."""
    for canonical, entry in channel.map.items():
        for key in entry.columns if canonical in required else ():
            if key not in present:
                raise _missing(channel, f"map.{canonical}", key, present, file_name)


def _over_columns(channel: Channel, source: Source, file_name: str) -> Canonical:
    present = {name.lower(): name for name in source.columns}
    named = [
        (f"map.{canonical}", column) for canonical, entry in channel.map.items() for column in entry.columns
    ]
    listed = channel.unpivot if isinstance(channel.unpivot, tuple) else ()
    for place, column in [*named, *(("unpivot", column) for column in listed)]:
        if column.lower() not in present:
            raise _missing(channel, place, column, list(source.columns), file_name)
    used = {column.lower() for _, column in named}
    rest = [name for name in source.columns if name.lower() not in used]
    nulls = tuple(channel.source.null_values) if getattr(channel.source, "format", None) == "csv" else ()
    entries = {
        name: f"{{'key': {literal(name)}, 'value': {as_text(identifier(name), source.columns[name])}}}"
        for name in rest
    }
    traits = [name for name in rest if channel.unpivot == "all" or name in listed]
    expressions = {
        canonical: identifier(present[entry.column.lower()])
        if entry.column is not None
        else _expression(entry)
        for canonical, entry in channel.map.items()
    }
    return _canonical(
        channel,
        _without_nulls(source, nulls),
        expressions,
        attributes=_entries([entries[name] for name in rest if name not in traits]),
        traits=_entries([entries[name] for name in traits]),
    )


def _over_keys(channel: Channel, source: Source) -> Canonical:
    """JSON lines: each line becomes one map of its keys, parsed once. A key that comes twice has no one value,
    so such a line is malformed."""
    used = list(dict.fromkeys(column for entry in channel.map.values() for column in entry.columns))
    columns = "".join(f",\n            {VALUES}[{literal(name)}] as {identifier(name)}" for name in used)
    query = f"""
        select
            {ROW},
            {RAW},
            {VALUES} is null or len(map_keys({VALUES})) <> len(list_distinct(map_keys({VALUES}))) as {IS_MALFORMED},
            {VALUES}{columns}
        from (
            select
                *,
                case when tandem_is_object then try(json_transform(tandem_line, '"MAP(VARCHAR, VARCHAR)"')) end
                    as {VALUES}
            from {SOURCE}
        )"""
    expressions = {
        canonical: f"{VALUES}[{literal(entry.column)}]" if entry.column is not None else _expression(entry)
        for canonical, entry in channel.map.items()
    }
    rest = f"list_filter(map_entries({VALUES}), lambda entry: entry.value is not null and not"
    if channel.unpivot == "all":
        attributes, traits = "[]", f"{rest} list_contains({texts(used)}, entry.key))"
    else:
        listed = list(channel.unpivot or ())
        attributes = f"{rest} list_contains({texts(used + listed)}, entry.key))"
        traits = (
            f"list_filter(map_entries({VALUES}), lambda entry: list_contains({texts(listed)}, entry.key))"
        )
    return _canonical(channel, query, expressions, attributes=attributes, traits=traits)


def _canonical(
    channel: Channel, query: str, expressions: dict[str, str], attributes: str, traits: str
) -> Canonical:
    columns = [*expressions]
    expressions |= {
        f"{name}__source": _failed_on(entry) for name, entry in channel.map.items() if entry.sql is not None
    }
    selected = "".join(
        f",\n            {expression} as {identifier(name)}" for name, expression in expressions.items()
    )
    base = f"""
        select
            {ROW},
            {RAW},
            {IS_MALFORMED},
            case when {IS_MALFORMED} then map() else map_from_entries({attributes}::{ENTRY}[]) end
                ::map(varchar, varchar) as attributes{selected}
            {f", {traits}::{ENTRY}[] as tandem_traits" if channel.unpivot else ""}
        from ({query})
    """
    if not channel.unpivot:
        return Canonical(base, tuple(columns))
    # A malformed row has no traits and must still be one row, to be quarantined.
    unpivoted = f"""
        select * exclude (tandem_trait), tandem_trait.key as trait, tandem_trait.value as "value"
        from (
            select
                * exclude (tandem_traits),
                unnest(case when {IS_MALFORMED} then [null::{ENTRY}] else
                    list_filter(tandem_traits, lambda entry: trim(entry.value) <> '') end) as tandem_trait
            from ({base})
        )
    """
    return Canonical(unpivoted, (*columns, "trait", "value"), is_unpivoted=True)


def _expression(entry: MapEntry) -> str:
    """An expression that fails on one row must not fail the file: `try` makes it NULL there. (It works only while
    DuckDB does not move a common part of two expressions out of it, see `_land_file`.)"""
    if entry.sql is not None:
        return f"try({entry.sql})"
    value = entry.value
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return literal(text)


def _failed_on(entry: MapEntry) -> str:
    """The source columns of an expression as text, in the rows where it fails; NULL where it does not."""
    columns = [identifier(name) for name in entry.columns]
    if len(columns) == 1:
        text = f"{columns[0]}::varchar"
    else:
        text = f"json_object({', '.join(f'{literal(name)}, {identifier(name)}' for name in entry.columns)})::varchar"
    return f"case when try(({entry.sql}) is null) is null then {text} end"


def _entries(items: list[str]) -> str:
    if not items:
        return "[]"
    return f"list_filter([{', '.join(items)}]::{ENTRY}[], lambda entry: entry.value is not null)"


def _without_nulls(source: Source, nulls: tuple[str, ...]) -> str:
    """The source with the texts that mean "no value" as NULL."""
    words = tuple(word for word in nulls if word != "")
    if not words:
        return f"select * from {SOURCE}"
    columns = ", ".join(
        f"case when list_contains({texts(words)}, {identifier(name)}) then null else {identifier(name)} end"
        f" as {identifier(name)}"
        for name in source.columns
    )
    return f"select * replace ({columns}) from {SOURCE}"


def _missing(channel: Channel, place: str, column: str, present: list[str], file_name: str) -> StepFailed:
    lower = {name.lower(): name for name in present}
    near = [lower[name] for name in difflib.get_close_matches(column.lower(), list(lower), n=1, cutoff=0.0)]
    nearest = f", nearest: {near[0]!r}" if near else ""
    hint = ""
    if len(present) == 1 and getattr(channel.source, "format", None) == "csv":
        hint = f"; the file has one column only, is delimiter {channel.source.delimiter!r} right?"
    return StepFailed(
        f"channel {channel.name}: {file_name} has no column {column!r} ({place}){nearest}{hint}"
    )
