"""Visits become events in the Segment specification, one JSON object per line.

An event is put together from ready-made pieces (the device's context, the page, the product, the person's traits),
so that a million events need a few thousand pieces and one concatenation in SQL.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.demo import words
from include.demo.behaviour import PRICE_CUT, Behaviour, drop_applies, preferred_products, price_drops
from include.demo.deliveries import Deliveries
from include.demo.population import Population
from include.demo.store import Store
from include.demo.tastes import TASTE_NAMES

CHANNELS = ("web", "app", "desktop")
CONSENTS = (
    "",
    ',"consent":{"categoryPreferences":{"advertising":true,"analytics":true}}',
    ',"consent":{"categoryPreferences":{"advertising":false,"analytics":true}}',
    ',"consent":{"categoryPreferences":{"advertising":false,"analytics":false}}',
)
# What a visit consists of, in order: OPEN and the two logins happen in some visits only.
OPEN, HOME, EARLY_LOGIN, CATEGORY, LIST, VIEW, ADD, LATE_LOGIN, CHECKOUT, COMPLETED = range(10)
NAMES = (
    "Application Opened",
    "Home",
    "",
    "Category",
    "Product List Viewed",
    "Product Viewed",
    "Product Added",
    "",
    "Checkout Started",
    "Order Completed",
)
# Positions among the static pages: five ways to land on Home, one page per taste group, then the till.
LANDING_PAGES, CATEGORY_PAGES = 0, len(words.LANDINGS)
LOGIN_PAGE, CHECKOUT_PAGE, COMPLETE_PAGE = (CATEGORY_PAGES + len(TASTE_NAMES) + offset for offset in range(3))


def write_events(
    population: Population, behaviour: Behaviour, store: Store, deliveries: Deliveries, chunk: int, seed: int
) -> None:
    """Write `web/events`, `app/events` and `desktop/events` of a chunk, sorted by the time they were received."""
    rng = np.random.default_rng([seed, 5, chunk])
    events = _events(population, behaviour, store, deliveries, seed, rng)
    contexts = _device_contexts(population.devices)
    pages, page_properties = _static_pages()
    bodies = _Bodies(population, behaviour, store, events, page_properties)
    channel = population.devices["channel"].to_numpy()[events["device"]]
    for name in CHANNELS:
        _write_channel(
            name, events[channel == name], contexts, pages, bodies, store, deliveries, f"{seed}-{chunk}-"
        )


def order_numbers(orders: pd.DataFrame, household_numbers: np.ndarray) -> np.ndarray:
    """The web shop's order numbers, equal in the order file and in `Order Completed`: a household has at most
    one order a day."""
    # Household and day in one number, then scrambled one to one: nothing in it tells whose order it is.
    code = household_numbers[orders["household"]] * 2_048 + (orders["at"].to_numpy() // 86_400) % 2_048
    return ("W" + pd.Series(code * 7_368_787 % 10**10).astype(str).str.zfill(10)).to_numpy()


def _events(
    population: Population,
    behaviour: Behaviour,
    store: Store,
    deliveries: Deliveries,
    seed: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    visits, devices = behaviour.visits, population.devices
    device = visits["device"].to_numpy()
    is_app = (devices["channel"].to_numpy() != "web")[device]
    is_bot = (devices["role"].to_numpy() == "bot")[device]
    order, views = visits["order"].to_numpy(), visits["views"].to_numpy()
    lines_of = np.bincount(behaviour.order_lines["order"], minlength=len(behaviour.orders) + 1)
    adds = np.where(order >= 0, lines_of[order], (rng.random(len(visits)) < 0.15) & (views > 0) & ~is_bot)
    logs_in = visits["is_logged_in"].to_numpy()
    logs_in_late = logs_in & (order >= 0) & ~is_app & (rng.random(len(visits)) < 0.5)
    count = np.zeros((len(visits), 10), dtype=np.int64)
    count[:, OPEN] = is_app
    count[:, HOME] = 1
    # A browser that remembers its user needs no login.
    is_remembered = logs_in & ~logs_in_late & ~is_app & (rng.random(len(visits)) < 0.35)
    count[:, EARLY_LOGIN] = logs_in & ~logs_in_late & ~is_remembered
    count[:, CATEGORY] = (views > 0) & ~is_bot
    count[:, LIST] = (views > 0) & ~is_bot
    count[:, VIEW] = views
    count[:, ADD] = adds
    count[:, LATE_LOGIN] = logs_in_late
    count[:, CHECKOUT] = order >= 0
    count[:, COMPLETED] = order >= 0

    flat = count.ravel()
    cell = np.repeat(np.arange(len(flat)), flat)
    visit, step = cell // 10, cell % 10
    nth = np.arange(len(cell)) - np.repeat(np.cumsum(flat) - flat, flat)
    gap = np.where(is_bot[visit], 1_000, 4_000 + rng.exponential(24_000, len(cell))).astype(np.int64)
    elapsed = np.cumsum(gap)
    visit_start = np.searchsorted(visit, np.arange(len(visits)))
    elapsed -= elapsed[visit_start][visit]
    visit_end = np.append(visit_start[1:], len(visit)) - 1
    # An order was placed at the end of its visit, so such a visit begins before it.
    start = visits["at"].to_numpy() * 1000 - np.where(order >= 0, elapsed[visit_end], 0)
    at = start[visit] + elapsed + rng.integers(0, 1000, len(cell)) * is_bot[visit]

    device = device[visit]
    late = is_app & (rng.random(len(visits)) < 0.03)
    delay = np.where(late, rng.integers(20 * 3_600_000, 70 * 3_600_000, len(visits)), 0)[visit]
    delay = delay + np.where(
        is_app[visit], rng.integers(500, 60_000, len(cell)), rng.integers(50, 2_500, len(cell))
    )
    login_step = np.where(is_app | is_remembered, OPEN, np.where(logs_in_late, LATE_LOGIN, EARLY_LOGIN))
    knows_user = logs_in[visit] & (step >= login_step[visit])
    events = pd.DataFrame(
        {
            "event": np.arange(len(cell)),
            "visit": visit,
            "device": device,
            "step": step,
            "at": at,
            "sent_at": at + delay,
            "received_at": at + delay + rng.integers(30, 400, len(cell)),
            "skew": devices["clock_skew"].to_numpy()[device] * 1000,
            "person": np.where(knows_user, visits["person"].to_numpy()[visit], -1),
            "order": order[visit],
            "landing": rng.choice(
                len(words.LANDINGS), len(visits), p=[landing[0] for landing in words.LANDINGS]
            )[visit],
            "has_id": rng.random(len(cell)) >= 0.0002,
            "is_cut": rng.random(len(cell)) < 0.0001,
        }
    )
    events = _with_products(events, nth, population, behaviour, store, rng)
    is_reduced = drop_applies(
        price_drops(deliveries.calendar, seed),
        store.products["taste"].to_numpy()[np.maximum(events["product"], 0)],
        events["at"].to_numpy() // 1000,
    )
    price = store.products["price_cents"].to_numpy()[np.maximum(events["product"], 0)]
    events["price"] = np.where(is_reduced, np.maximum(np.round(price * (1 - PRICE_CUT)), 1), price)
    # Networks retry: a few events arrive twice under the same messageId.
    again = events[rng.random(len(events)) < 0.004]
    again = again.assign(received_at=again["received_at"] + rng.integers(2_000, 30_000, len(again)))
    events = pd.concat([events, again], ignore_index=True)
    # A collector that crashed left a few lines of the history without their end.
    events["is_cut"] &= events["received_at"] < deliveries.calendar.cutoff * 1000
    return events.sort_values(["received_at", "event"], ignore_index=True)


def _with_products(
    events: pd.DataFrame,
    nth: np.ndarray,
    population: Population,
    behaviour: Behaviour,
    store: Store,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Add the product of each view and addition, its quantity, and the taste group of category pages."""
    visits, lines = behaviour.visits, behaviour.order_lines
    devices, households = population.devices, population.households
    # The person decides what is looked at, on whatever device: a kiosk has no taste of its own.
    visit_person = visits["person"].to_numpy()
    home = np.where(
        visit_person >= 0,
        population.persons["household"].to_numpy()[np.maximum(visit_person, 0)],
        devices["household"].to_numpy()[visits["device"]],
    )
    stranger = devices["stranger"].to_numpy()[visits["device"]]
    taste = np.where(
        home >= 0,
        households["taste"].to_numpy()[np.maximum(home, 0)],
        rng.integers(0, len(TASTE_NAMES), len(visits)),
    )
    if len(population.strangers):
        strongest = population.stranger_affinity.argmax(axis=1)
        taste = np.where(stranger >= 0, strongest[np.maximum(stranger, 0)], taste)
    source = np.where(home >= 0, households["source"].to_numpy()[np.maximum(home, 0)], -1)

    visit, step = events["visit"].to_numpy(), events["step"].to_numpy()
    needs = np.flatnonzero((step == VIEW) | (step == ADD))
    product = np.full(len(events), -1)
    quantity = np.zeros(len(events), dtype=np.int64)
    product[needs] = preferred_products(store, source[visit[needs]], taste[visit[needs]], 0.4, rng)
    # The nth view and the nth addition of a visit that ends in an order show the order's nth line.
    first_line = np.searchsorted(lines["order"], events["order"].to_numpy())
    number = np.searchsorted(lines["order"], events["order"].to_numpy(), side="right") - first_line
    from_order = np.zeros(len(events), dtype=bool)
    from_order[needs] = ((events["order"].to_numpy() >= 0) & (nth < number))[needs]
    line = (first_line + nth)[from_order]
    product[from_order] = lines["product"].to_numpy()[line]
    quantity[step == ADD] = 1
    bought = from_order & (step == ADD)
    quantity[bought] = lines["quantity"].to_numpy()[(first_line + nth)[bought]]
    return events.assign(product=product, quantity=quantity, taste=taste[visit])


class _Bodies:
    """The pieces that stand between messageId and receivedAt: `texts` by position, and where each sort begins."""

    def __init__(
        self,
        population: Population,
        behaviour: Behaviour,
        store: Store,
        events: pd.DataFrame,
        page_properties: list[str],
    ) -> None:
        self.products = np.unique(events["product"].to_numpy()[events["product"].to_numpy() >= 0])
        opened = '"properties":{"build":"420","from_background":false,"version":"4.2.0"}'
        lists = [f'"properties":{{"category":"{name}","list_id":"list-{name}"}}' for name in TASTE_NAMES]
        screens = ['"properties":{}']
        pieces = [
            [opened],
            screens,
            page_properties,
            lists,
            _identities(population),
            _product_properties(store, self.products),
            *_order_properties(population, behaviour, store),
        ]
        starts = np.cumsum([0, *(len(piece) for piece in pieces)])
        (self.opened, self.screen, self.page, self.list, self.identity, self.product) = starts[:6].tolist()
        (self.started, self.completed) = starts[6:8].tolist()
        self.user_parts = ["", *(',"userId":"' + population.persons["user_id"] + '"')]
        self.texts = pa.array([text for piece in pieces for text in piece], pa.string())

    def positions(self, events: pd.DataFrame, page: np.ndarray, is_page: bool) -> np.ndarray:
        step = events["step"].to_numpy()
        product = self.product + np.searchsorted(self.products, events["product"].to_numpy())
        identity = self.identity + events["person"].to_numpy()
        choices = {
            OPEN: np.full(len(step), self.opened),
            HOME: self.page + page if is_page else np.full(len(step), self.screen),
            EARLY_LOGIN: identity,
            CATEGORY: self.page + page if is_page else np.full(len(step), self.screen),
            LIST: self.list + events["taste"].to_numpy(),
            VIEW: product,
            ADD: product,
            LATE_LOGIN: identity,
            CHECKOUT: self.started + events["order"].to_numpy(),
            COMPLETED: self.completed + events["order"].to_numpy(),
        }
        return np.choose(step, [choices[position] for position in range(10)])


def _write_channel(
    name: str,
    events: pd.DataFrame,
    contexts: list[str],
    pages: list[str],
    bodies: _Bodies,
    store: Store,
    deliveries: Deliveries,
    prefix: str,
) -> None:
    step, device = events["step"].to_numpy(), events["device"].to_numpy()
    is_page = name == "web"
    page = np.choose(
        step,
        [
            events["landing"],
            events["landing"],
            LOGIN_PAGE,
            CATEGORY_PAGES + events["taste"],
            CATEGORY_PAGES + events["taste"],
            0,
            0,
            LOGIN_PAGE,
            CHECKOUT_PAGE,
            COMPLETE_PAGE,
        ],
    )
    page_type = "page" if is_page else "screen"
    types = [
        "track",
        page_type,
        "identify",
        page_type,
        "track",
        "track",
        "track",
        "identify",
        "track",
        "track",
    ]
    openings = [
        f'"event":"{text}",' if kind == "track" else (f'"name":"{text}",' if text else "")
        for kind, text in zip(types, NAMES, strict=True)
    ]
    product = events["product"].to_numpy()
    product_ids = store.products["product_id"].to_numpy()[bodies.products].tolist()
    product_pages = [_page(f"/p/{key}", f"Product {key}") for key in product_ids] if is_page else [""]
    shown = len(pages) + np.searchsorted(bodies.products, product) if is_page else np.zeros(len(product), int)
    texts = pages + product_pages if is_page else [""]
    where = np.where(product >= 0, shown, page) if is_page else np.zeros(len(product), int)
    person = events["person"].to_numpy()
    table = pa.table(
        {
            "event": events["event"].to_numpy(),
            "has_id": events["has_id"].to_numpy(),
            "is_cut": events["is_cut"].to_numpy(),
            "original_at": events["at"].to_numpy(),
            "skew": events["skew"].to_numpy(),
            "sent_at": events["sent_at"].to_numpy(),
            "received_at": events["received_at"].to_numpy(),
            "context": _dictionary(device, contexts),
            "page": _dictionary(where, texts),
            "opening": _dictionary(step, openings),
            "type": _dictionary(step, types),
            "body": pa.DictionaryArray.from_arrays(
                pa.array(bodies.positions(events, page, is_page).astype(np.int32)), bodies.texts
            ),
            "user_part": _dictionary(person + 1, bodies.user_parts),
            "price": events["price"].to_numpy().astype(np.int64),
            "quantity": events["quantity"].to_numpy(),
            "has_product": product >= 0,
        }
    )
    store.connection.register("chunk_events", table)
    delivery = deliveries.calendar.delivery(events["received_at"].to_numpy() // 1000)
    reader = store.connection.execute(_EVENT_TEXT, {"prefix": prefix}).to_arrow_reader(50_000)
    done = 0
    deliveries.lines(f"{name}/events", pa.array([], pa.string()), delivery[:0])
    for batch in reader:
        deliveries.lines(f"{name}/events", batch.column(0), delivery[done : done + len(batch)])
        done += len(batch)
    store.connection.unregister("chunk_events")


def _dictionary(position: np.ndarray, texts: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(np.asarray(position).astype(np.int32)), pa.array(texts, pa.string())
    )


def _device_contexts(devices: pd.DataFrame) -> list[str]:
    """Per device the line's beginning up to its address and consent, within an open `context`."""
    agent, channel = devices["agent"].to_numpy(), devices["channel"].to_numpy()
    browsers = np.array([browser[3] for browser in words.BROWSERS], dtype=object)
    bots = np.array(words.BOTS, dtype=object)
    is_bot = (devices["role"] == "bot").to_numpy()
    phones = np.array(
        [
            f'"manufacturer":"{maker}","model":"{model}","name":"{model}","type":"{system.lower()}"}},'
            f'"library":{{"name":"analytics-{"ios" if system == "iOS" else "android"}","version":"3.6.8"}},'
            f'"locale":"en-US","network":{{"cellular":false,"wifi":true}},"os":{{"name":"{system}","version":"{version}"}}'
            for system, version, maker, model, _ in words.PHONES
        ],
        dtype=object,
    )
    web_agent = np.where(is_bot, bots[agent % len(bots)], browsers[agent % len(browsers)])
    start = '{"anonymousId":"' + devices["anonymous_id"]
    web = (
        '","channel":"browser","context":{"library":{"name":"analytics.js","version":"3.1.0"},"locale":"en-US",'
        '"userAgent":"' + pd.Series(web_agent) + '"'
    )
    app = (
        '","channel":"mobile","context":{"app":{"build":"420","name":"Tandem Shop","namespace":"com.example.shop",'
        '"version":"4.2.0"},"device":{"adTrackingEnabled":true,"advertisingId":"'
        + devices["advertising_id"]
        + '","id":"'
        + devices["hardware_id"]
        + '",'
        + pd.Series(phones[agent % len(phones)])
    )
    desktop = (
        '","context":{"app":{"build":"88","name":"Tandem Shop Desktop","version":"1.8.0"},'
        '"device":{"id":"' + devices["hardware_id"] + '","type":"desktop"},'
        '"library":{"name":"analytics-node","version":"3.0.0"},"locale":"en-US","os":{"name":"Windows","version":"10"}'
    )
    middle = np.where(channel == "web", web, np.where(channel == "app", app, desktop))
    consent = np.array(CONSENTS, dtype=object)[devices["consent"].to_numpy()]
    return (start + pd.Series(middle) + ',"ip":"' + devices["ip"] + '"' + pd.Series(consent)).tolist()


def _static_pages() -> tuple[list[str], list[str]]:
    """Context and properties of the pages that are no product's, by static page position."""
    contexts, properties = [], []
    for _, referrer, campaign in words.LANDINGS:
        search = ""
        extra = ""
        if campaign:
            source, medium, name = campaign
            search = f"?utm_source={source}&utm_medium={medium}&utm_campaign={name}"
            extra = f',"campaign":{{"medium":"{medium}","name":"{name}","source":"{source}"}}'
        contexts.append(extra + _page("/", "Tandem Shop", referrer, search))
        properties.append('"properties":' + _page_object("/", "Tandem Shop", referrer, search))
    others = [(f"/c/{name}", f"All for {name}") for name in TASTE_NAMES]
    others += [("/login", "Log in"), ("/checkout", "Checkout"), ("/order-complete", "Thank you")]
    for path, title in others:
        contexts.append(_page(path, title))
        properties.append('"properties":' + _page_object(path, title, SHOP_HOME))
    return contexts, properties


SHOP_HOME = words.SHOP + "/"


def _page(path: str, title: str, referrer: str = SHOP_HOME, search: str = "") -> str:
    return f',"page":{_page_object(path, title, referrer, search)}'


def _page_object(path: str, title: str, referrer: str, search: str = "") -> str:
    return json.dumps(
        {
            "path": path,
            "referrer": referrer,
            "search": search,
            "title": title,
            "url": words.SHOP + path + search,
        },
        separators=(",", ":"),
    )


def _identities(population: Population) -> list[str]:
    persons = population.persons
    return (
        '"traits":{"email":"'
        + persons["email"]
        + '","firstName":"'
        + persons["given_name"]
        + '","lastName":"'
        + persons["family_name"]
        + '"}'
    ).tolist()


def _product_properties(store: Store, positions: np.ndarray) -> list[str]:
    """`"properties":{...,"price":` of products, open for the price of the moment."""
    return ('"properties":{' + _product_pieces(store, positions) + ',"price":').tolist()


def _product_pieces(store: Store, positions: np.ndarray) -> pd.Series:
    products = store.products.iloc[positions].reset_index(drop=True)
    name, category, brand = (
        products[column].fillna("").str.replace('"', "")
        for column in ("product_type", "product_category", "brand")
    )
    key = products["product_id"]
    return (
        '"brand":"'
        + brand
        + '","category":"'
        + category
        + '","currency":"USD","name":"'
        + name
        + '","product_id":"'
        + key
        + '","sku":"'
        + key
        + '"'
    )


def _order_properties(
    population: Population, behaviour: Behaviour, store: Store
) -> tuple[list[str], list[str]]:
    """The properties of `Checkout Started` and `Order Completed`, with the order's products."""
    orders, lines = behaviour.orders, behaviour.order_lines
    if not len(orders):
        return [], []
    position = lines["product"].to_numpy()
    used = np.unique(position)
    pieces = _product_pieces(store, used).to_numpy()[np.searchsorted(used, position)]
    cents = lines["unit_price"].to_numpy() / 100
    product = pd.Series(pieces) + ',"price":' + pd.Series(np.char.mod("%.2f", cents))
    product = "{" + product + ',"quantity":' + lines["quantity"].astype(str) + "}"
    offsets = np.searchsorted(lines["order"], np.arange(len(orders) + 1)).astype(np.int32)
    of_order = pa.ListArray.from_arrays(pa.array(offsets), pa.array(product, pa.string()))
    products = pd.Series(pc.binary_join(of_order, ",").to_numpy(zero_copy_only=False))
    number = pd.Series(order_numbers(orders, population.households["number"].to_numpy()))
    total = pd.Series(np.char.mod("%.2f", orders["total"].to_numpy() / 100))
    discount = pd.Series(np.char.mod("%.2f", orders["discount"].to_numpy() / 100))
    coupon = ('"coupon":"' + orders["coupon"].astype("string") + '",').fillna("").astype(object)
    tail = '"currency":"USD","products":[' + products + "]"
    started = '"properties":{"checkout_id":"co-' + number + '","value":' + total + "," + tail + "}"
    completed = (
        '"properties":{"affiliation":"Tandem Shop",'
        + coupon
        + '"checkout_id":"co-'
        + number
        + '","discount":'
        + discount
        + ',"order_id":"'
        + number
        + '","revenue":'
        + total
        + ',"total":'
        + total
        + ","
        + tail
        + "}"
    )
    return started.tolist(), completed.tolist()


# Keys in alphabetical order, as the Segment libraries' exports have them; absent values have no key.
# `timestamp` is Segment's corrected time: receivedAt - (sentAt - originalTimestamp).
_EVENT_TEXT = """
with texts as (
    select is_cut, concat(
        context, page, '},"integrations":{},', opening,
        if(has_id, '"messageId":"' || md5($prefix || event) || '",', ''),
        '"originalTimestamp":"', strftime(make_timestamp_ms(original_at + skew), '%Y-%m-%dT%H:%M:%S.%gZ'), '",',
        body,
        if(has_product, (price / 100)::decimal(10, 2)::varchar, ''),
        if(has_product and quantity > 0, ',"quantity":' || quantity, ''),
        if(has_product, '}', ''),
        ',"receivedAt":"', strftime(make_timestamp_ms(received_at), '%Y-%m-%dT%H:%M:%S.%gZ'),
        '","sentAt":"', strftime(make_timestamp_ms(sent_at + skew), '%Y-%m-%dT%H:%M:%S.%gZ'),
        '","timestamp":"', strftime(make_timestamp_ms(received_at - (sent_at - original_at)), '%Y-%m-%dT%H:%M:%S.%gZ'),
        '","type":"', type, '"', user_part, '}'
    ) as line
    from chunk_events
)

select if(is_cut, left(line, 300), line) || chr(10) as line
from texts
"""
