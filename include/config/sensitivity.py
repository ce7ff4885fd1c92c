"""Refuses rules that would say something sensitive of a visitor, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from include.config.conditions import engine, text_literal
from include.config.document import Document
from include.config.errors import Problem, refusal
from include.config.schema import Normalisation, Privacy
from include.normalise.taxonomies import audience_taxonomy, content_taxonomy

CATEGORY_COLUMNS = frozenset({"content_category", "content_category_id", "content_category_tier_1"})
PAGES = "tandem_pages"  # one of each category


def check_sensitive_traits(
    document: Document,
    privacy: Privacy,
    normalisation: Normalisation,
) -> Iterator[Problem]:
    """No trait of audiences.yml asks for pages of a sensitive category, or is given a sensitive category of people."""
    meanings = {
        rule.trait: audience_taxonomy().find(rule.audience)
        for rule in normalisation.trait_taxonomy
        if audience_taxonomy().find(rule.audience).category_id in privacy.sensitive_audience_ids
    }
    traits = document.data.get("traits")
    for index, trait in enumerate(traits if isinstance(traits, list) else []):
        if not isinstance(trait, dict):
            continue
        where, trait_id = trait.get("where"), trait.get("id")
        if isinstance(where, str):
            for name in find_sensitive_content(where, privacy.sensitive_content_ids):
                allowed = "a rule over pages that are not sensitive; see sensitive_content in privacy.yml"
                yield document.problem(("traits", index, "where"), refusal(name, allowed))
        if trait_id in meanings:
            allowed = (
                f"a trait that is not sensitive: trait_taxonomy in normalisation.yml gives this one the category "
                f"'{meanings[trait_id].path}', see sensitive_audiences in privacy.yml"
            )
            yield document.problem(("traits", index, "id"), refusal(trait_id, allowed))


def find_sensitive_content(where: str, sensitive_ids: frozenset[str]) -> list[str]:
    """The names of sensitive categories that a condition over events asks for: those that it names, and those that a
    pattern finds which finds no others, in the table PAGES. A comparison inside `not` asks for nothing. A condition
    that does not parse is none of this function's business."""
    try:
        tree = sqlglot.parse_one(where, dialect="duckdb")
    except SqlglotError:
        return []
    taxonomy = content_taxonomy()
    found: dict[str, None] = {}
    for part in tree.find_all(exp.Predicate, exp.Func):
        columns = {column.name.lower() for column in part.find_all(exp.Column)}
        if isinstance(part, exp.NEQ) or not columns or not columns <= CATEGORY_COLUMNS or _is_negated(part):
            continue
        named = [taxonomy.find(literal.name) for literal in part.find_all(exp.Literal) if literal.is_string]
        asked = [
            category.category_id for category in named if category and category.category_id in sensitive_ids
        ]
        matched = _categories_of(part)
        if matched and matched <= sensitive_ids:
            asked += sorted(matched)[:1] if not asked else []
        found |= dict.fromkeys(taxonomy.categories[category_id].name for category_id in asked)
    return list(found)


def _is_negated(part: exp.Expression) -> bool:
    negations = 0
    while part.parent is not None:
        part = part.parent
        negations += isinstance(part, exp.Not)
    return negations % 2 == 1


def _categories_of(part: exp.Expression) -> frozenset[str]:
    """The categories whose pages satisfy a part of a condition; none when it is no condition of its own."""
    try:
        rows = (
            _engine_with_pages()
            .execute(f"select content_category_id from {PAGES} where {part.sql(dialect='duckdb')}")
            .fetchall()
        )
    except duckdb.Error:
        return frozenset()
    return frozenset(category_id for (category_id,) in rows)


@cache
def _engine_with_pages() -> duckdb.DuckDBPyConnection:
    """The engine with one page of each category in the table `PAGES`."""
    rows = ", ".join(
        f"({', '.join(map(text_literal, (each.category_id, each.name, each.tier_1)))})"
        for each in content_taxonomy().categories.values()
    )
    columns = "content_category_id, content_category, content_category_tier_1"
    engine().execute(f"create temporary table {PAGES} as from (values {rows}) as t ({columns})")
    return engine()
