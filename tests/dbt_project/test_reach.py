"""What is counted of audiences: who is behind visitors, how sets overlap, how often and where they are met."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.dbt_project.audience_lake import USERS, AudienceLake, built_audience_lake, visitor

ANN, FAY = visitor("ck-ann"), visitor("dv-tablet", "device_id")
STRANGER, FIRST_DAY = visitor("ck-stranger"), visitor("ck-first-day")
TRAIT_ONLY = visitor("ad-trait-only", "advertising_id")
STRANGERS = {
    STRANGER,
    FIRST_DAY,
    TRAIT_ONLY,
    *(visitor(f"ck-{each}") for each in ("day-before", "brief", "old")),
}
# The sets of visitors; no one of the lake has two devices, so that people and visitors are as many.
SETS = {
    ("brief_readers", "members"): {STRANGER},
    ("known_people", "lookalikes"): STRANGERS,
    ("known_people", "members"): {ANN, FAY},
    ("likely_ann", "members"): {ANN},
    ("recent_runners", "members"): {ANN, STRANGER, FIRST_DAY},
    ("runners", "members"): {ANN, STRANGER, FIRST_DAY},
    ("thirties", "members"): {ANN, TRAIT_ONLY},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> AudienceLake:
    return built_audience_lake(tmp_path_factory)


def test_visitors_are_counted_as_the_people_behind_them(built: AudienceLake) -> None:
    query = """
        select audience_id, part, people, population from reach
        where unit = 'visitors' and people is not null order by all"""
    ((visitors,),) = built.read("select count(*) from visitors")
    assert built.read(query) == [(*name, len(members), visitors) for name, members in sorted(SETS.items())]


def test_customers_are_counted_whether_they_are_matched_or_not(built: AudienceLake) -> None:
    query = "select audience_id, people, population from reach where unit = 'customers' order by all"
    # in_bath is too small to be an audience; of the two others only Ann is in both.
    assert built.read(query) == [("known_people", len(USERS), len(USERS)), ("likely_ann", 1, len(USERS))]
    query = "select overlap, only_a, only_b, method from audience_overlaps where unit = 'customers'"
    assert built.read(query) == [(1, len(USERS) - 1, 0, "exact")]


def test_two_devices_of_a_person_are_one(built: AudienceLake) -> None:
    known = dict(built.read("select visitor_id, person_key from int_known_visitors"))
    hashes = dict(built.read("select visitor_id, person_hash from int_reach_visitors"))
    assert known.keys() < hashes.keys()
    for visitor_id, person_hash in hashes.items():
        pseudonym = known[visitor_id][1:] if visitor_id in known else visitor_id
        assert person_hash == int(pseudonym[:15], 16)


def test_overlaps_are_those_of_the_sets(built: AudienceLake) -> None:
    query = """
        select audience_a, part_a, audience_b, part_b, overlap, only_a, only_b, union_people
        from audience_overlaps
        where unit = 'visitors' and overlap is not null order by all"""
    expected = [
        (*one, *other, len(mine & theirs), len(mine - theirs), len(theirs - mine), len(mine | theirs))
        for (one, mine), (other, theirs) in combinations(sorted(SETS.items()), 2)
        if mine & theirs
    ]
    assert len(expected) > 8
    assert built.read(query) == expected


def test_members_add_to_other_audiences_and_look_alikes_to_their_members(built: AudienceLake) -> None:
    query = """
        select audience_id, part, incremental_over, incremental_people from reach
        where unit = 'visitors' and incremental_people is not null order by all"""
    # Fay is in one audience only, and so is the visitor of whom a broker alone knows.
    assert built.read(query) == [
        ("known_people", "lookalikes", "members", len(STRANGERS)),
        ("known_people", "members", "other audiences", 1),
        ("thirties", "members", "other audiences", 1),
    ]


def test_frequency_counts_off_site_events_of_the_window(built: AudienceLake) -> None:
    query = """
        select audience_id, met_1_or_more, met_2_or_more, met_3_or_more, mean_events from reach
        where unit = 'visitors' and audience_id in ('known_people', 'runners') and part = 'members' order by all"""
    # Ann has two events off-site within 28 days, the stranger too; one of the 1st of June is older.
    assert built.read(query) == [("known_people", 1, 1, None, 1.0), ("runners", 2, 2, None, 1.3)]


def test_placements_are_of_people_each_once_and_never_of_owned_sites(built: AudienceLake) -> None:
    query = """
        select dimension, value, reach, population_people from placements
        where audience_id = 'runners' and dimension in ('site', 'category', 'device') order by all"""
    assert built.read(query) == [
        ("category", "(withheld)", 1, 1),
        ("category", "brief", 1, 2),
        ("category", "sport", 2, 2),
        ("device", "desktop", 2, 3),
        ("site", "news.example", 2, 3),
    ]
    query = "select count(*) from placements where value like '%shop.example%'"
    assert built.read(query) == [(0,)]


def test_look_alikes_have_placements_of_their_own(built: AudienceLake) -> None:
    query = """
        select value, reach, share from placements
        where audience_id = 'known_people' and part = 'lookalikes' and dimension = 'category' order by all"""
    found = built.read(query)
    assert [(value, people) for value, people, _ in found] == [("brief", 2), ("sport", 1)]
    assert found[0][2] == pytest.approx(2 / len(STRANGERS))


def test_a_context_is_a_category_of_a_site_that_has_several(built: AudienceLake) -> None:
    query = "select value, within_site, within_category from int_placements where dimension = 'context' order by all"
    assert built.read(query) == [
        ("news.example: (withheld)", "news.example", "(withheld)"),
        ("news.example: brief", "news.example", "brief"),
        ("news.example: sport", "news.example", "sport"),
    ]


def test_nothing_that_is_handed_over_names_a_customer_or_a_visitor(built: AudienceLake) -> None:
    for table in ("reach_counts", "sketched_people", "sketched_placements", "placement_counts"):
        columns = [row[0] for row in built.read(f"describe {table}")]
        assert not {"customer_id", "visitor_id", "person_key", "person_hash"} & set(columns)
