"""The test over time: learned from what was known some weeks ago, does a look-alike rank high who has joined since?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.lake import Lake
from include.privacy.epochs import earlier_days_of_epoch
from ml.audience_world import Asked, Settings, World, found_before, learn_audience, look_at, read_visitors
from ml.likeness import TestOverTime, TooLittle, judge_over_time
from ml.tables import read_table


@dataclass(frozen=True)
class Then:
    """An audience as it was: the world, its seed, and as a mask of the world's rows who has joined since."""

    world: World
    asked: Asked
    has_joined: np.ndarray


def look_back(
    lake: Lake, day: date, seeds: pd.DataFrame, asked: list[Asked], settings: Settings
) -> dict[str, Then] | None:
    """Each audience as it was when the test over time begins; None without the features of then, and nothing when
    nobody is known to have joined any of them.

    Who was a member then is what the run of that day, or the last before it, has kept; without such a run, members
    whose devices became known later are those who have joined.
    """
    visitors = read_visitors(lake, "visitor_features_before", "events_before", seeds)
    if visitors is None:
        return None
    began = day - timedelta(days=settings.test_days)
    kept = [
        path
        for path in earlier_days_of_epoch(lake, lake.ml(day, "lookalike_seeds"))
        if path.parent.name <= f"date={began:%Y-%m-%d}"
    ]
    old = read_table(kept[-1]) if kept else None
    since = pd.to_datetime(seeds["known_since"]) if "known_since" in seeds else None
    of_then = []
    for audience in asked:
        mine = seeds["audience_id"] == audience.audience_id
        now = visitors.rows_of(seeds.loc[mine, "visitor_id"].to_numpy(dtype=object))
        if old is not None:
            of_old = old.loc[old["audience_id"] == audience.audience_id, "visitor_id"]
            was = visitors.rows_of(of_old.to_numpy(dtype=object))
        elif since is not None:
            early = mine & (since <= pd.Timestamp(began))
            was = visitors.rows_of(seeds.loc[early, "visitor_id"].to_numpy(dtype=object))
        else:
            was = now
        joined = np.setdiff1d(now, was)
        joined = joined[~np.isin(visitors.people[joined], visitors.people[was])]
        joined = np.setdiff1d(joined, visitors.rows_of(found_before(lake, day, audience.audience_id)))
        of_then.append((audience, np.intersect1d(now, was), joined))
    # Whoever has joined since was a stranger then.
    is_known = visitors.is_known.copy()
    for _, _, joined in of_then:
        is_known[joined] = False
    visitors = replace(visitors, is_known=is_known)
    if all(len(joined) == 0 for _, _, joined in of_then):
        return {}
    world = look_at(
        visitors,
        [
            replace(audience, seed_rows=np.union1d(was, joined), set_aside=np.zeros(0, dtype=np.int64))
            for audience, was, joined in of_then
        ],
        settings,
    )
    return {
        audience.audience_id: Then(
            world,
            replace(audience, seed_rows=was, set_aside=np.zeros(0, dtype=np.int64)),
            np.isin(world.rows, joined),
        )
        for audience, was, joined in of_then
    }


def judge_later_members(
    then: dict[str, Then] | None,
    asked: Asked,
    refused_now: dict[str, str],
    settings: Settings,
) -> TestOverTime:
    if then is None:
        return TestOverTime(None, 0, "nothing is known of what was known then")
    if asked.audience_id not in then:
        return TestOverTime(None, 0, "nobody is known to have joined since")
    of_then = then[asked.audience_id]
    world = of_then.world
    people = len(np.unique(world.visitors.people[of_then.asked.seed_rows]))
    if people < settings.min_seed:
        return TestOverTime(
            None, 0, f"the seed had {people:,} people then, at least {settings.min_seed:,} are needed"
        )
    try:
        sample, kept, _ = learn_audience(world, of_then.asked)
    except TooLittle as little:
        return TestOverTime(None, 0, str(little))
    allowed = [
        place for place, column in enumerate(kept) if world.encoding.columns[column] not in refused_now
    ]
    has_joined = of_then.has_joined[np.searchsorted(world.rows, sample.rows)]
    return judge_over_time(
        sample.keep(np.array(allowed, dtype=np.int64)), has_joined, settings.bootstrap_rounds, settings.seed
    )
