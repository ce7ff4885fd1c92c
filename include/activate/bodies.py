"""The bodies of requests to platforms. Each builder takes an action, the rows of one request and what is said of the
audience, and gives what is sent as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Row = dict[str, str | None]
CONSENT = "consent"  # rows of a request that have it agree in it


@dataclass(frozen=True)
class Context:
    """The platform's ids of the audience and of the company with its type, ours of the audience, and how many days a
    member stays."""

    list_id: str
    account: str
    account_type: str
    audience_id: str
    days: int | None


Builder = Callable[[Literal["add", "remove"], Sequence[Row], Context], dict[str, Any]]


def google_data_manager(action: str, rows: Sequence[Row], context: Context) -> dict[str, Any]:
    """The requests of audienceMembers:ingest and :remove (developers.google.com/data-manager/api/reference)."""
    members = [{"userData": {"userIdentifiers": [_google_identifier(row)]}} for row in rows]
    body: dict[str, Any] = {
        "destinations": [
            {
                "operatingAccount": {"accountType": context.account_type, "accountId": context.account},
                "productDestinationId": context.list_id,
            }
        ],
        "audienceMembers": members,
        "encoding": "HEX",
    }
    if action == "add":
        body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        if _is_granted(rows):
            body[CONSENT] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    return body


def display_video_360(action: str, rows: Sequence[Row], context: Context) -> dict[str, Any]:
    """EditCustomerMatchMembersRequest (developers.google.com/display-video/api/reference)."""
    listed = ("hashedEmails", "hashedPhoneNumbers", "zipCodes")
    people: dict[str, Any] = {
        "contactInfos": [
            {name: [value] if name in listed else value for name, value in _filled(row).items()}
            for row in rows
        ]
    }
    if action == "add" and _is_granted(rows):
        granted = "CONSENT_STATUS_GRANTED"
        people[CONSENT] = {"adUserData": granted, "adPersonalization": granted}
    name = "addedContactInfoList" if action == "add" else "removedContactInfoList"
    return {"advertiserId": context.account, name: people}


def meta_custom_audience(action: str, rows: Sequence[Row], context: Context) -> dict[str, Any]:
    """The payload of /<audience>/users (developers.facebook.com, Custom Audience Users): unknown keys stay empty."""
    schema = list(rows[0])
    return {"payload": {"schema": schema, "data": [[row[name] or "" for name in schema] for row in rows]}}


def linkedin_dmp_segment(action: str, rows: Sequence[Row], context: Context) -> dict[str, Any]:
    """A batch of DMP Segment Users (learn.microsoft.com/linkedin/marketing/matched-audiences)."""
    return {
        "elements": [
            {
                "action": action.upper(),
                "userIds": [{"idType": name, "idValue": value} for name, value in _filled(row).items()],
            }
            for row in rows
        ]
    }


def rows(action: str, rows: Sequence[Row], context: Context) -> dict[str, Any]:
    """Rows as they are, for a service of one's own."""
    return {"audience": context.audience_id, "action": action, "rows": list(rows)}


BUILDERS: dict[str, Builder] = {
    each.__name__: each
    for each in (google_data_manager, display_video_360, meta_custom_audience, linkedin_dmp_segment, rows)
}


def _google_identifier(row: Row) -> dict[str, Any]:
    filled = _filled(row)
    if "givenName" in filled:
        return {"address": filled}
    return filled


def _filled(row: Row) -> dict[str, str]:
    return {name: value for name, value in row.items() if value is not None and name != CONSENT}


def _is_granted(rows: Sequence[Row]) -> bool:
    return all(row.get(CONSENT) == "granted" for row in rows)
