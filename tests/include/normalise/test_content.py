"""The IAB Content Taxonomy and what a text names in it."""

from __future__ import annotations

from include.demo.tastes import CONTENTS
from include.normalise.content import find_category, normalise_content_category, taxonomy


def test_every_category_is_found_by_its_id_and_by_its_name():
    assert len(taxonomy()) == 704
    for category in taxonomy().values():
        assert find_category(category.category_id) == category
        assert find_category(f"  {category.name.upper()}") == category


def test_every_first_tier_is_a_category_itself():
    assert {
        category.tier_1 for category in taxonomy().values() if find_category(category.tier_1) is None
    } == set()


def test_another_text_names_none():
    assert normalise_content_category("sport") == (None, None, None)
    assert normalise_content_category("Soccer") == ("533", "Soccer", "Sports")


def test_the_contents_of_the_demo_are_names_of_the_taxonomy():
    assert len(CONTENTS) > 10
    assert {name for name in CONTENTS if getattr(find_category(name), "name", None) != name} == set()
