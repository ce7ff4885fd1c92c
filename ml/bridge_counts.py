"""Tell how many customers are known as visitors, are held against each other, and may be offered something else, as far
as it tells of no few of them (`ml.disclosure`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake
from ml.disclosure import Figures, decide, figures_of, is_few, no_figures
from ml.overlaps import only
from ml.tables import read_table, write_table

MATCH_RATES = pa.schema(
    [
        ("id_type", pa.string()),
        ("outcome", pa.string()),
        ("as_of_date", pa.date32()),
        ("customers", pa.int64()),
        ("all_customers", pa.int64()),
        ("share", pa.float64()),
        ("is_held_back", pa.bool_()),
        ("counted_on", pa.date32()),
    ]
)
OFFER_SIZES = pa.schema(
    [
        ("bought_category", pa.string()),
        ("offer_category", pa.string()),
        ("as_of_date", pa.date32()),
        ("customers", pa.int64()),
        ("is_held_back", pa.bool_()),
        ("counted_on", pa.date32()),
    ]
)
COMPARED_PEOPLE = pa.schema(
    [
        ("bought_category", pa.string()),
        ("as_of_date", pa.date32()),
        ("buyers", pa.int64()),
        ("controls", pa.int64()),
    ]
)
MATCH_KEY, OFFER_KEY = ["id_type", "outcome"], ["bought_category", "offer_category"]
ANY = "any"
NO_RELATION = np.array([], dtype=np.int64)


def tell_matches(lake: Lake, day: date, before: pd.DataFrame, floor: int) -> Figures:
    """Write `match_rates` as of `day` from the hand-over `match_counts`.

    `all_customers` adds up what is told, and so tells no more than that. Who is known in any way, but not in this one,
    is the difference of two numbers, and so is who has any identifier but not this one: where that is a few, the
    number of `any` is not told.
    """
    counts = read_table(lake.staged("match_counts"))
    if counts is None or counts.empty:
        write_table(None, MATCH_RATES, MATCH_KEY, lake.ml(day, "match_rates"))
        return no_figures(before)
    counts = counts.sort_values(["id_type", "outcome_order"], ignore_index=True)
    figures = figures_of(_names("match", counts, MATCH_KEY), counts["customers"].to_numpy(), 0, before)
    figures = replace(figures, rank=(counts["id_type"] == ANY).to_numpy().astype(int))
    position = counts.assign(position=np.arange(len(counts))).pivot(
        index="id_type", columns="outcome_order", values="position"
    )
    everything = position.loc[ANY].to_numpy()
    ways = position.drop(index=ANY).to_numpy()
    part = ways[:, 0]
    figures = decide(figures, part, np.full(len(part), everything[0]), floor)
    for way in ways:
        for last in range(1, len(everything)):
            mine, all_ways = way[: last + 1], everything[: last + 1]
            if not (figures.is_told[mine].all() and figures.is_told[all_ways].all()):
                break
            apart = [
                each[all_ways].sum(keepdims=True) - each[mine].sum() for each in (figures.today, figures.told)
            ]
            if is_few(np.concatenate(apart), floor).any():
                figures = figures.refuse(everything[last : last + 1])
    told = pd.Series(np.where(figures.is_told, figures.told, 0))
    total = told.groupby(counts["id_type"]).transform("sum").to_numpy()
    rows = counts[MATCH_KEY].assign(
        as_of_date=day,
        all_customers=only(total, total > 0),
        share=only(np.round(told.to_numpy() / np.maximum(total, 1), 4), figures.is_told),
        **_told(figures, day),
    )
    write_table(rows, MATCH_RATES, MATCH_KEY, lake.ml(day, "match_rates"))
    return figures


def tell_compared(lake: Lake, day: date, before: pd.DataFrame, floor: int) -> list[Figures]:
    """Write `compared_people` as of `day`: how many buyers of each category, and how many others, `offsite_interests`
    compares; nothing where they may not be told."""
    interests = read_table(lake.ml(day, "offsite_interests"))
    counts = COMPARED_PEOPLE.empty_table().to_pandas() if interests is None else interests
    counts = counts.drop_duplicates("bought_category", ignore_index=True)
    figures = [
        decide(
            figures_of(
                (f"{name}|" + counts["bought_category"].astype(object)).to_numpy(dtype=object),
                counts[name].to_numpy(),
                0,
                before,
            ),
            NO_RELATION,
            NO_RELATION,
            floor,
        )
        for name in ("buyers", "controls")
    ]
    buyers, controls = figures
    rows = counts[["bought_category"]].assign(
        as_of_date=day,
        buyers=only(buyers.told, buyers.is_told),
        controls=only(controls.told, controls.is_told),
    )
    write_table(rows, COMPARED_PEOPLE, ["bought_category"], lake.ml(day, "compared_people"))
    return figures


def tell_offers(lake: Lake, day: date, before: pd.DataFrame, floor: int) -> Figures:
    """Write `offer_sizes` as of `day` from the hand-over `offer_counts`."""
    counts = read_table(lake.staged("offer_counts"))
    if counts is None:
        counts = pd.DataFrame(columns=[*OFFER_KEY, "customers"])
    figures = figures_of(_names("offer", counts, OFFER_KEY), counts["customers"].to_numpy(), 0, before)
    figures = decide(figures, NO_RELATION, NO_RELATION, floor)
    rows = counts[OFFER_KEY].assign(as_of_date=day, **_told(figures, day))
    write_table(rows, OFFER_SIZES, OFFER_KEY, lake.ml(day, "offer_sizes"))
    return figures


def _names(kind: str, counts: pd.DataFrame, key: list[str]) -> np.ndarray:
    first, second = (counts[name].astype(object) for name in key)
    return (kind + "|" + first + "|" + second).to_numpy(dtype=object)


def _told(figures: Figures, day: date) -> dict[str, object]:
    return {
        "customers": only(figures.told, figures.is_told),
        "is_held_back": figures.is_held_back,
        "counted_on": figures.counted_on(day),
    }
