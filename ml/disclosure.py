"""Which counts of people may be told, so that no reader can work out how many a few of them are.

A count of fewer people than the floor is not told, and neither is one that leaves so few of another: whoever knows how
many are in A, and how many in A and B, knows how many are in A alone. A count that has moved by less than the floor
since it was told last is told as it was then, and so is one that would tell of a few beside another one that was told
before: otherwise two reports would tell how many came or went.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake, earlier_days
from ml.tables import read_table, write_table

TOLD_FIGURES = pa.schema([("figure", pa.string()), ("people", pa.int64()), ("counted_on", pa.date32())])

SET = "people|"  # begins the name of the figure of a set, before its key

TOO_FEW = "too few people"
FEW_LEFT = "too few others"


@dataclass(frozen=True)
class Figures:
    """Counts of people (n,), each named by a text: `today`'s, the `last` one that was told before (NaN: none) and of
    which day it is; then what is `told`, and why it is not (`refused`, None where it is told). Of two figures that
    must not be told together the one of the higher `rank` is refused."""

    name: np.ndarray
    rank: np.ndarray
    today: np.ndarray
    last: np.ndarray
    last_on: np.ndarray
    told: np.ndarray
    refused: np.ndarray

    @property
    def is_told(self) -> np.ndarray:
        return pd.isna(self.refused)

    @property
    def is_held_back(self) -> np.ndarray:
        """Where what is told is not today's count."""
        return self.is_told & (self.told != self.today)

    def counted_on(self, day: date) -> np.ndarray:
        """The days (n,) of which the counts are that are told, NaT where none is."""
        counted = np.where(self.told == self.last, self.last_on, np.datetime64(day))
        return np.where(self.is_told, counted, np.datetime64("NaT"))

    def where(self, chosen: slice) -> Figures:
        return Figures(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def refuse(self, chosen: np.ndarray, reason: str = FEW_LEFT) -> Figures:
        """Do not tell what a mask or positions choose; who is refused already keeps its reason."""
        refused = self.refused.copy()
        refused[chosen] = reason
        return replace(self, refused=np.where(self.is_told, refused, self.refused))

    def hold(self, chosen: np.ndarray) -> Figures:
        """Tell of what a mask chooses what was told last, or nothing when nothing was."""
        known = np.isfinite(self.last)
        held = replace(self, told=np.where(chosen & known, self.last, self.told).astype(np.int64))
        return held.refuse(chosen & ~known)


def figures_of(name: np.ndarray, today: np.ndarray, rank: int, before: pd.DataFrame) -> Figures:
    """Figures (n,) of today's counts, beside what was told of them `before`."""
    last = before.reindex(name)
    return Figures(
        np.asarray(name, dtype=object),
        np.full(len(name), rank),
        np.asarray(today, dtype=np.int64),
        last["people"].to_numpy(dtype=np.float64),
        pd.to_datetime(last["counted_on"]).to_numpy("datetime64[D]"),
        np.asarray(today, dtype=np.int64),
        np.full(len(name), None, dtype=object),
    )


def no_figures(before: pd.DataFrame) -> Figures:
    """Where there is nothing to tell."""
    return figures_of(np.array([], dtype=object), np.array([], dtype=int), 0, before)


def together(*parts: Figures) -> Figures:
    """Several figures as one, in this order."""
    return Figures(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Figures.__dataclass_fields__)
    )


def follow_renamed(before: pd.DataFrame, people: dict[str, int], floor: int) -> pd.DataFrame:
    """What was told `before`, with sets that are there no more under the name of one that is new and differs from them
    by less than the floor: it may be the same audience under another id.

    `people` are today's counts by the key of each set, `<unit>|<audience>|<part>`. Of several the nearest takes the
    name; a set that only happens to be as large is held at a number that is true to less than the floor.
    """
    told = before.loc[before.index.str.startswith(SET), "people"].rename(lambda name: name.removeprefix(SET))
    near = sorted(
        (abs(people[new] - told[old]), new, old)
        for new in people.keys() - set(told.index)
        for old in set(told.index) - people.keys()
        if _like(new) == _like(old) and abs(people[new] - told[old]) < floor
    )
    names: dict[str, str] = {}
    for _, new, old in near:
        if old not in names and new not in names.values():
            names[old] = new
    if not names:
        return before
    figures = [_renamed(figure, names) for figure in before.index]
    renamed = pd.concat([before.set_axis(figures), before.set_axis([_turned(each) for each in figures])])
    return renamed[~renamed.index.duplicated()].rename_axis(before.index.name)


def _like(key: str) -> tuple[str, str]:
    """The unit and the part of a set."""
    unit, _, part = key.split("|")
    return unit, part


def _renamed(figure: str, names: dict[str, str]) -> str:
    """The name of a figure with the keys of its sets, of three parts each, replaced."""
    parts, done = figure.split("|"), []
    while parts:
        key = "|".join(parts[:3])
        done.append(names.get(key, parts[0]))
        parts = parts[3 if key in names else 1 :]
    return "|".join(done)


def _turned(figure: str) -> str:
    """The name of an overlap, or of what follows from it, with its two sets the other way round."""
    before, is_overlap, sets = figure.rpartition("overlap|")
    parts = sets.split("|")
    if not is_overlap or len(parts) != 6:
        return figure
    alone = {"only_a|": "only_b|", "only_b|": "only_a|"}
    return alone.get(before, before) + is_overlap + "|".join(parts[3:] + parts[:3])


def is_few(difference: np.ndarray, floor: int) -> np.ndarray:
    """Where a number of people is 1 to `floor` - 1, or below 0 because counts of different days contradict each
    other."""
    return (difference < floor) & (difference != 0) & np.isfinite(difference)


def hold_small_moves(figures: Figures, floor: int) -> Figures:
    """Hold what has moved by less than the floor since it was told last."""
    return figures.hold(np.abs(figures.today - figures.last) < floor)


def decide(figures: Figures, part: np.ndarray, whole: np.ndarray, floor: int) -> Figures:
    """Decide what is told: `part` and `whole` (m,) are positions of figures of which one is within the other.

    A figure that moved by less than the floor is held at what was told last. One that would tell of a few beside what
    was told last of another one is not told, or held when it is of rank 0. Then figures are told by their rank, and
    those that would leave a few of another one are not.
    """
    held = hold_small_moves(figures, floor)
    conflicts = np.zeros(len(figures.today), dtype=bool)
    # Comparisons with the NaN of a figure that was never told are False.
    conflicts[whole[is_few(held.told[whole] - held.last[part], floor)]] = True
    conflicts[part[is_few(held.last[whole] - held.told[part], floor)]] = True
    decided = held.hold(conflicts & (figures.rank == 0)).refuse(figures.today < floor, TOO_FEW)
    decided = decided.refuse(conflicts & (figures.rank > 0))
    few = is_few(decided.today[whole] - decided.today[part], floor)
    few |= is_few(decided.told[whole] - decided.told[part], floor)
    part, whole = part[few], whole[few]
    for rank in np.unique(figures.rank):
        # Of two figures of one rank the part is refused.
        for one, other, is_part in ((part, whole, True), (whole, part, False)):
            is_later = figures.rank[other] < rank
            if is_part:
                is_later |= figures.rank[other] == rank
            asked = (figures.rank[one] == rank) & is_later & decided.is_told[other]
            decided = decided.refuse(one[asked])
    return decided


def near_parts(
    counts: np.ndarray, first: np.ndarray, second: np.ndarray, is_within: np.ndarray, floor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of `counts` (n,), and of those that they are within and that are larger by 1 to `floor` - 1.

    A count is of what the sets `first` and `second` have in common, of one set when they are equal. What is common to A
    and B is within what is common to C and D when each of C and D has A or B within it: `is_within` (sets, sets).
    """
    small, large = [np.array([], dtype=int)], [np.array([], dtype=int)]
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] >= floor]
    for distance in range(1, len(order)):
        below, above = order[:-distance], order[distance:]
        more = counts[above] - counts[below]
        if not (more < floor).any():
            break
        near = (more > 0) & (more < floor)
        below, above = below[near], above[near]
        for other in (first, second):
            is_part = is_within[first[below], other[above]] | is_within[second[below], other[above]]
            below, above = below[is_part], above[is_part]
        small.append(below)
        large.append(above)
    return np.concatenate(small), np.concatenate(large)


def nested_sets(people: np.ndarray, overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of sets of so many `people` (n,) that may be within another one, and of those others."""
    is_within = overlaps >= people[:, None]
    np.fill_diagonal(is_within, False)
    return np.nonzero(is_within)


def read_told(lake: Lake, day: date, name: str) -> pd.DataFrame:
    """What was told last of every figure before `day`: the columns of `TOLD_FIGURES`, by figure.

    Of whatever key epoch: visitors change their names with the key, and the people who are counted stay the same.
    """
    earlier = earlier_days(lake.ml(day, name))
    told = read_table(earlier[-1]) if earlier else None
    return (TOLD_FIGURES.empty_table().to_pandas() if told is None else told).set_index("figure")


def write_told(lake: Lake, day: date, name: str, before: pd.DataFrame, told: list[Figures]) -> None:
    """Remember what is told on `day`; of a figure that is not told today, what was told last."""
    now = [
        pd.DataFrame({"figure": each.name, "people": each.told, "counted_on": each.counted_on(day)})[
            each.is_told
        ]
        for each in told
    ]
    frame = pd.concat([*now, before.reset_index()], ignore_index=True).drop_duplicates("figure")
    frame["counted_on"] = pd.to_datetime(frame["counted_on"]).dt.date
    write_table(frame, TOLD_FIGURES, ["figure"], lake.ml(day, name))
