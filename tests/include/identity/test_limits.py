"""How many values one customer may have, ever or within a window of days."""

from __future__ import annotations

import random

import pytest

from include.config.schema import IdentityRules
from tests.include.identity.evidence import Desk, event, node_of, record


def with_rules(**changes: dict) -> IdentityRules:
    """Two strong types, e-mails and cookies with a limit of three, and what a test changes."""
    id_types = {
        "customer_number": {"priority": 1, "unique": True},
        "loyalty_number": {"priority": 2, "limit": 2},
        "email": {"priority": 3, "limit": 3},
        "anonymous_id": {"priority": 4, "limit": 3},
    }
    return IdentityRules(id_types={name: rules | changes.get(name, {}) for name, rules in id_types.items()})


def test_a_cookie_that_would_join_too_many_e_mails_joins_none(desk: Desk) -> None:
    family = [event(email=f"{number}@x", anonymous_id="tablet") for number in range(4)]
    alone = event(anonymous_id="tablet")
    desk.put(*family, alone).resolve(rules=with_rules())
    assert len({desk.customer(rows) for rows in family}) == 4
    assert desk.customer(alone) is None
    assert desk.fates()[node_of(family[0]), "tablet"] == ("blocked", "limit:email")
    assert desk.claimants("anonymous_id", "tablet") == {desk.customer(rows) for rows in family}


def test_as_many_e_mails_as_the_limit_are_one_customer(desk: Desk) -> None:
    ann = [event(email=f"{number}@x", anonymous_id="tablet") for number in range(3)]
    desk.put(*ann).resolve(rules=with_rules())
    assert len({desk.customer(rows) for rows in ann}) == 1


def test_the_first_values_stay_with_what_stronger_evidence_ties_together(desk: Desk) -> None:
    ann = [event(landed=day, loyalty_number="7", email=f"{day}@x") for day in (1, 2, 3, 4, 5)]
    mailing = [event(landed=5, kind="messages", email=f"{day}@x") for day in (1, 5)]
    desk.put(*ann, *mailing).resolve(5, rules=with_rules())
    customers = {desk.customer(rows, 5) for rows in ann}
    assert len(customers) == 1
    assert desk.customer(mailing[0], 5) in customers
    assert desk.customer(mailing[1], 5) not in customers
    fates = desk.fates(5)
    assert [fates[node_of(rows), f"{day}@x"] for day, rows in enumerate(ann, 1)] == [
        ("active", None), ("active", None), ("active", None), ("removed", "limit:email"), ("removed", "limit:email"),
    ]  # fmt: skip


def test_a_limit_of_a_window_counts_only_what_came_close_together(desk: Desk) -> None:
    rules = with_rules(anonymous_id={"limit": 2, "window_days": 7})
    slow = [event(landed=day, email="slow@x", anonymous_id=f"s{day}") for day in (1, 5, 9, 13)]
    fast = [event(landed=day, email="fast@x", anonymous_id=f"f{day}") for day in (1, 2, 3, 13)]
    desk.put(*slow, *fast).resolve(13, rules=rules)
    fates = desk.fates(13)
    assert {fates[node_of(rows), f"s{day}"] for day, rows in zip((1, 5, 9, 13), slow, strict=True)} == {
        ("active", None)
    }
    assert [fates[node_of(rows), f"f{day}"][0] for day, rows in zip((1, 2, 3, 13), fast, strict=True)] == [
        "active", "active", "removed", "active",
    ]  # fmt: skip


def test_two_groups_that_a_weak_value_glues_come_apart_and_both_survive(desk: Desk) -> None:
    ann = [event(email=f"ann{number}@x", loyalty_number="1") for number in range(2)]
    bob = [event(email=f"bob{number}@x", loyalty_number="2") for number in range(2)]
    glue = event(email="ann0@x", anonymous_id="kiosk"), event(email="bob0@x", anonymous_id="kiosk")
    desk.put(*ann, *bob, *glue).resolve(rules=with_rules())
    assert {desk.customer(rows) for rows in (*ann, glue[0])} == {desk.customer(ann[0])}
    assert {desk.customer(rows) for rows in (*bob, glue[1])} == {desk.customer(bob[0])}
    assert desk.customer(ann[0]) != desk.customer(bob[0])
    assert {edge: fate for edge, fate in desk.fates().items() if fate[0] != "active"} == {
        (node_of(rows), "kiosk"): ("blocked", "limit:email") for rows in glue
    }


def test_a_hairball_of_one_type_ends_within_its_limit(desk: Desk) -> None:
    chain = [
        [*record(str(number), email=f"{number}@x"), *record(str(number), email=f"{number + 1}@x")]
        for number in range(40)
    ]
    desk.put(*chain).resolve(rules=with_rules())
    emails: dict[str, set[str]] = {}
    customers, fates = desk.customers(), desk.fates()
    for (node, value), (status, _) in fates.items():
        if status == "active":
            emails.setdefault(customers[node], set()).add(value)
    assert 2 <= max(len(values) for values in emails.values()) <= 3
    assert len(set(customers.values())) < 40
    assert {reason for _, reason in fates.values()} == {None, "limit:email"}


@pytest.mark.parametrize("seed", range(3))
def test_no_customer_has_more_than_the_limit_through_evidence_that_counts(seed: int, desk: Desk) -> None:
    draw = random.Random(seed)
    for number in range(120):
        identifiers = {
            "loyalty_number": f"l{draw.randint(0, 25)}",
            "email": f"e{draw.randint(0, 60)}@x",
            "anonymous_id": f"a{draw.randint(0, 50)}",
        }
        chosen = dict(draw.sample(sorted(identifiers.items()), 2))
        landed = draw.randint(1, 3)
        desk.put(record(str(number), landed, **chosen) if draw.random() < 0.3 else event(landed, **chosen))
    rules = with_rules()
    desk.resolve(3, rules=rules)
    customers, held = desk.customers(3), {}
    for row in desk.read("edges", 3):
        if row["status"] == "active" and (customer := customers[row["node_key"]]):
            held.setdefault((customer, row["id_type"]), set()).add(row["id_value"])
    most = {
        name: max(len(values) for (_, kind), values in held.items() if kind == name)
        for name in rules.id_types
        if name != "customer_number"
    }
    assert all(most[name] <= rules.id_types[name].limit for name in most)
    assert most["email"] == 3
    assert {fate[0] for fate in desk.fates(3).values()} == {"active", "blocked", "removed"}
