"""privacy.yml and the taxonomies: what is sensitive is refused before anything runs, and dbt is told of it."""

from __future__ import annotations

from datetime import date

import pytest

from include.config import dbt_variables, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.lake import Lake
from include.normalise.taxonomies import audience_taxonomy, content_taxonomy
from include.settings import DEFAULT_CONFIG

# Categories that the Content Taxonomy 2.2, whose flags are at their rows, marks as special-category data, by their ids
# in both versions: 64 in all.
FLAGGED = (
    136, 188, 189, 199, 200, 211, 214, 224, 231, 237, *range(287, 324), 387, 388, 410, *range(453, 464), 465, 468, 549,
)  # fmt: skip
# World cuisines, investing, biology and bodybuilding are no special categories of personal data (GDPR, article 9).
NOT_SPECIAL = {"214", "410", "465", "549"}
ADVERTISING = "purposes: {advertising: [ads]}\n"


def trait(where: str, trait_id: str = "some") -> str:
    return f'traits:\n  - id: {trait_id}\n    where: "{where}"\n'


def test_what_the_iab_flags_as_special_is_sensitive_unless_it_is_listed_as_not() -> None:
    sensitive = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).privacy.sensitive_content_ids
    assert len(FLAGGED) == 64
    assert {str(number) for number in FLAGGED} - sensitive == NOT_SPECIAL
    parts = ("Medical Health", "Religion & Spirituality", "Politics", "Sensitive Topics")
    for category in content_taxonomy().categories.values():
        if category.tier_1 in parts:
            assert category.category_id in sensitive, category.path


def test_most_of_the_taxonomies_is_not_sensitive() -> None:
    privacy = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).privacy
    assert 70 < len(privacy.sensitive_content_ids) < 100
    assert 50 < len(privacy.sensitive_audience_ids) < 80
    assert "186" not in privacy.sensitive_content_ids  # families read about family life


def test_a_company_that_says_nothing_of_it_keeps_nothing_sensitive(load) -> None:
    own, default = load(privacy=ADVERTISING).privacy, load().privacy
    assert own.sensitive_content_ids == default.sensitive_content_ids
    assert own.sensitive_audience_ids == default.sensitive_audience_ids


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("content_category = 'Cancer'", "Cancer"),
        ("content_category_id = '314' and is_owned_site", "Cancer"),
        ("content_category in ('Pets', 'islam')", "Islam"),
        ("content_category_tier_1 = 'Politics'", "Politics"),
        ("content_category like 'Parenting%' or content_category like 'Hinduis%'", "Hinduism"),
        ("starts_with(lower(content_category), 'mental h')", "Mental Health"),
    ],
)
def test_a_trait_of_sensitive_pages_is_refused(problems, where: str, name: str) -> None:
    assert problems(audiences=trait(where)) == [
        f"audiences.yml:3 traits[some].where: found '{name}', allowed: a rule over pages that are not sensitive; see "
        "sensitive_content in privacy.yml"
    ]


@pytest.mark.parametrize(
    "where",
    [
        "content_category = 'Pets'",
        "content_category like '%a%'",
        "content_category <> 'Cancer'",
        "content_category not in ('Cancer', 'Politics')",
        "content_category_tier_1 = 'Family and Relationships'",
        "title = 'Cancer'",
    ],
)
def test_a_trait_of_other_pages_is_not(load, where: str) -> None:
    assert load(audiences=trait(where)).traits[0].trait_id == "some"


def test_what_is_sensitive_is_for_the_company_to_say(problems, load) -> None:
    privacy = ADVERTISING + "sensitive_content: [Pets]\n"
    assert load(privacy=privacy, audiences=trait("content_category = 'Cancer'"))
    assert problems(privacy=privacy, audiences=trait("content_category = 'Dogs'"))[0].startswith(
        "audiences.yml:3 traits[some].where: found 'Dogs'"
    )


def test_a_rule_that_means_something_sensitive_is_refused(problems) -> None:
    normalisation = "trait_taxonomy:\n  - {trait: some, audience: Interest | Medical Health}\n"
    assert problems(normalisation=normalisation, audiences=trait("content_category = 'Pets'")) == [
        "audiences.yml:2 traits[some].id: found 'some', allowed: a trait that is not sensitive: trait_taxonomy in "
        "normalisation.yml gives this one the category 'Interest | Medical Health', see sensitive_audiences in "
        "privacy.yml"
    ]


def test_a_misspelt_audience_is_named_with_the_nearest_and_a_shared_name_with_a_path(problems) -> None:
    def found(audience: str) -> str:
        (problem,) = problems(normalisation=f"trait_taxonomy:\n  - {{trait: a, audience: {audience}}}\n")
        return problem

    allowed = "allowed: the id, the name or the path of a category of the IAB Audience Taxonomy 1.1"
    where = "normalisation.yml:2 trait_taxonomy[0].audience"
    assert found("Pet Adoptoins") == (
        f"{where}: found 'Pet Adoptoins', {allowed} (did you mean 'Pet Adoptions'?)"
    )
    assert found("Interest | Petz") == (
        f"{where}: found 'Interest | Petz', {allowed} (did you mean 'Interest | Pets'?)"
    )
    assert found("Student") == (
        f"{where}: found 'Student', {allowed}, which has this name 2 times, e.g. "
        "'Demographic | Education & Occupation | Employment Role | Student'"
    )


def test_a_trait_and_value_mean_one_thing(problems) -> None:
    rules = "trait_taxonomy:\n  - {trait: a, value: 1, audience: Pets}\n  - {trait: a, value: '1', audience: Careers}\n"
    assert problems(normalisation=rules) == [
        "normalisation.yml:1 trait_taxonomy: found 'a = 1', allowed: each trait and value once"
    ]


def test_a_tcf_purpose_belongs_to_a_purpose(problems) -> None:
    (unknown,) = problems(privacy=ADVERTISING + "tcf_purposes: {adverts: [1]}\n")
    assert "'adverts'" in unknown and "advertising" in unknown
    (none,) = problems(privacy=ADVERTISING + "tcf_purposes: {advertising: []}\n")
    assert "at least one number" in none


@pytest.mark.parametrize(
    "rule",
    [
        "{category: Pets}",
        "{site: a.example, property: kind, value: dog, category: Pets}",
        "{property: kind, category: Pets}",
        "{property: kind, value: dog, path: /a, category: Pets}",
    ],
)
def test_a_page_is_told_by_a_site_or_by_a_property(problems, rule: str) -> None:
    (problem,) = problems(normalisation=f"content_categories:\n  - {rule}\n")
    assert problem.startswith("normalisation.yml:2 content_categories[0]: found ")


def test_dbt_is_told_ids_and_meanings(load, tmp_path) -> None:
    normalisation = """
        content_categories:
          - {property: page type, value: true, category: Pets}
          - {site: a.example, category: Sports}
        trait_taxonomy:
          - {trait: has_pet, value: yes, audience: Interest | Pets}
          - {trait: illness, audience: Interest | Medical Health}
        """
    privacy = ADVERTISING + "key: {epoch: 3}\ntcf_purposes: {}\nsensitive_content: [Hobbies & Interests]\n"
    configuration = load(normalisation=normalisation, privacy=privacy)
    told = dbt_variables(configuration, date(2024, 6, 30), Lake(tmp_path))
    assert told["key_epoch"] == 3
    assert told["tcf_advertising"] == []
    assert {"239", "240"} <= set(told["sensitive_content"])
    pets = content_taxonomy().find("Pets").category_id
    assert told["content_properties"] == [
        {"property": "page type", "value": "true", "category_id": pets, "name": "Pets", "tier_1": "Pets"}
    ]
    ids = [
        audience_taxonomy().find(path).category_id
        for path in ("Interest | Pets", "Interest | Medical Health")
    ]
    assert told["trait_taxonomy"] == [
        {"trait_id": "has_pet", "value": "yes", "iab_audience_id": ids[0], "iab_audience_name": "Interest | Pets",
         "is_sensitive": False},
        {"trait_id": "illness", "value": "", "iab_audience_id": ids[1],
         "iab_audience_name": "Interest | Medical Health", "is_sensitive": True},
    ]  # fmt: skip
