"""Expand an audience to strangers who resemble it, and only when that beats knowing who is active.

For each audience with a `lookalike` block: its matched visitors are the seed, consented visitors that match no
customer are the candidates. A model is judged on people it never saw and published when its lift at 5 % is above that
of activity alone, at 95 %; otherwise it is refused with its reason and has no members. Learning looks at a bounded
sample of visitors; then all of them are scored in parts, in one pass for all audiences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include.lake import Lake, earlier_days, replacing
from include.privacy.epochs import earlier_days_of_epoch
from ml.audience_world import (
    LEVELS,
    Asked,
    Settings,
    World,
    ask,
    events_after,
    learn_audience,
    look_at,
    read_settings,
    read_visitors,
)
from ml.audited import audit_groups, read_audited
from ml.calibration import isotonic
from ml.later_members import Then, judge_later_members, look_back
from ml.likeness import Judgement, Learned, TestOverTime, TooLittle, folds_of, judge, learn, places_by_fold
from ml.registry import ModelCard, Summary, model_version, skip, write_model_cards
from ml.scorecard import (
    TASK,
    Comparison,
    Facts,
    card,
    card_without_model,
    drift_of_shares,
    model_row,
    row_without_model,
    shares_of,
    top_traits,
    with_overlap,
)
from ml.spread import Part, Spread, in_one_process, share
from ml.tables import (
    LOOKALIKE_FAIRNESS,
    LOOKALIKE_MEMBERS,
    LOOKALIKE_MODELS,
    LOOKALIKE_SEEDS,
    LOOKALIKE_SHARES,
    LOOKALIKE_TRAITS,
    read_table,
    write_table,
)
from ml.threads import single_threaded
from ml.visitor_encoding import Encoding
from ml.visitors import Visitors, parts

MIN_CANDIDATES = 200
STARTS, FOLDS = "starts.npy", "folds.npy"  # arrays that a part reads its piece of


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


@dataclass(frozen=True)
class Judged:
    """What members are chosen by: what became of each audience, every visitor, the settings, and what the next day's
    run compares itself with."""

    outcomes: list[Outcome]
    visitors: Visitors
    settings: Settings
    shares: pd.DataFrame
    seeds: pd.DataFrame


@dataclass(frozen=True)
class Learnt:
    """What scores every visitor: the models by audience, how a visitor is encoded for them, and the hand-over of
    features."""

    models: dict[str, Learned]
    encoding: Encoding
    features: Path


def expand_audiences(lake: Lake, day: date, configuration: Any) -> Summary:
    """Write `lookalike_models`, `_members`, `_traits`, `_fairness` and the cards of every audience that asks for it, in
    one process.

    Uses `configuration.audiences`, `.traits`, `.models.lookalike`, `.models.seed` and `.privacy`. Without audiences or
    visitors the tables are written empty and the card says why.
    """
    return in_one_process(train, score, gather, lake, day, configuration)


def train(lake: Lake, day: date, configuration: Any) -> int:
    """Judge a model for each audience and hand on those that are published. Returns how many parts score visitors."""
    settings = read_settings(configuration)
    audiences = sorted(
        (audience for audience in configuration.audiences if audience.lookalike is not None),
        key=lambda audience: audience.audience_id,
    )
    spread = Spread.of(lake, day, TASK)
    spread.begin()
    with single_threaded():
        if not audiences:
            return spread.hand_on(skip(lake, day, TASK, [TASK], "no audience asks for a look-alike"))
        seeds = read_table(lake.staged("audience_seeds"))
        if seeds is None or seeds.empty:
            return spread.hand_on(
                skip(lake, day, TASK, [TASK], "no visitor matches a member of an audience"), 0
            )
        visitors = read_visitors(lake, "visitor_features", "events", seeds)
        if visitors is None:
            return spread.hand_on(skip(lake, day, TASK, [TASK], "there is no visitor with features"))
        asked = [ask(audience, lake, day, seeds, visitors, configuration) for audience in audiences]
        world = look_at(visitors, asked, settings)
        shares = shares_of(
            world.encoding.encode(world.observations)[~visitors.is_known[world.rows]], world.encoding.columns
        )
        future = events_after(lake, day)
        then = None if future else look_back(lake, day, seeds, asked, settings)
        before, audited = _shares_before(lake, day, shares), read_audited(lake, settings, world)
        outcomes = [
            _judged(audience, world, then, future, day, settings, before, audited) for audience in asked
        ]
    models = {each.asked.audience_id: each.learned for each in outcomes if each.learned is not None}
    spread.keep("learnt", Learnt(models, world.encoding, visitors.path))
    np.save(spread.folder / STARTS, visitors.starts)
    np.save(spread.folder / FOLDS, folds_of(visitors.people))
    spread.keep("judged", Judged(outcomes, visitors, settings, shares, seeds))
    return spread.hand_on(Summary(TASK, "judged", 0, ""), share(len(visitors), 1) if models else None)


def score(lake: Lake, day: date, part: Part) -> None:
    """Score the visitors of a part by the model of each published audience: a row for each, in their order."""
    spread = Spread.of(lake, day, TASK)
    learnt: Learnt = spread.load("learnt")
    starts, folds = (np.load(spread.folder / name, mmap_mode="r") for name in (STARTS, FOLDS))
    schema = pa.schema([(name, pa.float64()) for name in learnt.models])
    with (
        single_threaded(),
        replacing(spread.path(part)) as temporary,
        pq.ParquetWriter(temporary, schema, compression="none") as writer,
    ):
        for scores in score_visitors(learnt, starts, folds, spread.rows(part)):
            writer.write_table(pa.table(scores, schema=schema))


def score_visitors(
    learnt: Learnt, starts: np.ndarray, folds: np.ndarray, rows: range
) -> Iterator[list[np.ndarray]]:
    """The scores (visitors,) by each model, batch after batch of the visitors of `rows`; comparable within a fold only.

    `starts` (n + 1,) and `folds` (n,) are those of all visitors, see `ml.visitors`.
    """
    for first, observed in parts(learnt.features, starts, learnt.encoding.names, rows):
        matrix = learnt.encoding.encode(observed)
        of_rows = folds[first : first + matrix.shape[0]]
        yield [model.score(matrix, of_rows) for model in learnt.models.values()]


def gather(lake: Lake, day: date) -> Summary:
    """Choose the members of each audience among all whom the parts scored, and write all tables."""
    spread = Spread.of(lake, day, TASK)
    summary, paths = spread.handed_on()
    if summary.skipped:
        _write_tables(lake, day)
        return summary
    judged: Judged = spread.load("judged")
    with single_threaded():
        members = {
            outcome.asked.audience_id: _chosen(judged, outcome, _read_scores(paths, outcome), day)
            for outcome in judged.outcomes
            if outcome.learned is not None
        }
        return _write(lake, day, judged, members)


def _read_scores(paths: list[Path], outcome: Outcome) -> np.ndarray:
    """The scores (visitors,) for one audience; comparable within a fold only."""
    columns = [outcome.asked.audience_id]
    return np.concatenate([pq.read_table(path, columns=columns)[0].to_numpy() for path in paths])


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


def _judged(
    asked: Asked,
    world: World,
    then: dict[str, Then] | None,
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
        sample, kept, refused = learn_audience(world, asked)
        judgement = judge(sample, settings.hold_out_share, settings.bootstrap_rounds, settings.seed)
        over_time = judge_later_members(then, asked, refused, settings)
        learned = learn(sample, settings.seed) if judgement.published else None
        if learned is not None:
            judgement = replace(judgement, algorithm=learned.algorithm)
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
    fairness = audit_groups(facts, sample, learned, judgement, audited, world, settings)
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


def _chosen(judged: Judged, outcome: Outcome, scores: np.ndarray, day: date) -> pd.DataFrame:
    """The best of the candidates of a published audience, each scored by a model that it was not part of."""
    visitors, settings, asked, judgement = judged.visitors, judged.settings, outcome.asked, outcome.judgement
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
    return Comparison(last, float(drift.iloc[0]), str(drift.index[0]))


def _overlap(lake: Lake, day: date, audience_id: str, members: pd.DataFrame | None) -> float | None:
    """Members of the last run and of today over those of either (Jaccard); None when there were none, or under
    another key only."""
    earlier = earlier_days_of_epoch(lake, lake.ml(day, "lookalike_members"))
    if not earlier or members is None:
        return None
    before = read_table(earlier[-1], filters=[("audience_id", "=", audience_id)])["visitor_id"]
    if before.empty:
        return None
    both = len(np.intersect1d(before.to_numpy(dtype=str), members["visitor_id"].to_numpy(dtype=str)))
    return both / (len(before) + len(members) - both)


def _write(lake: Lake, day: date, judged: Judged, members: dict[str, pd.DataFrame]) -> Summary:
    rows, cards, seeds = [], [], judged.seeds
    for outcome in judged.outcomes:
        name = outcome.asked.audience_id
        overlap = _overlap(lake, day, name, members.get(name))
        rows.append(outcome.row | {"member_overlap": overlap})
        cards.append(with_overlap(outcome.card, overlap))
    asked = [outcome.asked.audience_id for outcome in judged.outcomes]
    kept = seeds.loc[seeds["audience_id"].isin(asked), ["audience_id", "visitor_id"]]
    count = _write_tables(
        lake,
        day,
        models=pd.DataFrame(rows, columns=LOOKALIKE_MODELS.names),
        members=_joined(list(members.values())),
        traits=_joined([outcome.traits for outcome in judged.outcomes]),
        fairness=_joined([outcome.fairness for outcome in judged.outcomes]),
        shares=judged.shares,
        seeds=kept,
    )
    write_model_cards(lake, day, TASK, cards)
    published = sum(row["verdict"] == "published" for row in rows)
    note = f"{published} of {len(rows)} look-alikes published with {count:,} members"
    for row in rows:
        if row["verdict"] == "refused":
            note += f"; {row['audience_id']} refused: {row['reason']}"
    return Summary(TASK, "published" if published else "refused", count, note)


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


def _count(share: float, total: int) -> int:
    return min(total, int(np.ceil(share * total - 1e-9)))
