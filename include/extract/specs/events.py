"""What all specs of events share: fields that they know as one struct, the rest as attributes, and the channel's map
on top of what the spec says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW
from include.extract.specs.canonical import Canonical
from include.extract.specs.fields import Fields, Structure
from include.extract.sql import identifier, literal, texts

EVENT = "tandem_event"
OWN = "tandem_map_"


def known_fields(
    fields: Fields,
    structure: dict[str, Structure],
    consumed: Iterable[str],
    more: Mapping[str, str] | None = None,
) -> str:
    """A query that gives the fields that a spec knows as the struct `tandem_event`, the attributes without what is
    consumed, and what the channel's map says; `more` are columns of the spec's own over the source's fields."""
    own = {OWN + name: sql for name, sql in fields.mapped.items()} | dict(more or {})
    selected = "".join(f",\n                {sql} as {identifier(name)}" for name, sql in own.items())
    return f"""
            select
                {ROW},
                {RAW},
                {IS_MALFORMED},
                {fields.attributes(consumed)} as attributes,
                {fields.structured(structure)} as {EVENT}{selected}
            from ({fields.query})"""


def canonical_events(fields: Fields, query: str, columns: dict[str, str]) -> Canonical:
    """Canonical events out of a query over `known_fields`; the channel's map overrides columns.

    A row whose known fields cannot be read is malformed.
    """
    overridden = {name.removesuffix("__source") for name in fields.mapped}
    kept = {name: sql for name, sql in columns.items() if name.removesuffix("__text") not in overridden}
    selected = kept | {name: identifier(OWN + name) for name in fields.mapped}
    listed = "".join(f",\n            {sql} as {identifier(name)}" for name, sql in selected.items())
    names = tuple(name for name in selected if not name.endswith(("__text", "__source")))
    return Canonical(
        f"""
        select
            {ROW},
            {RAW},
            {IS_MALFORMED} or {EVENT} is null as {IS_MALFORMED},
            attributes{listed}
        from ({query})
    """,
        names,
    )


def host_of(url: str) -> str:
    """The host in an address, in lower case and without its port."""
    return f"case when contains({url}, '://') then lower(split_part(split_part({url}, '/', 3), ':', 1)) end"


def one_of(text: str, words: Iterable[str]) -> str:
    """Whether a text is one of some words. (DuckDB makes a join of an `in` with five or more.)"""
    return f"list_contains({texts(tuple(words))}, {text})"


def renamed(text: str, names: Mapping[str, str], otherwise: str) -> str:
    """One name for another, and `otherwise` for one that is not listed."""
    cases = " ".join(f"when {literal(old)} then {literal(new)}" for old, new in names.items())
    return f"case {text} {cases} else {otherwise} end"


def json_members(members: Mapping[str, str]) -> str:
    """A JSON object of the members that have a value; NULL when none has one."""
    pairs = ", ".join(f"{literal(name)}, {sql}" for name, sql in members.items())
    return f"nullif(json_merge_patch('{{}}', json_object({pairs}))::varchar, '{{}}')"


def merged(*objects: str) -> str:
    """JSON objects as one, a later one wins; NULL when there is nothing in them."""
    given = ", ".join(f"coalesce({sql}, '{{}}')" for sql in objects)
    return f"nullif(json_merge_patch('{{}}', {given})::varchar, '{{}}')"


def json_number(text: str) -> str:
    """A number in a text as JSON; what is no number stays text."""
    return f"coalesce(try_cast({text} as json), to_json(nullif({text}, '')))"
