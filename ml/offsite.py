"""What buyers look at on other sites after they bought, beside what they would have looked at anyway.

Buyers are held against customers like them who bought something else on the days around (`ml.offsite_matching`). Page
views are counts, and the groups differ in what they like: so they are expected to move by the same factor, and not by
the same number (the multiplicative difference in differences: Mullahy 1999; Ciani and Fisher 2019). How the factor is
found, and how sure it is, says `ml.offsite_effects`.

Before an interest counts as found, it has to be one of those that could be found at all, and to stand when all that is
asked is counted in; the same comparison before the purchase, the placebo, shows nothing of the kind; and it does not
vanish without those who bought another category, with a clearer effect on the same content, at about the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake
from ml.evaluation import exact
from ml.offsite_effects import FEWEST_PEOPLE, Effects, compare
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
FOUND = ["rises", "falls"]
PLACEBO_SHOWS = 0.01  # p-value at which the placebo forbids a finding
SOUGHT = 2.0  # what is looked for only where so large a multiplier would be found
JUDGED = ["did", "low", "high", "multiplier", "multiplier_low", "multiplier_high", "p_value"]
PLACEBO = ["placebo_multiplier", "placebo_low", "placebo_high"]


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
    found = table[table["verdict"].isin(FOUND)]
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
    table = judge(pd.concat(parts, ignore_index=True))
    return _tell_companions_apart(matching, table).drop(
        columns=["category", "content", "placebo_p", "detectable"]
    )


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
            "detectable": effects.detectable,
            "placebo_multiplier": placebo.multiplier,
            "placebo_low": placebo.low,
            "placebo_high": placebo.high,
            "placebo_p": placebo.p_value,
        }
    )


def judge(table: pd.DataFrame) -> pd.DataFrame:
    """Judge each row on its own; nothing is claimed of those where a multiplier of `SOUGHT` would hardly be found.

    Where so little is read a finding is mostly chance, and every question makes the others harder. Which are asked
    follows from how much was read before and after together, which says nothing of whether it moved.
    """
    table = table.assign(**{name: table[name].where(table["detectable"] <= SOUGHT) for name in JUDGED})
    table["q_value"] = _q_values(table)
    up = table["multiplier"] > 1
    moved_before = (table["placebo_p"] <= PLACEBO_SHOWS) & ((table["placebo_multiplier"] > 1) == up)
    table["verdict"] = np.select(
        [table["p_value"].isna(), ~(table["q_value"] <= FALSE_DISCOVERIES), moved_before, up],
        ["too few", "none shown", "moved before", "rises"],
        "falls",
    )
    judged = table["verdict"] != "too few"
    return table.assign(comes_with=None, **{name: table[name].where(judged) for name in PLACEBO})


def _q_values(table: pd.DataFrame) -> np.ndarray:
    """First it is asked after which purchases which content moves at all, by the p-values of all windows together
    (Simes 1986), then in which windows, as much the stricter as little was found (Benjamini and Bogomolov 2014)."""
    pair = [table["category"], table["content"]]
    within = table.groupby(["category", "content"])["p_value"].transform(q_values)
    is_first = ~table.duplicated(["category", "content"])
    of_pair = within.groupby(pair).transform("min").where(is_first)
    corrected = pd.Series(q_values(of_pair), index=table.index)
    asked, found = corrected.notna().sum(), (corrected <= FALSE_DISCOVERIES).sum()
    among = corrected.groupby(pair).transform("max")
    return np.maximum(among, np.minimum(within * asked / max(found, 1), 1.0))


def _tell_companions_apart(matching: Matching, table: pd.DataFrame) -> pd.DataFrame:
    """Of several categories after which a content is read more, those that owe it to a clearer one say so.

    Each is judged again without whoever bought one of the clearer ones, after a pause of its own, so close to the
    purchase that it moves what was read before or after, and has to be as clear as what was found at all.
    """
    shop, before_days = matching.shop, matching.before_days
    fresh = _days_of_fresh_purchases(shop)
    found = table[table["verdict"].isin(FOUND)]
    limit = found["p_value"].max()
    for (content, window), group in found.groupby(["content", "window_days"]):
        causes: list[int] = []
        for index, category in group.sort_values(["p_value", "category"])["category"].items():
            if causes:
                counted = _count(shop, matching.match(category), (window,), before_days)
                companion = _companion(counted, fresh, causes, content, window, before_days, limit)
                if companion is not None:
                    name = shop.purchases.categories[companion]
                    table.loc[index, ["verdict", "comes_with"]] = ["comes with", name]
                    continue
            causes.append(category)
    return table


def _companion(
    counted: _Counted,
    fresh: list[np.ndarray],
    causes: list[int],
    content: int,
    window: int,
    before_days: int,
    limit: float,
) -> int | None:
    """The category, of `causes`, without which nothing is left of an effect; None when it stands by itself."""
    matched = counted.matched
    for cause in causes:
        bought_on = fresh[cause][matched.person]
        near = (bought_on >= matched.day - before_days - window) & (bought_on <= matched.day + window)
        if not counted.effects(window, ~near).p_value[content] <= limit:
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
    found = judged["verdict"].isin(FOUND)
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
