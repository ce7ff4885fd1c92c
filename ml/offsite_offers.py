"""What to offer to who has just bought: categories whose buyers read much of what these now read more of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import norm

from ml.offsite_matching import Shop
from ml.rates import CONFIDENCE, FALSE_DISCOVERIES, q_values

OFFERS = "upsell_offers"
UPSELL_OFFERS = pa.schema(
    [
        ("bought_category", pa.string()),
        ("offer_category", pa.string()),
        ("rank", pa.int64()),
        ("content_category", pa.string()),
        ("window_days", pa.int64()),
        ("did", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("multiplier", pa.float64()),
        ("lift", pa.float64()),
        ("lift_low", pa.float64()),
        ("lift_high", pa.float64()),
        ("reason", pa.string()),
        ("model_version", pa.string()),
        ("as_of_date", pa.date32()),
    ]
)
OFFER_KEY = ["bought_category", "offer_category"]
MOST_OFFERS = 5  # of a bought category
LEANINGS = ["offer_category", "content_category", "lift", "lift_low", "lift_high", "q_value"]
FEWEST_PEOPLE = 50
FEWEST_VIEWS = 5


def find_leanings(shop: Shop) -> pd.DataFrame:
    """What the buyers of each category read more, or less, than the other customers, one row per category and content.

    `lift` is the ratio of the shares of their pages that are about it, with its 95 % interval by the delta method,
    every person one observation, and the q-value of all of them (Benjamini and Hochberg 1995). Categories that fewer
    than fifty people bought, or did not buy, and contents of which they read little are left out.
    """
    everybody = np.arange(shop.people)
    none = np.zeros(shop.people, dtype=np.int64)
    pages = shop.browsing.count(everybody, none, none + shop.browsing.length)
    read = shop.browsing.read_between(everybody, none, none + shop.browsing.length).astype(float)
    parts = []
    for name, bought in zip(shop.purchases.categories, shop.purchases.bought, strict=True):
        is_buyer = np.zeros(shop.people, dtype=bool)
        is_buyer[bought] = True
        if min(is_buyer.sum(), (~is_buyer).sum()) < FEWEST_PEOPLE:
            continue
        share, variance, few = _share(pages[is_buyer], read[is_buyer])
        other_share, other_variance, other_few = _share(pages[~is_buyer], read[~is_buyer])
        with np.errstate(divide="ignore", invalid="ignore"):
            lift, error = share / other_share, np.sqrt(variance + other_variance)
            spread = np.exp(norm.ppf((1 + CONFIDENCE) / 2) * error)
            part = pd.DataFrame(
                {
                    "offer_category": name,
                    "content_category": shop.browsing.contents,
                    "lift": lift,
                    "lift_low": lift / spread,
                    "lift_high": lift * spread,
                    "p_value": 2 * norm.sf(np.abs(np.log(lift)) / error),
                }
            )
        parts.append(part[~(few | other_few)])
    if not parts:
        return pd.DataFrame(columns=LEANINGS)
    leanings = pd.concat(parts, ignore_index=True)
    leanings["q_value"] = q_values(leanings["p_value"])
    return leanings[LEANINGS]


def _share(pages: np.ndarray, read: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of each content among the pages of a group, the variance of its logarithm, and whether it is too few
    to say."""
    total, everything = pages.sum(axis=0), read.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        influence = pages / total - (read / everything)[:, None]
    scale = len(read) / (len(read) - 1)
    return total / everything, (influence**2).sum(axis=0) * scale, ~(total >= FEWEST_VIEWS)


def find_offers(interests: pd.DataFrame, leanings: pd.DataFrame) -> pd.DataFrame:
    """The rows of `upsell_offers` without version and date, at most five of each bought category.

    `interests` are those of `ml.offsite.weigh`, of which the ones that rise count, in the window that shows it most
    clearly; `leanings` are those of `find_leanings`, and lead from a content to the categories that its readers buy.
    Among several contents that lead to a category the one whose lift is surest counts.
    """
    columns = [name for name in UPSELL_OFFERS.names if name not in ("model_version", "as_of_date")]
    rising = interests[interests["verdict"] == "rises"].sort_values(
        ["bought_category", "content_category", "p_value", "window_days"]
    )
    rising = rising.drop_duplicates(["bought_category", "content_category"])
    leading = leanings[(leanings["q_value"] <= FALSE_DISCOVERIES) & (leanings["lift"] > 1)]
    pairs = rising[
        ["bought_category", "content_category", "window_days", "did", "low", "high", "multiplier"]
    ].merge(
        leading[["offer_category", "content_category", "lift", "lift_low", "lift_high"]],
        on="content_category",
    )
    pairs = pairs[pairs["bought_category"] != pairs["offer_category"]].sort_values(
        ["bought_category", "lift_low", "offer_category", "content_category"],
        ascending=[True, False, True, True],
    )
    offers = pairs.drop_duplicates(OFFER_KEY)
    offers = offers.assign(
        rank=offers.groupby("bought_category").cumcount() + 1,
        reason=[
            f"after buying {bought} they read {multiplier:.1f} times as much about {content}; "
            f"who buys {offer} reads {lift:.1f} times as much about it as others"
            for bought, offer, content, multiplier, lift in zip(
                offers["bought_category"],
                offers["offer_category"],
                offers["content_category"],
                offers["multiplier"],
                offers["lift"],
                strict=True,
            )
        ],
    )
    return offers.loc[offers["rank"] <= MOST_OFFERS, columns].reset_index(drop=True)
