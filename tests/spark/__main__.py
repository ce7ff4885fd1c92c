"""`python -m tests.spark DATA DAY [--copy FOLDER]`: a run's models again on Spark, compared with DuckDB's.

DATA is the folder of a run on DuckDB. Landed rows and what the Python steps handed over are copied, so that every model
reads on Spark what it read on DuckDB; TANDEM_SPARK_MASTER says which Spark. Ends with 1 when a table differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

from include.lake import Lake
from include.ledger import StepFailed
from include.settings import pseudonym_key, settings
from include.warehouse import run_dbt
from tests.spark.parity import Parity, compare

STEPS = ("stage", "unify", "segment", "expand", "publish")
# What dbt makes itself.
MADE = ("staged", "tables")


def copy_hand_overs(source: Lake, lake: Lake) -> None:
    """All that dbt reads and does not make itself."""
    for folder in sorted(source.root.iterdir()):
        if folder.name not in MADE:
            shutil.copytree(folder, lake.root / folder.name, dirs_exist_ok=True)


def build_on_spark(duckdb_lake: Lake, lake: Lake, day: date, steps: tuple[str, ...] = STEPS) -> list[str]:
    """Build the steps' models on Spark in a lake of their own. Returns a line for each step: how many models and tests
    ran in how many seconds, or why it failed."""
    copy_hand_overs(duckdb_lake, lake)
    variables = json.loads(duckdb_lake.run_file(day, "run.json").read_text())["dbt"]
    variables = json.loads(json.dumps(variables).replace(str(duckdb_lake.root), str(lake.root)))
    said = []
    for step in steps:
        try:
            result = run_dbt(step, lake, variables, pseudonym_key())
            said.append(f"{step}: {result.nodes} models and tests in {result.seconds:.0f} s")
        except StepFailed as failed:
            said.append(f"{step}: {failed}")
        sys.stdout.write(f"{said[-1]}\n")
        sys.stdout.flush()
    return said


def line_of(table: Parity) -> str:
    """What came of one table."""
    if table.is_equal:
        return f"equal  {table.table}: {table.rows:,} rows"
    if table.problem:
        return f"?      {table.table}: {table.problem}"
    rows = f"{table.rows:,} and {table.spark_rows:,} rows, {table.different:,} differ"
    return f"differ {table.table}: {rows} in {', '.join(table.columns) or 'rows'}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.spark", description=__doc__)
    parser.add_argument("data", type=Path, help="the DATA folder of a finished run on DuckDB")
    parser.add_argument("day", type=date.fromisoformat, help="its business day")
    parser.add_argument("--copy", type=Path, help="where Spark's lake goes; else a folder that is removed")
    parser.add_argument("--steps", default=",".join(STEPS), help="which steps")
    given = parser.parse_args(arguments)
    os.environ["TANDEM_TARGET"] = "spark"
    settings.cache_clear()
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        made = Lake((given.copy or Path(folder)).resolve())
        source = Lake(given.data.resolve())
        build_on_spark(source, made, given.day, tuple(given.steps.split(",")))
        tables = compare(source.warehouse, made.spark_warehouse)
    for table in tables:
        sys.stdout.write(f"{line_of(table)}\n")
    equal = sum(table.is_equal for table in tables)
    sys.stdout.write(f"{equal} of {len(tables)} tables are equal\n")
    return 0 if equal == len(tables) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
