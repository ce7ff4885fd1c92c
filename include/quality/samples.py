"""Keeps some of the rows that break an expectation, so that whoever mends it sees them without asking the warehouse.

A sample leaves the place where its identifiers are allowed to be: a value that may say who somebody is becomes a keyed
hash, by which equal values can be told from different ones and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.lake import Lake, replacing
from include.quality.suites import UNEXPECTED_ROWS, Expectation
from include.settings import pseudonym_key

if TYPE_CHECKING:
    from include.quality.results import GateResult

SAMPLES_KEPT = 20
HASH_CHARACTERS = 16
# Values of these columns may say who somebody is.
PERSONAL_COLUMNS = frozenset(
    {
        "email", "phone", "given_name", "family_name", "birth_date", "national_id", "street", "city", "postcode",
        "loyalty_number", "customer_number", "user_id", "anonymous_id", "device_id", "advertising_id", "ip",
        "record_id", "node_key", "id_value", "raw",
    }
)  # fmt: skip
SCHEMA = pa.schema(
    [
        ("as_of_date", pa.date32()),
        ("step", pa.string()),
        ("asset", pa.string()),
        ("expectation", pa.string()),
        ("column_name", pa.string()),
        ("sample_number", pa.int64()),
        ("sample", pa.string()),
    ]
)


def sample_query(asset: str, expectation: Expectation) -> str | None:
    """The rows of an asset that break an expectation, a few of them in a fixed order; None where no row does."""
    columns = expectation.arguments.get("column_list") or [expectation.arguments.get("column")]
    if expectation.type == UNEXPECTED_ROWS:
        shown, where = expectation.show, expectation.where
    elif expectation.type in _CONDITIONS and all(columns):
        shown, where = columns, _CONDITIONS[expectation.type](columns, expectation.arguments, asset)
    else:
        return None
    names = ", ".join(f'"{name}"' for name in shown)
    return f'select distinct {names} from "{asset}" as asset where {where} order by all limit {SAMPLES_KEPT}'


def pseudonymised(names: tuple[str, ...], row: tuple[Any, ...]) -> str:
    """A row as JSON, in which what is personal is a keyed hash."""
    values = {
        name: _hidden(value) if name in PERSONAL_COLUMNS and value is not None else value
        for name, value in zip(names, row, strict=True)
    }
    return json.dumps(values, default=str, ensure_ascii=False)


def write_samples(lake: Lake, result: GateResult) -> None:
    """Keep the samples of a gate as `failing_rows_<step>` of the day; none when everything holds."""
    rows = [
        (result.day, result.step, each.asset, each.expectation, each.subject or None, number, sample)
        for each in result.results
        for number, sample in enumerate(each.samples, start=1)
    ]
    rows.sort(key=lambda row: tuple(map(str, row[1:5])) + row[5:])
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)
    with replacing(samples_file(lake, result.day, result.step)) as path:
        pq.write_table(table, path, compression="zstd")


def samples_file(lake: Lake, day: date, step: str) -> Path:
    """Where the samples of a gate are."""
    return lake.ops(day, f"failing_rows_{step}")


def _hidden(value: Any) -> str:
    digest = hmac.new(pseudonym_key(), str(value).encode(), hashlib.sha256).hexdigest()
    return f"#{digest[:HASH_CHARACTERS]}"


def _is_repeated(columns: list[str], arguments: dict[str, Any], asset: str) -> str:
    key = ", ".join(f'"{name}"' for name in columns)
    return f'({key}) in (select ({key}) from "{asset}" group by all having count(*) > 1)'


def _is_outside(columns: list[str], arguments: dict[str, Any], asset: str) -> str:
    bounds = [
        f'"{columns[0]}" {sign} {arguments[bound]}'
        for bound, sign in (("min_value", "<"), ("max_value", ">"))
        if arguments.get(bound) is not None
    ]
    return " or ".join(bounds) or "false"


def _is_listed(columns: list[str], arguments: dict[str, Any], asset: str) -> str:
    values = ", ".join("'" + str(value).replace("'", "''") + "'" for value in arguments["value_set"])
    return f'list_contains([{values}], cast("{columns[0]}" as varchar))'


_CONDITIONS: dict[str, Callable[[list[str], dict[str, Any], str], str]] = {
    "expect_column_values_to_not_be_null": lambda columns, arguments, asset: f'"{columns[0]}" is null',
    "expect_column_values_to_be_unique": _is_repeated,
    "expect_compound_columns_to_be_unique": _is_repeated,
    "expect_column_values_to_be_between": _is_outside,
    "expect_column_values_to_be_in_set": lambda *given: f"not {_is_listed(*given)}",
    "expect_column_values_to_not_be_in_set": _is_listed,
}
