"""What is told of audiences is true, and tells of no few people: neither one report nor one after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from include.config.schema import Placements
from include.lake import Lake
from ml.reach import measure_reach
from ml.tables import read_table
from tests.ml.reach_world import World, change_people, hand_over_counts, make_people, make_world

FLOOR = 50
DAY = date(2024, 6, 30)
CONFIGURATION = SimpleNamespace(
    privacy=SimpleNamespace(minimum_cell=FLOOR), models=SimpleNamespace(placements=Placements())
)
TABLES = ("reach", "audience_overlaps", "placements")

Report = dict[str, pd.DataFrame]


def report(lake: Lake, world: World, day: date) -> Report:
    hand_over_counts(lake, world)
    measure_reach(lake, day, CONFIGURATION)
    return {name: read_table(lake.ml(day, name)) for name in TABLES}


def told_figures(tables: Report, world: World) -> list[tuple[str, frozenset[int], int]]:
    """Every count of people that a reader sees: what it is of, who that is, and how many are said to be."""
    told: list[tuple[str, frozenset[int], int]] = []

    def add(name: str, people: frozenset[int], count: float) -> None:
        if pd.notna(count):
            told.append((name, people, int(count)))

    for row in tables["reach"].itertuples():
        members = world.sets[(row.audience_id, row.part)]
        name = f"{row.audience_id} {row.part}"
        add("everybody", world.everybody, row.population)
        add(name, members, row.people)
        for times in (1, 2, 3, 6):
            add(
                f"{name} met {times}",
                members & world.met_so_often(times),
                getattr(row, f"met_{times}_or_more"),
            )
        others = [
            each for key, each in world.sets.items() if key[1] == "members" and key[0] != row.audience_id
        ]
        over = [world.sets[(row.audience_id, "members")]] if row.part == "lookalikes" else others
        add(f"{name} alone", members.difference(*over), row.incremental_people)
    for row in tables["audience_overlaps"].itertuples():
        one, other = world.sets[(row.audience_a, row.part_a)], world.sets[(row.audience_b, row.part_b)]
        name = f"{row.audience_a} {row.part_a}, {row.audience_b} {row.part_b}"
        add(f"both {name}", one & other, row.overlap)
        add(f"first of {name}", one - other, row.only_a)
        add(f"second of {name}", other - one, row.only_b)
        add(f"either {name}", one | other, row.union_people)
    for row in tables["placements"].itertuples():
        members, met = world.sets[(row.audience_id, row.part)], world.met(row.dimension, row.value)
        add(f"{row.audience_id} {row.part} at {row.dimension} {row.value}", members & met, row.reach)
        add(f"everybody at {row.dimension} {row.value}", met, row.population_people)
    return list({each[0]: each for each in told}.values())


def few_found(
    one: list[tuple[str, frozenset[int], int]], other: list[tuple[str, frozenset[int], int]]
) -> list[tuple[str, str, int]]:
    """Brute force: every two figures of which the first is of people who are all among those of the second, when the
    numbers told say that 1 to 49 more are in the second."""
    return [
        (small, large, more - fewer)
        for small, part, fewer in one
        for large, whole, more in other
        if 0 < more - fewer < FLOOR and part <= whole
    ]


def followed_figures(tables: Report, world: World) -> list[tuple[str, frozenset[int], int]]:
    """What a reader works out from what audiences have alone: who of each is in any other one, and, where a set that is
    told holds all others, who is in any audience at all and in any but one."""
    told, rows = told_figures(tables, world), tables["reach"]
    rows = rows[rows["incremental_people"].notna() & (rows["part"] == "members")]
    members = {name: people for (name, part), people in world.sets.items() if part == "members"}
    found, everyone = [], []
    for row in rows.itertuples():
        others = frozenset().union(*(people for name, people in members.items() if name != row.audience_id))
        mine, alone = members[row.audience_id], int(row.incremental_people)
        found.append((f"{row.audience_id} shared", mine & others, int(row.people) - alone))
        everyone += [
            ("anybody", mine | others, count + alone) for _, people, count in told if people == others
        ]
    for row in rows.itertuples():
        others = frozenset().union(*(people for name, people in members.items() if name != row.audience_id))
        found += [
            (f"not only {row.audience_id}", others, each[2] - int(row.incremental_people))
            for each in everyone
        ]
    return found + everyone


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param(
            lambda people: {"most": people["age"] >= 30, "some": people["age"].between(50, 88)}, id="inside"
        ),
        pytest.param(
            lambda people: {
                "most": people["age"] >= 20,
                "some": (people["age"] < 40) & (people["keen"] >= 4),
            },
            id="two, few of one outside the other",
        ),
        pytest.param(
            lambda people: {
                "active": people["age"] >= 20,
                "buyers": people["woman"] & (people["age"] >= 20) & (people["keen"] >= 2),
                "kitchen": (people["keen"] < 4)
                & (people["age"] % 4 != 0)
                & ((people["place"] == "n") | (people["woman"] & (people["age"] >= 20)))
                & ((people["age"] >= 20) | people["woman"]),
            },
            id="three, few of two outside the third",
        ),
        pytest.param(
            lambda people: {
                "women": people["woman"],
                "men": ~people["woman"] & (people["age"] >= 19),
                "keen": people["keen"] >= 3,
            },
            id="three, few in none",
        ),
    ],
)
def test_what_few_audiences_have_alone_tells_of_no_few_either(tmp_path, conditions) -> None:
    people = make_people(2_400, seed=1)
    sets = {(name, "members"): frozenset(people.index[mask]) for name, mask in conditions(people).items()}
    world = World(people, sets, make_world(people).visits)
    tables = report(Lake(tmp_path), world, DAY)
    told = told_figures(tables, world) + followed_figures(tables, world)
    assert len(told) > 3
    assert few_found(told, told) == []


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[World, Report]]:
    """Reports of six days on which few or many come, leave and change."""
    lake, found = Lake(tmp_path_factory.mktemp("days")), []
    people = make_people(2_400, seed=1)
    changes = [(0, 0, 0), (12, 9, 20), (3, 70, 40), (160, 150, 200), (1, 1, 1), (300, 20, 0)]
    for number, (leave, come, move) in enumerate(changes):
        if number:
            people = change_people(people, number, leave, come, move)
        world = make_world(people)
        found.append((world, report(lake, world, DAY + timedelta(days=number))))
    return found


def test_no_two_figures_of_a_report_tell_of_a_few_people(days) -> None:
    for world, tables in days:
        told = told_figures(tables, world)
        assert len(told) > 60
        assert all(count >= FLOOR or count == 0 for _, _, count in told)
        assert few_found(told, told) == []
        told += followed_figures(tables, world)
        assert few_found(told, told) == []


def test_no_two_figures_of_two_reports_tell_how_few_came_or_went(days) -> None:
    seen = [(told_figures(tables, world), world) for world, tables in days]
    compared = 0
    for (before, _), (after, _) in pairwise(seen):
        earlier = {name: count for name, _, count in before}
        moved = [abs(count - earlier[name]) for name, _, count in after if name in earlier]
        assert all(each == 0 or each >= FLOOR for each in moved)
        compared += len(moved)
        assert few_found(before, after) == []
        assert few_found(after, before) == []
    assert compared > 500


def test_an_audience_under_another_id_tells_no_few_either(tmp_path) -> None:
    """Twelve people have left; who compares with the report of before finds out nothing of them."""
    lake, people = Lake(tmp_path), make_people(2_400, seed=1)
    before = make_world(people)
    after = make_world(change_people(people, seed=9, leave=12, come=0, move=0))
    names = {"over_30": "a_renamed_one", "north": "zz_renamed_too", "very_keen": "keenest"}
    sets = {
        (names.get(audience, audience), part): members for (audience, part), members in after.sets.items()
    }
    first = told_figures(report(lake, before, DAY), before)
    renamed = replace(after, sets=sets)
    second = told_figures(report(lake, renamed, DAY + timedelta(days=1)), renamed)
    of_renamed = [each for each in second if any(name in each[0] for name in names.values())]
    assert len(of_renamed) > 20
    assert few_found(second, first) == few_found(first, second) == []
    told = {name: count for name, _, count in (*first, *second)}
    assert told["a_renamed_one members"] == told["over_30 members"]


def test_the_attack_would_find_what_is_not_protected(days) -> None:
    world, _ = days[0]
    first, second = world.sets[("over_31", "members")], world.sets[("over_30", "members")]
    unprotected = [("over 31", first, len(first)), ("over 30", second, len(second))]
    assert few_found(unprotected, unprotected) == [("over 31", "over 30", len(second - first))]


def test_every_figure_is_true_to_less_than_the_floor(days) -> None:
    for world, tables in days:
        told = told_figures(tables, world)
        wrong = [
            (name, count, len(people)) for name, people, count in told if abs(count - len(people)) >= FLOOR
        ]
        assert len(told) > 50
        assert wrong == []


def test_what_is_told_and_not_held_back_is_true(days) -> None:
    told = 0
    for number, (world, tables) in enumerate(days):
        rows = tables["audience_overlaps"]
        fresh = rows[rows["overlap"].notna() & ~rows["is_held_back"]]
        for row in fresh.itertuples():
            one, other = world.sets[(row.audience_a, row.part_a)], world.sets[(row.audience_b, row.part_b)]
            assert row.overlap == len(one & other)
        places = tables["placements"]
        fresh_places = places[~places["is_held_back"]]
        for row in fresh_places.itertuples():
            members, met = world.sets[(row.audience_id, row.part)], world.met(row.dimension, row.value)
            share, everybodys = len(members & met) / len(members), len(met) / len(world.everybody)
            assert row.reach == len(members & met)
            if row.population == len(world.everybody):
                assert row.index == pytest.approx(100 * share / everybodys, abs=0.06)
        told += len(fresh) + len(fresh_places)
        assert number or len(fresh_places) == len(places) > 50
    assert told > 150


def test_a_figure_that_is_held_back_is_told_as_it_was(days) -> None:
    (_, first), (_, second) = days[0], days[1]
    earlier = first["reach"].set_index(["audience_id", "part"])["people"]
    held = second["reach"][second["reach"]["is_held_back"] & second["reach"]["people"].notna()]
    assert len(held) > 3
    for row in held.itertuples():
        assert row.people == earlier[(row.audience_id, row.part)]
    assert set(held["counted_on"]) == {DAY}


def test_every_set_that_is_not_told_says_why(days) -> None:
    for _, tables in days:
        reach = tables["reach"].set_index(["audience_id", "part"])
        # Nearly the same people as in a larger audience: their size would tell who is in that one alone.
        assert reach.loc[("over_31", "members"), "suppressed_because"] == "too few others"
        assert reach["people"].isna().equals(reach["suppressed_because"].notna())
    reasons = pd.concat([tables["audience_overlaps"]["suppressed_because"] for _, tables in days])
    assert set(reasons.dropna()) == {"too few people", "too few others"}


def test_running_a_day_again_tells_the_same(tmp_path, days) -> None:
    lake = Lake(tmp_path)
    for number in (0, 1):
        report(lake, days[number][0], DAY + timedelta(days=number))
    kept = {path: path.read_bytes() for path in sorted(lake.root.rglob("ml/**/*.parquet"))}
    again = report(lake, days[1][0], DAY + timedelta(days=1))
    assert len(kept) >= 8
    assert all(path.read_bytes() == content for path, content in kept.items())
    for name in TABLES:
        pd.testing.assert_frame_equal(again[name], days[1][1][name])


def test_a_placement_is_above_everybodys_where_the_audience_is_met_more(tmp_path) -> None:
    people = make_people(4_000, seed=5)
    world = make_world(people)
    keen = np.array(sorted(world.sets[("very_keen", "members")]))
    extra = pd.DataFrame(
        {"person": keen, "site": "club", "category": "club", "context": "club: club", "device": "tv"}
    )
    some = pd.DataFrame(
        {
            "person": np.arange(0, 4_000, 8),
            "site": "club",
            "category": "club",
            "context": "club: club",
            "device": "tv",
        }
    )
    world = World(people, world.sets, pd.concat([world.visits, extra.iloc[::2], some]))
    tables = report(Lake(tmp_path), world, DAY)
    places = (
        tables["placements"]
        .query("audience_id == 'very_keen' and part == 'members'")
        .set_index(["dimension", "value"])
    )
    assert places.loc[("site", "club"), "rank"] == 1
    assert places.loc[("site", "club"), "is_significant"]
    assert places.loc[("site", "club"), "low"] > 150
    # Where women are met is no matter of being a woman.
    women = tables["placements"].query("audience_id == 'all_women' and dimension == 'device'")
    assert len(women) > 0
    assert not women["is_significant"].any()


def test_without_an_audience_the_tables_are_empty_and_say_so(tmp_path) -> None:
    lake = Lake(tmp_path)
    summary = measure_reach(lake, DAY, CONFIGURATION)
    assert summary.skipped
    assert [len(read_table(lake.ml(DAY, name))) for name in TABLES] == [0, 0, 0]
    assert read_table(lake.ml(DAY, "model_cards_reach"))["note"].tolist() == [
        "skipped: no audience has a member who may be counted"
    ]
