"""What dbt hands to activation, and who is held back."""

from __future__ import annotations

import pytest

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


def test_what_was_delivered_is_told_up_to_the_day_before_and_without_addresses(built: AudienceLake) -> None:
    assert built.read("select as_of_date::varchar, status, reason, attempts from deliveries") == [
        ("2024-06-29", "failed", "(withheld)", 4)
    ]
