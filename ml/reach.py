"""Tell how many people each audience reaches, how often, together with which other audiences, and where.

The warehouse counts; here it is decided what of the counts may be told (`ml.disclosure`), and how sure it is.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake
from ml.disclosure import FEW_LEFT, TOO_FEW, Counts, Difference, hold_back, read_told, write_told
from ml.evaluation import exact
from ml.overlaps import OVERLAP_KEY, OVERLAPS, Unit, only, overlap_rows, read_unit
from ml.placements import PLACEMENT_KEY, PLACEMENTS, Met, find_placements
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
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
FREQUENCIES = ["met_1_or_more", "met_2_or_more", "met_3_or_more", "met_6_or_more"]
TABLES = {
    "reach": (REACH, REACH_KEY),
    "audience_overlaps": (OVERLAPS, OVERLAP_KEY),
    "placements": (PLACEMENTS, PLACEMENT_KEY),
}


def measure_reach(lake: Lake, day: date, configuration: Any) -> Summary:
    """Write `reach`, `audience_overlaps`, `placements`, their card and what is told by them, as of `day`.

    Uses `configuration.privacy.minimum_cell` and `.models.placements`. Figures that were told on earlier days are an
    input: those of the last day before `day`. Without an audience the tables are written empty and the card says why.
    """
    floor, options = configuration.privacy.minimum_cell, configuration.models.placements
    counts, pairs = read_table(lake.staged("reach_counts")), read_table(lake.staged("overlap_counts"))
    before = read_told(lake, day, TOLD)
    if counts is None or counts.empty:
        for name, (schema, key) in TABLES.items():
            write_table(None, schema, key, lake.ml(day, name))
        write_told(lake, day, TOLD, before, [])
        return skip(lake, day, TASK, [TASK], "no audience has a member who may be counted")
    told: list[Counts] = []
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for name, frame in counts.groupby("unit", sort=True):
        unit = read_unit(str(name), frame, pairs, before, day, floor)
        overlaps, figures, tells_overlap = overlap_rows(unit, before, day, floor)
        reach, others = _reach_rows(unit, tells_overlap, before, day, floor)
        told += [figures, *others]
        if unit.name == "visitors":
            often, tells_often = _frequencies(unit, before, day, floor)
            reach = _add_frequencies(reach, unit, often, tells_often)
            met = Met(
                unit.frame,
                unit.population,
                unit.people,
                unit.is_told,
                often.where(0),
                tells_often[0],
                *unit.nested,
            )
            cells = read_table(lake.staged("placement_counts"))
            places, others = find_placements(cells, met, before, day, floor, options)
            found["placements"].append(places)
            told += [often.where(tells_often), *others]
        found["reach"].append(reach)
        found["audience_overlaps"].append(overlaps)
    frames = {name: pd.concat(each, ignore_index=True) for name, each in found.items() if each}
    rows = sum(
        write_table(frames.get(name), schema, key, lake.ml(day, name))
        for name, (schema, key) in TABLES.items()
    )
    write_told(lake, day, TOLD, before, told)
    version = model_version({"task": TASK, "floor": floor, "options": str(options)}, counts)
    write_model_cards(lake, day, TASK, [ModelCard(TASK, version, TASK, _card(frames, floor))])
    return Summary(TASK, "reported", rows, _note(frames))


def _reach_rows(
    unit: Unit, tells_overlap: np.ndarray, before: pd.DataFrame, day: date, floor: int
) -> tuple[pd.DataFrame, list[Counts]]:
    """Rows of `reach` and the figures they tell. `tells_overlap` (n, n): of which two sets the overlap is told."""
    frame, sets, is_told = unit.frame, unit.people, unit.is_told
    alone = hold_back("alone/" + unit.key, frame["incremental_people"].to_numpy(), before, day, floor)
    tells_alone = is_told & (alone.today >= floor) & ~sets.minus(alone).is_few(floor)
    # Otherwise what members share with all other audiences but one would follow from the overlap with that one.
    shared = Difference(
        sets.today[:, None] - unit.overlaps - alone.today[:, None],
        sets.told[:, None] - unit.overlaps - alone.told[:, None],
    )
    is_members = (frame["part"] == "members").to_numpy()
    asked = tells_overlap & is_members[:, None] & is_members[None, :]
    tells_alone &= ~(shared.is_few(floor) & asked).any(axis=1)
    rows = pd.DataFrame(
        {
            "unit": unit.name,
            "audience_id": frame["audience_id"],
            "part": frame["part"],
            "as_of_date": day,
            "people": only(sets.told, is_told),
            "population": unit.population.told[0],
            "share": only(sets.told / max(int(unit.population.told[0]), 1), is_told),
            "incremental_over": np.where(frame["part"] == "lookalikes", "members", "other audiences"),
            "incremental_people": only(alone.told, tells_alone),
            "incremental_share": only(alone.told / np.maximum(sets.told, 1), tells_alone),
            "mean_events": np.nan,
            **dict.fromkeys(FREQUENCIES),
            "method": "exact",
            "error": 0.0,
            "is_held_back": sets.is_held_back & is_told | alone.is_held_back & tells_alone,
            "counted_on": np.where(is_told, sets.counted_on, np.datetime64("NaT")),
            "suppressed_because": unit.refused,
        }
    )
    return rows, [unit.population, sets.where(is_told), alone.where(tells_alone)]


def _frequencies(unit: Unit, before: pd.DataFrame, day: date, floor: int) -> tuple[Counts, np.ndarray]:
    """How many of each set were met so often or more (4, n), and which of these may be told.

    Each is a part of the one before, so that one which leaves few of the last one told is left out.
    """
    counts = hold_back(
        np.concatenate([f"{name}/" + unit.key for name in FREQUENCIES]),
        np.concatenate([unit.frame[name].to_numpy() for name in FREQUENCIES]),
        before,
        day,
        floor,
    ).reshaped(len(FREQUENCIES), len(unit.frame))
    (small, large), is_told = unit.nested, np.zeros(counts.today.shape, dtype=bool)
    whole = Difference(unit.people.today.copy(), unit.people.told.copy())
    for number in range(len(FREQUENCIES)):
        part = counts.where(number)
        tells = unit.is_told & (part.today >= floor) & ~whole.minus(part).is_few(floor)
        between = part.where(large).minus(part.where(small))
        tells[small[between.is_few(floor)]] = False
        is_told[number] = tells
        whole = Difference(np.where(tells, part.today, whole.today), np.where(tells, part.told, whole.told))
    return counts, is_told


def _add_frequencies(rows: pd.DataFrame, unit: Unit, counts: Counts, is_told: np.ndarray) -> pd.DataFrame:
    mean = np.round(unit.frame["events"].to_numpy() / np.maximum(unit.people.told, 1), 1)
    columns = {name: only(counts.told[number], is_told[number]) for number, name in enumerate(FREQUENCIES)}
    held = (counts.is_held_back & is_told).any(axis=0)
    return rows.assign(
        mean_events=only(mean, unit.is_told), **columns, is_held_back=rows["is_held_back"] | held
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
