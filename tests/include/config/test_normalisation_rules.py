"""normalisation.yml: its mistakes are named, and dbt is told what it needs."""

from __future__ import annotations

from datetime import date

import pytest

from include.config import dbt_variables, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.lake import Lake
from include.settings import DEFAULT_CONFIG

RULE = "content_categories: [{{site: {site}, path: {path}, category: {category}}}]\n"


def rule(site: str = "example.com", path: str = "/sport", category: str = "Sports") -> str:
    return RULE.format(site=site, path=path, category=category)


def test_a_category_is_named_by_its_id_or_its_name(load):
    for category in ("Sports", "sports", "'483'"):
        assert (
            load(normalisation=rule(category=category)).normalisation.content_categories[0].path == "/sport"
        )


def test_an_unknown_category_is_named_with_the_nearest(problems):
    assert problems(normalisation=rule(category="Sprots")) == [
        "normalisation.yml:1 content_categories[0].category: found 'Sprots', allowed: the id, the name or the path of "
        "a category of the IAB Content Taxonomy 3.1 (did you mean 'Sports'?)"
    ]


@pytest.mark.parametrize("site", ["https://example.com/", "example", "example.com/sport"])
def test_a_site_is_a_host_name(problems, site):
    assert problems(normalisation=rule(site=site)) == [
        f"normalisation.yml:1 content_categories[0].site: found '{site}', allowed: the host name of a site, e.g. "
        "example.com"
    ]


@pytest.mark.parametrize("path", ["sport", "/sport?a=1"])
def test_a_path_is_below_the_root(problems, path):
    assert problems(normalisation=rule(path=path)) == [
        f"normalisation.yml:1 content_categories[0].path: found '{path}', allowed: a path that starts with /, "
        "without ? and #"
    ]


def test_a_region_is_a_country_with_telephones(problems):
    allowed = "allowed: the ISO 3166 code of a country, e.g. DE, GB or US"
    assert problems(normalisation="region: XX") == [f"normalisation.yml:1 region: found 'XX', {allowed}"]
    assert problems(normalisation="region: UK") == [
        f"normalisation.yml:1 region: found 'UK', {allowed} (did you mean 'GB'?)"
    ]


def test_a_secret_parameter_is_a_name(problems, load):
    assert problems(normalisation="secret_parameters: [token, 'a=b']") == [
        "normalisation.yml:1 secret_parameters: found 'a=b', allowed: the name of a parameter, without spaces "
        "and any of = & # ? ; % [ ]"
    ]
    assert load(normalisation="secret_parameters: [no, 7]").normalisation.secret_parameters == ("no", "7")


def test_dbt_is_told_secret_parameters_as_patterns_in_lower_case(load, tmp_path):
    configuration = load(normalisation="secret_parameters: [Token, a.b]")
    told = dbt_variables(configuration, date(2024, 6, 30), Lake(tmp_path))
    assert told["secret_parameters"] == ["token", r"a\.b"]


def test_the_default_rules_keep_campaigns_and_take_what_opens_an_account():
    names = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).normalisation.secret_parameters
    assert {"token", "password", "email", "sid"} <= set(names)
    assert [name for name in names if name.startswith("utm")] == []


@pytest.mark.parametrize(
    "column", ["site_domain", "device", "content_category_id", "content_category_tier_1"]
)
def test_a_rule_of_a_trait_may_ask_for_what_staging_adds_to_an_event(load, column):
    audiences = f"traits:\n  - {{id: some, where: {column} = 'x'}}\n"
    assert load(audiences=audiences).traits[0].trait_id == "some"
