"""What dbt hands to activation, and who is held back."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tests.dbt_project.audience_lake import AudienceLake, built_audience_lake


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> AudienceLake:
    return built_audience_lake(tmp_path_factory)


def handed(built: AudienceLake, table: str, query: str) -> list[tuple]:
    return built.read(f"with handed as (from '{built.lake.staged(table)}') {query}")


def test_consents_are_handed_over_of_members_that_are_sent_anywhere_and_of_nobody_else(
    built: AudienceLake,
) -> None:
    members = handed(built, "member_consents", "select distinct side, member_id from handed")
    sent = built.read(
        "select distinct side, member_id from audience_members where audience_id in ('known_people', 'runners')"
    )
    assert set(members) <= set(sent)
    visitors = {member for side, member in members if side == "dmp"}
    # All of them granted advertising, or they would be no visitors.
    assert visitors == {member for side, member in sent if side == "dmp"} != set()
    assert handed(built, "member_consents", "select bool_and(is_granted) from handed where side = 'dmp'") == [
        (True,)
    ]


def test_what_a_customer_said_last_of_a_purpose_is_handed_over(built: AudienceLake) -> None:
    said = built.read("select customer_id, purpose, is_granted from int_customer_consents order by all")
    query = "select member_id, purpose, is_granted from handed where side = 'cdp' order by all"
    assert handed(built, "member_consents", query) == said != []


def test_an_audience_may_hold_back_other_shares_than_the_rest(built: AudienceLake) -> None:
    held_back = dict(
        built.read(
            "select audience_id, count(*) filter (where is_control) from audience_members group by all"
        )
    )
    assert held_back["likely_ann"] == 0 < held_back["known_people"]


def test_a_customers_latest_tcf_string_says_which_vendors_they_grant(built: AudienceLake) -> None:
    """Ann said it with her phone's advertising id; what her browser said last is no TCF string, and asks for none."""
    assert handed(
        built, "member_vendors", "select member_id, tcf_vendor, is_granted from handed order by all"
    ) == [
        ("c_u-ann", 2, True),
        ("c_u-ann", 755, False),
    ]


def test_lift_and_its_interval_are_those_of_scipy(built: AudienceLake) -> None:
    """The SQL that dbt ran, on people drawn at random."""
    draw = np.random.default_rng(7)
    people = pd.DataFrame(
        {
            "member_id": [f"c{number}" for number in range(400)],
            "is_control": draw.random(400) < 0.2,
            "changed_date": pd.to_datetime("2024-06-01") + pd.to_timedelta(draw.integers(0, 20, 400), "D"),
        }
    ).assign(audience_id="known_people", side="cdp", source="rule", change="entered")
    orders = pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in draw.integers(0, 400, 500)],
            "order_id": range(500),
            "total_amount": draw.integers(100, 9000, 500) / 100,
            "ordered_at": pd.to_datetime("2024-06-01") + pd.to_timedelta(draw.integers(0, 30 * 24, 500), "h"),
        }
    )
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse")
        connection.execute(
            "create table warehouse.audience_changes as "
            "select * replace (changed_date::date as changed_date) from people"
        )
        connection.execute(
            "create table warehouse.customer_orders as "
            "select * replace (total_amount::decimal(38, 4) as total_amount) from orders"
        )
        connection.execute(
            "create table warehouse.int_known_visitors (visitor_id varchar, customer_id varchar)"
        )
        lift = connection.execute(built.compiled("audience_lift")).df().set_index("outcome")

    known = people.merge(orders, left_on="member_id", right_on="customer_id", how="left")
    counts = known.ordered_at >= known.changed_date + pd.Timedelta(days=1)
    each = known.assign(orders=counts, spend=known.total_amount.where(counts, 0)).groupby("member_id")
    found = each.agg(is_control=("is_control", "first"), orders=("orders", "sum"), spend=("spend", "sum"))
    found["buyers"] = found.orders.clip(upper=1)
    for outcome in ("buyers", "orders", "spend"):
        treated, control = (
            found.loc[found.is_control == arm, outcome].astype(float) for arm in (False, True)
        )
        error = np.sqrt(treated.var() / len(treated) + control.var() / len(control))
        row = lift.loc[outcome]
        assert (row.treated, row.control) == (len(treated), len(control))
        assert row.lift == pytest.approx(treated.mean() - control.mean())
        assert row.relative_lift == pytest.approx(treated.mean() / control.mean() - 1)
        assert (row.low, row.high) == pytest.approx(tuple(norm.interval(0.95, row.lift, error)), abs=1e-3)


def test_what_was_delivered_is_told_up_to_the_day_before_and_without_addresses(built: AudienceLake) -> None:
    assert built.read("select as_of_date::varchar, status, reason, attempts from deliveries") == [
        ("2024-06-29", "failed", "(withheld)", 4)
    ]
