"""Web-server logs in the Common and Combined Log Format (httpd.apache.org/docs/2.4/logs.html), also nginx's default,
as canonical events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, SOURCE
from include.extract.specs.canonical import Canonical
from include.extract.specs.events import (
    EVENT,
    canonical_events,
    json_members,
    json_number,
    known_fields,
    one_of,
)
from include.extract.specs.fields import read_fields
from include.extract.sql import literal, texts

if TYPE_CHECKING:
    from include.config import Channel

QUOTED = r'(?:[^"\\]|\\.)*'
# A server of many sites begins with whose site it is. A request that is none (a probe, a time-out) is kept as it came.
# Servers may log more after the agent.
LINE = (
    r"^(?:(\S+:[0-9]+) )?(\S+) (\S+) ([^\[\]]+?) \[([^\]]+)\] "
    rf'"(?:([A-Z]+) ({QUOTED}?)(?: (HTTP/[0-9.]+))?|({QUOTED}))" '
    rf'([0-9]{{3}}) ([0-9]+|-)(?: "({QUOTED})" "({QUOTED})")?(?: (.*))?$'
)
PARTS = (
    "virtual_host", "host", "identity", "remote_user", "time", "method", "path", "protocol", "request", "status",
    "bytes", "referrer", "user_agent", "extra",
)  # fmt: skip
TIME = "%d/%b/%Y:%H:%M:%S %z"
# Kept in the attributes; all others are in columns or properties.
KEPT = ("identity", "extra")
ASSETS = (
    "css", "js", "mjs", "map", "json", "xml", "rss", "atom", "txt", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp",
    "avif", "bmp", "tif", "tiff", "woff", "woff2", "ttf", "eot", "otf", "mp3", "mp4", "webm", "ogg", "mov", "avi",
    "wav", "flac", "pdf", "zip", "gz", "bz2", "xz", "tar", "tgz", "7z", "rar", "jar", "exe", "dmg", "iso", "deb", "rpm",
    "msi", "wasm", "swf",
)  # fmt: skip


def map_apache(channel: Channel, file_name: str) -> Canonical:
    """Canonical events, one per line. The channel's map may name the parts of a line, see `PARTS`.

    Without cookies a visitor is whoever has the same address and user agent: people behind one address with the
    same browser are one, and a person who changes either is two. A line has no id either: its content and how many
    times it came before in the file make one, so that logs that overlap give the same ids.
    """
    fields = read_fields(channel, file_name, dict.fromkeys(PARTS, "VARCHAR"), _parsed())
    known = known_fields(
        fields, dict.fromkeys(PARTS, "VARCHAR"), [name for name in PARTS if name not in KEPT],
        {"tandem_event_id": f"'md5:' || md5({RAW}) || '.' || tandem_occurrence"},
    )  # fmt: skip
    timed = f"select *, try_strptime({EVENT}.time, {literal(TIME)}) as tandem_time from ({known})"
    return canonical_events(fields, timed, _columns())


def _parsed() -> str:
    """The parts of each line by one regular expression. `-` is no value; escaped signs are what they stand for."""
    values = ", ".join(f"{_value(f'tandem_parts.{name}')} as {name}" for name in PARTS)
    # Counting takes the lines out of their order, so they are sorted again while they are still short.
    counted = f"""
                select {ROW}, {RAW}, row_number() over (partition by md5_number({RAW}) order by {ROW})
                    as tandem_occurrence
                from {SOURCE}
                order by {ROW}"""
    return f"""
            select {ROW}, {RAW}, tandem_parts.status = '' as {IS_MALFORMED}, tandem_occurrence, {values}
            from (select *, regexp_extract({RAW}, {literal(LINE)}, {texts(PARTS)}) as tandem_parts from ({counted}))"""


def _value(part: str) -> str:
    plain = rf"""replace(replace({part}, '\"', '"'), '\\', '\')"""
    return f"case when {part} not in ('', '-') then {plain} end"


def _columns() -> dict[str, str]:
    path = f"{EVENT}.path"
    bare = f"split_part(split_part({path}, '?', 1), '#', 1)"
    ending = f"lower(regexp_extract({bare}, '\\.([A-Za-z0-9]+)$', 1))"
    is_asset = one_of(ending, ASSETS)
    is_page = f"{EVENT}.method in ('GET', 'HEAD') and {EVENT}.status < '400' and not {is_asset}"
    return {
        "event_id": "tandem_event_id",
        "type": f"case when {is_page} then 'page' else 'track' end",
        "occurred_at": "tandem_time::timestamp",
        "occurred_at__text": f"{EVENT}.time",
        "name": f"case when not coalesce({is_page}, false) then 'Request' end",
        "anonymous_id": f"md5(concat_ws(' ', {EVENT}.host, {EVENT}.user_agent))",
        "user_id": f"{EVENT}.remote_user",
        "ip": f"{EVENT}.host",
        "user_agent": f"{EVENT}.user_agent",
        "platform": "'web'",
        "site": f"lower(regexp_replace({EVENT}.virtual_host, ':[0-9]+$', ''))",
        "is_owned_site": "true",
        "url": path,
        "referrer": f"{EVENT}.referrer",
        "properties": json_members(
            {
                "method": f"{EVENT}.method",
                "status": json_number(f"{EVENT}.status"),
                "bytes": json_number(f"{EVENT}.bytes"),
                "protocol": f"{EVENT}.protocol",
                "request": f"{EVENT}.request",
            }
        ),
    }
