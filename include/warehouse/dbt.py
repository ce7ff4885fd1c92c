"""Runs dbt for one step of the pipeline and turns its outcome into rows or one clear line."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from include.lake import Lake, scratch_folder
from include.ledger import StepFailed
from include.settings import PROJECT, gigabytes, settings
from include.warehouse.costs import NodeResult, write_model_costs
from include.warehouse.process import DBT

DBT_PROJECT = PROJECT / "dbt_project"
OUTCOME = "results.json"
OPTIONS = ("--no-send-anonymous-usage-stats", "--no-use-colors", "--no-version-check")
# All that dbt says is in its log; it would make each line anew for a console that nobody reads.
LOGGING = ("--log-level", "none", "--log-level-file", "debug")
SIDES = ("cdp", "dmp", "bridge", "both", "ops")
# dbt puts one of these above what an error is about.
HEADER = re.compile(r"\w+ Error( in \w+ \S+ \(.*\))?|\S+ failed, error:")
SPECIAL = re.compile(r"[^\x00-\x7e]")
TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True)
class DbtResult:
    """One dbt call that went well: how many models and tests ran and how many of them only warned, the seconds from
    the first to the last of them (without dbt's own start-up and parsing), and each one's own result."""

    nodes: int
    failures: int
    seconds: float
    results: tuple[NodeResult, ...]


def run_dbt(step: str, lake: Lake, variables: dict[str, Any], key: bytes) -> DbtResult:
    """Build and test the models of one step (`stage`, `unify`, `segment`, `publish`), in a process of its own, and note
    what each of them took.

    `variables` is what the models ask for with `var()`; `lake` in it is always the given lake's root. `key` makes
    visitor ids and reaches DuckDB through the environment only. Files of external models are written in the lake,
    which no reader of published tables sees.

    Raises StepFailed naming the first model or test that failed, why, and the log to read.
    """
    outcome = _invoke(step, lake, variables, key, command_of(step))
    write_model_costs(lake, date.fromisoformat(variables["as_of_date"]), step, outcome.results)
    return outcome


def command_of(step: str) -> list[str]:
    """The command of dbt that builds and tests the models of a step."""
    return ["build", "--select", f"tag:{step}", "--exclude-resource-type", "unit_test"]


def run_models(
    names: list[str], lake: Lake, variables: dict[str, Any], key: bytes, project: Path = DBT_PROJECT
) -> DbtResult:
    """Build some models alone, without tests and without what they read, which is in the warehouse already; `+name` is
    a model with all that it reads. Raises StepFailed like `run_dbt`."""
    return _invoke("models", lake, variables, key, ["run", "--select", *names], project)


def run_unit_tests(lake: Lake, variables: dict[str, Any], key: bytes) -> DbtResult:
    """Run dbt's unit tests and the tests of macros. The lake must have been built once: dbt takes the types of the
    rows given from the relations in the warehouse. Raises StepFailed like `run_dbt`."""
    return _invoke("unit_test", lake, variables, key, ["test", "--select", "test_type:unit", "tag:macros"])


def compile_model(name: str, lake: Lake, variables: dict[str, Any]) -> str:
    """The SQL of one model as dbt would run it; nothing is run. Raises StepFailed with dbt's words."""
    return compile_models([name], lake, variables)[name]


def compile_models(names: Sequence[str], lake: Lake, variables: dict[str, Any]) -> dict[str, str]:
    """The SQL of some models as dbt would run it, by name; nothing is run. Raises StepFailed with dbt's words."""
    target = lake.data / "dbt" / "target"
    _call("compile", lake, variables, b"", ["compile", "--select", *names], DBT_PROJECT, target)
    return {name: path.read_text() for name in names for path in (target / "compiled").rglob(f"{name}.sql")}


def parse_manifest(lake: Lake, project: Path = DBT_PROJECT) -> dict[str, Any]:
    """Parse a dbt project and return its manifest. Raises StepFailed with dbt's words when it does not parse."""
    manifest = manifest_path(lake)
    _call("parse", lake, {}, b"", [], project, manifest.parent)
    return json.loads(manifest.read_text())


def manifest_path(lake: Lake) -> Path:
    """Where dbt's manifest lies: of the project as the latest call of dbt knew it."""
    return lake.data / "dbt" / "target" / "manifest.json"


def _invoke(
    step: str,
    lake: Lake,
    variables: dict[str, Any],
    key: bytes,
    command: list[str],
    project: Path = DBT_PROJECT,
) -> DbtResult:
    target = lake.data / "dbt" / "target"
    outcome = target / OUTCOME
    outcome.unlink(missing_ok=True)
    _call(step, lake, variables, key, command, project, target)
    results = _results(outcome)
    return DbtResult(
        nodes=len(results),
        failures=sum(result.status == "warn" for result in results),
        seconds=round(json.loads(outcome.read_text())["elapsed_time"], 3),
        results=results,
    )


def _call(
    step: str,
    lake: Lake,
    variables: dict[str, Any],
    key: bytes,
    command: list[str],
    project: Path,
    target: Path,
) -> None:
    arguments = arguments_of(lake, variables, command, project, target)
    call_file = lake.data / "dbt" / f"{step}.json"
    call_file.write_text(
        json.dumps(
            {
                "arguments": arguments if command else [],
                "options": [*_logs(lake), *OPTIONS],
                "project": str(project),
                "parsed": str(settings().parsed or lake.data / "dbt" / "parsed"),
                "target": str(target),
                "outcome": str(target / OUTCOME),
                "lake": str(lake.root),
                "as_of_date": variables.get("as_of_date", ""),
                "warehouse": str(lake.spark_warehouse),
            }
        )
    )
    with scratch_folder(lake.scratch, "dbt") as temporary:
        process = DBT.run(call_file, environment_of(lake, key, temporary))
    if process.returncode == 0:
        return
    log = lake.data / "dbt" / "logs" / "dbt.log"
    raise StepFailed(f"dbt {step}: {_reason(target / OUTCOME, process)}; see {log}")


def as_yaml(variables: dict[str, Any]) -> str:
    """JSON that YAML, as which dbt reads it, takes for the same: JSON writes signs beyond 16 bits as two halves, which
    YAML refuses, and some as they are that YAML does not."""
    return SPECIAL.sub(
        lambda found: f"\\U{ord(found[0]):08x}", json.dumps(variables, sort_keys=True, ensure_ascii=False)
    )


def arguments_of(
    lake: Lake,
    variables: dict[str, Any],
    command: list[str],
    project: Path = DBT_PROJECT,
    target: Path | None = None,
) -> list[str]:
    """A command of dbt with everything that it needs to run on a lake, whose folders are made."""
    _make_folders(lake)
    given = {"memory_gb": gigabytes(settings().memory_limit)} | variables | {"lake": str(lake.root)}
    return [
        *command,
        *("--vars", as_yaml(given)),
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(target or lake.data / "dbt" / "target")),
        *_logs(lake),
        *OPTIONS,
    ]


def _logs(lake: Lake) -> tuple[str, ...]:
    return *LOGGING, "--log-path", str(lake.data / "dbt" / "logs")


def environment_of(lake: Lake, key: bytes, temporary: Path) -> dict[str, str]:
    """The child's environment: the caller's, and what profiles.yml and the plugin read. What does not fit in memory
    goes to the folder `temporary`."""
    return os.environ | {
        "TANDEM_WAREHOUSE": str(lake.warehouse),
        "TANDEM_TEMPORARY": str(temporary),
        "TANDEM_PROJECT": str(PROJECT),
        "TANDEM_TARGET": settings().target,
        "TANDEM_MEMORY_LIMIT": settings().memory_limit,
        "TANDEM_PSEUDONYM_KEY": key.decode(),
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _make_folders(lake: Lake) -> None:
    """DuckDB writes files but makes no folders."""
    (lake.data / "dbt").mkdir(parents=True, exist_ok=True)
    lake.staged("any").parent.mkdir(parents=True, exist_ok=True)
    for side in SIDES:
        lake.table(side, "any").parent.mkdir(parents=True, exist_ok=True)


def _results(outcome: Path) -> tuple[NodeResult, ...]:
    return tuple(NodeResult(**result) for result in json.loads(outcome.read_text())["results"])


def _reason(outcome: Path, process: subprocess.CompletedProcess[str]) -> str:
    """One line: the first node that failed and its message, or what dbt said when it ran no node."""
    results = _results(outcome) if outcome.exists() else ()
    failed = [result for result in results if result.status in ("error", "fail", "runtime error")]
    if failed:
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        first = failed[0]
        return f"{first.resource_type} {first.name} failed: {_telling_line(first.message)}{others}"
    return _telling_line(process.stderr) or f"dbt ended with exit code {process.returncode}"


def _telling_line(message: str) -> str:
    """The first line that says something, without headers like `Runtime Error in model x (path)`; of what Python says
    of an error that nobody foresaw, the last."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if TRACEBACK in lines:
        return lines[-1][:400]
    telling = [line for line in lines if not HEADER.fullmatch(line)]
    return (telling or lines or [""])[0][:400]
