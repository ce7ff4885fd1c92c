"""The pipeline on a made-up company, step by step: what each part, model and task costs beside reading its inputs once.

`python -m include.benchmark.steps FOLDER [--customers N] [--steps extract stage ...]` makes the company below FOLDER
unless it is there, runs the steps, a process for each part, and writes FOLDER/costs.jsonl and FOLDER/costs.md. The
models of dbt run one after another there, so that each one's cost can be told from its neighbours'. `--daily` is the
run of the next day, with one row in a hundred more (FOLDER/daily.jsonl); `--resume` leaves out what has been measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from include.benchmark.process import run, transferred
from include.settings import settings

STEPS = ("extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish")
MODELS, GATE = "models", "gate"
# The functions of the pipeline that make up a part.
TASKS = {
    "open": ("open_run",),
    "normalise": ("complete_landing", "normalise"),
    "identity": ("resolve",),
    "reach": ("measure_reach",),
    "activate": ("activate",),
    "write": ("write_release",),
    "swap": ("swap_release", "serve_release", "deliver"),
}
LEARNED = frozenset({"lookalikes", "reach"})  # parts of other steps that learn too
KEY = "made up"
MEBIBYTE = 1 << 20
# As the tasks of a run have it: threads of the numeric libraries wait for each other by spinning.
ENVIRONMENT = {
    "TANDEM_PSEUDONYM_KEY": KEY,
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "GX_ANALYTICS_ENABLED": "false",
}


@dataclass(frozen=True)
class Cost:
    """What a part of a step took: CPU and wall seconds, the peak of its process's resident memory in MiB, the CPU
    seconds of decoding its inputs once, and the MiB that it read and wrote, from disk or from what the system keeps of
    it in memory. What was not measured is None."""

    step: str
    part: str
    cpu: float
    wall: float
    peak: int
    inputs: float | None = None
    read: int | None = None
    written: int | None = None


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    day = date.fromisoformat(options.day) if options.day else None
    if options.part:
        return _run_part(options.folder, day, *options.part)
    make_company(options.folder, options.customers, options.events)
    costs = measure_steps(options.folder, options.steps, is_daily=options.daily, resume=options.resume)
    for cost in costs:
        sys.stdout.write(_row(cost) + "\n")
        sys.stdout.flush()
    from include.benchmark.results import describe_machine

    path = _costs_file(options.folder, options.daily)
    path.with_suffix(".md").write_text(
        "\n".join([describe_machine(), "", *costs_table(read_costs(path))]) + "\n"
    )
    return 0


def make_company(folder: Path, customers: int, events: int) -> None:
    """Make the company below the folder unless there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "config").exists():
        # In a process of its own: the peak memory of a process counts that of the one that started it.
        spawn(folder, None, "make", f"{customers},{events}")


def measure_steps(
    folder: Path, steps: Iterable[str] = STEPS, *, is_daily: bool = False, resume: bool = False
) -> Iterator[Cost]:
    """Run the steps on the company below the folder and yield what each part took, which is written down too.

    The daily run is that of the day after, for which one row in a hundred comes anew. With `resume` what is written
    down already is not run again, and models that dbt had finished are not built again. Raises RuntimeError when a
    part fails.
    """
    from include.benchmark.company import add_day
    from include.benchmark.learning_inputs import DAY

    day = DAY + timedelta(days=is_daily)
    if is_daily:
        add_day(folder, day)
    path = _costs_file(folder, is_daily)
    known = {(cost.step, cost.part) for cost in read_costs(path)} if resume and path.exists() else set()
    for step in steps:
        for part in parts_of(step):
            if (step, part) in known:
                continue
            for cost in _measure(folder, day, step, part, resume):
                if (step, cost.part) not in known:
                    _write(path, cost)
                    yield cost


def _costs_file(folder: Path, is_daily: bool) -> Path:
    return folder / ("daily.jsonl" if is_daily else "costs.jsonl")


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
        "publish": ["activate", MODELS, "write", GATE, "swap"],
    }[step] + [GATE] * (step != "publish")


def _measure(folder: Path, day: date, step: str, part: str, resume: bool) -> Iterator[Cost]:
    """The cost of a part, and of each of its models."""
    found = folder / "part.jsonl"
    if part != MODELS or not resume:
        found.unlink(missing_ok=True)
    before = read_costs(found) if found.exists() else []
    cost = spawn(folder, day, step, part)
    cost = replace(
        cost,
        cpu=cost.cpu + sum(model.cpu for model in before),
        wall=cost.wall + sum(model.wall for model in before),
    )
    inputs = spawn(folder, day, "read", part).cpu if step == "learn" and part != GATE else None
    models = read_costs(found) if found.exists() else []
    if models:
        spawn(folder, day, "inputs", step)
        read = json.loads((folder / "inputs.json").read_text())
        yield from (replace(model, inputs=read.get(model.part)) for model in models)
    yield replace(cost, inputs=None if inputs is None else round(inputs, 1))
    found.unlink(missing_ok=True)


def spawn(folder: Path, day: date | None, step: str, part: str) -> Cost:
    """Run a part in a process of its own and say what that took. Raises RuntimeError when it fails."""
    environment = os.environ | ENVIRONMENT | {
        "TANDEM_CONFIG": str((folder / "config").resolve()),
        "TANDEM_DATA": str((folder / "data").resolve()),
    }  # fmt: skip
    command = [sys.executable, "-m", "include.benchmark.steps", str(folder.resolve()), "--part", step, part]
    command += ["--day", day.isoformat()] if day else []
    return replace(cost_of(command, environment), step=step, part=part)


def cost_of(command: list[str], environment: dict[str, str]) -> Cost:
    """What a command and all processes below it took. Raises RuntimeError when it fails."""
    usage = run(command, environment)
    moved = _in_mebibytes(usage.read, usage.written)
    return Cost("", "", usage.cpu, usage.wall, usage.peak // MEBIBYTE, None, *moved)


def _in_mebibytes(*moved: int | None) -> tuple[int | None, ...]:
    return tuple(None if each is None else each // MEBIBYTE for each in moved)


def _run_part(folder: Path, day: date, step: str, part: str) -> int:
    """One measured process."""
    from include import pipeline

    if step == "make":
        from include.benchmark.company import write_company

        customers, events = map(int, part.split(","))
        write_company(folder, customers, settings(), events)
    elif step == "read":
        from include.benchmark.learning import read_inputs

        read_inputs(part, settings().data)
    elif step == "inputs":
        from include.benchmark.model_inputs import cost_of_inputs

        (folder / "inputs.json").write_text(json.dumps(cost_of_inputs(part, settings())))
    elif step == "limit":
        from include.benchmark.limit import read_and_sort

        (folder / "limit.json").write_text(json.dumps(asdict(read_and_sort(settings(), day))))
    elif step == "start":
        _start(folder, day, part)
    elif part == GATE:
        pipeline.check(day, step)
    elif part == MODELS:
        _build(folder, day, step)
    elif part in pipeline.SPREAD:
        for share in pipeline.train(day, part):
            pipeline.score(day, part, share)
        pipeline.gather(day, part)
    elif step == "learn":
        pipeline.learn(day, part)
    elif step == "extract" and part not in TASKS:
        pipeline.extract(day, part)
    else:
        for task in TASKS[part]:
            getattr(pipeline, task)(day)
    return 0


def start_of(cost: Cost) -> str:
    """What the process of a part has to start before it does anything, one of STARTS."""
    if cost.step == "learn" or cost.part in LEARNED:
        return "learning"
    return {MODELS: "dbt", GATE: "gate"}.get(cost.part, "python")


# `calls` are those of dbt in a run: a process that loads it once, for each step that has models.
STARTS = ("python", "dbt", "calls", "gate", "learning")


def _start(folder: Path, day: date, kind: str) -> None:
    """Start what parts of a kind start, and do nothing."""
    if kind == "dbt":
        _build(folder, day, "nothing")
    elif kind == "calls":
        _call_dbt(day, sum(MODELS in parts_of(step) for step in STEPS))
    elif kind == "gate":
        from include.quality import run_gate
        from include.quality.gx_duckdb import open_engine

        assert run_gate
        with open_engine() as engine:
            engine.execute("select 1")
    elif kind == "learning":
        import ml.lookalike
        import ml.propensity

        assert ml.lookalike and ml.propensity


def _call_dbt(day: date, calls: int) -> None:
    """Call dbt so many times as a run does, with nothing to build."""
    from include.lake import Lake
    from include.warehouse import run_dbt

    lake = Lake(settings().data)
    variables = json.loads(lake.run_file(day, "run.json").read_text())["dbt"]
    for _ in range(calls):
        run_dbt("nothing", lake, variables, KEY.encode())


def _build(folder: Path, day: date, step: str) -> None:
    """Build the models of a step in this process, one after another, and write down what each took. Those written down
    already are left out."""
    from dbt.cli.main import dbtRunner

    from include.lake import Lake, scratch_folder
    from include.ledger import write_run_costs
    from include.warehouse.costs import results_of, write_model_costs
    from include.warehouse.dbt import DBT_PROJECT, OPTIONS, arguments_of, command_of, environment_of
    from include.warehouse.parsed import bind_sources, parsed_project

    lake = Lake(settings().data)
    if step == "publish":
        write_run_costs(lake, day)
    variables = json.loads(lake.run_file(day, "run.json").read_text())["dbt"]
    path = folder / "part.jsonl"
    built = [cost.part for cost in read_costs(path) if " " not in cost.part] if path.exists() else []
    arguments = arguments_of(lake, variables, [*command_of(step), *_without(built), "--quiet"])
    with scratch_folder(lake.scratch, "dbt") as temporary:
        os.environ.update(environment_of(lake, KEY.encode(), temporary))
        manifest, _ = parsed_project(DBT_PROJECT, folder / "parsed", ["--quiet", *OPTIONS])
        bind_sources(manifest, str(lake.root), variables["as_of_date"])
        outcome = dbtRunner(manifest, callbacks=[_watch(path, step)]).invoke(arguments)
    if not outcome.success:
        failed = [result.message for result in outcome.result or [] if result.status == "error"]
        raise SystemExit(f"dbt {step}: {outcome.exception or failed}")
    write_model_costs(lake, day, step, results_of(outcome.result or []))


def _without(models: list[str]) -> list[str]:
    return ["--exclude", *models] if models else []


def _watch(path: Path, step: str) -> Callable[[object], None]:
    """What dbt calls with each of its events: write a line for each model that it has finished."""
    began: dict[str, Cost] = {}
    tests: list[Cost] = []

    def now() -> Cost:
        return Cost(
            step,
            "",
            time.process_time(),
            time.monotonic(),
            _peak(),
            None,
            *_in_mebibytes(*transferred("self")),
        )

    def watch(event) -> None:
        if event.info.name == "NodeStart":
            _forget_peak()
            began[event.data.node_info.unique_id] = now()
        elif event.info.name == "NodeFinished":
            node = event.data.node_info
            cost = _since(began.pop(node.unique_id), now(), node.node_name)
            if node.node_status in ("error", "skipped"):
                return  # so that it is built when the run is resumed
            if node.resource_type == "test":
                tests.append(cost)
            elif node.resource_type == "operation":
                _write(path, replace(cost, part="1 checkpoint"))
            else:
                _write(path, cost)
        elif event.info.name == "EndRunResult" and tests:
            cpu, wall = sum(test.cpu for test in tests), sum(test.wall for test in tests)
            _write(path, Cost(step, f"{len(tests)} tests", cpu, wall, max(test.peak for test in tests)))

    return watch


def _since(began: Cost, ended: Cost, part: str) -> Cost:
    """What lies between two readings of the counters of this process."""
    cost = replace(ended, part=part, cpu=ended.cpu - began.cpu, wall=ended.wall - began.wall)
    if began.read is None:
        return cost
    return replace(cost, read=ended.read - began.read, written=ended.written - began.written)


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
    "| step | part | CPU s | wall s | peak MiB | read MiB | written MiB | CPU s of its inputs | ratio |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|",
)


def costs_table(costs: Iterable[Cost]) -> list[str]:
    """The costs as the lines of a table in Markdown."""
    return [*HEADER, *map(_row, costs)]


def _row(cost: Cost) -> str:
    inputs = "" if cost.inputs is None else f"{cost.inputs:.1f}"
    ratio = f"{cost.cpu / cost.inputs:.1f}" if cost.inputs else ""
    moved = " | ".join("" if each is None else f"{each:,}" for each in (cost.read, cost.written))
    return (
        f"| {cost.step} | {cost.part} | {cost.cpu:.1f} | {cost.wall:.1f} | {cost.peak:,} | {moved} | {inputs}"
        f" | {ratio} |"
    )


def read_costs(path: Path) -> list[Cost]:
    """The costs that were written to a file, in their order."""
    return [Cost(**json.loads(line)) for line in path.read_text().splitlines()]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark.steps", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, choices=(10, 100), default=10, help="of each customer, about")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--daily", action="store_true", help="the run of the next day")
    parser.add_argument("--resume", action="store_true", help="leave out what has been measured")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--day", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
