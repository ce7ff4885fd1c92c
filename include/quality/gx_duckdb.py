"""The one place that knows how Great Expectations speaks to DuckDB."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from include.quality.keys import repeated_hashes
from include.settings import settings

EXAMPLES_KEPT = 3
CHECKED = "checked relation"
SEVERITIES = {"stop": "critical", "warn": "warning"}
OF_NULLS = "expect_column_values_to_not_be_null"
OF_UNIQUE_KEYS = frozenset({"expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"})


class NotEvaluated(Exception):
    """An asset whose query the engine refuses. The message is the engine's first line."""


@dataclass(frozen=True)
class Check:
    """One expectation to evaluate: its Great Expectations type, arguments and severity (stop or warn).

    Of `unexpected_rows_expectation`, which has no arguments, the rows of the asset `where` a condition holds break it,
    and `shown` are the columns of the examples.
    """

    type: str
    arguments: dict[str, Any]
    severity: str
    where: str | None = None
    shown: tuple[str, ...] = ()


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


HOLDS = Outcome(True, None, 0, ())  # when no row breaks a check


class Engine:
    """An in-memory DuckDB that Great Expectations evaluates its checks in; nothing is read into pandas."""

    def __init__(self, datasource: Any) -> None:
        self._datasource = datasource
        self._engine = datasource.get_execution_engine()
        asset = datasource.get_asset(CHECKED)
        self._batch = asset.get_batch(asset.build_batch_request())

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
        conditions = {at: check for at, check in enumerate(checks) if check.where is not None}
        columns = {at: check for at, check in enumerate(checks) if check.where is None}
        outcomes = self._evaluate_conditions(asset, conditions) if conditions else {}
        outcomes |= self._evaluate_columns(asset, columns) if columns else {}
        return [outcomes[at] for at in range(len(checks))]

    def _evaluate_conditions(self, asset: str, checks: dict[int, Check]) -> dict[int, Outcome]:
        """Of the rows that break any condition, found in one reading, GX counts and shows those that break each: in the
        asset itself it would look for them twice per condition. It is not asked of conditions that no row breaks."""
        try:
            relation = self._add_broken_rows(asset, checks)
        except NotEvaluated as error:
            if len(checks) == 1:
                return dict.fromkeys(checks, Outcome(False, None, None, (), str(error)))
            alone = (self._evaluate_conditions(asset, {at: check}) for at, check in checks.items())
            return {at: outcome for outcomes in alone for at, outcome in outcomes.items()}
        asked = ", ".join(f"bool_or({_breaks(at)})" for at in checks)
        (found,) = self.execute(f'select {asked} from "{relation}"')
        given = {
            at: replace(check, arguments={"unexpected_rows_query": _broken_rows(at, check)})
            for (at, check), is_broken in zip(checks.items(), found, strict=True)
            if is_broken
        }
        # Anything less than COMPLETE brings no rows.
        outcomes = self._validate(relation, given, "COMPLETE") if given else {}
        return dict.fromkeys(checks, HOLDS) | outcomes

    def _add_broken_rows(self, asset: str, checks: dict[int, Check]) -> str:
        """Keep the rows of an asset that break any of the conditions, and which. Raises NotEvaluated."""
        relation = f"{asset}: broken rows {', '.join(map(str, checks))}"
        shown = _names(dict.fromkeys(name for check in checks.values() for name in check.shown))
        broken = ", ".join(f"({check.where}) as {_breaks(at)}" for at, check in checks.items())
        self.execute(
            f'create temporary table "{relation}" as select * from (select {shown}, {broken} from "{asset}" as asset) '
            f"where {' or '.join(map(_breaks, checks))}"
        )
        return relation

    def _evaluate_columns(self, asset: str, checks: dict[int, Check]) -> dict[int, Outcome]:
        """Whether a check of each value holds is asked first: for examples GX reads as much again, also when there are
        none. COMPLETE would fetch every bad value, a SUMMARY keeps the count exact and the examples few."""
        of_values = {at: check for at, check in checks.items() if _is_of_every_value(check)}
        whole = self._whole_columns(asset, of_values.values())
        holding = {
            at
            for at, check in of_values.items()
            if (check.type == OF_NULLS and check.arguments["column"] in whole)
            or self._repeats_no_key(asset, check)
        }
        asked = {at: check for at, check in of_values.items() if at not in holding}
        held = self._validate(asset, asked, "BOOLEAN_ONLY") if asked else {}
        holding |= {at for at, outcome in held.items() if outcome.success}
        others = {at: check for at, check in checks.items() if at not in holding}
        outcomes = self._validate(asset, others, "SUMMARY") if others else {}
        return dict.fromkeys(holding, HOLDS) | outcomes

    def _whole_columns(self, asset: str, checks: Iterable[Check]) -> set[str]:
        """The columns that are to have no null and have none, found in one reading: GX reads the asset for each, and
        takes longer to plan that than to read."""
        columns = {check.arguments["column"] for check in checks if check.type == OF_NULLS}
        if not columns:
            return set()
        nulls = ", ".join(f'count(*) - count("{column}")' for column in columns)
        try:
            (found,) = self.execute(f'select {nulls} from "{asset}"')
        except NotEvaluated:
            return set()  # GX says which and why
        return {column for column, count in zip(columns, found, strict=True) if not count}

    def _repeats_no_key(self, asset: str, check: Check) -> bool:
        """Whether a check of unique keys holds for certain, because no two keys have the same hash.

        GX counts the keys and joins whole rows to the counts, so it is left to judge where a hash comes twice. A key
        with a null in it is to GX like no other.
        """
        if check.type not in OF_UNIQUE_KEYS:
            return False
        columns = check.arguments.get("column_list") or [check.arguments["column"]]
        is_whole = " and ".join(f'"{column}" is not null' for column in columns)
        query = repeated_hashes(columns, f'"{asset}" where {is_whole}')
        try:
            return not self.execute(f"{query} limit 1")
        except NotEvaluated:
            return False  # GX says why

    def _validate(self, relation: str, checks: dict[int, Check], result_format: str) -> dict[int, Outcome]:
        from great_expectations import ExpectationSuite
        from great_expectations.expectations.registry import get_expectation_impl

        suite = ExpectationSuite(f"{relation}: {result_format}")
        for at, check in checks.items():
            implementation = get_expectation_impl(check.type)
            severity = SEVERITIES[check.severity]
            suite.add_expectation(implementation(**check.arguments, severity=severity, meta={"at": at}))
        self.execute(f'create or replace temporary view "{CHECKED}" as select * from "{relation}"')
        results = self._batch.validate(
            suite, result_format={"result_format": result_format, "partial_unexpected_count": EXAMPLES_KEPT}
        )
        return {result.expectation_config.meta["at"]: _outcome(result) for result in results.results}


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
    engine = Engine(
        context.data_sources.add_sql(
            # GX knows of one asset, a view that leads to what is checked: with each that is added later it writes the
            # whole project's configuration as YAML again, though none of it is kept.
            "duckdb",
            connection_string="duckdb:///:memory:",
            assets=[{"name": CHECKED, "type": "query", "query": f'select * from "{CHECKED}"'}],
        )
    )
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


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _breaks(at: int) -> str:
    return f'"breaks {at}"'


def _broken_rows(at: int, check: Check) -> str:
    return f"select {_names(check.shown)} from {{batch}} where {_breaks(at)} order by all"


def _is_of_every_value(check: Check) -> bool:
    """Whether no row may break it, so that there is nothing to count when it holds."""
    from great_expectations.expectations.expectation import ColumnMapExpectation, MulticolumnMapExpectation
    from great_expectations.expectations.registry import get_expectation_impl

    implementation = get_expectation_impl(check.type)
    is_of_values = issubclass(implementation, (ColumnMapExpectation, MulticolumnMapExpectation))
    return is_of_values and "mostly" not in check.arguments


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
