"""Which category of the IAB Content Taxonomy 3.1 the text of an event names."""

from __future__ import annotations

from include.normalise.taxonomies import content_taxonomy


def normalise_content_category(raw: str) -> tuple[str | None, str | None, str | None]:
    """The id, name and first tier of the category that an event names itself; nothing when it is none of IAB's."""
    category = content_taxonomy().find(raw)
    return (category.category_id, category.name, category.tier_1) if category else (None, None, None)
