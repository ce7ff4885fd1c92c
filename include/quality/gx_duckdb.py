"""The one place that knows how Great Expectations speaks to DuckDB."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from include.settings import settings

EXAMPLES_KEPT = 3
SEVERITIES = {"stop": "critical", "warn": "warning"}


class NotEvaluated(Exception):
    """An asset whose query the engine refuses. The message is the engine's first line."""


@dataclass(frozen=True)
class Check:
    """One expectation to evaluate: its Great Expectations type, arguments and severity (stop or warn)."""

    type: str
    arguments: dict[str, Any]
    severity: str


@dataclass(frozen=True)
class Outcome:
    """What the engine found: `unexpected` counts every row that breaks the check, `examples` are a few of them.

    `error` is the engine's first line when the check could not be evaluated at all.
    """

    success: bool
    observed: str | None
    unexpected: int | None
    examples: tuple[Any, ...]
    error: str | None = None


class Engine:
    """An in-memory DuckDB that Great Expectations evaluates its checks in; nothing is read into pandas."""

    def __init__(self, datasource: Any) -> None:
        self._datasource = datasource
        self._engine = datasource.get_execution_engine()

    def execute(self, sql: str) -> list[tuple]:
        """Run one statement in the connection that the checks use. Raises NotEvaluated."""
        import sqlalchemy

        with self._engine.get_connection() as connection:
            try:
                cursor = connection.exec_driver_sql(sql)
                rows = [tuple(row) for row in cursor.fetchall()] if cursor.returns_rows else []
            except sqlalchemy.exc.DBAPIError as error:
                connection.rollback()
                raise NotEvaluated(_first_line(str(error.orig))) from error
            connection.commit()
        return rows

    def add_asset(self, name: str, query: str, lazy: bool = False) -> int:
        """Make a query an asset, keeping its rows unless `lazy`, and count them. Raises NotEvaluated."""
        self.execute(f'create temporary {"view" if lazy else "table"} "{name}" as {query}')
        return self.execute(f'select count(*) from "{name}"')[0][0]

    def evaluate(self, asset: str, checks: list[Check]) -> list[Outcome]:
        """Evaluate the checks of an asset, in the order given."""
        from great_expectations import ExpectationSuite
        from great_expectations.expectations.registry import get_expectation_impl

        query = f'select * from "{asset}"'
        batch = (
            self._datasource.add_query_asset(asset, query).add_batch_definition_whole_table("all").get_batch()
        )
        outcomes: dict[int, Outcome] = {}
        # Rows of a query come only with COMPLETE, which for a column would fetch every bad value: a summary keeps
        # the count exact and the examples few.
        for result_format, chosen in (("COMPLETE", _by_query(checks)), ("SUMMARY", _by_column(checks))):
            if not chosen:
                continue
            suite = ExpectationSuite(f"{asset}: {result_format}")
            for at in chosen:
                check = checks[at]
                implementation = get_expectation_impl(check.type)
                severity = SEVERITIES[check.severity]
                suite.add_expectation(implementation(**check.arguments, severity=severity, meta={"at": at}))
            results = batch.validate(
                suite,
                result_format={"result_format": result_format, "partial_unexpected_count": EXAMPLES_KEPT},
            )
            for result in results.results:
                outcomes[result.expectation_config.meta["at"]] = _outcome(result)
        return [outcomes[at] for at in range(len(checks))]


@contextmanager
def open_engine() -> Iterator[Engine]:
    """Yield an engine with two threads and the memory limit of the settings; it is gone afterwards."""
    gx = import_great_expectations()
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    _keep_one_connection()
    configuration = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=configuration)
    # Settings are set by statement: GX compares what it is given with what the driver has left of it, finds a
    # difference, and would make a second, empty database.
    engine = Engine(context.data_sources.add_sql("duckdb", connection_string="duckdb:///:memory:"))
    try:
        engine.execute(f"set threads = {settings().threads}")
        engine.execute(f"set memory_limit = '{settings().memory_limit}'")
        engine.execute("set TimeZone = 'UTC'")
        yield engine
    finally:
        if engine._engine._connection is not None:
            engine._engine._connection.close()
        engine._engine.engine.dispose()


def import_great_expectations() -> ModuleType:
    """Great Expectations, which is to think that there is no PySpark.

    Its checks here run in DuckDB, and PySpark warns of pandas when it is loaded; where the main module is no file, as
    in a worker of the tests, it even ends the process. It speaks of errors alone: when it is loaded it says of two
    hundred functions that it leaves them out, which would bury what a gate's log tells.
    """
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "pyspark"}
    sys.modules["pyspark"] = None  # type: ignore[assignment]  # which makes an import of it fail
    try:
        import great_expectations
    finally:
        del sys.modules["pyspark"]
        sys.modules.update(loaded)
    return great_expectations


def _keep_one_connection() -> None:
    """Teach Great Expectations that DuckDB in memory lives in one connection, which it must keep.

    Its tuple of such dialects does not know DuckDB; without this no check can be evaluated.
    """
    from great_expectations.execution_engine import sqlalchemy_execution_engine as module

    persisted = module._PERSISTED_CONNECTION_DIALECTS
    if not any(dialect == "duckdb" for dialect in persisted):
        module._PERSISTED_CONNECTION_DIALECTS = (*persisted, _Dialect("duckdb"))


class _Dialect(str):
    """A member of GX's tuple of dialects: it is compared as text and asked for its `value`."""

    @property
    def value(self) -> str:
        return str(self)


def _by_query(checks: list[Check]) -> list[int]:
    return [at for at, check in enumerate(checks) if "unexpected_rows_query" in check.arguments]


def _by_column(checks: list[Check]) -> list[int]:
    return [at for at, check in enumerate(checks) if "unexpected_rows_query" not in check.arguments]


def _outcome(result: Any) -> Outcome:
    error = _error(result.exception_info)
    if error:
        return Outcome(False, None, None, (), error)
    found = result.result
    if "details" in found:
        count = int(found["observed_value"])
        rows = found["details"]["unexpected_rows"][:EXAMPLES_KEPT]
        return Outcome(result.success, None, count, tuple(rows))
    unexpected = found.get("unexpected_count")
    observed = found.get("observed_value")
    return Outcome(
        bool(result.success),
        None if observed is None else str(observed),
        None if unexpected is None else int(unexpected),
        tuple(found.get("partial_unexpected_list", ())[:EXAMPLES_KEPT]),
    )


def _error(exception_info: dict[str, Any]) -> str | None:
    """The first line of what was raised: GX gives one record, or one per metric."""
    records = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    messages = [record["exception_message"] for record in records if record["raised_exception"]]
    return _first_line(messages[0]) if messages else None


def _first_line(message: str) -> str:
    first = next((line.strip() for line in message.splitlines() if line.strip()), "no message")
    return re.sub(r"^\(_duckdb\.\w+\) ", "", first)[:300]
