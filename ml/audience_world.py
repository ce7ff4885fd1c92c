"""The world that look-alikes of a day are learned in: who there is, who asks for look-alikes, and what is observed.

Learning looks at a bounded sample of the visitors: strangers and members of each seed, drawn by the hash of the person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.folders import folders_of_traits
from include.lake import Lake
from include.privacy.epochs import earlier_days_of_epoch
from ml.leaks import (
    refuse_by_name,
    refuse_definition,
    refuse_features,
    refuse_telling_traits,
    refuse_traits,
    texts_of,
)
from ml.likeness import Sample, TooLittle
from ml.scorecard import reasons
from ml.tables import read_table
from ml.visitor_encoding import Encoding, choose_features, family_of, learn_encoding
from ml.visitors import (
    Observations,
    Visitors,
    drawn,
    index_visitors,
    read_observations,
    with_activity,
    with_customers,
    with_people,
)

LEVELS = {"narrow": 0.01, "balanced": 0.05, "broad": 0.10}
# What learning and judging look at: strangers, seeds of an audience, and all that is observed of them.
SAMPLE_STRANGERS, SAMPLE_SEEDS, SAMPLE_CELLS = 50_000, 20_000, 6_000_000
FEWEST_STRANGERS = 400
# Look-alikes of so long ago may have joined because they were advertised to.
TARGETED_DAYS = 90


@dataclass(frozen=True)
class Settings:
    """What the configuration says of look-alikes."""

    seed: int
    min_seed: int
    hold_out_share: float
    bootstrap_rounds: int
    ttl_days: int
    test_days: int
    control_share: float
    minimum_cell: int
    audited: tuple[str, ...]
    only: tuple[str, ...]
    except_: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """The visitors, and what is observed of a sample of them: `observations` of the visitors `rows` (rising).

    `refused` says by family what nobody may learn from.
    """

    visitors: Visitors
    rows: np.ndarray
    observations: Observations
    encoding: Encoding
    refused: dict[str, str]

    def sample(self, seed_rows: np.ndarray, set_aside: np.ndarray) -> Sample:
        """A seed and its candidates, of those who were sampled; nobody known, no second device of the seed."""
        is_seed = np.isin(self.rows, seed_rows)
        people = self.visitors.people[self.rows]
        is_candidate = ~self.visitors.is_known[self.rows] & ~np.isin(people, people[is_seed])
        chosen = np.flatnonzero((is_seed | is_candidate) & ~np.isin(self.rows, set_aside))
        return Sample(
            self.rows[chosen],
            people[chosen],
            is_seed[chosen],
            self.visitors.activity[self.rows[chosen]],
            self.encoding.encode(self.observations.take(chosen)),
            self.encoding.families,
        )


@dataclass(frozen=True)
class Asked:
    """An audience that asks for look-alikes: its seed as rows of the visitors, and those of them set aside.

    `texts` are what the condition of an audience of visitors asks for, none for one of customers; `rules` are the
    traits that events make, name and condition.
    """

    audience_id: str
    share: float
    seed_rows: np.ndarray
    set_aside: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))
    texts: frozenset[str] = frozenset()
    rules: tuple[tuple[str, str], ...] = ()


def read_settings(configuration: Any) -> Settings:
    options = configuration.models.lookalike
    return Settings(
        seed=configuration.models.seed,
        min_seed=options.min_seed,
        hold_out_share=options.hold_out_share,
        bootstrap_rounds=options.bootstrap_rounds,
        ttl_days=options.ttl_days,
        test_days=options.test_days,
        control_share=configuration.privacy.control_share,
        minimum_cell=configuration.privacy.minimum_cell,
        audited=options.audited,
        only=options.features.only,
        except_=options.features.except_,
    )


def look_at(visitors: Visitors, asked: list[Asked], settings: Settings) -> World:
    """Draw the sample, read what is observed of it, and fix what may be learned from."""
    rows = _draw(visitors, [audience.seed_rows for audience in asked], settings.seed)
    observed = read_observations(visitors, rows)
    families = {family_of(name) for name in observed.names}
    refused = refuse_traits(observed)
    refused |= refuse_by_name(families, settings.only, settings.except_)
    refused |= {f"trait:{name}": "audited, so it is no feature" for name in settings.audited}
    refused = {family: reason for family, reason in refused.items() if family in families}
    kept = observed.keep(choose_features(observed, refused))
    return World(visitors, rows, kept, learn_encoding(kept), refused)


def learn_audience(world: World, asked: Asked) -> tuple[Sample, np.ndarray, dict[str, str]]:
    """The sample of one audience with the columns that do not tell its seed; their places; and what was refused, why.

    Raises TooLittle when no column is left.
    """
    sample = world.sample(asked.seed_rows, asked.set_aside)
    columns = world.encoding.columns
    at = np.searchsorted(world.rows, sample.rows)
    by_family = refuse_telling_traits(world.observations.take(at), sample.is_seed)
    refused = {name: by_family[family_of(name)] for name in columns if family_of(name) in by_family}
    refused |= refuse_features(sample.matrix, columns, sample.is_seed)
    refused |= refuse_definition(asked.texts, asked.rules, columns)
    kept = np.array([place for place, name in enumerate(columns) if name not in refused], dtype=np.int64)
    if not len(kept):
        raise TooLittle(f"no feature is left to learn from: {reasons(world.refused | refused)}")
    return sample.keep(kept), kept, refused


def read_visitors(lake: Lake, features: str, events: str, seeds: pd.DataFrame) -> Visitors | None:
    visitors = index_visitors(lake.staged(features))
    if visitors is None:
        return None
    known = read_table(lake.staged("known_visitors"))
    people = seeds[["visitor_id", "person_key"]]
    if known is not None and not known.empty:
        visitors = with_customers(visitors, known["visitor_id"].to_numpy(dtype=object))
        people = pd.concat([people, known[["visitor_id", "person_key"]]])
    visitors = with_people(visitors, people)
    path = lake.staged("visitor_activity")
    if path.exists():
        activity = pq.read_table(path, columns=["visitor_id", events], use_threads=False)
        counts = activity[events].cast(pa.float64()).fill_null(0).to_numpy()
        visitors = with_activity(visitors, activity["visitor_id"].combine_chunks().cast(pa.string()), counts)
    return visitors


def ask(
    audience: Any, lake: Lake, day: date, seeds: pd.DataFrame, visitors: Visitors, configuration: Any
) -> Asked:
    mine = seeds.loc[seeds["audience_id"] == audience.audience_id, "visitor_id"].to_numpy(dtype=object)
    seed_rows = visitors.rows_of(mine)
    targeted = visitors.rows_of(found_before(lake, day, audience.audience_id))
    is_of_visitors = audience.side == "dmp"
    return Asked(
        audience.audience_id,
        _share(audience.lookalike),
        seed_rows,
        np.intersect1d(seed_rows, targeted),
        _texts(audience, configuration) if is_of_visitors else frozenset(),
        tuple((rule.trait_id, rule.where) for rule in configuration.traits) if is_of_visitors else (),
    )


def _texts(audience: Any, configuration: Any) -> frozenset[str]:
    """The texts in the condition of an audience of visitors and in those of the audiences that it names, with the
    traits of the folders among them."""
    conditions = {each.audience_id: each.where for each in configuration.audiences if each.side == "dmp"}
    asked: set[str] = set()
    left = [audience.where]
    while left:
        texts = texts_of(left.pop()) - asked
        asked |= texts
        left += [conditions[text] for text in texts if text in conditions]
    folders = folders_of_traits(configuration)
    return frozenset(asked | {trait_id for trait_id, inside in folders.items() if asked & set(inside)})


def found_before(lake: Lake, day: date, audience_id: str) -> np.ndarray:
    """Visitors that earlier look-alikes of the audience chose and did not hold back: whoever of them is a member by now
    may be one because of that."""
    since = day - timedelta(days=TARGETED_DAYS)
    paths = [
        path
        for path in earlier_days_of_epoch(lake, lake.ml(day, "lookalike_members"))
        if path.parent.name >= f"date={since:%Y-%m-%d}"
    ]
    found = [
        read_table(path, filters=[("audience_id", "=", audience_id), ("is_control", "=", False)])[
            "visitor_id"
        ]
        for path in paths
    ]
    return np.unique(np.concatenate(found)) if found else np.array([], dtype=object)


def _draw(visitors: Visitors, seeds: list[np.ndarray], seed: int) -> np.ndarray:
    """The rows (rising) that are learned from: of strangers and of each seed so many, by the hash of the person."""
    place = drawn(visitors.people, "sample", seed)
    cells = max(visitors.starts[-1] / len(visitors), 1)
    limit = min(SAMPLE_STRANGERS, max(int(SAMPLE_CELLS / cells), FEWEST_STRANGERS))
    chosen = [_first(np.flatnonzero(~visitors.is_known), place, limit)]
    chosen += [_first(rows, place, min(SAMPLE_SEEDS, limit)) for rows in seeds]
    return np.unique(np.concatenate(chosen))


def _first(rows: np.ndarray, place: np.ndarray, limit: int) -> np.ndarray:
    return rows if len(rows) <= limit else rows[np.argsort(place[rows], kind="stable")[:limit]]


def events_after(lake: Lake, day: date) -> str:
    """Why the features may hold what happened after the day, or nothing."""
    path = lake.staged("visitor_activity")
    if not path.exists() or "last_seen_at" not in pq.read_schema(path).names:
        return ""
    latest = pc.max(pq.read_table(path, columns=["last_seen_at"], use_threads=False)["last_seen_at"]).as_py()
    if latest is None or latest < datetime.combine(day + timedelta(days=1), time()):
        return ""
    return f"the features hold events of after the business day, the last of {latest:%Y-%m-%d %H:%M}"


def _share(lookalike: Any) -> float:
    return float(lookalike.size) if lookalike.size is not None else LEVELS[lookalike.level]
