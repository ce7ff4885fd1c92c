"""Which records belong together: Tandem's components against Splink's, igraph's and SciPy's, and a new day's edges."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb

from include.benchmark.harness import Ratio, Topic, Variant

THREADS, MEMORY = 2, "800MB"
GROWTH = 10
NEW_SHARE = 0.01
CHAINED, IN_HAIRBALLS, HAIRBALLS = 0.08, 0.04, 4
LONGEST_CHAIN = 50


def prepare(folder: Path, edges: int) -> None:
    """Write the edges (node, value) of a size, in random order, and what the day before knew of them.

    A person has up to three nodes and four values, six edges; 8 % of the edges are chains of 2 to 50, 4 % are in
    four hairballs. Keys are hashes of 63 bits; in `sequential` they are numbers that rise along every chain.
    """
    with duckdb.connect(
        config={"threads": THREADS, "memory_limit": "2GB", "temp_directory": str(folder)}
    ) as connection:
        _write_edges(connection, folder / "edges.parquet", edges, "(hash(id, {side}) >> 1)::bigint")
        _write_edges(connection, folder / "fewer.parquet", edges // GROWTH, "(hash(id, {side}) >> 1)::bigint")
        _write_edges(connection, folder / "sequential.parquet", edges, "id")
        for name, condition in (("before", ">="), ("added", "<")):
            connection.execute(
                f"""
                copy (
                    select * from '{folder / "edges.parquet"}'
                    where hash(node, value) % 10000 {condition} {int(NEW_SHARE * 10_000)}
                ) to '{folder / name}.parquet' (format parquet, compression zstd)
                """
            )
    with _engine(folder) as engine:
        from include.identity.components import connect, place_values

        engine.create_view("edge", f"select node, value from '{folder / 'before.parquet'}'")
        connect(engine, "edge", "found")
        place_values(engine, "edge", "found", "placed")
        for table in ("found", "placed"):
            engine.connection.execute(
                f"copy {table} to '{folder / table}.parquet' (format parquet, compression zstd)"
            )


def _write_edges(connection: duckdb.DuckDBPyConnection, path: Path, edges: int, key: str) -> None:
    """A node's or value's `id` is a number of its own; `key` makes the key of it."""
    people = int(edges * (1 - CHAINED - IN_HAIRBALLS)) // 6
    hairball = int(edges * IN_HAIRBALLS) // HAIRBALLS
    chains = int(edges * CHAINED) // ((2 + LONGEST_CHAIN) // 2)
    first_in_chains = people * 4
    first_in_hairballs = first_in_chains + chains * (LONGEST_CHAIN + 2)
    connection.execute(
        f"""
        copy (
            with drawn as (
                select
                    person * 4 + hash(person, edge, 'node') % 3 as node_id,
                    person * 4 + hash(person, edge, 'value') % 4 as value_id
                from range({people}) as people (person), range(6) as edges (edge)
                union all
                select
                    {first_in_chains} + chain * {LONGEST_CHAIN + 2} + (edge + 1) // 2 as node_id,
                    {first_in_chains} + chain * {LONGEST_CHAIN + 2} + edge // 2 as value_id
                from range({chains}) as chains (chain), range({LONGEST_CHAIN}) as edges (edge)
                where edge < 2 + hash(chain, 'length') % {LONGEST_CHAIN - 1}
                union all
                select
                    {first_in_hairballs} + ball * {hairball} + hash(ball, edge, 'node') % {hairball // 3}
                        as node_id,
                    {first_in_hairballs} + ball * {hairball} + hash(ball, edge, 'value') % {hairball // 1000}
                        as value_id
                from range({HAIRBALLS}) as balls (ball), range({hairball}) as edges (edge)
            )
            select
                {key.format(side="'node'").replace("id", "node_id")}::bigint as node,
                {key.format(side="'value'").replace("id", "value_id")}::bigint as value
            from drawn
            order by hash(node_id, value_id)
        ) to '{path}' (format parquet, compression zstd)
        """
    )


def _engine(scratch: Path):
    from include.identity.engine import opened

    return opened(THREADS, MEMORY, scratch)


def run_connect(inputs: Path, output: Path, edges: str) -> int:
    """The components of all nodes, as resolve finds them."""
    from include.identity.components import connect

    with _engine(output) as engine:
        engine.create_view("edge", f"select node, value from '{inputs / edges}.parquet'")
        connect(engine, "edge", "found")
        return _write_components(engine.connection, output)


def run_extend(inputs: Path, output: Path) -> int:
    """The nodes' and the values' components, from those of the day before and one new edge in a hundred."""
    from include.identity.components import extend

    with _engine(output) as engine:
        for table in ("found", "placed", "added"):
            engine.create_view(table, f"select * from '{inputs / table}.parquet'")
        extend(engine, "found", "placed", "added", "found_now", "placed_now")
        return _write_state(engine.connection, output)


def run_rebuild(inputs: Path, output: Path) -> int:
    """What `run_extend` writes, from all edges."""
    from include.identity.components import connect, place_values

    with _engine(output) as engine:
        engine.create_view("edge", f"select node, value from '{inputs / 'edges.parquet'}'")
        connect(engine, "edge", "found_now")
        place_values(engine, "edge", "found_now", "placed_now")
        return _write_state(engine.connection, output)


def _write_state(connection: duckdb.DuckDBPyConnection, output: Path) -> int:
    rows = 0
    for table, name in (("found_now", "membership"), ("placed_now", "values")):
        (written,) = connection.execute(
            f"copy {table} to '{output / name}.parquet' (format parquet)"
        ).fetchone()
        rows += written
    return rows


def _write_components(connection: duckdb.DuckDBPyConnection, output: Path) -> int:
    (rows,) = connection.execute(
        f"""
        copy (
            select nodes.node, coalesce(found.component, nodes.node) as component
            from (select distinct node from edge) as nodes
            left join found on nodes.node = found.node
        ) to '{output / "components.parquet"}' (format parquet)
        """
    ).fetchone()
    return rows


def run_floor(inputs: Path, output: Path) -> int:
    """Read, one hash aggregate, write: the least that any way has to do."""
    with duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY}) as connection:
        (rows,) = connection.execute(
            f"""
            copy (select node, min(value) as component from '{inputs / "edges.parquet"}' group by node)
            to '{output / "floor.parquet"}' (format parquet)
            """
        ).fetchone()
    return rows


def run_splink(inputs: Path, output: Path) -> int:
    """Splink's own clustering on its DuckDB: nodes and values are records to it, edges are matches."""
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    with duckdb.connect(config={"threads": THREADS}) as connection:
        path = inputs / "edges.parquet"
        connection.execute(f"create table edge as select node as id_l, value as id_r from '{path}'")
        connection.execute("create table node as select distinct id_l as id from edge")
        connection.execute("create table everything as select id from node union select id_r as id from edge")
        database = DuckDBAPI(connection=connection)
        clusters = cluster_pairwise_predictions_at_threshold(
            database.register("everything"), database.register("edge"), database, "id"
        )
        (rows,) = connection.execute(
            f"""
            copy (
                select node.id as node, clusters.cluster_id as component
                from node
                inner join {clusters.physical_name} as clusters on node.id = clusters.id
            ) to '{output / "components.parquet"}' (format parquet)
            """
        ).fetchone()
    return rows


def run_igraph(inputs: Path, output: Path) -> int:
    """igraph, whose vertices are numbers from zero: keys are numbered before and named after."""
    import igraph
    import numpy as np

    def components(ends: np.ndarray, others: np.ndarray, vertices: int) -> np.ndarray:
        graph = igraph.Graph(n=vertices, edges=np.column_stack([ends, others]))
        return np.asarray(graph.connected_components().membership)

    return _with_numbers(inputs, output, components)


def run_scipy(inputs: Path, output: Path) -> int:
    """SciPy's components of a sparse matrix, numbered in the same way."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    def components(ends: np.ndarray, others: np.ndarray, vertices: int) -> np.ndarray:
        matrix = coo_array((np.ones(len(ends), dtype=np.int8), (ends, others)), shape=(vertices, vertices))
        return connected_components(matrix.tocsr(), directed=False)[1]

    return _with_numbers(inputs, output, components)


def _with_numbers(inputs: Path, output: Path, components) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    edges = pq.read_table(inputs / "edges.parquet").combine_chunks()
    nodes, values = (pc.dictionary_encode(edges[name]).combine_chunks() for name in ("node", "value"))
    names, ends = nodes.dictionary, nodes.indices.to_numpy()
    others = values.indices.to_numpy() + np.int32(len(names))
    labels = components(ends, others, len(names) + len(values.dictionary))[: len(names)]
    pq.write_table(pa.table({"node": names, "component": pa.array(labels)}), output / "components.parquet")
    return len(names)


def digest(output: Path) -> str:
    """A digest of who is together in what a variant wrote, however it names the components; empty for none.

    What a day and a rebuild write names them all alike, so that there every row counts as it is.
    """
    complete, named = output / "components.parquet", output / "membership.parquet"
    if complete.exists():
        queries = [
            f"""
            select count(*), bit_xor(hash(node, name))
            from (select node, min(node) over (partition by component) as name from '{complete}')
            """
        ]
    elif named.exists():
        queries = [
            f"select count(*), bit_xor(hash({key}, component)) from '{path}'"
            for key, path in (("node", named), ("value", output / "values.parquet"))
        ]
    else:
        return ""
    with duckdb.connect(config={"threads": THREADS}) as connection:
        return str([connection.execute(query).fetchone() for query in queries])


TOPIC = Topic(
    name="stitching",
    title="Which records belong together",
    text="Edges (node, value) with keys of 63 bits in random order: people of six edges, 8% of the edges in chains of 2"
    " to 50, 4% in four hairballs. From Parquet to Parquet (node, component); all ways must find the same partition."
    " The floor reads, groups once and writes. A rebuild and a new day also write the component of every value, which"
    " is what the next day needs.",
    sizes={"small": 300_000, "medium": 10_000_000, "large": 10_000_000},
    prepare=prepare,
    digest=digest,
    variants=(
        Variant("ours", "Tandem's `connect`", partial(run_connect, edges="edges")),
        Variant("floor", "read, group once, write", run_floor),
        Variant("splink", "Splink's own clustering", run_splink),
        Variant("igraph", "igraph, keys numbered by Arrow", run_igraph),
        Variant("scipy", "SciPy, keys numbered by Arrow", run_scipy),
        Variant(
            "fewer",
            f"`connect`, a {GROWTH}th of the edges",
            partial(run_connect, edges="fewer"),
            rows="fewer",
        ),
        Variant(
            "sequential",
            "`connect`, ids that rise along every chain",
            partial(run_connect, edges="sequential"),
            rows="sequential",
        ),
        Variant("rebuild", "all edges anew, with the values' components", run_rebuild, rows="incremental"),
        Variant("day", f"`extend` by {NEW_SHARE:.0%} new edges", run_extend, rows="incremental"),
    ),
    ratios=(
        Ratio("`connect` over Splink's clustering", "ours", "splink", at_most=0.30),
        Ratio("`connect` over igraph", "ours", "igraph", at_most=0.45),
        Ratio("`connect` over SciPy", "ours", "scipy"),
        Ratio("`connect` over the floor", "ours", "floor"),
        Ratio(f"{GROWTH} times the edges over once", "ours", "fewer", at_most=GROWTH * 1.1),
        Ratio("sequential ids over random ones", "sequential", "ours"),
        Ratio("a day with 1% new edges over a rebuild", "day", "rebuild", at_most=0.15),
    ),
)
