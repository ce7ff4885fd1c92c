"""Expand an audience to strangers who resemble it, and only when that beats knowing who is active.

For each audience with a `lookalike` block: its matched visitors are the seed, consented visitors that match no
customer are the candidates. A model is judged on people it never saw: 30 % of the seed's people and of the
candidates are held out, and the seeds among them must be found. It is published when its lift at 5 % is above
that of activity alone, at 95 %; otherwise it is refused with its reason and has no members.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from scipy import sparse

from include.lake import Lake
from ml import pu
from ml.calibration import isotonic
from ml.evaluation import Estimate, auc, evaluate, exact
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.tables import LOOKALIKE_MEMBERS, LOOKALIKE_MODELS, read_table, stable_uniform, write_table
from ml.threads import single_threaded

TASK = "lookalike"
LEVELS = {"narrow": 0.01, "balanced": 0.05, "broad": 0.10}
REACH_SHARES = {f"lift_at_{percent}": percent / 100 for percent in (1, 2, 3, 5, 10, 15, 20, 30, 50)}
MIN_CANDIDATES = 200
LARGE_SEED = 1_000  # people, from which on a single hold-out decides
MIN_FEATURE_VISITORS = 20
MAX_FEATURES = 20_000
TRAINING_SAMPLE = 50_000  # seeds and unlabelled, each
EVALUATION_SAMPLE = 100_000
TELLING_AUC = 0.95
TELLING_RATIO = 50.0
TELLING_SHARE = 0.02
ROWS_TO_JUDGE = 30


@dataclass(frozen=True)
class Population:
    """Visitors ordered by id, who they belong to, what is observed of them and how active they are.

    `matrix` is (visitors, features); `people` are strings, of a stranger its own visitor id.
    """

    visitors: np.ndarray
    people: np.ndarray
    matrix: sparse.csr_array
    features: list[str]
    activity: np.ndarray

    def take(self, rows: np.ndarray) -> Population:
        return Population(
            self.visitors[rows], self.people[rows], self.matrix[rows], self.features, self.activity[rows]
        )

    def keep_features(self, columns: np.ndarray) -> Population:
        names = [self.features[column] for column in columns]
        return Population(self.visitors, self.people, self.matrix[:, columns], names, self.activity)


@dataclass(frozen=True)
class Settings:
    """What the configuration says of look-alikes."""

    seed: int
    min_seed: int
    hold_out_share: float
    bootstrap_rounds: int
    ttl_days: int
    control_share: float


@dataclass(frozen=True)
class Expansion:
    """One audience's model: its row of `lookalike_models`, its members and its card."""

    model: dict[str, Any]
    members: pd.DataFrame | None
    card: ModelCard


@dataclass(frozen=True)
class Judgement:
    """What the held-out people say of a model: metrics per score, places among held-out candidates, verdict."""

    algorithm: str
    hidden_seed_lifts: dict[str, float]
    metrics: dict[str, dict[str, Estimate]]
    places: np.ndarray
    labels: np.ndarray
    people: np.ndarray
    published: bool
    reason: str


class TooLittle(Exception):
    """There is too little to learn a look-alike from; the message is the reason to publish."""


def expand_audiences(lake: Lake, day: date, configuration: Any) -> Summary:
    """Write `lookalike_models`, `lookalike_members` and the model cards of every audience that asks for it.

    Uses `configuration.audiences`, `.models.lookalike`, `.models.seed` and `.privacy.control_share`. Without
    audiences or visitors the tables are written empty and the card says why.
    """
    options = configuration.models.lookalike
    settings = Settings(
        seed=configuration.models.seed,
        min_seed=options.min_seed,
        hold_out_share=options.hold_out_share,
        bootstrap_rounds=options.bootstrap_rounds,
        ttl_days=options.ttl_days,
        control_share=configuration.privacy.control_share,
    )
    audiences = sorted(
        (audience for audience in configuration.audiences if audience.lookalike is not None),
        key=lambda audience: audience.audience_id,
    )
    with single_threaded():
        if not audiences:
            return _write_nothing(lake, day, "no audience asks for a look-alike")
        seeds = read_table(lake.staged("audience_seeds"))
        known = read_table(lake.staged("known_visitors"))
        if seeds is None or seeds.empty:
            return _write_nothing(lake, day, "no visitor matches a member of an audience")
        population = read_population(lake, seeds, known)
        if population is None:
            return _write_nothing(lake, day, "there is no visitor with features")
        known_visitors = np.array([], dtype=object) if known is None else known["visitor_id"].unique()
        expansions = [
            expand_audience(
                audience.audience_id,
                _share(audience.lookalike),
                population,
                seeds.loc[seeds["audience_id"] == audience.audience_id, "visitor_id"].to_numpy(dtype=object),
                known_visitors,
                day,
                settings,
            )
            for audience in audiences
        ]
    return _write(lake, day, expansions)


def read_population(lake: Lake, seeds: pd.DataFrame, known: pd.DataFrame | None) -> Population | None:
    """Read every visitor with features that is a seed of some audience or no known customer; None without any.

    Features that fewer than 20 visitors have are left out, and all but the 20,000 most frequent.
    """
    path = lake.staged("visitor_features")
    if not path.exists():
        return None
    with duckdb.connect(config={"threads": 1}) as connection:
        people = seeds[["visitor_id", "person_key"]].sort_values(["visitor_id", "person_key"])
        connection.register("seeds", people.drop_duplicates("visitor_id"))
        strangers_only = "true"
        if known is not None and not known.empty:
            connection.register("known", known[["visitor_id"]].drop_duplicates())
            strangers_only = "visitor_id not in (select visitor_id from known)"
        connection.execute(f"""
            create temp table observations as
            select visitor_id, feature, sum(value) as value
            from read_parquet('{path}')
            where
                feature is not null and value is not null and value <> 0
                and (visitor_id in (select visitor_id from seeds) or {strangers_only})
            group by visitor_id, feature
        """)
        connection.execute("""
            create temp table visitors as
            select row_number() over (order by visitor_id) - 1 as row, visitor_id
            from (select distinct visitor_id from observations)
        """)
        connection.execute(f"""
            create temp table features as
            select row_number() over (order by feature) - 1 as column, feature
            from (
                select feature, count(*) as visitors
                from observations
                group by feature
                having count(*) >= {MIN_FEATURE_VISITORS}
                order by visitors desc, feature
                limit {MAX_FEATURES}
            )
        """)
        activity = "select null::varchar as visitor_id, 0 as events where false"
        if lake.staged("visitor_activity").exists():
            activity = f"select visitor_id, events from read_parquet('{lake.staged('visitor_activity')}')"
        visitors = connection.execute(f"""
            select
                visitors.visitor_id,
                coalesce(seeds.person_key, visitors.visitor_id) as person,
                coalesce(activity.events, 0)::double as events
            from visitors
            left join seeds on visitors.visitor_id = seeds.visitor_id
            left join ({activity}) as activity on visitors.visitor_id = activity.visitor_id
            order by visitors.row
        """).df()
        features = connection.execute("select feature from features order by features.column").df()
        cells = connection.execute("""
            select visitors.row, features.column, observations.value
            from observations
            inner join visitors on observations.visitor_id = visitors.visitor_id
            inner join features on observations.feature = features.feature
            order by visitors.row, features.column
        """).fetchnumpy()
    if visitors.empty:
        return None
    shape = (len(visitors), len(features))
    matrix = sparse.csr_array((cells["value"], (cells["row"], cells["column"])), shape=shape)
    return Population(
        visitors["visitor_id"].to_numpy(dtype=object),
        visitors["person"].to_numpy(dtype=object),
        matrix,
        features["feature"].tolist(),
        visitors["events"].to_numpy(dtype=np.float64),
    )


def expand_audience(
    audience_id: str,
    share: float,
    everyone: Population,
    seed_visitors: np.ndarray,
    known_visitors: np.ndarray,
    day: date,
    settings: Settings,
) -> Expansion:
    """Judge a look-alike of one audience and, when it holds, name the best `share` of the strangers."""
    is_seed = pd.Index(everyone.visitors).isin(seed_visitors)
    chosen = np.flatnonzero(is_seed | ~pd.Index(everyone.visitors).isin(known_visitors))
    population, is_seed = everyone.take(chosen), is_seed[chosen]
    sizes = {
        "seed_size": len(np.unique(population.people[is_seed])),
        "candidate_size": int((~is_seed).sum()),
    }
    dropped: dict[str, str] = {}
    try:
        _require_enough(sizes, settings)
        dropped = refuse_features(population.matrix, population.features, is_seed)
        kept = [column for column, name in enumerate(population.features) if name not in dropped]
        if not kept:
            raise TooLittle(f"no feature is left to learn from: {_first_reasons(dropped)}")
        population = population.keep_features(np.array(kept))
        judgement = judge(population, is_seed, settings)
    except TooLittle as little:
        return _refused_unlearned(audience_id, day, sizes, str(little), dropped)

    version = model_version(
        {
            "audience": audience_id,
            "algorithm": judgement.algorithm,
            "share": share,
            "settings": str(settings),
        },
        population.matrix.indptr,
        population.matrix.indices,
        population.matrix.data,
        is_seed,
        pd.DataFrame({"visitor_id": population.visitors.astype(str)}),
    )
    members = _members(audience_id, share, population, is_seed, judgement, day, settings)
    return Expansion(
        _model_row(audience_id, version, day, sizes, population, judgement),
        members if judgement.published else None,
        _card(audience_id, version, population, is_seed, judgement, dropped),
    )


def refuse_features(matrix: sparse.csr_array, features: list[str], is_seed: np.ndarray) -> dict[str, str]:
    """Say for every feature that must not be learned from why not.

    Refused are features too rare to learn from, and those that reveal the seed instead of describing it: never
    there among the candidates; there (or missing) so differently that presence alone has an AUC above 0.95,
    alone or together with the other values of the same trait; fifty times as frequent among seeds; or with
    values that alone tell the seed.
    """
    seeds, others = pu.presence(matrix, is_seed), pu.presence(matrix, ~is_seed)
    seed_share, other_share = seeds / is_seed.sum(), others / (~is_seed).sum()
    presence_auc = 0.5 + np.abs(seed_share - other_share) / 2
    values_auc = _values_auc(matrix, is_seed)
    telling_families = _telling_families(matrix, features, is_seed)
    refused = {}
    for column, name in enumerate(features):
        if seeds[column] + others[column] < MIN_FEATURE_VISITORS:
            refused[name] = f"fewer than {MIN_FEATURE_VISITORS} visitors have it"
        elif others[column] == 0:
            refused[name] = "no candidate has it, so it reveals the seed"
        elif presence_auc[column] > TELLING_AUC:
            refused[name] = f"being there or missing reveals the seed (AUC {presence_auc[column]:.3f})"
        elif _family(name) in telling_families:
            refused[name] = (
                f"having any {_family(name)} reveals the seed (AUC {telling_families[_family(name)]:.3f})"
            )
        elif seed_share[column] >= TELLING_SHARE and seed_share[column] > TELLING_RATIO * other_share[column]:
            refused[name] = f"{seed_share[column] / other_share[column]:.0f} times as frequent among seeds"
        elif values_auc[column] > TELLING_AUC:
            refused[name] = f"its value alone reveals the seed (AUC {values_auc[column]:.3f})"
    return refused


def judge(population: Population, is_seed: np.ndarray, settings: Settings) -> Judgement:
    """Choose an algorithm on one part of the people and measure it on the others, who are strangers to it.

    With a small seed the parts change places until everybody has been held out once (cross-fitting): a few dozen
    people held out could not tell a good model from luck. Scores of different turns are compared by their place
    among the held-out candidates of their own turn.
    """
    turns = [
        _judge_turn(population, is_seed, held_out, settings)
        for held_out in _hold_outs(population.people, is_seed, settings)
    ]
    judging = np.concatenate([turn.judging for turn in turns])
    outcome, people = is_seed[judging], population.people[judging]
    places = np.concatenate([turn.places for turn in turns])
    found = {name: float(np.mean([turn.found[name] for turn in turns])) for name in turns[0].found}
    metrics = evaluate(
        outcome,
        {
            "model": places,
            "activity": population.activity[judging],
            "trait weights": np.concatenate([turn.trait_weights for turn in turns]),
        },
        people=people.astype(str),
        rounds=settings.bootstrap_rounds,
        seed=settings.seed,
        shares=REACH_SHARES,
        against="activity",
    )
    gain = metrics["model - activity"]["lift_at_5"]
    published = bool(gain.low > 0)
    comparison = (
        f"lift at 5 % of {metrics['model']['lift_at_5'].value:.2f} against "
        f"{metrics['activity']['lift_at_5'].value:.2f} of activity alone "
        f"({gain.value:+.2f}, 95 % between {gain.low:+.2f} and {gain.high:+.2f})"
    )
    return Judgement(
        pu.choose(found),
        found,
        metrics,
        places,
        outcome,
        people,
        published,
        comparison if published else f"not better than activity alone at 95 %: {comparison}",
    )


@dataclass(frozen=True)
class Turn:
    """One turn of the judging: the rows held out (m,), their places and trait-weight places, the choice's lifts."""

    judging: np.ndarray
    places: np.ndarray
    trait_weights: np.ndarray
    found: dict[str, float]


def _judge_turn(
    population: Population, is_seed: np.ndarray, held_out: np.ndarray, settings: Settings
) -> Turn:
    learning = pu.bounded(np.flatnonzero(~held_out), is_seed, TRAINING_SAMPLE, settings.seed)
    judging = pu.bounded(np.flatnonzero(held_out), is_seed, EVALUATION_SAMPLE, settings.seed)
    if not is_seed[learning].any() or not is_seed[judging].any():
        raise TooLittle("the seed is too small to hold people out")
    matrix, labels = population.matrix[learning], is_seed[learning]
    found = pu.hidden_seed_lifts(matrix, labels, _folds(population.people[learning], settings), settings.seed)
    if not found:
        raise TooLittle("the seed is too small to hide people for the choice of an algorithm")
    scorers = (pu.fit(pu.choose(found), matrix, labels, settings.seed), pu.fit_trait_weights(matrix, labels))
    scores, trait_weights = (scorer.score(population.matrix[judging]) for scorer in scorers)
    candidates = ~is_seed[judging]
    return Turn(
        judging,
        pu.places_among(np.sort(scores[candidates]), scores),
        pu.places_among(np.sort(trait_weights[candidates]), trait_weights),
        found,
    )


def _members(
    audience_id: str,
    share: float,
    population: Population,
    is_seed: np.ndarray,
    judgement: Judgement,
    day: date,
    settings: Settings,
) -> pd.DataFrame | None:
    """The best `share` of the candidates, each scored by a model that it was not part of."""
    if not judgement.published:
        return None
    places = pu.out_of_fold_places(
        judgement.algorithm,
        population.matrix,
        is_seed,
        _folds(population.people, settings),
        settings.seed,
        TRAINING_SAMPLE,
    )
    # The held-out people, whom the judged model never saw, say what a place is worth.
    worth = isotonic(judgement.places, judgement.labels.astype(np.float64))
    frame = pd.DataFrame(
        {"visitor_id": population.visitors[~is_seed], "place": places[~is_seed]}
    ).sort_values(["place", "visitor_id"], ascending=[False, True], kind="stable", ignore_index=True)
    total = len(frame)
    end_of_day = datetime.combine(day + timedelta(days=1), time())
    position = np.arange(1, total + 1)
    frame["score"] = worth(frame["place"].to_numpy())
    frame["percentile"] = 100 * (total - position + 1) / total
    frame["level"] = "broad"
    for level in reversed(LEVELS):
        frame.loc[position <= _count(LEVELS[level], total), "level"] = level
    members = frame.head(_count(share, total)).copy()
    members["audience_id"] = audience_id
    members["as_of_date"] = day
    members["is_control"] = is_control(members["visitor_id"], settings.control_share)
    members["expires_at"] = end_of_day + timedelta(days=settings.ttl_days)
    return members[LOOKALIKE_MEMBERS.names]


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


def _model_row(
    audience_id: str,
    version: str,
    day: date,
    sizes: dict[str, int],
    population: Population,
    judgement: Judgement,
) -> dict[str, Any]:
    model, activity = judgement.metrics["model"], judgement.metrics["activity"]
    curve = [
        {
            "share": share,
            "lift": round(model[name].value, 4),
            "low": _rounded(model[name].low),
            "high": _rounded(model[name].high),
            "activity_lift": round(activity[name].value, 4),
            "trait_weights_lift": round(judgement.metrics["trait weights"][name].value, 4),
        }
        for name, share in REACH_SHARES.items()
    ]
    return {
        "audience_id": audience_id,
        "model_version": version,
        "as_of_date": day,
        "algorithm": judgement.algorithm,
        **sizes,
        "features": len(population.features),
        "auc": model["auc"].value,
        "lift_at_1": model["lift_at_1"].value,
        "lift_at_5": model["lift_at_5"].value,
        "lift_at_5_low": model["lift_at_5"].low,
        "lift_at_5_high": model["lift_at_5"].high,
        "lift_at_10": model["lift_at_10"].value,
        "activity_lift_at_5": activity["lift_at_5"].value,
        "verdict": "published" if judgement.published else "refused",
        "reason": judgement.reason,
        "curve": json.dumps(curve),
    }


def _card(
    audience_id: str,
    version: str,
    population: Population,
    is_seed: np.ndarray,
    judgement: Judgement,
    dropped: dict[str, str],
) -> ModelCard:
    verdict = "promoted" if judgement.published else "refused"
    metrics = judgement.metrics
    difference = metrics["model - activity"]["lift_at_5"]
    rate = float(judgement.labels.mean())
    lines = [
        CardLine("lift_at_5_difference", difference, 0.0, "activity alone", verdict, judgement.reason),
        *(
            CardLine(
                metric, metrics["model"][metric], metrics["activity"][metric].value, "activity alone", verdict
            )
            for metric in ("auc", "average_precision", "lift_at_1", "lift_at_5", "lift_at_10")
        ),
        CardLine(
            "lift_at_5_of_trait_weights",
            metrics["trait weights"]["lift_at_5"],
            1.0,
            "random",
            verdict,
            "the log-odds weights that closed platforms use",
        ),
        CardLine("ece", exact(_cross_fitted_ece(judgement)), None, None, verdict, "of the score, ten bins"),
        CardLine("base_rate", exact(rate), None, None, verdict, "seeds among the people held out"),
        CardLine(
            "features",
            exact(len(population.features)),
            None,
            None,
            verdict,
            _first_reasons(dropped, 2000) or None,
        ),
        CardLine("top_features", None, None, None, verdict, _top_features(population, is_seed)),
        *(
            CardLine(
                f"hidden_seed_lift of {algorithm}",
                exact(value),
                1.0,
                "random",
                verdict,
                "chosen" if algorithm == judgement.algorithm else None,
            )
            for algorithm, value in judgement.hidden_seed_lifts.items()
        ),
    ]
    return ModelCard(f"{TASK}:{audience_id}", version, TASK, tuple(lines))


def _refused_unlearned(
    audience_id: str, day: date, sizes: dict[str, int], reason: str, dropped: dict[str, str]
) -> Expansion:
    row = dict.fromkeys(LOOKALIKE_MODELS.names) | {
        "audience_id": audience_id,
        "model_version": "none",
        "as_of_date": day,
        **sizes,
        "verdict": "refused",
        "reason": reason,
        "curve": "[]",
    }
    line = CardLine("lift_at_5_difference", None, None, None, "refused", reason)
    features = CardLine("features", exact(0), None, None, "refused", _first_reasons(dropped, 2000) or None)
    return Expansion(row, None, ModelCard(f"{TASK}:{audience_id}", "none", TASK, (line, features)))


def _write(lake: Lake, day: date, expansions: Iterable[Expansion]) -> Summary:
    expansions = list(expansions)
    models = pd.DataFrame([expansion.model for expansion in expansions], columns=LOOKALIKE_MODELS.names)
    members = [expansion.members for expansion in expansions if expansion.members is not None]
    write_table(models, LOOKALIKE_MODELS, ["audience_id"], lake.ml(day, "lookalike_models"))
    rows = write_table(
        pd.concat(members, ignore_index=True) if members else None,
        LOOKALIKE_MEMBERS,
        ["audience_id", "visitor_id"],
        lake.ml(day, "lookalike_members"),
    )
    write_model_cards(lake, day, TASK, [expansion.card for expansion in expansions])
    published = int((models["verdict"] == "published").sum())
    note = f"{published} of {len(models)} look-alikes published with {rows:,} members"
    for expansion in expansions:
        if expansion.model["verdict"] == "refused":
            note += f"; {expansion.model['audience_id']} refused: {expansion.model['reason']}"
    return Summary(TASK, "published" if published else "refused", rows, note)


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, LOOKALIKE_MODELS, ["audience_id"], lake.ml(day, "lookalike_models"))
    write_table(None, LOOKALIKE_MEMBERS, ["audience_id", "visitor_id"], lake.ml(day, "lookalike_members"))
    return skip(lake, day, TASK, [TASK], reason)


def _require_enough(sizes: dict[str, int], settings: Settings) -> None:
    if sizes["seed_size"] < settings.min_seed:
        raise TooLittle(
            f"the seed has {sizes['seed_size']:,} people, at least {settings.min_seed:,} are needed"
        )
    if sizes["candidate_size"] < MIN_CANDIDATES:
        raise TooLittle(
            f"there are {sizes['candidate_size']:,} strangers with features, at least {MIN_CANDIDATES:,} are needed"
        )


def _share(lookalike: Any) -> float:
    return float(lookalike.size) if lookalike.size is not None else LEVELS[lookalike.level]


def _count(share: float, total: int) -> int:
    return min(total, int(np.ceil(share * total - 1e-9)))


def _hold_outs(people: np.ndarray, is_seed: np.ndarray, settings: Settings) -> list[np.ndarray]:
    """Masks (n,) of the people held out, the same share of the seed's people as of the others, one mask a turn."""
    drawn = stable_uniform(people, "hold-out", settings.seed)
    small = len(np.unique(people[is_seed])) < LARGE_SEED
    turns = max(2, round(1 / settings.hold_out_share)) if small else 1
    share = 1 / turns if small else settings.hold_out_share
    rank = np.zeros(len(people))
    for mask in (is_seed, ~is_seed):
        of_people = np.unique(drawn[mask])
        rank[mask] = np.searchsorted(of_people, drawn[mask]) / max(1, len(of_people))
    return [(rank >= turn * share) & (rank < (turn + 1) * share) for turn in range(turns)]


def _folds(people: np.ndarray, settings: Settings) -> np.ndarray:
    """A fold (n,) per row by a hash of its person: one person's devices share it."""
    return (stable_uniform(people, "fold", settings.seed) * pu.FOLDS).astype(int)


def _values_auc(matrix: sparse.csr_array, is_seed: np.ndarray) -> np.ndarray:
    """Per feature, how well its value alone orders those who have it; 0.5 where too few do or all are equal."""
    sample = pu.bounded(np.arange(len(is_seed)), is_seed, EVALUATION_SAMPLE // 4, 0)
    columns, labels = matrix[sample].tocsc(), is_seed[sample]
    areas = np.full(matrix.shape[1], 0.5)
    for column in range(matrix.shape[1]):
        cells = slice(columns.indptr[column], columns.indptr[column + 1])
        values, present = columns.data[cells], labels[columns.indices[cells]]
        if min(present.sum(), (~present).sum()) >= ROWS_TO_JUDGE and values.min() != values.max():
            area = auc(present, values)
            areas[column] = max(area, 1 - area)
    return areas


def _telling_families(matrix: sparse.csr_array, features: list[str], is_seed: np.ndarray) -> dict[str, float]:
    """Traits of which having any value at all reveals the seed, with the AUC of that."""
    families = sorted({_family(name) for name in features if "=" in name})
    if not families:
        return {}
    number = {family: index for index, family in enumerate(families)}
    pairs = [(column, number[_family(name)]) for column, name in enumerate(features) if "=" in name]
    columns, groups = np.array(pairs).T
    grouping = sparse.csr_array(
        (np.ones(len(pairs)), (columns, groups)), shape=(matrix.shape[1], len(families))
    )
    present = sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
    has_any = (present @ grouping).tocsr()
    seed_share = pu.presence(has_any, is_seed) / is_seed.sum()
    other_share = pu.presence(has_any, ~is_seed) / (~is_seed).sum()
    areas = 0.5 + np.abs(seed_share - other_share) / 2
    return {family: float(areas[index]) for family, index in number.items() if areas[index] > TELLING_AUC}


def _family(feature: str) -> str:
    return feature.split("=", 1)[0]


def _cross_fitted_ece(judgement: Judgement) -> float:
    """The calibration error of each half of the held-out people under a calibration learned on the other half."""
    half = stable_uniform(judgement.people, "calibration half") < 0.5
    labels = judgement.labels.astype(np.float64)
    probabilities = np.zeros(len(labels))
    for part in (half, ~half):
        if not part.any() or part.all():
            return float("nan")
        probabilities[part] = isotonic(judgement.places[~part], labels[~part])(judgement.places[part])
    measured = evaluate(labels, {"score": probabilities}, probabilities=["score"], rounds=0)
    return measured["score"]["ece"].value


def _top_features(population: Population, is_seed: np.ndarray) -> str:
    """What sets the seed apart in words: the ten features whose shares differ most."""
    seeds = pu.presence(population.matrix, is_seed) / is_seed.sum()
    others = pu.presence(population.matrix, ~is_seed) / (~is_seed).sum()
    order = sorted(range(len(seeds)), key=lambda column: (-abs(seeds[column] - others[column]), column))
    return "; ".join(
        f"{population.features[column]}: {seeds[column]:.1%} of the seed, {others[column]:.1%} of strangers"
        for column in order[:10]
    )


def _first_reasons(dropped: dict[str, str], limit: int = 300) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(dropped.items()))[:limit]


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
