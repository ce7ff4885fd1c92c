"""What the benchmark of audiences measures is what it says."""

from __future__ import annotations

import duckdb
import pytest

from include.benchmark import audiences


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "inputs"
    audiences.prepare(folder, 20_000)
    return folder


def test_all_audiences_at_once_have_the_members_that_a_query_for_each_finds(made, tmp_path):
    for variant in ("ours", "alone"):
        (tmp_path / variant).mkdir()
    rows = audiences.TOPIC.variant("ours").run(made, tmp_path / "ours")
    alone = audiences.TOPIC.variant("alone").run(made, tmp_path / "alone")
    with duckdb.connect(str(tmp_path / "alone" / "warehouse.duckdb")) as connection:
        connection.execute(
            f"""
            create temp table together as
            select audience_id, member_id from read_parquet('{tmp_path / "ours" / "rows.parquet"}')
            where audience_id in (select audience_id from members)
            """
        )
        different = connection.execute(
            "(from together except all from members) union all (from members except all from together)"
        ).fetchall()
        asked = connection.execute("select count(distinct audience_id) from members").fetchone()[0]
    assert asked > 10
    assert rows > alone > 100
    assert different == []


def test_a_quarter_of_the_visitors_makes_about_a_quarter_of_the_members(made, tmp_path):
    rows = {}
    for variant in ("ours", "quarter"):
        (tmp_path / variant).mkdir()
        rows[variant] = audiences.TOPIC.variant(variant).run(made, tmp_path / variant)
    assert 0.2 < rows["quarter"] / rows["ours"] < 0.3
