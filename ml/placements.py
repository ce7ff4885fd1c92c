"""Where to meet whom: at which sites, contents, hours, devices and places audiences are met above everybody's share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.disclosure import Figures, figures_of, is_few
from ml.overlaps import FREQUENCIES, HASHES, Unit, standard_error
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
        ("reach", pa.int64()),
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
class Places:
    """Placements (m,) as rows of `frame` (`dimension`, `value`, `population_people`), and the cells (c,) of sets and
    placements that are or were large enough to be told, by their positions `row` and `column`.

    `today` and `expected` (n, m) are how many people of a set were met there, and which share of them would have been
    if only activity counted; `sampled` (n,) is the share of each set that was looked at. `inside` and `around` are
    positions of placements that lie within others, and of those.
    """

    frame: pd.DataFrame
    row: np.ndarray
    column: np.ndarray
    today: np.ndarray
    expected: np.ndarray
    sampled: np.ndarray
    inside: np.ndarray
    around: np.ndarray

    @property
    def key(self) -> np.ndarray:
        return (self.frame["dimension"] + "|" + self.frame["value"]).to_numpy(dtype=object)

    @property
    def cells(self) -> np.ndarray:
        """(n, m) the numbers of the cells, -1 where there is none."""
        numbers = np.full(self.today.shape, -1)
        numbers[self.row, self.column] = np.arange(len(self.row))
        return numbers

    @property
    def groups(self) -> np.ndarray:
        """(m,) numbers of the groups whose placements together say nearly all: a dimension, or a site's contexts."""
        site = self.frame["within_site"].where(self.frame["dimension"] == "context", "")
        return site.groupby([self.frame["dimension"], site], sort=True).ngroup().to_numpy()


def read_places(cells: pd.DataFrame | None, unit: Unit, before: pd.DataFrame, floor: int) -> Places | None:
    """The placements from the cells that `ml.sketches` counts; None without any."""
    if cells is None or cells.empty:
        return None
    columns = ["placement_id", "dimension", "value", "within_site", "within_category", "population_people"]
    frame = cells[columns].drop_duplicates("placement_id").sort_values("placement_id").reset_index(drop=True)
    row = _positions(unit.frame["set_id"], cells["set_id"])
    column = _positions(frame["placement_id"], cells["placement_id"])
    sampled = np.ones(len(unit.frame))
    sampled[row] = cells["threshold"].to_numpy(dtype=np.float64) / HASHES
    expected = np.zeros((len(unit.frame), len(frame)))
    expected[row, column] = cells["expected_share"]
    today = np.zeros(expected.shape, dtype=np.int64)
    today[row, column] = np.rint(cells["found"].to_numpy() / sampled[row])
    today = np.minimum(today, np.minimum.outer(unit.people, frame["population_people"].to_numpy()))
    position = {
        key: number for number, key in enumerate(zip(frame["dimension"], frame["value"], strict=True))
    }
    around = np.array(
        [
            [position.get((dimension, whole), -1) for whole in frame[name]]
            for dimension, name in (("site", "within_site"), ("category", "within_category"))
        ]
    )
    _, inside = np.nonzero(around >= 0)
    places = Places(frame, row, column, today, expected, sampled, inside, around[around >= 0])
    was_told = _told_before(places, unit, before)
    row, column = np.nonzero((today >= floor) | was_told)
    return Places(frame, row, column, today, expected, sampled, inside, around[around >= 0])


def _positions(ids: pd.Series, asked: pd.Series) -> np.ndarray:
    return pd.Series(np.arange(len(ids)), index=ids)[asked].to_numpy()


def _told_before(places: Places, unit: Unit, before: pd.DataFrame) -> np.ndarray:
    """Which cells (n, m) were told before, whatever they are today."""
    was_told = np.zeros(places.today.shape, dtype=bool)
    names = before.index[before.index.str.startswith("placement|")].to_series()
    if len(names):
        parts = names.str.split("|", n=4, expand=True)
        row = pd.Index(unit.key).get_indexer(parts[1] + "|" + parts[2] + "|" + parts[3])
        column = pd.Index(places.key).get_indexer(parts[4])
        known = (row >= 0) & (column >= 0)
        was_told[row[known], column[known]] = True
    return was_told


def place_figures(
    places: Places, unit: Unit, ranks: tuple[int, int], before: pd.DataFrame
) -> tuple[Figures, Figures]:
    """How many of everybody (m,), and how many of the sets (c,), were met at the placements."""
    everywhere = figures_of(
        "everybody|" + places.key, places.frame["population_people"].to_numpy(), ranks[0], before
    )
    name = "placement|" + unit.key[places.row] + "|" + places.key[places.column]
    return everywhere, figures_of(name, places.today[places.row, places.column], ranks[1], before)


def refuse_cells(
    cells: Figures,
    places: Places,
    unit: Unit,
    everybody: Figures,
    sets: Figures,
    everywhere: Figures,
    pairs: Figures,
    floor: int,
) -> Figures:
    """Do not tell cells from which a few could be worked out beside the other figures: of those who are neither in the
    set nor met at the placement, of those whom one of two nested sets has more and who were met elsewhere, or of those
    who are hidden in the other cells."""
    row, column = places.row, places.column
    cells = cells.refuse(~sets.is_told[row] | ~everywhere.is_told[column])
    few = np.zeros(len(row), dtype=bool)
    numbers = places.cells
    for name in ("today", "told"):
        people, met = getattr(sets, name), getattr(cells, name)
        outside = getattr(everybody, name)[0] - getattr(everywhere, name)[column] - people[row] + met
        few |= is_few(outside, floor)
        for small, large in zip(*unit.nested, strict=True):
            mine, theirs = numbers[small], numbers[large]
            mine, theirs = mine[(mine >= 0) & (theirs >= 0)], theirs[(mine >= 0) & (theirs >= 0)]
            few[mine] |= is_few(people[large] - people[small] - met[theirs] + met[mine], floor)
    cells = cells.refuse(few)
    cells = cells.refuse(_near_overlaps(cells, places, unit, pairs, floor))
    return cells.refuse(_needed_to_hide_others(cells, places, floor))


def _near_overlaps(cells: Figures, places: Places, unit: Unit, pairs: Figures, floor: int) -> np.ndarray:
    """The cells of a set that differ by a few from what it has in common with another set which is within those met at
    the placement, or the other way round: as the lately interested beside those who were ever met at that content."""
    first, second = unit.pairs
    there = places.frame["population_people"].to_numpy()
    is_within = (places.today >= unit.people[:, None]) | (places.today >= there)
    # Whoever was met there was met at least once.
    is_within[(unit.frame["audience_id"] == FREQUENCIES[0]) & ~unit.is_audience] = True
    near = np.zeros(len(cells.name), dtype=bool)
    for one in np.unique(places.row):
        mine = np.flatnonzero((places.row == one) & cells.is_told)
        asked = np.flatnonzero(((first == one) | (second == one)) & pairs.is_told)
        other = np.where(first[asked] == one, second[asked], first[asked])
        few = np.zeros((len(asked), len(mine)), dtype=bool)
        for name in ("today", "told"):
            counts, common = getattr(cells, name)[mine], getattr(pairs, name)[asked]
            few |= is_few(np.abs(np.subtract.outer(common, counts)), floor)
        around = is_within[np.ix_(other, places.column[mine])]
        around |= (pairs.today[asked] == unit.people[one])[:, None]
        near[mine] = (few & around).any(axis=0)
    return near


def _needed_to_hide_others(cells: Figures, places: Places, floor: int) -> np.ndarray:
    """The smallest told cell of each set and group of which the others hide a few people in all: most people use one
    device only, so that the rest of the audience would be those who are hidden."""
    is_told = np.zeros(places.today.shape, dtype=bool)
    is_told[places.row, places.column] = cells.is_told
    needed = np.zeros(len(cells.name), dtype=bool)
    numbers, groups = places.cells, places.groups
    for group in range(groups.max() + 1):
        columns = np.flatnonzero(groups == group)
        told, today = is_told[:, columns], places.today[:, columns]
        hidden = np.where(told, 0, today).sum(axis=1)
        rows = np.flatnonzero((hidden > 0) & (hidden < floor) & told.any(axis=1))
        smallest = np.where(told, today, np.iinfo(np.int64).max).argmin(axis=1)
        needed[numbers[rows, columns[smallest[rows]]]] = True
    return needed


def placement_rows(
    cells: Figures,
    places: Places,
    unit: Unit,
    everybody: Figures,
    sets: Figures,
    everywhere: Figures,
    day: date,
    options: Any,
) -> pd.DataFrame:
    """Rows of `placements`: the told cells with their shares and indexes, from what is told and from nothing else.

    The index is 100 times the share of the audience that was met there over the share of everybody; a person counts
    once, however often. Its interval and test are of `ml.rates.lifts`, over all cells that are told.
    """
    chosen = np.flatnonzero(cells.is_told)
    row, column = places.row[chosen], places.column[chosen]
    people, audience = cells.told[chosen], sets.told[row]
    there, population, sampled = everywhere.told[column], everybody.told[0], places.sampled[row]
    # Of a sketched audience only the sample has been seen: so many people are sure, not as many as they stand for.
    compared = lifts(
        np.rint(people * sampled).astype(np.int64),
        np.rint(audience * sampled).astype(np.int64),
        there,
        np.full(len(row), population),
    )
    share = people / audience
    with np.errstate(divide="ignore"):
        at_equal_activity = np.round(100 * share / places.expected[row, column])
    rows = pd.DataFrame(
        {
            "audience_id": unit.frame["audience_id"].to_numpy(dtype=object)[row],
            "part": unit.frame["part"].to_numpy(dtype=object)[row],
            "dimension": places.frame["dimension"].to_numpy(dtype=object)[column],
            "value": places.frame["value"].to_numpy(dtype=object)[column],
            "as_of_date": day,
            "window_start": day - timedelta(days=options.window_days - 1),
            "reach": people,
            "audience_people": audience,
            "population_people": there,
            "population": population,
            "share": share,
            "population_share": there / population,
            "index": np.round(100 * share / (there / population), 1),
            "low": np.round(100 * compared.low, 1),
            "high": np.round(100 * compared.high, 1),
            "index_at_equal_activity": np.where(np.isfinite(at_equal_activity), at_equal_activity, np.nan),
            "p_value": compared.p_value,
            "q_value": compared.q_value,
            "is_significant": compared.is_significant,
            "method": np.where(sampled < 1, "sketch", "exact"),
            "error": np.round(standard_error(people, sampled), 1),
            "is_held_back": cells.is_held_back[chosen]
            | sets.is_held_back[row]
            | everywhere.is_held_back[column],
            "counted_on": cells.counted_on(day)[chosen],
        }
    )
    ordered = rows.sort_values(
        ["audience_id", "part", "dimension", "low", "value"], ascending=[True] * 3 + [False, True]
    )
    return rows.assign(rank=ordered.groupby(["audience_id", "part", "dimension"]).cumcount() + 1)
