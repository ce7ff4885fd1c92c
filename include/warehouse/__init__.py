"""The warehouse: dbt, run as a process of its own because DuckDB's lock belongs to one process."""

from include.warehouse.costs import NodeResult
from include.warehouse.dbt import (
    DbtResult,
    compile_model,
    compile_models,
    parse_manifest,
    run_dbt,
    run_models,
)

__all__ = [
    "DbtResult",
    "NodeResult",
    "compile_model",
    "compile_models",
    "parse_manifest",
    "run_dbt",
    "run_models",
]
