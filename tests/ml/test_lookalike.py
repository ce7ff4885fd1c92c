from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.config.schema import LookalikeModel, Models
from ml.lookalike import expand_audiences, is_control
from ml.tables import LOOKALIKE_FAIRNESS, LOOKALIKE_MEMBERS, LOOKALIKE_MODELS, LOOKALIKE_TRAITS
from tests.ml.shoppers import DAY, Audience, Configuration, hand_over
from tests.ml.web_worlds import STRANGERS, card_of, configuration_of, expand, web_world


@pytest.fixture
def web() -> dict[str, pd.DataFrame]:
    return web_world()


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
    for configuration, share in (
        (configuration_of(level="balanced"), 0.05),
        (configuration_of(size=0.02), 0.02),
    ):
        _, _, fewer = expand(lake, web, configuration)
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
    summary, models, members = expand(lake, web_world(with_taste=False))
    assert summary.status == "refused" and members.empty
    assert models.loc["loyal", "verdict"] == "refused"
    assert "not better than activity alone" in models.loc["loyal", "reason"]
    assert models.loc["loyal", "auc"] == pytest.approx(0.5, abs=0.1)


def test_a_seed_that_is_merely_active_is_refused(lake):
    _, models, _ = expand(lake, web_world(with_taste=False, events_of_seed=4.0))
    assert models.loc["loyal", "activity_lift_at_5"] > 3
    assert models.loc["loyal", "verdict"] == "refused"


def test_where_nobody_was_ever_seen_what_others_say_is_enough(lake, web):
    """A company of traits alone hands over no activity: then nobody is more active than anybody."""
    web["visitor_activity"] = web["visitor_activity"].iloc[:0]
    summary, models, members = expand(lake, web)
    assert summary.status == "published" and len(members)
    assert models.loc["loyal", "activity_lift_at_5"] == pytest.approx(1)


def test_devices_of_one_person_are_never_on_both_sides_of_the_split(lake):
    """Each person of the seed browses the very same on two devices: seen on one, it would give away the other."""
    web = web_world(with_taste=False)
    seeds = web["audience_seeds"]
    doubled = seeds.assign(visitor_id="z" + seeds["visitor_id"])
    copied = web["visitor_features"].merge(seeds[["visitor_id"]])
    copied["visitor_id"] = "z" + copied["visitor_id"]
    web["audience_seeds"] = pd.concat([seeds, doubled])
    web["known_visitors"] = pd.concat([web["known_visitors"], doubled[["visitor_id", "person_key"]]])
    web["visitor_features"] = pd.concat([web["visitor_features"], copied])
    _, models, _ = expand(lake, web)
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
    assert card_of(lake).loc["ece", "value"] < 0.05


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
    expand(lake, {table: frame.iloc[::-1] for table, frame in web.items()})
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
    summary, models, members = expand(lake, web | change(web))
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
    summary = expand_audiences(lake, DAY, configuration_of(size=0.05))
    assert summary.skipped and reason in summary.note
    for name, schema in (
        ("lookalike_models", LOOKALIKE_MODELS),
        ("lookalike_members", LOOKALIKE_MEMBERS),
        ("lookalike_traits", LOOKALIKE_TRAITS),
        ("lookalike_fairness", LOOKALIKE_FAIRNESS),
    ):
        table = pq.read_table(lake.ml(DAY, name))
        assert table.num_rows == 0 and table.schema.equals(schema)


def test_without_a_lookalike_block_nothing_is_expanded(lake, web):
    summary, models, members = expand(lake, web, Configuration((Audience("loyal", None),)))
    assert summary.skipped and models.empty and members.empty


def test_a_larger_minimum_seed_is_respected(lake, web):
    configuration = replace(
        configuration_of(size=0.05), models=Models(lookalike=LookalikeModel(min_seed=201))
    )
    _, models, _ = expand(lake, web, configuration)
    assert models.loc["loyal", "reason"] == "the seed has 200 people, at least 201 are needed"
