"""Components as SQL against networkx, and the number of rounds they take."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest

from include.identity.components import Effort, connect
from include.identity.engine import opened

Edges = list[tuple[int, int]]


def find(edges: Edges, scratch: Path) -> tuple[dict[int, int], Effort]:
    """The component of every node of the edges (node, value), by SQL."""
    with opened(2, "500MB", scratch) as engine:
        engine.create_table(
            "edge", "select cast(null as bigint) as node, cast(null as bigint) as value where 1 = 0"
        )
        if edges:
            engine.insert("edge", "values " + ", ".join(f"({node}, {value})" for node, value in edges))
        effort = connect(engine, "edge", "found")
        found = dict(engine.rows("select node, component from found"))
        assert engine.tables() == {"edge", "found"}
    return {node: found.get(node, node) for node, _ in edges}, effort


def expected(edges: Edges) -> dict[int, int]:
    graph = nx.Graph((("node", node), ("value", value)) for node, value in edges)
    components = {}
    for members in nx.connected_components(graph):
        nodes = [name for side, name in members if side == "node"]
        components |= dict.fromkeys(nodes, min(nodes))
    return components


def chain(ids: list[int], first_value: int = 0) -> Edges:
    """Neighbours in the list share a value."""
    return [
        edge
        for value, (left, right) in enumerate(pairwise(ids), first_value)
        for edge in ((left, value), (right, value))
    ]


@pytest.mark.parametrize("seed", range(15))
def test_random_graphs_have_the_components_that_networkx_finds(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    nodes = draw.randint(2, 400)
    values = max(1, int(nodes * draw.choice([0.2, 0.7, 1.0, 1.3])))
    edges = [(draw.randrange(nodes), draw.randrange(values)) for _ in range(draw.randint(1, 2 * nodes))]
    found, _ = find(edges, tmp_path)
    assert found == expected(edges)


@pytest.mark.parametrize("seed", range(5))
def test_chains_of_fifty_and_a_hairball_come_out_whole(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    ids = draw.sample(range(10**12), 50 * 40 + 500)
    edges: Edges = []
    for number in range(40):
        edges += chain(ids[number * 50 : number * 50 + 50], first_value=number * 50)
    hairball = ids[2000:]
    edges += [(node, 10**6 + draw.randrange(20)) for node in hairball for _ in range(3)]
    draw.shuffle(edges)
    found, _ = find(edges, tmp_path)
    assert found == expected(edges)
    assert len(set(found.values())) == 41


def alternating(nodes: int) -> list[int]:
    """Small and large ids in turn: every second node is smaller than both its neighbours."""
    half = nodes // 2
    return [id_ for pair in zip(range(half), range(half, nodes), strict=True) for id_ in pair]


@pytest.mark.parametrize("order", ["rising", "falling", "alternating", "shuffled"])
def test_a_chain_of_ten_thousand_takes_a_logarithm_of_rounds(order: str, tmp_path: Path) -> None:
    nodes = 10_000
    ids = {
        "rising": list(range(nodes)),
        "falling": list(reversed(range(nodes))),
        "alternating": alternating(nodes),
        "shuffled": random.Random(1).sample(range(nodes), nodes),
    }[order]
    found, effort = find(chain(ids), tmp_path)
    assert set(found.values()) == {0}
    assert len(found) == nodes
    doublings = math.ceil(math.log2(nodes))
    assert effort.rounds <= doublings
    assert effort.rounds + effort.jumps <= 4 * doublings


def test_a_hub_with_smaller_neighbours_only_takes_two_rounds(tmp_path: Path) -> None:
    hub = 10_000
    edges = [edge for leaf in range(1_000) for edge in ((leaf, leaf), (hub, leaf))]
    found, effort = find(edges, tmp_path)
    assert set(found.values()) == {0}
    assert effort.rounds <= 2


def test_nodes_that_share_nothing_are_their_own_components(tmp_path: Path) -> None:
    found, effort = find([(1, 10), (2, 20), (2, 21), (3, 30)], tmp_path)
    assert found == {1: 1, 2: 2, 3: 3}
    assert effort == Effort(0, 0)


def test_no_edges_make_no_components(tmp_path: Path) -> None:
    assert find([], tmp_path) == ({}, Effort(0, 0))
