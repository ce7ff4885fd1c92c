"""A left join answers with a hash of its key. A condition on the left side alone turns it into a nested loop: DuckDB
compares every row with every other one, which a small company does not notice and a large one does not live to see.
Nor does it notice that DuckDB keeps the rows of a common table expression that is read twice: for a table of events
that is another copy of it, in memory or on disk.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from include.quality.suites import load_suite
from include.settings import PROJECT
from tests.company import Company


def compiled_models(company: Company) -> dict[str, str]:
    """The SQL of each model as the company's last run compiled it, by name."""
    compiled = company.lake.data / "dbt" / "target" / "compiled"
    models = {path.stem: path.read_text() for path in compiled.rglob("*.sql") if path.parent.suffix != ".yml"}
    assert len(models) > 100, "the compiled models are not where dbt puts them"
    return models


def one_sided_conditions(sql: str) -> list[str]:
    """The conditions of left joins that say nothing about what is joined."""
    joins = [join for join in sqlglot.parse_one(sql, read="duckdb").find_all(exp.Join) if join.side == "LEFT"]
    return [
        condition.sql("duckdb")
        for join in joins
        if (on := join.args.get("on")) is not None
        for condition in (on.flatten() if isinstance(on, exp.And) else [on])
        if not {column.table for column in condition.find_all(exp.Column)} & {join.alias_or_name, ""}
    ]


def test_a_condition_on_one_side_is_seen() -> None:
    joined = "select * from a left join b on a.k = b.k and {}"
    assert one_sided_conditions(joined.format("a.side = 'dmp'")) == ["a.side = 'dmp'"]
    assert one_sided_conditions(joined.format("not a.is_control")) == ["NOT a.is_control"]
    assert not one_sided_conditions(joined.format("b.side = 'dmp'"))
    assert not one_sided_conditions(joined.format("a.day > b.day"))


def test_no_model_compares_every_row_with_every_other(two_days: Company) -> None:
    found = {name: one_sided_conditions(sql) for name, sql in compiled_models(two_days).items()}
    assert {name: conditions for name, conditions in found.items() if conditions} == {}


# Tables with a row for each event, and so many columns that reading them twice is cheaper than keeping them.
LARGE = {"stg_events", "customer_timeline"}


def kept_tables(sql: str) -> list[str]:
    """The large tables that are kept as they are, because more than one place reads an expression of all their rows."""
    tree = sqlglot.parse_one(sql, read="duckdb")
    reads = Counter(
        id(source.expression)
        for scope in traverse_scope(tree)
        for _, source in scope.selected_sources.values()
        if isinstance(source, Scope)
    )
    return [
        read.name
        for cte in tree.find_all(exp.CTE)
        if cte.args.get("materialized") is not False
        if isinstance(cte.this, exp.Select) and cte.this.is_star
        if isinstance(read := cte.this.args["from_"].this, exp.Table) and read.name in LARGE
        if reads[id(cte.this)] > 1
    ]


def test_a_table_that_is_kept_is_seen() -> None:
    twice = "with events as {} (select * from stg_events) select * from events join (select max(a) from events) on true"
    assert kept_tables(twice.format("")) == ["stg_events"]
    assert kept_tables(twice.format("not materialized")) == []
    assert kept_tables("with events as (select * from stg_events) select * from events") == []
    # Another expression of the same name, deeper inside.
    inner = "(with events as (select * from stg_events) select * from events)"
    assert (
        kept_tables(f"with a as {inner}, events as (select * from stg_events) select * from events, a") == []
    )


def test_no_model_keeps_another_copy_of_all_events(two_days: Company) -> None:
    found = {name: kept_tables(sql) for name, sql in compiled_models(two_days).items()}
    assert {name: tables for name, tables in found.items() if tables} == {}


def test_no_gate_compares_every_row_with_every_other() -> None:
    suites = sorted(Path(PROJECT, "include", "quality", "suites").glob("*.yml"))
    found = {
        f"{path.stem}: {asset.name}": one_sided_conditions(asset.query.replace("{", "").replace("}", ""))
        for path in suites
        for asset in load_suite(path.stem)
    }
    assert len(found) > 50, "the suites are not where the gates read them"
    assert {name: conditions for name, conditions in found.items() if conditions} == {}
