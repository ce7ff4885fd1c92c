"""features.yml: a company adds to what is known of customers, and every mistake is named."""

from __future__ import annotations

from datetime import date

import pytest

from include.config import dbt_variables, load_configuration
from include.config.checks import check_features
from include.config.columns import customer_columns
from include.config.document import read_document
from include.config.features import ALLOWED, NEEDED, compile_features
from include.config.schema import FeatureRule
from include.lake import Lake
from include.settings import DEFAULT_CONFIG

LATE = "features:\n  late_orders: {over: orders, measure: count, where: part_of_day = 'night'}\n"
AUDIENCE = 'audiences:\n  - {{id: owls, side: cdp, where: "{}"}}\n'
ORDER_WORDS = "channel, occurred_at, order_id, status, "


def test_the_contract_of_customer_features_is_what_is_declared():
    """A default feature without a column, or a column without a declaration, would break the build of dbt."""
    configuration = load_configuration(DEFAULT_CONFIG)
    contract = customer_columns()
    declared = compile_features(configuration.features, ())
    assert len(declared) >= 60
    assert {feature["name"]: contract.get(feature["name"]) for feature in declared} == {
        feature["name"]: feature["type"] for feature in declared
    }


def test_the_default_file_keeps_its_own_rules():
    assert load_configuration(DEFAULT_CONFIG).own_features == ()
    document = read_document(DEFAULT_CONFIG / "features.yml")
    assert list(check_features(document, (), ())) == []


def test_own_features_are_added_to_those_of_the_project(load, tmp_path):
    configuration = load(features=LATE)
    told = dbt_variables(configuration, date(2024, 6, 30), Lake(tmp_path))["features"]
    assert configuration.own_features == ("late_orders",)
    assert [feature["name"] for feature in told if feature["is_own"]] == ["late_orders"]
    assert {"recency_days", "late_orders"} <= {feature["name"] for feature in told}
    assert told[-1] == {
        "name": "late_orders", "table": "int_known_orders", "within": '"is_valid"', "measure": "count", "of": None,
        "per": None, "by": None, "where": "(\"part_of_day\" = 'night')", "days": None, "missing": 0, "type": "bigint",
        "is_own": True,
    }  # fmt: skip


def test_an_audience_asks_for_an_own_feature(load, tmp_path):
    configuration = load(features=LATE, audiences=AUDIENCE.format("feature('late_orders') >= 2"))
    (audience,) = dbt_variables(configuration, date(2024, 6, 30), Lake(tmp_path))["audiences"]
    assert audience["predicate"] == "(\"own_features\"['late_orders'] >= 2)"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("feature('late_order') > 1", "found the feature 'late_order', allowed: late_orders (did you mean "),
        ("feature('orders') > 1", "the column orders by its name alone"),
        ("feature(late_orders) > 1", "allowed: feature('name')"),
    ],
)
def test_an_audience_may_ask_only_for_features_there_are(problems, where, message):
    (line,) = problems(features=LATE, audiences=AUDIENCE.format(where))
    assert line.startswith("audiences.yml:2 audiences[owls].where: ")
    assert message in line


@pytest.mark.parametrize(
    ("feature", "where", "message"),
    [
        (
            "{over: order, measure: count}",
            ".over",
            "found 'order', allowed: orders, placed_orders, order_lines, ",
        ),
        ("{over: orders, measure: average}", ".measure", "found 'average', allowed: count, distinct, sum, "),
        ("{over: orders}", ".measure", "found nothing, allowed: count, distinct, sum, "),
        ("{over: orders, measure: sum}", "", "found no of, allowed: sum with of"),
        (
            "{over: orders, measure: ratio, of: total_amount}",
            "",
            "found no per, allowed: ratio with of and per",
        ),
        (
            "{over: orders, measure: count, by: coupon}",
            ".by",
            "found with count, allowed: count with where, days",
        ),
        (
            "{over: orders, measure: sum, of: totl_amount}",
            ".of",
            f"the column 'totl_amount', allowed: {ORDER_WORDS}",
        ),
        ("{over: orders, measure: sum, of: coupon}", ".of", "allowed: a number; this is varchar"),
        (
            "{over: orders, measure: count, where: total_amount}",
            ".where",
            "a condition that is true or false",
        ),
        (
            "{over: orders, measure: count, where: 'current_timestamp > occurred_at'}",
            ".where",
            "no clock and no chance",
        ),
        ("{over: orders, measure: count, where: 'random() < 0.5'}", ".where", "no clock and no chance"),
        ("{over: orders, measure: count, where: '(select 1) = 1'}", ".where", "without select"),
        ("{over: orders, measure: count, days: 0}", ".days", "found 0, allowed: at least 1"),
        (
            "{over: orders, measure: count, dayz: 7}",
            ".dayz",
            "found the key 'dayz', allowed: over, measure, of, ",
        ),
        ("{over: orders, measure: most_frequent, of: coupon}", ".measure", "a measure that is a number"),
    ],
)
def test_a_mistake_in_a_feature_is_named(problems, feature, where, message):
    (line,) = problems(features=f"features:\n  mine: {feature}\n")
    assert line.startswith(f"features.yml:2 features.mine{where}: ")
    assert message in line


@pytest.mark.parametrize("name", ["recency_days", "city"])
def test_a_name_that_exists_is_refused(problems, name):
    assert problems(features=f"features:\n  {name}: {{over: orders, measure: count}}\n") == [
        f"features.yml:2 features.{name}: found '{name}', allowed: a name that no feature or column has yet"
    ]


def test_every_measure_says_what_it_needs():
    measures = FeatureRule.model_fields["measure"].annotation.__args__
    assert set(measures) == set(ALLOWED) | set(NEEDED)


def test_a_model_learns_from_the_features_that_are_chosen(load):
    chosen = load(
        models="purchase: {features: {only: [orders_*], except: [orders_28d]}}\n"
    ).models.purchase.features
    assert (chosen.only, chosen.except_) == (("orders_*",), ("orders_28d",))
