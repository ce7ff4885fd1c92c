"""Ids stay: whose they are after merges, splits, other rules and days that were not resolved."""

from __future__ import annotations

import random
from datetime import date

import duckdb
import pandas as pd

from include.config.schema import IdentityRules
from include.identity.engine import hashed, opened, text
from include.identity.ids import REGISTRY, create_tier_ids, forget_days
from tests.include.identity.evidence import Desk, day, event, node_of, record
from tests.include.identity.test_plan import other
from tests.include.identity.test_resolve import digests, random_evidence

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]


def test_the_id_of_most_records_survives_a_merge_though_it_is_younger(desk: Desk) -> None:
    old = record("1", landed=1, email="old@x")
    young = [record(str(number), landed=2, phone="5") for number in (2, 3)]
    desk.put(old, *young).resolve(1)
    desk.resolve(2)
    older, younger = desk.customer(old, 2), desk.customer(young[0], 2)
    desk.put(record("4", landed=3, email="old@x", phone="5")).resolve(3)
    assert set(desk.customers(3).values()) == {younger}
    assert desk.changes(3) == [(younger, older, "merged", "linked by email")]


def test_of_equals_the_older_id_survives_and_of_equally_old_ones_the_smaller(desk: Desk) -> None:
    old, young = record("1", landed=1, email="a@x"), record("2", landed=2, email="b@x")
    twins = [record("3", landed=2, email="c@x"), record("4", landed=2, email="d@x")]
    desk.put(old, young, *twins).resolve(1)
    desk.resolve(2)
    before = desk.customers(2)
    desk.put(record("1", landed=3, email="b@x"), record("3", landed=3, email="d@x")).resolve(3)
    assert desk.customer(young, 3) == before[node_of(old)]
    assert desk.customer(twins[0], 3) == min(before[node_of(twin)] for twin in twins)


def test_an_unmerge_gives_back_the_id_that_was_merged_away(desk: Desk) -> None:
    """People block what linked two: the next run parts them, and an old id leads to its own customer again."""
    ann, bob = record("1", email="ann@x"), record("2", email="bob@x", loyalty_number="7")
    desk.put(ann, bob).resolve(1)
    one, two = desk.customer(ann), desk.customer(bob)
    desk.put(record("1", landed=2, loyalty_number="7")).resolve(2)
    kept = desk.customer(ann, 2)
    assert kept == desk.customer(bob, 2)
    (gone,) = {one, two} - {kept}
    assert desk.leads_to(gone, 2) == kept
    desk.resolve(3, other(desk.rules, loyalty_number={"blocked_values": ("7",)}))
    assert (desk.customer(ann, 3), desk.customer(bob, 3)) == (one, two)
    assert desk.leads_to(gone, 3) == gone
    assert desk.changes(3) == [(gone, kept, "split", "loyalty_number blocked_value")]


def test_an_id_never_comes_back_for_somebody_else(desk: Desk) -> None:
    """The id goes with most records; the record that it was made from gets one of its own when it is parted."""
    anchor = record("1", landed=1, loyalty_number="7")
    rest = [record(str(number), landed=2, loyalty_number="7", email="rest@x") for number in (2, 3)]
    desk.put(anchor, *rest).resolve(2)
    (shared,) = set(desk.customers(2).values())
    desk.resolve(3, other(desk.rules, loyalty_number={"blocked_values": ("7",)}))
    parted = desk.customer(anchor, 3)
    assert [desk.customer(each, 3) for each in rest] == [shared, shared]
    assert parted != shared
    # Joined and parted again, everybody has the id of before.
    desk.resolve(4)
    assert set(desk.customers(4).values()) == {shared}
    desk.resolve(5, other(desk.rules, loyalty_number={"blocked_values": ("7",)}))
    assert (desk.customer(anchor, 5), desk.customer(rest[0], 5)) == (parted, shared)
    ids = [row["customer_id"] for row in desk.read("ids", 5)]
    assert sorted(ids) == sorted({parted, shared})


def test_a_customer_of_whom_nothing_is_left_leads_nowhere_and_has_its_id_again_when_it_returns(
    desk: Desk,
) -> None:
    ann, bob = record("1", email="ann@x"), record("2", email="bob@x")
    desk.put(ann, bob).resolve(1)
    gone = desk.customer(bob)
    desk.rows.clear()
    desk.put(ann).resolve(2)
    assert desk.leads_to(gone, 2) is None
    assert [row["change"] for row in desk.history(2) if row["issued_customer_id"] == gone] == [
        "created",
        "vanished",
    ]
    (kept,) = [row for row in desk.read("ids", 2) if row["customer_id"] == gone]
    assert (kept["is_held"], kept["anchor_key"]) == (False, None)
    desk.put(bob).resolve(3)
    assert desk.customer(bob, 3) == desk.leads_to(gone, 3) == gone


def test_other_rules_keep_the_ids_of_whom_they_do_not_touch(desk: Desk) -> None:
    desk.put(*random_evidence(11, days=1)).resolve(1)
    before = desk.customers(1)
    desk.resolve(2, other(desk.rules, email={"blocked_patterns": ("^e[1-5]@",)}))
    after = desk.customers(2)
    moved = {node for node in before if before[node] != after[node]}
    assert 0 < len(moved) < len(before) / 2
    news = {change[0] for change in desk.changes(2)}
    assert {after[node] for node in moved} - {None} <= news


def test_days_that_were_not_resolved_are_told_as_if_they_had_been(desk: Desk, other_desk: Desk) -> None:
    evidence = random_evidence(12, days=3)
    desk.threads = 2
    desk.put(*evidence)
    other_desk.put(*evidence)
    for number in (1, 2, 3):
        desk.resolve(number)
    other_desk.resolve(1)
    other_desk.resolve(3)
    assert digests(desk, 3) == digests(other_desk, 3)
    assert {row[-1] for row in other_desk.log(3)} == {day(number) for number in (1, 2, 3)}


def test_a_day_after_one_that_was_forgotten_is_resolved_as_before(desk: Desk) -> None:
    desk.threads = 2
    desk.put(*random_evidence(13, days=4))
    for number in (1, 2, 3, 4):
        desk.resolve(number)
    before = digests(desk, 4)
    forget_days(desk.lake, day(5), 1)
    found = {
        number: {path.stem for path in desk.lake.identity(day(number), "ids").parent.glob("*.parquet")}
        for number in (1, 2, 3, 4)
    }
    assert (found[1], found[2], found[3]) == (set(), set(), set(REGISTRY))
    assert found[4] > set(REGISTRY)
    desk.resolve(4)
    assert digests(desk, 4) == before


def test_an_id_changes_from_one_day_to_the_next_for_a_reason_alone(desk: Desk) -> None:
    """Of 3,000 customers most do something every day, some are new, some merge, some split: of those of whom no merge
    or split is told, none has another id, and nearly all are such."""
    draw = random.Random(23)
    people = range(3000)
    desk.put(*(record(f"{each}", email=f"{each}@x", loyalty_number=f"l{each % 2990}") for each in people))
    desk.resolve(1)
    for number in (2, 3):
        desk.put(*(event(landed=number, email=f"{each}@x", anonymous_id=f"a{each}") for each in people))
        desk.put(
            *(
                record(f"new {number} {each}", landed=number, email=f"new{number}{each}@x")
                for each in people[:50]
            )
        )
        for pair in range(10):
            one, other_one = draw.sample(people, 2)
            desk.put(record(f"both {number} {pair}", number, email=f"{one}@x", phone=f"{number}{pair}"))
            desk.put(
                record(f"both too {number} {pair}", number, email=f"{other_one}@x", phone=f"{number}{pair}")
            )
        shared = tuple(f"l{each}" for each in range(5 * (number - 1)))
        desk.resolve(number, other(desk.rules, loyalty_number={"blocked_values": shared}))
        before, after = desk.customers(number - 1), desk.customers(number)
        explained = {
            (old or new, new) for new, old, change, _ in desk.changes(number) if change in ("merged", "split")
        }
        moved = {(old, after[node]) for node, old in before.items() if old and old != after[node]}
        assert len(moved) >= 12
        assert moved <= explained
        touched = {customer for pair in explained for customer in pair}
        others = {node for node, old in before.items() if old and old not in touched}
        assert len(others) > 2900
        assert all(before[node] == after[node] for node in others)


def test_only_customers_that_were_several_are_resolved_again(desk: Desk) -> None:
    """Who grew from one record, or came on one day, has had one id all the time; they are most."""
    for number in range(20):
        mail, cookie = f"p{number}@x", f"c{number}"
        desk.put(
            record(str(number), landed=1, email=mail),
            event(landed=2, email=mail, anonymous_id=cookie),
            event(landed=3, anonymous_id=cookie),
            record(f"l{number}", landed=4, email=mail, loyalty_number=str(number)),
        )
    desk.put(record("a", landed=1, email="a@x"), record("b", landed=2, phone="5"))
    desk.put(record("c", landed=4, email="a@x", phone="5"))
    assert desk.resolve(4).replayed == 3
    assert [row[2:] for row in desk.log(4) if row[2] != "created"] == [("merged", "linked by phone", day(4))]
    created = [row[-1] for row in desk.log(4) if row[2] == "created"]
    assert (created.count(day(1)), created.count(day(2)), len(created)) == (21, 1, 22)


def test_the_history_says_since_when_an_id_leads_where(desk: Desk) -> None:
    one, two = event(landed=1, user_id="u"), event(landed=2, email="a@x")
    desk.put(one, two).resolve(2)
    desk.put(event(landed=3, seen=1, user_id="u", email="a@x")).resolve(3)
    kept, gone = desk.customer(one, 3), next(row[1] for row in desk.changes(3))
    rows = [
        (
            row["issued_customer_id"],
            row["customer_id"],
            row["change"],
            row["as_of_date"],
            row["effective_at"].date(),
        )
        for row in desk.history(3)
    ]
    # The address was first seen on the second day; that it is the user's was known on the third.
    assert sorted(rows, key=lambda row: (row[3], row[0] != kept)) == [
        (kept, kept, "created", day(1), day(1)),
        (gone, gone, "created", day(2), day(2)),
        (gone, kept, "merged", day(3), day(2)),
    ]


def test_the_part_with_the_first_record_has_the_customers_exact_id_and_a_loose_cluster_its_oldest(
    tmp_path, rules: IdentityRules
) -> None:
    with opened(1, "200MB", tmp_path) as engine:

        def table(name: str, columns: str, *rows: tuple) -> None:
            values = ", ".join(str(row) for row in rows)
            engine.create_table(name, f"select * from (values {values}) as rows({columns})")

        def keyed(name: str, columns: str, *rows: tuple) -> None:
            table(f"{name}_text", columns, *rows)
            key, other_column = columns.split(", ")
            engine.create_table(
                name,
                f"select {hashed(key)} as {key}, {hashed(other_column)} as {other_column} from {name}_text",
            )

        table("staged_text", "node_key, landed_on", ("n1", 1), ("n2", 2), ("n3", 3), ("n4", 4), ("n5", 5))
        engine.create_view("staged", f"select *, {hashed('node_key')} as node from staged_text")
        engine.create_table("node_facts", "select node, landed_on, 1 as is_known from staged")
        keyed("exact", "node, component", ("n2", "n1"))
        keyed(
            "loose", "node, component", ("n1", "n1"), ("n2", "n1"), ("n3", "n1"), ("n4", "n1"), ("n5", "n5")
        )
        table(
            "owner",
            "node_key, customer_id",
            ("n1", "c_one"),
            ("n2", "c_one"),
            ("n3", "c_one"),
            ("n4", "c_two"),
            ("n5", "c_five"),
        )
        engine.create_table("node_customer", f"select {hashed('node_key')} as node, customer_id from owner")
        table(
            "id_after",
            "customer_id, anchor_key, issued_on",
            ("c_one", "n3", 2),
            ("c_two", "n4", 1),
            ("c_five", "n5", 5),
        )
        table("customer", "component, customer_id", (1, "c_one"), (2, "c_two"), (3, "c_five"))
        create_tier_ids(engine, "exact", "loose")
        rows = engine.rows(
            "select node_key, exact_id, loose_id from node_tier_id"
            " inner join staged on node_tier_id.node = staged.node order by node_key"
        )
        (own,) = engine.rows(f"select 'c' || substring(md5({text('n1')}), 1, 24)")[0]
    assert rows == [
        ("n1", own, "c_two"), ("n2", own, "c_two"), ("n3", "c_one", "c_two"), ("n4", "c_two", "c_two"),
        ("n5", "c_five", "c_five"),
    ]  # fmt: skip


def test_a_day_resolved_later_than_its_next_one_is_not_told_twice(desk: Desk) -> None:
    desk.put(record("1", email="a@x"), record("2", landed=2, email="b@x"))
    desk.resolve(2)
    desk.resolve(1)
    desk.resolve(3)
    log = desk.log(3)
    assert len(log) == len(set(log)) == 2
    assert [row[-1] for row in log] == [date(2024, 3, 1), date(2024, 3, 2)]


def write_person_records(desk: Desk, rows: list[tuple]) -> None:
    path = desk.lake.staged("person_records")
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ("node_key", "given_name", "family_name", "birth_date", "street", "city", "postcode")
    frame = pd.DataFrame(rows, columns=list(columns))
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        connection.execute(f"copy frame to '{path}' (format parquet)")


def test_who_is_linked_by_likeness_has_the_ids_that_the_days_gave(desk: Desk, other_desk: Desk) -> None:
    """Each person is in two systems that share no identifier, and came to one of them first; of some, two of a system
    were joined on the last day."""
    draw = random.Random(5)
    people, records = [], []
    for number in range(60):
        said = (
            f"{draw.choice(SYLLABLES)}{draw.choice(SYLLABLES)}", f"{draw.choice(SYLLABLES)}{draw.choice(SYLLABLES)}son",
            f"19{draw.randint(40, 99)}-0{draw.randint(1, 9)}-{draw.randint(10, 28)}",
            f"{number} {draw.choice(SYLLABLES)} street", "Town", f"{10000 + draw.randrange(900)}",
        )  # fmt: skip
        first, second = draw.choice([(1, 2), (2, 1), (1, 1)])
        mine = [
            record(str(number), landed=first, email=f"p{number}@x"),
            record(str(number), landed=second, channel="club", loyalty_number=str(number)),
        ]
        people += [(node_of(rows), *said) for rows in mine]
        records += mine
        if number % 10 == 0:
            records += [
                record(f"t{number}", landed=1, channel="till", phone=f"55500{number}"),
                record(f"t{number}", landed=3, channel="till", email=f"p{number}@x"),
            ]
    desk.threads = 2
    for each in (desk, other_desk):
        write_person_records(each, people)
        each.put(*records)
    for number in (1, 2, 3):
        desk.resolve(number)
    other_desk.resolve(3)
    linked = [row for row in other_desk.read("node_customers", 3) if row["tier"] != "exact"]
    assert len(linked) > 60
    assert other_desk.customers(3) == desk.customers(3)
    assert other_desk.log(3) == desk.log(3)
    assert other_desk.history(3) == desk.history(3)
    assert {row[2] for row in desk.log(3)} == {"created", "merged"}
