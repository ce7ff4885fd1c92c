"""What buyers look at on other sites after they bought, beside what they would have looked at anyway.

Buyers are held against customers like them who bought something else on the days around (`ml.offsite_matching`). Page
views are counts, and the groups differ in what they like: so they are expected to move by the same factor, and not by
the same number (the multiplicative difference in differences: Mullahy 1999; Ciani and Fisher 2019). With a and b the
pages that buyers read after and before, and g the factor by which those of the others moved, the multiplier is
a / (g b). Its interval is Fieller's (1954), every person counted as one observation, and the p-value is of the same
test, so that both always agree.

Three things must hold before an interest counts as found: it stands when all comparisons are counted in (Benjamini
and Hochberg); the same comparison before the purchase, the placebo, shows nothing of the kind; and it does not vanish
without those who bought another category, with a clearer effect on the same content, at about the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import csr_matrix
from scipy.stats import t as student

from include.lake import Lake
from ml.evaluation import exact
from ml.offsite_matching import Matched, Matching, Shop, read_shop
from ml.offsite_offers import OFFER_KEY, OFFERS, UPSELL_OFFERS, find_leanings, find_offers
from ml.rates import CONFIDENCE, FALSE_DISCOVERIES, q_values
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.tables import write_table
from ml.threads import single_threaded

MODEL = "offsite_interests"
TASK = "offsite"
OFFSITE_INTERESTS = pa.schema(
    [
        ("bought_category", pa.string()),
        ("content_category", pa.string()),
        ("window_days", pa.int64()),
        ("buyers", pa.int64()),
        ("controls", pa.int64()),
        ("rate_before", pa.float64()),
        ("rate_after", pa.float64()),
        ("control_before", pa.float64()),
        ("control_after", pa.float64()),
        ("did", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("multiplier", pa.float64()),
        ("multiplier_low", pa.float64()),
        ("multiplier_high", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("placebo_multiplier", pa.float64()),
        ("placebo_low", pa.float64()),
        ("placebo_high", pa.float64()),
        ("verdict", pa.string()),
        ("comes_with", pa.string()),
        ("model_version", pa.string()),
        ("as_of_date", pa.date32()),
    ]
)
KEY = ["bought_category", "content_category", "window_days"]
PLACEBO_SHOWS = 0.01  # p-value at which the placebo forbids a finding
FEWEST_PEOPLE = 50  # the least that privacy.yml allows; dbt applies what it says
FEWEST_VIEWS = 5.0
DAYS_OF_A_RATE = 7  # rates are of pages per person and week


@dataclass(frozen=True)
class Effects:
    """One category against all contents (contents,): pages per person and week before and after, of buyers and of the
    others; `did` with its error, the multiplier with its interval, and the p-value; NaN where too little was read.
    `buyers` and `controls` are numbers of people."""

    buyers: int
    controls: int
    rate_before: np.ndarray
    rate_after: np.ndarray
    control_before: np.ndarray
    control_after: np.ndarray
    did: np.ndarray
    did_low: np.ndarray
    did_high: np.ndarray
    multiplier: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray


@dataclass(frozen=True)
class _Counted:
    """Pages read (rows, contents) before the purchase and in each window after it, with the days observed (rows,)."""

    matched: Matched
    before: np.ndarray
    before_days: np.ndarray
    after: dict[int, np.ndarray]
    after_days: dict[int, np.ndarray]

    def effects(self, window: int, kept: np.ndarray | None = None) -> Effects:
        kept = np.ones(len(self.before), dtype=bool) if kept is None else kept
        return compare(
            self.matched.where(kept),
            self.before[kept],
            self.after[window][kept],
            self.before_days[kept],
            self.after_days[window][kept],
        )


def find_offsite_interests(lake: Lake, day: date, models: Any) -> Summary:
    """Write `offsite_interests`, the `upsell_offers` that follow from them, and a model card as of `day`.

    Uses `models.offsite` and `models.seed`. Without matches, behaviour on other sites or purchases after a pause the
    tables are written empty and the card says why.
    """
    parameters = models.offsite
    with single_threaded():
        shop = read_shop(lake, day, parameters.categories, parameters.contents, FEWEST_PEOPLE, models.seed)
        if isinstance(shop, str):
            return _write_nothing(lake, day, shop)
        table = weigh(shop, parameters.windows, parameters.before_days, parameters.controls)
        version = model_version({"task": TASK, "seed": models.seed, **parameters.model_dump()}, table)
        table = table.assign(model_version=version, as_of_date=day)
        rows = write_table(table, OFFSITE_INTERESTS, KEY, lake.ml(day, MODEL))
        offers = find_offers(table, find_leanings(shop)).assign(model_version=version, as_of_date=day)
        write_table(offers, UPSELL_OFFERS, OFFER_KEY, lake.ml(day, OFFERS))
        write_model_cards(lake, day, TASK, [_card(table, version)])
    found = table[table["verdict"].isin(["rises", "falls"])]
    pairs = found.drop_duplicates(["bought_category", "content_category"])
    return Summary(
        TASK,
        "reported",
        rows,
        f"{len(pairs)} interests found after purchases, of {rows:,} comparisons; {len(offers)} offers follow",
    )


def weigh(shop: Shop, windows: tuple[int, ...], before_days: int, controls: int) -> pd.DataFrame:
    """The rows of `offsite_interests` without version and date."""
    matching = Matching(shop, before_days, 0, controls)
    placebos = {window: Matching(shop, before_days, window + 1, controls) for window in windows}
    parts = []
    for category, name in enumerate(shop.purchases.categories):
        counted = _count(shop, matching.match(category), windows, before_days)
        for window, placebo in placebos.items():
            shown = _count(shop, placebo.match(category), (window,), before_days)
            parts.append(
                _rows(counted.effects(window), shown.effects(window)).assign(
                    category=category,
                    content=np.arange(len(shop.browsing.contents)),
                    bought_category=name,
                    content_category=shop.browsing.contents,
                    window_days=window,
                )
            )
    table = _judge(pd.concat(parts, ignore_index=True))
    return _tell_companions_apart(matching, table).drop(columns=["category", "content", "placebo_p"])


def _count(shop: Shop, matched: Matched, windows: tuple[int, ...], before_days: int) -> _Counted:
    """The day of the purchase itself is left out: what was read on it may have come before or after."""
    day, length = matched.day, shop.browsing.length
    first = np.maximum(day - before_days, 0)
    last = {window: np.minimum(day + window, length - 1) for window in windows}
    return _Counted(
        matched,
        shop.browsing.count(matched.person, first, day),
        day - first,
        {window: shop.browsing.count(matched.person, day + 1, last[window] + 1) for window in windows},
        {window: last[window] - day for window in windows},
    )


def compare(
    matched: Matched, before: np.ndarray, after: np.ndarray, before_days: np.ndarray, after_days: np.ndarray
) -> Effects:
    """Hold buyers against the others: pages `before` and `after` (rows, contents) of days observed (rows,).

    Every buyer is one observation; those of another person count together, however often they were compared with.
    """
    is_buyer, weight = matched.is_buyer, matched.weight[~matched.is_buyer][:, None]
    a, b, size = after[is_buyer], before[is_buyer], int(is_buyer.sum())
    a_other, b_other = after[~is_buyer] * weight, before[~is_buyer] * weight
    days_after, days_before = after_days[is_buyer].sum(), before_days[is_buyer].sum()
    other_after = (after_days[~is_buyer] * weight[:, 0]).sum()
    other_before = (before_days[~is_buyer] * weight[:, 0]).sum()
    person, place = np.unique(matched.person[~is_buyer], return_inverse=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        total_after, total_before = a.sum(axis=0), b.sum(axis=0)
        sum_after, sum_before = a_other.sum(axis=0), b_other.sum(axis=0)
        of_person = csr_matrix(
            (np.ones(len(place)), (place, np.arange(len(place)))), (len(person), len(place))
        )
        moved = of_person @ (a_other / sum_after - b_other / sum_before)
        factor_variance = (moved**2).sum(axis=0) * len(person) / max(len(person) - 1, 1)
        factor = sum_after / sum_before * (days_after / days_before) / (other_after / other_before)
        expected = factor * total_before
        scale = size / max(size - 1, 1)
        a_centred, b_centred = a - total_after / max(size, 1), b - total_before / max(size, 1)
        s_aa, s_ab, s_bb = (
            (left * right).sum(axis=0) * scale
            for left, right in ((a_centred, a_centred), (a_centred, b_centred), (b_centred, b_centred))
        )
        variance = s_aa - 2 * factor * s_ab + factor**2 * s_bb + expected**2 * factor_variance
        error = np.sqrt(variance)
        critical = student.ppf((1 + CONFIDENCE) / 2, max(size - 1, 1))
        # Fieller: the multipliers m at which after - m x expected is no further from 0 than chance takes it.
        square = expected**2 - critical**2 * (factor**2 * s_bb + expected**2 * factor_variance)
        half = total_after * expected - critical**2 * factor * s_ab
        root = np.sqrt(np.maximum(half**2 - square * (total_after**2 - critical**2 * s_aa), 0.0))
        few = (
            (size < FEWEST_PEOPLE)
            | (len(person) < FEWEST_PEOPLE)
            | ~(np.minimum(expected, total_before) >= FEWEST_VIEWS)
            | ~(square > 0)
            | ~(variance > 0)
        )

        def judged(values: np.ndarray) -> np.ndarray:
            return np.where(few, np.nan, values)

        weekly = DAYS_OF_A_RATE / days_after
        return Effects(
            buyers=size,
            controls=len(person),
            rate_before=total_before / days_before * DAYS_OF_A_RATE,
            rate_after=total_after * weekly,
            control_before=sum_before / other_before * DAYS_OF_A_RATE,
            control_after=sum_after / other_after * DAYS_OF_A_RATE,
            did=judged((total_after - expected) * weekly),
            did_low=judged((total_after - expected - critical * error) * weekly),
            did_high=judged((total_after - expected + critical * error) * weekly),
            multiplier=judged(total_after / expected),
            low=judged(np.maximum((half - root) / square, 0.0)),
            high=judged((half + root) / square),
            p_value=judged(2 * student.sf(np.abs(total_after - expected) / error, max(size - 1, 1))),
        )


def _rows(effects: Effects, placebo: Effects) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "buyers": effects.buyers,
            "controls": effects.controls,
            "rate_before": effects.rate_before,
            "rate_after": effects.rate_after,
            "control_before": effects.control_before,
            "control_after": effects.control_after,
            "did": effects.did,
            "low": effects.did_low,
            "high": effects.did_high,
            "multiplier": effects.multiplier,
            "multiplier_low": effects.low,
            "multiplier_high": effects.high,
            "p_value": effects.p_value,
            "placebo_multiplier": placebo.multiplier,
            "placebo_low": placebo.low,
            "placebo_high": placebo.high,
            "placebo_p": placebo.p_value,
        }
    )


def _judge(table: pd.DataFrame) -> pd.DataFrame:
    known = table["p_value"].notna()
    table["q_value"] = q_values(table["p_value"])
    up = table["multiplier"] > 1
    moved_before = (table["placebo_p"] <= PLACEBO_SHOWS) & ((table["placebo_multiplier"] > 1) == up)
    table["verdict"] = np.select(
        [~known, ~(table["q_value"] <= FALSE_DISCOVERIES), moved_before, up],
        ["too few", "none shown", "moved before", "rises"],
        "falls",
    )
    return table.assign(comes_with=None)


def _tell_companions_apart(matching: Matching, table: pd.DataFrame) -> pd.DataFrame:
    """Of several categories after which a content is read more, those that owe it to a clearer one say so.

    Each is judged again without whoever bought one of the clearer ones, after a pause of its own, so close to the
    purchase that it moves what was read before or after.
    """
    shop, before_days = matching.shop, matching.before_days
    fresh = _days_of_fresh_purchases(shop)
    found = table[table["verdict"].isin(["rises", "falls"])]
    for (content, window), group in found.groupby(["content", "window_days"]):
        causes: list[int] = []
        for index, category in group.sort_values(["p_value", "category"])["category"].items():
            if causes:
                counted = _count(shop, matching.match(category), (window,), before_days)
                companion = _companion(counted, fresh, causes, content, window, before_days)
                if companion is not None:
                    name = shop.purchases.categories[companion]
                    table.loc[index, ["verdict", "comes_with"]] = ["comes with", name]
                    continue
            causes.append(category)
    return table


def _companion(
    counted: _Counted, fresh: list[np.ndarray], causes: list[int], content: int, window: int, before_days: int
) -> int | None:
    """The category, of `causes`, without which nothing is left of an effect; None when it stands by itself."""
    matched = counted.matched
    for cause in causes:
        bought_on = fresh[cause][matched.person]
        near = (bought_on >= matched.day - before_days - window) & (bought_on <= matched.day + window)
        if not counted.effects(window, ~near).p_value[content] <= FALSE_DISCOVERIES:
            return cause
    return None


def _days_of_fresh_purchases(shop: Shop) -> list[np.ndarray]:
    """Per category the day of each person's purchase after a pause (people,), far in the past for who has none."""
    days = []
    for person, day in zip(shop.purchases.person, shop.purchases.day, strict=True):
        bought_on = np.full(shop.people, -100_000)
        bought_on[person] = day
        days.append(bought_on)
    return days


def _card(table: pd.DataFrame, version: str) -> ModelCard:
    judged = table[table["verdict"] != "too few"]
    found = judged["verdict"].isin(["rises", "falls"])
    placebo = table[table["placebo_multiplier"].notna()]
    inside = (placebo["placebo_low"] <= 1) & (placebo["placebo_high"] >= 1)
    return ModelCard(
        MODEL,
        version,
        TASK,
        (
            CardLine(
                "share of judged interests found",
                exact(float(found.mean()) if len(judged) else 0.0),
                note=f"{int(found.sum())} of {len(judged)} comparisons; {len(table) - len(judged)} too few to judge",
            ),
            CardLine(
                "share of placebo intervals that hold no effect",
                exact(float(inside.mean()) if len(placebo) else 1.0),
                CONFIDENCE,
                "what the intervals promise",
            ),
        ),
    )


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, OFFSITE_INTERESTS, KEY, lake.ml(day, MODEL))
    write_table(None, UPSELL_OFFERS, OFFER_KEY, lake.ml(day, OFFERS))
    return skip(lake, day, TASK, [MODEL], reason)
