"""The tasks of learn, each against reading once what it reads: nobody can learn from data without reading them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from include.benchmark.harness import Ratio, Topic, Variant
from include.benchmark.learning_inputs import DAY, ROWS_OF_A_CUSTOMER, write_inputs
from include.config import load_configuration
from include.lake import Lake
from include.pipeline import LEARNING
from include.settings import DEFAULT_CONFIG, settings

# What each task reads: tables of the customers' side as `cdp/...`, the others are hand-overs. None names all columns.
FEATURES = "customer_feature_snapshots"
PURCHASES = ["customer_id", "activity", "product_id", "category", "amount", "occurred_at"]
READS: dict[str, dict[str, list[str] | None]] = {
    "value": {
        "customer_orders": ["customer_id", "ordered_at", "total_amount"],
        "cdp/customers": ["customer_id", "first_seen_at"],
    },
    "segmentation": {FEATURES: None},
    "propensity": {FEATURES: None, "customer_category_snapshots": None},
    "recommendation": {
        "cdp/customer_timeline": PURCHASES,
        "cdp/customers": ["customer_id", "first_seen_at", "region", "country"],
        "product_catalogue": None,
    },
    "product_profiles": {
        "cdp/customer_timeline": PURCHASES,
        "cdp/customers": None,
        "cdp/customer_features": None,
        "product_catalogue": None,
    },
    "triggers": {
        "customer_signals": None,
        "customer_orders": ["customer_id", "order_id", "channel", "is_store_order", "ordered_at"],
        "cdp/customer_timeline": ["order_id", "channel", "activity", "category"],
        "cdp/customers": ["customer_id", "first_seen_at"],
    },
    "needs": {
        "cdp/customer_timeline": [
            "customer_id", "stage", "kind", "activity", "channel", "category", "content_category", "occurred_at",
        ],
        "cdp/customer_stages": None,
    },
    "offsite": {"offsite_views": None, "offsite_purchases": None, "offsite_orders": None},
}  # fmt: skip
# Off-site interests are learned from what the bridge hands over, which the inputs made here do not have.
MEASURED = tuple(task for task in READS if task != "offsite")
# Measured once of 100,000 customers, with head-room: value 8.9, segmentation 4.1, needs 5.1. The others are estimates.
AT_MOST = {
    "value": 12.0,
    "segmentation": 6.0,
    "propensity": 60.0,
    "recommendation": 30.0,
    "product_profiles": 15.0,
    "triggers": 30.0,
    "needs": 7.0,
}


def prepare(folder: Path, rows: int) -> None:
    """Fill `folder` with the inputs of a company whose timeline has about so many rows."""
    write_inputs(Lake(folder / "data"), max(rows // ROWS_OF_A_CUSTOMER, 1))


def _learn(task: str, inputs: Path, output: Path) -> int:
    """Run a task on a lake whose inputs are links. Returns the rows that it wrote."""
    (output / "data" / "lake").mkdir(parents=True)
    lake = Lake(output / "data")
    for name in ("staged", "tables"):
        (lake.root / name).symlink_to(Lake(inputs / "data").root / name)
    module, function = LEARNING[task]
    getattr(import_module(module), function)(lake, DAY, load_configuration(DEFAULT_CONFIG).models)
    rows = sum(pq.read_metadata(path).num_rows for path in lake.ml(DAY, "any").parent.glob("*.parquet"))
    for name in ("staged", "tables"):
        (lake.root / name).unlink()
    return rows


def _read(task: str, inputs: Path, output: Path) -> int:
    return read_inputs(task, inputs / "data")


def read_inputs(task: str, data: Path) -> int:
    """Decode every column that a task reads, once. Returns the number of tables."""
    lake = Lake(data)
    options = settings().limits
    with duckdb.connect(":memory:", config=options) as connection:
        for name, columns in READS[task].items():
            path = lake.table("cdp", name[4:]) if name.startswith("cdp/") else lake.staged(name)
            wanted = "columns(*)" if columns is None else f"columns({columns!r})"
            connection.execute(f"select max({wanted}) from read_parquet('{path}')").fetchall()
    return len(READS[task])


def _variants(task: str) -> tuple[Variant, Variant]:
    learn: Callable[[Path, Path], int] = partial(_learn, task)
    read: Callable[[Path, Path], int] = partial(_read, task)
    return (
        Variant(task, f"the task {task.replace('_', ' ')}", learn, rows=task),
        Variant(f"{task}_inputs", "reading what it reads", read, rows=f"{task} inputs"),
    )


TOPIC = Topic(
    name="learning",
    title="Learning about customers",
    text="Each task of learn over the tables of a made-up company (20 rows of the timeline per customer, four orders"
    " each in two years), against decoding once, in DuckDB, every column that the task reads. Rows are those of the"
    " timeline.",
    sizes={"small": 200_000, "medium": 2_000_000, "large": 20_000_000},
    prepare=prepare,
    variants=tuple(variant for task in MEASURED for variant in _variants(task)),
    ratios=tuple(
        Ratio(
            f"{task.replace('_', ' ')} over reading its inputs", task, f"{task}_inputs", at_most=AT_MOST[task]
        )
        for task in MEASURED
    ),
)
