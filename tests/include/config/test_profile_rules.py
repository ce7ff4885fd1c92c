"""profile.yml: its mistakes are named, and what it does not say is as the project's default."""

from __future__ import annotations

from datetime import date

import pytest

from include.config import dbt_variables
from include.config.schema import ATTRIBUTES
from include.lake import Lake

CHANNELS = """\
channels:
  crm:
    party: first
    kind: customers
    source: {path: crm.csv, format: csv}
    spec: mapped
    map: {record_id: id, observed_at: changed}
"""


def told(load, tmp_path, **files: str) -> dict:
    return dbt_variables(load(**files), date(2024, 6, 30), Lake(tmp_path))


def test_an_attribute_that_is_not_listed_is_as_the_default_and_what_it_does_not_say_as_at_the_top(
    load, tmp_path
):
    profile = (
        "source_priority: [crm]\nattributes: {gender: {rules: [oldest]}, phone: {source_priority: []}}\n"
    )
    rules = told(load, tmp_path, channels=CHANNELS, profile=profile)["survivorship"]
    assert list(rules) == list(ATTRIBUTES)
    assert rules["gender"]["rules"] == ["oldest"]
    assert rules["address"]["rules"][0] == "most_complete"
    assert rules["birth_date"]["source_priority"] == ["crm"]
    assert rules["phone"] == {
        "rules": ["verified", "source_priority", "most_recent"],
        "source_priority": [],
        "verified_channels": [],
        "verified_by": [],
    }


def test_other_rules_are_another_configuration(load):
    assert load(profile="shared_devices: {longest_gap_days: 8}").hash != load(profile="").hash


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ("rules: [newest]", "rules[0]: found 'newest', allowed: verified, source_priority, most_recent, "),
        ("rules: [oldest, oldest]", "rules: found 'oldest', allowed: each of them once"),
        ("rules: [most_complete]", "rules[0]: found most_complete, allowed: with address"),
        ("source_priority: [erp]", "source_priority[0]: found the channel 'erp', allowed: crm; see channels.yml"),
        (
            "attributes: {email: {verified_channels: [cmr]}}",
            "attributes.email.verified_channels[0]: found the channel 'cmr', allowed: crm (did you mean 'crm'?)",
        ),
        ("attributes: {shoe_size: {}}", "attributes.shoe_size: found 'shoe_size', allowed: email, phone, "),
        (
            "attributes: {gender: {verified_by: [clicked]}}",
            "attributes.gender.verified_by: found with gender, allowed: with email and phone",
        ),
        ("shared_devices: {longest_gap_days: 0}", "shared_devices.longest_gap_days: found 0, allowed: at least 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(problems, profile, problem):
    (line,) = problems(channels=CHANNELS, profile=profile)
    assert line.startswith(f"profile.yml:1 {problem}")
