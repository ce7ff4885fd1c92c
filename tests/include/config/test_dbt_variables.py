"""What dbt is told: plain values, compiled conditions, and versions that change with the meaning only."""

from __future__ import annotations

import json
from datetime import date

import pytest
import yaml

from include.config import dbt_variables, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.config.variables import lifecycle_variables
from include.lake import Lake
from include.settings import DEFAULT_CONFIG
from include.warehouse.contracts import LOADER
from include.warehouse.dbt import DBT_PROJECT, as_yaml

DAY = date(2024, 6, 30)
AUDIENCES = """\
traits:
  - id: gardener
    where: content_category = 'garden'
    ttl_days: 60
audiences:
  - id: loyal
    side: cdp
    where: orders > 5 and score('purchase_probability') > 0.5
    lookalike: {level: narrow}
    min_size: 100
  - id: gardeners
    name: People with a garden
    side: dmp
    where: trait('gardener') = 'true' and frequency('gardener', 30) >= 2 and recency('region') < 9
"""


@pytest.fixture
def variables(load, tmp_path):
    def of(audiences: str = AUDIENCES, **files: str) -> dict:
        return dbt_variables(load(audiences=audiences, **files), DAY, Lake(tmp_path))

    return of


def version(variables: dict, audience_id: str) -> str:
    return next(
        item["definition_version"] for item in variables["audiences"] if item["audience_id"] == audience_id
    )


def test_the_variables_survive_json(variables):
    told = variables()
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize(
    "text",
    [
        "🎉",
        "Köche",
        "a\\ud83c\\udf89",
        "\\U0001f389",
        "\u0085\u2028\u2029",
        "\ufeff\ufffe\x7f",
        "\x1b\t",
        "\"'",
    ],
)
def test_dbt_reads_any_sign_as_it_was_written(text):
    """dbt reads YAML, of which not all JSON is."""
    told = {"where": f"trait('{text}') = 'yes'", text: [1, None, 0.5, True]}
    assert yaml.load(as_yaml(told), Loader=LOADER) == told


def test_the_day_the_lake_and_the_settings_are_told(variables, tmp_path):
    told = variables(models="purchase: {horizon_days: 14}\n")
    names = ("as_of_date", "lake", "horizon_days", "session_timeout_minutes", "visitor_idle_days", "event_days",
             "foreign_trait_days", "control_share", "advertising_purposes")  # fmt: skip
    assert [told[name] for name in names] == [
        "2024-06-30", str((tmp_path / "lake").resolve()), 14, 30, 120, 60, 120, 0.1, ["advertising"],
    ]  # fmt: skip


def test_how_long_the_word_of_another_party_holds_is_told(variables):
    said = "purposes: {advertising: [ads]}\nforeign_trait_days: 30\n"
    assert variables(privacy=said)["foreign_trait_days"] == 30


def test_the_lifecycle_is_told_and_a_project_that_is_told_nothing_has_the_same_default(variables):
    told = variables(models="lifecycle: {default_gap_days: 365}\n")
    assert told["lifecycle_default_gap_days"] == 365
    assert told["lifecycle_won_back_orders"] == 2
    project = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]
    default = lifecycle_variables(load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).models.lifecycle)
    assert len(default) >= 7
    assert {name: project.get(name) for name in default} == default


def test_an_audience_is_told_with_its_compiled_condition(variables):
    loyal, gardeners = variables()["audiences"]
    assert loyal | {"definition_version": ""} == {
        "audience_id": "loyal",
        "side": "cdp",
        "name": "Loyal",
        "description": "",
        "definition": "orders > 5 and score('purchase_probability') > 0.5",
        "definition_version": "",
        "predicate": '("orders" > 5 AND "scores"[\'purchase_probability\'] > 0.5)',
        "trait_ids": [],
        "ttl_days": 30,
        "min_size": 100,
        "lookalike": True,
        "seed_tier": "strict",
        "control_share": None,
        "destinations": [],
    }
    assert gardeners["trait_ids"] == ["gardener", "region"]
    assert (gardeners["name"], gardeners["min_size"], gardeners["lookalike"]) == (
        "People with a garden",
        50,
        False,
    )


def test_questions_are_told_with_the_place_of_their_answers(variables):
    told = variables()
    assert told["questions"] == [
        {"trait_id": trait_id, "predicate": predicate, "default": False, "word": "answers_1", "bit": bit}
        for trait_id, predicate, bit in [
            ("gardener", '"frequency_30" >= 2', 1),
            ("gardener", "\"value\" = 'true'", 2),
            ("region", '"recency" < 9', 4),
        ]
    ]
    assert (told["trait_windows"], told["atoms"]) == ([30], [])


def test_folders_are_told_with_all_that_counts_for_them(variables):
    told = variables(
        AUDIENCES.replace("    ttl_days: 60", "    ttl_days: 60\n    folder: life/home")
        + "folders: {life/home: [has_house], work: [job]}\n"
    )
    assert [(entry["trait_id"], entry["folder"]) for entry in told["trait_folders"]] == [
        ("gardener", "life"), ("gardener", "life/home"), ("has_house", "life"), ("has_house", "life/home"),
        ("job", "work"), ("life", "life"), ("life/home", "life"), ("life/home", "life/home"), ("work", "work"),
    ]  # fmt: skip


def test_another_content_of_a_folder_is_another_version_of_who_asks_for_it(variables):
    text = AUDIENCES.replace("recency('region') < 9", "recency('home') < 9") + "folders: {home: [house]}\n"
    told, changed = variables(text), variables(text.replace("[house]", "[house, flat]"))
    assert version(told, "gardeners") != version(changed, "gardeners")
    assert version(told, "loyal") == version(changed, "loyal")


def test_the_latest_earlier_day_is_the_history_of_a_day_and_of_visitors_that_of_the_same_key(load, tmp_path):
    lake = Lake(tmp_path)
    epochs = {date(2024, 6, 1): 1, date(2024, 6, 28): 1, date(2024, 6, 29): 2, DAY: 1, date(2024, 7, 1): 1}
    for day, epoch in epochs.items():
        for path in (lake.audiences(day, "audiences"), lake.run_file(day, "run.json")):
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"dbt": {"key_epoch": epoch}}))
    told = dbt_variables(load(audiences=AUDIENCES), DAY, lake)
    assert told["audience_history"] == {
        "audiences": {
            "cdp": str(lake.audiences(date(2024, 6, 29), "audiences")),
            "dmp": str(lake.audiences(date(2024, 6, 28), "audiences")),
        },
        "audience_members": {},
        "audience_changes": {},
    }


def test_rules_are_told_with_their_compiled_condition(variables):
    assert variables()["traits"] == [
        {
            "trait_id": "gardener",
            "name": "Gardener",
            "predicate": "(\"content_category\" = 'garden')",
            "description": "",
            "folder": None,
            "ttl_days": 60,
        }
    ]


def test_channels_are_told_by_party_kind_and_delivery(variables):
    channels = """\
        channels:
          web:
            party: first
            kind: events
            source: {path: web.jsonl, format: jsonl}
            spec: segment
    """
    assert variables(channels=channels)["channels"] == [
        {"channel": "web", "party": "first", "kind": "events", "delivery": "increment", "is_dated": False}
    ]


def test_layout_names_and_order_keep_the_version_of_an_audience(variables):
    other = AUDIENCES.replace("orders > 5", "orders   >   5").replace("People with a garden", "Gardeners")
    assert other != AUDIENCES
    assert [item["definition_version"] for item in variables(other)["audiences"]] == [
        item["definition_version"] for item in variables()["audiences"]
    ]


@pytest.mark.parametrize(
    ("audience_id", "before", "after"),
    [
        ("loyal", "orders > 5", "orders > 6"),
        ("loyal", "level: narrow", "level: broad"),
        ("loyal", "min_size: 100", "min_size: 101"),
        ("gardeners", "frequency('gardener', 30)", "frequency('gardener', 31)"),
        ("gardeners", "content_category = 'garden'", "content_category = 'gardening'"),
        ("gardeners", "ttl_days: 60", "ttl_days: 59"),
    ],
)
def test_another_meaning_is_another_version_of_that_audience_only(variables, audience_id, before, after):
    told, changed = variables(), variables(AUDIENCES.replace(before, after))
    other = {"loyal": "gardeners", "gardeners": "loyal"}[audience_id]
    assert version(told, audience_id) != version(changed, audience_id)
    assert version(told, other) == version(changed, other)


def test_a_quote_in_a_definition_is_told_as_it_was_written(variables):
    told = variables(
        AUDIENCES.replace("orders > 5", 'city = "x"').replace('city = "x"', "city = 'L''Aquila'")
    )
    assert told["audiences"][0]["definition"].startswith("city = 'L''Aquila' and ")
