"""What people do and why: on-line orders with causes, calls, visits to the shop and reading elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.demo.calendar import DAY, Calendar, times_of_day
from include.demo.population import Population
from include.demo.store import Store, store_purchases
from include.demo.tastes import CONTENTS, TASTE_NAMES, reading_habits


@dataclass(frozen=True)
class Effect:
    """A planted cause: it multiplies the daily chance of an on-line order for `window_days` days after it."""

    trigger: str
    multiplier: float
    window_days: int
    meaning: str


ADVICE_GIVEN = Effect("advice_call_resolved", 3.0, 7, "a call for advice on products ended well")
ADVICE_REFUSED = Effect("advice_call_unresolved", 0.4, 14, "a call for advice on products ended badly")
POINTS_CALL = Effect(
    "points_call", 1.0, 7, "a call about loyalty points: planted without effect, as a placebo"
)
PRICE_DROP = Effect(
    "price_drop", 2.2, 3, "the products of the household's own taste group cost a quarter less"
)
EFFECTS = (ADVICE_GIVEN, ADVICE_REFUSED, POINTS_CALL, PRICE_DROP)
PRICE_CUT = 0.25

CALL_REASONS = ("product advice", "loyalty points", "order status", "complaint")
ADVICE, POINTS, ORDER_STATUS, COMPLAINT = range(4)


@dataclass(frozen=True)
class Interest:
    """What a purchase of a category, in the store or on line and the buyer's first in PAUSE_DAYS, does to what they
    read off-site: page views of `content` come `multiplier` times as often in the `window_days` days after it. A
    multiplier of 1 is a placebo."""

    category: str
    content: str
    multiplier: float
    window_days: int


PAUSE_DAYS = 60
# Pages that a browser of middling appetite is seen to open off-site, from the feed's first day to the last.
PAGES_READ = 32.0
INTERESTS = (
    Interest("BAKING NEEDS", "Food & Drink", 3.0, 30),
    Interest("BEERS/ALES", "Sports", 2.5, 30),
    Interest("COLD AND FLU", "Healthy Living", 4.0, 30),
    Interest("HAIR CARE PRODUCTS", "Style & Fashion", 4.0, 30),
    Interest("LAUNDRY DETERGENTS", "Home & Garden", 3.5, 30),
    Interest("COFFEE", "Entertainment", 1.0, 30),
)


@dataclass(frozen=True)
class Behaviour:
    """A chunk's behaviour. Times are seconds since 1970; `household`, `person`, `device` are positions.

    `orders`: household, person, at, status, returned_at, coupon, total and discount in cents, is_logged_in.
    `order_lines`: order, line_number, product, quantity, unit_price and amount in cents.
    `calls`: household, person, at, reason, is_resolved.
    `visits`: device, person (-1 unknown), order (-1 none), at, views, is_logged_in, sorted by time.
    `hits`: device, at, content: off-site page views.
    `occurrences`: trigger, household, at: when each planted cause struck.
    `exposure`: trigger, household-days within the window, orders in them, expected orders without the effect.
    `purchases_found`: interest, buyers, extra: what was planted off-site.
    """

    orders: pd.DataFrame
    order_lines: pd.DataFrame
    calls: pd.DataFrame
    visits: pd.DataFrame
    hits: pd.DataFrame
    occurrences: pd.DataFrame
    exposure: pd.DataFrame
    purchases_found: pd.DataFrame


def price_drops(calendar: Calendar, seed: int) -> pd.DataFrame:
    """The sales calendar, equal for every chunk: taste, starts_at (seconds); each lasts PRICE_DROP.window_days."""
    rng = np.random.default_rng([seed, 3])
    days = (calendar.end - calendar.online_from) // DAY
    starts = np.concatenate([np.sort(rng.choice(days - 10, 5, replace=False)) + 3 for _ in TASTE_NAMES])
    return pd.DataFrame(
        {"taste": np.repeat(np.arange(len(TASTE_NAMES)), 5), "starts_at": calendar.online_from + starts * DAY}
    )


def behave(population: Population, store: Store, calendar: Calendar, chunk: int, seed: int) -> Behaviour:
    """Simulate a chunk of people from the opening of the web shop to the last business day."""
    rng = np.random.default_rng([seed, 4, chunk])
    drops = price_drops(calendar, seed)
    calls = _exogenous_calls(population, calendar, rng)
    orders, exposure = _orders(population, calendar, drops, calls, rng)
    lines = _order_lines(population, store, orders, drops, rng)
    orders = _with_totals(orders, lines, rng)
    calls = pd.concat([calls, _follow_up_calls(orders, calendar, rng)], ignore_index=True)
    calls = calls.sort_values(["at", "household", "reason"]).drop_duplicates(
        ["at", "household"], ignore_index=True
    )
    visits = _visits(population, orders, calendar, rng)
    fresh = [_fresh_purchases(population, store, orders, lines, interest.category) for interest in INTERESTS]
    hits, found = _hits(population, fresh, calendar, rng)
    return Behaviour(
        orders=orders,
        order_lines=lines,
        calls=calls,
        visits=visits,
        hits=hits,
        occurrences=_occurrences(population, calls, drops),
        exposure=exposure,
        purchases_found=found,
    )


def drop_applies(drops: pd.DataFrame, taste: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Whether a product of a taste group (-1 for none) is reduced at a time."""
    first = int(drops["starts_at"].min()) // DAY
    last = int(drops["starts_at"].max()) // DAY + PRICE_DROP.window_days
    on_sale = np.zeros((len(TASTE_NAMES) + 1, last - first + 1), dtype=bool)
    for later in range(PRICE_DROP.window_days):
        on_sale[drops["taste"], drops["starts_at"] // DAY - first + later] = True
    day = at // DAY - first
    return on_sale[taste, np.clip(day, 0, last - first)] & (day >= 0) & (day <= last - first)


def _exogenous_calls(population: Population, calendar: Calendar, rng: np.random.Generator) -> pd.DataFrame:
    """Calls that nothing in the data causes, so that what follows them is their effect."""
    households = population.households
    days = (calendar.end - calendar.online_from) // DAY
    active = np.minimum(households["left_at"].to_numpy(), calendar.end)
    rate = 0.0095 * rng.gamma(1.5, 1 / 1.5, len(households))
    number = rng.poisson(rate * days)
    household = np.repeat(np.arange(len(households)), number)
    day = rng.integers(0, days, len(household))
    at = calendar.online_from + day * DAY + _office_hours(rng, len(household))
    frame = pd.DataFrame(
        {
            "household": household,
            "at": at,
            "reason": rng.choice(3, len(household), p=[0.55, 0.3, 0.15]).astype(np.int64),
            "is_resolved": rng.random(len(household)) < 0.68,
        }
    )
    frame["reason"] = np.where(frame["reason"] == 2, COMPLAINT, frame["reason"])
    return frame[at < active[household]].reset_index(drop=True)


def _office_hours(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.integers(13 * 3600, 23 * 3600, size)


def _orders(
    population: Population,
    calendar: Calendar,
    drops: pd.DataFrame,
    calls: pd.DataFrame,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """At most one order per household and day, with chance 1 - exp(-base x multipliers)."""
    households = population.households
    size, days = len(households), (calendar.end - calendar.online_from) // DAY
    day_start = calendar.online_from + np.arange(days) * DAY
    weekday = (day_start // DAY + 3) % 7  # 0 is Monday
    base = 0.046 * households["activity"].to_numpy() * rng.gamma(2.0, 0.5, size)
    base = np.where(households["is_digital"], base, 0.0)
    hazard = base[:, None] * np.array([1.1, 0.9, 0.9, 0.95, 0.95, 1.0, 1.25])[weekday][None, :]
    present = (day_start[None, :] >= households["joined_at"].to_numpy()[:, None]) & (
        day_start[None, :] < households["left_at"].to_numpy()[:, None]
    )
    hazard = np.where(present, hazard, 0.0)
    windows = {}
    for effect in EFFECTS:
        struck = np.zeros((size, days), dtype=bool)
        if effect is PRICE_DROP:
            for taste, starts_at in drops.itertuples(index=False):  # 40 sales, not rows of data
                first = (starts_at - calendar.online_from) // DAY
                struck[households["taste"] == taste, first : first + effect.window_days] = True
        else:
            cause = calls[_strikes(calls, effect)]
            day = (cause["at"].to_numpy() - calendar.online_from) // DAY
            for later in range(1, effect.window_days + 1):
                inside = day + later < days
                struck[cause["household"].to_numpy()[inside], day[inside] + later] = True
        windows[effect] = struck
    multiplier = np.ones((size, days))
    for effect, struck in windows.items():
        multiplier[struck] *= effect.multiplier
    ordered = rng.random((size, days)) < 1.0 - np.exp(-hazard * multiplier)
    exposure = pd.DataFrame(
        {
            "trigger": [effect.trigger for effect in EFFECTS],
            "exposed_days": [int((struck & (hazard > 0)).sum()) for struck in windows.values()],
            "orders": [int(ordered[struck].sum()) for struck in windows.values()],
            "expected_without": [
                float((1.0 - np.exp(-hazard * multiplier / effect.multiplier))[struck].sum())
                for effect, struck in windows.items()
            ],
        }
    )
    household, day = np.nonzero(ordered)
    at = calendar.online_from + day * DAY + times_of_day(rng, len(day))
    person = _one_of_the_adults(population, household, rng)
    orders = pd.DataFrame({"household": household, "person": person, "at": at})
    return orders.sort_values(["at", "household"], ignore_index=True), exposure


def _strikes(calls: pd.DataFrame, effect: Effect) -> np.ndarray:
    if effect is POINTS_CALL:
        return (calls["reason"] == POINTS).to_numpy()
    return ((calls["reason"] == ADVICE) & (calls["is_resolved"] == (effect is ADVICE_GIVEN))).to_numpy()


def _one_of_the_adults(population: Population, household: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The primary adult in seven of ten cases, else the other one when there is one who is on line."""
    persons = population.persons
    primary = np.flatnonzero(persons["is_primary"].to_numpy())
    other = np.full(len(population.households), -1)
    second = np.flatnonzero(~persons["is_primary"].to_numpy() & persons["is_digital"].to_numpy())
    other[persons["household"].to_numpy()[second]] = second
    takes_other = (rng.random(len(household)) < 0.3) & (other[household] >= 0)
    return np.where(takes_other, other[household], primary[household])


def preferred_products(
    store: Store, source: np.ndarray, taste: np.ndarray, own_share: float, rng: np.random.Generator
) -> np.ndarray:
    """Positions of products, one per row: what the household (position in the store, -1 for a stranger) has bought
    in the store before, or else one of the products of its taste group."""
    start = store.bought_from[:-1][source]
    number = np.where(source >= 0, store.bought_from[1:][source] - start, 0)
    own = store.bought[
        np.minimum(start + (rng.random(len(source)) * number).astype(np.int64), len(store.bought) - 1)
    ]
    sizes = np.array([len(pool) for pool in store.pools])
    pools = np.concatenate(store.pools)
    from_pool = np.concatenate([[0], np.cumsum(sizes)])[taste] + (
        rng.beta(1.0, 2.5, len(source)) * sizes[taste]
    ).astype(np.int64)
    takes_own = (rng.random(len(source)) < own_share) & (number > 0)
    return np.where(takes_own, own, pools[from_pool])


def _order_lines(
    population: Population,
    store: Store,
    orders: pd.DataFrame,
    drops: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    number = np.minimum(1 + rng.poisson(2.8, len(orders)), 12)
    order = np.repeat(np.arange(len(orders)), number)
    household = orders["household"].to_numpy()[order]
    source = population.households["source"].to_numpy()[household]
    taste = population.households["taste"].to_numpy()[household]
    lines = pd.DataFrame({"order": order, "product": preferred_products(store, source, taste, 0.5, rng)})
    lines["quantity"] = 1 + rng.poisson(0.5, len(lines))
    lines = lines.drop_duplicates(["order", "product"], ignore_index=True)
    product = lines["product"].to_numpy()
    at = orders["at"].to_numpy()[lines["order"]]
    price = store.products["price_cents"].to_numpy()[product]
    reduced = drop_applies(drops, store.products["taste"].to_numpy()[product], at)
    price = np.where(reduced, np.maximum(np.round(price * (1 - PRICE_CUT)).astype(np.int64), 1), price)
    return lines.assign(
        line_number=lines.groupby("order").cumcount() + 1,
        unit_price=price,
        amount=price * lines["quantity"].to_numpy(),
    )


def _with_totals(orders: pd.DataFrame, lines: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    size = len(orders)
    subtotal = np.bincount(lines["order"], weights=lines["amount"], minlength=size).astype(np.int64)
    coupon = rng.choice(3, size, p=[0.9, 0.06, 0.04])
    discount = np.round(subtotal * np.array([0.0, 0.10, 0.15])[coupon]).astype(np.int64)
    is_returned = rng.random(size) < 0.02
    returned_at = orders["at"].to_numpy() + rng.integers(2 * DAY, 12 * DAY, size)
    return orders.assign(
        total=subtotal - discount,
        discount=discount,
        coupon=np.array([None, "SAVE10", "FALL15"], dtype=object)[coupon],
        returned_at=np.where(is_returned, returned_at, -1),
    )


def _follow_up_calls(orders: pd.DataFrame, calendar: Calendar, rng: np.random.Generator) -> pd.DataFrame:
    """Calls that an order causes: they come close to purchases without being their reason."""
    follows = np.flatnonzero(rng.random(len(orders)) < 0.045)
    day = orders["at"].to_numpy()[follows] // DAY + rng.integers(1, 4, len(follows))
    at = day * DAY + _office_hours(rng, len(follows))
    frame = pd.DataFrame(
        {
            "household": orders["household"].to_numpy()[follows],
            "at": at,
            "reason": np.int64(ORDER_STATUS),
            "is_resolved": rng.random(len(follows)) < 0.8,
        }
    )
    return frame[at < calendar.end].reset_index(drop=True)


def _visits(
    population: Population, orders: pd.DataFrame, calendar: Calendar, rng: np.random.Generator
) -> pd.DataFrame:
    persons, households, devices = population.persons, population.households, population.devices
    bought = pd.DataFrame(
        {
            "person": orders["person"].to_numpy(),
            "order": np.arange(len(orders)),
            "at": orders["at"].to_numpy(),
            "views": 1 + rng.poisson(1.6, len(orders)),
        }
    )
    digital = np.flatnonzero(persons["is_digital"].to_numpy())
    activity = households["activity"].to_numpy()[persons["household"].to_numpy()[digital]]
    days = (calendar.end - calendar.online_from) // DAY
    looks = np.repeat(digital, rng.poisson(0.028 * activity * days))
    looked = pd.DataFrame(
        {
            "person": looks,
            "order": -1,
            "at": calendar.online_from
            + rng.integers(0, days, len(looks)) * DAY
            + times_of_day(rng, len(looks)),
            "views": rng.poisson(2.2, len(looks)),
        }
    )
    home = persons["household"].to_numpy()[looks]
    looked = looked[
        (looked["at"].to_numpy() >= households["joined_at"].to_numpy()[home])
        & (looked["at"].to_numpy() < households["left_at"].to_numpy()[home] + 20 * DAY)
    ]
    known = pd.concat([bought, looked], ignore_index=True)
    known["device"] = _device_of(population, known["person"].to_numpy(), rng)
    has_account = persons["has_account"].to_numpy()[known["person"]]
    app = (devices["channel"].to_numpy() != "web")[known["device"]]
    # People stay logged in on an app; on the web they log in to buy, and in every fourth other visit.
    logs_in = np.where(known["order"] >= 0, 0.92, np.where(app, 0.95, 0.25))
    known["is_logged_in"] = has_account & (rng.random(len(known)) < logs_in)
    stranger = np.flatnonzero((devices["role"] == "stranger").to_numpy())
    curious = np.repeat(stranger, rng.poisson(0.28, len(stranger)))
    passing = pd.DataFrame(
        {
            "person": -1,
            "order": -1,
            "at": calendar.offsite_from
            + rng.integers(0, (calendar.end - calendar.offsite_from) // DAY, len(curious)) * DAY
            + times_of_day(rng, len(curious)),
            "views": rng.poisson(1.4, len(curious)),
            "device": curious,
            "is_logged_in": False,
        }
    )
    bots = np.repeat(np.flatnonzero((devices["role"] == "bot").to_numpy()), 9)
    crawled = pd.DataFrame(
        {
            "person": -1,
            "order": -1,
            "at": calendar.online_from + rng.integers(0, days * DAY, len(bots)),
            "views": rng.integers(60, 300, len(bots)),
            "device": bots,
            "is_logged_in": False,
        }
    )
    visits = pd.concat([known, passing, crawled], ignore_index=True)
    return visits.sort_values(["at", "device", "order", "views"], ignore_index=True)


def _device_of(population: Population, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    use = population.device_use
    start = np.searchsorted(use["person"], person)
    stop = np.searchsorted(use["person"], person, side="right")
    return use["device"].to_numpy()[start + (rng.random(len(person)) * (stop - start)).astype(np.int64)]


def _hits(
    population: Population, fresh: list[pd.DataFrame], calendar: Calendar, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    devices = population.devices
    cookies = np.flatnonzero(devices["is_synced"].to_numpy())
    of_stranger = (devices["role"] == "stranger").to_numpy()[cookies]
    household = devices["household"].to_numpy()[cookies]
    reader = np.where(
        of_stranger, len(population.households) + devices["stranger"].to_numpy()[cookies], household
    )
    affinity = np.concatenate([population.affinity, population.stranger_affinity])
    habits = reading_habits(affinity, rng)[reader]
    pages = PAGES_READ * devices["reading"].to_numpy()[cookies]
    number = rng.poisson(pages)
    cookie = np.repeat(np.arange(len(cookies)), number)
    window = calendar.end - calendar.offsite_from
    hits = pd.DataFrame(
        {
            "device": cookies[cookie],
            "at": calendar.offsite_from
            + rng.integers(0, window // DAY, len(cookie)) * DAY
            + times_of_day(rng, len(cookie)),
            "content": draw_columns(habits, cookie, rng),
        }
    )
    pace = np.zeros((len(devices), len(CONTENTS)))
    pace[cookies] = habits * pages[:, None] / (window / DAY)
    extra, found = _interests_after_purchases(population, fresh, calendar, pace, rng)
    hits = pd.concat([hits, extra], ignore_index=True).sort_values(
        ["at", "device", "content"], ignore_index=True
    )
    return hits, found


def draw_columns(chances: np.ndarray, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column position per entry of `row`, drawn with the chances of that row of the matrix."""
    cumulative = np.cumsum(chances, axis=1)
    cumulative /= cumulative[:, -1:]
    # Rows are stacked on one line, so that a single sorted search finds the column of every draw.
    stacked = (cumulative + np.arange(len(cumulative))[:, None]).ravel()
    position = np.searchsorted(stacked, row + rng.random(len(row)), side="right")
    return np.minimum(position - row * chances.shape[1], chances.shape[1] - 1)


def _interests_after_purchases(
    population: Population,
    fresh: list[pd.DataFrame],
    calendar: Calendar,
    pace: np.ndarray,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Page views that a person's fresh purchase, of those of each interest, adds to the devices that the person uses;
    `pace` is what each device reads of each content a day (devices, contents)."""
    contents = list(CONTENTS)
    parts, found = [], []
    for interest, bought in zip(INTERESTS, fresh, strict=True):
        content = contents.index(interest.content)
        bought = bought[(bought["at"] >= calendar.offsite_from) & (bought["at"] < calendar.end)]
        struck = population.device_use.merge(bought, on="person")
        struck = struck[pace[struck["device"], content] > 0]
        struck = struck.sort_values(["device", "at", "person"], ignore_index=True)
        expected = pace[struck["device"], content] * interest.window_days * (interest.multiplier - 1.0)
        buyers = struck["person"].nunique()
        struck = struck.loc[np.repeat(np.arange(len(struck)), rng.poisson(expected))]
        when = struck["at"].to_numpy() + rng.integers(3600, interest.window_days * DAY, len(struck))
        part = pd.DataFrame({"device": struck["device"], "at": when, "content": content})
        parts.append(part[when < calendar.end])
        found.append((buyers, len(parts[-1])))
    frame = pd.DataFrame(found, columns=["buyers", "extra_page_views"])
    return pd.concat(parts, ignore_index=True), frame.assign(interest=np.arange(len(INTERESTS)))


def _fresh_purchases(
    population: Population, store: Store, orders: pd.DataFrame, lines: pd.DataFrame, category: str
) -> pd.DataFrame:
    """Purchases of a category by persons who had not bought it for PAUSE_DAYS, or never: person, at. In the store the
    household's primary adult buys, whose card it is; on line whoever orders."""
    primary = np.flatnonzero(population.persons["is_primary"].to_numpy())
    in_store = store_purchases(store, population.households, category)
    is_category = (store.products["product_category"] == category).to_numpy()[lines["product"]]
    on_line = orders.iloc[np.unique(lines["order"].to_numpy()[is_category])]
    bought = pd.DataFrame(
        {
            "person": np.concatenate([primary[in_store["household"]], on_line["person"]]),
            "at": np.concatenate([in_store["at"], on_line["at"]]),
        }
    ).sort_values(["person", "at"], ignore_index=True)
    return bought[~(bought.groupby("person")["at"].diff() < PAUSE_DAYS * DAY)]


def _occurrences(population: Population, calls: pd.DataFrame, drops: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for effect in EFFECTS:
        if effect is PRICE_DROP:
            pairs = population.households.reset_index(names="household")[["household", "taste"]].merge(
                drops, on="taste"
            )
            part = pd.DataFrame({"household": pairs["household"], "at": pairs["starts_at"]})
        else:
            part = calls.loc[_strikes(calls, effect), ["household", "at"]]
        parts.append(part.assign(trigger=effect.trigger))
    return pd.concat(parts, ignore_index=True).sort_values(["trigger", "at", "household"], ignore_index=True)
