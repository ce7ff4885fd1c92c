"""`python -m tests.spark DATA DAY [--on cluster|connect|thrift] [--config FOLDER]`: DuckDB's run on Spark, compared.

DATA is the folder of a run on DuckDB. Landed rows and what the Python steps handed over are copied, so that every model
reads on Spark what it read on DuckDB. With the run's configuration the records are resolved on Spark too. Spark is the
one of TANDEM_SPARK_MASTER, or `--on` a master with two workers, a Connect server or a Thrift server, which are started
for it. Ends with 1 when a table differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from include.config import load_configuration
from include.identity import resolve
from include.lake import Lake
from include.ledger import StepFailed
from include.settings import pseudonym_key, settings
from include.warehouse import run_dbt
from tests.spark.cluster import connect_server, standalone, thrift_server
from tests.spark.parity import Parity, compare, compare_files

STEPS = ("stage", "unify", "segment", "expand", "publish")
SPARKS = {"cluster": standalone, "connect": connect_server, "thrift": thrift_server}
# What dbt makes itself.
MADE = ("staged", "tables")


def copy_hand_overs(source: Lake, lake: Lake) -> None:
    """All that dbt reads and does not make itself."""
    for folder in sorted(source.root.iterdir()):
        if folder.name not in MADE:
            shutil.copytree(folder, lake.root / folder.name, dirs_exist_ok=True)


def build_on_spark(source: Lake, lake: Lake, day: date, steps: tuple[str, ...], config: Path | None) -> None:
    """Build the steps' models on Spark in a lake of their own, and resolve between stage and unify when there is a
    configuration. Says of each step how many models and tests ran in how many seconds, or why it failed."""
    copy_hand_overs(source, lake)
    variables = json.loads(source.run_file(day, "run.json").read_text())["dbt"]
    variables = json.loads(json.dumps(variables).replace(str(source.root), str(lake.root)))
    for step in steps:
        if step == "unify" and config:
            # Else what is compared could be what was copied.
            shutil.rmtree(lake.identity(day, "any").parent)
            began = time.monotonic()
            resolved = resolve(lake, day, load_configuration(config).identity, settings())
            _say(f"resolve: {resolved.customers:,} customers in {time.monotonic() - began:.0f} s")
        try:
            result = run_dbt(step, lake, variables, pseudonym_key())
            _say(f"{step}: {result.nodes} models and tests in {result.seconds:.0f} s")
        except StepFailed as failed:
            _say(f"{step}: {failed}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
    parser.add_argument(
        "--on", choices=sorted(SPARKS), help="which Spark to start; else the one of the settings"
    )
    parser.add_argument("--config", type=Path, help="the run's configuration folder, to resolve on Spark too")
    parser.add_argument("--steps", default=",".join(STEPS), help="which steps")
    given = parser.parse_args(arguments)
    if not pseudonym_key():
        parser.error("set TANDEM_PSEUDONYM_KEY to the key of that run: without it no visitor has an id")
    os.environ["TANDEM_TARGET"] = "spark"
    with tempfile.TemporaryDirectory(prefix="parity-") as folder, ExitStack() as processes:
        if given.on:
            scratch = Path(folder) / "processes"
            scratch.mkdir()
            os.environ["TANDEM_SPARK_MASTER"] = processes.enter_context(SPARKS[given.on](scratch))
        settings.cache_clear()
        made, source = Lake((Path(folder) / "data").resolve()), Lake(given.data.resolve())
        build_on_spark(source, made, given.day, tuple(given.steps.split(",")), given.config)
        tables = compare(source.warehouse, made.spark_warehouse)
        if given.config:
            tables += compare_files(
                source.identity(given.day, "any").parent, made.identity(given.day, "any").parent
            )
    for table in tables:
        _say(line_of(table))
    equal = sum(table.is_equal for table in tables)
    _say(f"{equal} of {len(tables)} tables are equal")
    return 0 if equal == len(tables) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
