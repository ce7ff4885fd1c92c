"""The sketches of dbt's macros: right on average, with the error that is stated, and the same on DuckDB and Spark."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jinja2 import Environment

from include.settings import PROJECT
from include.spark import spark_session
from ml.overlaps import HASHES, standard_error
from ml.sketches import Sketches

MACROS = PROJECT / "dbt_project" / "macros" / "sketch.sql"


def rendered(macro: str, *arguments: object, engine: str = "default") -> str:
    """What dbt makes of a macro of sketch.sql for an engine."""
    environment = Environment(extensions=["jinja2.ext.do"])
    environment.globals["return"] = lambda value: value
    module = environment.from_string(MACROS.read_text()).make_module(
        {
            "adapter": SimpleNamespace(
                dispatch=lambda name, _: lambda *given: rendered(f"{engine}__{name}", *given)
            )
        }
    )
    return str(getattr(module, macro)(*arguments))


def without_trailing_commas(query: str) -> str:
    """DuckDB and dbt's style allow a comma before `from`, Spark does not."""
    return query.replace(",\n    from", "\n    from").replace(",\n        from", "\n        from")


def members(sizes: dict[int, range]) -> list[tuple[str, int, str]]:
    """Unit, set and pseudonym of people whose numbers are given."""
    pseudonyms = {
        number: hashlib.sha256(str(number).encode()).hexdigest()
        for numbers in sizes.values()
        for number in numbers
    }
    return [
        ("visitors", set_id, pseudonyms[number]) for set_id, numbers in sizes.items() for number in numbers
    ]


SETS = {1: range(20_000), 2: range(18_000, 38_000), 3: range(300), 4: range(250, 400)}
SIZE = 4_096
SKETCHED = "select set_id, person_hash, threshold from sketches order by 1, 2"
COLUMNS = ("unit", "set_id", "pseudonym")
PEOPLE = members(SETS)


@pytest.fixture(scope="module")
def sketches() -> Iterator[list[tuple]]:
    """Who is in the sketches by DuckDB: set, person's hash, threshold."""
    with duckdb.connect(config={"threads": 1}) as connection:
        columns = dict(zip(COLUMNS, map(np.array, zip(*PEOPLE, strict=True)), strict=True))
        connection.register("people", columns)
        connection.execute(
            f"create table members as select unit, set_id, {rendered('sketch_hash', 'pseudonym')} as person_hash "
            "from people"
        )
        connection.execute(f"create table sketches as {rendered('sketches_of', 'members', SIZE)}")
        yield connection.execute(SKETCHED).fetchall()


def test_the_hash_is_the_beginning_of_the_pseudonym() -> None:
    pseudonym = "00ff" + "a" * 60
    expression = rendered("sketch_hash", f"'{pseudonym}'")
    assert duckdb.sql(f"select {expression}").fetchall() == [(int(pseudonym[:15], 16),)]


def test_an_overlap_is_estimated_to_within_its_stated_error(sketches: list[tuple], tmp_path: Path) -> None:
    rows = pd.DataFrame(sketches, columns=["set_id", "person_hash", "threshold"])
    rows["person"] = rows["person_hash"].rank(method="dense").astype(int)
    rows["band"] = pd.array([pd.NA] * len(rows), dtype="Int32")
    rows.to_parquet(tmp_path / "people.parquet")
    counts = rows.groupby("set_id", as_index=False)["threshold"].min()
    overlaps = Sketches(counts, tmp_path / "people.parquet").count_overlaps().set_index(["set_a", "set_b"])
    share, count = overlaps.at[(1, 2), "threshold"] / HASHES, overlaps.at[(1, 2), "found"]
    assert share == pytest.approx(SIZE / 20_000, rel=1e-6)
    error = float(standard_error(np.array(2_000), np.array(share)))
    assert error < 0.05 * 2_000
    assert abs(count / share - 2_000) < 3 * error
    assert overlaps.loc[(3, 4)].to_dict() == {"threshold": HASHES, "found": 50}
    assert (2, 3) not in overlaps.index


def test_a_set_no_larger_than_a_sketch_is_its_own_sketch() -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        thresholds = [
            connection.execute(f"select {rendered('sketch_threshold', people, SIZE)}").fetchone()
            for people in ("4096", "4097")
        ]
    assert thresholds[0] == (int(HASHES),)
    assert thresholds[1][0] / HASHES == pytest.approx(4_096 / 4_097, rel=1e-9)


def test_the_error_of_many_draws_is_the_one_that_is_stated() -> None:
    generator = np.random.default_rng(3)
    share, overlap, estimates = SIZE / 20_000, 2_000, []
    for _ in range(400):
        hashes = generator.integers(0, 1 << 60, overlap)
        estimates.append((hashes < share * HASHES).sum() / share)
    errors = np.array(estimates) - overlap
    stated = float(standard_error(np.array(overlap), np.array(share)))
    assert np.sqrt((errors**2).mean()) == pytest.approx(stated, rel=0.1)
    assert abs(errors.mean()) < 3 * stated / np.sqrt(len(errors))


def test_spark_finds_the_same_people(
    sketches: list[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(sketches) > 8_000
    # Compiling well would take longer than all the rest.
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    path, person_hash = tmp_path / "people.parquet", rendered("sketch_hash", "pseudonym", engine="spark")
    pq.write_table(pa.table(dict(zip(COLUMNS, zip(*PEOPLE, strict=True), strict=True))), path)
    with spark_session(2, "1GB", tmp_path) as session:
        session.conf.set("spark.sql.codegen.wholeStage", "false")
        session.read.parquet(str(path)).createOrReplaceTempView("people")
        for name, query in (
            ("members", f"select unit, set_id, {person_hash} as person_hash from people"),
            ("sketches", rendered("sketches_of", "members", SIZE, engine="spark")),
        ):
            session.sql(without_trailing_commas(query)).createOrReplaceTempView(name)
        rows = session.sql(SKETCHED).collect()
    assert [tuple(row) for row in rows] == sketches
