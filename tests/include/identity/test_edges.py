"""What DuckDB does wherever edges are read, by its plans."""

from __future__ import annotations

import pytest

from include.config import load_configuration
from include.identity.engine import Engine, opened
from include.identity.evidence import read_evidence
from include.identity.guards import create_evidence_views
from include.identity.rules import strengths
from include.settings import DEFAULT_CONFIG
from tests.include.identity.evidence import Desk, day, event, record


@pytest.fixture
def engine(desk: Desk):
    rules = load_configuration(DEFAULT_CONFIG).identity
    desk.put(record("1", email="ada@example.com"), event(email="ada@example.com", anonymous_id="c1"))
    desk.resolve()
    with opened(1, "500MB", desk.lake.scratch) as engine:
        types = strengths(rules)
        read_evidence(engine, desk.lake, day(1), rules, types)
        create_evidence_views(engine, types)
        yield engine


def test_an_edge_is_looked_up_in_what_is_blocked_without_a_join(engine: Engine) -> None:
    assert "JOIN" not in plan_of(engine, "select rubbish from staged")


def test_edges_are_not_grouped_to_see_which_were_cut(engine: Engine) -> None:
    plan = plan_of(engine, "select node from mergeable")
    assert plan.count("JOIN") == 2, "one with what has no power, one with what was cut"
    assert "DELIM" not in plan and "GROUP" not in plan


def plan_of(engine: Engine, query: str) -> str:
    return engine.rows(f"explain {query}")[0][1]
