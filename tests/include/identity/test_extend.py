"""Components that grow day by day against finding them anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.identity.components import connect, extend, place_values
from include.identity.engine import Engine, opened

Edges = list[tuple[int, int]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(2, "500MB", tmp_path) as engine:
        yield engine


def put(engine: Engine, name: str, edges: Edges) -> None:
    engine.create_table(
        name, "select cast(null as bigint) as node, cast(null as bigint) as value where 1 = 0"
    )
    if edges:
        engine.insert(name, "values " + ", ".join(f"({node}, {value})" for node, value in edges))


def rebuilt(engine: Engine, edges: Edges) -> tuple[dict, dict]:
    put(engine, "all_edges", edges)
    connect(engine, "all_edges", "all_nodes")
    place_values(engine, "all_edges", "all_nodes", "all_values")
    return taken(engine, "all_edges", "all_nodes", "all_values")


def taken(engine: Engine, edges: str, nodes: str, values: str) -> tuple[dict, dict]:
    """The components of nodes and of values; the tables are gone then, each had a key once."""
    rows = (
        engine.rows(f"select node, component from {nodes}"),
        engine.rows(f"select value, component from {values}"),
    )
    engine.drop(edges, nodes, values)
    found = dict(rows[0]), dict(rows[1])
    assert [len(each) for each in found] == [len(each) for each in rows]
    return found


@pytest.mark.parametrize("seed", range(12))
def test_day_by_day_equals_finding_them_at_once(seed: int, engine: Engine) -> None:
    draw = random.Random(seed)
    nodes, values = draw.randint(2, 300), draw.randint(2, 300)
    days = [
        [(draw.randrange(nodes), draw.randrange(values)) for _ in range(draw.choice([0, 1, 10, 60]))]
        for _ in range(6)
    ]
    put(engine, "first", days[0])
    connect(engine, "first", "nodes_0")
    place_values(engine, "first", "nodes_0", "values_0")
    for day, edges in enumerate(days[1:], 1):
        put(engine, "added", edges)
        extend(engine, f"nodes_{day - 1}", f"values_{day - 1}", "added", f"nodes_{day}", f"values_{day}")
        engine.drop("added", f"nodes_{day - 1}", f"values_{day - 1}")
    assert engine.tables() == {"first", "nodes_5", "values_5"}
    found = taken(engine, "first", "nodes_5", "values_5")
    assert found == rebuilt(engine, [edge for edges in days for edge in edges])


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_one_new_day_ties_a_thousand_components_into_a_chain(order: str, engine: Engine) -> None:
    ids = list(range(2_000))
    if order != "rising":
        ids = list(reversed(ids)) if order == "falling" else random.Random(3).sample(ids, len(ids))
    before = [(node, number // 2) for number, node in enumerate(ids)]
    new = [(node, (number + 1) // 2 + 10_000) for number, node in enumerate(ids)]
    put(engine, "first", before)
    connect(engine, "first", "nodes_0")
    place_values(engine, "first", "nodes_0", "values_0")
    put(engine, "added", new)
    extend(engine, "nodes_0", "values_0", "added", "nodes_1", "values_1")
    engine.drop("nodes_0", "values_0", "first")
    found = taken(engine, "added", "nodes_1", "values_1")
    assert set(found[0].values()) == set(found[1].values()) == {0}
    assert found == rebuilt(engine, before + new)


def test_edges_that_are_known_change_nothing(engine: Engine) -> None:
    edges = [(5, 1), (3, 1), (3, 2), (9, 2), (7, 4)]
    put(engine, "first", edges)
    connect(engine, "first", "nodes_0")
    place_values(engine, "first", "nodes_0", "values_0")
    extend(engine, "nodes_0", "values_0", "first", "nodes_1", "values_1")
    assert sorted(engine.rows("select * from nodes_1")) == [(5, 3), (9, 3)]
    assert sorted(engine.rows("select * from values_1")) == [(1, 3), (2, 3), (4, 7)]
