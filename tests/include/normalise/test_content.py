"""The IAB Content Taxonomy and what a text names in it."""

from __future__ import annotations

import pytest

from include.demo.tastes import CONTENTS
from include.normalise.content import normalise_content_category
from include.normalise.taxonomies import audience_taxonomy, content_taxonomy


def test_every_category_is_found_by_its_id_and_by_its_name():
    taxonomy = content_taxonomy()
    assert len(taxonomy.categories) == 704
    for category in taxonomy.categories.values():
        assert taxonomy.find(category.category_id) == category
        assert taxonomy.find(f"  {category.name.upper()}") == category


def test_every_first_tier_is_a_category_itself():
    taxonomy = content_taxonomy()
    first_tiers = {category.tier_1 for category in taxonomy.categories.values()}
    assert len(first_tiers) == 37
    assert {name for name in first_tiers if taxonomy.find(name) is None} == set()


def test_another_text_names_none():
    assert normalise_content_category("sport") == (None, None, None)
    assert normalise_content_category("Soccer") == ("533", "Soccer", "Sports")


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Religion and Spirituality", "Religion & Spirituality"),
        ("food and  drink", "Food & Drink"),
        ("Hobbies & Interests", "Hobbies & Interests"),
        ("Medical Health > Diseases and Conditions > Cancer", "Cancer"),
        ("Technology & Computing|Computing", "Computing"),
        ("Music & Audio", None),
    ],
)
def test_a_category_is_known_in_the_spellings_of_other_systems(text, category):
    assert normalise_content_category(text)[1] == category


def test_a_name_as_it_is_goes_before_other_spellings():
    taxonomy = audience_taxonomy()
    assert {
        taxonomy.find(name).name for name in ("Remodeling and Construction", "Remodeling & Construction")
    } == {
        "Remodeling and Construction",
        "Remodeling & Construction",
    }


def test_the_contents_of_the_demo_are_names_of_the_taxonomy():
    assert len(CONTENTS) > 10
    found = {name: content_taxonomy().find(name) for name in CONTENTS}
    assert [name for name, category in found.items() if category is None or category.name != name] == []
