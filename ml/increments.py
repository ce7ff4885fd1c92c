"""What audiences have alone, whom no other one has: where telling it would tell of a few."""

from __future__ import annotations

import numpy as np

from ml.disclosure import Figures, is_few
from ml.overlaps import Unit


def tells_of_few(
    unit: Unit, everybody: Figures, sets: Figures, pairs: Figures, alone: Figures, floor: int
) -> np.ndarray:
    """Whether what a set (n,) has alone would, beside sets, overlaps and what others have alone, tell of a few.

    Who knows how many are in A, and in A alone, knows how many of A are in any other audience. That is held against the
    overlaps with A, and against all who are in any other audience where that is known: from one of them or the union of
    two, when the rest lies within these.
    """
    few = _shared_with_few(unit, sets, pairs, alone, floor) | _few_beside_lookalikes(unit, sets, alone, floor)
    for name in ("today", "told"):
        few |= _few_beside_others(unit, everybody, sets, pairs, alone.refuse(few), floor, name)
    return few


def _is_members(unit: Unit) -> np.ndarray:
    """(n,) neither look-alikes nor who was met so often."""
    return (unit.frame["part"] == "members").to_numpy()


def _shared_with_few(unit: Unit, sets: Figures, pairs: Figures, alone: Figures, floor: int) -> np.ndarray:
    """Whether what members of a set share with all other audiences but one would follow from the overlap with that
    one."""
    (first, second), is_members = unit.pairs, _is_members(unit)
    few = np.zeros(len(unit.frame), dtype=bool)
    asked = pairs.is_told & is_members[first] & is_members[second]
    for name in ("today", "told"):
        for one in (first, second):
            shared = getattr(sets, name)[one] - getattr(pairs, name) - getattr(alone, name)[one]
            few[one[asked & is_few(shared, floor)]] = True
    return few


def _few_beside_lookalikes(unit: Unit, sets: Figures, alone: Figures, floor: int) -> np.ndarray:
    """Whether look-alikes beyond the members of their audience would tell how few members are no look-alikes."""
    position = {
        key: at for at, key in enumerate(zip(unit.frame["audience_id"], unit.frame["part"], strict=True))
    }
    few = np.zeros(len(unit.frame), dtype=bool)
    for (audience, part), at in position.items():
        members = position.get((audience, "members"))
        if part != "lookalikes" or members is None or not sets.is_told[members]:
            continue
        for name in ("today", "told"):
            people = getattr(sets, name)
            few[at] |= is_few(people[members] - (people[at] - getattr(alone, name)[at]), floor)
    return few


def _few_beside_others(
    unit: Unit, everybody: Figures, sets: Figures, pairs: Figures, alone: Figures, floor: int, name: str
) -> np.ndarray:
    """Whether what members of a set have alone would tell of a few beside known sets of all members of others, by
    today's counts or those told (`name`)."""
    members = np.flatnonzero(_is_members(unit) & (unit.people > 0))
    is_within = unit.most_overlaps[np.ix_(members, members)] >= unit.people[members][:, None]
    people, lonely = getattr(sets, name)[members], getattr(alone, name)[members]
    one, other, count = _unions(unit, members, sets, pairs, name)
    total = getattr(everybody, name)[0]
    # Which sets are not within each union; all others of A are, when no set is outside, or A alone.
    is_outside = ~(is_within[:, one] | is_within[:, other]).T
    outside = is_outside.sum(axis=1)
    few = ~alone.is_told[members]
    known = set(count[outside == 0].tolist())
    for at in np.flatnonzero(~few):
        has_it = (one == at) | (other == at)
        shared = people[at] - lonely[at]
        others = count[~has_it & (outside == is_outside[:, at])]
        everyone = others + lonely[at]
        inner = count[is_within[one, at] & is_within[other, at] & ~has_it]
        few[at] = (
            is_few(others - shared, floor).any()
            or is_few(shared - inner, floor).any()
            or is_few(np.subtract.outer(everyone, count), floor).any()
            or is_few(total - everyone, floor).any()
        )
        if not few[at]:
            known |= set(everyone.tolist())
    for at in np.flatnonzero(~few):
        rest = np.array(sorted(known), dtype=np.int64) - lonely[at]
        few[at] = is_few(np.subtract.outer(rest, count[(one != at) & (other != at)]), floor).any()
    found = np.zeros(len(unit.frame), dtype=bool)
    found[members[few]] = True
    return found


def _unions(
    unit: Unit, members: np.ndarray, sets: Figures, pairs: Figures, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sets of members that are told, and the unions of two: positions among `members`, twice the same for one set,
    and how many people."""
    place = np.full(len(unit.frame), -1)
    place[members] = np.arange(len(members))
    first, second = unit.pairs
    told = pairs.is_told & (place[first] >= 0) & (place[second] >= 0)
    first, second = first[told], second[told]
    people = getattr(sets, name)
    single = members[sets.is_told[members]]
    union = people[first] + people[second] - getattr(pairs, name)[told]
    return (
        place[np.concatenate([single, first])],
        place[np.concatenate([single, second])],
        np.concatenate([people[single], union]),
    )
