"""Every mistake in a configuration is named with its file, line and key, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.config import ConfigError, load_configuration
from include.config.schema import Models
from include.extract.kinds import kinds

CUSTOMER_COLUMNS = ", ".join(column.name for column in kinds()["customers"].columns)
KINDS = ", ".join(kinds())

CRM = """\
channels:
  crm:
    party: first
    kind: customers
    source: {connector: file, path: crm.csv, format: csv}
    spec: mapped
    map:
      record_id: id
      observed_at: updated_at
"""
TRAITS = """\
channels:
  broker:
    party: third
    kind: traits
    source: {path: broker.parquet, format: parquet}
    spec: mapped
    map: {id_type: {value: anonymous_id}, id_value: cookie, observed_at: seen_at}
    unpivot: all
"""
EVENT_MAP = "{event_id: id, type: {value: page}, occurred_at: at}"
AUDIENCE = """\
audiences:
  - id: loyal
    side: cdp
    where: orders > 5
"""
DMP_AUDIENCE = """\
audiences:
  - id: gardeners
    side: dmp
    where: trait('gardener') = 'true'
"""


# Values and keys


def test_an_unknown_kind_is_named_with_the_nearest(problems):
    assert problems(channels=CRM.replace("kind: customers", "kind: customer")) == [
        f"channels.yml:4 channels.crm.kind: found 'customer', allowed: {KINDS} (did you mean 'customers'?)"
    ]


def test_an_unknown_party_lists_the_three(problems):
    assert problems(channels=CRM.replace("party: first", "party: fourth")) == [
        "channels.yml:3 channels.crm.party: found 'fourth', allowed: first, second, third"
    ]


def test_an_unknown_connector_lists_what_there_is(problems):
    assert problems(channels=CRM.replace("connector: file", "connector: sftp")) == [
        "channels.yml:5 channels.crm.source.connector: found 'sftp', allowed: file, sql"
    ]


def test_an_unknown_format_is_named_with_the_nearest(problems):
    assert problems(channels=CRM.replace("format: csv", "format: ndjson")) == [
        "channels.yml:5 channels.crm.source.format: found 'ndjson', allowed: csv, jsonl, json, parquet, text "
        "(did you mean 'json'?)"
    ]


def test_an_unknown_spec_lists_what_there_is(problems):
    assert problems(channels=CRM.replace("spec: mapped", "spec: matomo")) == [
        "channels.yml:6 channels.crm.spec: found 'matomo', allowed: mapped, segment, ga4, snowplow, apache_combined"
    ]


def test_an_unknown_key_is_named_with_the_nearest(problems):
    assert problems(channels=CRM + "    requird: false\n") == [
        "channels.yml:10 channels.crm.requird: found the key 'requird', allowed: party, kind, source, spec, map, "
        "unpivot, attributes, required, tolerance, delivery (did you mean 'required'?)"
    ]


def test_an_unknown_key_of_a_file_is_named(problems):
    assert problems(models="seed: 1\nhorizon: 3\n") == [
        f"models.yml:2 horizon: found the key 'horizon', allowed: {', '.join(Models.model_fields)}"
    ]


def test_a_rule_for_actions_and_a_label_are_conditions_like_any_other(problems):
    models = """\
propensities:
  - id: complains
    label: {activity: call, where: reason = 'x'}
  - id: subscribes
    label: {activity: call, where: outcome = 'subscribed'}
actions:
  rules:
    - {id: help, when: has_open_isue, offer: service}
    - {id: help, when: has_open_issue, offer: gift}
"""
    assert [line.split(",")[0] for line in problems(models=models)] == [
        "models.yml:3 propensities[complains].label.where: found the column 'reason'",
        "models.yml:8 actions.rules[help].when: found the column 'has_open_isue'",
        "models.yml:9 actions.rules[help].offer: found 'gift'",
        "models.yml:9 actions.rules[help].id: found 'help'",
    ]


def test_a_missing_key_says_what_belongs_there(problems):
    assert problems(channels=CRM.replace("    party: first\n", "")) == [
        "channels.yml:2 channels.crm.party: found nothing, allowed: first, second, third"
    ]


@pytest.mark.parametrize(
    ("written", "line", "message"),
    [
        ("required: 1", 10, "channels.crm.required: found 1, allowed: true or false"),
        ("required: maybe", 10, "channels.crm.required: found 'maybe', allowed: true or false"),
        ("tolerance: much", 10, "channels.crm.tolerance: found 'much', allowed: a number"),
        ("tolerance: 1.5", 10, "channels.crm.tolerance: found 1.5, allowed: at most 1.0"),
        ("tolerance: -0.1", 10, "channels.crm.tolerance: found -0.1, allowed: at least 0.0"),
        ("attributes: drop", 10, "channels.crm.attributes: found 'drop', allowed: keep"),
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_named(problems, written, line, message):
    assert problems(channels=f"{CRM}    {written}\n") == [f"channels.yml:{line} {message}"]


def test_a_channel_that_is_no_mapping_is_named(problems):
    assert problems(channels="channels:\n  crm: files\n") == [
        "channels.yml:2 channels.crm: found 'files', allowed: a mapping"
    ]


def test_a_file_that_is_a_list_is_named(problems):
    assert problems(channels="- crm\n") == [
        "channels.yml:1 file: found a list of 1, allowed: a mapping with channels"
    ]


@pytest.mark.parametrize("name", ["CRM", "1crm", "crm-eu", "crm/../x", "crm eu", "a" * 64])
def test_a_channel_name_that_is_no_word_is_refused(problems, name):
    found = problems(channels=CRM.replace("crm:", f'"{name}":', 1))
    assert [line.split(": ", 1)[0] for line in found] == [f"channels.yml:2 channels.{name}"]
    assert "allowed: a to z, 0 to 9 and _, a letter first" in found[0]


def test_the_channel_name_none_is_reserved(problems):
    assert problems(channels=CRM.replace("crm:", "none:", 1)) == [
        "channels.yml:2 channels.none: found 'none', allowed: any name but 'none', which stands for no channel"
    ]


def test_a_channel_cannot_have_a_second_name(problems):
    assert problems(channels=CRM + "    name: shop\n") == [
        "channels.yml:10 channels.crm.name: found 'name', allowed: no such key: the entry's key is its name"
    ]


# Mapping


def test_a_column_that_the_kind_does_not_have_is_named_with_the_nearest(problems):
    assert problems(channels=CRM + "      emial: mail\n") == [
        f"channels.yml:10 channels.crm.map.emial: found the column 'emial', allowed: {CUSTOMER_COLUMNS} "
        "(did you mean 'email'?)"
    ]


def test_required_columns_that_are_not_mapped_are_named(problems):
    assert problems(channels=CRM.replace("      record_id: id\n", "")) == [
        "channels.yml:7 channels.crm.map: found no record_id, allowed: a map with record_id, observed_at"
    ]


def test_lines_that_may_come_without_their_order_need_a_number_of_their_own(problems):
    channel = """\
channels:
  lines:
    party: first
    kind: order_lines
    source: {connector: sql, connection: shop, table: lines, watermark: changed_at}
    spec: mapped
    map: {order_id: id}
"""
    assert problems(channels=channel) == [
        "channels.yml:7 channels.lines.map: found no line_number, allowed: a map with order_id, line_number"
    ]


def test_a_mapped_channel_without_a_map_is_refused(problems):
    assert problems(channels=CRM[: CRM.index("    map:")]) == [
        "channels.yml:2 channels.crm.map: found no record_id, observed_at, allowed: a map with record_id, observed_at"
    ]


ENTRIES = "a source column, a list of them, {sql: expression} or {value: constant}"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("7", f"found 7, allowed: {ENTRIES}"),
        ("{}", f"found an empty mapping, allowed: {ENTRIES}"),
        ("{sql: a, value: b}", f"found a mapping (sql, value), allowed: {ENTRIES}"),
        ("[]", "found a list of 0, allowed: names of source columns, the one of today's files first"),
        ("[a, 7]", "found a list of 2, allowed: names of source columns, the one of today's files first"),
        ("{sqll: a}", "found 'sqll', allowed: column, sql, value (did you mean 'sql'?)"),
        ("{value: [1]}", "found a list of 1, allowed: a constant"),
        ("{value: .inf}", "found inf, allowed: a constant"),
        ("{sql: ''}", "found '', allowed: text"),
    ],
)
def test_a_map_entry_that_is_none_of_the_three_is_refused(problems, entry, message):
    assert problems(channels=f"{CRM}      email: {entry}\n") == [
        f"channels.yml:10 channels.crm.map.email: {message}"
    ]


def test_sql_that_does_not_parse_is_refused(problems):
    found = problems(channels=CRM + '      email: {sql: "lower(email"}\n')
    assert len(found) == 1
    assert found[0].startswith(
        "channels.yml:10 channels.crm.map.email.sql: found 'lower(email', allowed: an SQL expression that parses: "
    )


def test_sql_that_duckdb_cannot_evaluate_is_refused(problems):
    found = problems(channels=CRM + '      email: {sql: "replace(email)"}\n')
    assert len(found) == 1
    assert found[0].startswith(
        "channels.yml:10 channels.crm.map.email.sql: found 'replace(email)', allowed: an "
    )


def test_unpivot_is_for_traits_only(problems):
    assert problems(channels=CRM + "    unpivot: all\n") == [
        "channels.yml:10 channels.crm.unpivot: found with the kind customers, allowed: with traits"
    ]


def test_unpivot_and_a_mapped_trait_contradict_each_other(problems):
    found = problems(channels=TRAITS.replace("id_value: cookie", "id_value: cookie, trait: name"))
    assert found == [
        "channels.yml:7 channels.broker.map.trait: found 'trait', allowed: no entry, because unpivot fills trait and "
        "value"
    ]


def test_traits_without_unpivot_need_their_trait(problems):
    assert problems(channels=TRAITS.replace("    unpivot: all\n", "")) == [
        "channels.yml:7 channels.broker.map: found no trait, allowed: a map with id_type, id_value, trait, observed_at"
    ]


@pytest.mark.parametrize("unpivot", ["some", "[]", "3", "[1]", "{a: b}"])
def test_unpivot_is_all_or_a_list_of_columns(problems, unpivot):
    found = problems(channels=TRAITS.replace("unpivot: all", f"unpivot: {unpivot}"))
    assert len(found) == 1
    assert found[0].startswith("channels.yml:8 channels.broker.unpivot: found ")
    assert found[0].endswith("allowed: all, or a list of source columns")


@pytest.mark.parametrize("spec", ["segment", "ga4", "snowplow", "apache_combined"])
def test_a_spec_of_events_is_for_events(problems, spec):
    found = problems(
        channels=CRM.replace("spec: mapped", f"spec: {spec}").replace("format: csv", "format: jsonl")
    )
    assert (
        f"channels.yml:6 channels.crm.spec: found '{spec}', allowed: mapped for the kind customers" in found
    )


@pytest.mark.parametrize(
    ("spec", "source", "message"),
    [
        ("ga4", "{path: a.csv, format: csv}", "format: found 'csv', allowed: parquet, jsonl, json with the spec ga4"),
        ("mapped", "{path: a.log, format: text}", "format: found 'text', allowed: csv, jsonl, json, parquet with the"
         " spec mapped"),
        ("apache_combined", "{path: a.log, format: csv}", "format: found 'csv', allowed: text with the spec"
         " apache_combined"),
        ("apache_combined", "{connector: sql, connection: db, table: logs}", "connector: found 'sql', allowed: file"
         " with the spec apache_combined"),
    ],
)  # fmt: skip
def test_a_spec_reads_its_own_formats(problems, spec, source, message):
    channel = f"{{party: first, kind: events, source: {source}, spec: {spec}, map: {EVENT_MAP}}}"
    assert problems(channels=f"channels:\n  web: {channel}\n") == [
        f"channels.yml:2 channels.web.source.{message}"
    ]


# Sources


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "crm_{day}.csv",
            "found the placeholder '{day}', allowed: {date}, {date:%Y%m%d}, {demo}, {config} (did you mean '{date}'?)",
        ),
        (
            "crm_{date.csv",
            "found the placeholder '{date.csv', allowed: {date}, {date:%Y%m%d}, {demo}, {config}",
        ),
        ("crm}.csv", "found the placeholder '}', allowed: {date}, {date:%Y%m%d}, {demo}, {config}"),
        ("crm_{date:%y%m%d}.csv", "found the placeholder '{date:%y%m%d}', allowed: {date}, {date:%Y%m%d}, "),
        ("crm_{date:}.csv", "found the placeholder '{date:}', allowed: {date}, {date:%Y%m%d}, "),
        (
            "{date:%Y}/crm.csv",
            "found '{date:%Y}/crm.csv', allowed: a {date}, or one in other forms that have %Y, %m and %d together",
        ),
        ("crm/{demo}/a.csv", "found 'crm/{demo}/a.csv', allowed: {demo} at the beginning of a path only"),
        ("", "found '', allowed: the path of a file, with * and {date} where it varies"),
        ("https://a.example/b.csv", "found the scheme 'https', allowed: s3, gs, az"),
    ],
)
def test_a_path_that_cannot_be_followed_is_refused(problems, path, message):
    found = problems(channels=CRM.replace("path: crm.csv", f'path: "{path}"'))
    assert found[0].startswith(f"channels.yml:5 channels.crm.source.path: {message}")
    assert len(found) == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('delimiter: "|||||"', "delimiter: found '|||||', allowed: at most 4 characters"),
        ('delimiter: "§"', "delimiter: found '§', allowed: an ASCII sign that does not end a line"),
        ("encoding: utf-9", "encoding: found the encoding 'utf-9', allowed: utf-8, utf-16, latin-1, cp1252"),
        (
            "encoding: base64",
            "encoding: found the encoding 'base64', allowed: utf-8, utf-16, latin-1, cp1252",
        ),
        ("compression: rar", "compression: found 'rar', allowed: auto, none, gzip, zstd"),
        ("header: 1", "header: found 1, allowed: true or false"),
        ("null_values: none", "null_values: found 'none', allowed: a list"),
    ],
)
def test_a_source_option_that_cannot_be_read_is_refused(problems, option, message):
    found = problems(channels=CRM.replace("format: csv", f"format: csv, {option}"))
    assert len(found) == 1
    assert found[0].startswith(f"channels.yml:5 channels.crm.source.{message}")


def test_an_option_of_csv_is_refused_for_parquet(problems):
    assert problems(channels=TRAITS.replace("format: parquet", "format: parquet, delimiter: ;")) == [
        "channels.yml:5 channels.broker.source.delimiter: found with the format parquet, allowed: with csv"
    ]


def test_records_belongs_to_json_documents_only(problems):
    crm = CRM.replace("format: csv", "format: jsonl, records: result.rows")
    assert problems(channels=crm) == [
        "channels.yml:5 channels.crm.source.records: found with the format jsonl, allowed: with json"
    ]


# Audiences


def test_an_unknown_column_is_named_with_the_nearest(problems):
    assert problems(audiences=AUDIENCE.replace("orders > 5", "citty = 'Ulm'")) == [
        "audiences.yml:4 audiences[loyal].where: found the column 'citty', allowed: customer_id, city, "
        "lifecycle_stage, orders, spend, consent_email, channels, last_seen_at, as_of_date (did you mean 'city'?)"
    ]


def test_an_unknown_score_is_named_with_the_nearest(problems):
    assert problems(audiences=AUDIENCE.replace("orders > 5", "score('purchase_probabilty') > 0.5")) == [
        "audiences.yml:4 audiences[loyal].where: found the score 'purchase_probabilty', allowed: probability_active, "
        "purchase_probability, expected_orders, expected_value (did you mean 'purchase_probability'?)"
    ]


def test_an_unknown_segment_is_named_with_the_nearest(problems):
    found = problems(audiences=AUDIENCE.replace("orders > 5", "segment('rfm_champion')"))
    assert len(found) == 1
    assert found[0].startswith(
        "audiences.yml:4 audiences[loyal].where: found the segment 'rfm_champion', allowed: no_"
    )
    assert found[0].endswith("and those learned: s01, s02 and on (did you mean 'rfm_champions'?)")


def test_an_unknown_function_is_named_with_the_nearest(problems):
    found = problems(audiences=AUDIENCE.replace("orders > 5", "segmnt('s1')"))
    assert found[0].startswith(
        "audiences.yml:4 audiences[loyal].where: found the function 'segmnt', "
        "allowed: score, segment, feature, audience, abs, "
    )
    assert found[0].endswith("(did you mean 'segment'?)")


def test_a_trait_is_no_question_of_the_cdp_side(problems):
    found = problems(audiences=AUDIENCE.replace("orders > 5", "trait('a') = 'b'"))
    assert found[0].startswith(
        "audiences.yml:4 audiences[loyal].where: found the function 'trait', allowed: score, "
    )


def test_a_column_is_no_question_of_the_dmp_side(problems):
    assert problems(audiences=DMP_AUDIENCE.replace("trait('gardener')", "email")) == [
        "audiences.yml:4 audiences[gardeners].where: found 'email', allowed: trait('…'), frequency('…', days), "
        "recency('…') and no columns on the dmp side"
    ]


def test_a_condition_that_is_no_condition_is_refused(problems):
    assert problems(audiences=AUDIENCE.replace("orders > 5", "city")) == [
        "audiences.yml:4 audiences[loyal].where: found 'city', allowed: a condition that is true or false, "
        "e.g. … = 'true'; this is varchar"
    ]


def test_types_that_cannot_be_compared_are_refused(problems):
    found = problems(audiences=AUDIENCE.replace("orders > 5", "city > 5"))
    assert len(found) == 1
    assert found[0].startswith(
        "audiences.yml:4 audiences[loyal].where: found 'city > 5', allowed: a condition that DuckDB can evaluate: "
        "Binder Error: Cannot compare values of type VARCHAR"
    )


@pytest.mark.parametrize("where", ["1 = 1", "true", "'a' = 'a' or 2 > 1"])
def test_a_condition_that_looks_at_nobody_is_refused(problems, where):
    found = problems(audiences=AUDIENCE.replace("orders > 5", f'"{where}"'))
    assert len(found) == 1
    assert found[0].endswith("allowed: a condition that looks at a column at least")


@pytest.mark.parametrize(
    "where",
    [
        "frequency('gardener', 30) <= 3",
        "frequency('gardener', 30) = 0",
        "not (trait('gardener') = 'true')",
        "not (frequency('gardener', 30) >= 1)",
        "trait('gardener') is null",
        "recency('gardener') is null or recency('gardener') > 30",
        "trait('gardener') = 'true' or frequency('runner', 7) < 2",
        "coalesce(trait('gardener'), 'unknown') <> 'true'",
        "case when trait('gardener') = 'true' then false else true end",
    ],
)
def test_a_condition_that_holds_for_who_never_had_the_trait_is_refused(problems, where):
    found = problems(audiences=DMP_AUDIENCE.replace("trait('gardener') = 'true'", where))
    assert len(found) == 1
    assert found[0].startswith("audiences.yml:4 audiences[gardeners].where: found ")
    assert found[0].endswith("this one holds for everybody who never had them")


@pytest.mark.parametrize(
    "where",
    [
        "frequency('gardener', 30) <= 3 and frequency('gardener', 30) >= 1",
        "trait('region') = 'north' and not (trait('gardener') = 'true')",
        "recency('gardener') <= 7",
    ],
)
def test_the_same_with_something_seen_is_accepted(load, where):
    assert (
        load(audiences=DMP_AUDIENCE.replace("trait('gardener') = 'true'", where)).audiences[0].where == where
    )


@pytest.mark.parametrize("days", ["0", "-1", "4000", "'30'", "30.5"])
def test_a_frequency_needs_a_number_of_days(problems, days):
    found = problems(
        audiences=DMP_AUDIENCE.replace("trait('gardener') = 'true'", f"frequency('a', {days}) > 1")
    )
    assert len(found) == 1
    assert found[0].endswith("allowed: frequency('name', days) with 1 to 3650 days")


def test_a_trait_that_nobody_defines_is_accepted(load):
    assert load(audiences=DMP_AUDIENCE).audiences[0].audience_id == "gardeners"


def test_a_trait_may_be_held_without_end_and_is_held_for_120_days_when_nothing_is_said(load):
    rules = load(audiences=RULE.replace("ttl_days: 30", "ttl_days: 0") + OTHER_RULE).traits
    assert [rule.ttl_days for rule in rules] == [0, 120]


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("a/b/c/d/e/f", "allowed: at most 5 names with / between them, e.g. interests/food"),
        ("interests//food", "allowed: at most 5 names with / between them, e.g. interests/food"),
        ("Interests", "allowed: at most 5 names with / between them, e.g. interests/food"),
        ("gardener/roses", "found 'gardener', allowed: a folder whose name no trait has"),
    ],
)
def test_a_folder_is_a_path_of_at_most_five_names(problems, folder, reason):
    found = problems(audiences=RULE + f"    folder: {folder}\n")
    assert len(found) == 1
    assert found[0].startswith("audiences.yml:5 traits[gardener].folder: ")
    assert found[0].endswith(reason)


def test_a_rule_is_put_into_a_folder_where_it_is_written(problems):
    found = problems(audiences=RULE + "folders: {life: [has_house, gardener]}\n")
    message = "found 'gardener', allowed: a trait of another party; a rule says `folder:` itself"
    assert (
        len(found) == 1 and found[0].startswith("audiences.yml:5 folders.life") and found[0].endswith(message)
    )


OTHER_RULE = """\
  - id: runner
    where: content_category = 'running'
"""
RULE = """\
traits:
  - id: gardener
    where: content_category = 'garden'
    ttl_days: 30
"""


def test_a_rule_over_an_unknown_column_of_events_is_named_with_the_nearest(problems):
    found = problems(audiences=RULE.replace("content_category", "content_categry"))
    assert found[0].startswith(
        "audiences.yml:3 traits[gardener].where: found the column 'content_categry', allowed: type, occurred_at, name, "
    )
    assert found[0].endswith("(did you mean 'content_category'?)")


@pytest.mark.parametrize("column", ["email", "user_id", "anonymous_id", "ip", "EMAIL", "traits"])
def test_a_rule_that_asks_who_somebody_is_is_refused(problems, column):
    found = problems(audiences=RULE.replace("content_category", column))
    assert len(found) == 1
    assert found[0].startswith(
        f"audiences.yml:3 traits[gardener].where: found '{column.lower()}', allowed: type, "
    )
    assert found[0].endswith("; no rule may ask who somebody is")


def test_two_audiences_with_one_id_are_refused(problems):
    assert problems(audiences=AUDIENCE + AUDIENCE.removeprefix("audiences:\n")) == [
        "audiences.yml:5 audiences[loyal].id: found 'loyal', allowed: an id of its own, line 2 has this one"
    ]


def test_two_rules_with_one_id_are_refused(problems):
    assert problems(audiences=RULE + RULE.removeprefix("traits:\n")) == [
        "audiences.yml:5 traits[gardener].id: found 'gardener', allowed: an id of its own, line 2 has this one"
    ]


def test_an_audience_id_that_is_no_word_is_refused(problems):
    assert problems(audiences=AUDIENCE.replace("id: loyal", "id: Loyal Ones")) == [
        "audiences.yml:2 audiences[Loyal Ones].id: found 'Loyal Ones', allowed: a to z, 0 to 9 and _, "
        "a letter first, at most 63"
    ]


@pytest.mark.parametrize(
    ("written", "key", "message"),
    [
        ("lookalike: {}", "lookalike", "found neither size nor level"),
        ("lookalike: {size: 0.1, level: narrow}", "lookalike", "found both size and level"),
        ("lookalike: {size: 0}", "lookalike.size", "found 0, allowed: above 0"),
        ("lookalike: {size: 0.6}", "lookalike.size", "found 0.6, allowed: at most 0.5"),
        ("lookalike: {size: big}", "lookalike.size", "found 'big', allowed: a number"),
        (
            "lookalike: {level: wide}",
            "lookalike.level",
            "found 'wide', allowed: narrow, balanced, broad",
        ),
        ("ttl_days: -1", "ttl_days", "found -1, allowed: at least 1"),
        ("ttl_days: 0", "ttl_days", "found 0, allowed: at least 1"),
        ("ttl_days: long", "ttl_days", "found 'long', allowed: a whole number"),
        ("min_size: -5", "min_size", "found -5, allowed: at least 1"),
        ("side_: cdp", "side_", "found the key 'side_', allowed: id, side, where, name, "),
        ("name: '{{ env_var(1) }}'", "name", "found '{{ env_var(1) }}', allowed: one line of text"),
        ('description: "two\\nlines"', "description", "found 'two\\nlines', allowed: one line of text"),
    ],
)
def test_an_audience_option_that_makes_no_sense_is_refused(problems, written, key, message):
    found = problems(audiences=f"{AUDIENCE}    {written}\n")
    assert len(found) == 1
    assert found[0].startswith(f"audiences.yml:5 audiences[loyal].{key}: {message}")


def test_a_destination_that_does_not_exist_is_named_with_the_nearest(problems):
    destinations = "destinations:\n  - id: google_ads\n"
    assert problems(audiences=AUDIENCE + "    destinations: [google_add]\n", destinations=destinations) == [
        "audiences.yml:5 audiences[loyal].destinations[0]: found the destination 'google_add', allowed: google_ads "
        "(did you mean 'google_ads'?); see destinations.yml"
    ]


def test_a_wrong_destination_is_told_where_it_is_and_not_by_every_audience(problems):
    destinations = "destinations:\n  - {id: tiktok, format: tiktok_custom_audience, min_size: 1}\n"
    (found,) = problems(audiences=AUDIENCE + "    destinations: [tiktok]\n", destinations=destinations)
    assert found.startswith("destinations.yml:2 destinations[tiktok]")


IN_ONE_PLACE = {
    "a table": (
        "{to: table, connection: shop, table: people}",
        "",
        "audiences.yml:5 audiences[loyal].destinations[1]: found the table people of ours for theirs, allowed: one of "
        "its own, for each takes out who is not in it; see destinations.yml",
    ),
    "a list": (
        "{to: http, connection: shop}",
        "format: meta_custom_audience, lists: {loyal: '7'}, ",
        "audiences.yml:5 audiences[loyal].destinations[1]: found the list 7 of ours for theirs, allowed: one of its "
        "own, for each takes out who is not in it; see destinations.yml",
    ),
}


@pytest.mark.parametrize("place", IN_ONE_PLACE)
def test_two_destinations_that_would_take_each_others_people_out_are_refused(problems, place):
    deliver, options, message = IN_ONE_PLACE[place]
    both = "".join(f"  - {{id: {name}, {options}deliver: {deliver}}}\n" for name in ("ours", "theirs"))
    audiences = AUDIENCE + "    destinations: [ours, theirs]\n"
    assert problems(audiences=audiences, destinations=f"destinations:\n{both}") == [message]


@pytest.mark.parametrize(
    "second",
    [
        "{id: theirs, deliver: {to: table, connection: shop, table: others}}",
        "{id: theirs, deliver: {to: table, connection: other, table: people}}",
        "{id: theirs, sides: [dmp], deliver: {to: table, connection: shop, table: people}}",
        "{id: theirs, columns: {phone: [phone]}, deliver: {to: table, connection: shop, table: people}}",
    ],
)
def test_destinations_that_have_nobody_in_common_may_share_a_connection(load, second):
    first = "{id: ours, sides: [cdp], deliver: {to: table, connection: shop, table: people}}"
    audiences = AUDIENCE + "    lookalike: {size: 0.1}\n    destinations: [ours, theirs]\n"
    loaded = load(audiences=audiences, destinations=f"destinations:\n  - {first}\n  - {second}\n")
    assert loaded.audiences[0].destinations == ("ours", "theirs")


# Identity, models, privacy


def test_an_unknown_id_type_is_named_with_the_nearest(problems):
    found = problems(identity="id_types:\n  e_mail: {priority: 1}\n")
    assert len(found) == 1
    assert found[0].startswith("identity.yml:2 id_types.e_mail: found 'e_mail', allowed: customer_number, ")
    assert found[0].endswith("(did you mean 'email'?)")


def test_two_id_types_of_one_priority_are_refused(problems):
    assert problems(identity="id_types:\n  email: {priority: 1}\n  phone:\n    priority: 1\n") == [
        "identity.yml:4 id_types.phone.priority: found 1, allowed: a priority of its own, email has this one"
    ]


def test_a_pattern_that_is_no_regular_expression_is_refused(problems):
    found = problems(
        identity="blocked_patterns: ['(']\nid_types:\n  email: {priority: 1, valid_pattern: '[a'}\n"
    )
    assert [line.split(", allowed")[0] for line in found] == [
        "identity.yml:1 blocked_patterns[0]: found '('",
        "identity.yml:3 id_types.email.valid_pattern: found '[a'",
    ]


def test_no_id_type_at_all_is_refused(problems):
    found = problems(identity="id_types: {}\n")
    assert found[0].startswith(
        "identity.yml:1 file: found an empty mapping, allowed: id_types: at least one of "
    )


def test_fewer_segments_at_most_than_at_least_are_refused(problems):
    assert problems(models="segmentation:\n  k_min: 6\n  k_max: 4\n") == [
        "models.yml:1 segmentation: found 4, allowed: k_max of at least k_min, which is 6"
    ]


def test_stages_that_would_begin_in_the_wrong_order_are_refused(problems):
    assert problems(models="lifecycle:\n  at_risk_after: 3\n  lapsed_after: 2.5\n") == [
        "models.yml:1 lifecycle: found 2.5, allowed: lapsed_after above at_risk_after, which is 3.0"
    ]
    assert problems(models="lifecycle:\n  default_gap_days: 5\n") == [
        "models.yml:1 lifecycle: found 5, allowed: default_gap_days of at least minimum_gap_days, which is 7"
    ]


def test_placements_do_not_look_back_further_than_events_are_kept(problems, load):
    kept = "purposes: {advertising: [ads]}\nevent_days: 14\n"
    assert load(privacy=kept).models.placements.window_days == 14
    assert load(models="placements: {window_days: 10}\n").models.placements.window_days == 10
    assert problems(models="seed: 7\nplacements:\n  window_days: 15\n", privacy=kept) == [
        "models.yml:3 placements.window_days: found 15, allowed: at most 14 days; privacy.yml keeps events no longer "
        "(event_days)"
    ]


def test_a_minimum_cell_below_fifty_is_refused(problems):
    assert problems(privacy="purposes: {advertising: [ads]}\nminimum_cell: 5\n") == [
        "privacy.yml:2 minimum_cell: found 5, allowed: at least 50"
    ]


def test_privacy_needs_the_names_of_the_advertising_purpose(problems):
    found = problems(privacy="purposes: {analytics: [analytics]}\n")
    assert found[0].startswith(
        "privacy.yml:1 purposes: found a mapping (analytics), allowed: advertising with "
    )


def test_a_purpose_that_would_break_out_of_a_path_is_refused(problems):
    found = problems(privacy='purposes:\n  advertising: ["ads\' or true --"]\n')
    assert len(found) == 1
    assert found[0].startswith("privacy.yml:1 purposes: found ")


# Folders and files


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="folder: found no such folder, allowed: a folder of configuration"):
        load_configuration(tmp_path / "nowhere")


def test_a_misspelt_file_is_not_replaced_by_a_default_in_silence(tmp_path):
    (tmp_path / "audience.yml").write_text("audiences: []\n")
    (tmp_path / "channels.yaml").write_text("channels: {}\n")
    with pytest.raises(ConfigError) as caught:
        load_configuration(tmp_path)
    assert [line.rsplit("(", 1)[1] for line in str(caught.value).splitlines()] == [
        "did you mean 'audiences.yml'?)",
        "did you mean 'channels.yml'?)",
    ]


def test_a_run_without_channels_is_refused_but_the_configuration_is_valid(load):
    configuration = load()
    with pytest.raises(ConfigError) as caught:
        configuration.require_channels()
    assert str(caught.value).startswith("channels.yml:1 channels: found no channels, allowed: at least one")


def test_every_problem_of_every_file_is_listed_in_the_order_of_the_files(problems):
    channels = """\
        channels:
          crm:
            party: fourth
            kind: customers
            source: {path: "{day}.csv", format: cvs}
            spec: mapped
            map: {emial: mail, phone: {sql: "getenv('HOME')"}}
          Web:
            party: first
    """
    audiences = """\
        audiences:
          - {id: a, side: cdp, where: citty = 'x' and score('worth') > 1, ttl_days: -1}
          - {id: a, side: dmp, where: "frequency('x', 5) < 3"}
    """
    found = problems(channels=channels, audiences=audiences, models="sed: 1\n")
    assert [line.split(": ", 1)[0] for line in found] == [
        "channels.yml:3 channels.crm.party",
        "channels.yml:5 channels.crm.source.path",
        "channels.yml:5 channels.crm.source.format",
        "channels.yml:7 channels.crm.map.phone.sql",
        "channels.yml:7 channels.crm.map.emial",
        "channels.yml:7 channels.crm.map",
        "channels.yml:8 channels.Web",
        "channels.yml:8 channels.Web.kind",
        "channels.yml:8 channels.Web.source",
        "channels.yml:8 channels.Web.spec",
        "audiences.yml:2 audiences[a].ttl_days",
        "audiences.yml:2 audiences[a].where",
        "audiences.yml:3 audiences[a].id",
        "audiences.yml:3 audiences[a].where",
        "models.yml:1 sed",
    ]


def test_every_line_has_the_shape_file_line_key_message(problems):
    for line in problems(channels=CRM.replace("first", "fourth"), audiences=AUDIENCE.replace("cdp", "both")):
        place, message = line.split(": ", 1)
        file_and_line, key = place.split(" ", 1)
        file, number = file_and_line.split(":")
        assert Path(file).suffix == ".yml"
        assert int(number) >= 1
        assert key
        assert message.startswith("found ")
        assert ", allowed: " in message


# Sources that are databases

SQL = """\
channels:
  crm:
    party: first
    kind: customers
    source: {connector: sql, connection: shop, table: people}
    spec: mapped
    map: {record_id: id, observed_at: updated_at}
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "table: 'people_{date}'",
            "table: found '{date}', allowed: SQL as the database reads it; a watermark limits",
        ),
        (
            "table: a, where: \"day = '{date}'\"",
            "where: found '{date}', allowed: SQL as the database reads it",
        ),
        ("query: 'select 1; drop table a'", "query: found ';', allowed: one query"),
        ("table: a, where: 'true; commit'", "where: found ';', allowed: one condition"),
        ("table: a, lookback_days: 3", "lookback_days: found without a watermark, allowed: with one"),
        (
            "table: a, query: select 1",
            "found table and query, allowed: exactly one of table, tables and query",
        ),
        ("table: a, path: a.csv", "path: found the key 'path', allowed: connector, connection, table"),
        ("watermark: a", "found nothing to read, allowed: exactly one of table, tables and query"),
    ],
)
def test_an_option_that_does_not_fit_a_database_is_refused(problems, source, message):
    found = problems(channels=SQL.replace("table: people", source))
    assert len(found) == 1
    assert message in found[0].removeprefix("channels.yml:5 channels.crm.source")


@pytest.mark.parametrize("source", ["query: \"select ';' as a ; \"", "table: a, where: \"b <> ';' -- ;\""])
def test_a_semicolon_that_ends_no_statement_is_allowed(problems, source):
    found = problems(channels=SQL.replace("table: people", source) + "    required: false\n")
    assert [problem.partition(" ")[2].partition(":")[0] for problem in found] == ["channels.crm.required"]


def test_a_snapshot_has_no_watermark(problems):
    channels = SQL.replace("people}", "people, watermark: a}") + "    delivery: snapshot\n"
    assert problems(channels=channels) == [
        "channels.yml:5 channels.crm.source.watermark: found with delivery: snapshot, allowed: without it, because a "
        "snapshot is all rows"
    ]


def test_a_table_is_always_required(problems):
    assert problems(channels=SQL + "    required: false\n") == [
        "channels.yml:8 channels.crm.required: found false with the connector sql, allowed: with file; a day without "
        "rows is no failure of a table"
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "connection: shop",
            "connection: found with a path of this machine, allowed: with s3://, gs:// and az://",
        ),
        ("quote: '', escape: '\\'", "escape: found without a quote, allowed: with one"),
        ("delimiter: '|\"|'", "found '|\"|', allowed: a delimiter that is neither the quote nor the escape"),
    ],
)
def test_an_option_that_does_not_fit_a_file_is_refused(problems, option, message):
    found = problems(channels=CRM.replace("format: csv", f"format: csv, {option}"))
    assert len(found) == 1
    assert message in found[0]


def test_an_end_of_a_manual_rule_is_a_record_or_an_identifier(problems):
    identity = """\
id_types: {email: {priority: 1}}
manual:
  links:
    - {between: ["record:crm", "email:a@x"]}
    - {between: ["record:crm:1", "mail:a@x"]}
  blocks:
    - {between: ["email:a@x", "record:crm:1"]}
    - {reason: "nothing is blocked"}
    - {value: "record:crm:1"}
"""
    found = problems(identity=identity)
    assert [problem.split(" ")[1].rstrip(":") for problem in found] == [
        "manual.links[0].between[0]", "manual.links[1].between[1]",
        "manual.blocks[0]", "manual.blocks[1]", "manual.blocks[2]",
    ]  # fmt: skip
    assert "found 'record:crm', allowed: record:<channel>:<record_id>" in found[0]
    assert "found 'mail:a@x', allowed: record:<channel>:<record_id> or <id type>:<value>" in found[1]
    assert "allowed: either value or between" in found[3]


def test_a_unique_type_has_a_limit_of_one(problems):
    found = problems(identity="id_types:\n  user_id: {priority: 1, unique: true, limit: 3}\n")
    assert len(found) == 1
    assert "found 3, allowed: limit: 1 without window_days for a type that is unique" in found[0]


# Models


def test_a_rule_of_what_is_recommended_names_columns_of_the_catalogue_only(problems):
    rules = """\
recommendation:
  exclude:
    - "category = 'TOBACCO'"
    - "email = 'x'"
  only_for:
    - {products: "price > 5", customers: "lifecycle_stages = 'loyal'"}
"""
    assert [problem.split(": found")[0] for problem in problems(models=rules)] == [
        "models.yml:4 recommendation.exclude[1]",
        "models.yml:6 recommendation.only_for[0].customers",
    ]


# Publishing


@pytest.mark.parametrize(
    ("written", "key", "message"),
    [
        (
            "postgres: {reader: analyst}",
            "postgres.connection",
            "found nothing, allowed: the id of an Airflow",
        ),
        ("postgres: {connection: 'a b'}", "postgres.connection", "found 'a b', allowed: "),
        (
            "storage: {url: 'ftp://x/y'}",
            "storage.url",
            "found 'ftp://x/y', allowed: s3, gs, az, a bucket and a folder",
        ),
        (
            "storage: {url: 's3://bucket'}",
            "storage.url",
            "found 's3://bucket', allowed: s3, gs, az, a bucket and",
        ),
        ("notify: [{to: pager}]", "notify[0].to", "found 'pager', allowed: log, webhook, email"),
        (
            "notify: [{to: webhook}]",
            "notify[0]",
            "found no connection, allowed: the id of an Airflow connection",
        ),
        ("notify: [{to: email, connection: m}]", "notify[0]", "found no addresses, allowed: at least one"),
    ],
)
def test_a_place_or_a_notice_that_lacks_something_is_refused(problems, written, key, message):
    found = problems(publishing=f"{written}\n")
    assert len(found) == 1
    assert found[0].startswith(f"publishing.yml:1 {key}: {message}")


def test_where_a_release_is_served_does_not_change_what_is_in_it(load):
    assert (
        load(publishing="notify: [{to: log}]\n").hash == load(publishing="postgres: {connection: bi}\n").hash
    )
