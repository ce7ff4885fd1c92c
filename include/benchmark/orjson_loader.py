"""Segment JSON lines to typed Parquet by a Python loop: what one would write without Tandem, with care for speed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 50_000
TYPES = frozenset({"page", "screen", "track", "identify", "alias", "group"})
KNOWN = frozenset(
    {"messageId", "type", "event", "name", "anonymousId", "userId", "previousId", "groupId", "timestamp",
     "originalTimestamp", "sentAt", "receivedAt", "properties", "traits", "context"}
)  # fmt: skip
KNOWN_INSIDE = {
    "context": frozenset({"ip", "userAgent", "page", "campaign", "device", "consent", "traits"}),
    "context.page": frozenset({"url", "referrer", "title"}),
    "context.campaign": frozenset({"source", "medium", "name", "term", "content"}),
    "context.device": frozenset({"id", "advertisingId"}),
    "context.consent": frozenset({"categoryPreferences"}),
}
EARLIEST, LATEST = datetime(2000, 1, 1), datetime(2100, 1, 1)
TIMES = ("occurred_at", "received_at", "sent_at")
TEXTS = (
    "event_id", "type", "name", "anonymous_id", "user_id", "previous_id", "group_id", "device_id", "advertising_id",
    "email", "phone", "ip", "user_agent", "platform", "site", "url", "referrer", "title", "campaign_source",
    "campaign_medium", "campaign_name", "campaign_term", "campaign_content", "consent", "properties", "traits",
)  # fmt: skip
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXTS]
    + [(name, pa.timestamp("us")) for name in TIMES]
    + [("is_owned_site", pa.bool_())]
    + [(name, pa.map_(pa.string(), pa.string())) for name in ("attributes", "rejected_values")]
    + [("party", pa.string()), ("source_file", pa.string()), ("source_row", pa.int64())]
)


class Refused(Exception):
    """A line that breaks the contract; the message is the reason."""


def load(source: Path, target: Path, quarantine: Path) -> int:
    """Write the good lines of `source` to Parquet, the others with row number and reason to `quarantine`."""
    written = 0
    with source.open("rb") as content:  # by which a file is known again
        hashlib.file_digest(content, "sha256")
    with (
        source.open("rb") as lines,
        quarantine.open("wb") as refused,
        pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer,
    ):
        numbered = enumerate(lines, start=1)
        while batch := list(islice(numbered, BATCH)):
            columns: list[list] = [[] for _ in SCHEMA]
            appends = [column.append for column in columns]
            for number, line in batch:
                try:
                    values = _read(orjson.loads(line), line)
                except (orjson.JSONDecodeError, Refused, AttributeError) as error:
                    bad = {"raw": line.decode("utf-8", "replace"), "reason": str(error), "row": number}
                    refused.write(orjson.dumps(bad, option=orjson.OPT_APPEND_NEWLINE))
                    continue
                for append, value in zip(appends, (*values, "first", source.name, number), strict=True):
                    append(value)
            writer.write_table(pa.table(columns, schema=SCHEMA))
            written += len(columns[0])
    return written


def _read(event: dict, line: bytes) -> tuple:
    get = event.get
    context = get("context") or {}
    page, campaign = context.get("page") or {}, context.get("campaign") or {}
    device, traits = context.get("device") or {}, get("traits") or context.get("traits")
    kind = get("type")
    if kind not in TYPES:
        raise Refused("not_allowed:type")
    original, sent, received = _time(get("originalTimestamp")), _time(get("sentAt")), _time(get("receivedAt"))
    if original and sent and received and sent >= original:
        occurred = received - (sent - original)
    else:
        occurred = _time(get("timestamp")) or original or sent or received
    if occurred is None:
        raise Refused("missing:occurred_at")
    if not EARLIEST <= occurred <= LATEST:
        raise Refused("out_of_range:occurred_at")
    rejected = [
        (name, str(get(key)))
        for name, key, value in (("received_at", "receivedAt", received), ("sent_at", "sentAt", sent))
        if value is None and get(key) is not None
    ]
    url = page.get("url")
    consent = _text((context.get("consent") or {}).get("categoryPreferences"))
    return (
        _text(get("messageId")) or "md5:" + hashlib.md5(line.rstrip(), usedforsecurity=False).hexdigest(),
        kind,
        _text(get("event") or get("name")),
        _text(get("anonymousId")),
        _text(get("userId")),
        _text(get("previousId")),
        _text(get("groupId")),
        _text(device.get("id")),
        _text(device.get("advertisingId")),
        _text(traits.get("email")) if traits else None,
        _text(traits.get("phone")) if traits else None,
        _text(context.get("ip")),
        _text(context.get("userAgent")),
        _platform(event, context, url),
        url.split("/", 3)[2].split(":")[0].lower() if url and "://" in url else None,
        _text(url),
        _text(page.get("referrer")),
        _text(page.get("title")),
        _text(campaign.get("source")),
        _text(campaign.get("medium")),
        _text(campaign.get("name")),
        _text(campaign.get("term")),
        _text(campaign.get("content")),
        consent.lower() if consent and consent.startswith("{") else None,
        _text(get("properties")),
        _text(traits),
        occurred,
        received,
        sent,
        True,
        _attributes(
            event,
            {
                "context": context,
                "context.page": page,
                "context.campaign": campaign,
                "context.device": device,
                "context.consent": context.get("consent") or {},
            },
        ),
        rejected,
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() or None
    return orjson.dumps(value).decode()


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _platform(event: dict, context: dict, url: str | None) -> str | None:
    channel = event.get("channel")
    if channel in ("browser", "web"):
        return "web"
    if channel in ("mobile", "desktop", "server"):
        return channel
    library = ((context.get("library") or {}).get("name") or "").lower()
    if "electron" in library:
        return "desktop"
    if event["type"] == "screen" or any(word in library for word in ("ios", "android", "flutter")):
        return "mobile"
    return "web" if url or "analytics.js" in library else None


def _attributes(event: dict, inner: dict[str, dict]) -> list[tuple[str, str]]:
    entries = [(name, value) for name, value in event.items() if name not in KNOWN]
    for level, item in inner.items():
        known = KNOWN_INSIDE[level]
        entries += [(f"{level}.{name}", value) for name, value in item.items() if name not in known]
    texts = ((name, _text(value)) for name, value in entries)
    return [(name, text) for name, text in texts if text not in (None, "{}", "[]")]
