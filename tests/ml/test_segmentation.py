from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.config import load_configuration
from include.config.schema import Models, Segmentation
from include.lake import Lake
from include.settings import DEFAULT_CONFIG
from ml.evaluation import Estimate
from ml.segmentation import Trial, choose_number, segment_customers, try_numbers
from ml.tables import CUSTOMER_SEGMENTS, SEGMENTS
from ml.wording import name_group, name_holds, phrase
from tests.ml.shoppers import DAY, MODELS, hand_over


@pytest.fixture(scope="module")
def current(snapshots) -> pd.DataFrame:
    """The current snapshot and twenty customers who have not bought."""
    bought = snapshots[snapshots["is_current"]]
    never = bought.head(20).assign(
        customer_id=[f"cnew{i:02d}" for i in range(20)],
        frequency_orders=0,
        orders_28d=0,
        orders_84d=0,
        monetary_total=0.0,
    )
    never = never.assign(recency_days=np.nan)
    return pd.concat([bought, never], ignore_index=True)


def _run(lake, frame, day=DAY, models=MODELS):
    hand_over(lake, "customer_feature_snapshots", frame.assign(as_of_date=pd.Timestamp(day)))
    summary = segment_customers(lake, day, models)
    segments = pd.read_parquet(lake.ml(day, "segments")).set_index("segment_id")
    members = pd.read_parquet(lake.ml(day, "customer_segments")).set_index("customer_id")
    return (
        summary,
        segments[segments["scheme"] == "behaviour"],
        members.loc[members["scheme"] == "behaviour", "segment_id"],
    )


def _both(lake, day=DAY):
    return pd.read_parquet(lake.ml(day, "segments")), pd.read_parquet(lake.ml(day, "customer_segments"))


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, current):
    """One day of segments: lake, summary, segments, segment of each customer."""
    lake = Lake(tmp_path_factory.mktemp("segmented"))
    return lake, *_run(lake, current)


def test_every_customer_is_in_one_segment_and_the_sizes_add_up(segmented, current):
    _, summary, segments, members = segmented
    assert summary.status == "reported"
    assert set(members.index) == set(current["customer_id"])
    assert members.index.is_unique
    assert segments["size"].to_dict() == members.value_counts().to_dict()
    assert segments["share"].sum() == pytest.approx(1)
    assert segments["name"].is_unique


def test_customers_who_never_bought_are_a_segment_of_their_own(segmented):
    _, _, segments, members = segmented
    assert set(members[members == "no_purchase_yet"].index) == {f"cnew{i:02d}" for i in range(20)}
    assert segments.loc["no_purchase_yet", "name"] == "No purchase yet"


def test_segments_differ_in_worth_and_their_numbers_are_those_of_their_members(segmented, current):
    _, _, segments, members = segmented
    spend = current.set_index("customer_id")["monetary_total"].groupby(members).mean()
    grouped = segments.drop(index="no_purchase_yet")
    assert grouped["mean_spend"].to_dict() == pytest.approx(spend.drop("no_purchase_yet").to_dict())
    assert grouped["mean_spend"].max() > 3 * grouped["mean_spend"].min()


def test_segments_keep_their_ids_and_names_when_the_next_day_differs_a_little_and_comes_in_another_order(
    lake, current
):
    _, before, yesterday = _run(lake, current)
    generator = np.random.default_rng(4)
    changed = current.sample(frac=0.98, random_state=1)
    changed = changed.assign(
        frequency_orders=changed["frequency_orders"]
        + (changed["frequency_orders"] > 0) * generator.poisson(0.2, len(changed)),
        recency_days=changed["recency_days"] + 1,
    )
    _, after, today = _run(lake, changed, DAY + timedelta(days=1))
    assert after["name"].to_dict() == before["name"].to_dict()
    both = today.index.intersection(yesterday.index)
    assert (today[both] == yesterday[both]).mean() > 0.9


def test_a_new_segment_gets_a_number_that_was_never_used(lake, current):
    three = Models(segmentation=Segmentation(k_min=3, k_max=3))
    five = Models(segmentation=Segmentation(k_min=5, k_max=5))
    _run(lake, current, DAY, five)
    _run(lake, current, DAY + timedelta(days=1), three)
    _, segments, _ = _run(lake, current, DAY + timedelta(days=2), five)
    kept = set(_both(lake, DAY + timedelta(days=1))[0]["segment_id"])
    new = set(segments.index) - kept
    assert len(kept & {"s01", "s02", "s03", "s04", "s05"}) >= 2
    assert new and all(int(name[1:]) > 5 for name in new)


def test_the_number_of_planted_groups_is_found():
    generator = np.random.default_rng(0)
    centers = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5]])
    matrix = np.vstack([generator.normal(center, 0.6, (80, 3)) for center in centers])
    chosen = choose_number(try_numbers(matrix, 2, 7, seed=0))
    assert chosen.k == 4
    assert chosen.stability.value > 0.95


def _trial(k: int, silhouette: float, stability: float = 0.9, smallest_share: float = 0.1) -> Trial:
    return Trial(k, np.zeros((k, 1)), Estimate(silhouette, 0, 1), Estimate(stability, 0, 1), smallest_share)


def test_more_segments_are_taken_while_they_are_nearly_as_distinct():
    assert choose_number([_trial(2, 0.30), _trial(5, 0.28), _trial(6, 0.26)]).k == 5


def test_segments_that_are_tiny_or_that_resampling_changes_do_not_count():
    trials = [_trial(2, 0.2), _trial(3, 0.5, stability=0.4), _trial(4, 0.5, smallest_share=0.01)]
    assert choose_number(trials).k == 2
    assert choose_number([_trial(3, 0.5, stability=0.4), _trial(4, 0.5, stability=0.5)]).k == 4


def test_yesterdays_number_is_kept_while_it_is_still_good():
    trials = [_trial(3, 0.30), _trial(4, 0.25), _trial(5, 0.20)]
    assert [choose_number(trials, before=k).k for k in (3, 4, 5)] == [3, 4, 3]


def test_the_card_holds_the_grouping_against_shuffled_columns(segmented):
    lake, *_ = segmented
    card = pd.read_parquet(lake.ml(DAY, "model_cards_segmentation"))
    card = card[card["model"] == "segments"].set_index("metric")
    assert card.loc["silhouette", "low"] > card.loc["silhouette", "baseline"]
    assert card.loc["stability", "value"] > card.loc["stability", "baseline"]
    assert "Tried k=3" in card.loc["segments", "note"]


def test_a_segment_is_named_by_what_sets_it_apart():
    differences = {"orders_90d": 1.4, "average_order_value": 1.1, "coupon_share": 0.9, "weekend_share": 0.1}
    assert name_group(differences) == "Frequent, big baskets, promotion lovers"
    assert name_group({"orders_90d": 0.1}) == "Close to the average"
    assert name_group({"beer_lines_56d": 2.0, "beer_lines": 1.9}) == "High beer lines"


@pytest.mark.parametrize(
    ("feature", "much"),
    [
        ("days_since_last_click", "hardly clicks"),
        ("days_since_last_contact", "no contact for long"),
        ("days_since_last_visit", "not online for long"),
        ("emails_clicked_28d", "clicks in messages"),
        ("emails_opened_84d", "reads messages"),
        ("emails_sent_28d", "often written to"),
        ("recency_days", "long away"),
    ],
)
def test_long_since_something_is_not_called_much_of_it(feature, much):
    assert phrase(feature, 1.0) == much


def test_a_description_states_the_numbers_it_rests_on(segmented):
    _, _, segments, _ = segmented
    first = segments.loc["s01"]
    assert first["description"].startswith(f"{first['size']:,} customers ({first['share']:.1%}): ")
    assert "standard deviations" in first["description"]


def test_two_runs_write_the_same_bytes(segmented, lake, current):
    names = ("segments", "customer_segments", "model_cards_segmentation")
    first = [segmented[0].ml(DAY, name).read_bytes() for name in names]
    _run(lake, current.iloc[::-1])
    assert [lake.ml(DAY, name).read_bytes() for name in names] == first


@pytest.mark.parametrize("rows", [None, 0, 4])
def test_too_few_buyers_give_typed_empty_tables_and_the_reason(rows, lake, current):
    if rows is not None:
        hand_over(lake, "customer_feature_snapshots", current.head(rows))
    summary = segment_customers(lake, DAY, MODELS)
    assert summary.skipped
    for name, schema in (("segments", SEGMENTS), ("customer_segments", CUSTOMER_SEGMENTS)):
        table = pq.read_table(lake.ml(DAY, name))
        assert table.num_rows == 0 and table.schema.equals(schema)
    notes = pq.read_table(lake.ml(DAY, "model_cards_segmentation"))["note"].to_pylist()
    assert len(notes) == 2
    assert all(
        note.startswith("skipped: ") and note.removeprefix("skipped: ") in summary.note for note in notes
    )


def test_thirty_buyers_are_too_few_to_look_for_kinds_but_not_to_rank(lake, current):
    hand_over(lake, "customer_feature_snapshots", current.head(30).assign(as_of_date=pd.Timestamp(DAY)))
    assert segment_customers(lake, DAY, MODELS).status == "reported"
    segments, members = _both(lake)
    assert set(segments["scheme"]) == set(members["scheme"]) == {"rfm"}
    assert members["customer_id"].is_unique and len(members) == 30


def test_every_customer_is_in_one_segment_of_each_scheme(segmented, current):
    segments, members = _both(segmented[0])
    for scheme in ("behaviour", "rfm"):
        inside = members[members["scheme"] == scheme]
        assert sorted(inside["customer_id"]) == sorted(current["customer_id"])
        described = segments[segments["scheme"] == scheme].set_index("segment_id")
        assert described["size"].to_dict() == inside["segment_id"].value_counts().to_dict()
        assert described["share"].sum() == pytest.approx(1)
    never = members[members["customer_id"].str.startswith("cnew")].groupby("scheme")["segment_id"].unique()
    assert {scheme: list(ids) for scheme, ids in never.items()} == {
        "behaviour": ["no_purchase_yet"],
        "rfm": ["rfm_no_purchase"],
    }


def test_growth_is_of_the_customers_of_the_cutoff_before_in_todays_segments(lake, snapshots):
    """The cutoff before holds every customer of today twice over, so each segment has shrunk by half."""
    today = snapshots[snapshots["is_current"]].head(400)
    before = today.assign(as_of_date=DAY - timedelta(days=28), is_current=False)
    twins = before.assign(customer_id=before["customer_id"] + "x")
    hand_over(
        lake,
        "customer_feature_snapshots",
        pd.concat([today.assign(as_of_date=DAY), before, twins]).reset_index(drop=True),
    )
    segment_customers(lake, DAY, MODELS)
    segments, _ = _both(lake)
    assert (segments["size_before"] == 2 * segments["size"]).all()
    assert segments["trend"].tolist() == pytest.approx([-0.5] * len(segments))
    assert segments["mean_spend_before"].tolist() == pytest.approx(segments["mean_spend"].tolist())
    assert set(segments["compared_with"]) == {DAY - timedelta(days=28)}


def test_the_value_expected_of_a_segment_is_the_mean_of_its_customers_scores(lake, current):
    current = current.tail(400)
    scores = pd.DataFrame(
        {
            "customer_id": current["customer_id"],
            "score": "expected_value",
            "value": np.arange(len(current)) * 1.0,
        }
    )
    lake.ml(DAY, "any").parent.mkdir(parents=True)
    scores.to_parquet(lake.ml(DAY, "customer_scores_value"), index=False)
    _, segments, members = _run(lake, current)
    expected = scores.set_index("customer_id")["value"].groupby(members).mean().to_dict()
    assert segments["mean_expected_value"].to_dict() == pytest.approx(expected)


def test_while_nobody_has_bought_everybody_is_grouped_by_what_else_they_do(lake, current):
    generator = np.random.default_rng(1)
    calls = np.concatenate([generator.poisson(1, 60), generator.poisson(30, 60)])
    people = current.head(120).assign(frequency_orders=0, orders_28d=0, orders_84d=0, monetary_total=0.0)
    people = people.assign(recency_days=np.nan, bought_in_horizon=None)
    silent = [
        c
        for c in people
        if c not in ("customer_id", "as_of_date", "is_current", "frequency_orders", "recency_days")
    ]
    people = people.drop(columns=silent).assign(calls_84d=calls)
    _, segments, members = _run(lake, people, models=Models(segmentation=Segmentation(k_min=2, k_max=2)))
    assert "no_purchase_yet" not in segments.index
    often = members[people.loc[people["calls_84d"] > 15, "customer_id"]]
    seldom = members[people.loc[people["calls_84d"] <= 15, "customer_id"]]
    assert not set(often) & set(seldom)
    assert set(_both(lake)[0]["scheme"]) == {"behaviour"}


def test_a_name_stays_while_it_is_true_and_goes_when_it_is_not():
    name = name_group({"orders_90d": 1.4, "discount_share": -0.5})
    assert name == "Frequent, full-price buyers"
    assert name_holds(name, {"orders_90d": 0.2, "discount_share": -0.3, "tenure_days": 2.0})
    assert name_holds(f"{name} (2)", {"orders_90d": 0.2, "discount_share": -0.3})
    assert not name_holds(name, {"orders_90d": 0.2, "discount_share": 0.3})
    assert not name_holds(name, {"orders_90d": 0.1, "discount_share": -0.3})
    assert name_holds("Close to the average", {"orders_90d": 0.4})
    assert not name_holds("Close to the average", {"orders_90d": 0.5})


def test_the_default_configuration_drives_it(lake, current):
    summary, segments, _ = _run(lake, current, models=load_configuration(DEFAULT_CONFIG).models)
    assert summary.status == "reported"
    assert 2 <= len(segments.drop(index="no_purchase_yet")) <= 8
