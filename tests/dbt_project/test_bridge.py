"""The bridge: which customers and visitors are matched, and what crosses it."""

from __future__ import annotations

import re

import pytest

from tests.dbt_project.audience_lake import AudienceLake, built_audience_lake, visitor

ANN, FAY, DORA, KIOSK = (
    visitor("ck-ann"),
    visitor("dv-tablet", "device_id"),
    visitor("ck-dora"),
    visitor("ck-kiosk"),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> AudienceLake:
    return built_audience_lake(tmp_path_factory)


def test_a_device_of_eleven_persons_and_a_person_who_refused_are_not_matched(built: AudienceLake) -> None:
    claims = dict(
        built.read("select visitor_id, max(persons_of_visitor) from int_visitor_claims group by all")
    )
    assert claims == {ANN: 1, FAY: 1, DORA: 1, KIOSK: 11}
    matches = built.read("select customer_id, visitor_id from int_customer_visitors order by all")
    assert matches == [("c_u-ann", ANN), ("c_u-fay", FAY)]


def test_a_match_ends_with_the_device_seen_last_with_the_person(built: AudienceLake) -> None:
    query = "select last_seen_at::varchar, expires_at::varchar from int_customer_visitors where customer_id = 'c_u-ann'"
    ((last_seen_at, expires_at),) = built.read(query)
    # Ann's cookie was last seen on the own site on the 21st, off-site on the 25th.
    assert (last_seen_at, expires_at) == ("2024-06-21 10:30:00", "2024-10-19 10:30:00")


def test_who_is_somebodys_device_is_never_a_stranger_even_without_a_match(built: AudienceLake) -> None:
    known = {visitor_id for (visitor_id,) in built.read("select visitor_id from known_visitors")}
    assert known == {ANN, FAY, DORA, KIOSK}


def test_seeds_are_consented_visitors_of_large_enough_audiences(built: AudienceLake) -> None:
    seeds = {
        (audience_id, visitor_id)
        for audience_id, visitor_id, _ in built.read(
            "select audience_id, visitor_id, person_key from audience_seeds"
        )
    }
    # known_people has 17 customers, of whom two are matched; in_bath has one and needs two.
    assert seeds == {
        ("known_people", ANN),
        ("known_people", FAY),
        ("thirties", ANN),
        ("thirties", visitor("ad-trait-only", "advertising_id")),
    }


def test_one_person_has_one_key_that_is_not_the_customer_id(built: AudienceLake) -> None:
    keys = built.read(f"select distinct person_key from audience_seeds where visitor_id = '{ANN}'")
    assert keys == built.read(f"select person_key from known_visitors where visitor_id = '{ANN}'")
    every_key = [key for (key,) in built.read("select distinct person_key from audience_seeds")]
    assert len(every_key) == 3
    assert all(re.fullmatch("p[0-9a-f]{24}", key) for key in every_key)
