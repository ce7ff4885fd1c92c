"""Which canonical column a source column looks like, by its name and by its values."""

from __future__ import annotations

import re

from include.extract.kinds import Column, Kind
from include.extract.profile import SourceColumn
from include.quality.samples import PERSONAL_COLUMNS

# A name in lower case with `_` between its words, as a whole. A canonical column's own name always fits.
NAMES = {
    "record_id": r"id|uuid|(rec|unique|row)_id"
    r"|(customer|client|contact|person|member|user|account|kunden|personen)_?(id|nr|no)",
    "observed_at": r"(last_)?(updated|modified|changed|created|seen)(_?(at|on|date|time|ts))?|as_of|timestamp|date",
    "customer_number": r"customer_?(id|no|nr|num|number)|client_?(id|no|number)|kundennummer|custno",
    "loyalty_number": r"(loyalty|bonus|member)_?(card|id|no|number)?(_?(id|no|number))?|card_?(no|number)",
    "user_id": r"user(_?id|name)?|login|uid|account_id",
    "email": r"e_?mail(_?(address|addr|adresse))?|mail(_?address)?",
    "phone": r"(tele)?phone(_?(number|no))?|mobile(_?(number|no|phone))?|cell(_?phone)?|landline|msisdn|tel|telefon",
    "given_name": r"(first|given|fore)_?name|vorname|first|fname",
    "family_name": r"(last|family|sur)_?name|nachname|last|surname|lname",
    "birth_date": r"(date_of_birth|birth_?(date|day)|dob|born(_on)?|geburtsdatum)",
    "gender": r"gender|sex|geschlecht",
    "national_id": r"national_id|ssn|soc_sec_id|tax_id|passport(_no)?",
    "street": r"street(_address)?|address(_?(line)?_?1)?|strasse",
    "city": r"city|town|suburb|ort|stadt|locality",
    "region": r"region|state|province|county|bundesland",
    "postcode": r"post_?(al)?_?code|zip(_?code)?|plz",
    "country": r"country(_?code)?|land",
    "event_id": r"(event|message|hit|row)_?id|id|uuid",
    "type": r"(event_?)?type",
    "occurred_at": r"(occurred|happened|created|started|called|sent|event|seen)_?(at|on|time|date|timestamp)"
    r"|timestamp|time|date|datetime|ts|event_timestamp|start(_time)?",
    "name": r"(event|product|item)(_?name)?|title|description|label",
    "received_at": r"received_?at|server_?time|collector_tstamp|load(ed)?_?at",
    "sent_at": r"sent_?at",
    "anonymous_id": r"(anonymous|visitor|cookie|client|device_cookie|user_pseudo|domain_user)_?id|cookie|domain_userid",
    "device_id": r"device_?id",
    "advertising_id": r"(advertising|ad)_?id|idfa|gaid|maid|aaid",
    "session_id": r"session_?id|ga_session_id|domain_sessionid",
    "ip": r"(client_|remote_|user_)?ip(_?address)?|user_ipaddress|remote_host",
    "user_agent": r"(user_?)?agent|ua|useragent",
    "url": r"(page_?)?(url|location|uri)|request",
    "referrer": r"(page_?)?referr?er(_?url)?",
    "site": r"site|host(name)?|domain|app_id",
    "platform": r"platform|device_category",
    "content_category": r"(content_)?category",
    "order_id": r"(order|transaction|invoice|basket|receipt|purchase)_?(id|no|nr|number)?|bestellnummer",
    "ordered_at": r"(order|invoice|purchase|transaction)(ed)?_?(at|on|date|time|timestamp)|placed(_(at|on))?"
    r"|date|created_at",
    "updated_at": r"(updated|modified|changed)_?(at|on)",
    "status": r"(order_?)?status|state",
    "sales_channel": r"(sales_?)?channel",
    "store_id": r"(store|shop|branch|outlet)_?(id|no|number)?",
    "currency": r"currency(_?code)?",
    "total": r"(order_?|grand_?)?total(_?(amount|price|value))?|revenue|amount|sum",
    "discount": r"discount(_?(amount|value))?|rebate",
    "coupon": r"coupon(_?code)?|voucher|promo(_?code)?",
    "line_number": r"line(_?(no|nr|number|item))?|position|row_number",
    "product_id": r"(product|article|item|stock)_?(id|no|nr|code|number)|sku|upc|ean|gtin",
    "quantity": r"quantity|qty|units|count|menge|pieces",
    "unit_price": r"(unit_?|item_?)?price",
    "amount": r"(line_?)?(amount|total|value|revenue|sales_value)",
    "brand": r"brand|manufacturer|make",
    "category": r"(product_?|item_?)?(category|department|type|group)(_?name)?",
    "price": r"(list_?|retail_?|unit_?)?price",
    "interaction_id": r"(interaction|call|ticket|chat|case|contact|visit)_?(id|no|number)|id",
    "direction": r"direction|inbound",
    "reason": r"reason|topic|subject",
    "outcome": r"outcome|result|resolution|disposition",
    "duration_seconds": r"duration(_?(s|sec|seconds))?|seconds|call_length|talk_time",
    "satisfaction": r"satisfaction|csat|rating|nps",
    "message_id": r"(message|mail|email|send)_?id|id",
    "action": r"action|event(_?type)?",
    "campaign_id": r"(campaign|mailing|newsletter)(_?id)?",
    "id_type": r"id_?type",
    "id_value": r"id_?value|identifier|cookie|maid|e_?mail",
    "purpose": r"purpose|consent_?type|category",
    "effective_at": r"effective_?(at|on|date)|(granted|updated|changed|created)_?(at|on)|timestamp|date",
    "source": r"source|origin",
    "provider": r"provider|vendor",
}
# Values that show what they are whatever the name says.
SHAPES = {"e-mail": "email", "phone": "phone", "ip": "ip", "url": "url"}
TYPES = {
    "timestamp": ("timestamp", "date", "d/m/y", "integer", "decimal"),
    "date": ("timestamp", "date", "d/m/y", "integer"),
    "integer": ("integer",),
    "decimal": ("integer", "decimal"),
    "double": ("integer", "decimal"),
    "json": ("json",),
}


def suggest(kind: Kind, taken: set[str], columns: list[SourceColumn]) -> dict[str, str]:
    """Canonical column to source column, for those of the kind that are not in `taken` and that one of the source
    columns looks like. A name beats a shape, and each source column is given once."""
    suggested: dict[str, str] = {}
    given: set[str] = set()
    for fits in (_is_own_name, _has_a_name_for, _has_the_shape_of):
        for canonical in kind.columns:
            if canonical.name in taken or canonical.name in suggested or canonical.name == "is_deleted":
                continue
            found = next((c.name for c in columns if c.name not in given and fits(canonical, c)), None)
            if found is not None:
                suggested[canonical.name] = found
                given.add(found)
    order = [column.name for column in kind.columns]
    return dict(sorted(suggested.items(), key=lambda item: order.index(item[0])))


def names_a_person(name: str) -> bool:
    """Whether a source column is called like one whose values may say who somebody is."""
    words = words_of(name)
    return any(re.fullmatch(NAMES.get(column, column), words) for column in PERSONAL_COLUMNS)


def words_of(name: str) -> str:
    """A name in lower case with `_` between its words, whatever style it is written in."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", separated.lower()).strip("_")


def _is_own_name(canonical: Column, column: SourceColumn) -> bool:
    return words_of(column.name) == canonical.name and _is_of_its_type(canonical, column)


def _has_a_name_for(canonical: Column, column: SourceColumn) -> bool:
    pattern = NAMES.get(canonical.name)
    is_named = pattern is not None and re.fullmatch(pattern, words_of(column.name)) is not None
    return is_named and _is_of_its_type(canonical, column)


def _has_the_shape_of(canonical: Column, column: SourceColumn) -> bool:
    return SHAPES.get(column.shape) == canonical.name


def _is_of_its_type(canonical: Column, column: SourceColumn) -> bool:
    """Whether the values may be read as the canonical type; texts may hold a date in a form of their own."""
    allowed = TYPES.get(canonical.type)
    return (
        allowed is None
        or column.shape in allowed
        or (column.shape == "text" and canonical.type in ("timestamp", "date"))
    )
