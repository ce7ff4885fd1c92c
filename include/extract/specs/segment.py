"""Segment and RudderStack JSON (segment.com/docs/connections/spec/common) as canonical events."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, SOURCE, Source
from include.extract.specs.canonical import Canonical
from include.extract.sql import clean, identifier, literal, texts, with_times

if TYPE_CHECKING:
    from include.config import Channel, MapEntry

# What is read of each line, in one parse. JSON leaves are kept as JSON text.
TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
TOP_LEVEL = dict.fromkeys(
    (
        "messageId",
        "type",
        "event",
        "name",
        "anonymousId",
        "userId",
        "previousId",
        "groupId",
        "channel",
        *TIMES,
    ),
    "VARCHAR",
) | {"properties": "JSON", "traits": "JSON", "integrations": "JSON", "version": "JSON"}
CONTEXT = {
    "ip": "VARCHAR",
    "userAgent": "VARCHAR",
    "page": dict.fromkeys(("url", "referrer", "title"), "VARCHAR"),
    "campaign": dict.fromkeys(("source", "medium", "name", "term", "content"), "VARCHAR"),
    "device": {
        "id": "VARCHAR",
        "advertisingId": "VARCHAR",
        "type": "JSON",
        "manufacturer": "JSON",
        "model": "JSON",
    },
    "consent": {"categoryPreferences": "JSON"},
    "traits": "JSON",
    "library": "JSON",
}
# The objects of a line that are read key by key, and the keys of each that are known here.
LEVELS = {
    "": (*TOP_LEVEL, "context"),
    "context": tuple(CONTEXT),
    **{f"context.{name}": tuple(keys) for name, keys in CONTEXT.items() if isinstance(keys, dict)},
}
PATHS = "[" + ", ".join(literal(f"$.{level}".rstrip(".")) for level in LEVELS) + "]"
KEYS, EVENT = "tandem_keys", "tandem_event"
LOOKS_WHOLE = """starts_with(tandem_line, '{')
                and (suffix(tandem_line, e'}\\n') or suffix(tandem_line, '}') or suffix(tandem_line, e'}\\r\\n'))"""
# Read, but without a canonical column: kept as attributes, as every key that is not known here.
KEPT = ("integrations", "version", "context.device.type", "context.device.manufacturer", "context.device.model",
        "context.library")  # fmt: skip
# Kept when another key has taken the column that they would have had, or they cannot be read.
KEPT_WHEN = {
    "channel": "not list_contains(['browser', 'web', 'mobile', 'desktop', 'server'], \"channel\")",
    "name": "event is not null",
    "context.traits": "traits is not null",
    "timestamp": "tandem_timestamp is null",
    "originalTimestamp": "tandem_originalTimestamp is null",
}
EMPTY = ("{}", "[]", '""')
MAX_STRANGE_KEYS = 100
MAX_SHAPES = 256


@dataclass(frozen=True)
class Keys:
    """The keys of some lines that are not known here: `strange` has them by the object that they are in, `others`
    names the objects that are something else in some line. `are_columns` says that the strange keys can be read like
    the known ones; too many, or the same name in another case, cannot. `shapes` are hashes of all the keys of a
    line, in their order, of lines in which nothing is strange but these; `are_objects` that all lines are JSON
    objects. `needed` are top-level keys that the channel's SQL reads, as text."""

    strange: dict[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    are_columns: bool = True
    shapes: tuple[int, ...] = ()
    are_objects: bool = False
    needed: tuple[str, ...] = ()


def map_segment(connection: duckdb.DuckDBPyConnection, channel: Channel, source: Source) -> Canonical:
    """Canonical events, one per line. The channel's map overrides columns: constants, keys of the line (with dots
    for nested ones) or SQL over the line's top-level keys.

    The query leaves out every line that has other keys than the first ones of the file have, or that is damaged:
    those are what the `remainder` is for.
    """
    needed = tuple(key for entry in channel.map.values() if entry.sql is not None for key in entry.columns)
    keys = _sample_keys(connection, source, needed)
    # Asking whether the JSON is valid parses a line once more; `try` alone does not, but where it meets a line that
    # is not, it goes row by row. So it depends on whether there are such lines.
    found = _keys(LOOKS_WHOLE if keys.are_objects else "tandem_is_object")
    rows = f"select * from (select *, {found} as {KEYS} from {SOURCE}) where {_is_known(keys)}"
    first = _canonical(channel, rows, keys, f"json_transform(tandem_line, {_structure(keys)})", "false")

    def remainder(landed: Path) -> Canonical:
        rest = _find_keys(connection, source, needed, landed)
        event = f"case when tandem_is_object then try(json_transform(tandem_line, {_structure(rest)})) end"
        rows = f"select *, {_keys()} as {KEYS} from {SOURCE}"
        return _canonical(channel, rows, rest, event, f"{EVENT} is null or {_comes_twice()}")

    return replace(first, remainder=remainder)


def _canonical(channel: Channel, rows: str, keys: Keys, event: str, is_malformed: str) -> Canonical:
    columns = _columns()
    for name, entry in channel.map.items():
        columns.pop(f"{name}__text", None)  # an override is read like any other text
        columns[name] = _override(entry)
    selected = ",\n            ".join(f"{sql} as {identifier(name)}" for name, sql in columns.items())
    events = f"""
        select * exclude ({EVENT}), {is_malformed} as {IS_MALFORMED}, unnest({EVENT})
        from (select *, {event} as {EVENT} from ({rows}))
    """
    times = {f"tandem_{name}": identifier(name) for name in TIMES}
    query = f"""
        select
            {ROW},
            {RAW},
            {IS_MALFORMED},
            {_attributes(keys)} as attributes,
            {selected}
        from (select *, {_corrected_time()} as tandem_occurred_at from ({with_times(events, times)}))
    """
    return Canonical(query, tuple(name for name in columns if not name.endswith("__text")))


def _sample_keys(connection: duckdb.DuckDBPyConnection, source: Source, needed: tuple[str, ...]) -> Keys:
    """The keys of the first lines of a file that can be read like the known ones, the most frequent first, so that
    no damaged line can keep a good one from being read; `needed` ones are read in any case."""
    found = source.run(
        connection,
        f"""
        select found, hash(found)
        from (select {_keys()} as found from {SOURCE})
        group by found
        order by count(*) desc, hash(found)
        """,
        is_sample=True,
    )
    are_objects = all(lists is not None for lists, _ in found)
    found = [(lists, shape) for lists, shape in found if lists is not None]
    room = MAX_STRANGE_KEYS
    strange = {}
    for position, (level, known) in enumerate(LEVELS.items()):
        taken = {name.lower() for name in known} | {""}
        names = [] if level else list(needed)
        for lists, _ in found:
            names += lists[position] or ()
        strange[level] = []
        for name in dict.fromkeys(names):
            if room and name.lower() not in taken:
                taken.add(name.lower())
                strange[level].append(name)
                room -= 1
    keys = Keys({level: tuple(sorted(names)) for level, names in strange.items()}, needed=needed)
    shapes = [shape for lists, shape in found if _is_plain(lists, keys)]
    return replace(keys, shapes=tuple(sorted(shapes[:MAX_SHAPES])), are_objects=are_objects)


def _find_keys(
    connection: duckdb.DuckDBPyConnection, source: Source, needed: tuple[str, ...], landed: Path
) -> Keys:
    """All keys of the lines that are not landed, and `needed` ones."""
    is_other = ", ".join(f"coalesce({_is_other(level)}, false)" for level in LEVELS if level)
    rows = source.run(
        connection,
        f"""
        with shapes as materialized (
            select distinct {KEYS} as found, [false, {is_other}] as flags
            from (select *, {_keys()} as {KEYS} from {SOURCE})
        )
        , levels as (select unnest(range(1, {len(LEVELS) + 1})) as level)
        select distinct level, unnest(found[level]) as name from shapes cross join levels
        union all
        select distinct level, null from shapes cross join levels where flags[level]
        order by level, name
        limit {2 * MAX_STRANGE_KEYS}
        """,
        landed=landed,
    )
    strange, others = {}, []
    for position, (level, known) in enumerate(LEVELS.items(), start=1):
        names = {name for place, name in rows if place == position}
        if None in names:
            others.append(level)
        strange[level] = names - {*known, None}
    taken = {name.lower() for name in (*LEVELS[""], *strange[""])}
    strange[""] |= {name for name in needed if name.lower() not in taken}
    spellings = [[*known, *strange[level]] for level, known in LEVELS.items()]
    are_few = len(rows) < 2 * MAX_STRANGE_KEYS and sum(map(len, strange.values())) <= MAX_STRANGE_KEYS
    return Keys(
        strange={level: tuple(sorted(names)) for level, names in strange.items()},
        others=tuple(others) if are_few else tuple(level for level in LEVELS if level),
        are_columns=are_few
        and all(
            len({name.lower() for name in names}) == len(names) and "" not in names for names in spellings
        ),
        needed=needed,
    )


def _is_plain(found: list, keys: Keys) -> bool:
    """Whether a line has no other keys, none of them twice, and no object that is empty or something else."""
    return all(
        names is None
        or (names and len({*names}) == len(names) and {*names} <= {*LEVELS[level], *_readable(keys, level)})
        for level, names in zip(LEVELS, found, strict=True)
    )


def _readable(keys: Keys, level: str) -> tuple[str, ...]:
    return keys.strange.get(level, ()) if keys.are_columns else ()


def _keys(is_object: str = "tandem_is_object") -> str:
    """The keys of each object of a line, NULL for a line that is none: `json_keys` gives no key for what is no
    object, and NULL for what is not there."""
    return f"case when {is_object} then try(json_keys(tandem_line, {PATHS})) end"


def _is_known(keys: Keys) -> str:
    """Whether a line has no keys but those that are read. Most lines of a file have one of few shapes; only the
    others are looked at key by key."""
    levels = []
    for position, (level, known) in enumerate(LEVELS.items(), start=1):
        names = f"{KEYS}[{position}]"
        is_there = "false" if level == "" else f"not {_is_other(level)}"
        levels.append(f"""(
                {names} is null
                or case
                    when len({names}) = 0 then {is_there}
                    else list_has_all({texts((*known, *_readable(keys, level)))}, {names})
                        and len(list_distinct({names})) = len({names})
                end
            )""")
    shapes = ", ".join(str(shape) for shape in keys.shapes)
    return f"""case
            when {KEYS} is null then false
            when list_contains([{shapes}]::ubigint[], hash({KEYS})) then true
            else {" and ".join(levels)}
        end"""


def _is_other(level: str) -> str:
    """Whether what should be an object is something else, and not null."""
    position = list(LEVELS).index(level) + 1
    kind = f"json_type(tandem_line, {literal('$.' + level)})"
    return f"case when len({KEYS}[{position}]) = 0 then {kind} not in ('OBJECT', 'NULL') else false end"


def _comes_twice() -> str:
    """A key that comes twice has no one value."""
    return " or ".join(
        f"coalesce(len(list_distinct({names})) <> len({names}), false)"
        for names in (f"{KEYS}[{position}]" for position in range(1, len(LEVELS) + 1))
    )


def _columns() -> dict[str, str]:
    url, consent = _of_page("url"), "context.consent.categoryPreferences"
    plain = {
        "type": '"type"',
        "name": 'coalesce(event, "name")',
        "anonymous_id": "anonymousId",
        "user_id": "userId",
        "previous_id": "previousId",
        "group_id": "groupId",
        "device_id": "context.device.id",
        "advertising_id": "context.device.advertisingId",
        "email": "coalesce(traits->>'email', context.traits->>'email')",
        "phone": "coalesce(traits->>'phone', context.traits->>'phone')",
        "ip": "context.ip",
        "user_agent": "context.userAgent",
        "platform": _platform(),
        "site": f"case when contains({url}, '://') then lower(split_part(split_part({url}, '/', 3), ':', 1)) end",
        "is_owned_site": "true",
        "is_owned_site__text": "'true'",
        "url": url,
        "referrer": _of_page("referrer"),
        "title": _of_page("title"),
        "campaign_source": "context.campaign.source",
        "campaign_medium": "context.campaign.medium",
        "campaign_name": "context.campaign.name",
        "campaign_term": "context.campaign.term",
        "campaign_content": "context.campaign.content",
        # Values are true or false, so lower case changes nothing but the names of the purposes.
        "consent": f"case when starts_with({consent}::varchar, '{{') then lower({consent}::varchar) end",
        "consent__text": f"{consent}::varchar",
        "properties": "properties::varchar",
        "properties__text": "properties::varchar",
        "traits": "coalesce(traits, context.traits)::varchar",
        "traits__text": "coalesce(traits, context.traits)::varchar",
    }
    return {
        # Without an id the same content is the same event.
        "event_id": f"coalesce({clean('messageId')}, 'md5:' || md5(rtrim(tandem_line, e' \\r\\n')))",
        "occurred_at": "tandem_occurred_at",
        "occurred_at__text": f"coalesce({', '.join(identifier(name) for name in TIMES)})",
        "received_at": "tandem_receivedAt",
        "received_at__text": "receivedAt",
        "sent_at": "tandem_sentAt",
        "sent_at__text": "sentAt",
    } | plain


def _of_page(name: str) -> str:
    """What is said of the page; a server or an app says it in the properties of the call."""
    own = f"case when \"type\" in ('page', 'screen') then properties->>'{name}' end"
    return f"coalesce(context.page.{name}, {own})"


def _corrected_time() -> str:
    """Segment's correction of a wrong device clock: timestamp = receivedAt - (sentAt - originalTimestamp).

    A sentAt before originalTimestamp was written by another clock and corrects nothing.
    """
    return """case
                when tandem_sentAt >= tandem_originalTimestamp and tandem_receivedAt is not null
                    then tandem_receivedAt - (tandem_sentAt - tandem_originalTimestamp)
                else coalesce(tandem_timestamp, tandem_originalTimestamp, tandem_sentAt, tandem_receivedAt)
            end"""


def _platform() -> str:
    library = "lower(context.library::varchar)"
    return f"""case
                when "channel" in ('browser', 'web') then 'web'
                when "channel" in ('mobile', 'desktop', 'server') then "channel"
                when regexp_matches({library}, 'electron|desktop') then 'desktop'
                when regexp_matches({library}, 'ios|android|kotlin|swift|flutter|react-native|unity|xamarin')
                    or "type" = 'screen' or lower(context.device.type->>'$') in ('ios', 'android') then 'mobile'
                when regexp_matches({library}, 'analytics\\.js|javascript|rudder-?js|web')
                    or context.page.url is not null then 'web'
                when context.library is not null then 'server'
            end"""


def _attributes(keys: Keys) -> str:
    """Everything that has no canonical column, as a map. It is put together as JSON text and read back, which
    DuckDB does ten times as fast as it builds a map from entries."""
    members = [_member(path, f"{_column(path)}::varchar") for path in KEPT]
    for path, condition in KEPT_WHEN.items():
        members.append(_member(path, f"case when {condition} then to_json({_column(path)})::varchar end"))
    for level in LEVELS:
        for name in _readable(keys, level):
            column = f"{_column(level)}.{identifier(name)}" if level else identifier(name)
            is_text = not level and name in keys.needed
            members.append(
                _member(_dotted(level, name), f"{f'to_json({column})' if is_text else column}::varchar")
            )
    for level in keys.others:
        value = f"json_extract(tandem_line, {literal('$.' + level)})::varchar"
        members.append(_member(level, f"case when {_is_other(level)} then {value} end"))
    known = (
        f"""json_transform('{{' || concat_ws(',', {", ".join(members)}) || '}}', '"MAP(VARCHAR, VARCHAR)"')"""
    )
    if not keys.are_columns:
        levels = " || ".join(_strange(level) for level in LEVELS)
        known = f"map_from_entries(list_distinct(map_entries({known}) || {levels}))"
    return f"case when {IS_MALFORMED} then map() else {known} end::map(varchar, varchar)"


def _member(path: str, value: str) -> str:
    return f"{literal(json.dumps(path, ensure_ascii=False) + ':')} || {_without_empty(value)}"


def _column(path: str) -> str:
    return ".".join(identifier(part) for part in path.split("."))


def _dotted(level: str, name: str) -> str:
    return f"{level}.{name}" if level else name


def _strange(level: str) -> str:
    """The entries of the keys of an object of the line that are not known here, looked up in the row."""
    text = f"json_extract(tandem_line, {literal('$.' + level)})" if level else "tandem_line"
    values = f"""coalesce(map_entries(try(json_transform({text}, '"MAP(VARCHAR, VARCHAR)"'))), [])"""
    key = f"{literal(level + '.')} || entry.key" if level else "entry.key"
    return (
        f"list_transform(list_filter({values}, lambda entry: entry.value not in ('', '{{}}', '[]')"
        f" and not list_contains({texts(LEVELS[level])}, entry.key)),"
        f" lambda entry: {{'key': {key}, 'value': entry.value}})"
    )


def _without_empty(text: str) -> str:
    return f"case when {text} not in ({', '.join(literal(empty) for empty in EMPTY)}) then {text} end"


def _structure(keys: Keys) -> str:
    """What one parse reads, as DuckDB's `json_transform` wants it."""
    structure: dict = {**TOP_LEVEL, "context": {**CONTEXT}}
    for level in LEVELS:
        parent, inner = structure, structure
        for part in level.split(".") if level else ():
            parent, inner = inner, inner[part]
        strange = {
            name: "VARCHAR" if not level and name in keys.needed else "JSON"
            for name in _readable(keys, level)
        }
        inner = {**inner, **strange}
        if level:
            parent[level.split(".")[-1]] = inner
        else:
            structure = inner
    return literal(json.dumps(structure))


def _override(entry: MapEntry) -> str:
    if entry.value is not None:
        return literal(str(entry.value).lower() if isinstance(entry.value, bool) else str(entry.value))
    if entry.sql is not None:
        return f"try({entry.sql})"
    paths = ("$" + "".join("." + identifier(part) for part in name.split(".")) for name in entry.columns)
    return (
        f"try(coalesce({', '.join(f'json_extract_string(tandem_line, {literal(path)})' for path in paths)}))"
    )
