"""Rows of Google Analytics 4's export to BigQuery (developers.google.com/analytics/bigquery/event-schema), as Parquet
or JSON, as canonical events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.extract.formats.reading import Source
from include.extract.specs.canonical import Canonical
from include.extract.specs.events import (
    EVENT,
    canonical_events,
    host_of,
    json_members,
    known_fields,
    merged,
    one_of,
    renamed,
)
from include.extract.specs.fields import Structure, missing_column, read_fields, without_nulls
from include.extract.sql import literal

if TYPE_CHECKING:
    from include.config import Channel

VALUE = dict.fromkeys(("string_value", "int_value", "float_value", "double_value"), "VARCHAR")
PARAMETERS: list[Structure] = [{"key": "VARCHAR", "value": VALUE}]
BATCH = ("event_bundle_sequence_id", "batch_event_index", "batch_ordering_id", "batch_page_id")
STRUCTURE: dict[str, Structure] = {
    **dict.fromkeys(
        ("event_timestamp", "event_name", "user_id", "user_pseudo_id", "platform", *BATCH), "VARCHAR"
    ),
    "event_params": PARAMETERS,
    "user_properties": PARAMETERS,
    "device": {"advertising_id": "VARCHAR", "vendor_id": "VARCHAR", "web_info": {"hostname": "VARCHAR"}},
    "traffic_source": dict.fromkeys(("name", "medium", "source"), "VARCHAR"),
    "collected_traffic_source": dict.fromkeys(
        ("manual_campaign_name", "manual_source", "manual_medium", "manual_term", "manual_content"), "VARCHAR"
    ),
    "privacy_info": dict.fromkeys(("analytics_storage", "ads_storage"), "VARCHAR"),
    "ecommerce": dict.fromkeys(
        ("transaction_id", "purchase_revenue", "refund_value", "tax_value", "shipping_value"), "VARCHAR"
    ),
    "items": ["JSON"],
}
REQUIRED = ("event_name", "event_timestamp")
# Fields that canonical columns hold as they are; all others stay in the attributes.
CONSUMED = ("event_timestamp", "user_id", "user_pseudo_id", "event_params", "items", "privacy_info")
# Words for "no value", which the export has as texts.
UNKNOWN = ("(not set)", "(none)", "(direct)", "(data deleted)", "")
PURCHASES = ("purchase", "ecommerce_purchase")
REFUNDS = ("refund", "purchase_refund")
# Events about one product carry it on their own level too, as Segment's do.
OF_ONE_PRODUCT = ("select_item", "view_item", "add_to_cart", "remove_from_cart", "add_to_wishlist")
# GA4's names and those of Segment's ecommerce spec, version 2.
ECOMMERCE = {
    "search": "Products Searched",
    "view_search_results": "Products Searched",
    "view_item_list": "Product List Viewed",
    "view_promotion": "Promotion Viewed",
    "select_promotion": "Promotion Clicked",
    "select_item": "Product Clicked",
    "view_item": "Product Viewed",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "add_to_wishlist": "Product Added to Wishlist",
    "view_cart": "Cart Viewed",
    "begin_checkout": "Checkout Started",
    "add_shipping_info": "Checkout Step Completed",
    "add_payment_info": "Payment Info Entered",
    **dict.fromkeys(PURCHASES, "Order Completed"),
    **dict.fromkeys(REFUNDS, "Order Refunded"),
}
PRODUCT_TEXTS = {
    "item_id": "product_id",
    "item_name": "name",
    "item_brand": "brand",
    "item_category": "category",
    "item_variant": "variant",
    "coupon": "coupon",
}
PRODUCT_NUMBERS = {"price": "price", "quantity": "quantity", "index": "position"}
LOOKED_UP = (
    "page_location", "page_referrer", "page_title", "firebase_screen", "screen_name", "firebase_screen_class",
    "ga_session_id", "transaction_id", "currency", "value", "tax", "shipping", "coupon",
    "source", "medium", "campaign", "term", "content",
)  # fmt: skip


def map_ga4(channel: Channel, source: Source, file_name: str) -> Canonical:
    """Canonical events, one per row. Beside source fields the channel's map may name `event_params.<key>` and
    `user_properties.<key>`.

    The export has no id of an event, so one is made of what tells events apart and stays the same when a daily table
    is exported again. Raises StepFailed for a table without names or times of events.
    """
    for name in REQUIRED if source.columns else ():
        if name not in source.columns:
            raise missing_column(channel, "spec ga4", name, list(source.columns), file_name)
    by_key = {
        name: entry.columns
        for name, entry in channel.map.items()
        if entry.column is not None
        and all(path.startswith(("event_params.", "user_properties.")) for path in entry.columns)
    }
    rest = {name: entry for name, entry in channel.map.items() if name not in by_key}
    fields = read_fields(
        channel.model_copy(update={"map": rest}),
        file_name,
        source.columns,
        without_nulls(channel, source.columns),
    )
    columns = _columns()
    for name, paths in by_key.items():
        columns.pop(f"{name}__text", None)
        columns[name] = f"coalesce({', '.join(map(_value_at, paths))})"
    query = f"""
        select *, json_extract_string(tandem_parameters, [{", ".join(literal(_key_path(name)) for name in LOOKED_UP)}])
            as tandem_looked_up
        from (
            select
                *,
                {_object_of(f"{EVENT}.event_params")} as tandem_parameters,
                {_object_of(f"{EVENT}.user_properties")} as tandem_user_properties,
                nullif(list_transform({EVENT}.items, lambda item: {_product("item")}), []) as tandem_products
            from ({known_fields(fields, STRUCTURE, CONSUMED)})
        )"""
    return canonical_events(fields, query, columns)


def _columns() -> dict[str, str]:
    name, url = f"{EVENT}.event_name", _parameter("page_location")
    is_page, is_screen = f"{name} = 'page_view'", f"{name} = 'screen_view'"
    screens = ", ".join(
        _parameter(key) for key in ("firebase_screen", "screen_name", "firebase_screen_class")
    )
    other = f"when not {is_page} then {renamed(name, ECOMMERCE, name)}"
    return {
        "event_id": _event_id(),
        "type": f"case when {is_page} then 'page' when {is_screen} then 'screen' when {name} <> '' then 'track' end",
        "occurred_at": f"{EVENT}.event_timestamp",
        "name": f"case when {is_screen} then coalesce({screens}) {other} end",
        "anonymous_id": f"{EVENT}.user_pseudo_id",
        "user_id": f"{EVENT}.user_id",
        "device_id": f"{EVENT}.device.vendor_id",
        "advertising_id": f"{EVENT}.device.advertising_id",
        # GA4 counts sessions per visitor: the number is a time, which two visitors may share.
        "session_id": f"nullif({EVENT}.user_pseudo_id, '') || '.' || {_parameter('ga_session_id')}",
        "platform": renamed(
            f"upper({EVENT}.platform)", {"WEB": "web", "ANDROID": "mobile", "IOS": "mobile"}, f"lower({EVENT}.platform)"
        ),
        "site": f"coalesce(lower(nullif({EVENT}.device.web_info.hostname, '')), {host_of(url)})",
        "is_owned_site": "true",
        "url": url,
        "referrer": _parameter("page_referrer"),
        "title": _parameter("page_title"),
        "campaign_source": _campaign("source", "manual_source", "source"),
        "campaign_medium": _campaign("medium", "manual_medium", "medium"),
        "campaign_name": _campaign("campaign", "manual_campaign_name", "name"),
        "campaign_term": _campaign("term", "manual_term"),
        "campaign_content": _campaign("content", "manual_content"),
        "consent": json_members(
            {"analytics": _consent("analytics_storage"), "advertising": _consent("ads_storage")}
        ),
        "properties": merged(_single_product(), "tandem_parameters", _order()),
        "traits": "tandem_user_properties",
    }  # fmt: skip


def _parameter(name: str) -> str:
    return f"nullif(tandem_looked_up[{LOOKED_UP.index(name) + 1}], '')"


def _known(text: str) -> str:
    return f"case when not {one_of(text, UNKNOWN)} then {text} end"


def _campaign(parameter: str, collected: str, first: str | None = None) -> str:
    """The campaign of the event itself. `traffic_source` is where the visitor first came from, so it says something
    of a first visit only."""
    values = [_known(f"{EVENT}.collected_traffic_source.{collected}"), _known(_parameter(parameter))]
    if first is not None:
        first_visit = f"{EVENT}.event_name in ('first_visit', 'first_open')"
        values.append(f"case when {first_visit} then {_known(f'{EVENT}.traffic_source.{first}')} end")
    return f"coalesce({', '.join(values)})"


def _consent(storage: str) -> str:
    text = f"lower({EVENT}.privacy_info.{storage})"
    return f"case when {text} in ('yes', 'true', '1') then true when {text} in ('no', 'false', '0') then false end"


def _event_id() -> str:
    """Sorted parameters, because their order is not promised."""
    parameters = (
        f"list_sort(list_transform({EVENT}.event_params, lambda item: [item.key, {_text_of('item.value')}]))"
    )
    parts = ", ".join(
        f"coalesce({EVENT}.{name}, '')"
        for name in ("user_pseudo_id", "event_timestamp", "event_name", *BATCH)
    )
    return f"'md5:' || md5(concat_ws('|', {parts}, coalesce({parameters}::varchar, '')))"


def _text_of(value: str) -> str:
    return f"coalesce({', '.join(f'{value}.{name}' for name in VALUE)})"


def _object_of(parameters: str) -> str:
    """Repeated keys and values as one JSON object, numbers as numbers."""
    number = f"coalesce({', '.join(f'item.value.{name}' for name in VALUE if name != 'string_value')})"
    value = f"""case
                    when item.value.string_value is not null then to_json(item.value.string_value)::varchar
                    when json_type(try_cast({number} as json)) not in ('VARCHAR', 'OBJECT', 'ARRAY') then {number}
                    else to_json({number})::varchar
                end"""
    member = f"to_json(item.key)::varchar || ':' || {value}"
    members = (
        f"list_filter(list_transform({parameters}, lambda item: {member}), lambda text: text is not null)"
    )
    return f"nullif('{{' || array_to_string({members}, ',') || '}}', '{{}}')"


def _value_at(path: str) -> str:
    parent, _, key = path.partition(".")
    text = "tandem_parameters" if parent == "event_params" else "tandem_user_properties"
    return f"json_extract_string({text}, {literal(_key_path(key))})"


def _key_path(key: str) -> str:
    return '$."' + key.replace('"', "") + '"'


def _product(item: str) -> str:
    """An item in Segment's words; what those have no word for stays as it is."""
    members = {old: "null" for old in PRODUCT_TEXTS if old not in PRODUCT_TEXTS.values()} | {"index": "null"}
    members |= {new: _known(f"({item}->>'{old}')") for old, new in PRODUCT_TEXTS.items()}
    members |= {  # whole numbers come as texts in JSON
        new: f"coalesce(try_cast({item}->>'{old}' as json), {item}->'{old}')"
        for old, new in PRODUCT_NUMBERS.items()
    }
    pairs = ", ".join(f"{literal(name)}, {sql}" for name, sql in members.items())
    return f"json_merge_patch('{{}}', json_merge_patch({item}, json_object({pairs})))"


def _single_product() -> str:
    is_about_one = one_of(f"{EVENT}.event_name", OF_ONE_PRODUCT)
    return f"case when {is_about_one} and len(tandem_products) = 1 then tandem_products[1] end"


def _order() -> str:
    """The members of Segment's ecommerce events. GA4's `value` leaves out tax and shipping, as Segment's `revenue`
    does; a total is not delivered, so none is given."""
    name, ecommerce = f"{EVENT}.event_name", f"{EVENT}.ecommerce"
    is_purchase, is_refund = one_of(name, PURCHASES), one_of(name, REFUNDS)

    def number(*values: str) -> str:
        return f"try_cast(coalesce({', '.join(values)}) as double)"

    value = _parameter("value")
    tax = number(f"{ecommerce}.tax_value", _parameter("tax"))
    shipping = number(f"{ecommerce}.shipping_value", _parameter("shipping"))
    order_id = f"coalesce({_known(f'{ecommerce}.transaction_id')}, {_known(_parameter('transaction_id'))})"
    refunded = number(f"{ecommerce}.refund_value", value)
    return json_members(
        {
            "order_id": f"case when {is_purchase} or {is_refund} then {order_id} end",
            "revenue": f"case when {is_purchase} then {number(f'{ecommerce}.purchase_revenue', value)} end",
            "total": f"case when {is_refund} then {refunded} end",
            "tax": f"case when {is_purchase} then {tax} end",
            "shipping": f"case when {is_purchase} then {shipping} end",
            "products": "tandem_products",
        }
    )
