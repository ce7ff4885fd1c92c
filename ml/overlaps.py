"""How audiences overlap: people they have in common, counted or estimated, and which of it may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.disclosure import Counts, hold_back, refuse_overlaps, refuse_sets

HASHES = float(1 << 60)  # sketch_range of dbt's macros
SIGMAS = 3.0  # by how many standard errors an estimated overlap may be larger than it seems

OVERLAPS = pa.schema(
    [
        ("unit", pa.string()),
        ("audience_a", pa.string()),
        ("part_a", pa.string()),
        ("audience_b", pa.string()),
        ("part_b", pa.string()),
        ("as_of_date", pa.date32()),
        ("people_a", pa.int64()),
        ("people_b", pa.int64()),
        ("overlap", pa.int64()),
        ("only_a", pa.int64()),
        ("only_b", pa.int64()),
        ("union_people", pa.int64()),
        ("share_of_a", pa.float64()),
        ("share_of_b", pa.float64()),
        ("jaccard", pa.float64()),
        ("method", pa.string()),
        ("error", pa.float64()),
        ("is_held_back", pa.bool_()),
        ("counted_on", pa.date32()),
        ("suppressed_because", pa.string()),
    ]
)
OVERLAP_KEY = ["unit", "audience_a", "part_a", "audience_b", "part_b"]


@dataclass(frozen=True)
class Unit:
    """The sets (n,) that are counted in one unit: rows of reach_counts in the order of `set_id`, how many people each has,
    why it is not told (None where it is), how many two sets have in common (n, n), and the standard errors of that."""

    name: str
    frame: pd.DataFrame
    population: Counts
    people: Counts
    overlaps: np.ndarray
    errors: np.ndarray
    refused: np.ndarray = field(default_factory=lambda: np.array([], dtype=object))

    @property
    def key(self) -> np.ndarray:
        """(n,) a text for each set, which names its figures among those told."""
        return (self.name + "/" + self.frame["audience_id"] + "/" + self.frame["part"]).to_numpy(dtype=object)

    @property
    def is_told(self) -> np.ndarray:
        """(n,) whether it is told how many people a set has."""
        return pd.isna(self.refused)

    @property
    def most_overlaps(self) -> np.ndarray:
        """(n, n) the most people that two sets may have in common."""
        people = self.people.today
        most = np.minimum(self.overlaps + SIGMAS * self.errors, np.minimum.outer(people, people))
        np.fill_diagonal(most, people)
        return most

    @property
    def nested(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of sets that may be within another one, and of those others."""
        is_within = self.most_overlaps >= self.people.today[:, None]
        np.fill_diagonal(is_within, False)
        return np.nonzero(is_within)


def read_unit(
    name: str, frame: pd.DataFrame, pairs: pd.DataFrame, before: pd.DataFrame, day: date, floor: int
) -> Unit:
    """The sets of one unit from its rows of reach_counts and the rows of overlap_counts."""
    frame = frame.sort_values("set_id").reset_index(drop=True)
    position = pd.Series(np.arange(len(frame)), index=frame["set_id"])
    mine = pairs[pairs["set_a"].isin(position.index)]
    first, second = position[mine["set_a"]].to_numpy(), position[mine["set_b"]].to_numpy()
    people = frame["people"].to_numpy(dtype=np.int64)
    share = mine["threshold"].to_numpy(dtype=np.float64) / HASHES
    estimates = np.rint(mine["found"].to_numpy() / share).astype(np.int64)
    estimates = np.minimum(estimates, np.minimum(people[first], people[second]))
    overlaps, errors = np.zeros((len(frame),) * 2, dtype=np.int64), np.zeros((len(frame),) * 2)
    overlaps[first, second] = overlaps[second, first] = estimates
    errors[first, second] = errors[second, first] = standard_error(estimates, share)
    np.fill_diagonal(overlaps, people)
    everybody = hold_back(
        np.array([f"population/{name}"]), frame["population"].to_numpy()[:1], before, day, floor
    )
    unit = Unit(name, frame, everybody, everybody, overlaps, errors)
    sets = hold_back("people/" + unit.key, people, before, day, floor)
    unit = Unit(name, frame, everybody, sets, overlaps, errors)
    refused = refuse_sets(sets, everybody, unit.most_overlaps, floor)
    return Unit(name, frame, everybody, sets, overlaps, errors, refused)


def standard_error(people: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The standard error of counts estimated from those `share` of the people whose hashes are lowest; 0 when it is all.

    Each person is in the sample by chance: the count found is binomial, its variance people * share * (1 - share).
    """
    return np.sqrt(people * (1 - share) / share)


def overlap_rows(
    unit: Unit, before: pd.DataFrame, day: date, floor: int
) -> tuple[pd.DataFrame, Counts, np.ndarray]:
    """Rows of `audience_overlaps`, one for each two sets, the figures they tell, and (n, n) of which two they are."""
    sets, key = unit.people, unit.key
    first, second = np.triu_indices(len(unit.frame), 1)
    pairs = hold_back(
        "overlap/" + key[first] + "/" + key[second], unit.overlaps[first, second], before, day, floor
    )
    reason = refuse_overlaps(pairs, first, second, sets, unit.population, unit.most_overlaps, floor)
    for one in (second, first):
        reason = np.where(unit.is_told[one], reason, unit.refused[one])
    is_told = pd.isna(reason)
    people_a, people_b, overlap = sets.told[first], sets.told[second], pairs.told
    union = people_a + people_b - overlap
    error = unit.errors[first, second]
    audience, part = (unit.frame[name].to_numpy(dtype=object) for name in ("audience_id", "part"))
    rows = pd.DataFrame(
        {
            "unit": unit.name,
            "audience_a": audience[first],
            "part_a": part[first],
            "audience_b": audience[second],
            "part_b": part[second],
            "as_of_date": day,
            "people_a": only(people_a, unit.is_told[first]),
            "people_b": only(people_b, unit.is_told[second]),
            "overlap": only(overlap, is_told),
            "only_a": only(people_a - overlap, is_told),
            "only_b": only(people_b - overlap, is_told),
            "union_people": only(union, is_told),
            "share_of_a": only(overlap / np.maximum(people_a, 1), is_told),
            "share_of_b": only(overlap / np.maximum(people_b, 1), is_told),
            "jaccard": only(overlap / np.maximum(union, 1), is_told),
            "method": np.where(error > 0, "sketch", "exact"),
            "error": only(np.round(error, 1), is_told),
            "is_held_back": pairs.is_held_back & is_told,
            "counted_on": np.where(is_told, pairs.counted_on, np.datetime64("NaT")),
            "suppressed_because": reason,
        }
    )
    tells_overlap = np.zeros(unit.overlaps.shape, dtype=bool)
    tells_overlap[first, second] = tells_overlap[second, first] = is_told
    return rows, pairs.where(is_told), tells_overlap


def only(values: np.ndarray, is_told: np.ndarray) -> pd.Series:
    """The values (n,) that are told, nothing elsewhere."""
    kind = "Int64" if np.issubdtype(values.dtype, np.integer) else "float64"
    return pd.Series(values).astype(kind).where(is_told)
