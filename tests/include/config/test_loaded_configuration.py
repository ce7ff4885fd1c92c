"""A valid configuration becomes objects that say everything the steps need to know."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from include.config import ConfigError, FileSource, MapEntry, load_configuration
from include.config.columns import PROMISED_COLUMNS, customer_columns
from include.config.loading import FILES
from include.settings import DEFAULT_CONFIG, DEMO_CONFIG, PROJECT

CHANNELS = """\
channels:
  crm:
    party: first
    kind: customers
    source: {connector: file, path: "crm/customers_{date}.csv", format: csv, delimiter: ";", null_values: ["", NULL]}
    spec: mapped
    map:
      record_id: id
      observed_at: updated_at
      country: {value: DE}
      phone: {sql: "coalesce(mobile, landline)"}
    required: false
    tolerance: 0.2
  broker:
    party: third
    kind: traits
    source: {path: broker.parquet, format: parquet}
    spec: mapped
    map: {id_type: {value: anonymous_id}, id_value: cookie, observed_at: seen_at}
    unpivot: [age, region]
"""


def test_the_default_files_are_valid_with_what_every_company_has():
    configuration = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS)
    assert configuration.channels == {}
    assert len(configuration.audiences) >= 5
    assert any(audience.lookalike for audience in configuration.audiences)


def test_the_default_files_are_valid_with_the_published_columns():
    assert load_configuration(DEFAULT_CONFIG).audiences


def test_what_was_checked_is_not_tried_again_while_the_folder_says_the_same(tmp_path):
    rule = "id: loyal, name: Loyal, side: cdp, where: loyalty_points > 100, ttl_days: 30"
    (tmp_path / "audiences.yml").write_text(f"audiences: [{{{rule}}}]\n")
    checked = load_configuration(tmp_path, PROMISED_COLUMNS | {"loyalty_points": "bigint"})

    assert load_configuration(tmp_path, PROMISED_COLUMNS, checked=checked.hash).hash == checked.hash
    (tmp_path / "audiences.yml").write_text(f"audiences: [{{{rule.replace('100', '200')}}}]\n")
    with pytest.raises(ConfigError, match="loyalty_points"):
        load_configuration(tmp_path, PROMISED_COLUMNS, checked=checked.hash)


def test_every_file_has_a_default():
    assert {path.name for path in DEFAULT_CONFIG.glob("*.yml")} == set(FILES)


def test_the_demo_configuration_is_valid():
    configuration = load_configuration(DEMO_CONFIG)
    own_files = {path.name for path in DEMO_CONFIG.glob("*.yml")}
    assert bool(configuration.channels) == ("channels.yml" in own_files)


def test_an_empty_folder_is_the_defaults(tmp_path):
    assert load_configuration(tmp_path).hash == load_configuration(DEFAULT_CONFIG).hash


def test_empty_files_of_options_are_their_defaults(load):
    configuration = load(models="", audiences="# none\n", destinations="", channels="channels:\n")
    assert configuration.models.purchase.horizon_days == 28
    assert (configuration.audiences, configuration.destinations, configuration.channels) == ((), (), {})


def test_a_channel_says_everything_that_extract_needs(load):
    crm = load(channels=CHANNELS).channels["crm"]
    assert (crm.name, crm.party, crm.kind, crm.spec, crm.required, crm.tolerance) == (
        "crm", "first", "customers", "mapped", False, 0.2,
    )  # fmt: skip
    assert crm.source == FileSource(
        path="crm/customers_{date}.csv", format="csv", delimiter=";", null_values=("", "null")
    )
    assert (crm.source.quote, crm.source.encoding, crm.source.compression, crm.source.header) == (
        '"', "utf-8", "auto", True,
    )  # fmt: skip
    assert crm.map == {
        "record_id": MapEntry(column="id"),
        "observed_at": MapEntry(column="updated_at"),
        "country": MapEntry(value="DE"),
        "phone": MapEntry(sql="coalesce(mobile, landline)"),
    }
    assert crm.map["phone"].columns == ("landline", "mobile")
    assert crm.map["record_id"].columns == ("id",)
    assert crm.map["country"].columns == ()


def test_a_source_column_is_a_name_or_a_list_of_them(load):
    column = load(channels=CHANNELS.replace("{value: DE}", "[Country, land]")).channels["crm"].map["country"]
    assert (column, column.columns) == (MapEntry(column=("Country", "land")), ("Country", "land"))


def test_unpivot_is_a_list_or_all(load):
    assert load(channels=CHANNELS).channels["broker"].unpivot == ("age", "region")
    assert load(channels=CHANNELS.replace("[age, region]", "all")).channels["broker"].unpivot == "all"


def test_the_sql_of_a_map_is_generated_and_not_what_was_written(load):
    channels = CHANNELS.replace("coalesce(mobile, landline)", "COALESCE( mobile,landline ) -- either")
    assert load(channels=channels).channels["crm"].map["phone"].sql == 'coalesce("mobile", "landline")'


def test_constants_keep_their_type_and_dates_become_text(load):
    written = {"DE": "DE", "7": 7, "1.5": 1.5, "true": True, "2024-06-30": "2024-06-30", '"007"': "007"}
    found = {
        text: load(channels=CHANNELS.replace("{value: DE}", f"{{value: {text}}}"))
        .channels["crm"]
        .map["country"]
        .value
        for text in written
    }
    assert found == written
    assert [type(value) for value in found.values()] == [type(value) for value in written.values()]


def test_a_configuration_cannot_be_changed(load):
    configuration = load(channels=CHANNELS)
    with pytest.raises(ValidationError):
        configuration.channels["crm"].kind = "events"
    with pytest.raises(ValidationError):
        configuration.privacy = None


def test_common_blocked_values_count_for_every_id_type(load):
    identity = """\
        blocked_values: [none, -1, null, true]
        blocked_patterns: ['^0+$']
        id_types:
          email: {priority: 1, blocked_values: [a@a.com, none]}
          phone: {priority: 2, valid_pattern: '\\d+'}
    """
    id_types = load(identity=identity).identity.id_types
    assert id_types["email"].blocked_values == ("none", "-1", "null", "true", "a@a.com")
    assert id_types["phone"].blocked_values == ("none", "-1", "null", "true")
    assert id_types["phone"].blocked_patterns == ("^0+$",)
    assert (id_types["phone"].name, id_types["phone"].limit, id_types["phone"].unique) == ("phone", 5, False)


def test_the_default_rules_of_identity_put_issued_numbers_first():
    id_types = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).identity.id_types
    assert sorted(id_types, key=lambda name: id_types[name].priority) == [
        "customer_number", "user_id", "national_id", "loyalty_number", "email", "phone", "device_id",
        "advertising_id", "anonymous_id",
    ]  # fmt: skip
    assert {name for name, rules in id_types.items() if rules.unique} == {"customer_number", "user_id"}
    assert {rules.limit for rules in id_types.values() if rules.unique} == {1}
    assert {rules.limit for rules in id_types.values() if not rules.unique} == {5}


@pytest.mark.parametrize(
    ("id_type", "value", "is_usable"),
    [
        ("email", "ann.lee@example.org", True),
        ("email", "test@test.com", False),
        ("email", "noreply@shop.example", False),
        ("email", "testa@shop.example", True),
        ("email", "ann", False),
        ("phone", "+49 731 123456", True),
        ("phone", "12345", False),
        ("phone", "0000000000", False),
        ("phone", "1111111", False),
        ("phone", "+12222222222", False),
        ("phone", "+499999999", False),
        ("phone", "+11234567890", False),
        ("phone", "+491234567", False),
        ("phone", "0123456789", False),
        ("phone", "+12125550117", True),
        ("phone", "+12125551111", True),
        ("anonymous_id", "00000000-0000-0000-0000-000000000000", False),
        ("anonymous_id", "ab12", True),
        ("user_id", "undefined", False),
        ("loyalty_number", "-1", False),
        ("customer_number", "10", True),
    ],
)
def test_the_default_rules_block_what_is_nobody(connection, id_type, value, is_usable):
    rules = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).identity.id_types[id_type]
    usable = value.lower() not in rules.blocked_values
    for pattern in rules.blocked_patterns:
        usable &= not connection.execute(f"select regexp_matches('{value}', '(?i){pattern}')").fetchone()[0]
    if rules.valid_pattern:
        usable &= connection.execute(
            f"select regexp_full_match('{value}', '{rules.valid_pattern}')"
        ).fetchone()[0]
    assert usable == is_usable


def test_layout_comments_and_place_keep_the_hash(load, tmp_path):
    first = load(channels=CHANNELS).hash
    assert (
        load(channels="# ours\n\n" + CHANNELS.replace("    spec: mapped\n", "    spec:   'mapped'\n")).hash
        == first
    )
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("*.yml"):
        shutil.copy(path, copy)
    assert load_configuration(copy, {"lifecycle_stage": "varchar"}).hash == first


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tolerance: 0.2", "tolerance: 0.3"),
        ("record_id: id", "record_id: number"),
        ("value: DE", "value: AT"),
    ],
)
def test_another_meaning_is_another_hash(load, before, after):
    assert load(channels=CHANNELS).hash != load(channels=CHANNELS.replace(before, after)).hash


def test_relative_paths_belong_to_the_folder_of_the_configuration(load, tmp_path):
    assert load(channels=CHANNELS).folder == tmp_path.resolve()


def test_an_audience_without_a_size_of_its_own_has_the_minimum_cell(load):
    audiences = "audiences:\n  - {id: a, side: cdp, where: orders > 1}\n"
    privacy = "purposes: {advertising: [ads]}\nminimum_cell: 70\n"
    assert load(audiences=audiences, privacy=privacy).audiences[0].min_size == 70


def test_columns_come_from_the_contracts_of_the_published_tables(tmp_path):
    contract = """\
models:
  - name: customers
    columns:
      - {name: customer_id, data_type: varchar}
      - {name: birth_date, data_type: DATE}
  - name: customer_features
    columns:
      - {name: customer_id, data_type: varchar}
      - {name: orders_28d, data_type: bigint}
  - name: sessions
    columns: [{name: session_id, data_type: varchar}]
"""
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "profile.yml").write_text(contract)
    assert customer_columns(tmp_path) == {
        "customer_id": "varchar",
        "birth_date": "date",
        "orders_28d": "bigint",
    }


def test_without_contracts_the_promised_columns_count(tmp_path):
    assert customer_columns(tmp_path) == PROMISED_COLUMNS


def test_the_project_promises_what_the_default_audiences_need():
    columns = customer_columns(PROJECT / "dbt_project" / "models" / "cdp")
    assert set(columns) >= set(PROMISED_COLUMNS)


def test_the_project_folder_is_where_the_defaults_are():
    assert Path(DEFAULT_CONFIG) == PROJECT / "include" / "config"
