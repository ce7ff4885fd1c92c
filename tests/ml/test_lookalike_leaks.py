"""Ten kinds of leak, each planted and each caught, and an honest world that passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import spearmanr

from ml import pu
from ml.evaluation import auc
from ml.leaks import (
    ScoredInSample,
    refuse_definition,
    refuse_features,
    refuse_telling_traits,
    refuse_traits,
    require_unseen,
    texts_of,
)
from ml.likeness import Learned, Sample, _judge_turn, folds_of, learn, places_of_unlabelled
from ml.tables import LOOKALIKE_MEMBERS, write_table
from ml.visitor_encoding import choose_features, family_of, learn_encoding
from ml.visitors import Observations
from tests.ml.shoppers import DAY, Audience, Configuration, Lookalike, Trait
from tests.ml.web_worlds import STRANGERS, card_of, expand, web_world

SEEDS, N = 250, 250 + STRANGERS


def _observe(rows: pd.DataFrame) -> tuple[Observations, np.ndarray]:
    """Observations of the seed and the strangers of a world, and who is of the seed."""
    ids = sorted(name for name in rows["visitor_id"].unique() if name[0] in "ks")
    rows = rows[rows["visitor_id"].isin(ids)]
    names = sorted(rows["feature"].unique())
    matrix = sparse.csr_array(
        (
            rows["value"].to_numpy(float),
            (np.searchsorted(ids, rows["visitor_id"]), np.searchsorted(names, rows["feature"])),
        ),
        shape=(len(ids), len(names)),
    )
    return Observations(matrix, tuple(names)), np.array([name[0] == "k" for name in ids])


def _refused(rows: pd.DataFrame) -> dict[str, str]:
    """What is refused of a world, as learning refuses it: first by family, then for the seed."""
    observations, is_seed = _observe(rows)
    refused = refuse_traits(observations)
    kept = observations.keep(choose_features(observations, refused))
    encoding = learn_encoding(kept)
    by_family = refuse_telling_traits(kept, is_seed)
    found = refuse_features(encoding.encode(kept), encoding.columns, is_seed)
    return refused | by_family | {family_of(name): reason for name, reason in found.items()} | found


def _rows(visitors: pd.Series, feature: str | np.ndarray, value: float | np.ndarray = 1.0) -> pd.DataFrame:
    return pd.DataFrame({"visitor_id": visitors.to_numpy(), "feature": feature, "value": value})


@pytest.fixture(scope="module")
def honest() -> dict[str, pd.DataFrame]:
    return web_world()


@pytest.fixture(scope="module")
def visitors(honest) -> pd.Series:
    everyone = honest["visitor_features"]["visitor_id"].drop_duplicates()
    return everyone[everyone.str[0].isin(["k", "s"])].reset_index(drop=True)


def _is_seed(visitors: pd.Series) -> np.ndarray:
    return visitors.str[0].eq("k").to_numpy()


# What is planted: rows of features, given the visitors and a generator; and words of the reason.
PLANTED = {
    "an id as a number": (
        lambda v, g: _rows(v, "trait:visitor_row", g.permutation(len(v)) * 1.0),
        "trait:visitor_row",
        "identifier",
    ),
    "a number that is an id under a harmless name": (
        lambda v, g: _rows(v, "trait:bonus", g.permutation(len(v)) + 40_000.0),
        "trait:bonus",
        "identifier",
    ),
    "a hash": (
        lambda v, g: _rows(v, [f"trait:mark={at:06x}" for at in g.permutation(len(v))]),
        "trait:mark",
        "identifier",
    ),
    "the time of capture": (
        lambda v, g: _rows(
            v, np.where(_is_seed(v), "trait:captured=2017-11-28", "trait:captured=2017-11-29")
        ),
        "trait:captured",
        "dates",
    ),
    "a seed that was collected in one channel only": (
        lambda v, g: _rows(v, np.where(_is_seed(v), "site:a.example", "site:b.example")),
        "site:a.example",
        "reveals the seed",
    ),
    "a column of the customers' side": (
        lambda v, g: _rows(v[_is_seed(v) & (g.random(len(v)) < 0.5)], "trait:tier=gold"),
        "trait:tier",
        "no candidate has it",
    ),
    "a column that is missing for nearly all strangers": (
        lambda v, g: (lambda w: _rows(w, "trait:club=" + pd.Series(g.integers(0, 4, len(w))).astype(str)))(
            v[_is_seed(v) | (g.random(len(v)) < 0.05)]
        ),
        "trait:club",
        "reveals the seed",
    ),
    "a number that is known far more often of the seed": (
        lambda v, g: (lambda w: _rows(w, "trait:children", g.integers(0, 4, len(w)) * 1.0))(
            v[g.random(len(v)) < np.where(_is_seed(v), 0.9, 0.4)]
        ),
        "trait:children",
        "being known reveals the seed",
    ),
    "a value in a narrow range": (
        lambda v, g: _rows(
            v,
            "trait:level",
            np.where(_is_seed(v), 40 + g.integers(0, 8, len(v)), 80 * g.integers(0, 2, len(v)) + 1.0),
        ),
        "trait:level",
        "tells",
    ),
    "a rare sign of the seed": (
        lambda v, g: _rows(v[(_is_seed(v) & (g.random(len(v)) < 0.3)) | (v == "s00001")], "site:help"),
        "site:help",
        "times as frequent",
    ),
    "who was shown a campaign": (
        lambda v, g: _rows(v[g.random(len(v)) < np.where(_is_seed(v), 0.5, 0.2)], "trait:spring_campaign=1"),
        "trait:spring_campaign",
        "targeted",
    ),
}


@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_refused_with_its_reason_and_nothing_else_is(leak, honest, visitors):
    plant, feature, words = PLANTED[leak]
    planted = plant(visitors, np.random.default_rng(1))
    refused = _refused(pd.concat([honest["visitor_features"], planted]))
    assert words in refused[feature]
    families = {family_of(name) for name in planted["feature"]}
    assert {name for name in refused if family_of(name) not in families} == set()


def test_nothing_is_refused_in_an_honest_world(honest, visitors):
    generator = np.random.default_rng(2)
    traits = [
        _rows(visitors, "trait:age", generator.normal(45, 12, len(visitors)).round()),
        _rows(visitors, "trait:income", generator.lognormal(10, 0.5, len(visitors)).round()),
        _rows(visitors[generator.random(len(visitors)) < 0.5], "trait:pet=yes"),
        _rows(
            visitors,
            [f"trait:region={region}" for region in generator.zipf(1.6, len(visitors)).clip(max=80)],
        ),
    ]
    assert _refused(pd.concat([honest["visitor_features"], *traits])) == {}


def test_what_defines_the_audience_is_refused():
    names = ("trait:age=30-39", "trait:pet=yes", "category:Pets", "category:Sports", "site:pets.example")
    rules = (("pet_reader", "content_category = 'Pets' and not is_owned_site"),)
    where = "trait('age') = '30-39' and frequency('pet_reader', 30) >= 3"
    assert set(refuse_definition(texts_of(where), rules, names)) == {"trait:age=30-39", "category:Pets"}


OF_EVENTS = (
    "category:Pets", "category:Dogs", "category:Sports", "site:pets.example", "site:news.example", "device:mobile",
    "hours:00-06",
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ("lower(content_category) = 'pets'", "category:Pets"),
        ("content_category like 'Pe%' or site_domain ilike 'NEWS.%'", "category:Pets site:news.example"),
        ("not lower(content_category) in ('sports', 'x')", "category:Sports"),
        ("content_category <> 'Sports'", "category:Sports"),
        (
            "case when content_category_tier_1 = 'Pets' then true else false end",
            "category:Pets category:Dogs",
        ),
        ("starts_with(url, 'https://www.pets.')", "site:pets.example"),
        ("url like '%//pets.example/dogs%'", "site:pets.example"),
        ("url like '%/dogs%'", "site:pets.example site:news.example"),
        ("coalesce(title, content_category) = 'Pets'", "category:Pets category:Dogs category:Sports"),
        ("extract(hour from occurred_at) < 6 and user_agent like '%Phone%'", "hours:00-06 device:mobile"),
        ("content_category is not null and title is null", "category:Pets category:Dogs category:Sports"),
        ("is_owned_site and url like '%/dogs%'", ""),
    ],
)
def test_what_defines_the_audience_is_refused_however_it_is_written(rule, refused):
    told = refuse_definition({"reader"}, (("reader", rule), ("another", "device = 'mobile'")), OF_EVENTS)
    assert set(told) == set(refused.split())


@pytest.mark.parametrize("where", ["lower(trait('age')) like '30%'", "coalesce(trait('age'), 'x') <> 'x'"])
def test_a_trait_that_defines_the_audience_is_refused_however_it_is_wrapped(where):
    assert set(refuse_definition(texts_of(where), (), ("trait:age=30-39", "trait:pet=yes"))) == {
        "trait:age=30-39"
    }


@pytest.mark.parametrize(
    "where", ["frequency('reader', 30) >= 2", "audience('readers')", "frequency('interests', 30) >= 2"]
)
def test_an_audience_of_readers_is_not_learned_from_the_category_that_makes_it(lake, honest, where):
    """Whoever reads category 00 twice is a member; strangers who read it once would be told apart by nothing else."""
    features = honest["visitor_features"]
    readers = features[(features["feature"] == "category:00") & (features["value"] >= 2)]["visitor_id"]
    seeds = pd.DataFrame({"audience_id": "loyal", "visitor_id": readers, "person_key": readers})
    configuration = Configuration(
        (
            Audience("loyal", Lookalike(level="broad"), "dmp", where),
            Audience("readers", None, "dmp", "frequency('reader', 30) >= 2"),
        ),
        traits=(Trait("reader", "content_category = '00'", "interests/food"),),
    )
    expand(lake, honest | {"audience_seeds": seeds}, configuration)
    assert "category:00: a trait that defines the audience" in card_of(lake).loc["features", "note"]


def test_events_of_after_the_day_refuse_every_model(lake, honest):
    activity = honest["visitor_activity"].copy()
    activity.loc[3, "last_seen_at"] = pd.Timestamp(DAY) + timedelta(days=1)
    _, models, members = expand(lake, honest | {"visitor_activity": activity})
    assert models.loc["loyal", "verdict"] == "refused" and members.empty
    assert "events of after the business day" in models.loc["loyal", "reason"]


def _noise(seed: int = 0) -> Sample:
    """A seed of people who differ from nobody, in 300 columns: only who remembers them tells them apart."""
    generator = np.random.default_rng(seed)
    matrix = sparse.csr_array((generator.random((1200, 300)) < 0.2).astype(float))
    people = generator.integers(0, 2**63, 1200).astype(np.uint64)
    return Sample(np.arange(1200), people, np.arange(1200) < 300, np.ones(1200), matrix, np.zeros(300, int))


def test_whoever_was_learned_from_is_never_scored_by_that_model():
    sample = _noise()
    learned = learn(sample, 7)
    folds = sample.folds
    assert set(learned.scorers) == set(range(pu.FOLDS))
    changed = sample.matrix.toarray()
    changed[folds == 1] = 1 - changed[folds == 1]
    again = learn(replace(sample, matrix=sparse.csr_array(changed)), 7)
    same = [learned.algorithm, again.algorithm]
    if same[0] == same[1]:
        scores = [model.scorers[1].score(sample.matrix) for model in (learned, again)]
        assert np.allclose(scores[0], scores[1]), "the scorer of a fold has seen the fold"
    with pytest.raises(ScoredInSample, match="1 people"):
        require_unseen(sample.people[:10], sample.people[9:20])


def test_scored_in_sample_noise_looks_like_a_signal_and_out_of_fold_it_does_not():
    sample = _noise()
    learner = pu.Learner(sample.families, 7)
    fitted = learner.fit("gradient boosting", sample.matrix, sample.is_seed)
    contest = learner.compete(sample.matrix, sample.is_seed, sample.folds)
    model = Learned(
        "gradient boosting", {fold: each["gradient boosting"] for fold, each in contest.fitted.items()}
    )
    of_fold = model.score(sample.matrix, sample.folds)
    assert auc(sample.is_seed, fitted.score(sample.matrix)) > 0.7
    assert abs(auc(sample.is_seed, of_fold) - 0.5) < 0.06
    assert np.isnan(places_of_unlabelled(model, sample)[sample.is_seed]).all()


def test_the_choice_of_an_algorithm_does_not_look_at_who_judges_it():
    """Whatever the labels of the people held out are, the same algorithm is chosen and gives the same scores."""
    sample = _noise(3)
    held_out = folds_of(sample.people, 1) == 0
    turn = _judge_turn(sample, held_out, 7)
    shuffled = sample.is_seed.copy()
    places = np.flatnonzero(held_out)
    shuffled[places] = np.random.default_rng(0).permutation(shuffled[places])
    again = _judge_turn(replace(sample, is_seed=shuffled), held_out, 7)
    assert not np.array_equal(shuffled, sample.is_seed)
    assert again.found == turn.found
    assert spearmanr(again.places, turn.places).statistic > 0.9999


def test_members_whom_an_earlier_look_alike_found_are_not_learned_from(lake, honest):
    """A third of the seed was advertised to; the control group among them was not, and counts."""
    people = honest["audience_seeds"].sort_values("visitor_id").groupby("person_key", as_index=False).first()
    found = people.iloc[::3]
    frame = pd.DataFrame(
        {
            "audience_id": "loyal",
            "visitor_id": found["visitor_id"],
            "as_of_date": DAY - timedelta(days=7),
            "score": 0.5,
            "percentile": 99.0,
            "level": "broad",
            "is_control": np.arange(len(found)) % 4 == 0,
            "expires_at": pd.Timestamp("2017-12-31"),
        }
    )
    path = lake.ml(DAY - timedelta(days=7), "lookalike_members")
    write_table(frame, LOOKALIKE_MEMBERS, ["audience_id", "visitor_id"], path)
    seeds = honest["audience_seeds"].drop_duplicates("person_key")
    models = expand(lake, honest | {"audience_seeds": seeds})[1]
    targeted = int((~frame["is_control"]).sum())
    assert models.loc["loyal", "set_aside_size"] == targeted > 30
    assert models.loc["loyal", "seed_size"] == 200 - targeted


def test_no_second_device_of_the_seed_is_a_candidate(lake, honest):
    """A device that nobody linked to the audience, but to a person of it, would be found first of all."""
    features, seeds = honest["visitor_features"], honest["audience_seeds"]
    twins = features[features["visitor_id"].isin(seeds["visitor_id"])].assign(
        visitor_id=lambda frame: "t" + frame["visitor_id"]
    )
    known = seeds[["visitor_id", "person_key"]].assign(visitor_id="t" + seeds["visitor_id"])
    world = honest | {
        "visitor_features": pd.concat([features, twins]),
        "known_visitors": pd.concat([honest["known_visitors"], known]),
    }
    members = expand(lake, world)[2]
    assert len(members) == 150 and not members["visitor_id"].str.startswith("t").any()
