"""A left join answers with a hash of its key. A condition on the left side alone turns it into a nested loop: DuckDB
compares every row with every other one, which a small company does not notice and a large one does not live to see.
"""

from __future__ import annotations

from pathlib import Path

import sqlglot
from sqlglot import exp

from include.quality.suites import load_suite
from include.settings import PROJECT
from tests.company import Company


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
    compiled = two_days.lake.data / "dbt" / "target" / "compiled"
    models = {path.stem: path.read_text() for path in compiled.rglob("*.sql") if path.parent.suffix != ".yml"}
    assert len(models) > 100, "the compiled models are not where dbt puts them"
    found = {name: one_sided_conditions(sql) for name, sql in models.items()}
    assert {name: conditions for name, conditions in found.items() if conditions} == {}


def test_no_gate_compares_every_row_with_every_other() -> None:
    suites = sorted(Path(PROJECT, "include", "quality", "suites").glob("*.yml"))
    found = {
        f"{path.stem}: {asset.name}": one_sided_conditions(asset.query.replace("{", "").replace("}", ""))
        for path in suites
        for asset in load_suite(path.stem)
    }
    assert len(found) > 50, "the suites are not where the gates read them"
    assert {name: conditions for name, conditions in found.items() if conditions} == {}
