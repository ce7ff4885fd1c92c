"""The whole pipeline against the physical limit of its data: the first load and the next day's run of a made-up
company, step by step, in CPU of reading and sorting once what has landed, measured in the same run.

A machine that is faster or busier has other seconds and about the same ratios, so ratios are what is accepted
(`accepted/<size>.json`) and what a later measurement is held against.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from include.benchmark.limit import Limit
from include.benchmark.results import Occasion
from include.benchmark.steps import (
    ENVIRONMENT,
    MODELS,
    STARTS,
    STEPS,
    Cost,
    cost_of,
    make_company,
    measure_steps,
    parts_of,
    read_costs,
    spawn,
    start_of,
)

# Customers, and about how many events there are of each.
SIZES = {
    f"{name}{suffix}": (customers, events)
    for suffix, events in (("", 10), ("-100", 100))
    for name, customers in (("small", 10_000), ("medium", 100_000), ("large", 1_000_000))
}
ACCEPTED = Path(__file__).with_name("accepted")
ENGINE_AT_MOST, LEARNING_AT_MOST, STARTING_AT_MOST, DAILY_AT_MOST, GROWTH_AT_MOST = (
    12.0,
    12.0,
    90.0,
    0.15,
    1.15,
)


@dataclass(frozen=True)
class Measured:
    """One size. CPU and wall of `first` and `daily`, the costs of the two runs, are multiples of the limit's CPU;
    `starts` are CPU seconds of a process that starts and does nothing, by kind, and of Airflow by itself. `day` and
    `commit` are empty where it is not known when and of what code it was measured."""

    customers: int
    machine: str
    limit: Limit
    starts: dict[str, float]
    first: tuple[Cost, ...]
    daily: tuple[Cost, ...] = ()
    events: int = 10
    day: str = ""
    commit: str = ""

    def by_step(self, costs: tuple[Cost, ...], is_learned: bool | None = None) -> dict[str, float]:
        """What each step takes beyond what its processes take to start, in limits; of what is learned only, or of all
        else, when that is asked for."""
        steps: dict[str, float] = defaultdict(float)
        for cost in costs:
            if cost.part in parts_of(cost.step) and is_learned in (None, start_of(cost) == "learning"):
                steps[cost.step] += self._beyond_start(cost)
        return {step: steps[step] for step in STEPS if step in steps}

    @property
    def engine(self) -> float:
        return sum(self.by_step(self.first, is_learned=False).values())

    @property
    def learning(self) -> float:
        return sum(self.by_step(self.first, is_learned=True).values())

    @property
    def starting(self) -> float:
        """The CPU seconds of a run that are the same whatever it handles: Airflow, the calls of dbt, and what gates and
        learning import once."""
        calls = sum(MODELS in parts_of(step) for step in STEPS)
        return (
            self.starts["airflow"]
            # Before decision 51 each call loaded dbt anew.
            + self.starts.get("calls", calls * self.starts["dbt"])
            + sum(self.starts[kind] - self.starts["python"] for kind in ("gate", "learning"))
        )

    @property
    def daily_share(self) -> float | None:
        """What the next day's run takes of what the first load took, both beyond their start."""
        if not self.daily:
            return None
        return sum(self.by_step(self.daily).values()) / sum(self.by_step(self.first).values())

    def growth(self, smaller: Measured) -> dict[str, float]:
        """By step, how many times more it took than at a smaller size, over how many times more rows there were."""
        rows = self.limit.rows / smaller.limit.rows
        before = smaller.by_step(smaller.first)
        scale = self.limit.cpu / smaller.limit.cpu / rows
        return {step: scale * cost / before[step] for step, cost in self.by_step(self.first).items()}

    def _beyond_start(self, cost: Cost) -> float:
        return max(cost.cpu - self.starts[start_of(cost)] / self.limit.cpu, 0.0)


def measure(folder: Path, size: str, tell: Callable[[str], None], resume: bool = False) -> Measured:
    """Make the company of a size below the folder, run its first load and its next day, and measure the limit of the
    same data and what starting takes. `tell` hears of every part as it ends.

    With `resume` the folder may hold what was measured before. Raises RuntimeError when a part fails.
    """
    from include.benchmark.learning_inputs import DAY

    occasion = Occasion.now()
    make_company(folder, *SIZES[size])
    for is_daily in (False, True):
        for cost in measure_steps(folder, is_daily=is_daily, resume=resume):
            tell(f"{'daily' if is_daily else 'first'} {cost.step} {cost.part}: {cost.cpu:.1f} CPU s")
        if not is_daily and not (resume and (folder / "limit.json").exists()):
            spawn(folder, DAY, "limit", "")
    day = DAY + timedelta(days=1)
    starts = {kind: spawn(folder, day, "start", kind).cpu for kind in STARTS}
    starts["airflow"] = _airflow(folder, day)
    (folder / "starts.json").write_text(json.dumps({"occasion": asdict(occasion), "starts": starts}))
    return read_measured(folder, *SIZES[size])


def read_measured(folder: Path, customers: int, events: int = 10) -> Measured:
    """What was measured below a folder, in multiples of its limit."""
    limit = Limit(**json.loads((folder / "limit.json").read_text()))
    started = json.loads((folder / "starts.json").read_text())
    occasion = Occasion(**started["occasion"])

    def in_limits(name: str) -> tuple[Cost, ...]:
        path = folder / name
        return tuple(_scaled(cost, 1 / limit.cpu) for cost in read_costs(path)) if path.exists() else ()

    starts = {kind: round(seconds, 2) for kind, seconds in started["starts"].items()}
    return Measured(
        customers,
        f"{occasion.machine}, load {occasion.load:.1f} at the start",
        limit,
        starts,
        in_limits("costs.jsonl"),
        in_limits("daily.jsonl"),
        events,
        occasion.day,
        occasion.commit,
    )


def _scaled(cost: Cost, factor: float) -> Cost:
    inputs = None if cost.inputs is None else round(factor * cost.inputs, 3)
    return replace(cost, cpu=round(factor * cost.cpu, 3), wall=round(factor * cost.wall, 3), inputs=inputs)


def _airflow(folder: Path, day: date) -> float:
    """The CPU seconds of a run through Airflow that finds nothing new, without those of its tasks."""
    from include import ledger
    from include.airflow_home import AirflowHome
    from include.lake import Lake

    data = (folder / "data").resolve()
    config = (folder / "config").resolve()
    command = [sys.executable, "-m", "include", "run", "--config", str(config), "--data", str(data)]
    home = AirflowHome(data)
    home.prepare()  # what is done once for a home is not the run's
    try:
        total = cost_of([*command, "--date", day.isoformat()], os.environ | ENVIRONMENT).cpu
    finally:
        shutil.rmtree(home.path, ignore_errors=True)
    tasks = sum(entry.cpu_seconds for entry in ledger.read(Lake(data), day))
    return total - tasks


def accept(measured: Measured, size: str, folder: Path = ACCEPTED) -> Path:
    """Write what was measured as what later measurements of the size are held against."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{size}.json"
    head = {key: value for key, value in asdict(measured).items() if key not in ("first", "daily")}
    runs = {
        name: [
            [*(getattr(cost, key) for key in COLUMNS)]
            for cost in getattr(measured, name)
        ]
        for name in ("first", "daily")
    }  # fmt: skip
    lines = [f'"{key}": {json.dumps(value)}' for key, value in head.items()]
    for name, rows in runs.items():
        lines.append(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return path


COLUMNS = ("step", "part", "cpu", "wall", "peak", "inputs", "read", "written")


def accepted(folder: Path = ACCEPTED) -> dict[str, Measured]:
    """What was accepted, by size, the smallest first."""
    found = {}
    for size in SIZES:
        path = folder / f"{size}.json"
        if path.exists():
            content = json.loads(path.read_text())
            runs = {
                name: tuple(Cost(**dict(zip(COLUMNS, row, strict=True))) for row in content.pop(name))
                for name in ("first", "daily")
            }
            found[size] = Measured(**(content | runs | {"limit": Limit(**content["limit"])}))
    return found
