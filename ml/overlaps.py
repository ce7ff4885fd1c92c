"""How audiences overlap: people they have in common, counted or estimated, and which of it may be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.disclosure import Figures, figures_of, hold_small_moves, is_few, near_parts, nested_sets, together

HASHES = float(1 << 60)  # sketch_range of dbt's macros
FREQUENCIES = ("met_1_or_more", "met_2_or_more", "met_3_or_more", "met_6_or_more")
MET = "met off-site"
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
    """The sets (n,) that are counted in one unit: rows of reach_counts in the order of `set_id`, and after them those
    who were met so often or more, of whom only what others have in common with them is told. `overlaps` (n, n) are
    how many people each two sets have in common, `errors` the standard errors of that."""

    name: str
    frame: pd.DataFrame
    overlaps: np.ndarray
    errors: np.ndarray

    @cached_property
    def key(self) -> np.ndarray:
        """(n,) a text for each set, which names its figures among those told."""
        return (self.name + "|" + self.frame["audience_id"] + "|" + self.frame["part"]).to_numpy(dtype=object)

    @property
    def people(self) -> np.ndarray:
        return np.diag(self.overlaps)

    @property
    def is_audience(self) -> np.ndarray:
        return (self.frame["part"] != MET).to_numpy()

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the sets of each two, the first before the second; the first is always of an audience."""
        first, second = np.triu_indices(len(self.frame), 1)
        asked = self.is_audience[first]
        return first[asked], second[asked]

    @cached_property
    def most_overlaps(self) -> np.ndarray:
        """(n, n) the most people that two sets may have in common."""
        most = np.minimum(self.overlaps + SIGMAS * self.errors, np.minimum.outer(self.people, self.people))
        np.fill_diagonal(most, self.people)
        return most

    @cached_property
    def nested(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of sets that may be within another one, and of those others."""
        return nested_sets(self.people, self.most_overlaps)


def read_unit(name: str, frame: pd.DataFrame, pairs: pd.DataFrame) -> Unit:
    """The sets of one unit from its rows of reach_counts and the overlaps that `ml.sketches` counts."""
    frame = frame.sort_values("set_id").reset_index(drop=True)
    size, people = len(frame), frame["people"].to_numpy(dtype=np.int64)
    position = pd.Series(np.arange(size), index=frame["set_id"])
    mine = pairs[pairs["set_a"].isin(position.index)]
    first, second = position[mine["set_a"]].to_numpy(), position[mine["set_b"]].to_numpy()
    share = mine["threshold"].to_numpy(dtype=np.float64) / HASHES
    estimates = np.rint(mine["found"].to_numpy() / share).astype(np.int64)
    estimates = np.minimum(estimates, np.minimum(people[first], people[second]))
    often = FREQUENCIES if name == "visitors" else ()
    overlaps = np.zeros((size + len(often),) * 2, dtype=np.int64)
    errors = np.zeros(overlaps.shape)
    overlaps[first, second] = overlaps[second, first] = estimates
    errors[first, second] = errors[second, first] = standard_error(estimates, share)
    np.fill_diagonal(overlaps, [*people, *(0 for _ in often)])
    for number, times in enumerate(often):
        overlaps[:size, size + number] = overlaps[size + number, :size] = frame[times]
        overlaps[size:, size + number] = frame[f"everybody_{times}"].iat[0]
    if often:
        overlaps[size:, size:] = np.minimum(overlaps[size:, size:], overlaps[size:, size:].T)
        frame = pd.concat([frame, pd.DataFrame({"audience_id": often, "part": MET})], ignore_index=True)
    return Unit(name, frame, overlaps, errors)


def standard_error(people: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The standard error of counts estimated from a random `share` of the people; 0 when that is all of them.

    Each person is in the sample by chance: the count found is binomial, its variance people * share * (1 - share).
    """
    return np.sqrt(people * (1 - share) / share)


def overlap_figures(unit: Unit, rank: int, before: pd.DataFrame) -> Figures:
    """How many people each two sets have in common."""
    first, second = unit.pairs
    name = "overlap|" + unit.key[first] + "|" + unit.key[second]
    return figures_of(name, unit.overlaps[first, second], rank, before)


def within_each_other(unit: Unit, sets: Figures, pairs: Figures, floor: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions among sets and pairs, one after the other, of figures that may be within others and nearly all of
    them, by any of the counts of today, those to be told and those that were told last."""
    first, second = unit.pairs
    every = np.arange(len(sets.name))
    first, second = np.concatenate([every, first]), np.concatenate([every, second])
    figures = hold_small_moves(together(sets, pairs), floor)
    size, is_within = len(figures.name), unit.most_overlaps >= unit.people[:, None]
    part, whole = near_parts(figures.today, first, second, is_within, floor)
    ever = np.concatenate([figures.told, np.nan_to_num(figures.last, nan=-1)])
    twice = [np.tile(each, 2) for each in (first, second)]
    told_part, told_whole = near_parts(ever, *twice, is_within, floor)
    return np.concatenate([part, told_part % size]), np.concatenate([whole, told_whole % size])


def keep_overlaps(
    unit: Unit, everybody: Figures, sets: Figures, pairs: Figures, before: pd.DataFrame, floor: int
) -> tuple[Figures, Figures]:
    """The overlaps that are told beside the sets, and what follows from them: people of A alone, of B alone and of
    either, as figures (3 * m,) that are told with their overlap.

    What follows must not move by a few either: then the overlap is held, and if that does not help, or would be wrong
    by the floor or more, it is not told.
    """
    first, second = unit.pairs
    between = unit.is_audience[second]
    pairs = pairs.refuse(~sets.is_told[first] | (between & ~sets.is_told[second]))
    pairs = pairs.hold(between & np.isfinite(pairs.last) & _moves_by_a_few(unit, sets, pairs, before, floor))
    following = _following(unit, sets, pairs, before)
    is_wrong = (np.abs(following.told - following.today) >= floor).reshape(3, -1).any(axis=0)
    pairs = pairs.refuse(between & (is_wrong | _moves_by_a_few(unit, sets, pairs, before, floor)))
    refused = np.zeros(len(first), dtype=bool)
    for name in ("today", "told"):
        people, common = getattr(sets, name), unit.overlaps.copy()
        np.fill_diagonal(common, people)
        common[first, second] = common[second, first] = getattr(pairs, name)
        outside = getattr(everybody, name)[0] - people[first] - people[second] + getattr(pairs, name)
        refused |= between & is_few(outside, floor)
        refused |= _near_outside(unit, people, common, floor)[first, second]
    pairs = pairs.refuse(refused)
    pairs = pairs.refuse(_leave_few_together(unit, sets, pairs, floor))
    return pairs, following.refuse(np.tile(~pairs.is_told | ~between, 3))


def _following(unit: Unit, sets: Figures, pairs: Figures, before: pd.DataFrame) -> Figures:
    """People of A alone, of B alone and of either, for each overlap (3 * m,)."""
    first, second = unit.pairs
    names = np.concatenate([f"{name}|" + pairs.name for name in ("only_a", "only_b", "union")])
    counts = []
    for name in ("today", "told"):
        one, other, common = getattr(sets, name)[first], getattr(sets, name)[second], getattr(pairs, name)
        counts.append(np.concatenate([one - common, other - common, one + other - common]))
    return replace(figures_of(names, counts[0], 0, before), told=counts[1])


def _moves_by_a_few(
    unit: Unit, sets: Figures, pairs: Figures, before: pd.DataFrame, floor: int
) -> np.ndarray:
    """Whether something that follows from each overlap (m,) moved by 1 to `floor` - 1 people since it was told last."""
    following = _following(unit, sets, pairs, before)
    moved = np.abs(following.told - following.last)
    return is_few(moved, floor).reshape(3, -1).any(axis=0)


def _leave_few_together(unit: Unit, sets: Figures, pairs: Figures, floor: int) -> np.ndarray:
    """The overlaps that would tell, beside another one, how few of A are in neither of two sets that have nobody in
    common, as women neither of the north nor of the south: A and C, and D and E of which D is within A and E apart from
    C. Of the two the smaller is named."""
    first, second = unit.pairs
    people, refused = unit.people, np.zeros(len(first), dtype=bool)
    is_within = (unit.overlaps >= people[:, None]) & (people[:, None] > 0)
    told = np.flatnonzero(pairs.is_told)
    # Every overlap twice, with either of its sets as the one that is within A.
    pair = np.tile(told, 2)
    inner, other = (
        np.concatenate(each) for each in ((first[told], second[told]), (second[told], first[told]))
    )
    for one in range(len(people)):
        parts = np.flatnonzero(is_within[inner, one])
        mine = parts[is_within[one, inner[parts]]]
        few = np.zeros((len(mine), len(parts)), dtype=bool)
        for name in ("today", "told"):
            counts = getattr(pairs, name)
            both = np.add.outer(counts[pair[mine]], counts[pair[parts]])
            few |= is_few(getattr(sets, name)[one] - both, floor)
        few &= unit.overlaps[np.ix_(other[mine], other[parts])] == 0
        left, right = (
            pair[each[chosen]] for each, chosen in zip((mine, parts), np.nonzero(few), strict=True)
        )
        is_left = (pairs.told[left] < pairs.told[right]) | (
            (pairs.told[left] == pairs.told[right]) & (left > right)
        )
        refused[np.where(is_left, left, right)] = True
    return refused


def _near_outside(unit: Unit, people: np.ndarray, common: np.ndarray, floor: int) -> np.ndarray:
    """The overlaps (n, n) that would tell of a few outside a set: when B is within C, of those of C alone who are not
    in A, from what B and C have outside A; when A and B are within C, of those of C who are in neither."""
    small, large = unit.nested
    refused = np.zeros(common.shape, dtype=bool)
    for one in range(len(people)):
        both = people[large] - people[small] - common[one, large] + common[one, small]
        few = is_few(both, floor) & (small != one) & (large != one)
        refused[one, small[few]] = refused[one, large[few]] = True
        block = np.ix_(small[large == one], small[large == one])
        within = people[small[large == one]]
        refused[block] |= is_few(people[one] - np.add.outer(within, within) + common[block], floor)
    return refused | refused.T


def overlap_rows(unit: Unit, sets: Figures, pairs: Figures, day: date) -> pd.DataFrame:
    """Rows of `audience_overlaps`, one for each two sets."""
    first, second = unit.pairs
    between = np.flatnonzero(unit.is_audience[second])
    first, second, pairs = first[between], second[between], pairs.where(between)
    is_told, people_a, people_b, overlap = pairs.is_told, sets.told[first], sets.told[second], pairs.told
    union = people_a + people_b - overlap
    error = unit.errors[first, second]
    audience, part = (unit.frame[name].to_numpy(dtype=object) for name in ("audience_id", "part"))
    return pd.DataFrame(
        {
            "unit": unit.name,
            "audience_a": audience[first],
            "part_a": part[first],
            "audience_b": audience[second],
            "part_b": part[second],
            "as_of_date": day,
            "people_a": only(people_a, sets.is_told[first]),
            "people_b": only(people_b, sets.is_told[second]),
            "overlap": only(overlap, is_told),
            "only_a": only(people_a - overlap, is_told),
            "only_b": only(people_b - overlap, is_told),
            "union_people": only(union, is_told),
            "share_of_a": only(overlap / np.maximum(people_a, 1), is_told),
            "share_of_b": only(overlap / np.maximum(people_b, 1), is_told),
            "jaccard": only(overlap / np.maximum(union, 1), is_told),
            "method": np.where(error > 0, "sketch", "exact"),
            "error": only(np.round(error, 1), is_told),
            "is_held_back": pairs.is_held_back,
            "counted_on": pairs.counted_on(day),
            "suppressed_because": pairs.refused,
        }
    )


def only(values: np.ndarray, is_told: np.ndarray) -> pd.Series:
    """The values (n,) that are told, nothing elsewhere."""
    kind = "Int64" if np.issubdtype(values.dtype, np.integer) else "float64"
    return pd.Series(values).astype(kind).where(is_told)
