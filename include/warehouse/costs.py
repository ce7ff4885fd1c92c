"""What dbt did with the models and tests of a step, and what they took, as rows of `model_costs`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.lake import Lake, replacing

SCHEMA = pa.schema(
    [
        ("as_of_date", pa.date32()),
        ("step", pa.string()),
        ("model", pa.string()),
        ("tests", pa.int64()),
        ("warned_tests", pa.int64()),
        ("wall_seconds", pa.float64()),
        ("test_seconds", pa.float64()),
    ]
)


@dataclass(frozen=True)
class NodeResult:
    """What dbt did with one model or test: `model` is the one that was built or is tested (the first, when a test is
    about several), `seconds` are wall time, and `failures` the rows a test found."""

    name: str
    model: str
    resource_type: str
    status: str
    seconds: float
    failures: int
    message: str


def results_of(results: Iterable[Any]) -> tuple[NodeResult, ...]:
    """The results that dbt gives of its models and tests, and of a hook that failed."""
    return tuple(
        NodeResult(
            name=_short_name(result.node.unique_id),
            model=_short_name(_about(result.node)),
            resource_type=result.node.resource_type.value,
            status=str(result.status),
            seconds=result.execution_time,
            failures=result.failures or 0,
            message=result.message or "",
        )
        for result in results
        if result.node.resource_type.value != "operation" or str(result.status) != "success"
    )


def write_model_costs(lake: Lake, day: date, step: str, results: Iterable[NodeResult]) -> None:
    """Write a row for each model that a step built or tested, which publish shows as `model_costs`.

    Seconds are wall time: models run side by side in one process, so that nobody can tell whose its CPU was.
    `wall_seconds` is None for a model of an earlier step that this one only tests. What an earlier attempt of the step
    on that day took is replaced.
    """
    rows: dict[str, dict] = {}
    for result in results:
        row = rows.setdefault(
            result.model,
            {
                "as_of_date": day,
                "step": step,
                "model": result.model,
                "tests": 0,
                "warned_tests": 0,
                "wall_seconds": None,
                "test_seconds": 0.0,
            },
        )
        if result.resource_type == "test":
            row["tests"] += 1
            row["warned_tests"] += result.status == "warn"
            row["test_seconds"] += result.seconds
        else:
            row["wall_seconds"] = result.seconds
    with replacing(lake.ops(day, f"model_costs_{step}")) as path:
        pq.write_table(
            pa.Table.from_pylist([rows[model] for model in sorted(rows)], SCHEMA), path, compression="zstd"
        )


def _about(node: Any) -> str:
    """The unique id of the model that a node builds or tests; a test of no model's own is about what it reads first."""
    if node.resource_type == "model":
        return node.unique_id
    read = [unique_id for unique_id in node.depends_on.nodes if unique_id.startswith("model.")]
    return getattr(node, "attached_node", None) or (read[0] if read else node.unique_id)


def _short_name(unique_id: str) -> str:
    """The name in `model.tandem.customers`, `test.tandem.<name>.<hash>` and `unit_test.tandem.<model>.<name>`."""
    parts = unique_id.split(".")
    return parts[3] if parts[0] == "unit_test" else parts[2]
