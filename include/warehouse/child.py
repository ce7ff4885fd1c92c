"""One call of dbt, in the process that it is forked into."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.cli.main import dbtRunner

from include.settings import pseudonym_key, settings
from include.warehouse.costs import results_of
from include.warehouse.parsed import bind_sources, parsed_project

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


def main(call_file: Path, parsed: tuple[Manifest, Path] | None = None) -> int:
    """Run dbt as the call in the file says, and write what came of each node to its `outcome`. `parsed` is what
    `parsed_project` gives, when it was asked already.

    Returns 0, or 1 when a node failed and 2 when dbt did.
    """
    call = json.loads(call_file.read_text())
    with _engine(call):
        return _run(call, parsed)


@contextmanager
def _engine(call: dict[str, Any]) -> Iterator[None]:
    """What dbt needs of the engine: DuckDB is dbt-duckdb's own affair; Spark is a session, open while dbt runs."""
    if settings().target != "spark":
        yield
        return
    from include.warehouse.spark import Warehouse, plug_in, secrets_of

    if not call["arguments"]:
        plug_in()
        yield
        return
    from include.spark import spark_session

    limits = settings()
    folder = Path(os.environ["TANDEM_TEMPORARY"])
    engine = limits.threads, limits.memory_limit, folder, limits.spark_master
    with spark_session(*engine, secrets_of(pseudonym_key())) as session:
        plug_in(Warehouse(session, Path(call["warehouse"])))
        yield


def _run(call: dict[str, Any], parsed: tuple[Manifest, Path] | None) -> int:
    try:
        manifest, written = parsed or parsed_project(
            Path(call["project"]), Path(call["parsed"]), call["options"]
        )
    except Exception as error:  # noqa: BLE001 - whatever dbt raises, its words go to the one who called
        sys.stderr.write(f"{error}\n")
        return 2
    target = Path(call["target"])
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(written, target / written.name)
    if not call["arguments"]:
        return 0
    bind_sources(manifest, call["lake"], call["as_of_date"])
    outcome = dbtRunner(manifest=manifest).invoke([*call["arguments"], "--no-write-json"])
    results = getattr(outcome.result, "results", None)
    if results is not None:
        Path(call["outcome"]).write_text(
            json.dumps(
                {
                    "elapsed_time": outcome.result.elapsed_time,
                    "results": [asdict(result) for result in results_of(results)],
                }
            )
        )
    if outcome.exception is not None:
        sys.stderr.write(f"{outcome.exception}\n")
        return 2
    return 0 if outcome.success else 1
