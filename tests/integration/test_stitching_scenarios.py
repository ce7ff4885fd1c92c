"""Sixteen ways in which people become known, over four days: who is one customer on each day, which ids stay, what is
said of it; and that a rebuild from nothing gives the very same.

Each scenario has a namespace of its own in one company, so that one run of the pipeline per day shows them all. A line
is what was observed at once: u is a user id, e an e-mail address, a a cookie, d a device; with r it is a version of a
person's record, which may also have a customer number n and a loyalty number l. `@02-25` is when it happened, if that
was not on the day it came.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import duckdb
import pytest

from include.lake import Lake
from tests.dbt_project.files_company import Company

DAYS = [date(2024, 3, day) for day in (1, 2, 3, 4)]
CHANNELS = """\
channels:
  app:
    {party: first, kind: events, spec: mapped,
     source: {path: "app_{date}.csv", format: csv},
     map: {event_id: id, type: {value: track}, name: {value: Seen}, occurred_at: at, received_at: got, user_id: u,
           email: e, anonymous_id: a, device_id: d}}
  crm:
    {party: first, kind: customers, spec: mapped,
     source: {path: "crm_{date}.csv", format: csv},
     map: {record_id: r, observed_at: at, customer_number: n, loyalty_number: l, email: e}}
"""
TYPES = {
    "u": "user_id", "e": "email", "a": "anonymous_id", "d": "device_id", "n": "customer_number", "l": "loyalty_number",
}  # fmt: skip

SCENARIOS: dict[str, dict[int, list[str]]] = {
    "simple": {1: ["a1"], 2: ["a1 u1"]},
    "chain": {1: ["u1 a1"], 2: ["a1 e1"], 3: ["e1 d1"], 4: ["d1 a2"]},
    "fanin": {1: ["e1", "e2", "e3"], 2: ["e2 a5"], 3: ["r1 e1", "r1 e2", "r1 e3"]},
    "fanout": {1: ["u1 a1", "a2"], 2: ["u1 a2"], 3: ["u1 d1"], 4: ["u1 e1"]},
    "diamond": {1: ["u1 e1"], 2: ["u1 a1"], 3: ["e1 d1"], 4: ["a1 d1"]},
    "disjoint": {1: ["u1 e1"], 2: ["u2 e2"], 3: ["u1 a1"], 4: ["u2 a2"]},
    "longchain": {
        1: ["e1 a1", "a1 e2", "e4 a4", "a4 e5"], 2: ["e2 a2", "e5 a5"], 3: ["a2 e3"], 4: ["e3 a3", "a3 e4"],
    },
    "altchain": {1: ["e1 d1", "e2 d2", "e3 d3"], 2: ["d1 e2"], 3: ["d2 e3"]},
    "mergeonly": {1: ["u1 a1", "e1 a2", "e1"], 3: ["u1 e1"]},
    "remap": {
        1: ["e1", "e2", "e3", "e3 d1", "e3 d2", "e3 a3", "e3 a4", "e3 a5"], 2: ["e1 d9", "e2 d9"], 3: ["e3 d9"],
    },
    "multiid": {1: ["u1 e1 a1 d1"], 2: ["r1 n1 l1 e1"]},
    "conflict": {1: ["u1 a1"], 2: ["u2 a1"], 3: ["a1 d1"]},
    "late": {1: ["a1", "u5 d5"], 2: ["e1 a2", "e5 d6"], 3: ["e1 a1 @02-25"], 4: ["u5 e5 @02-26"]},
    "stable": {1: ["u1 e1"], 2: ["u1 a1"], 3: ["u1 a2"], 4: ["e1 a2"]},
    "reobserve": {1: ["u1 a1"], 2: ["u1 a1"], 3: ["u1 a1"], 4: ["u1 a1"]},
    "selfbridge": {1: ["u1 a1", "u1 e1"], 3: ["a1 e1"]},
}  # fmt: skip


def files_of(number: int) -> dict[str, str]:
    """What the company's two channels deliver on a day."""
    app, crm = io.StringIO(), io.StringIO()
    events = csv.DictWriter(app, ["id", "at", "got", "u", "e", "a", "d"], lineterminator="\n")
    records = csv.DictWriter(crm, ["r", "at", "n", "l", "e"], lineterminator="\n")
    events.writeheader()
    records.writeheader()
    for name, days in SCENARIOS.items():
        for place, line in enumerate(days.get(number, [])):
            noon = datetime.combine(DAYS[number - 1], datetime.min.time()) + timedelta(
                hours=12, minutes=place
            )
            happened = re.search(r"@(\S+)", line)
            row = {"at": f"2024-{happened[1]} 08:00:00" if happened else str(noon)}
            row |= {token[0]: value_of(name, token) for token in line.split() if not token.startswith("@")}
            if "r" in row:
                records.writerow(row)
            else:
                events.writerow(row | {"id": f"{name}-{number}-{place}", "got": str(noon)})
    day = DAYS[number - 1]
    return {f"app_{day}.csv": app.getvalue(), f"crm_{day}.csv": crm.getvalue()}


def value_of(scenario: str, token: str) -> str:
    return f"{scenario}-{token}@x.example" if token[0] == "e" else f"{scenario}-{token}"


@dataclass
class Days:
    """What identity said after each day, and what was published after the last."""

    claims: dict[int, list[tuple]] = field(default_factory=dict)
    changes: list[tuple] = field(default_factory=list)
    history: list[tuple] = field(default_factory=list)
    tables: dict[str, list[tuple]] = field(default_factory=dict)

    def read(self, company: Company, number: int) -> None:
        def rows(table: str, columns: str) -> list[tuple]:
            path = company.lake.identity(DAYS[number - 1], table)
            return duckdb.sql(f"select {columns} from read_parquet('{path}') order by all").fetchall()

        self.claims[number] = rows(
            "identifier_customers", "id_type, id_value, customer_id, first_seen_at, observations"
        )
        self.changes = rows("changes", "as_of_date, customer_id, previous_customer_id, change, reason")
        self.history = rows("history", "issued_customer_id, customer_id, change, as_of_date, effective_at")


@dataclass
class Story:
    """One scenario of it."""

    name: str
    days: Days

    def who(self, number: int, token: str) -> set[str]:
        """The customers who may claim an identifier on a day."""
        wanted = (TYPES[token[0]], value_of(self.name, token))
        return {row[2] for row in self.days.claims[number] if row[:2] == wanted}

    def one(self, number: int, tokens: str) -> str:
        """The one customer whose these identifiers are on a day."""
        found = [self.who(number, token) for token in tokens.split()]
        assert all(len(customers) == 1 for customers in found), (number, tokens, found)
        (customer,) = set.union(*found)
        return customer

    @property
    def ids(self) -> set[str]:
        return {
            row[2] for rows in self.days.claims.values() for row in rows if row[1].startswith(f"{self.name}-")
        }

    @property
    def log(self) -> list[tuple]:
        """Day, customer, previous customer, change and reason."""
        return [
            (DAYS.index(day) + 1, *rest) for day, *rest in self.days.changes if self.ids & {rest[0], rest[1]}
        ]

    @property
    def merges(self) -> list[tuple]:
        return [row for row in self.log if row[3] != "created"]

    @property
    def history(self) -> list[tuple]:
        return [row for row in self.days.history if row[0] in self.ids]

    def leads_to(self, customer_id: str) -> list[str | None]:
        """Where an id has led, from the day it was given."""
        return [row[1] for row in sorted(self.history, key=lambda row: row[3]) if row[0] == customer_id]


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> tuple[Days, Days]:
    """The four days one after the other, and the fourth from nothing."""
    folder = tmp_path_factory.mktemp("scenarios")
    company = Company(folder / "files", Lake(folder / "data"), CHANNELS)
    daily, rebuilt = Days(), Days()
    for number, day in enumerate(DAYS, 1):
        company.deliver(files_of(number))
        company.extract(day)
        company.stage(day)
        company.identify(day)
        daily.read(company, number)
    company.unify(DAYS[-1])
    daily.tables = company.tables()
    company.forget()
    for number in range(1, 5):
        company.deliver(files_of(number))
    rebuilt.tables = company.run(DAYS[-1])
    rebuilt.read(company, 4)
    return daily, rebuilt


@pytest.fixture
def story(both_ways: tuple[Days, Days]) -> Callable[[str], Story]:
    return lambda name: Story(name, both_ways[0])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_rebuild_gives_the_same_ids_changes_and_history(name: str, both_ways: tuple[Days, Days]) -> None:
    daily, rebuilt = (Story(name, days) for days in both_ways)
    assert daily.ids >= rebuilt.ids
    assert [row for row in daily.days.claims[4] if row[2] in daily.ids] == [
        row for row in rebuilt.days.claims[4] if row[2] in daily.ids
    ]
    assert len(daily.log) > 0
    assert daily.log == Story(name, Days(daily.days.claims, rebuilt.days.changes)).log
    assert daily.history == [row for row in rebuilt.days.history if row[0] in daily.ids]


def test_every_table_is_the_same_after_a_rebuild(both_ways: tuple[Days, Days]) -> None:
    daily, rebuilt = both_ways
    assert daily.tables.keys() == rebuilt.tables.keys()
    assert len(daily.tables["cdp/customer_id_history"]) > len(daily.tables["cdp/customers"]) > 16
    for name in daily.tables.keys() - {"cdp/identity_health"}:
        assert daily.tables[name] == rebuilt.tables[name], name
    # Health is kept of each day that was resolved.
    health = [
        [row for row in days.tables["cdp/identity_health"] if DAYS[-1] in row] for days in (daily, rebuilt)
    ]
    assert health[0] == health[1] != []


def test_simple_a_cookie_becomes_a_customer_when_it_logs_in(story: Callable[[str], Story]) -> None:
    simple = story("simple")
    assert simple.who(1, "a1") == set()
    known = simple.one(2, "a1 u1")
    assert simple.one(4, "a1 u1") == known
    assert simple.log == [(2, known, None, "created", "first seen")]


def test_chain_a_customer_grows_a_link_a_day(story: Callable[[str], Story]) -> None:
    chain = story("chain")
    grown = [
        chain.one(1, "u1 a1"),
        chain.one(2, "u1 a1 e1"),
        chain.one(3, "u1 e1 d1"),
        chain.one(4, "u1 d1 a2"),
    ]
    assert len(set(grown)) == 1
    assert chain.log == [(1, grown[0], None, "created", "first seen")]


def test_fan_in_three_customers_become_the_one_who_was_seen_most(story: Callable[[str], Story]) -> None:
    fanin = story("fanin")
    one, two, three = (fanin.one(2, token) for token in ("e1", "e2", "e3"))
    assert len({one, two, three}) == 3
    assert fanin.one(3, "e1 e2 e3") == fanin.one(4, "e1 e2 e3 a5") == two
    assert fanin.merges == sorted((3, two, gone, "merged", "linked by email") for gone in (one, three))
    assert fanin.leads_to(one) == [one, two]


def test_fan_out_all_browsers_of_a_user_are_one_customer(story: Callable[[str], Story]) -> None:
    fanout = story("fanout")
    known = fanout.one(1, "u1 a1")
    assert fanout.who(1, "a2") == set()
    assert fanout.one(2, "u1 a1 a2") == fanout.one(4, "u1 a1 a2 d1 e1") == known
    assert fanout.merges == []


def test_diamond_a_second_way_between_the_same_ends_changes_nothing(story: Callable[[str], Story]) -> None:
    diamond = story("diamond")
    known = diamond.one(1, "u1 e1")
    assert diamond.one(3, "u1 e1 a1 d1") == diamond.one(4, "u1 e1 a1 d1") == known
    assert diamond.log == [(1, known, None, "created", "first seen")]


def test_disjoint_people_stay_apart(story: Callable[[str], Story]) -> None:
    disjoint = story("disjoint")
    one, two = disjoint.one(1, "u1 e1"), disjoint.one(2, "u2 e2")
    assert (disjoint.one(4, "u1 e1 a1"), disjoint.one(4, "u2 e2 a2")) == (one, two)
    assert one != two
    assert disjoint.log == [(1, one, None, "created", "first seen"), (2, two, None, "created", "first seen")]


def test_long_chain_two_halves_meet_in_the_middle(story: Callable[[str], Story]) -> None:
    longchain = story("longchain")
    left, right = longchain.one(1, "e1 a1 e2"), longchain.one(1, "e4 a4 e5")
    assert (longchain.one(3, "e1 a2 e3"), longchain.one(3, "e4 e5 a5")) == (left, right)
    assert left != right
    assert longchain.one(4, "e1 a1 e2 a2 e3 a3 e4 a4 e5 a5") == left
    assert longchain.merges == [(4, left, right, "merged", "linked by email")]


def test_alternating_chain_pairs_are_joined_by_the_links_between_them(story: Callable[[str], Story]) -> None:
    altchain = story("altchain")
    one, two, three = (altchain.one(1, f"e{number} d{number}") for number in (1, 2, 3))
    # One node each, both given on the first day: the smaller id stays.
    kept, gone = sorted((one, two))
    assert (
        altchain.one(2, "e1 d1 e2 d2")
        == altchain.one(3, "e1 d1 e2 d2 e3 d3")
        == altchain.one(4, "e1 e3")
        == kept
    )
    assert [row[:4] for row in altchain.merges] == [(2, kept, gone, "merged"), (3, kept, three, "merged")]


def test_merge_only_an_event_that_names_nobody_new_joins_two_customers(story: Callable[[str], Story]) -> None:
    mergeonly = story("mergeonly")
    user, mail = mergeonly.one(2, "u1 a1"), mergeonly.one(2, "e1 a2")
    assert user != mail
    assert mergeonly.one(3, "u1 a1 e1 a2") == mergeonly.one(4, "u1 a1 e1 a2") == mail
    assert mergeonly.merges == [(3, mail, user, "merged", "linked by user_id")]


def test_remap_an_id_that_was_merged_twice_leads_to_the_present_customer(
    story: Callable[[str], Story],
) -> None:
    remap = story("remap")
    kept, gone = sorted((remap.one(1, "e1"), remap.one(1, "e2")))
    large = remap.one(1, "e3 d1 d2 a3 a4 a5")
    assert remap.one(2, "e1 e2 d9") == kept
    assert remap.one(3, "e1 e2 e3 d9") == remap.one(4, "e1 e2 e3 d9") == large
    assert [row[:4] for row in remap.merges] == [(2, kept, gone, "merged"), (3, large, kept, "merged")]
    assert remap.leads_to(gone) == [gone, kept, large]
    assert remap.leads_to(kept) == [kept, large]
    assert remap.leads_to(large) == [large]


def test_multi_id_whatever_is_said_at_once_is_one_customer(story: Callable[[str], Story]) -> None:
    multiid = story("multiid")
    known = multiid.one(1, "u1 e1 a1 d1")
    assert multiid.one(2, "u1 e1 a1 d1 n1 l1") == multiid.one(4, "u1 n1") == known
    assert multiid.merges == []


def test_unique_id_conflict_a_shared_browser_joins_nobody_and_its_rest_is_nobodys(
    story: Callable[[str], Story],
) -> None:
    conflict = story("conflict")
    one, two = conflict.one(2, "u1"), conflict.one(2, "u2")
    assert one == conflict.one(1, "u1 a1") != two
    assert conflict.who(2, "a1") == conflict.who(4, "a1") == {one, two}
    assert conflict.who(4, "d1") == set()
    assert conflict.log == [(1, one, None, "created", "first seen"), (2, two, None, "created", "first seen")]


def test_late_what_happened_before_comes_later_and_keeps_the_id(story: Callable[[str], Story]) -> None:
    late = story("late")
    known = late.one(2, "e1 a2")
    assert late.who(2, "a1") == set()
    assert late.one(3, "e1 a1 a2") == late.one(4, "e1 a1 a2") == known
    (first_seen,) = {row[3] for row in late.days.claims[4] if row[1] == value_of("late", "a1")}
    assert first_seen.date() == date(2024, 2, 25)
    user, mail = late.one(3, "u5 d5"), late.one(3, "e5 d6")
    assert late.one(4, "u5 d5 e5 d6") == user != mail
    assert late.merges == [(4, user, mail, "merged", "linked by email")]
    # Known on the fourth day, in force since both sides had been seen with the address: the second.
    (merged,) = [row for row in late.history if row[0] == mail and row[2] == "merged"]
    assert (merged[3], merged[4].date()) == (DAYS[3], DAYS[1])


def test_stable_more_of_the_same_person_changes_nothing(story: Callable[[str], Story]) -> None:
    stable = story("stable")
    known = stable.one(1, "u1 e1")
    assert [stable.one(number, "u1 e1") for number in (2, 3, 4)] == [known] * 3
    assert stable.log == [(1, known, None, "created", "first seen")]
    assert stable.leads_to(known) == [known]


def test_re_observe_the_same_again_is_counted_and_no_more(story: Callable[[str], Story]) -> None:
    reobserve = story("reobserve")
    known = reobserve.one(1, "u1 a1")
    assert reobserve.one(4, "u1 a1") == known
    counts = [
        row[4]
        for number in range(1, 5)
        for row in reobserve.days.claims[number]
        if row[1] == value_of("reobserve", "u1")
    ]
    assert counts == [1, 2, 3, 4]
    assert reobserve.log == [(1, known, None, "created", "first seen")]


def test_self_bridge_a_link_within_a_customer_changes_nothing(story: Callable[[str], Story]) -> None:
    selfbridge = story("selfbridge")
    known = selfbridge.one(1, "u1 a1 e1")
    assert selfbridge.one(3, "u1 a1 e1") == selfbridge.one(4, "u1 a1 e1") == known
    assert selfbridge.log == [(1, known, None, "created", "first seen")]
