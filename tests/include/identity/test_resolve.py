"""The laws of resolve: a function of the evidence, with ids that stay, and a log of what changed."""

from __future__ import annotations

import hashlib
import random

import duckdb
import pytest

from include.config.schema import IdentityRules
from include.identity import Resolved
from include.identity.results import SCHEMAS
from include.ledger import StepFailed
from tests.include.identity.evidence import Desk, event, node_of, record


def digests(desk: Desk, number: int) -> dict[str, str]:
    return {table: hashlib.sha256(desk.path(table, number).read_bytes()).hexdigest() for table in SCHEMAS}


def random_evidence(seed: int, days: int = 4) -> list[list[tuple]]:
    """Records and events over some days: rising landing days, some seen long before they landed."""
    draw = random.Random(seed)
    pools = {
        "customer_number": [f"c{number}" for number in range(30)],
        "user_id": [f"u{number}" for number in range(30)],
        "email": [f"e{number}@x" for number in range(60)],
        "anonymous_id": [f"a{number}" for number in range(60)],
    }
    groups = []
    for number in range(200):
        identifiers = {
            name: draw.choice(pools[name]) for name in draw.sample(sorted(pools), draw.randint(1, 2))
        }
        landed = draw.randint(1, days)
        if draw.random() < 0.4:
            groups.append(record(str(number % 60), landed=landed, **identifiers))
        else:
            groups.append(event(landed=landed, seen=draw.randint(1, landed), **identifiers))
    return groups


@pytest.mark.parametrize("seed", range(2))
def test_day_by_day_gives_what_a_rebuild_gives(seed: int, desk: Desk, other_desk: Desk) -> None:
    evidence = random_evidence(seed, days=3)
    desk.threads = 2
    for number in range(1, 5):
        desk.put(*(rows for rows in evidence)).resolve(number)
        desk.rows.clear()
    random.Random(seed).shuffle(evidence)
    other_desk.put(*evidence).resolve(4)
    daily, rebuilt = digests(desk, 4), digests(other_desk, 4)
    for table in SCHEMAS:
        assert daily[table] == rebuilt[table], table
    assert len(desk.customers(1)) < len(desk.customers(4))
    assert {change for _, _, change, _, _ in desk.log(4)} == {"created", "merged", "split"}
    assert {status for status, _ in desk.fates(4).values()} >= {"active", "blocked"}


def test_a_rerun_gives_the_same_bytes_even_after_later_days(desk: Desk) -> None:
    desk.threads = 2
    desk.put(*random_evidence(7))
    first = {}
    for number in (1, 2, 3):
        desk.resolve(number)
        first[number] = digests(desk, number)
    for number in (2, 3):
        desk.resolve(number)
        assert digests(desk, number) == first[number]
    assert desk.changes(2) != desk.changes(1)


def test_the_order_of_evidence_means_nothing(desk: Desk) -> None:
    desk.threads = 2
    desk.put(*random_evidence(8, days=2)).resolve(4)
    expected = digests(desk, 4)
    path = desk.lake.staged("identity_evidence")
    for order in ("md5(node_key || id_type)", "landed_on desc, md5(id_value), node_key"):
        with duckdb.connect() as connection:
            connection.execute(f"create table evidence as select * from '{path}' order by {order}")
            connection.execute(f"copy evidence to '{path}' (format parquet)")
        desk.resolve_staged(4)
        assert digests(desk, 4) == expected


def test_evidence_that_lands_later_is_not_seen(desk: Desk) -> None:
    early, late = record("1", email="a@x"), record("2", landed=3, email="a@x")
    desk.put(early, late).resolve(3)
    desk.resolve_staged(2)
    assert set(desk.customers(2)) == {node_of(early)}
    assert set(desk.customers(3)) == {node_of(early), node_of(late)}


def test_ids_stay_when_records_join_and_late_events_reach_back(desk: Desk) -> None:
    ann = record("1", landed=2, customer_number="1", email="ann@x")
    login = event(landed=2, email="ann@x", anonymous_id="a")
    desk.put(ann, login).resolve(2)
    first = desk.customer(ann, 2)
    desk.put(
        record("0", landed=3, channel="aaa", email="ann@x"),
        event(landed=1, anonymous_id="a"),
        event(landed=3, seen=1, email="ann@x", anonymous_id="a"),
        event(landed=3, seen=1, email="ann@x"),
    ).resolve(3)
    assert set(desk.customers(3).values()) == {first}
    assert len(desk.customers(3)) == 5
    assert desk.changes(3) == []


def test_a_merge_keeps_the_older_id_and_says_what_linked_them(desk: Desk) -> None:
    old, new = record("9", landed=1, email="ann@x"), record("1", landed=2, phone="5")
    desk.put(old, new).resolve(2)
    older, younger = desk.customer(old, 2), desk.customer(new, 2)
    resolved = desk.put(record("5", landed=3, email="ann@x", phone="5")).resolve(3)
    assert set(desk.customers(3).values()) == {older}
    assert desk.changes(3) == [(older, younger, "merged", "linked by phone")]
    assert (resolved.created, resolved.merged, resolved.split) == (0, 1, 0)


def test_a_conflict_that_comes_to_light_splits_and_the_anchor_keeps_the_id(desk: Desk) -> None:
    one = record("1", landed=1, customer_number="1", email="home@x")
    two = record("2", landed=2, email="home@x")
    desk.put(one, two).resolve(2)
    before = desk.customer(one, 2)
    assert desk.customer(two, 2) == before
    resolved = desk.put(record("2", landed=3, customer_number="2")).resolve(3)
    assert desk.customer(one, 3) == before
    split = desk.customer(two, 3)
    assert desk.changes(3) == [(split, before, "split", "email shared")]
    assert (resolved.created, resolved.merged, resolved.split) == (0, 0, 1)


def test_a_late_record_that_is_older_than_the_anchor_renames_nobody(desk: Desk) -> None:
    ann = record("1", landed=2, email="home@x", loyalty_number="l")
    again, bob = record("3", landed=3, loyalty_number="l"), record("2", landed=3, email="home@x")
    desk.put(ann, again, bob).resolve(3)
    (home,) = set(desk.customers(3).values())
    # A file of the first day comes late, with a record of Ann's, and Bob turns out to be another.
    oldest = record("0", landed=1, customer_number="9")
    desk.put(oldest, record("1", landed=4, customer_number="9"), record("2", landed=4, customer_number="2"))
    desk.resolve(4)
    assert desk.customer(ann, 4) == desk.customer(again, 4) == desk.customer(oldest, 4) == home
    assert desk.changes(4) == [(desk.customer(bob, 4), home, "split", "email shared")]


def test_the_first_day_creates_everyone_and_a_later_day_only_the_new(desk: Desk) -> None:
    ann, bob, cookie = (
        record("1", email="ann@x"),
        record("2", landed=2, email="bob@x"),
        event(anonymous_id="a"),
    )
    desk.put(ann, bob, cookie).resolve(1)
    desk.resolve(2)
    assert desk.changes(1) == [(desk.customer(ann, 1), None, "created", "first seen")]
    assert desk.changes(2) == [(desk.customer(bob, 2), None, "created", "first seen")]


def test_the_changes_account_for_every_id_that_comes_and_goes(desk: Desk) -> None:
    desk.put(*random_evidence(3))
    kinds: set[str] = set()
    ids: set[str] = set()
    for number in range(1, 5):
        desk.resolve(number)
        owners = desk.customers(number)
        now = set(owners.values()) - {None}
        changes = desk.changes(number)
        kinds |= {change for _, _, change, _ in changes}
        assert {customer for customer, _, _, _ in changes} >= now - ids
        gone = {previous for _, previous, change, _ in changes if change == "merged"}
        assert gone <= ids - now
        # An id also ends when what it was known by turns out to be shared: its events are nobody's then.
        before = desk.customers(number - 1) if number > 1 else {}
        for lost in ids - now - gone:
            assert {owners[node] for node, customer in before.items() if customer == lost} == {None}
        ids = now
    assert kinds == {"created", "merged", "split"}


def test_cookies_and_devices_alone_are_nobody(desk: Desk) -> None:
    desk.put(
        event(anonymous_id="a", device_id="d"), event(anonymous_id="a"), event(advertising_id="x")
    ).resolve()
    assert set(desk.customers().values()) == {None}
    assert desk.read("identifier_customers") == []


def test_a_record_without_any_identifier_is_still_a_customer(desk: Desk) -> None:
    bare = record("1")
    resolved = desk.put(bare).resolve()
    assert desk.customer(bare) is not None
    assert desk.read("edges") == []
    assert (resolved.customers, resolved.nodes) == (1, 1)


def test_a_node_says_what_ties_it_to_others(desk: Desk) -> None:
    crm = record("1", customer_number="1", email="ann@x", phone="5")
    order, mail = event(kind="orders", customer_number="1", phone="5"), event(kind="messages", email="ann@x")
    alone = record("2", email="bob@x")
    desk.put(crm, order, mail, alone).resolve()
    linked = {row["node_key"]: (row["linked_by"], row["tier"]) for row in desk.read("node_customers")}
    assert linked == {
        node_of(crm): ("customer_number,email,phone", "exact"),
        node_of(order): ("customer_number,phone", "exact"),
        node_of(mail): ("email", "exact"),
        node_of(alone): ("", "exact"),
    }


def test_an_identifier_is_claimed_over_all_nodes_of_its_customer(desk: Desk) -> None:
    visit, login = event(landed=3, seen=1, anonymous_id="a"), event(landed=2, anonymous_id="a", email="ann@x")
    desk.put(visit, login, login).resolve(3)
    (cookie,) = [row for row in desk.read("identifier_customers", 3) if row["id_type"] == "anonymous_id"]
    assert cookie["customer_id"] == desk.customer(login, 3)
    assert (cookie["first_seen_at"].day, cookie["last_seen_at"].day, cookie["observations"]) == (1, 2, 3)


@pytest.mark.parametrize("is_staged", [True, False])
def test_no_evidence_gives_typed_empty_tables(desk: Desk, is_staged: bool) -> None:
    resolved = desk.resolve() if is_staged else desk.resolve_staged()
    assert resolved == Resolved(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for table, schema in SCHEMAS.items():
        with duckdb.connect() as connection:
            described = connection.execute(
                f"describe select * from read_parquet('{desk.path(table)}', hive_partitioning = false)"
            ).fetchall()
        assert {row[0]: row[1].lower() for row in described} == schema
        rows = [row for row in desk.read(table) if row.get("value") != 0]
        assert rows == []


def test_the_tables_come_ordered_by_their_key(desk: Desk) -> None:
    desk.put(*random_evidence(5, days=1)).resolve(1)
    for table, key in {
        "node_customers": ("node_key",),
        "identifier_customers": ("id_type", "id_value", "customer_id"),
        "edges": ("node_key", "id_type", "id_value"),
        "changes": ("as_of_date", "customer_id", "change"),
        "ids": ("customer_id",),
        "history": ("issued_customer_id", "as_of_date"),
    }.items():
        keys = [tuple(row[column] for column in key) for row in desk.read(table, 1)]
        assert keys == sorted(keys)
        assert len(keys) == len(set(keys)) > 10


def test_health_agrees_with_the_tables(desk: Desk) -> None:
    resolved = desk.put(*random_evidence(6, days=1)).resolve(1)
    health = {(row["measure"], row["part"]): row["value"] for row in desk.read("health", 1)}
    owners = desk.customers(1)
    sizes = [list(owners.values()).count(customer) for customer in set(owners.values()) - {None}]
    statuses = [status for status, _ in desk.fates(1).values()]
    assert health["customers", "all"] == len(sizes)
    assert health["nodes", "all"] == len(owners)
    assert health["nodes_of_nobody", "all"] == list(owners.values()).count(None)
    assert health["largest_customer", "all"] == max(sizes)
    assert health["customers_by_size", "1"] == sizes.count(1)
    for status in ("active", "blocked", "removed"):
        assert health.get(("edges", status), 0) == statuses.count(status)
    for whole, measure in ((len(sizes), "customers_by_size"), (len(sizes), "customers_by_tier")):
        assert sum(value for (name, _), value in health.items() if name == measure) == whole
    reasons = sum(value for (name, _), value in health.items() if name == "edges_by_reason")
    assert reasons == statuses.count("blocked") + statuses.count("removed") > 0
    assert (resolved.customers, resolved.nodes) == (len(sizes), len(owners))
    assert resolved.created == resolved.customers


def test_health_counts_as_strict_whom_something_weaker_than_exact_holds_together(desk: Desk) -> None:
    rules = IdentityRules(
        id_types={
            "email": {"priority": 1},
            "user_id": {"priority": 2},
            "phone": {"priority": 3, "tier": "strict"},
        }
    )
    desk.put(
        record("1", phone="+1"), record("2", phone="+1"),
        record("3", email="ann@x"), record("4", email="ann@x", phone="+2"), event(user_id="u1", phone="+2"),
        event(user_id="u2", phone="+3", kind="orders"), event(email="bo@x", phone="+3", kind="orders"),
    ).resolve(rules=rules)  # fmt: skip
    parts: dict[str, dict[bool, set[str]]] = {}
    for row in desk.read("node_customers"):
        of_kind = parts.setdefault(row["customer_id"], {True: set(), False: set()})
        of_kind[row["kind"] == "customers"].add(row["exact_id"])
    strict = sum(len(each[True] or each[False]) > 1 for each in parts.values())
    health = {(row["measure"], row["part"]): row["value"] for row in desk.read("health")}
    tiers = (health["customers_by_tier", "exact"], health["customers_by_tier", "strict"])
    assert tiers == (len(parts) - strict, strict) == (1, 2)


def test_evidence_of_another_shape_fails_with_what_is_missing_and_leaves_the_last_result(desk: Desk) -> None:
    desk.put(record("1", email="ann@x")).resolve()
    expected = digests(desk, 1)
    path = desk.lake.staged("identity_evidence")
    with duckdb.connect() as connection:
        connection.execute(f"create table evidence as select * exclude (landed_on, kind) from '{path}'")
        connection.execute(f"copy evidence to '{path}' (format parquet)")
    with pytest.raises(StepFailed, match="lacks the columns kind, landed_on"):
        desk.resolve_staged()
    assert digests(desk, 1) == expected


def test_nothing_but_the_tables_is_left_behind(desk: Desk) -> None:
    desk.put(record("1", email="ann@x")).resolve()
    files = {
        path.relative_to(desk.lake.data).as_posix() for path in desk.lake.data.rglob("*") if path.is_file()
    }
    results = {f"lake/identity/date=2024-03-01/{table}.parquet" for table in SCHEMAS}
    assert files == results | {"lake/staged/identity_evidence.parquet"}
