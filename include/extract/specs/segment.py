"""Segment and RudderStack JSON lines (segment.com/docs/connections/spec/common) as canonical events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, SOURCE, Source
from include.extract.specs import Canonical
from include.extract.sql import clean, identifier, literal, read_value, texts

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
# Read, but without a canonical column: kept as attributes, as every key that is not known here.
KEPT = ("integrations", "version", "context.device.type", "context.device.manufacturer", "context.device.model",
        "context.library")  # fmt: skip
EMPTY = ("{}", "[]", '""')
MAX_STRANGE_KEYS = 100


@dataclass(frozen=True)
class Keys:
    """The keys of a file that are not known here: `top` of the line, `context` of its context. `are_columns` says
    that they can be read like the known ones; too many, or the same name in another case, cannot.
    `has_other_context` says that some context is no object."""

    top: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    are_columns: bool = True
    has_other_context: bool = False


def find_keys(connection: duckdb.DuckDBPyConnection, source: Source) -> Keys:
    """Look through a file for keys that are not known here, so that one parse can read them with the others."""
    rows = source.run(
        connection,
        f"""
        select distinct
            unnest(found[1]) as top,
            unnest(found[2]) as context,
            len(found[2]) = 0 and list_contains(found[1], 'context') as is_other
        from (
            select distinct try(json_keys(tandem_line, ['$', '$.context'])) as found
            from {SOURCE}
            where tandem_is_object
        )
        """,
    )
    top = tuple(sorted({name for name, _, _ in rows if name is not None} - {*TOP_LEVEL, "context"}))
    context = tuple(sorted({name for _, name, _ in rows if name is not None} - {*CONTEXT}))
    spellings = [[*TOP_LEVEL, "context", *top], [*CONTEXT, *context]]
    return Keys(
        top=top,
        context=context,
        are_columns=len(top) + len(context) <= MAX_STRANGE_KEYS
        and all(
            len({name.lower() for name in names}) == len(names) and "" not in names for names in spellings
        ),
        has_other_context=any(is_other for _, _, is_other in rows),
    )


def map_segment(channel: Channel, keys: Keys) -> Canonical:
    """Canonical events, one per line. The channel's map overrides columns: constants, keys of the line (with dots
    for nested ones) or SQL over the line's top-level keys."""
    columns = _columns()
    for name, entry in channel.map.items():
        columns.pop(f"{name}__text", None)  # an override is read like any other text
        columns[name] = _override(entry)
    selected = ",\n            ".join(f"{sql} as {identifier(name)}" for name, sql in columns.items())
    names = tuple(name for name in columns if not name.endswith("__text"))
    structure = literal(json.dumps(_structure(keys)))
    query = f"""
        select
            {ROW},
            {RAW},
            {IS_MALFORMED},
            {_attributes(keys)} as attributes,
            {selected}
        from (
            select *, {_times()}
            from (
                select
                    * exclude (tandem_event),
                    tandem_event is null as {IS_MALFORMED},
                    unnest(tandem_event)
                from (
                    select
                        *,
                        case when tandem_is_object then try(json_transform(tandem_line, {structure})) end
                            as tandem_event
                    from {SOURCE}
                )
            )
        )
    """
    return Canonical(query, names)


def _columns() -> dict[str, str]:
    url, consent = "context.page.url", "context.consent.categoryPreferences"
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
        "url": url,
        "referrer": "context.page.referrer",
        "title": "context.page.title",
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
        "event_id": "coalesce(nullif(trim(messageId), ''), 'md5:' || md5(rtrim(tandem_line, e' \\r\\n')))",
        "occurred_at": "tandem_occurred_at",
        "occurred_at__text": f"coalesce({', '.join(identifier(name) for name in TIMES)})",
        "received_at": "tandem_receivedAt",
        "received_at__text": "receivedAt",
        "sent_at": "tandem_sentAt",
        "sent_at__text": "sentAt",
    } | plain


def _times() -> str:
    """Segment's correction of a wrong device clock: timestamp = receivedAt - (sentAt - originalTimestamp).

    A sentAt before originalTimestamp was written by another clock and corrects nothing.
    """
    parsed = ", ".join(
        f"{read_value(clean(identifier(name)), 'timestamp')} as {identifier('tandem_' + name)}"
        for name in TIMES
    )
    return f"""{parsed},
            case
                when tandem_sentAt >= tandem_originalTimestamp and tandem_receivedAt is not null
                    then tandem_receivedAt - (tandem_sentAt - tandem_originalTimestamp)
                else coalesce(tandem_timestamp, tandem_originalTimestamp, tandem_sentAt, tandem_receivedAt)
            end as tandem_occurred_at"""


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
    paths = list(KEPT)
    if keys.are_columns:
        paths += [*keys.top, *(f"context.{name}" for name in keys.context)]
    members = []
    for path in paths:
        parent = "context." if path.startswith("context.") and path not in keys.top else ""
        inner = path.removeprefix("context.") if parent else path
        parts = inner.split(".") if path in KEPT else [inner]
        column = parent + ".".join(identifier(part) for part in parts)
        value = f"{column}::varchar"
        members.append(f"{literal(json.dumps(path, ensure_ascii=False) + ':')} || {_without_empty(value)}")
    if keys.has_other_context:
        members.append(
            "case when try(json_type(tandem_line, '$.context')) not in ('OBJECT', 'NULL')"
            " then '\"context\":' || json_extract(tandem_line, '$.context')::varchar end"
        )
    known = (
        f"""json_transform('{{' || concat_ws(',', {", ".join(members)}) || '}}', '"MAP(VARCHAR, VARCHAR)"')"""
    )
    if keys.are_columns:
        return f"case when {IS_MALFORMED} then map() else {known} end::map(varchar, varchar)"
    return f"""case
                when {IS_MALFORMED} then map()
                else map_from_entries(list_distinct(
                    map_entries({known}) || {_strange("tandem_line", "", keys.top)}
                    || {_strange("json_extract(tandem_line, '$.context')", "context.", keys.context)}
                ))
            end::map(varchar, varchar)"""


def _strange(text: str, prefix: str, names: tuple[str, ...]) -> str:
    """The entries of some keys of a JSON object, looked up in the row."""
    values = f"""coalesce(map_entries(try(json_transform({text}, '"MAP(VARCHAR, VARCHAR)"'))), [])"""
    named = f"list_transform({values}, lambda entry: {{'key': {literal(prefix)} || entry.key, 'value': entry.value}})"
    wanted = texts(tuple(prefix + name for name in names))
    return (
        f"list_filter({named}, lambda entry: entry.value is not null and entry.value not in ('', '{{}}', '[]')"
        f" and list_contains({wanted}, entry.key))"
    )


def _without_empty(text: str) -> str:
    return f"case when {text} not in ({', '.join(literal(empty) for empty in EMPTY)}) then {text} end"


def _structure(keys: Keys) -> dict:
    """What one parse reads, as DuckDB's `json_transform` wants it."""
    strange_top = dict.fromkeys(keys.top if keys.are_columns else (), "JSON")
    strange_context = dict.fromkeys(keys.context if keys.are_columns else (), "JSON")
    return TOP_LEVEL | strange_top | {"context": CONTEXT | strange_context}


def _override(entry: MapEntry) -> str:
    if entry.value is not None:
        return literal(str(entry.value).lower() if isinstance(entry.value, bool) else str(entry.value))
    if entry.sql is not None:
        return f"try({entry.sql})"
    path = "".join("." + identifier(part) for part in entry.column.split("."))
    return f"try(json_extract_string(tandem_line, {literal('$' + path)}))"
