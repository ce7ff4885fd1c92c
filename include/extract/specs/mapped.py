"""Anything tabular: each canonical column is a source column, an SQL expression over source columns, or a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, Source
from include.extract.specs.canonical import Canonical
from include.extract.specs.fields import ENTRY, first_part, missing_column, read_fields, without_nulls
from include.extract.sql import identifier

if TYPE_CHECKING:
    from include.config import Channel


def map_columns(channel: Channel, source: Source, file_name: str) -> Canonical:
    """The canonical columns of a channel over a file.

    In CSV and Parquet every column that the map or `unpivot` names must be there. JSON lines leave out what is
    empty, so a key that is missing there is NULL, and so is a missing field of a struct.
    Raises StepFailed for a missing column, with the nearest one present.
    """
    fields = read_fields(channel, file_name, source.columns, without_nulls(channel, source.columns))
    listed = channel.unpivot if isinstance(channel.unpivot, tuple) else ()
    for name in listed if fields.types else ():
        if fields.column(name) is None:
            raise missing_column(channel, "unpivot", name, list(fields.types), file_name)
    if channel.unpivot == "all":
        attributes, traits = "[]", fields.entries_except(fields.used)
    else:
        attributes, traits = fields.entries_except((*fields.used, *listed)), fields.entries(listed)
    selected = "".join(f",\n            {sql} as {identifier(name)}" for name, sql in fields.mapped.items())
    base = f"""
        select
            {ROW},
            {RAW},
            {IS_MALFORMED},
            case when {IS_MALFORMED} then map() else map_from_entries({attributes}::{ENTRY}[]) end
                ::map(varchar, varchar) as attributes{selected}
            {f", {traits}::{ENTRY}[] as tandem_traits" if channel.unpivot else ""}
        from ({fields.query})
    """
    columns = tuple(channel.map)
    if not channel.unpivot:
        return Canonical(base, columns)
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


def check_keys_exist(channel: Channel, required: set[str], present: list[str], file_name: str) -> None:
    """Raise StepFailed when a JSON key that a required column comes from is in no line of the file."""
    known = {*present, "source_row", "source_file"}
    for canonical, entry in channel.map.items():
        keys = entry.columns if canonical in required else ()
        missing = [key for key in keys if key not in known and first_part(key) not in known]
        if missing and (entry.sql is not None or len(missing) == len(keys)):
            others = missing[1:] if entry.sql is None else ()
            raise missing_column(channel, f"map.{canonical}", missing[0], present, file_name, *others)
