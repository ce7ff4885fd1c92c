"""A gate: evaluates a step's suite, keeps the results as a table and a page, and stops the run when one must."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.quality.gx_duckdb import Check, Engine, NotEvaluated, Outcome, open_engine
from include.quality.page import write_index, write_page
from include.quality.placeholders import placeholders
from include.quality.results import ExpectationResult, GateResult
from include.quality.samples import PERSONAL_COLUMNS, pseudonymised, sample_query, write_samples
from include.quality.suites import Asset, Expectation, load_suite
from include.quality.trend import trends_of
from include.settings import settings

if TYPE_CHECKING:
    from include.config import Configuration

RESULT_SCHEMA = pa.schema(
    [
        ("as_of_date", pa.date32()),
        ("step", pa.string()),
        ("asset", pa.string()),
        ("expectation", pa.string()),
        ("column_name", pa.string()),
        ("severity", pa.string()),
        ("success", pa.bool_()),
        ("observed", pa.string()),
        ("unexpected_count", pa.int64()),
        ("unexpected_share", pa.float64()),
        ("examples", pa.string()),
        ("meaning", pa.string()),
        ("owner", pa.string()),
    ]
)
WAREHOUSE_SCHEMA = "dbt"
LONGEST_EXAMPLE = 200  # characters of a value


class GateStopped(StepFailed):
    """A gate whose expectations do not hold, with what it found."""

    def __init__(self, result: GateResult, message: str) -> None:
        super().__init__(message)
        self.result = result


def run_gate(
    step: str, lake: Lake, day: date, configuration: Configuration, *, release: Path | None = None
) -> GateResult:
    """Evaluate the suite of a step in DuckDB, over Parquet and, where the suite asks for it, the warehouse.

    `release` is the folder that the gate of `publish` audits. Results are kept as `quality_<step>` of the day and
    as a page, whether the gate holds or not.

    Raises StepFailed with one line: which expectation, how many rows, an example, what it means, where to look.
    It is raised too when a file is missing or an expectation cannot be evaluated, whatever its severity.
    """
    suite = load_suite(step)
    values = placeholders(lake, day, configuration, release)
    page = lake.quality_page(day, step)
    with open_engine() as engine:
        began = time.monotonic()
        if named := _relations_of(suite):
            _attach_warehouse(engine, lake, step, named)
        results: list[ExpectationResult] = []
        for asset in suite:
            results += _evaluate(engine, step, _filled(asset, values))
        seconds = time.monotonic() - began
    result = GateResult(step, day, tuple(results), page, round(seconds, 3))
    _write_results(lake, result)
    write_samples(lake, result)
    write_page(page, result, trends_of(lake, result))
    write_index(page.parent, day)
    if result.failed:
        raise GateStopped(result, _failure(result))
    return result


def results_table(result: GateResult) -> pa.Table:
    """The rows of `quality_results` for a gate, one per expectation."""
    columns = [
        (
            result.day,
            result.step,
            each.asset,
            each.expectation,
            each.subject or None,
            each.severity,
            each.success,
            each.observed,
            each.unexpected_count,
            each.unexpected_share,
            "; ".join(each.examples) or None,
            each.meaning,
            each.owner,
        )
        for each in sorted(
            result.results, key=lambda each: (each.asset, each.expectation, each.subject, each.severity)
        )
    ]
    return pa.Table.from_pylist(
        [dict(zip(RESULT_SCHEMA.names, row, strict=True)) for row in columns], RESULT_SCHEMA
    )


def _relations_of(suite: Iterable[Asset]) -> set[str]:
    """The relations of dbt's warehouse that a suite names."""
    texts = (
        text for asset in suite for text in (asset.query, *(each.where or "" for each in asset.expectations))
    )
    return {name for text in texts for name in re.findall(rf"\b{WAREHOUSE_SCHEMA}\.(\w+)", text)}


def _attach_warehouse(engine: Engine, lake: Lake, step: str, named: set[str]) -> None:
    """Give each relation of dbt's warehouse that is named a view in the schema `dbt`: on DuckDB's file, attached for
    reading, or on the Parquet files of its tables where Spark is the engine."""
    on_spark = settings().target == "spark"
    warehouse = lake.spark_warehouse if on_spark else lake.warehouse
    if not warehouse.exists():
        raise StepFailed(f"gate {step}: {warehouse} is missing: dbt has not built the warehouse")
    relations = _spark_tables(warehouse) if on_spark else _attached_tables(engine, warehouse)
    engine.execute(f"create schema {WAREHOUSE_SCHEMA}")
    for table, relation in relations:
        if table in named:
            engine.execute(f'create view {WAREHOUSE_SCHEMA}."{table}" as select * from {relation}')


def _attached_tables(engine: Engine, warehouse: Path) -> list[tuple[str, str]]:
    name = warehouse.stem
    engine.execute(f"attach '{warehouse}' as {name} (read_only)")
    relations = engine.execute(
        f"select table_schema, table_name from information_schema.tables where table_catalog = '{name}' order by all"
    )
    return [(table, f'{name}."{schema}"."{table}"') for schema, table in relations]


def _spark_tables(warehouse: Path) -> list[tuple[str, str]]:
    """Each is a folder of files, or a link to the one file of an external model."""
    return [
        (path.name, f"read_parquet('{path}{'' if path.is_file() else '/*.parquet'}')")
        for path in sorted(warehouse.iterdir())
        if not path.name.startswith(".")
    ]


def _filled(asset: Asset, values: dict[str, str]) -> Asset:
    def fill(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        return re.sub(r"\{([a-z_]+)\}", lambda found: values[found.group(1)], text)

    expectations = tuple(
        Expectation(
            **{
                **vars(each),
                "where": fill(each.where),
                "arguments": {key: fill(value) for key, value in each.arguments.items()},
            }
        )
        for each in asset.expectations
    )
    return Asset(asset.name, fill(asset.query), asset.lazy, expectations)


def _evaluate(engine: Engine, step: str, asset: Asset) -> list[ExpectationResult]:
    _require_files(step, [asset.query, *(each.where or "" for each in asset.expectations)])
    try:
        rows = engine.add_asset(asset.name, asset.query, asset.lazy)
    except NotEvaluated as error:
        raise StepFailed(f"gate {step}: the asset {asset.name} cannot be read: {error}") from error
    applying = [each for each in asset.expectations if rows or not each.applies_when_rows]
    outcomes = engine.evaluate(asset.name, [_check(each) for each in applying]) if applying else []
    found = dict(zip(map(id, applying), outcomes, strict=True))
    results = [_result(asset, each, found.get(id(each)), rows) for each in asset.expectations]
    return [
        result if result.success else replace(result, samples=_samples(engine, asset.name, each))
        for each, result in zip(asset.expectations, results, strict=True)
    ]


def _samples(engine: Engine, asset: str, expectation: Expectation) -> tuple[str, ...]:
    query = sample_query(asset, expectation)
    try:
        rows = engine.execute(query) if query else []
    except NotEvaluated:
        return ()  # what could not be evaluated has no rows to show, and says so itself
    names = expectation.show or tuple(
        expectation.arguments.get("column_list") or [expectation.arguments.get("column")]
    )
    return tuple(pseudonymised(names, row) for row in rows)


def _require_files(step: str, queries: Iterable[str]) -> None:
    for path in re.findall(r"'([^']+\.parquet)'", " ".join(queries)):
        folder, pattern = _split_glob(path)
        if not any(folder.glob(pattern)):
            raise StepFailed(f"gate {step}: {path} is missing: the step did not write it")


def _split_glob(path: str) -> tuple[Path, str]:
    """A path with wildcards as the folder before the first of them and the pattern below it."""
    parts = Path(path).parts
    fixed = next((at for at, part in enumerate(parts) if "*" in part), len(parts) - 1)
    return Path(*parts[:fixed]), str(Path(*parts[fixed:]))


def _check(expectation: Expectation) -> Check:
    return Check(
        expectation.type, expectation.arguments, expectation.severity, expectation.where, expectation.show
    )


def _result(asset: Asset, expectation: Expectation, outcome: Outcome | None, rows: int) -> ExpectationResult:
    if outcome is None:
        outcome = Outcome(True, "no rows", None, ())
    count = outcome.unexpected
    if outcome.error:
        observed = f"not evaluated: {outcome.error}"
    elif outcome.observed is not None:
        observed = outcome.observed
    else:
        observed = f"{count:,} of {rows:,} rows" if count is not None else "nothing"
    return ExpectationResult(
        asset=asset.name,
        expectation=expectation.type,
        subject=expectation.subject,
        # A check that cannot be made is not one that holds.
        severity="stop" if outcome.error else expectation.severity,
        success=outcome.success,
        observed=observed,
        unexpected_count=count,
        unexpected_share=count / rows if count is not None and rows else None,
        examples=_examples(expectation, outcome) if not outcome.success else (),
        meaning=expectation.meaning,
        owner=expectation.owner,
        rows=rows,
    )


def _examples(expectation: Expectation, outcome: Outcome) -> tuple[str, ...]:
    distinct = dict.fromkeys(_example(expectation, each) for each in outcome.examples)
    return tuple(distinct)


def _example(expectation: Expectation, example: Any) -> str:
    if isinstance(example, dict):
        return " ".join(
            f"{name}={_shown(name, value)}" for name, value in example.items() if value is not None
        )
    return _shown(str(expectation.arguments.get("column", "")), example)


def _shown(column: str, value: Any) -> str:
    if value is None:
        return "null"
    if column in PERSONAL_COLUMNS:
        return f"<{len(str(value))} characters>"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, int | float | bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, datetime | date):
        return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else f"{value:%Y-%m-%d}"
    text = str(value)
    return f"'{text}'" if len(text) <= LONGEST_EXAMPLE else f"'{text[:LONGEST_EXAMPLE]}…'"


def _failure(result: GateResult) -> str:
    """One line about the first expectation that stops the run."""
    first = result.failed[0]
    others = f" (and {len(result.failed) - 1} more)" if len(result.failed) > 1 else ""
    finding = first.observed if first.observed.startswith("not evaluated") else first.finding
    line = (
        f"gate {result.step}: {first.expectation}({first.subject}) failed on {first.asset}: {finding} "
        f"({first.meaning}){others} - see {result.page}"
    )
    return " ".join(line.split())


def _write_results(lake: Lake, result: GateResult) -> None:
    with replacing(lake.ops(result.day, f"quality_{result.step}")) as path:
        pq.write_table(results_table(result), path, compression="zstd")
