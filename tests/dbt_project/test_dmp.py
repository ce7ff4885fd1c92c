"""The DMP side: who becomes a visitor, what is kept of them, and what is found nowhere."""

from __future__ import annotations

import hashlib

import pytest

from tests.dbt_project.audience_lake import OTHER_KEY, SECRETS, AudienceLake, built_audience_lake, visitor

VISITORS = {
    "ck-ann": visitor("ck-ann"),
    "ck-dora": visitor("ck-dora"),
    "ck-kiosk": visitor("ck-kiosk"),
    "ck-stranger": visitor("ck-stranger"),
    "ck-first-day": visitor("ck-first-day"),
    "ck-day-before": visitor("ck-day-before"),
    "ck-brief": visitor("ck-brief"),
    "ck-old": visitor("ck-old"),
    "dv-tablet": visitor("dv-tablet", "device_id"),
    "ad-trait-only": visitor("ad-trait-only", "advertising_id"),
}
NAMES = {visitor_id: name for name, visitor_id in VISITORS.items()}
# What crosses the wall from the other side: only visitor ids and keys of persons.
CROSSINGS = ("known_visitors", "audience_seeds")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> AudienceLake:
    return built_audience_lake(tmp_path_factory)


def test_only_who_granted_advertising_is_a_visitor(built: AudienceLake) -> None:
    """Not there: refused, said nothing, granted analytics only, withdrew, robots, the idle, and tomorrow's."""
    found = {visitor_id for (visitor_id,) in built.read("select visitor_id from visitors")}
    assert found == set(VISITORS.values())


def test_another_key_gives_visitor_ids_that_nobody_can_join(built: AudienceLake) -> None:
    query = f"select visitor_id from ({built.compiled('int_visitor_consents')}) as consents"
    ours, theirs = set(built.read(query)), set(built.read(query, key=OTHER_KEY))
    assert len(ours) == len(theirs) == 15
    assert not ours & theirs


def test_no_identifier_is_found_in_any_table_of_the_dmp_side(built: AudienceLake) -> None:
    models = [
        node["name"]
        for node in built.manifest["nodes"].values()
        if node["resource_type"] == "model"
        and (node["group"] == "audience" or node["name"] in CROSSINGS)
        and node["config"]["materialized"] != "ephemeral"
        and node["name"] != "audited_traits"  # nothing is audited here
    ]
    assert len(models) >= 15
    hashes = [
        getattr(hashlib, name)(secret.encode()).hexdigest()
        for secret in SECRETS
        for name in ("sha256", "md5")
    ]
    for model in models:
        text = "\n".join(str(row) for row in built.read(f"from {model}"))
        assert text, f"{model} is empty, so nothing was searched"
        found = [secret for secret in (*SECRETS, *hashes) if secret.lower() in text.lower()]
        assert not found, f"{model} holds {found}"


def test_text_that_holds_an_identifier_is_withheld_and_still_counted(built: AudienceLake) -> None:
    query = f"""
        select content_category, count(*) from int_visitor_events
        where visitor_id = '{VISITORS["ck-ann"]}' group by all order by all"""
    assert built.read(query) == [("(withheld)", 2), ("sport", 1), (None, 1)]


def test_a_visitor_is_known_by_device_network_and_hours_only(built: AudienceLake) -> None:
    query = """select id_type, device, place, first_seen_at::varchar, last_seen_at::varchar, expires_at::varchar
        from visitors where visitor_id = '{}'"""
    assert built.read(query.format(VISITORS["ck-kiosk"])) == [
        ("anonymous_id", "desktop", "2001:db8:ab::/48", "2024-06-20 10:00:00", "2024-06-20 10:00:00",
         "2024-10-18 10:00:00"),
    ]  # fmt: skip
    assert built.read(query.format(VISITORS["dv-tablet"]))[0][:3] == ("device_id", "mobile", None)
    # The broker spoke of Ann's cookie on the first of June; she was seen last off-site, without an address.
    assert built.read(query.format(VISITORS["ck-ann"])) == [
        ("anonymous_id", "desktop", "198.51.100.0/24", "2024-06-01 00:00:00", "2024-06-25 21:00:00",
         "2024-10-23 21:00:00"),
    ]  # fmt: skip
    assert built.read(query.format(VISITORS["ad-trait-only"]))[0][:3] == ("advertising_id", "unknown", None)


def test_single_events_are_kept_for_their_days_and_visitors_for_longer(built: AudienceLake) -> None:
    query = (
        "select min(event_day)::varchar, count(*) filter (where site = 'old.example') from int_visitor_events"
    )
    assert built.read(query) == [("2024-05-31", 0)]
    assert built.read(f"select count(*) from visitors where visitor_id = '{VISITORS['ck-old']}'") == [(1,)]


def test_frequency_and_recency_end_between_the_thirtieth_and_the_thirty_first_day(
    built: AudienceLake,
) -> None:
    answers = {
        NAMES[visitor_id]: (word & 1 > 0, word & 2 > 0)
        for visitor_id, word in built.read("select visitor_id, answers_1 from int_audience_answers")
    }
    assert answers["ck-stranger"] == (True, True)
    assert answers["ck-first-day"] == (True, True)
    assert answers["ck-day-before"] == (False, False)
    assert "ck-dora" not in answers


def test_a_trait_of_a_third_party_needs_the_visitors_own_consent(built: AudienceLake) -> None:
    query = "select visitor_id, value, expires_at::varchar from trait_qualifications where trait_id = 'age'"
    found = {NAMES[visitor_id]: (value, until) for visitor_id, value, until in built.read(query)}
    # Not there: Ben refused, Cal and a stranger said nothing of advertising, and the first-day visitor's has expired.
    assert found == {
        "ck-ann": ("30-39", "2024-09-29 00:00:00"),
        "ck-stranger": ("20-29", "2024-09-29 00:00:00"),
        "ad-trait-only": ("30-39", "2024-09-29 00:00:00"),
    }


def test_a_trait_of_one_day_is_gone_the_day_after(built: AudienceLake) -> None:
    query = (
        "select visitor_id, frequency, expires_at::varchar from trait_qualifications where trait_id = 'brief'"
    )
    assert [(NAMES[row[0]], *row[1:]) for row in built.read(query)] == [
        ("ck-stranger", 1, "2024-07-01 09:00:00")
    ]


def test_look_alike_features_say_nothing_of_visits_to_the_own_site(built: AudienceLake) -> None:
    features = {}
    for visitor_id, feature, value in built.read("from visitor_features order by all"):
        features.setdefault(NAMES[visitor_id], {})[feature] = value
    assert features["ck-ann"] == {
        "category:(withheld)": 1.0,
        "category:sport": 1.0,
        "device:desktop": 2.0,
        "hours:18-24": 2.0,
        "site:news.example": 2.0,
        "trait:age=30-39": 1.0,
    }
    assert features["ad-trait-only"] == {"trait:age=30-39": 1.0}
    assert not {"ck-dora", "ck-kiosk", "dv-tablet"} & set(features)
    query = "select visitor_id, events, active_days from visitor_activity"
    activity = {NAMES[visitor_id]: rest for visitor_id, *rest in built.read(query)}
    assert activity == {
        "ck-ann": [2, 1],
        "ck-stranger": [2, 1],
        "ck-brief": [1, 1],
        "ck-first-day": [1, 1],
        "ck-day-before": [1, 1],
    }
