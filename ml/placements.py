"""Where to meet whom: at which sites, contents, hours, devices and places audiences are met above everybody's share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.disclosure import Counts, hold_back
from ml.overlaps import HASHES, standard_error
from ml.rates import lifts

PLACEMENTS = pa.schema(
    [
        ("audience_id", pa.string()),
        ("part", pa.string()),
        ("dimension", pa.string()),
        ("value", pa.string()),
        ("as_of_date", pa.date32()),
        ("window_start", pa.date32()),
        ("rank", pa.int64()),
        ("people", pa.int64()),
        ("audience_people", pa.int64()),
        ("population_people", pa.int64()),
        ("population", pa.int64()),
        ("share", pa.float64()),
        ("population_share", pa.float64()),
        ("index", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("index_at_equal_activity", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("is_significant", pa.bool_()),
        ("method", pa.string()),
        ("error", pa.float64()),
        ("is_held_back", pa.bool_()),
        ("counted_on", pa.date32()),
    ]
)
PLACEMENT_KEY = ["audience_id", "part", "dimension", "value"]


@dataclass(frozen=True)
class Met:
    """The sets (n,) of visitors, how many people each has, beside `everybody`, and how many were met off-site `at_all`.

    `small` and `large` are positions of sets that may be within others, and of those.
    """

    frame: pd.DataFrame
    everybody: Counts
    people: Counts
    is_told: np.ndarray
    at_all: Counts
    tells_at_all: np.ndarray
    small: np.ndarray
    large: np.ndarray


@dataclass(frozen=True)
class Places:
    """Placements (m,): dimension and value, and (2, m) the positions of the site and of the category that each lies within,
    -1 for none."""

    frame: pd.DataFrame
    wholes: np.ndarray

    @property
    def groups(self) -> np.ndarray:
        """(m,) numbers of the groups whose placements together say nearly all: a dimension, or a site's contexts."""
        return self.frame.groupby(["dimension", "within_site"], dropna=False, sort=True).ngroup().to_numpy()


def find_placements(
    cells: pd.DataFrame | None, met: Met, before: pd.DataFrame, day: date, floor: int, options: Any
) -> tuple[pd.DataFrame, list[Counts]]:
    """Rows of `placements` that may be told, and the figures that they tell.

    `cells` are the rows of placement_counts. The index is 100 times the share of the audience that was met there over the
    share of everybody; a person counts once, however often. Its interval and test are of `ml.rates.lifts`, over all cells
    that are told.
    """
    if cells is None or cells.empty:
        return pd.DataFrame(columns=PLACEMENTS.names), []
    places = _places(cells)
    row = _positions(met.frame["set_id"], cells["set_id"])
    column = _positions(places.frame["placement_id"], cells["placement_id"])
    shape = (len(met.frame), len(places.frame))
    sampled = np.ones(shape[0])
    sampled[row] = cells["threshold"].to_numpy(dtype=np.float64) / HASHES
    expected = np.zeros(shape)
    expected[row, column] = cells["expected_share"]
    today = np.zeros(shape, dtype=np.int64)
    today[row, column] = np.rint(cells["found"].to_numpy() / sampled[row])
    most = np.minimum(met.people.today[:, None], places.frame["population_people"].to_numpy())
    everywhere, counts = _told_before(np.minimum(today, most), met, places, before, day, floor)
    is_told = _may_be_told(counts, everywhere, met, places, floor)
    row, column = np.nonzero(is_told)
    if not len(row):
        return pd.DataFrame(columns=PLACEMENTS.names), []
    rows = _compared(counts, everywhere, met, places, sampled, expected, row, column)
    rows = rows.assign(as_of_date=day, window_start=day - timedelta(days=options.window_days - 1))
    return _ranked(rows), [counts.where(is_told), everywhere.where(is_told.any(axis=0))]


def _positions(ids: pd.Series, asked: pd.Series) -> np.ndarray:
    return pd.Series(np.arange(len(ids)), index=ids)[asked].to_numpy()


def _places(cells: pd.DataFrame) -> Places:
    columns = ["placement_id", "dimension", "value", "within_site", "within_category", "population_people"]
    frame = cells[columns].drop_duplicates("placement_id").sort_values("placement_id").reset_index(drop=True)
    position = {
        key: number for number, key in enumerate(zip(frame["dimension"], frame["value"], strict=True))
    }
    wholes = np.array(
        [
            [position.get((dimension, whole), -1) for whole in frame[column]]
            for dimension, column in (("site", "within_site"), ("category", "within_category"))
        ]
    )
    return Places(frame, wholes)


def _told_before(
    today: np.ndarray, met: Met, places: Places, before: pd.DataFrame, day: date, floor: int
) -> tuple[Counts, Counts]:
    """The counts (m,) of everybody and (n, m) of each set at each placement, as they may be told."""
    place = (places.frame["dimension"] + "/" + places.frame["value"]).to_numpy(dtype=object)
    members = (met.frame["audience_id"] + "/" + met.frame["part"]).to_numpy(dtype=object)
    everywhere = hold_back(
        "everybody/" + place, places.frame["population_people"].to_numpy(dtype=np.int64), before, day, floor
    )
    row, column = np.nonzero(today >= floor)
    large = hold_back(
        "placement/" + members[row] + "/" + place[column], today[row, column], before, day, floor
    )
    counts = Counts(
        np.full(today.shape, None, dtype=object),
        today,
        today.copy(),
        np.full(today.shape, np.datetime64(day)),
        np.zeros(today.shape, dtype=bool),
    )
    for name in ("figure", "told", "counted_on", "is_held_back"):
        getattr(counts, name)[row, column] = getattr(large, name)
    return everywhere, counts


def _may_be_told(counts: Counts, everywhere: Counts, met: Met, places: Places, floor: int) -> np.ndarray:
    """Which cells (n, m) may be told: not of a few, and not so that a few who are left can be worked out."""
    group = met.people.reshaped(-1, 1)
    outside = met.everybody.minus(everywhere)
    is_told = (counts.today >= floor) & met.is_told[:, None]
    is_told &= ~group.minus(counts).is_few(floor)
    is_told &= ~(met.at_all.reshaped(-1, 1).minus(counts).is_few(floor) & met.tells_at_all[:, None])
    is_told &= ~everywhere.minus(counts).is_few(floor)
    is_told &= ~outside.is_few(floor)
    is_told &= ~outside.minus(group).plus(counts).is_few(floor)
    for small, large in zip(met.small, met.large, strict=True):
        is_told[small] &= ~counts.where(large).minus(counts.where(small)).is_few(floor)
    for whole in places.wholes:
        parts = np.flatnonzero(whole >= 0)
        rest = counts.where((slice(None), whole[parts])).minus(counts.where((slice(None), parts)))
        of_everybody = everywhere.where(whole[parts]).minus(everywhere.where(parts))
        is_told[:, parts] &= ~rest.is_few(floor) & ~of_everybody.is_few(floor)
    return is_told & ~_needed_to_hide_others(counts, is_told, places.groups, floor)


def _needed_to_hide_others(counts: Counts, is_told: np.ndarray, groups: np.ndarray, floor: int) -> np.ndarray:
    """The smallest told cell of each set and group of which the others hide a few people in all: one who is met at one
    device only is met at no other, so that the rest of the audience would be those who are hidden."""
    needed = np.zeros(is_told.shape, dtype=bool)
    for group in range(groups.max() + 1):
        columns = np.flatnonzero(groups == group)
        told = is_told[:, columns]
        hidden = np.where(told, 0, counts.today[:, columns]).sum(axis=1)
        rows = np.flatnonzero((hidden > 0) & (hidden < floor) & told.any(axis=1))
        smallest = np.where(told, counts.told[:, columns], np.iinfo(np.int64).max).argmin(axis=1)
        needed[rows, columns[smallest[rows]]] = True
    return needed


def _compared(
    counts: Counts,
    everywhere: Counts,
    met: Met,
    places: Places,
    sampled: np.ndarray,
    expected: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
) -> pd.DataFrame:
    """The told cells with their shares and indexes, all of them from what is told and from nothing else."""
    people, audience = counts.told[row, column], met.people.told[row]
    there, everybody = everywhere.told[column], met.everybody.told[0]
    # Of a sketched audience only the sample has been seen: so many people are sure, not as many as they stand for.
    compared = lifts(
        np.rint(people * sampled[row]).astype(np.int64),
        np.rint(audience * sampled[row]).astype(np.int64),
        there,
        np.full(len(row), everybody),
    )
    share = people / audience
    error = standard_error(people, sampled[row])
    frame = places.frame.iloc[column].reset_index(drop=True)
    return pd.DataFrame(
        {
            "audience_id": met.frame["audience_id"].to_numpy()[row],
            "part": met.frame["part"].to_numpy()[row],
            "dimension": frame["dimension"],
            "value": frame["value"],
            "people": people,
            "audience_people": audience,
            "population_people": there,
            "population": everybody,
            "share": share,
            "population_share": there / everybody,
            "index": np.round(100 * share / (there / everybody), 1),
            "low": np.round(100 * compared.low, 1),
            "high": np.round(100 * compared.high, 1),
            "index_at_equal_activity": np.round(100 * share / expected[row, column]),
            "p_value": compared.p_value,
            "q_value": compared.q_value,
            "is_significant": compared.is_significant,
            "method": np.where(sampled[row] < 1, "sketch", "exact"),
            "error": np.round(error, 1),
            "is_held_back": counts.is_held_back[row, column]
            | met.people.is_held_back[row]
            | everywhere.is_held_back[column],
            "counted_on": counts.counted_on[row, column],
        }
    )


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their place among those of their audience and dimension, the surest to be above 100 first."""
    ordered = rows.sort_values(
        ["audience_id", "part", "dimension", "low", "value"], ascending=[True] * 3 + [False, True]
    )
    rank = ordered.groupby(["audience_id", "part", "dimension"], sort=False).cumcount() + 1
    return rows.assign(rank=rank)
