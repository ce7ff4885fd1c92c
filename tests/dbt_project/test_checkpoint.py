"""What dbt built is in the warehouse itself when dbt ends, and not in DuckDB's log beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from include.lake import Lake
from include.ledger import StepFailed
from include.warehouse import run_models
from tests.dbt_project.few_models import make_project
from tests.dbt_project.small_lake import KEY, variables

BUILD_AND_DIE = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("create table large as select range % 7 as value from range(200000)")
if sys.argv[2:]:
    connection.execute("checkpoint")
os._exit(0)
"""


def test_a_log_taken_in_loses_the_counts_of_distinct_values(tmp_path: Path) -> None:
    """Why there is a checkpoint: when this fails, DuckDB keeps them, and it may go."""
    assert not _knows_distinct_values(tmp_path / "left.duckdb")
    assert _knows_distinct_values(tmp_path / "taken_in.duckdb", "checkpoint")


def test_dbt_ends_with_a_checkpoint(small: Lake) -> None:
    assert not small.warehouse.with_suffix(".duckdb.wal").exists()
    log = (small.data / "dbt" / "logs" / "dbt.log").read_text()
    last_run = log[log.rindex("Running with dbt") :]
    assert "OK hook: tandem.on-run-end.0" in last_run
    assert "\ncheckpoint\n" in last_run


def test_a_checkpoint_that_fails_says_why(tmp_path: Path) -> None:
    lake, project = Lake(tmp_path / "data"), make_project(tmp_path / "project", one="select 1 as one")
    macro = project / "macros" / "checkpoint.sql"
    macro.write_text(macro.read_text().replace("'checkpoint' if", "'checkpoint nowhere' if"))
    with pytest.raises(StepFailed, match=r"on-run-end-0 failed: .*\"nowhere\" not found; see .*dbt\.log"):
        run_models(["one"], lake, variables(), KEY, project)


def _knows_distinct_values(path: Path, *arguments: str) -> bool:
    subprocess.run([sys.executable, "-c", BUILD_AND_DIE, str(path), *arguments], check=True)
    with duckdb.connect(path) as connection:
        (told,) = connection.execute("select stats(value) from large limit 1").fetchone()
    return "Approx Unique" in told
