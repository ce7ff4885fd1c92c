"""What is published of audiences, and the tables about the runs themselves."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import duckdb
import pytest

from include.lake import Lake
from include.warehouse import run_models
from tests.dbt_project.audience_lake import (
    DAY,
    DAY_BEFORE,
    KEY,
    KIOSK_USERS,
    USERS,
    AudienceLake,
    built_audience_lake,
    variables,
    visitor,
)
from tests.dbt_project.parts import parts_built

ANN = visitor("ck-ann")
STRANGERS = {
    visitor("ck-stranger"),
    visitor("ck-first-day"),
    visitor("ck-day-before"),
    visitor("ck-brief"),
    visitor("ck-old"),
    visitor("ad-trait-only", "advertising_id"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> AudienceLake:
    return built_audience_lake(tmp_path_factory)


def members(built: AudienceLake, audience_id: str, source: str = "rule") -> set[str]:
    query = (
        f"select member_id from audience_members where audience_id = '{audience_id}' and source = '{source}'"
    )
    return {member_id for (member_id,) in built.read(query)}


def test_members_are_those_for_whom_the_condition_holds(built: AudienceLake) -> None:
    assert members(built, "known_people") == {f"c_{user}" for user in USERS}
    assert members(built, "likely_ann") == {"c_u-ann"}
    assert members(built, "runners") == {ANN, visitor("ck-stranger"), visitor("ck-first-day")}
    assert members(built, "recent_runners") == members(built, "runners")
    assert members(built, "thirties") == {ANN, visitor("ad-trait-only", "advertising_id")}


def test_an_audience_below_its_minimum_size_is_listed_without_members(built: AudienceLake) -> None:
    query = "select audience_id, status, size, lookalike_size from audiences order by audience_id"
    assert built.read(query) == [
        ("brief_readers", "published", 1, 0),
        ("in_bath", "below_min_size", 1, 0),
        ("known_people", "published", 6 + len(KIOSK_USERS), len(STRANGERS)),
        ("likely_ann", "published", 1, 0),
        ("recent_runners", "published", 3, 0),
        ("runners", "published", 3, 0),
        ("thirties", "published", 2, 0),
    ]
    # The model made look-alikes of it all the same; they are not published either.
    assert built.read("select count(*) > 0 from lookalike_members where audience_id = 'in_bath'") == [(True,)]
    assert members(built, "in_bath") | members(built, "in_bath", "lookalike") == set()


def test_look_alikes_are_living_strangers_of_models_that_beat_their_baseline(built: AudienceLake) -> None:
    assert members(built, "known_people", "lookalike") == STRANGERS
    published = built.read("select distinct audience_id from lookalike_members order by all")
    assert published == [("in_bath",), ("known_people",)]


def test_a_member_leaves_with_the_audience_the_model_or_the_visitor_whichever_is_first(
    built: AudienceLake,
) -> None:
    query = f"""
        select audience_id, entered_at::varchar, expires_at::varchar from audience_members
        where member_id in ('{ANN}', 'c_u-ann') order by all"""
    assert built.read(query) == [
        ("known_people", "2024-06-20 00:00:00", "2024-07-31 00:00:00"),
        ("likely_ann", "2024-06-30 00:00:00", "2024-07-31 00:00:00"),
        ("recent_runners", "2024-06-30 00:00:00", "2024-07-08 00:00:00"),
        ("runners", "2024-06-20 00:00:00", "2024-10-23 21:00:00"),
        ("thirties", "2024-06-30 00:00:00", "2024-07-31 00:00:00"),
    ]


def test_who_left_and_came_back_entered_on_the_day_of_the_return(built: AudienceLake) -> None:
    query = f"""
        select changed_date::varchar, change, entered_at::varchar
        from audience_changes inner join audience_members using (audience_id, member_id)
        where audience_id = 'thirties' and member_id = '{ANN}' order by all"""
    assert built.read(query) == [
        ("2024-06-01", "left", "2024-06-30 00:00:00"),
        ("2024-06-30", "entered", "2024-06-30 00:00:00"),
    ]


def changes(built: AudienceLake, change: str, where: str = "true") -> set[tuple[str, str, str]]:
    query = f"""
        select audience_id, member_id, reason from audience_changes
        where change = '{change}' and changed_date = date '{DAY}' and {where}"""
    return set(built.read(query))


def test_who_left_an_audience_is_told_with_the_reason(built: AudienceLake) -> None:
    assert changes(built, "left") == {
        ("runners", visitor("ck-day-before"), "rule_no_longer_holds"),
        ("runners", visitor("ck-ben"), "consent_withdrawn"),
        ("runners", visitor("ck-idle"), "visitor_forgotten"),
        ("brief_readers", visitor("ck-brief"), "trait_expired"),
        ("known_people", "c_gone", "customer_erased"),
        ("known_people", ANN, "became_known"),
        ("likely_ann", "c_u-ben", "definition_changed"),
        ("thirties", visitor("ck-stranger"), "model_refused"),
        ("in_bath", "c_u-ann", "below_min_size"),
        ("retired", "c_u-ann", "audience_removed"),
    }


def test_who_entered_an_audience_is_told_with_the_reason(built: AudienceLake) -> None:
    assert changes(built, "entered", "audience_id <> 'known_people'") == {
        ("runners", visitor("ck-stranger"), "qualified"),
        ("runners", visitor("ck-first-day"), "qualified"),
        ("recent_runners", ANN, "audience_added"),
        ("recent_runners", visitor("ck-stranger"), "audience_added"),
        ("recent_runners", visitor("ck-first-day"), "audience_added"),
        ("thirties", ANN, "qualified"),
        ("thirties", visitor("ad-trait-only", "advertising_id"), "qualified"),
        ("brief_readers", visitor("ck-stranger"), "min_size_reached"),
        ("likely_ann", "c_u-ann", "definition_changed"),
    }
    entered = changes(built, "entered", "audience_id = 'known_people' and side = 'dmp'")
    assert entered == {("known_people", each, "lookalike") for each in STRANGERS - {visitor("ck-stranger")}}


def test_of_who_withdrew_consent_the_history_keeps_only_what_removal_needs(built: AudienceLake) -> None:
    query = f"""
        select audience_id, member_id, changed_date::varchar, change from audience_changes
        where changed_date < date '{DAY}' order by all"""
    assert set(built.read(query)) == {
        ("runners", ANN, "2024-06-20", "entered"),
        ("runners", ANN, "2024-03-03", "left"),
        ("thirties", visitor("ck-ben"), "2024-06-01", "left"),
        ("thirties", ANN, "2024-06-01", "left"),
    }


def test_changes_take_the_members_of_the_day_before_to_those_of_today(built: AudienceLake) -> None:
    before = (
        f"read_parquet('{built.lake.audiences(DAY_BEFORE, 'audience_members')}', hive_partitioning = false)"
    )
    replayed = f"""
        (select audience_id, member_id from {before}
        union all
        select audience_id, member_id from audience_changes
        where changed_date = date '{DAY}' and change = 'entered')
        except all
        select audience_id, member_id from audience_changes where changed_date = date '{DAY}' and change = 'left'"""
    today = "select audience_id, member_id from audience_members"
    assert built.read(f"select count(*) > 20 from ({today})") == [(True,)]
    assert built.read(f"({replayed}) except all ({today})") == []
    assert built.read(f"({today}) except all ({replayed})") == []


def test_members_are_the_same_whether_they_are_taken_together_or_in_parts(
    built: AudienceLake, tmp_path: Path
) -> None:
    parted = Lake(tmp_path / "parted")
    shutil.copytree(built.lake.data, parted.data)
    run_models(
        ["audience_members"], parted, variables(parted) | {"memory_gb": 1, "members_at_a_time": 3}, KEY
    )
    assert parts_built(built.lake, "audience_members") == 0 and parts_built(parted, "audience_members") > 2
    together, apart = (
        duckdb.sql(f"from '{lake.root}/tables/both/audience_members.parquet'").fetchall()
        for lake in (built.lake, parted)
    )
    assert len(together) > 6
    assert together == apart


def test_another_key_ends_the_history_of_visitors_and_not_that_of_customers(
    built: AudienceLake, tmp_path: Path
) -> None:
    rotated = Lake(tmp_path / "rotated")
    shutil.copytree(built.lake.data, rotated.data)
    told = variables(rotated)
    for paths in told["audience_history"].values():
        del paths["dmp"]
    run_models(["audience_members", "audience_changes"], rotated, told, KEY)

    def of(lake: Lake, side: str) -> tuple[list[tuple], list[tuple]]:
        members, changes = (
            f"from '{lake.root}/tables/both/{table}.parquet' where side = '{side}'"
            for table in ("audience_members", "audience_changes")
        )
        return duckdb.sql(f"{members} order by all").fetchall(), duckdb.sql(
            f"{changes} order by all"
        ).fetchall()

    assert of(rotated, "cdp") == of(built.lake, "cdp")
    members, changes = of(rotated, "dmp")
    assert len(members) == len(changes) == len(of(built.lake, "dmp")[0]) > 6
    table = f"'{rotated.root}/tables/both/audience_changes.parquet'"
    found = duckdb.sql(
        f"select distinct change, changed_date::varchar from {table} where side = 'dmp'"
    ).fetchall()
    assert found == [("entered", str(DAY))]


def test_an_audience_on_a_trait_that_nobody_holds_says_so(built: AudienceLake) -> None:
    query = "select audience_id, trait_warning from audiences where trait_warning is not null"
    assert built.read(query) == [("brief_readers", "nobody holds golfer (unknown)")]


def test_the_control_group_is_a_matter_of_the_person_alone(built: AudienceLake) -> None:
    held_back = variables()["control_share"] * 2**32

    def is_held_back(person: str) -> bool:
        digest = hashlib.md5(f"tandem-control:{person}".encode()).hexdigest()
        return int(digest[:8], 16) < held_back

    found = built.read("select member_id, is_control from audience_members")
    assert {is_control for _, is_control in found} == {True, False}
    # Ann's cookie follows Ann although its own hash says otherwise; strangers have no one else to follow.
    assert is_held_back("c_u-ann") != is_held_back(ANN)
    wrong = [row for row in found if row[1] != is_held_back("c_u-ann" if row[0] == ANN else row[0])]
    assert not wrong


def test_refused_rows_are_counted_by_reason_and_column_without_their_text(built: AudienceLake) -> None:
    columns = "reason, column_name, example_file, example_row, rows, share"
    where = "channel = 'web' and kind = 'events' and refused = 'row'"
    assert built.read(f"select {columns} from quarantine_summary where {where} order by all") == [
        ("malformed", "", "web_2024-06-29.jsonl", 9, 2, 0.1),
        ("missing", "event_id", "web_2024-06-29.jsonl", 3, 4, 0.2),
        ("unreadable", "occurred_at", "web_2024-06-29.jsonl", 3, 2, 0.1),
    ]


def test_a_row_refused_for_two_reasons_is_one_row_of_the_total(built: AudienceLake) -> None:
    columns = "refused_rows, received_rows, first_seen_date::varchar, last_seen_date::varchar"
    assert built.read(f"select distinct {columns} from quarantine_summary where refused = 'row'") == [
        (6, 20, "2024-06-29", "2024-06-30"),
    ]


def test_values_that_were_left_out_of_landed_rows_are_counted_too(built: AudienceLake) -> None:
    columns = "channel, kind, reason, column_name, example_file, rows, refused_rows, received_rows"
    assert built.read(f"select {columns} from quarantine_summary where refused = 'value'") == [
        ("web", "events", "rejected", "sent_at", "web.csv", 1, 6, 20),
    ]


def test_the_layouts_that_changed_are_published_without_names_that_look_like_identifiers(
    built: AudienceLake,
) -> None:
    columns = "source_column, change, since_file, files, is_current, since_date::varchar"
    assert built.read(f"select {columns} from schema_drift order by all") == [
        ("(withheld)", "vanished", "web_2024-06-30.jsonl", 1, True, "2024-06-30"),
        ("site", "added", "web_2024-06-30.jsonl", 1, True, "2024-06-30"),
    ]


def test_the_gate_that_judges_a_release_is_not_part_of_it(built: AudienceLake) -> None:
    query = "select as_of_date::varchar, step, examples from quality_results order by all"
    assert built.read(query) == [
        ("2024-06-29", "publish", "(withheld)"),
        ("2024-06-29", "stage", "(withheld)"),
        ("2024-06-30", "stage", "(withheld)"),
    ]


def test_every_attempt_of_a_step_is_in_the_costs(built: AudienceLake) -> None:
    query = f"select step, attempt, status from run_costs where as_of_date = date '{DAY}' order by all"
    assert built.read(query) == [("stage", 1, "failed"), ("stage", 2, "done")]


def test_every_model_and_its_tests_are_in_the_costs(built: AudienceLake) -> None:
    query = "select wall_seconds > 0, tests > 0, test_seconds > 0 from model_costs where step = '{}' and model = '{}'"
    assert built.read(query.format("unify", "visitors")) == [(True, True, True)]
    assert built.read(query.format("expand", "audience_members")) == [(True, True, True)]
    assert built.read("select distinct as_of_date::varchar from model_costs") == [(f"{DAY}",)]
    assert built.read("select count(*) from model_costs where step = 'publish'") == [(0,)]


def test_every_published_table_states_its_grain_and_describes_every_column(built: AudienceLake) -> None:
    published = {
        node["name"]: node
        for node in built.manifest["nodes"].values()
        if node["resource_type"] == "model"
        and node["config"]["meta"].get("side") in ("dmp", "bridge", "both", "ops")
        and node["config"]["materialized"] == "external"
    }
    assert set(published) == {
        "visitors", "trait_qualifications", "traits", "iab_categories", "lookalike_models", "lookalike_members",
        "lookalike_traits", "lookalike_fairness", "audiences", "audience_members", "audience_changes",
        "model_cards", "run_costs", "model_costs", "quality_results", "quarantine_summary", "schema_drift",
        "placements", "reach", "audience_overlaps", "match_rates", "offsite_interests", "upsell_opportunities",
        "audience_lift", "activations", "activation_refusals", "deliveries", "privacy_requests",
    }  # fmt: skip
    for name, node in published.items():
        assert node["config"]["contract"]["enforced"], name
        assert "One row per " in node["description"] and node["description"].rstrip().endswith("."), name
        assert set(node["config"]["meta"]["grain"]) <= set(node["columns"]), name
        for column in node["columns"].values():
            assert column["description"], f"{name}.{column['name']}"
            assert column["config"]["meta"]["pii"] in ("none", "indirect", "pseudonymous"), (
                f"{name}.{column['name']}"
            )
