from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from include.config.schema import LookalikeModel, Models
from include.lake import Lake
from ml import pu
from ml.evaluation import auc, lift
from ml.lookalike import expand_audiences, is_control, refuse_features
from ml.tables import LOOKALIKE_MEMBERS, LOOKALIKE_MODELS, stable_uniform
from tests.ml.shoppers import DAY, Audience, Configuration, Lookalike, hand_over

CATEGORIES = 30
STRANGERS = 1500


def _web(seed: int = 0, *, with_taste: bool = True, events_of_seed: float = 1.0) -> dict[str, pd.DataFrame]:
    """Browsing of 200 people of a seed (some with two devices), 200 other customers and 1,500 strangers.

    The seed and a tenth of the strangers prefer a fifth of the categories, unless `with_taste` is off; the seed
    has `events_of_seed` times the events of others.
    """
    generator = np.random.default_rng(seed)
    seeds = pd.DataFrame(
        [("loyal", f"k{i:04d}{d}", f"p{i:04d}") for i in range(200) for d in range(1 + (i % 4 == 0))],
        columns=["audience_id", "visitor_id", "person_key"],
    )
    others = pd.DataFrame({"visitor_id": [f"o{i:04d}" for i in range(200)]})
    others["person_key"] = "q" + others["visitor_id"]
    strangers = pd.Series([f"s{i:05d}" for i in range(STRANGERS)])
    visitors = pd.concat([seeds["visitor_id"], others["visitor_id"], strangers], ignore_index=True)
    alike = visitors.isin(seeds["visitor_id"]) | (visitors.str[0].eq("s") & visitors.str[-1].eq("7"))
    taste = np.where(np.arange(CATEGORIES) < CATEGORIES // 5, 3.0 if with_taste else 1.0, 1.0)
    is_seed = visitors.isin(seeds["visitor_id"])
    events = generator.gamma(2, 8, len(visitors)) * np.where(is_seed, events_of_seed, 1.0)
    chance = np.where(alike.to_numpy()[:, None], taste / taste.sum(), 1 / CATEGORIES)
    counts = generator.poisson(chance * events[:, None])
    counts[counts.sum(axis=1) == 0, 0] = 1
    rows, columns = np.nonzero(counts)
    features = pd.DataFrame(
        {
            "visitor_id": visitors.to_numpy()[rows],
            "feature": [f"category:{column:02d}" for column in columns],
            "value": counts[rows, columns].astype(float),
        }
    )
    activity = features.groupby("visitor_id", as_index=False)["value"].sum()
    activity = activity.rename(columns={"value": "events"}).astype({"events": "int64"})
    return {
        "audience_seeds": seeds,
        "known_visitors": pd.concat([seeds[["visitor_id", "person_key"]], others], ignore_index=True),
        "visitor_features": features,
        "visitor_activity": activity.assign(active_days=1, last_seen_at=pd.Timestamp(DAY)),
    }


def _configuration(**lookalike) -> Configuration:
    return Configuration((Audience("loyal", Lookalike(**lookalike)), Audience("no look-alike", None)))


def _expand(lake, web, configuration=None):
    for table, frame in web.items():
        hand_over(lake, table, frame)
    summary = expand_audiences(lake, DAY, configuration or _configuration(level="broad"))
    models = pd.read_parquet(lake.ml(DAY, "lookalike_models")).set_index("audience_id")
    return summary, models, pd.read_parquet(lake.ml(DAY, "lookalike_members"))


@pytest.fixture
def web() -> dict[str, pd.DataFrame]:
    return _web()


@pytest.fixture(scope="module")
def expanded(tmp_path_factory):
    """The seed with a taste of its own, expanded to the broad level: lake, summary, models, members."""
    lake = Lake(tmp_path_factory.mktemp("expanded"))
    return lake, *_expand(lake, _web())


def test_strangers_of_the_seeds_taste_are_found(expanded):
    _, summary, models, members = expanded
    assert summary.status == "published" and summary.rows == len(members) == 150
    model = models.loc["loyal"]
    assert model["verdict"] == "published"
    assert model["seed_size"] == 200 and model["candidate_size"] == STRANGERS
    assert model["lift_at_5_low"] > model["activity_lift_at_5"]
    assert members["visitor_id"].str[-1].eq("7").mean() > 0.4  # a tenth of the strangers are alike


def test_neither_seeds_nor_known_customers_are_members(expanded, web):
    _, _, _, members = expanded
    assert len(members)
    assert not set(members["visitor_id"]) & set(web["known_visitors"]["visitor_id"])
    assert not set(members["visitor_id"]) & set(web["audience_seeds"]["visitor_id"])


def test_levels_are_nested_and_as_large_as_they_say(expanded, lake, web):
    _, _, _, broad = expanded
    assert broad["level"].value_counts().to_dict() == {"narrow": 15, "balanced": 60, "broad": 75}
    assert (
        broad.groupby("level")["percentile"]
        .min()
        .loc[["narrow", "balanced", "broad"]]
        .is_monotonic_decreasing
    )
    for configuration, share in ((_configuration(level="balanced"), 0.05), (_configuration(size=0.02), 0.02)):
        _, _, fewer = _expand(lake, web, configuration)
        assert len(fewer) == share * STRANGERS
        both = broad.set_index("visitor_id").loc[fewer["visitor_id"], "level"]
        assert both.tolist() == fewer["level"].tolist()


def test_scores_rise_with_the_percentile_and_members_expire(expanded):
    _, _, _, members = expanded
    ordered = members.sort_values("percentile")
    assert ordered["score"].is_monotonic_increasing and ordered["percentile"].max() == 100
    assert members["score"].between(0, 1).all()
    assert set(members["expires_at"]) == {pd.Timestamp("2017-12-31")}


def test_a_seed_without_a_taste_of_its_own_is_refused_with_a_reason_and_has_no_members(lake):
    summary, models, members = _expand(lake, _web(with_taste=False))
    assert summary.status == "refused" and members.empty
    assert models.loc["loyal", "verdict"] == "refused"
    assert "not better than activity alone" in models.loc["loyal", "reason"]
    assert models.loc["loyal", "auc"] == pytest.approx(0.5, abs=0.1)


def test_a_seed_that_is_merely_active_is_refused(lake):
    _, models, _ = _expand(lake, _web(with_taste=False, events_of_seed=4.0))
    assert models.loc["loyal", "activity_lift_at_5"] > 3
    assert models.loc["loyal", "verdict"] == "refused"


LEAKS = {
    "a flag that only customers have": lambda v, g: (
        v[v.str[0] == "k"].to_frame("visitor_id").assign(feature="crm:flag")
    ),
    "a trait that nearly all strangers lack": lambda v, g: (
        v[(v.str[0] == "k") | (g.random(len(v)) < 0.02)]
        .to_frame("visitor_id")
        .assign(feature="trait:tier=gold")
    ),
    "a channel that only strangers came by": lambda v, g: (
        v[v.str[0] != "k"].to_frame("visitor_id").assign(feature="channel:broker")
    ),
    "a trait with many values, any of which tells": lambda v, g: (
        v[(v.str[0] == "k") | (g.random(len(v)) < 0.05)]
        .to_frame("visitor_id")
        .assign(
            feature=lambda frame: (
                "trait:club=" + pd.Series(g.integers(0, 4, len(frame)), frame.index).astype(str)
            )
        )
    ),
    "an account number as a value": lambda v, g: v.to_frame("visitor_id").assign(
        feature="account",
        value=lambda f: np.where(f["visitor_id"].str[0] == "k", 9e5, 1e5) + g.integers(0, 99, len(f)),
    ),
    "a rare sign of customers": lambda v, g: (
        v[((v.str[0] == "k") & (g.random(len(v)) < 0.3)) | (v == "s00001")]
        .to_frame("visitor_id")
        .assign(feature="site:help-for-customers")
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_refused_and_the_honest_features_stay(leak, lake, web):
    visitors = pd.concat(
        [web["audience_seeds"]["visitor_id"], pd.Series([f"s{i:05d}" for i in range(STRANGERS)])]
    )
    planted = LEAKS[leak](visitors.reset_index(drop=True), np.random.default_rng(1))
    rows = pd.concat(
        [
            web["visitor_features"],
            planted.fillna({"value": 1.0}) if "value" in planted else planted.assign(value=1.0),
        ]
    )
    features = sorted(rows["feature"].unique())
    ids = sorted(set(visitors))
    rows = rows[rows["visitor_id"].isin(ids)]
    matrix = sparse.csr_array(
        (
            rows["value"].to_numpy(),
            (np.searchsorted(ids, rows["visitor_id"]), np.searchsorted(features, rows["feature"])),
        )
    )
    refused = refuse_features(matrix, features, np.array([name[0] == "k" for name in ids]))
    assert set(refused) == set(planted["feature"])
    assert all(refused.values())


def test_a_leak_in_the_hand_over_is_named_on_the_card_and_does_not_make_the_model(lake):
    web = _web(with_taste=False)
    flags = web["audience_seeds"][["visitor_id"]].assign(feature="crm:flag", value=1.0)
    web["visitor_features"] = pd.concat([web["visitor_features"], flags])
    _, models, _ = _expand(lake, web)
    card = pd.read_parquet(lake.ml(DAY, "model_cards_lookalike")).set_index("metric")
    assert "crm:flag" in card.loc["features", "note"]
    assert models.loc["loyal", "auc"] < 0.65


def test_devices_of_one_person_are_never_on_both_sides_of_the_split(lake):
    """Each person of the seed browses the very same on two devices: seen on one, it would give away the other."""
    web = _web(with_taste=False)
    seeds = web["audience_seeds"]
    doubled = seeds.assign(visitor_id="z" + seeds["visitor_id"])
    copied = web["visitor_features"].merge(seeds[["visitor_id"]])
    copied["visitor_id"] = "z" + copied["visitor_id"]
    web["audience_seeds"] = pd.concat([seeds, doubled])
    web["known_visitors"] = pd.concat([web["known_visitors"], doubled[["visitor_id", "person_key"]]])
    web["visitor_features"] = pd.concat([web["visitor_features"], copied])
    _, models, _ = _expand(lake, web)
    assert models.loc["loyal", "seed_size"] == 200
    assert models.loc["loyal", "auc"] == pytest.approx(0.5, abs=0.12)


def test_the_curve_says_how_lift_falls_as_reach_grows(expanded):
    _, _, models, _ = expanded
    curve = json.loads(models.loc["loyal", "curve"])
    assert [point["share"] for point in curve] == sorted(point["share"] for point in curve)
    assert curve[0]["lift"] > curve[-1]["lift"] > 1
    assert {"share", "lift", "activity_lift"} <= set(curve[0])


def test_the_score_is_calibrated_on_people_it_never_saw(expanded):
    lake, *_ = expanded
    card = pd.read_parquet(lake.ml(DAY, "model_cards_lookalike")).set_index("metric")
    assert card.loc["ece", "value"] < 0.05


def test_the_control_group_is_as_large_as_configured_and_the_same_for_whoever_else_is_there():
    visitors = pd.Series([f"v{i}" for i in range(5000)])
    chosen = is_control(visitors, 0.1)
    assert chosen.mean() == pytest.approx(0.1, abs=0.015)
    assert is_control(visitors[::-7], 0.1).tolist() == chosen[::-7].tolist()
    first = int(hashlib.md5(b"tandem-control:v0").hexdigest()[:8], 16) / 2**32
    assert chosen[0] == (first < 0.1)


def test_two_runs_write_the_same_bytes_in_whatever_order_rows_come(expanded, lake, web):
    names = ("lookalike_models", "lookalike_members", "model_cards_lookalike")
    first = [expanded[0].ml(DAY, name).read_bytes() for name in names]
    _expand(lake, {table: frame.iloc[::-1] for table, frame in web.items()})
    assert [lake.ml(DAY, name).read_bytes() for name in names] == first


REFUSED = {
    "a small seed": (
        lambda web: {"audience_seeds": web["audience_seeds"].head(60)},
        "at least 100 are needed",
    ),
    "a seed of few people with many devices": (
        lambda web: {"audience_seeds": web["audience_seeds"].assign(person_key="one")},
        "the seed has 1 people",
    ),
    "few strangers": (
        lambda web: {
            "visitor_features": web["visitor_features"][
                ~web["visitor_features"]["visitor_id"].str.match("s0[1-9]|s00[1-9]")
            ]
        },
        "strangers with features",
    ),
    "a seed of nobody": (
        lambda web: {"audience_seeds": web["audience_seeds"].assign(audience_id="x")},
        "0 people",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_too_little_is_refused_with_its_reason(case, lake, web):
    change, reason = REFUSED[case]
    summary, models, members = _expand(lake, web | change(web))
    assert summary.status == "refused" and members.empty
    assert models.loc["loyal", "verdict"] == "refused" and reason in models.loc["loyal", "reason"]
    assert pd.isna(models.loc["loyal", "lift_at_5"])


SKIPPED = {
    "no visitors": (("visitor_features",), "no visitor with features"),
    "no seeds": (("audience_seeds",), "no visitor matches"),
    "nothing at all": (
        ("visitor_features", "audience_seeds", "known_visitors", "visitor_activity"),
        "no visitor",
    ),
}


@pytest.mark.parametrize("case", SKIPPED)
@pytest.mark.parametrize("with_files", [True, False], ids=["empty files", "no files"])
def test_no_input_gives_typed_empty_tables_and_the_reason(case, with_files, lake, web):
    missing, reason = SKIPPED[case]
    for table, frame in web.items():
        if table not in missing:
            hand_over(lake, table, frame)
        elif with_files:
            hand_over(lake, table, frame.iloc[:0])
    summary = expand_audiences(lake, DAY, _configuration(size=0.05))
    assert summary.skipped and reason in summary.note
    for name, schema in (("lookalike_models", LOOKALIKE_MODELS), ("lookalike_members", LOOKALIKE_MEMBERS)):
        table = pq.read_table(lake.ml(DAY, name))
        assert table.num_rows == 0 and table.schema.equals(schema)


def test_without_a_lookalike_block_nothing_is_expanded(lake, web):
    summary, models, members = _expand(lake, web, Configuration((Audience("loyal", None),)))
    assert summary.skipped and models.empty and members.empty


def test_a_larger_minimum_seed_is_respected(lake, web):
    configuration = replace(_configuration(size=0.05), models=Models(lookalike=LookalikeModel(min_seed=201)))
    _, models, _ = _expand(lake, web, configuration)
    assert models.loc["loyal", "reason"] == "the seed has 200 people, at least 201 are needed"


@pytest.fixture(scope="module")
def first_purchases(journey) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Baskets with each category in January to June, the same for July to December, and all early baskets.

    One row per household; the task of a category: its early buyers are the seed, the truth is who buys it first late.
    """
    baskets = journey.execute("""
        select
            household_id, category, bought_at < timestamp '2017-07-01' as is_early,
            count(distinct basket_id) as baskets
        from lines
        where category is not null
        group by all
        order by all
    """).df()
    wide = baskets.pivot(index=["is_early", "household_id"], columns="category", values="baskets").fillna(0)
    early = wide.loc[True]
    late = wide.loc[False].reindex(early.index).fillna(0)
    activity = journey.execute(
        "select household_id, count(*) as baskets from baskets where bought_at < timestamp '2017-07-01' group by 1"
    ).df()
    return early, late, activity.set_index("household_id")["baskets"].reindex(early.index).to_numpy(float)


def test_on_real_shoppers_first_buyers_are_found_better_than_by_activity(first_purchases):
    """The mean over 24 categories drawn at random, for single ones vary much; with the cheapest algorithm."""
    early, late, baskets = first_purchases
    seeds, first_buyers = early > 0, (early == 0) & (late > 0)
    tasks = early.columns[seeds.sum().between(100, 1000) & (first_buyers.sum() >= 80)]
    assert len(tasks) == 151
    folds = (stable_uniform(early.index.astype(str), "fold", 7) * pu.FOLDS).astype(int)
    measured = []
    for category in np.random.default_rng(0).choice(tasks, 24, replace=False):
        is_seed, truth = seeds[category].to_numpy(), first_buyers[category].to_numpy()
        matrix = sparse.csr_array(early.drop(columns=category).to_numpy())
        places = pu.out_of_fold_places("logistic on presence", matrix, is_seed, folds, 7, 50_000)
        others, everything = ~is_seed, early.sum(axis=1).to_numpy()
        measured.append(
            [lift(truth[others], score[others], 0.05) for score in (places, baskets, everything)]
            + [auc(truth[others], score[others]) for score in (places, baskets, everything)]
        )
    model, by_baskets, by_purchases, *areas = np.mean(measured, axis=0)
    assert by_baskets == pytest.approx(1.96, abs=0.05)
    assert model > 1.3 * by_baskets
    assert model > 1.1 * by_purchases
    assert areas[0] > max(areas[1:]) + 0.02


def test_the_algorithm_that_finds_most_hidden_seeds_is_chosen(first_purchases):
    early, _, _ = first_purchases
    is_seed = (early["INFANT FORMULA"] > 0).to_numpy()
    matrix = sparse.csr_array(early.drop(columns="INFANT FORMULA").to_numpy())
    folds = (stable_uniform(early.index.astype(str), "fold", 7) * pu.FOLDS).astype(int)
    lifts = pu.hidden_seed_lifts(matrix, is_seed, folds, 7)
    assert set(lifts) == set(pu.ALGORITHMS)
    assert lifts[pu.choose(lifts)] == max(lifts.values()) > 2
    assert pu.choose(dict.fromkeys(pu.ALGORITHMS, 2.0)) == "logistic on presence"
