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
    rows, digests = {}, {}
    for variant in ("ours", "one_by_one"):
        output = tmp_path / variant
        output.mkdir()
        rows[variant] = audiences.TOPIC.variant(variant).run(made, output)
        digests[variant] = audiences.TOPIC.digest(output)
    members = f"read_parquet('{tmp_path / 'ours' / 'rows.parquet'}')"
    (asked,) = duckdb.sql(f"select count(distinct audience_id) from {members}").fetchone()
    assert asked > audiences.AUDIENCES / 2
    assert rows["ours"] == rows["one_by_one"] > 5_000
    assert digests["ours"] == digests["one_by_one"] != ""


def test_a_quarter_of_the_visitors_makes_about_a_quarter_of_the_members(made, tmp_path):
    rows = {}
    for variant in ("ours", "quarter"):
        (tmp_path / variant).mkdir()
        rows[variant] = audiences.TOPIC.variant(variant).run(made, tmp_path / variant)
    assert 0.2 < rows["quarter"] / rows["ours"] < 0.3
