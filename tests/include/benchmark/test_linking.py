"""Made-up person records, and what becomes of them beside Splink."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from include.benchmark.harness import measure
from include.benchmark.linking import TOPIC
from include.benchmark.page import section
from include.benchmark.planted_people import PERSON, pairwise, write_people
from include.benchmark.results import Occasion, Result


def test_people_are_the_same_every_time_and_have_households_twins_slips_and_gaps(tmp_path: Path) -> None:
    files = [tmp_path / "one.parquet", tmp_path / "other.parquet"]
    written = {write_people(path, 5_000) for path in files}
    assert files[0].read_bytes() == files[1].read_bytes()
    (records,) = written
    assert 4_000 < records < 6_000
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            create table said as
            select
                *,
                split_part(node_key, '-', 1) as person,
                split_part(node_key, '.', 1) as household
            from '{files[0]}'
            """
        )
        known, people, households = connection.execute(
            "select count(birth_date) / count(*), count(distinct person), count(distinct household) from said"
        ).fetchone()
        (slipped,) = connection.execute(
            "select avg(names - 1) from (select count(distinct given_name) as names from said group by person"
            " having count(*) > 1)"
        ).fetchone()
        (twins,) = connection.execute(
            "select count(*) from (select household, birth_date from said where birth_date is not null group by all"
            " having count(distinct person) > 1)"
        ).fetchone()
    assert 0.75 < known < 0.85
    assert 2 * households < people < 2.5 * households
    assert 0.1 < slipped < 0.4
    assert 5 < twins < 0.1 * households


def test_pairs_are_counted_of_who_is_together_and_who_should_be(tmp_path: Path) -> None:
    path = tmp_path / "partitions.parquet"
    # Of four pairs that are one person's two are found, beside one that is not.
    duckdb.sql(
        "select unnest(['1.0-0', '1.0-1', '1.0-2', '2.0-0', '2.0-1', '2.1-0']) as node_key,"
        " unnest(['a', 'a', 'b', 'c', 'c', 'c']) as strict_id"
    ).write_parquet(str(path))
    assert pairwise(path, PERSON, "strict_id") == (pytest.approx(2 / 4), pytest.approx(2 / 4), 4)


def test_linkage_is_measured_with_how_right_it_is(tmp_path: Path) -> None:
    costs = measure(TOPIC, tmp_path / "bench", size=3_000, repeats=1)
    assert (
        costs["linkage"].rows == costs["splink"].rows == costs["floor"].rows > 10 * costs["fewer"].rows * 0.7
    )
    assert costs["floor"].told == ""
    right, found = (float(word.split()[0]) for word in costs["linkage"].told.split(","))
    assert right > 0.998 and found > 0.995
    result = Result(3_000, 1, Occasion("2026-11-28", "", "a machine", 1.0), costs)
    assert f"Tandem's linkage: {costs['linkage'].told} |" in section(TOPIC, result)
