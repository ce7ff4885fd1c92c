"""The warehouse tables of Segment and RudderStack (segment.com/docs/connections/storage/warehouses/schema) as canonical
events: `identifies`, `tracks`, `pages`, `screens`, `groups`, `aliases`, `users`, and one table per event.

`tracks` has every event without its properties, and the event's own table has it again with them, under the same id:
of such two rows staging has to keep the one with properties. `users` is the newest state of each user, so each of its
rows lands as one identify call whose id is the user's: a later state replaces an earlier one.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from include.extract.formats.reading import Source
from include.extract.specs.canonical import Canonical
from include.extract.specs.events import EVENT, canonical_events, host_of, json_members, known_fields
from include.extract.specs.fields import Fields, missing_column, read_fields, without_nulls
from include.extract.sql import identifier, literal, read_value, with_times
from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config import Channel

TYPES = {
    "identifies": "identify",
    "users": "identify",
    "tracks": "track",
    "pages": "page",
    "screens": "screen",
    "groups": "group",
    "aliases": "alias",
}
NO_EVENTS = ("rudder_discards",)
WITH_TRAITS = ("identifies", "users", "groups")
TIMES = ("timestamp", "original_timestamp", "sent_at", "received_at")
# Of every table; what begins with `context_` is of the call, and all other columns are its properties or traits.
CALL = ("id", "anonymous_id", "user_id", "previous_id", "group_id", "event", "event_text", "channel", *TIMES,
        "uuid", "uuid_ts", "loaded_at")  # fmt: skip
CONTEXT = {
    "device_id": ("context_device_id",),
    "advertising_id": ("context_device_advertising_id",),
    "ip": ("context_ip", "context_request_ip"),
    "user_agent": ("context_user_agent",),
    "url": ("context_page_url",),
    "referrer": ("context_page_referrer",),
    "title": ("context_page_title",),
    "campaign_source": ("context_campaign_source",),
    "campaign_medium": ("context_campaign_medium",),
    "campaign_name": ("context_campaign_name",),
    "campaign_term": ("context_campaign_term",),
    "campaign_content": ("context_campaign_content",),
    "email": ("context_traits_email",),
    "phone": ("context_traits_phone",),
}
OF_CALL = ("context_library_name", "context_device_type", "context_session_id")
KNOWN = (
    *CALL, *(name for names in CONTEXT.values() for name in names), *OF_CALL,
    "name", "url", "referrer", "title", "email", "phone",
)  # fmt: skip
CONSUMED = (
    "id", "anonymous_id", "user_id", "previous_id", "group_id", "received_at", "sent_at",
    *(names[0] for names in CONTEXT.values()),
)  # fmt: skip
CONSENT = "context_consent_category_preferences_"
# What a file's name has beside that of its table.
ENDINGS = re.compile(r"(\.(csv|tsv|parquet|pq|snappy|gz|gzip|zst|zstd|txt))+$", re.IGNORECASE)
DATES = re.compile(r"\d{4}[-_]?\d{2}[-_]?\d{2}(T?\d{2}[-_:]?\d{2}([-_:]?\d{2})?Z?)?")
PARTS = re.compile(r"(^|[-_.])(part|shard|chunk|file|data)?[-_]?(\d{3,}|[0-9a-f]{8}-[0-9a-f-]{20,})(?=$|[-_.])|"
                   r"(^|[-_.])(part|shard|chunk|file|data)[-_.]?\d*$", re.IGNORECASE)  # fmt: skip


def map_tables(channel: Channel, source: Source, file_name: str) -> Canonical:
    """Canonical events out of one table, one per row; which table it is says the delivery's name.

    Raises StepFailed when the name does not say it, and for a table without ids.
    """
    table = table_of(file_name)
    if table is None or table in NO_EVENTS:
        raise StepFailed(
            f"{file_name} is no table of events: spec segment takes {', '.join(TYPES)} and one table per event,"
            " by the name of the file, its folder or the SQL table; leave others out of the path"
        )
    fields = read_fields(channel, file_name, source.columns, without_nulls(channel, source.columns))
    if fields.column("id") is None:
        raise missing_column(channel, "spec segment", "id", list(source.columns), file_name)
    own = {
        name.lower(): _json_value(name, kind)
        for name, kind in source.columns.items()
        if name.lower() not in CALL and not name.lower().startswith("context_")
    }
    known = known_fields(
        fields, dict.fromkeys(KNOWN, "VARCHAR"), (*CONSUMED, *own),
        {"tandem_own": json_members(own), "tandem_consent": _consent(fields),
         "tandem_context_traits": json_members(_members(fields, "context_traits_"))},
    )  # fmt: skip
    times = {f"tandem_{name}": f"{EVENT}.{identifier(name)}" for name in TIMES}
    return canonical_events(fields, with_times(known, times), _columns(table))


def table_of(name: str) -> str | None:
    """The table that a delivery is of, by its name: the file's, else that of the nearest folder that says something.

    Dates, numbers of parts, endings and a schema before a point are no part of it: `tracks_2017-12-01.csv.gz`,
    `prod/tracks/date=2017-12-01/part-0001.parquet` and `prod.tracks` are all `tracks`.
    """
    for part in reversed(PurePosixPath(name).parts):
        if "=" in part:
            continue
        text = DATES.sub("", ENDINGS.sub("", part))
        text = PARTS.sub("", text).strip("-_. ")
        text = re.sub(r"[^a-z0-9]+", "_", text.rpartition(".")[2].lower()).strip("_")
        if text and not text.isdigit():
            return text
    return None


def _columns(table: str) -> dict[str, str]:
    kind = TYPES.get(table, "track")
    context = {name: f"coalesce({', '.join(_texts(names))})" for name, names in CONTEXT.items()}
    if kind in ("page", "screen"):
        context |= {
            name: f"coalesce({context[name]}, {EVENT}.{name})" for name in ("url", "referrer", "title")
        }
    if table in WITH_TRAITS and table != "groups":
        context |= {name: f"coalesce({EVENT}.{name}, {context[name]})" for name in ("email", "phone")}
    texts = ", ".join(f'{EVENT}."{name}"' for name in TIMES)
    own, has_traits = "tandem_own", table in WITH_TRAITS
    event_text = f"{EVENT}.event_text, {EVENT}.event"
    names = {
        "track": f"coalesce({event_text}, {literal(table) if table != 'tracks' else 'null'})",
        "page": f"{EVENT}.name",
        "screen": f"{EVENT}.name",
    }
    is_user = table == "users"
    return {
        "event_id": f"'users:' || {EVENT}.id" if is_user else f"{EVENT}.id",
        "type": literal(kind),
        # Segment's correction of a wrong device clock, see the spec of its JSON.
        "occurred_at": """case
                when tandem_sent_at >= tandem_original_timestamp and tandem_received_at is not null
                    then tandem_received_at - (tandem_sent_at - tandem_original_timestamp)
                else coalesce(tandem_timestamp, tandem_original_timestamp, tandem_sent_at, tandem_received_at)
            end""",
        "occurred_at__text": f"coalesce({texts})",
        "received_at": "tandem_received_at",
        "received_at__text": f"{EVENT}.received_at",
        "sent_at": "tandem_sent_at",
        "sent_at__text": f"{EVENT}.sent_at",
        "name": names.get(kind, "null::varchar"),
        "anonymous_id": f"{EVENT}.anonymous_id",
        "user_id": f"coalesce({EVENT}.user_id, {EVENT}.id)" if is_user else f"{EVENT}.user_id",
        "previous_id": f"{EVENT}.previous_id",
        "group_id": f"{EVENT}.group_id",
        # RudderStack's number of a session is a time, which two visitors may share.
        "session_id": f"{EVENT}.anonymous_id || '.' || nullif({EVENT}.context_session_id, '')",
        **context,
        "platform": _platform(kind),
        "site": host_of(context["url"]),
        "is_owned_site": "true",
        "consent": "tandem_consent",
        "properties": "null::varchar" if has_traits else own,
        "traits": own if has_traits else "tandem_context_traits",
    }


def _texts(names: tuple[str, ...]) -> list[str]:
    return [f"{EVENT}.{name}" for name in names]


def _platform(kind: str) -> str:
    """The same words as for Segment's JSON, by what its flattened context still says."""
    library, device = f"lower({EVENT}.context_library_name)", f"lower({EVENT}.context_device_type)"
    channel, url = f"lower({EVENT}.channel)", f"{EVENT}.context_page_url"
    mobile = "ios|android|kotlin|swift|flutter|react-native|unity|xamarin"
    web = r"analytics\.js|javascript|rudder-?js|web"
    return f"""case
                when {channel} in ('browser', 'web') then 'web'
                when {channel} in ('mobile', 'desktop', 'server') then {channel}
                when regexp_matches({library}, 'electron|desktop') then 'desktop'
                when regexp_matches({library}, '{mobile}') or {literal(kind)} = 'screen'
                    or {device} in ('ios', 'android') then 'mobile'
                when regexp_matches({library}, '{web}') or {url} is not null then 'web'
                when {library} is not null then 'server'
            end"""


def _members(fields: Fields, prefix: str) -> dict[str, str]:
    """The columns that begin with a prefix, by the rest of their names in lower case."""
    return {
        name.lower().removeprefix(prefix): _json_value(name, kind)
        for name, kind in fields.types.items()
        if name.lower().startswith(prefix)
    }


def _json_value(name: str, kind: str) -> str:
    """A column as JSON. Lists and objects, which warehouses keep as JSON text, are lists and objects again."""
    value = identifier(name)
    if kind != "VARCHAR":
        return f"to_json({value})"
    is_nested = f"(starts_with({value}, '[') or starts_with({value}, '{{')) and json_valid({value})"
    return f"case when {is_nested} then {value}::json else to_json(nullif({value}, '')) end"


def _consent(fields: Fields) -> str:
    """Categories of consent, which are columns of their own here, as one JSON object."""
    names = {
        name.lower().removeprefix(CONSENT): name for name in fields.types if name.lower().startswith(CONSENT)
    }
    return json_members(
        {key: read_value(f"{identifier(name)}::varchar", "boolean") for key, name in names.items()}
    )
