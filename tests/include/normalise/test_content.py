"""The IAB Content Taxonomy and what a text names in it."""

from __future__ import annotations

from include.demo.tastes import CONTENTS
from include.normalise.content import normalise_content_category
from include.normalise.taxonomies import content_taxonomy


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


def test_the_contents_of_the_demo_are_names_of_the_taxonomy():
    assert len(CONTENTS) > 10
    found = {name: content_taxonomy().find(name) for name in CONTENTS}
    assert [name for name, category in found.items() if category is None or category.name != name] == []
