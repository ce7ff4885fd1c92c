"""Links and blocks that people decided: they take effect with the next run and go before all rules."""

from __future__ import annotations

import pytest

from include.config.schema import IdentityRules
from tests.include.identity.evidence import Desk, event, node_of, record


def decided(
    rules: IdentityRules, links: list[dict] | None = None, blocks: list[dict] | None = None
) -> IdentityRules:
    return IdentityRules.model_validate(
        rules.model_dump() | {"manual": {"links": links or [], "blocks": blocks or []}}
    )


def test_a_link_joins_two_records_even_against_a_unique_type(desk: Desk, rules: IdentityRules) -> None:
    one, two = record("1", customer_number="1", email="a@x"), record("2", customer_number="2", email="b@x")
    order = event(kind="orders", email="b@x")
    linked = decided(rules, links=[{"between": ["record:crm:1", "record:crm:2"]}])
    desk.put(one, two, order).resolve()
    assert desk.customer(one) != desk.customer(two)
    desk.resolve(2, linked)
    assert desk.customer(one, 2) == desk.customer(two, 2) == desk.customer(order, 2)
    assert [(change, reason) for *_, change, reason in desk.changes(2)] == [
        ("merged", "linked by manual_link")
    ]


def test_a_link_between_identifiers_joins_whoever_carries_them(desk: Desk, rules: IdentityRules) -> None:
    visit, mail = event(user_id="ann"), event(kind="messages", email="ann@x")
    desk.put(visit, mail).resolve(rules=decided(rules, links=[{"between": ["user_id:ann", "email:ANN@x "]}]))
    assert desk.customer(visit) == desk.customer(mail) is not None


def test_a_block_of_two_records_splits_them_and_a_later_link_does_not_bring_them_back(
    desk: Desk, rules: IdentityRules
) -> None:
    mother, daughter = record("1", email="home@x", phone="55555"), record("2", email="home@x", phone="66666")
    order = event(kind="orders", phone="66666")
    pair = {"between": ["record:crm:1", "record:crm:2"], "reason": "mother and daughter"}
    desk.put(mother, daughter, order).resolve()
    assert desk.customer(mother) == desk.customer(daughter)
    desk.resolve(2, decided(rules, blocks=[pair]))
    assert desk.customer(mother, 2) != desk.customer(daughter, 2) == desk.customer(order, 2)
    assert [change for *_, change, _ in desk.changes(2)] == ["split"]
    desk.resolve(3, decided(rules, links=[pair], blocks=[pair]))
    assert desk.customer(mother, 3) != desk.customer(daughter, 3)


def test_a_blocked_identifier_identifies_nobody(desk: Desk, rules: IdentityRules) -> None:
    one, two = record("1", email="Info@shop.example"), record("2", email="info@shop.example")
    desk.put(one, two).resolve(rules=decided(rules, blocks=[{"value": "email:info@shop.example"}]))
    assert desk.customer(one) != desk.customer(two)
    assert desk.fates()[node_of(one), "Info@shop.example"] == ("blocked", "manual")
    assert desk.claimants("email", "info@shop.example") == set()


def test_a_block_of_one_records_identifier_leaves_it_to_the_others(desk: Desk, rules: IdentityRules) -> None:
    one, two, three = (record(number, email="a@x") for number in "123")
    desk.put(one, two, three).resolve(
        rules=decided(rules, blocks=[{"between": ["record:crm:2", "email:A@x"]}])
    )
    assert desk.customer(one) == desk.customer(three) != desk.customer(two)
    assert desk.fates()[node_of(two), "a@x"] == ("removed", "manual")
    assert desk.fates()[node_of(one), "a@x"] == ("active", None)


def test_a_block_without_a_link_changes_nothing_else(
    desk: Desk, other_desk: Desk, rules: IdentityRules
) -> None:
    people = [record(str(number), email=f"{number // 2}@x") for number in range(8)]
    desk.put(*people).resolve()
    other_desk.put(*people).resolve(
        rules=decided(rules, blocks=[{"between": ["record:crm:0", "record:crm:7"]}])
    )
    assert desk.customers() == other_desk.customers()


def test_an_end_that_nothing_carries_is_told(
    desk: Desk, rules: IdentityRules, caplog: pytest.LogCaptureFixture
) -> None:
    desk.put(record("1", email="a@x")).resolve(
        rules=decided(rules, links=[{"between": ["record:crm:1", "record:shop:9"]}])
    )
    assert "identity.yml manual.links[0]: no record carries this end (shop:9)" in caplog.text


def test_manual_evidence_is_among_the_edges_and_nobody_claims_it(desk: Desk, rules: IdentityRules) -> None:
    one, two = record("1", email="a@x"), record("2", email="b@x")
    desk.put(one, two).resolve(rules=decided(rules, links=[{"between": ["record:crm:1", "record:crm:2"]}]))
    manual = [row for row in desk.read("edges") if row["id_type"] == "manual_link"]
    assert [(row["node_key"], row["status"]) for row in manual] == [
        (node_of(one), "active"), (node_of(two), "active"),
    ]  # fmt: skip
    assert {row["id_type"] for row in desk.read("identifier_customers")} == {"email"}
    assert {row["linked_by"] for row in desk.read("node_customers")} == {"manual_link"}
