"""Tell how many people each audience reaches, how often, together with which other audiences, and where; and all else
that leaves the bridge as a count of people (`ml.bridge_counts`).

The warehouse counts sets and draws sketches of them; here it is counted what sketches have in common
(`ml.sketches`) and decided what may be told (`ml.disclosure`), and how sure it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake
from ml.bridge_counts import tell_compared, tell_matches, tell_offers
from ml.disclosure import (
    FEW_LEFT,
    SET,
    TOO_FEW,
    Figures,
    decide,
    figures_of,
    follow_renamed,
    no_figures,
    read_told,
    together,
    write_told,
)
from ml.evaluation import exact
from ml.increments import tells_of_few
from ml.overlaps import (
    FREQUENCIES,
    OVERLAP_KEY,
    OVERLAPS,
    Unit,
    keep_overlaps,
    only,
    overlap_figures,
    overlap_rows,
    read_unit,
    within_each_other,
)
from ml.placements import (
    PLACEMENT_KEY,
    PLACEMENTS,
    Places,
    place_figures,
    placement_rows,
    read_places,
    refuse_cells,
)
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.sketches import Sketches
from ml.tables import read_table, write_table

TASK = "reach"
TOLD = "told_figures"

REACH = pa.schema(
    [
        ("unit", pa.string()),
        ("audience_id", pa.string()),
        ("part", pa.string()),
        ("as_of_date", pa.date32()),
        ("people", pa.int64()),
        ("population", pa.int64()),
        ("share", pa.float64()),
        ("incremental_over", pa.string()),
        ("incremental_people", pa.int64()),
        ("incremental_share", pa.float64()),
        ("mean_events", pa.float64()),
        ("met_1_or_more", pa.int64()),
        ("met_2_or_more", pa.int64()),
        ("met_3_or_more", pa.int64()),
        ("met_6_or_more", pa.int64()),
        ("method", pa.string()),
        ("error", pa.float64()),
        ("is_held_back", pa.bool_()),
        ("counted_on", pa.date32()),
        ("suppressed_because", pa.string()),
    ]
)
REACH_KEY = ["unit", "audience_id", "part"]
TABLES = {
    "reach": (REACH, REACH_KEY),
    "audience_overlaps": (OVERLAPS, OVERLAP_KEY),
    "placements": (PLACEMENTS, PLACEMENT_KEY),
}


@dataclass(frozen=True)
class Told:
    """The figures of one unit, each decided: everybody, sets (n,), placements of everybody (m,), overlaps of two sets
    and what follows from them, sets at placements (c,), and what sets have alone (n,)."""

    everybody: Figures
    sets: Figures
    everywhere: Figures
    pairs: Figures
    following: Figures
    cells: Figures
    alone: Figures


def measure_reach(lake: Lake, day: date, configuration: Any) -> Summary:
    """Write `reach`, `audience_overlaps`, `placements`, their card, what else is counted on the bridge, and what all
    of them tell, as of `day`.

    Uses `configuration.privacy.minimum_cell` and `.models.placements`. Figures that were told on earlier days are an
    input: those of the last day before `day`. Without an audience the tables are written empty and the card says why.
    """
    floor, options = configuration.privacy.minimum_cell, configuration.models.placements
    counts = read_table(lake.staged("reach_counts"))
    before = read_told(lake, day, TOLD)
    figures = [
        tell_matches(lake, day, before, floor),
        *tell_compared(lake, day, before, floor),
        tell_offers(lake, day, before, floor),
    ]
    if counts is None or counts.empty:
        for name, (schema, key) in TABLES.items():
            write_table(None, schema, key, lake.ml(day, name))
        write_told(lake, day, TOLD, before, figures)
        return skip(lake, day, TASK, [TASK], "no audience has a member who may be counted")
    sketches = Sketches(counts, lake.staged("sketched_people"))
    pairs = sketches.count_overlaps()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    units = [read_unit(str(name), frame, pairs) for name, frame in counts.groupby("unit", sort=True)]
    people = {key: int(size) for unit in units for key, size in zip(unit.key, unit.people, strict=True)}
    before = follow_renamed(before, people, floor)
    for unit in units:
        places = None
        if unit.name == "visitors":
            places = read_places(_count_placements(lake, sketches), unit, before, floor)
        told = _decide(unit, places, before, floor)
        figures += vars(told).values()
        found["reach"].append(_reach_rows(unit, told, day))
        found["audience_overlaps"].append(overlap_rows(unit, told.sets, told.pairs, day))
        if places is not None:
            found["placements"].append(
                placement_rows(
                    told.cells, places, unit, told.everybody, told.sets, told.everywhere, day, options
                )
            )
    frames = {name: pd.concat(each, ignore_index=True) for name, each in found.items() if each}
    rows = sum(
        write_table(frames.get(name), schema, key, lake.ml(day, name))
        for name, (schema, key) in TABLES.items()
    )
    write_told(lake, day, TOLD, before, figures)
    version = model_version({"task": TASK, "floor": floor, "options": str(options)}, counts)
    write_model_cards(lake, day, TASK, [ModelCard(TASK, version, TASK, _card(frames, floor))])
    return Summary(TASK, "reported", rows, _note(frames))


def _count_placements(lake: Lake, sketches: Sketches) -> pd.DataFrame | None:
    placements = read_table(lake.staged("placement_counts"))
    if placements is None:
        return None
    return sketches.count_placements(placements, lake.staged("sketched_placements"))


def _decide(unit: Unit, places: Places | None, before: pd.DataFrame, floor: int) -> Told:
    """Decide what is told of a unit: which figures are within which, then which of them would tell of a few."""
    frame = unit.frame
    none = no_figures(before)
    everybody = figures_of(
        np.array([f"population|{unit.name}"]), frame["population"].to_numpy()[:1], 0, before
    )
    sets = figures_of(SET + unit.key, unit.people, 1, before).refuse(~unit.is_audience)
    pairs = overlap_figures(unit, 3, before)
    everywhere, cells = place_figures(places, unit, (2, 4), before) if places is not None else (none, none)
    alone = figures_of("alone|" + unit.key, frame["incremental_people"].fillna(0), 5, before)
    blocks = (everybody, sets, everywhere, pairs, cells, alone)
    starts = np.cumsum([0, *(len(block.name) for block in blocks)])
    part, whole = _relations(unit, places, sets, pairs, starts, floor)
    decided = decide(together(*blocks), part, whole, floor)
    everybody, sets, everywhere, pairs, cells, alone = (
        decided.where(slice(start, end)) for start, end in pairwise(starts)
    )
    pairs, following = keep_overlaps(unit, everybody, sets, pairs, before, floor)
    if places is not None:
        cells = refuse_cells(cells, places, unit, everybody, sets, everywhere, pairs, floor)
    alone = alone.refuse(~sets.is_told)
    alone = alone.refuse(tells_of_few(unit, everybody, sets, pairs, alone, floor))
    return Told(everybody, sets, everywhere, pairs, following, cells, alone)


def _relations(
    unit: Unit, places: Places | None, sets: Figures, pairs: Figures, starts: np.ndarray, floor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of figures that are within others, and of those: the blocks of `_decide` begin at `starts`."""
    at_everybody, at_sets, at_everywhere, at_pairs, at_cells, at_alone, _ = starts
    count = len(unit.frame)
    every, (first, second), (small, large) = np.arange(count), unit.pairs, unit.nested
    of_pairs = at_pairs + np.arange(len(first))
    # Sets come before pairs there, but not side by side here.
    near = [
        at_sets + each + (each >= count) * (at_pairs - at_sets - count)
        for each in within_each_other(unit, sets, pairs, floor)
    ]
    relations = [
        (at_sets + every, np.full(count, at_everybody)),
        (at_sets + small, at_sets + large),
        (of_pairs, at_sets + first),
        (of_pairs, at_sets + second),
        tuple(near),
        (at_alone + every, at_sets + every),
    ]
    if places is not None:
        row, column, cells = places.row, places.column, at_cells + np.arange(len(places.row))
        where, numbers = np.arange(len(places.frame)), places.cells
        within_place = np.nonzero(places.today >= unit.people[:, None])
        within_set = np.nonzero(places.today >= places.frame["population_people"].to_numpy())
        relations += [
            (at_everywhere + where, np.full(len(where), at_everybody)),
            (at_everywhere + places.inside, at_everywhere + places.around),
            (at_sets + within_place[0], at_everywhere + within_place[1]),
            (at_everywhere + within_set[1], at_sets + within_set[0]),
            (cells, at_sets + row),
            (cells, at_everywhere + column),
        ]
        for mine, theirs in (
            (numbers[:, places.inside], numbers[:, places.around]),
            (numbers[small], numbers[large]),
        ):
            both = (mine >= 0) & (theirs >= 0)
            relations.append((at_cells + mine[both], at_cells + theirs[both]))
    return tuple(np.concatenate(each) for each in zip(*relations, strict=True))


def _reach_rows(unit: Unit, told: Told, day: date) -> pd.DataFrame:
    """Rows of `reach`, one for each set of an audience."""
    of_audiences = np.flatnonzero(unit.is_audience)
    frame, sets, alone = (
        unit.frame.iloc[of_audiences],
        told.sets.where(of_audiences),
        told.alone.where(of_audiences),
    )
    population = int(told.everybody.told[0])
    is_held = sets.is_held_back | alone.is_held_back
    mean, often = np.full(len(frame), np.nan), dict.fromkeys(FREQUENCIES)
    if not unit.is_audience.all():
        mean = np.round(frame["events"].to_numpy() / np.maximum(sets.told, 1), 1)
        second = unit.pairs[1]
        of_pairs = unit.frame["audience_id"].to_numpy(dtype=object)[second]
        for times in FREQUENCIES:
            counts = told.pairs.where(np.flatnonzero((of_pairs == times) & ~unit.is_audience[second]))
            often[times] = only(counts.told, counts.is_told)
            is_held = is_held | counts.is_held_back
    return pd.DataFrame(
        {
            "unit": unit.name,
            "audience_id": frame["audience_id"],
            "part": frame["part"],
            "as_of_date": day,
            "people": only(sets.told, sets.is_told),
            "population": population,
            "share": only(sets.told / max(population, 1), sets.is_told),
            "incremental_over": np.where(frame["part"] == "lookalikes", "members", "other audiences"),
            "incremental_people": only(alone.told, alone.is_told),
            "incremental_share": only(alone.told / np.maximum(sets.told, 1), alone.is_told),
            "mean_events": only(mean, sets.is_told),
            **often,
            "method": "exact",
            "error": 0.0,
            "is_held_back": is_held,
            "counted_on": sets.counted_on(day),
            "suppressed_because": sets.refused,
        }
    )


def _card(frames: dict[str, pd.DataFrame], floor: int) -> tuple[CardLine, ...]:
    lines = [CardLine("floor", exact(floor), note="fewer people are not told of")]
    for name in ("reach", "audience_overlaps"):
        for reason in (TOO_FEW, FEW_LEFT):
            count = int((frames[name]["suppressed_because"] == reason).sum())
            lines.append(CardLine(f"{name}_not_told.{reason.replace(chr(32), chr(95))}", exact(count)))
        lines.append(CardLine(f"{name}_held_back", exact(int(frames[name]["is_held_back"].sum()))))
    if "placements" in frames:
        places = frames["placements"]
        lines.append(CardLine("placements", exact(len(places))))
        lines.append(CardLine("placements_that_differ", exact(int(places["is_significant"].sum()))))
    return tuple(lines)


def _note(frames: dict[str, pd.DataFrame]) -> str:
    overlaps = frames["audience_overlaps"]
    told, places = int(overlaps["overlap"].notna().sum()), len(frames.get("placements", ()))
    return f"{told:,} of {len(overlaps):,} overlaps and {places:,} placements may be told"
