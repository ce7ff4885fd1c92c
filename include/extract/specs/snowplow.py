"""Snowplow's canonical event (docs.snowplow.io/docs/fundamentals/canonical-event): enriched TSV, and what warehouse
loaders and the analytics SDKs make of it, as tables or JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW, Source
from include.extract.specs.canonical import Canonical
from include.extract.specs.events import (
    EVENT,
    canonical_events,
    host_of,
    json_members,
    json_number,
    known_fields,
    merged,
    one_of,
    renamed,
)
from include.extract.specs.fields import VALUES, Fields, missing_column, read_fields, without_nulls
from include.extract.sql import identifier, literal, with_times
from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config import Channel

# The columns of the enriched TSV, in its order.
COLUMNS = (
    "app_id", "platform", "etl_tstamp", "collector_tstamp", "dvce_created_tstamp", "event", "event_id",
    "txn_id", "name_tracker", "v_tracker", "v_collector", "v_etl", "user_id", "user_ipaddress",
    "user_fingerprint", "domain_userid", "domain_sessionidx", "network_userid", "geo_country", "geo_region",
    "geo_city", "geo_zipcode", "geo_latitude", "geo_longitude", "geo_region_name", "ip_isp", "ip_organization",
    "ip_domain", "ip_netspeed", "page_url", "page_title", "page_referrer", "page_urlscheme", "page_urlhost",
    "page_urlport", "page_urlpath", "page_urlquery", "page_urlfragment", "refr_urlscheme", "refr_urlhost",
    "refr_urlport", "refr_urlpath", "refr_urlquery", "refr_urlfragment", "refr_medium", "refr_source",
    "refr_term", "mkt_medium", "mkt_source", "mkt_term", "mkt_content", "mkt_campaign", "contexts",
    "se_category", "se_action", "se_label", "se_property", "se_value", "unstruct_event", "tr_orderid",
    "tr_affiliation", "tr_total", "tr_tax", "tr_shipping", "tr_city", "tr_state", "tr_country", "ti_orderid",
    "ti_sku", "ti_name", "ti_category", "ti_price", "ti_quantity", "pp_xoffset_min", "pp_xoffset_max",
    "pp_yoffset_min", "pp_yoffset_max", "useragent", "br_name", "br_family", "br_version", "br_type",
    "br_renderengine", "br_lang", "br_features_pdf", "br_features_flash", "br_features_java",
    "br_features_director", "br_features_quicktime", "br_features_realplayer", "br_features_windowsmedia",
    "br_features_gears", "br_features_silverlight", "br_cookies", "br_colordepth", "br_viewwidth",
    "br_viewheight", "os_name", "os_family", "os_manufacturer", "os_timezone", "dvce_type", "dvce_ismobile",
    "dvce_screenwidth", "dvce_screenheight", "doc_charset", "doc_width", "doc_height", "tr_currency",
    "tr_total_base", "tr_tax_base", "tr_shipping_base", "ti_currency", "ti_price_base", "base_currency",
    "geo_timezone", "mkt_clickid", "mkt_network", "etl_tags", "dvce_sent_tstamp", "refr_domain_userid",
    "refr_dvce_tstamp", "derived_contexts", "domain_sessionid", "derived_tstamp", "event_vendor", "event_name",
    "event_format", "event_version", "event_fingerprint", "true_tstamp",
)  # fmt: skip
TIMES = ("derived_tstamp", "true_tstamp", "collector_tstamp", "dvce_created_tstamp", "dvce_sent_tstamp")
STRUCTURED = ("se_category", "se_action", "se_label", "se_property")
OFFSETS = ("pp_xoffset_min", "pp_xoffset_max", "pp_yoffset_min", "pp_yoffset_max")
# Fields that canonical columns, times and properties hold as they are; all others stay in the attributes.
CONSUMED = (
    "event_id", "collector_tstamp", "derived_tstamp", "dvce_sent_tstamp", "user_id", "user_ipaddress", "useragent",
    "domain_sessionid", "page_url", "page_title", "page_referrer", "unstruct_event",
    "mkt_medium", "mkt_source", "mkt_term", "mkt_content", "mkt_campaign",
    *STRUCTURED, "se_value", *OFFSETS,
    "tr_orderid", "tr_affiliation", "tr_total", "tr_tax", "tr_shipping", "tr_currency",
    "ti_orderid", "ti_sku", "ti_name", "ti_category", "ti_price", "ti_quantity", "ti_currency",
)  # fmt: skip
KNOWN = (*CONSUMED, "event", "event_name", "platform", "domain_userid", "network_userid", "page_urlhost", "contexts",
         "dvce_created_tstamp", "true_tstamp")  # fmt: skip
PLATFORMS = {"web": "web", "mob": "mobile", "pc": "desktop", "srv": "server"}
# Entities that canonical columns are read from: the end of a schema's path, and the start of a loader's columns.
ENTITIES = {
    "session": (
        "com.snowplowanalytics.snowplow/client_session/",
        "com_snowplowanalytics_snowplow_client_session_1",
    ),
    "mobile": (
        "com.snowplowanalytics.snowplow/mobile_context/",
        "com_snowplowanalytics_snowplow_mobile_context_1",
    ),
    "products": (
        "com.snowplowanalytics.snowplow.ecommerce/product/",
        "com_snowplowanalytics_snowplow_ecommerce_product_1",
    ),
    "transaction": (
        "com.snowplowanalytics.snowplow.ecommerce/transaction/",
        "com_snowplowanalytics_snowplow_ecommerce_transaction_1",
    ),
    "refund": (
        "com.snowplowanalytics.snowplow.ecommerce/refund/",
        "com_snowplowanalytics_snowplow_ecommerce_refund_1",
    ),
}
CONSENT_EVENT, WITHDRAWAL_EVENT = "consent_preferences", "consent_withdrawn"
GRANTS = ("allow_all", "allow_selected")
ECOMMERCE_EVENT = "snowplow_ecommerce_action"
# The types of Snowplow's ecommerce actions and the names of Segment's ecommerce spec, version 2.
ECOMMERCE = {
    "list_view": "Product List Viewed",
    "list_click": "Product Clicked",
    "product_view": "Product Viewed",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "checkout_step": "Checkout Step Completed",
    "promo_view": "Promotion Viewed",
    "promo_click": "Promotion Clicked",
    "transaction": "Order Completed",
    "refund": "Order Refunded",
}


def map_snowplow(channel: Channel, source: Source, file_name: str) -> Canonical:
    """Canonical events, one per row. Raises StepFailed for a table without ids of events, and for a TSV file that
    has not Snowplow's columns."""
    columns, relation = source.columns, without_nulls(channel, source.columns)
    if columns and getattr(channel.source, "header", True) is False:
        if len(columns) != len(COLUMNS):
            raise StepFailed(
                f"{file_name} has {len(columns)} columns in its first line, Snowplow's enriched events have"
                f" {len(COLUMNS)}; is delimiter {channel.source.delimiter!r} right?"
            )
        names = ", ".join(
            f"{identifier(old)} as {identifier(new)}" for old, new in zip(columns, COLUMNS, strict=True)
        )
        relation = f"select {ROW}, {RAW}, {IS_MALFORMED}, {names} from ({relation})"
        columns = dict.fromkeys(COLUMNS, "VARCHAR")
    fields = read_fields(channel, file_name, columns, relation)
    if columns and fields.column("event_id") is None:
        raise missing_column(channel, "spec snowplow", "event_id", list(columns), file_name)
    entities = {
        f"tandem_{name}": _loaded(fields, f"contexts_{column}") for name, (_, column) in ENTITIES.items()
    }
    known = known_fields(
        fields, dict.fromkeys(KNOWN, "VARCHAR"), CONSUMED,
        entities | {"tandem_unstructured": _loaded(fields, "unstruct_event_")},
    )  # fmt: skip
    return canonical_events(fields, _prepared(known), _columns())


def _prepared(known: str) -> str:
    """The parts of an event that its columns are made of: times, its own data, the entities that came with it."""
    times = {f"tandem_{name}": f"{EVENT}.{name}" for name in TIMES}
    entities = ", ".join(_entity(name, schema) for name, (schema, _) in ENTITIES.items())
    own_data = f"json_extract({_json_of(f'{EVENT}.unstruct_event')}, '$.data.data')"
    data = f"coalesce({own_data}, {_json_of('tandem_unstructured')})"
    schema = f"json_extract_string({_json_of(f'{EVENT}.unstruct_event')}, '$.data.schema')"
    schema_name = f"nullif(regexp_extract({schema}, 'iglu:[^/]+/([^/]+)/', 1), '')"
    plain = ("page_view", "page_ping", "struct", "transaction", "transaction_item")
    is_plain = one_of(f"{EVENT}.event", plain)
    other = f"coalesce({EVENT}.event_name, {schema_name}, {EVENT}.event)"
    return f"""
        select * exclude (tandem_data), case when json_type(tandem_data) = 'OBJECT' then tandem_data end as tandem_data
        from (
            select
                * replace ({entities}),
                case when {is_plain} then {EVENT}.event else {other} end as tandem_kind,
                -- A loader's column of events holds an object, or a list of one.
                case when json_type({data}) = 'ARRAY' then json_extract({data}, '$[0]') else {data} end
                    as tandem_data
            from ({with_times(known, times)})
        )"""


def _columns() -> dict[str, str]:
    action = renamed("tandem_data->>'type'", ECOMMERCE, "tandem_kind")
    names = {
        "page_ping": "'Page Ping'",
        "screen_view": "tandem_data->>'name'",
        "struct": f"coalesce({EVENT}.se_action, 'struct')",
        "event": f"coalesce({EVENT}.se_action, 'event')",  # what a structured event is called as `event_name`
        "transaction": "'Order Completed'",
        "transaction_item": "'Product Purchased'",
        ECOMMERCE_EVENT: action,
    }
    cases = " ".join(f"when {literal(kind)} then {name}" for kind, name in names.items())
    times = ", ".join(f"tandem_{name}" for name in ("derived_tstamp", "true_tstamp"))
    texts = ", ".join(f"{EVENT}.{name}" for name in TIMES)
    idfa = ("appleIdfa", "apple_idfa", "androidIdfa", "android_idfa")
    return {
        "event_id": f"{EVENT}.event_id",
        "type": """case
                when tandem_kind = 'page_view' then 'page'
                when tandem_kind = 'screen_view' then 'screen'
                when tandem_kind <> '' then 'track'
            end""",
        # What Snowplow's enrichment does: the time by the device, corrected by what its clock was off on sending.
        "occurred_at": f"""coalesce({times}, case
                when tandem_dvce_sent_tstamp >= tandem_dvce_created_tstamp
                    then tandem_collector_tstamp - (tandem_dvce_sent_tstamp - tandem_dvce_created_tstamp)
            end, tandem_collector_tstamp)""",
        "occurred_at__text": f"coalesce({texts})",
        "received_at": "tandem_collector_tstamp",
        "received_at__text": f"{EVENT}.collector_tstamp",
        "sent_at": "tandem_dvce_sent_tstamp",
        "sent_at__text": f"{EVENT}.dvce_sent_tstamp",
        "name": f"case tandem_kind when 'page_view' then null {cases} else tandem_kind end",
        "anonymous_id": _first(f"{EVENT}.domain_userid", *_members("session", "userId", "user_id"),
                               f"{EVENT}.network_userid"),
        "user_id": f"{EVENT}.user_id",
        "device_id": _first(*_members("mobile", "appleIdfv", "apple_idfv")),
        "advertising_id": _first(*_members("mobile", *idfa)),
        "session_id": _first(f"{EVENT}.domain_sessionid", *_members("session", "sessionId", "session_id")),
        "ip": f"{EVENT}.user_ipaddress",
        "user_agent": f"{EVENT}.useragent",
        "platform": renamed(f"lower({EVENT}.platform)", PLATFORMS, f"lower({EVENT}.platform)"),
        "site": f"coalesce(lower(nullif({EVENT}.page_urlhost, '')), {host_of(f'{EVENT}.page_url')})",
        "is_owned_site": "true",
        "url": f"{EVENT}.page_url",
        "referrer": f"{EVENT}.page_referrer",
        "title": f"{EVENT}.page_title",
        "campaign_source": f"{EVENT}.mkt_source",
        "campaign_medium": f"{EVENT}.mkt_medium",
        "campaign_name": f"{EVENT}.mkt_campaign",
        "campaign_term": f"{EVENT}.mkt_term",
        "campaign_content": f"{EVENT}.mkt_content",
        "consent": _consent(),
        "properties": merged("tandem_data", _structured(), _transaction(), _ecommerce()),
    }  # fmt: skip


def _consent() -> str:
    """What an answer of the enhanced consent plugin says of purposes, in lower case: the scopes that it names are
    granted or refused, all others refused. What was only implied, is pending or has expired is no grant; what is
    allowed on another basis than consent says nothing. The older plugin names documents: only a withdrawal of all is
    read."""
    kind = _first("tandem_data->>'eventType'", "tandem_data->>'event_type'")
    basis = _first("tandem_data->>'basisForProcessing'", "tandem_data->>'basis_for_processing'")
    listed = ", ".join(
        f"json_extract(tandem_data, '$.{name}')" for name in ("consentScopes", "consent_scopes")
    )
    scopes = f"coalesce(try_cast(coalesce({listed}) as varchar[]), [])"
    is_grant = one_of(kind, GRANTS)
    named = f"list_distinct(list_transform({scopes}, lambda scope: lower(scope)))"
    pairs = f"list_transform(list_sort({named}), lambda scope: to_json(scope) || ':' || ({is_grant})::varchar || ',')"
    return f"""case
                when tandem_kind = {literal(CONSENT_EVENT)} and {kind} <> ''
                    and not ({is_grant} and coalesce({basis}, 'consent') <> 'consent')
                    then '{{' || array_to_string({pairs}, '') || '"(others)":false}}'
                when tandem_kind = {literal(WITHDRAWAL_EVENT)} and (tandem_data->>'all') = 'true'
                    then '{{"(others)":false}}'
            end"""


def _structured() -> str:
    """Members of structured events and page pings, under Snowplow's names."""
    return json_members(
        {name: f"{EVENT}.{name}" for name in STRUCTURED}
        | {name: json_number(f"{EVENT}.{name}") for name in ("se_value", *OFFSETS)}
    )


def _transaction() -> str:
    """Members of the older transactions, whose items are events of their own, in Segment's words."""
    product = json_members(
        {
            "product_id": f"{EVENT}.ti_sku",
            "name": f"{EVENT}.ti_name",
            "category": f"{EVENT}.ti_category",
            "price": json_number(f"{EVENT}.ti_price"),
            "quantity": json_number(f"{EVENT}.ti_quantity"),
        }
    )
    return json_members(
        {
            "order_id": _first(f"{EVENT}.tr_orderid", f"{EVENT}.ti_orderid"),
            "affiliation": f"{EVENT}.tr_affiliation",
            "total": json_number(f"{EVENT}.tr_total"),
            "tax": json_number(f"{EVENT}.tr_tax"),
            "shipping": json_number(f"{EVENT}.tr_shipping"),
            "currency": _first(f"{EVENT}.tr_currency", f"{EVENT}.ti_currency"),
            "products": f"case when ({product}) is not null then [({product})::json] end",
        }
    )


def _ecommerce() -> str:
    """Members of an ecommerce action out of its entities, in Segment's words."""
    words = {"id": "product_id", "discount_code": "coupon"}
    product = _renamed_members("item", words)
    products = f"nullif(list_transform(tandem_products, lambda item: {product}), [])"
    return json_members(
        {
            "order_id": _first(*_members("transaction", "transaction_id"), *_members("refund", "transaction_id")),
            "revenue": _json_member("transaction", "revenue"),
            "total": _json_member("refund", "refund_amount"),
            "tax": _json_member("transaction", "tax"),
            "shipping": _json_member("transaction", "shipping"),
            "discount": _json_member("transaction", "discount_amount"),
            "coupon": _json_member("transaction", "discount_code"),
            "currency": _first(
                *_members("transaction", "currency"), *_members("refund", "currency"),
                "tandem_products[1]->>'currency'",
            ),
            "products": products,
        }
    )  # fmt: skip


def _renamed_members(item: str, words: dict[str, str]) -> str:
    """A JSON object with some of its members under other names."""
    pairs = ", ".join(
        f"{literal(old)}, null, {literal(new)}, json_extract({item}, {literal('$.' + old)})"
        for old, new in words.items()
    )
    return f"json_merge_patch('{{}}', json_merge_patch({item}, json_object({pairs})))"


def _loaded(fields: Fields, prefix: str) -> str:
    """The first self-describing column or key with a value whose name starts like this, as JSON text."""
    if not fields.types:
        start = literal(prefix)
        wanted = f"lambda entry: starts_with(entry.key, {start}) and entry.value is not null"
        return f"list_filter(map_entries({VALUES}), {wanted})[1].value"
    texts = [
        f"{identifier(name)}" if kind == "VARCHAR" else f"to_json({identifier(name)})::varchar"
        for name, kind in fields.types.items()
        if name.lower().startswith(prefix)
    ]
    return f"coalesce({', '.join([*texts, 'null::varchar'])})"


def _json_of(text: str) -> str:
    return f"case when json_valid({text}) then {text}::json end"


def _entity(name: str, schema: str) -> str:
    """All entities of one schema: from a loader's column, else from the TSV's list of all entities."""
    listed = f"json_extract({_json_of(f'{EVENT}.contexts')}, '$.data[*]')"
    wanted = f"lambda item: contains(item->>'schema', {literal(schema)})"
    sent = f"list_transform(list_filter({listed}, {wanted}), lambda item: json_extract(item, '$.data'))"
    own = f"json_extract({_json_of(f'tandem_{name}')}, '$[*]')"
    return f"coalesce({own}, {sent}) as tandem_{name}"


def _members(entity: str, *keys: str) -> list[str]:
    return [f"tandem_{entity}[1]->>{literal(key)}" for key in keys]


def _json_member(entity: str, key: str) -> str:
    return f"json_extract(tandem_{entity}[1], {literal('$.' + key)})"


def _first(*values: str) -> str:
    given = ", ".join(f"nullif({value}, '')" for value in values)
    return f"coalesce({given})"
