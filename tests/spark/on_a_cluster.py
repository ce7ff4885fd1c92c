"""The warehouse on a cluster of a master and two workers, through Spark Connect and Thrift: the same rows and files.

Eight Javas are too many for every run of the tests: `python -m pytest tests/spark/on_a_cluster.py` runs these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest

from include.privacy.pseudonym import pads, visitor_id
from include.spark import spark_session, write_files
from include.warehouse.spark import Warehouse, secrets_of
from tests.spark.cluster import connect_server, standalone, thrift_server

KEY = b"the key of a cluster"
ROWS = 20_000
PEOPLE = """
    select
        cast(range as bigint) as number,
        'p' || (range % 1000) as person,
        cast(range % 997 as decimal(18, 2)) / 7 as share,
        case when range % 5 > 0 then ' É' || (range % 13) end as name,
    from {numbers}
"""
SUMMARY = """
    select
        person,
        sha256(
            getvariable('hmac_outer')
            || unhex(sha256(getvariable('hmac_inner') || encode('anonymous_id' || ':' || person)))
        ) as visitor_id,
        count(*) as things,
        sum(share) as share,
        arg_max(number, number) as last,
        max(lower(strip_accents(name))) as name,
    from main.people
    group by person
"""


@pytest.mark.parametrize("cluster", [standalone, connect_server, thrift_server])
def test_a_cluster_makes_the_tables_that_duckdb_makes(
    cluster: Callable[[Path], AbstractContextManager[str]], tmp_path: Path
) -> None:
    path = tmp_path / "summary.parquet"
    with (
        cluster(tmp_path) as address,
        spark_session(2, "1GB", tmp_path, address, secrets_of(KEY)) as session,
    ):
        warehouse = Warehouse(session, tmp_path / "warehouse")
        numbers = f"select /*+ repartition(4) */ * from (select explode(sequence(0, {ROWS - 1})) as range)"
        write_files(session, numbers, tmp_path / "numbers")
        people = PEOPLE.format(numbers=f"read_parquet('{tmp_path}/numbers/*.parquet')")
        warehouse.run(f"create or replace table main.people as {people}")
        warehouse.run(
            f"copy (select * from ({SUMMARY}) as model_rows order by person) to '{path}' (format parquet)"
        )
        warehouse.run(f"create or replace view main.summary as select * from read_parquet('{path}')")
        things = warehouse.run("select sum(things) as things from main.summary").collect()[0][0]
    assert things == ROWS
    with duckdb.connect() as connection:
        connection.execute(f"create table people as {PEOPLE.format(numbers=f'range({ROWS})')}")
        expected = connection.execute(
            "select person, count(*), round(sum(share), 6), max(number), max(lower(strip_accents(name)))"
            " from people group by person order by person"
        ).fetchall()
        found = connection.execute(
            f"select person, things, round(share, 6), last, name, visitor_id from '{path}'"
        ).fetchall()
    assert [row[:5] for row in found] == expected
    assert all(row[5] == visitor_id(KEY, "anonymous_id", row[0]) for row in found)


def test_a_thrift_server_writes_no_part_of_the_key_to_its_log(tmp_path: Path) -> None:
    with (
        thrift_server(tmp_path) as address,
        spark_session(2, "1GB", tmp_path, address, secrets_of(KEY)) as session,
    ):
        warehouse = Warehouse(session, tmp_path / "warehouse")
        query = (
            "select sha256(getvariable('hmac_outer')) as outer, sha256(getvariable('hmac_inner')) as inner"
        )
        warehouse.run(f"create or replace table main.hashed as {query}")
        assert warehouse.run(query).collect()[0] == tuple(
            hashlib.sha256(pad).hexdigest() for pad in reversed(pads(KEY))
        )
    log = (tmp_path / "thrift.log").read_text().lower()
    assert "main.hashed" in log or "insert overwrite directory" in log
    assert [pad.hex() for pad in pads(KEY) if pad.hex() in log] == []
