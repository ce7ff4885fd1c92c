"""Shared values, values with too many partners, and components that break a unique type."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from include.config.schema import IdentityRules
from tests.include.identity.evidence import Desk, event, node_of, record

FRUIT = ("apple", "pear", "plum", "fig")


def twin(record_id: str, *emails: str) -> list[tuple]:
    """A record with several e-mails, as a history of them gives it."""
    return [row for email in emails for row in record(record_id, email=email)]


def test_a_shared_device_does_not_merge_two_customers(desk: Desk) -> None:
    ann, bob = (
        record("1", customer_number="1", user_id="ann"),
        record("2", customer_number="2", user_id="bob"),
    )
    of_ann, of_bob = event(device_id="tv", user_id="ann"), event(device_id="tv", user_id="bob")
    of_nobody = event(device_id="tv")
    desk.put(ann, bob, of_ann, of_bob, of_nobody).resolve()
    assert desk.customer(ann) != desk.customer(bob)
    assert desk.customer(of_ann) == desk.customer(ann)
    assert desk.customer(of_bob) == desk.customer(bob)
    assert desk.customer(of_nobody) is None
    assert desk.fates()[node_of(of_nobody), "tv"] == ("blocked", "shared")
    assert desk.claimants("device_id", "tv") == {desk.customer(ann), desk.customer(bob)}


def test_what_was_done_before_a_login_belongs_to_the_customer_of_the_device(desk: Desk) -> None:
    ann = record("1", customer_number="1", user_id="ann")
    before, login = event(anonymous_id="a"), event(anonymous_id="a", user_id="ann")
    desk.put(ann, before, login).resolve()
    assert desk.customer(before) == desk.customer(login) == desk.customer(ann) is not None


def test_a_device_shared_through_e_mails_is_shared_too(desk: Desk) -> None:
    ann, bob = (
        record("1", customer_number="1", email="ann@x"),
        record("2", customer_number="2", email="bob@x"),
    )
    of_ann, of_bob, of_nobody = (
        event(anonymous_id="a", email="ann@x"),
        event(anonymous_id="a", email="bob@x"),
        event(anonymous_id="a"),
    )
    desk.put(ann, bob, of_ann, of_bob, of_nobody).resolve()
    assert desk.customer(of_ann) == desk.customer(ann) != desk.customer(bob) == desk.customer(of_bob)
    assert desk.customer(of_nobody) is None
    assert desk.fates()[node_of(of_ann), "a"] == ("blocked", "shared")
    assert desk.fates()[node_of(of_ann), "ann@x"] == ("active", None)


def test_a_duplicate_with_a_shared_e_mail_does_not_glue_two_customer_numbers(desk: Desk) -> None:
    one, two = (
        record("1", customer_number="1", email="home@x"),
        record("2", customer_number="2", email="home@x"),
    )
    duplicate, order = record("3", email="home@x"), event(kind="orders", email="home@x")
    desk.put(one, two, duplicate, order).resolve()
    assert len({desk.customer(rows) for rows in (one, two, duplicate)}) == 3
    assert desk.customer(order) is None
    assert desk.claimants("email", "home@x") == {desk.customer(rows) for rows in (one, two, duplicate)}


def test_a_household_phone_leaves_each_persons_own_e_mail_its_power(desk: Desk) -> None:
    one, two = (
        record("1", customer_number="1", email="ann@x", phone="5"),
        record("2", customer_number="2", email="bob@x", phone="5"),
    )
    loyalty_one = record("l1", channel="loyalty", email="ann@x")
    loyalty_two = record("l2", channel="loyalty", email="bob@x", phone="5")
    desk.put(one, two, loyalty_one, loyalty_two).resolve()
    assert (
        desk.customer(loyalty_one) == desk.customer(one) != desk.customer(two) == desk.customer(loyalty_two)
    )


def test_a_conflict_through_a_record_of_two_people_keeps_both_and_cuts_the_weaker_evidence(
    desk: Desk,
) -> None:
    one, two = record("1", customer_number="1", email="ann@x"), record("2", customer_number="2", phone="5")
    mixed = record("3", email="ann@x", phone="5")
    desk.put(one, two, mixed).resolve()
    assert desk.customer(mixed) == desk.customer(one) != desk.customer(two)
    fates = desk.fates()
    assert fates[node_of(mixed), "ann@x"] == ("active", None)
    assert fates[node_of(mixed), "5"] == ("blocked", "shared")


def test_a_record_that_both_customers_claim_by_one_type_is_cut_off_with_its_reason(desk: Desk) -> None:
    one, two = (
        record("1", customer_number="1", email="ann@x"),
        record("2", customer_number="2", email="bob@x"),
    )
    both = twin("3", "ann@x", "bob@x")
    friend = event(kind="messages", email="ann@x")
    resolved = desk.put(one, two, both, friend).resolve()
    assert len({desk.customer(rows) for rows in (one, two, both)}) == 3
    assert desk.customer(friend) == desk.customer(one)
    fates = desk.fates()
    assert (
        fates[node_of(both), "ann@x"]
        == fates[node_of(both), "bob@x"]
        == ("removed", "conflict:customer_number")
    )
    assert fates[node_of(one), "ann@x"] == fates[node_of(two), "bob@x"] == ("active", None)
    assert (resolved.customers, resolved.removed_edges) == (3, 2)


def test_a_chain_between_two_customers_is_cut_where_their_claims_meet(desk: Desk) -> None:
    one, two = record("1", customer_number="1", email="a@x"), record("2", customer_number="2", email="d@x")
    near_one, middle, near_two = twin("3", "a@x", "b@x"), twin("4", "b@x", "c@x"), twin("5", "c@x", "d@x")
    desk.put(one, two, near_one, middle, near_two).resolve()
    assert desk.customer(near_one) == desk.customer(one)
    assert desk.customer(near_two) == desk.customer(two)
    assert desk.customer(middle) not in {desk.customer(one), desk.customer(two), None}
    cut = {edge for edge, fate in desk.fates().items() if fate == ("removed", "conflict:customer_number")}
    assert cut == {(node_of(middle), "b@x"), (node_of(middle), "c@x")}


def test_a_value_that_followers_of_two_customers_carry_follows_neither(desk: Desk) -> None:
    one, two = record("1", customer_number="1", email="a@x"), record("2", customer_number="2", email="d@x")
    near_one, near_two = twin("3", "a@x", "b@x"), twin("4", "b@x", "d@x")
    desk.put(one, two, near_one, near_two).resolve()
    assert desk.customer(near_one) == desk.customer(one) != desk.customer(two) == desk.customer(near_two)
    cut = {edge for edge, fate in desk.fates().items() if fate == ("removed", "conflict:customer_number")}
    assert cut == {(node_of(near_one), "b@x"), (node_of(near_two), "b@x")}


def test_one_customer_number_with_two_logins_is_one_customer(desk: Desk) -> None:
    crm = record("1", customer_number="1", user_id="ann")
    order = event(kind="orders", customer_number="1", user_id="ann2")
    phone = event(anonymous_id="a", user_id="ann"), event(anonymous_id="a", user_id="ann2")
    desk.put(crm, order, *phone).resolve()
    assert len(set(desk.customers().values())) == 1
    assert set(desk.fates().values()) == {("active", None)}


def test_a_login_that_two_customer_numbers_use_ties_neither(desk: Desk) -> None:
    one, two = (
        record("1", customer_number="1", user_id="family"),
        record("2", customer_number="2", user_id="family"),
    )
    desk.put(one, two).resolve()
    assert desk.customer(one) != desk.customer(two)
    assert desk.fates()[node_of(one), "family"] == ("blocked", "shared")


def test_a_login_joins_the_customer_of_its_e_mail(desk: Desk) -> None:
    crm, login = record("1", customer_number="1", email="ann@x"), event(user_id="ann", email="ann@x")
    desk.put(crm, login).resolve()
    assert desk.customer(crm) == desk.customer(login)


def test_a_weaker_unique_type_still_forbids_a_merge(desk: Desk) -> None:
    rules = IdentityRules(
        id_types={"email": {"priority": 1}, "loyalty_number": {"priority": 2, "limit": 1, "unique": True}}
    )
    one, two = (
        record("1", email="home@x", loyalty_number="1"),
        record("2", email="home@x", loyalty_number="2"),
    )
    again = record("3", loyalty_number="1")
    desk.put(one, two, again).resolve(rules=rules)
    assert desk.customer(one) == desk.customer(again) != desk.customer(two)
    assert desk.fates()[node_of(one), "home@x"] == ("blocked", "shared")


def test_a_placeholder_with_far_more_partners_than_usual_loses_its_power(desk: Desk) -> None:
    people = [record(str(number), email=f"{number}@x", phone="5000") for number in range(30)]
    others = [record(f"o{number}", email=f"o{number}@x", phone=f"6{number}") for number in range(30)]
    desk.put(*people, *others).resolve()
    assert len(set(desk.customers().values())) == 60
    assert desk.fates()[node_of(people[0]), "5000"] == ("blocked", "too_many_partners")
    assert desk.fates()[node_of(people[0]), "0@x"] == ("active", None)
    assert desk.claimants("phone", "5000") == set()


def test_a_kiosk_does_not_hand_its_visitors_to_the_one_who_logged_in(desk: Desk) -> None:
    ann = record("1", customer_number="1", user_id="ann")
    visitors = [event(device_id="kiosk", anonymous_id=f"v{number}") for number in range(80)]
    login = event(device_id="kiosk", anonymous_id="v0", user_id="ann")
    homes = [event(device_id=f"home{number}", anonymous_id=f"h{number}") for number in range(20)]
    desk.put(ann, login, *visitors, *homes).resolve()
    customers = desk.customers()
    assert customers[node_of(login)] == customers[node_of(visitors[0])] == customers[node_of(ann)]
    assert {customers[node_of(rows)] for rows in visitors[1:]} == {None}


def test_someone_who_clears_cookies_often_stays_one_customer(desk: Desk) -> None:
    ann = record("1", customer_number="1", email="ann@x", user_id="ann")
    visits = [event(anonymous_id=f"a{number}", user_id="ann", email="ann@x") for number in range(200)]
    desk.put(ann, *visits).resolve()
    assert set(desk.customers().values()) == {desk.customer(ann)}
    fates = [fate for (_, value), fate in desk.fates().items() if value[1:].isdigit()]
    assert fates.count(("active", None)) == 5
    assert set(fates) == {("active", None), ("removed", "limit:anonymous_id")}


def test_many_partners_are_no_reason_where_they_are_usual(desk: Desk) -> None:
    shops = [
        event(device_id=f"till{till}", anonymous_id=f"v{till}-{visitor}")
        for till in range(6)
        for visitor in range(55 + till)
    ]
    desk.put(*shops).resolve()
    assert set(desk.fates().values()) == {("active", None)}


@pytest.mark.parametrize("seed", range(4))
def test_any_evidence_leaves_customers_that_keep_the_unique_types(seed: int, desk: Desk) -> None:
    draw = random.Random(seed)
    pools = {
        "customer_number": [f"c{number}" for number in range(12)],
        "user_id": [f"u{number}" for number in range(14)],
        "email": [f"e{number}@x" for number in range(25)],
        "phone": [f"7{number}" for number in range(25)],
        "anonymous_id": [f"a{number}" for number in range(30)],
    }
    for number in range(80):
        chosen = draw.sample(sorted(pools), draw.randint(1, 3))
        identifiers = {id_type: draw.choice(pools[id_type]) for id_type in chosen}
        desk.put(record(str(number), **identifiers) if draw.random() < 0.4 else event(**identifiers))
    desk.resolve()

    edges = desk.read("edges")
    assert len(edges) == len({(row[0], row[4], row[5]) for row in desk.rows})
    graph, strong = nx.Graph(), nx.Graph()
    for rows in desk.rows:
        graph.add_node(rows[0])
    for edge in edges:
        value = (edge["id_type"], edge["id_value"])
        if edge["status"] == "active":
            graph.add_edge(edge["node_key"], value)
            if edge["id_type"] == "customer_number":
                strong.add_edge(edge["node_key"], value)
        elif edge["status"] == "removed":
            assert edge["reason"] in {"conflict:customer_number", "conflict:user_id"}

    customers = desk.customers()
    named = 0
    for members in nx.connected_components(graph):
        (owner,) = {customers[member] for member in members if isinstance(member, str)}
        named += owner is not None
        numbers = {member[1] for member in members if member[0] == "customer_number"}
        assert len(numbers) <= 1
        logins = {member for member in members if member[0] == "user_id"}
        # Two logins may only meet in one customer through that customer's number.
        assert len(logins) <= 1 or all(
            any(neighbour in strong for neighbour in graph[login]) for login in logins
        )
    assert named == len(set(customers.values()) - {None}) > 0
    assert {fate[0] for fate in desk.fates().values()} >= {"active", "blocked"}


def test_evidence_without_conflict_loses_nothing(desk: Desk) -> None:
    people = [
        rows
        for number, name in enumerate(FRUIT)
        for rows in (
            record(str(number), customer_number=str(number), email=f"{name}@x"),
            record(f"l{number}", channel="loyalty", email=f"{name}@x", loyalty_number=name),
            event(user_id=name, email=f"{name}@x", anonymous_id=name),
        )
    ]
    resolved = desk.put(*people).resolve()
    assert (resolved.customers, resolved.blocked_edges, resolved.removed_edges) == (4, 0, 0)
    assert resolved.largest_customer_nodes == 3
