"""Expand an audience to strangers who resemble it, and only when that beats knowing who is active.

For each audience with a `lookalike` block: its matched visitors are the seed, consented visitors that match no
customer are the candidates. A model is judged on people it never saw and published when its lift at 5 % is above that
of activity alone, at 95 %; otherwise it is refused with its reason and has no members. Learning looks at a bounded
sample of visitors; then all of them are scored in parts, in one pass for all audiences.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.lake import Lake, earlier_days
from ml.calibration import isotonic
from ml.fairness import audit, group_values
from ml.leaks import (
    refuse_by_name,
    refuse_definition,
    refuse_features,
    refuse_telling_traits,
    refuse_traits,
)
from ml.likeness import (
    Judgement,
    Learned,
    Sample,
    TestOverTime,
    TooLittle,
    folds_of,
    judge,
    judge_over_time,
    learn,
    places_by_fold,
    places_of_unlabelled,
)
from ml.registry import ModelCard, Summary, model_version, skip, write_model_cards
from ml.scorecard import (
    TASK,
    Comparison,
    Facts,
    card,
    card_without_model,
    drift_of_shares,
    model_row,
    reasons,
    row_without_model,
    shares_of,
    top_traits,
)
from ml.tables import (
    LOOKALIKE_FAIRNESS,
    LOOKALIKE_MEMBERS,
    LOOKALIKE_MODELS,
    LOOKALIKE_SEEDS,
    LOOKALIKE_SHARES,
    LOOKALIKE_TRAITS,
    parquet,
    read_table,
    write_table,
)
from ml.threads import single_threaded
from ml.visitor_encoding import Encoding, choose_features, family_of, learn_encoding
from ml.visitors import (
    Observations,
    Visitors,
    drawn,
    index_visitors,
    parts,
    read_observations,
    with_activity,
    with_customers,
    with_people,
)

LEVELS = {"narrow": 0.01, "balanced": 0.05, "broad": 0.10}
MIN_CANDIDATES = 200
# What learning and judging look at: strangers, seeds of an audience, and all that is observed of them.
SAMPLE_STRANGERS, SAMPLE_SEEDS, SAMPLE_CELLS = 50_000, 20_000, 6_000_000
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
    """An audience that asks for look-alikes: its seed as rows of the visitors, and those of them set aside."""

    audience_id: str
    share: float
    seed_rows: np.ndarray
    set_aside: np.ndarray
    defining: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of one audience; `learned` scores the columns of the world's encoding when it is published."""

    asked: Asked
    facts: Facts
    row: dict[str, Any]
    card: ModelCard
    traits: pd.DataFrame
    fairness: pd.DataFrame
    judgement: Judgement | None = None
    learned: Learned | None = None
    sampled_share: float = 1.0


def expand_audiences(lake: Lake, day: date, configuration: Any) -> Summary:
    """Write `lookalike_models`, `_members`, `_traits`, `_fairness` and the cards of every audience that asks for it.

    Uses `configuration.audiences`, `.traits`, `.models.lookalike`, `.models.seed` and `.privacy`. Without audiences or
    visitors the tables are written empty and the card says why.
    """
    settings = _settings(configuration)
    audiences = sorted(
        (audience for audience in configuration.audiences if audience.lookalike is not None),
        key=lambda audience: audience.audience_id,
    )
    with single_threaded():
        if not audiences:
            return _write_nothing(lake, day, "no audience asks for a look-alike")
        seeds = read_table(lake.staged("audience_seeds"))
        if seeds is None or seeds.empty:
            return _write_nothing(lake, day, "no visitor matches a member of an audience")
        visitors = _read_visitors(lake, "visitor_features", "events", seeds)
        if visitors is None:
            return _write_nothing(lake, day, "there is no visitor with features")
        asked = [_ask(audience, lake, day, seeds, visitors, configuration) for audience in audiences]
        world = look_at(visitors, asked, settings)
        shares = shares_of(
            world.encoding.encode(world.observations)[~visitors.is_known[world.rows]], world.encoding.columns
        )
        future = _events_after(lake, day)
        then = None if future else _world_of_then(lake, day, seeds, asked, settings)
        before = _shares_before(lake, day, shares)
        outcomes = [
            _judged(
                audience, world, then, future, day, settings, before, _read_audited(lake, settings, world)
            )
            for audience in asked
        ]
        return _write(lake, day, outcomes, _members(world, outcomes, lake, day, settings), shares, seeds)


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


def learn_audience(
    world: World, asked: Asked, settings: Settings
) -> tuple[Sample, np.ndarray, dict[str, str], dict[str, str]]:
    """The sample of one audience with the columns (their places) that do not tell its seed, and what was refused.

    Refused are features, and whole families. Raises TooLittle when nothing is left.
    """
    sample = world.sample(asked.seed_rows, asked.set_aside)
    columns = world.encoding.columns
    at = np.searchsorted(world.rows, sample.rows)
    by_family = refuse_telling_traits(world.observations.take(at), sample.is_seed)
    refused = dict(asked.defining)
    refused |= refuse_features(sample.matrix, columns, sample.is_seed)
    for name in columns:
        if family_of(name) in by_family:
            refused.setdefault(name, by_family[family_of(name)])
    kept = np.array([place for place, name in enumerate(columns) if name not in refused], dtype=np.int64)
    refused = {name: reason for name, reason in refused.items() if name in columns}
    if not len(kept):
        raise TooLittle(f"no feature is left to learn from: {reasons(world.refused | refused)}")
    return sample.keep(kept), kept, refused, by_family


def is_control(visitors: pd.Series, share: float) -> np.ndarray:
    """Whether each visitor is in the control group, by a hash of the id: the same in every run and audience.

    It is the rule of the dbt macro `is_control`, by which published members are held back.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register(
            "visitors", pd.DataFrame({"position": np.arange(len(visitors)), "id": visitors.array})
        )
        return (
            connection.execute(
                "select ('0x' || substr(md5('tandem-control:' || id), 1, 8))::bigint < ? * 4294967296 as is_control "
                "from visitors order by position",
                [share],
            )
            .fetchnumpy()["is_control"]
            .astype(bool)
        )


def score_everybody(world: World, models: dict[str, Learned]) -> dict[str, np.ndarray]:
    """The score (visitors,) of every visitor by each model, in one pass; comparable within a fold only."""
    folds = folds_of(world.visitors.people)
    scores = {name: np.full(len(world.visitors), np.nan) for name in models}
    if models:
        for first, part in parts(world.visitors, world.encoding.names):
            matrix = world.encoding.encode(part)
            inside = slice(first, first + matrix.shape[0])
            for name, model in models.items():
                scores[name][inside] = model.score(matrix, folds[inside])
    return scores


def _settings(configuration: Any) -> Settings:
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


def _read_visitors(lake: Lake, features: str, events: str, seeds: pd.DataFrame) -> Visitors | None:
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


def _ask(
    audience: Any, lake: Lake, day: date, seeds: pd.DataFrame, visitors: Visitors, configuration: Any
) -> Asked:
    mine = seeds.loc[seeds["audience_id"] == audience.audience_id, "visitor_id"].to_numpy(dtype=object)
    seed_rows = visitors.rows_of(mine)
    found_before = _found_before(lake, day, audience.audience_id)
    defining = {}
    if audience.side == "dmp":
        rules = [(rule.trait_id, rule.where) for rule in configuration.traits]
        defining = {"where": audience.where, "rules": rules}
    return Asked(
        audience.audience_id,
        _share(audience.lookalike),
        seed_rows,
        np.intersect1d(seed_rows, visitors.rows_of(found_before)),
        defining,
    )


def _found_before(lake: Lake, day: date, audience_id: str) -> np.ndarray:
    """Visitors that earlier look-alikes of the audience chose and did not hold back: whoever of them is a member by now
    may be one because of that."""
    since = day - timedelta(days=TARGETED_DAYS)
    paths = [
        path
        for path in earlier_days(lake.ml(day, "lookalike_members"))
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
    limit = min(SAMPLE_STRANGERS, max(int(SAMPLE_CELLS / cells), 2 * MIN_CANDIDATES))
    chosen = [_first(np.flatnonzero(~visitors.is_known), place, limit)]
    chosen += [_first(rows, place, min(SAMPLE_SEEDS, limit)) for rows in seeds]
    return np.unique(np.concatenate(chosen))


def _first(rows: np.ndarray, place: np.ndarray, limit: int) -> np.ndarray:
    return rows if len(rows) <= limit else rows[np.argsort(place[rows], kind="stable")[:limit]]


def _events_after(lake: Lake, day: date) -> str:
    """Why the features may hold what happened after the day, or nothing."""
    path = lake.staged("visitor_activity")
    if not path.exists() or "last_seen_at" not in pq.read_schema(path).names:
        return ""
    latest = pc.max(pq.read_table(path, columns=["last_seen_at"], use_threads=False)["last_seen_at"]).as_py()
    if latest is None or latest < datetime.combine(day + timedelta(days=1), time()):
        return ""
    return f"the features hold events of after the business day, the last of {latest:%Y-%m-%d %H:%M}"


def _judged(
    asked: Asked,
    world: World,
    then: dict[str, tuple[World, Asked, np.ndarray]] | None,
    future: str,
    day: date,
    settings: Settings,
    before: Comparison,
    audited: dict[str, np.ndarray],
) -> Outcome:
    visitors = world.visitors
    is_left = ~np.isin(asked.seed_rows, asked.set_aside)
    strangers = ~visitors.is_known
    strangers[asked.seed_rows] = False
    sizes = {
        "seed_size": len(np.unique(visitors.people[asked.seed_rows[is_left]])),
        "set_aside_size": len(np.unique(visitors.people[asked.set_aside])),
        "candidate_size": int(strangers.sum()),
    }
    refused: dict[str, str] = {}
    nothing = TestOverTime(None, 0, "not tested")
    facts = Facts(asked.audience_id, day, "none", sizes, 0, world.refused, nothing, before)
    try:
        if future:
            raise TooLittle(future)
        _require_enough(sizes, settings)
        defined = Asked(
            asked.audience_id, asked.share, asked.seed_rows, asked.set_aside, _defining(asked, world.encoding)
        )
        sample, kept, refused, _ = learn_audience(world, defined, settings)
        judgement = judge(sample, settings.hold_out_share, settings.bootstrap_rounds, settings.seed)
        over_time = _judge_over_time(then, asked, refused, settings)
        learned = learn(sample, settings.seed) if judgement.published else None
    except TooLittle as little:
        facts = Facts(asked.audience_id, day, "none", sizes, 0, world.refused | refused, nothing, before)
        return Outcome(
            asked,
            facts,
            row_without_model(facts, str(little)),
            card_without_model(facts, str(little)),
            pd.DataFrame(),
            pd.DataFrame(),
        )
    version = model_version(
        {"audience": asked.audience_id, "share": asked.share, "settings": str(settings)},
        sample.matrix.indptr,
        sample.matrix.indices,
        sample.matrix.data,
        sample.is_seed,
        sample.people,
    )
    facts = Facts(
        asked.audience_id, day, version, sizes, len(kept), world.refused | refused, over_time, before
    )
    features = tuple(world.encoding.columns[column] for column in kept)
    traits = top_traits(facts, sample, features, settings.minimum_cell)
    fairness = _audited(facts, sample, learned, judgement, audited, world, settings)
    return Outcome(
        asked,
        facts,
        model_row(facts, judgement),
        card(facts, judgement, traits, fairness),
        traits,
        fairness,
        judgement,
        learned.among(kept, len(world.encoding.columns)) if learned else None,
        float((~sample.is_seed).sum() / max(sizes["candidate_size"], 1)),
    )


def _defining(asked: Asked, encoding: Encoding) -> dict[str, str]:
    if not asked.defining:
        return {}
    return refuse_definition(asked.defining["where"], asked.defining["rules"], encoding.columns)


def _world_of_then(
    lake: Lake, day: date, seeds: pd.DataFrame, asked: list[Asked], settings: Settings
) -> dict[str, tuple[World, Asked, np.ndarray]] | None:
    """For each audience the world as it was when the test over time begins, its seed of then, and who has joined since
    as a mask of the rows looked at; None without the features of then.

    Who was a member then is what the run of that day, or the last before it, has kept; without such a run, members
    whose devices became known later are those who have joined.
    """
    visitors = _read_visitors(lake, "visitor_features_before", "events_before", seeds)
    if visitors is None:
        return None
    began = day - timedelta(days=settings.test_days)
    kept = [
        path
        for path in earlier_days(lake.ml(day, "lookalike_seeds"))
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
        of_then.append((audience, np.intersect1d(now, was), joined))
    # Whoever has joined since was a stranger then.
    is_known = visitors.is_known.copy()
    for _, _, joined in of_then:
        is_known[joined] = False
    visitors = Visitors(
        visitors.path, visitors.ids, visitors.starts, visitors.people, is_known, visitors.activity
    )
    if all(len(joined) == 0 for _, _, joined in of_then):
        return {}
    world = look_at(
        visitors,
        [
            Asked(audience.audience_id, audience.share, np.union1d(was, joined), audience.set_aside, {})
            for audience, was, joined in of_then
        ],
        settings,
    )
    return {
        audience.audience_id: (
            world,
            Asked(audience.audience_id, audience.share, was, np.array([], dtype=np.int64), audience.defining),
            np.isin(world.rows, joined),
        )
        for audience, was, joined in of_then
    }


def _judge_over_time(
    then: dict[str, tuple[World, Asked, np.ndarray]] | None,
    asked: Asked,
    refused_now: dict[str, str],
    settings: Settings,
) -> TestOverTime:
    if then is None:
        return TestOverTime(None, 0, "nothing is known of what was known then")
    if asked.audience_id not in then:
        return TestOverTime(None, 0, "nobody is known to have joined since")
    world, of_then, joined = then[asked.audience_id]
    people = len(np.unique(world.visitors.people[of_then.seed_rows]))
    if people < settings.min_seed:
        return TestOverTime(
            None, 0, f"the seed had {people:,} people then, at least {settings.min_seed:,} are needed"
        )
    defined = Asked(
        asked.audience_id,
        asked.share,
        of_then.seed_rows,
        of_then.set_aside,
        _defining(of_then, world.encoding),
    )
    try:
        sample, kept, _, _ = learn_audience(world, defined, settings)
    except TooLittle as little:
        return TestOverTime(None, 0, str(little))
    allowed = [
        place for place, column in enumerate(kept) if world.encoding.columns[column] not in refused_now
    ]
    has_joined = joined[np.searchsorted(world.rows, sample.rows)]
    return judge_over_time(
        sample.keep(np.array(allowed, dtype=np.int64)), has_joined, settings.bootstrap_rounds, settings.seed
    )


def _read_audited(lake: Lake, settings: Settings, world: World) -> dict[str, np.ndarray]:
    """For each audited trait the group (rows looked at,) of everybody in the sample, None where it is not known."""
    path = lake.staged("audited_traits")
    if not settings.audited or not path.exists():
        return {}
    ids = world.visitors.ids.take(pa.array(world.rows))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("sampled", pa.table({"visitor_id": ids, "place": np.arange(len(ids))}))
        found = connection.execute(f"""
            select sampled.place, audited.trait_id, min(audited.value) as value
            from {parquet(path)} as audited
            inner join sampled on audited.visitor_id = sampled.visitor_id
            where audited.value is not null
            group by all
            order by all
        """).df()
    groups = {}
    for trait, rows in found.groupby("trait_id"):
        if trait not in settings.audited:
            continue
        numbers = pd.to_numeric(rows["value"], errors="coerce")
        values = rows["value"].to_numpy(dtype=object)
        if numbers.notna().mean() >= 0.95 and numbers.nunique() > 10:
            values = group_values(numbers.to_numpy(dtype=np.float64))
        groups[trait] = np.full(len(ids), None, dtype=object)
        groups[trait][rows["place"].to_numpy()] = values
    return groups


def _audited(
    facts: Facts,
    sample: Sample,
    learned: Learned | None,
    judgement: Judgement,
    audited: dict[str, np.ndarray],
    world: World,
    settings: Settings,
) -> pd.DataFrame:
    """How each group of each audited attribute fares: rows of `lookalike_fairness`."""
    if not audited:
        return pd.DataFrame()
    if learned is None:
        of_candidates = ~judgement.labels
        rows, places = judgement.rows[of_candidates], judgement.places[of_candidates]
    else:
        candidates = np.flatnonzero(~sample.is_seed)
        rows, places = sample.rows[candidates], places_of_unlabelled(learned, sample)[candidates]
    order = np.argsort(rows, kind="stable")
    rows, places = rows[order], places[order]
    part = sample.take(np.searchsorted(sample.rows, rows))
    found = []
    for attribute, groups in sorted(audited.items()):
        of_rows = groups[np.searchsorted(world.rows, rows)]
        frame = audit(
            of_rows, places, part.matrix, part.families, part.folds, settings.minimum_cell, settings.seed
        )
        found.append(frame.assign(audience_id=facts.audience_id, attribute=attribute, as_of_date=facts.day))
    return pd.concat(found, ignore_index=True)


def _members(
    world: World, outcomes: list[Outcome], lake: Lake, day: date, settings: Settings
) -> dict[str, pd.DataFrame]:
    """The best of the candidates of every published audience, each scored by a model that it was not part of."""
    published = {outcome.asked.audience_id: outcome for outcome in outcomes if outcome.learned is not None}
    scores = score_everybody(world, {name: outcome.learned for name, outcome in published.items()})
    return {
        name: _chosen(world, outcome, scores.pop(name), day, settings) for name, outcome in published.items()
    }


def _chosen(
    world: World, outcome: Outcome, scores: np.ndarray, day: date, settings: Settings
) -> pd.DataFrame:
    visitors, asked, judgement = world.visitors, outcome.asked, outcome.judgement
    is_candidate = ~visitors.is_known & ~np.isin(visitors.people, visitors.people[asked.seed_rows])
    places = places_by_fold(scores, folds_of(visitors.people), is_candidate)
    candidates = np.flatnonzero(is_candidate)
    total = len(candidates)
    count = _count(asked.share, total)
    chosen = candidates[np.argsort(-places[candidates], kind="stable")[:count]]
    position = np.arange(1, count + 1)
    # The held-out people, whom the judged model never saw, say what a place is worth, among all strangers again.
    worth = isotonic(judgement.places, judgement.labels.astype(np.float64))(places[chosen])
    worth = worth * outcome.sampled_share / (worth * outcome.sampled_share + 1 - worth)
    members = pd.DataFrame(
        {
            "audience_id": asked.audience_id,
            "visitor_id": visitors.ids.take(pa.array(chosen)).to_numpy(zero_copy_only=False),
            "as_of_date": day,
            "score": worth,
            "percentile": 100 * (total - position + 1) / total,
            "level": "broad",
        }
    )
    for level in reversed(LEVELS):
        members.loc[position <= _count(LEVELS[level], total), "level"] = level
    members["is_control"] = is_control(members["visitor_id"], settings.control_share)
    members["expires_at"] = datetime.combine(day + timedelta(days=1 + settings.ttl_days), time())
    return members[LOOKALIKE_MEMBERS.names]


def _shares_before(lake: Lake, day: date, shares: pd.DataFrame) -> Comparison:
    """How far the strangers have moved since the last run."""
    earlier = earlier_days(lake.ml(day, "lookalike_shares"))
    if not earlier:
        return Comparison()
    before = read_table(earlier[-1])
    last = date.fromisoformat(earlier[-1].parent.name.removeprefix("date="))
    if before is None or before.empty or shares.empty:
        return Comparison(last)
    drift = drift_of_shares(before, shares)
    return Comparison(last, None, float(drift.iloc[0]), str(drift.index[0]))


def _overlap(lake: Lake, day: date, audience_id: str, members: pd.DataFrame | None) -> float | None:
    """Members of the last run and of today over those of either (Jaccard); None when there were none."""
    earlier = earlier_days(lake.ml(day, "lookalike_members"))
    if not earlier or members is None:
        return None
    before = read_table(earlier[-1], filters=[("audience_id", "=", audience_id)])["visitor_id"]
    if before.empty:
        return None
    both = len(np.intersect1d(before.to_numpy(dtype=str), members["visitor_id"].to_numpy(dtype=str)))
    return both / (len(before) + len(members) - both)


def _write(
    lake: Lake,
    day: date,
    outcomes: list[Outcome],
    members: dict[str, pd.DataFrame],
    shares: pd.DataFrame,
    seeds: pd.DataFrame,
) -> Summary:
    rows = []
    for outcome in outcomes:
        name = outcome.asked.audience_id
        rows.append(outcome.row | {"member_overlap": _overlap(lake, day, name, members.get(name))})
    asked = [outcome.asked.audience_id for outcome in outcomes]
    kept = seeds.loc[seeds["audience_id"].isin(asked), ["audience_id", "visitor_id"]]
    count = _write_tables(
        lake,
        day,
        models=pd.DataFrame(rows, columns=LOOKALIKE_MODELS.names),
        members=_joined(list(members.values())),
        traits=_joined([outcome.traits for outcome in outcomes]),
        fairness=_joined([outcome.fairness for outcome in outcomes]),
        shares=shares,
        seeds=kept,
    )
    write_model_cards(lake, day, TASK, [outcome.card for outcome in outcomes])
    published = sum(row["verdict"] == "published" for row in rows)
    note = f"{published} of {len(rows)} look-alikes published with {count:,} members"
    for row in rows:
        if row["verdict"] == "refused":
            note += f"; {row['audience_id']} refused: {row['reason']}"
    return Summary(TASK, "published" if published else "refused", count, note)


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    _write_tables(lake, day)
    return skip(lake, day, TASK, [TASK], reason)


def _write_tables(
    lake: Lake,
    day: date,
    models: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
    traits: pd.DataFrame | None = None,
    fairness: pd.DataFrame | None = None,
    shares: pd.DataFrame | None = None,
    seeds: pd.DataFrame | None = None,
) -> int:
    """Write every table of the task, empty where there is nothing. Returns the number of members."""
    tables = {
        "lookalike_models": (models, LOOKALIKE_MODELS, ["audience_id"]),
        "lookalike_traits": (traits, LOOKALIKE_TRAITS, ["audience_id", "feature"]),
        "lookalike_fairness": (fairness, LOOKALIKE_FAIRNESS, ["audience_id", "attribute", "group_name"]),
        "lookalike_shares": (shares, LOOKALIKE_SHARES, ["feature"]),
        "lookalike_seeds": (seeds, LOOKALIKE_SEEDS, ["audience_id", "visitor_id"]),
    }
    for name, (frame, schema, key) in tables.items():
        write_table(frame, schema, key, lake.ml(day, name))
    key = ["audience_id", "visitor_id"]
    return write_table(members, LOOKALIKE_MEMBERS, key, lake.ml(day, "lookalike_members"))


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame | None:
    filled = [frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else None


def _require_enough(sizes: dict[str, int], settings: Settings) -> None:
    if sizes["seed_size"] < settings.min_seed:
        aside = f" ({sizes['set_aside_size']:,} set aside)" if sizes["set_aside_size"] else ""
        raise TooLittle(
            f"the seed has {sizes['seed_size']:,} people{aside}, at least {settings.min_seed:,} are needed"
        )
    if sizes["candidate_size"] < MIN_CANDIDATES:
        raise TooLittle(
            f"there are {sizes['candidate_size']:,} strangers with features, at least {MIN_CANDIDATES:,} are needed"
        )


def _share(lookalike: Any) -> float:
    return float(lookalike.size) if lookalike.size is not None else LEVELS[lookalike.level]


def _count(share: float, total: int) -> int:
    return min(total, int(np.ceil(share * total - 1e-9)))
