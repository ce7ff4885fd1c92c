"""The same statements on Spark: components, their growth, keys and files, with one session for all tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from include.config.schema import IdentityRules
from include.identity.components import connect, extend, place_values
from include.identity.engine import Engine, hashed, listed, matches, opened, parquet, text
from include.identity.evidence import read_evidence
from include.identity.guards import create_evidence_views
from include.identity.linkage.components import block_contradicted, link_components, open_person_records
from include.identity.rules import strengths
from tests.include.identity.evidence import Desk, day, node_of, record
from tests.include.identity.linkage.test_linkage_in_resolve import ANNA, say
from tests.include.identity.test_components import Edges, alternating, chain, expected

TEXTS = ["", "a", "ä", "C:\\d+", "it's", "ÄRGER@example.com", "customers:crm:1", "😀"]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as environment:
        # Tables of a few hundred rows: compiling well would take longer than all the rest.
        environment.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        with opened(2, "1GB", tmp_path_factory.mktemp("spark"), "spark") as engine:
            engine.session.conf.set("spark.sql.codegen.wholeStage", "false")
            engine.session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            engine.session.conf.set("spark.sql.adaptive.enabled", "false")
            yield engine


@pytest.fixture
def both(spark: Engine, tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """DuckDB and Spark, to be asked the same."""
    with opened(2, "500MB", tmp_path) as engine:
        yield engine, spark
    spark.drop(*spark.tables())


def put(engine: Engine, name: str, edges: Edges) -> None:
    engine.create_table(
        name, "select cast(null as bigint) as node, cast(null as bigint) as value where 1 = 0"
    )
    engine.insert(name, "values " + ", ".join(f"({node}, {value})" for node, value in edges))


def every_kind_of_graph() -> Edges:
    """Side by side: random graphs, chains of fifty, a hairball, and long chains in the worst orders of ids."""
    draw = random.Random(7)
    edges: Edges = []
    for number, (nodes, values) in enumerate([(60, 20), (60, 60), (60, 80)]):
        edges += [
            (number * 1_000 + draw.randrange(nodes), number * 1_000 + draw.randrange(values))
            for _ in range(400)
        ]
    ids = draw.sample(range(10_000, 20_000), 250)
    for number in range(4):
        edges += chain(ids[number * 50 : number * 50 + 50], first_value=10_000 + number * 50)
    edges += [(node, 20_000 + draw.randrange(5)) for node in ids[200:] for _ in range(3)]
    edges += chain(list(range(30_000, 30_200)), first_value=30_000)
    edges += chain([40_000 + node for node in alternating(200)], first_value=40_000)
    draw.shuffle(edges)
    return edges


def test_components_are_those_that_networkx_finds_and_grow_by_a_day(
    both: tuple[Engine, Engine],
) -> None:
    edges = every_kind_of_graph()
    new, before = edges[:60], edges[60:]
    for engine in both:
        put(engine, "edge", before)
        connect(engine, "edge", "found")
        place_values(engine, "edge", "found", "placed")
        found = dict(engine.rows("select node, component from found"))
        assert {node: found.get(node, node) for node, _ in before} == expected(before)

        put(engine, "added", new)
        extend(engine, "found", "placed", "added", "found_now", "placed_now")
        found = dict(engine.rows("select node, component from found_now"))
        assert {node: found.get(node, node) for node, _ in edges} == expected(edges)
        assert engine.tables() == {"edge", "found", "placed", "added", "found_now", "placed_now"}
    ours, sparks = (sorted(engine.rows("select value, component from placed_now")) for engine in both)
    assert ours == sparks


def test_no_edges_make_no_components(both: tuple[Engine, Engine]) -> None:
    for engine in both:
        engine.create_table(
            "edge", "select cast(null as bigint) as node, cast(1 as bigint) as value where 1 = 0"
        )
        connect(engine, "edge", "found")
        assert engine.rows("select node, component from found") == []


def test_keys_are_in_the_same_order(both: tuple[Engine, Engine]) -> None:
    rows = "values " + ", ".join(f"({text(each)})" for each in [*TEXTS, *map(str, range(200))])
    ours, sparks = (
        engine.rows(f"select it from ({rows}) as texts (it) order by {hashed('it')}") for engine in both
    )
    assert len(ours) == len(TEXTS) + 200
    assert ours == sparks


def test_texts_patterns_and_lists_mean_the_same(both: tuple[Engine, Engine]) -> None:
    rows = " union all ".join(f"select {text(each)} as it" for each in TEXTS)
    patterns = [r"(?i)^ärger@.+\.com$", r"^C:\\d\+$", "'", r"^\d*$"]
    columns = ", ".join(f"{matches('it', pattern)} as m{number}" for number, pattern in enumerate(patterns))
    ours, sparks = (
        engine.rows(f"select it, {columns} from ({rows}) as texts order by it") for engine in both
    )
    assert ours == sparks
    assert {it: flags for it, *flags in ours if any(flags)} == {
        "": [False, False, False, True],
        "C:\\d+": [False, True, False, False],
        "it's": [False, False, True, False],
        "ÄRGER@example.com": [True, False, False, False],
    }
    for engine in both:
        assert (
            engine.scalar(f"select {listed('it')} from (values ('b'), ('a'), ('b')) as texts (it)") == "a, b"
        )


def test_files_have_the_same_types_and_order(both: tuple[Engine, Engine], tmp_path: Path) -> None:
    schema = {"key": "varchar", "day": "date", "seen_at": "timestamp", "amount": "bigint", "is_it": "boolean"}
    query = " union all ".join(
        f"select {key} as key, date '2024-02-2{number}' as day, timestamp '2024-03-31 02:30:00' as seen_at,"
        f" {number} as amount, {number} > 1 as is_it"
        for number, key in enumerate(["'b'", "null", "'a'"])
    )
    files = []
    for name, engine in zip(("ours", "sparks"), both, strict=True):
        path = tmp_path / "date=2024-03-01" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        engine.write(path, schema, query, "key nulls first")
        assert engine.columns(path) == set(schema)
        assert (
            engine.scalar(f"select count(*) from {parquet(path)} as file where file.day > date '2024-02-20'")
            == 2
        )
        with duckdb.connect() as connection:
            file = connection.sql(f"select * from read_parquet('{path}', hive_partitioning = false)")
            files.append((file.columns, file.types, file.fetchall()))
    assert files[0] == files[1]
    assert files[0][2][0] == (None, date(2024, 2, 21), datetime(2024, 3, 31, 2, 30), 1, False)
    assert [row[0] for row in files[0][2]] == [None, "a", "b"]


def test_records_are_compared_beside_spark_with_the_same_outcome(
    both: tuple[Engine, Engine], desk: Desk, rules: IdentityRules
) -> None:
    mail, call = record("mail", email="anna@x.example"), record("call", phone="+15550134455")
    mother, son = record("mother", phone="+15550134466"), record("son", phone="+15550134466")
    household = ANNA | {"family_name": "Moss", "street": "7 Hill Street", "birth_date": "1979-11-02"}
    child = household | {"given_name": "Max", "gender": "m", "birth_date": "2011-05-02"}
    say(desk, mail=ANNA, call=ANNA, mother=household, son=child)
    desk.put(mail, call, mother, son).resolve()
    types, outcomes = strengths(rules), []
    for engine in both:
        read_evidence(engine, desk.lake, day(1), rules, types)
        create_evidence_views(engine, types)
        engine.create_table("alone", "select node, node as component from observation where 1 = 0")
        with engine.beside() as beside:
            open_person_records(engine, beside, desk.lake, rules)
            block_contradicted(engine, beside, types)
            link_components(engine, beside, rules, types, "alone", ("strictly", "loosely"))
        keys = {hashed(text(node_of(each))): node_of(each) for each in (mail, call, mother, son)}
        names = ", ".join(f"({key}, {text(name)})" for key, name in keys.items())
        name = f"(select column2 from (values {names}) as names (column1, column2) where column1 = {{}})"
        links = f"select {name.format('node_a')}, {name.format('node_b')}, tier, rule, evidence, match_weight from link"
        outcomes.append(
            (
                engine.rows(f"{links} order by 1, 2"),
                engine.rows(f"select {name.format('node')}, {name.format('component')} from strictly"),
                engine.rows("select reason from powerless"),
            )
        )
    assert outcomes[0] == outcomes[1]
    (link,), (together,), blocked = outcomes[0]
    assert set(link[:2]) == set(together) == {node_of(mail), node_of(call)}
    assert blocked == [("shared_by_two_people",)]
