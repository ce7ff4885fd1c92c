"""Which counts of people may be told, so that no reader can work out how many a few of them are.

A count of fewer people than the floor is not told, and neither is one that leaves so few of another: whoever knows how
many are in A and in A and B knows how many are in A alone. A count that has moved by less than the floor since it was
told last is told as it was then: otherwise two reports would tell how many came or went.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake, earlier_days
from ml.tables import read_table, write_table

TOLD_FIGURES = pa.schema([("figure", pa.string()), ("people", pa.int64()), ("counted_on", pa.date32())])

TOO_FEW = "too few people"
FEW_LEFT = "too few others"


@dataclass(frozen=True)
class Counts:
    """Counts of people by `figure`, a text: as they are `today`, and as they would be `told`, counted on a day.

    All arrays have one shape; `is_held_back` says where an earlier count is told in place of today's.
    """

    figure: np.ndarray
    today: np.ndarray
    told: np.ndarray
    counted_on: np.ndarray
    is_held_back: np.ndarray

    def where(self, chosen: np.ndarray) -> Counts:
        """The counts that a mask or positions choose."""
        return Counts(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def reshaped(self, *shape: int) -> Counts:
        return Counts(*(getattr(self, name).reshape(shape) for name in self.__dataclass_fields__))

    def minus(self, part: Counts) -> Difference:
        """How many of these are not in `part`, which is within them; shapes are broadcast."""
        return Difference(self.today - part.today, self.told - part.told)


@dataclass(frozen=True)
class Difference:
    """A number of people that nobody is told but that follows from others: by today's counts and by those told."""

    today: np.ndarray
    told: np.ndarray

    def minus(self, part: Counts) -> Difference:
        return Difference(self.today - part.today, self.told - part.told)

    def plus(self, part: Counts) -> Difference:
        return Difference(self.today + part.today, self.told + part.told)

    def is_few(self, floor: int) -> np.ndarray:
        """Where it is 1 to `floor` - 1 people, by either count. Counts told that contradict each other, because they are
        of different days, are refused too."""
        return ((self.today > 0) & (self.today < floor)) | ((self.told < floor) & (self.told != 0))


def read_told(lake: Lake, day: date, name: str) -> pd.DataFrame:
    """What was told last of every figure before `day`: the columns of `TOLD_FIGURES`, by figure."""
    earlier = earlier_days(lake.ml(day, name))
    told = read_table(earlier[-1]) if earlier else None
    return (TOLD_FIGURES.empty_table().to_pandas() if told is None else told).set_index("figure")


def write_told(lake: Lake, day: date, name: str, before: pd.DataFrame, told: list[Counts]) -> None:
    """Remember what is told on `day`; of a figure that is not told today, what was told last."""
    now = pd.concat(
        [
            pd.DataFrame(
                {"people": each.told.ravel(), "counted_on": each.counted_on.ravel()},
                index=each.figure.ravel(),
            )
            for each in told
        ]
    )
    kept = before[~before.index.isin(now.index)]
    figures = pd.concat([kept, now]) if len(kept) else now
    frame = figures.rename_axis("figure").reset_index()
    frame["counted_on"] = pd.to_datetime(frame["counted_on"]).dt.date
    write_table(frame, TOLD_FIGURES, ["figure"], lake.ml(day, name))


def hold_back(figure: np.ndarray, today: np.ndarray, before: pd.DataFrame, day: date, floor: int) -> Counts:
    """What may be told of counts (n,) that nobody is to compare with those told `before`."""
    last = before.reindex(figure)
    was = last["people"].to_numpy(dtype=np.float64)
    moved = np.abs(today - was)
    is_known = np.isfinite(was) & (moved < floor)
    told = np.where(is_known, was, today).astype(np.int64)
    counted_on = np.where(
        is_known, pd.to_datetime(last["counted_on"]).to_numpy("datetime64[D]"), np.datetime64(day)
    )
    return Counts(np.asarray(figure, dtype=object), today, told, counted_on, is_known & (moved > 0))


def refuse_sets(sets: Counts, population: Counts, overlaps: np.ndarray, floor: int) -> np.ndarray:
    """Why each of the sets (n,) is not told, None where it is.

    `overlaps` (n, n) are the most people that two sets may have in common, and each set itself on the diagonal. Of two
    sets one of which is within the other, with few more, the smaller is not told.
    """
    reason = np.full(len(sets.today), None, dtype=object)
    reason[population.minus(sets).is_few(floor)] = FEW_LEFT
    every = np.arange(len(sets.today))
    small, _ = near_subsets(sets, every, every, overlaps, floor)
    reason[small] = FEW_LEFT
    reason[sets.today < floor] = TOO_FEW
    return reason


def refuse_overlaps(
    pairs: Counts,
    first: np.ndarray,
    second: np.ndarray,
    sets: Counts,
    population: Counts,
    overlaps: np.ndarray,
    floor: int,
) -> np.ndarray:
    """Why each of the overlaps (m,) of the sets `first` and `second` (positions) is not told, None where it is.

    Held against each other are any two figures, sets and overlaps alike, one of which may be within the other; and what
    is left outside both sets. Whether one is within the other is judged from two sets at a time, so that rather too much
    is refused than too little.
    """
    reason = np.full(len(pairs.today), None, dtype=object)
    outside = population.minus(sets.where(first)).minus(sets.where(second)).plus(pairs)
    for whole in (sets.where(first), sets.where(second)):
        reason[whole.minus(pairs).is_few(floor)] = FEW_LEFT
    reason[outside.is_few(floor)] = FEW_LEFT
    every = np.arange(len(sets.today))
    all_figures = Counts(
        *(np.concatenate([getattr(sets, name), getattr(pairs, name)]) for name in Counts.__dataclass_fields__)
    )
    small, large = near_subsets(
        all_figures, np.concatenate([every, first]), np.concatenate([every, second]), overlaps, floor
    )
    for chosen in (small, large[small < len(every)]):
        reason[chosen[chosen >= len(every)] - len(every)] = FEW_LEFT
    reason[pairs.today < floor] = TOO_FEW
    return reason


def near_subsets(
    figures: Counts, first: np.ndarray, second: np.ndarray, overlaps: np.ndarray, floor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of figures (n,), and of those that they may be within with 1 to `floor` - 1 people more.

    A figure is what the sets `first` and `second` have in common, one set when they are equal. What is common to A and B
    may be within what is common to C and D only when A and C, A and D, B and C, and B and D have as many people in common.
    """
    small, large = [], []
    for counts in (figures.today, figures.told):
        order = np.argsort(counts, kind="stable")
        order = order[counts[order] >= floor]
        for distance in range(1, len(order)):
            below, above = order[:-distance], order[distance:]
            more = counts[above] - counts[below]
            near = more < floor
            if not near.any():
                break
            near &= more > 0
            below, above = below[near], above[near]
            for one, other in product((first, second), repeat=2):
                may_be = overlaps[one[below], other[above]] >= figures.today[below]
                below, above = below[may_be], above[may_be]
            small.append(below)
            large.append(above)
    return (np.concatenate(small), np.concatenate(large)) if small else (np.array([], int), np.array([], int))
