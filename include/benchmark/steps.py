"""The pipeline on a made-up company, step by step: what each part, model and task costs beside reading its inputs once.

`python -m include.benchmark.steps FOLDER [--customers N] [--steps extract stage ...]` makes the company below FOLDER
unless it is there, runs the steps, a process for each part, and writes FOLDER/costs.jsonl and FOLDER/costs.md. The
models of dbt run one after another there, so that each one's cost can be told from its neighbours'.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from include.settings import PROJECT, settings

STEPS = ("extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish")
MODELS, GATE = "models", "gate"
# The functions of the pipeline that make up a part.
TASKS = {
    "open": ("open_run",),
    "normalise": ("complete_landing", "normalise"),
    "identity": ("resolve",),
    "lookalikes": ("expand",),
    "reach": ("measure_reach",),
    "write": ("write_release",),
    "swap": ("swap_release",),
}
KEY = "made up"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Cost:
    """What a part of a step took: CPU and wall seconds, the peak of its process's resident memory in MiB, and the CPU
    seconds of decoding its inputs once (None when that was not measured)."""

    step: str
    part: str
    cpu: float
    wall: float
    peak: int
    inputs: float | None = None


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    if options.part:
        return _run_part(options.folder, *options.part)
    options.folder.mkdir(parents=True, exist_ok=True)
    if not (options.folder / "config").exists():
        # In a process of its own: the peak memory of a process counts that of the one that started it.
        _spawn(options.folder, "make", str(options.customers))
    costs = options.folder / "costs.jsonl"
    for step in options.steps:
        for part in parts_of(step):
            for cost in _measure(options.folder, step, part):
                _write(costs, cost)
                sys.stdout.write(_row(cost) + "\n")
                sys.stdout.flush()
    from include.benchmark.harness import describe_machine

    page = "\n".join([describe_machine(), "", *HEADER, *map(_row, _read(costs))]) + "\n"
    (options.folder / "costs.md").write_text(page)
    return 0


def parts_of(step: str) -> list[str]:
    from include.benchmark.company import CHANNELS
    from include.pipeline import LEARNING

    return {
        "extract": ["open", *CHANNELS, "normalise"],
        "stage": [MODELS],
        "resolve": ["identity"],
        "unify": [MODELS],
        "learn": list(LEARNING),
        "segment": [MODELS],
        "expand": ["lookalikes", MODELS, "reach"],
        "publish": [MODELS, "write", GATE, "swap"],
    }[step] + [GATE] * (step != "publish")


def _measure(folder: Path, step: str, part: str) -> Iterator[Cost]:
    """The cost of a part, and of each of its models."""
    found = folder / "part.jsonl"
    found.unlink(missing_ok=True)
    cpu, wall, peak = _spawn(folder, step, part)
    inputs = _spawn(folder, "read", part)[0] if step == "learn" else None
    models = _read(found) if found.exists() else []
    if models:
        _spawn(folder, "inputs", step)
        read = json.loads((folder / "inputs.json").read_text())
        yield from (Cost(**(asdict(model) | {"inputs": read.get(model.part)})) for model in models)
    yield Cost(step, part, cpu, wall, peak, None if inputs is None else round(inputs, 1))


def _spawn(folder: Path, step: str, part: str) -> tuple[float, float, int]:
    environment = os.environ | {
        "TANDEM_CONFIG": str((folder / "config").resolve()),
        "TANDEM_DATA": str((folder / "data").resolve()),
        "TANDEM_PSEUDONYM_KEY": KEY,
    }
    command = [sys.executable, "-m", "include.benchmark.steps", str(folder.resolve()), "--part", step, part]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=PROJECT, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{step} {part} failed with exit code {process.returncode}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) // MEBIBYTE
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began, peak


def _run_part(folder: Path, step: str, part: str) -> int:
    """One measured process."""
    from include import pipeline
    from include.benchmark.learning_inputs import DAY

    if step == "make":
        from include.benchmark.company import write_company

        write_company(folder, int(part), settings())
    elif step == "read":
        from include.benchmark.learning import read_inputs

        read_inputs(part, settings().data)
    elif step == "inputs":
        from include.benchmark.model_inputs import cost_of_inputs

        (folder / "inputs.json").write_text(json.dumps(cost_of_inputs(part, settings())))
    elif part == GATE:
        pipeline.check(DAY, step)
    elif part == MODELS:
        _build(folder, step)
    elif step == "learn":
        pipeline.learn(DAY, part)
    elif step == "extract" and part not in TASKS:
        pipeline.extract(DAY, part)
    else:
        for task in TASKS[part]:
            getattr(pipeline, task)(DAY)
    return 0


def _build(folder: Path, step: str) -> None:
    """Build the models of a step in this process, one after another, and write down what each took."""
    from dbt.cli.main import dbtRunner

    from include.benchmark.learning_inputs import DAY
    from include.lake import Lake
    from include.pipeline import write_run_costs
    from include.warehouse.dbt import DBT_PROJECT, OPTIONS, arguments_of, command_of, environment_of
    from include.warehouse.parsed import bind_sources, parsed_project

    lake = Lake(settings().data)
    if step == "publish":
        write_run_costs(lake, DAY)
    variables = json.loads(lake.run_file(DAY, "run.json").read_text())["dbt"]
    os.environ.update(environment_of(lake, KEY.encode()))
    manifest, _ = parsed_project(DBT_PROJECT, folder / "parsed", ["--quiet", *OPTIONS])
    bind_sources(manifest, str(lake.root), variables["as_of_date"])
    arguments = arguments_of(lake, variables, [*command_of(step), "--threads", "1", "--quiet"])
    outcome = dbtRunner(manifest, callbacks=[_watch(folder / "part.jsonl", step)]).invoke(arguments)
    if not outcome.success:
        failed = [result.message for result in outcome.result or [] if result.status == "error"]
        raise SystemExit(f"dbt {step}: {outcome.exception or failed}")


def _watch(path: Path, step: str) -> Callable[[object], None]:
    """What dbt calls with each of its events: write a line for each model that it has finished."""
    began: dict[str, tuple[float, float]] = {}
    tests: list[Cost] = []

    def watch(event) -> None:
        if event.info.name == "NodeStart":
            _forget_peak()
            began[event.data.node_info.unique_id] = (time.process_time(), time.monotonic())
        elif event.info.name == "NodeFinished":
            node = event.data.node_info
            cpu, wall = began.pop(node.unique_id)
            cost = Cost(step, node.node_name, time.process_time() - cpu, time.monotonic() - wall, _peak())
            if node.resource_type == "test":
                tests.append(cost)
            else:
                _write(path, cost)
        elif event.info.name == "EndRunResult" and tests:
            cpu, wall = sum(test.cpu for test in tests), sum(test.wall for test in tests)
            _write(path, Cost(step, f"{len(tests)} tests", cpu, wall, max(test.peak for test in tests)))

    return watch


def _write(path: Path, cost: Cost) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(replace(cost, cpu=round(cost.cpu, 1), wall=round(cost.wall, 1)))) + "\n")


def _forget_peak() -> None:
    """Linux counts the peak of resident memory anew from here."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _peak() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


HEADER = (
    "| step | part | CPU s | wall s | peak memory MiB | CPU s of reading its inputs | ratio |",
    "|---|---|--:|--:|--:|--:|--:|",
)


def _row(cost: Cost) -> str:
    inputs = "" if cost.inputs is None else f"{cost.inputs:.1f}"
    ratio = f"{cost.cpu / cost.inputs:.1f}" if cost.inputs else ""
    return f"| {cost.step} | {cost.part} | {cost.cpu:.1f} | {cost.wall:.1f} | {cost.peak:,} | {inputs} | {ratio} |"


def _read(path: Path) -> list[Cost]:
    return [Cost(**json.loads(line)) for line in path.read_text().splitlines()]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark.steps", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
