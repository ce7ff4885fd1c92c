"""The daily run as a list of calls, in an order that the DAG allows, each in a process that can be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from include.config import load_configuration
from include.demo import prepare
from include.lake import Lake
from include.pipeline import LEARNING, SPREAD
from include.settings import DEMO_CONFIG, PROJECT, settings

HOUSEHOLDS = 60
CALL = """
import json, resource, sys
from datetime import date
for name, most in json.loads(sys.argv[3]).items():
    resource.setrlimit(getattr(resource, name), (most, most))
from tests.faults.flow import Task
for number, (function, arguments) in enumerate(json.loads(sys.argv[2])):
    print(number, flush=True)
    Task(function, tuple(arguments)).call(date.fromisoformat(sys.argv[1]))
"""


@dataclass(frozen=True)
class Task:
    """One call of `include.pipeline`: a function and what it is given after the day."""

    function: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.function, *self.arguments))

    def call(self, day: date) -> Any:
        """Do it in this process; the parts of what is scored one after another."""
        from include import pipeline

        if self.function != "score":
            return getattr(pipeline, self.function)(day, *self.arguments)
        for part in _parts_of(day, *self.arguments):
            pipeline.score(day, *self.arguments, part)
        return None


def tasks_of(channels: list[str]) -> list[Task]:
    """Every task of the DAG `customer_audiences`."""
    gate = {
        step: Task("check", (step,))
        for step in ("extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish")
    }
    build = {step: Task("build", (step,)) for step in ("stage", "unify", "segment", "expand", "publish")}
    return [
        Task("open_run"),
        *(Task("extract", (channel,)) for channel in channels),
        Task("complete_landing"), Task("normalise"), gate["extract"], Task("is_new"),
        build["stage"], gate["stage"],
        Task("resolve"), gate["resolve"],
        build["unify"], gate["unify"],
        *(task for name in LEARNING for task in _learning(name)), gate["learn"],
        build["segment"], gate["segment"],
        *_learning("lookalikes"), build["expand"], Task("measure_reach"), gate["expand"],
        Task("activate"), build["publish"], Task("write_release"), gate["publish"],
        Task("swap_release"), Task("serve_release"), Task("deliver"),
    ]  # fmt: skip


def _learning(name: str) -> list[Task]:
    """The tasks of one learner; all of its parts are scored by one task here."""
    if name not in SPREAD:
        return [Task("learn", (name,))]
    return [Task(function, (name,)) for function in ("train", "score", "gather")]


def _parts_of(day: date, what: str) -> list[str]:
    """The parts that `train` left, none where nothing was learned."""
    from ml.spread import Spread

    task = import_module(SPREAD[what][1]).TASK
    return [str(part) for part in Spread.of(Lake(settings().data), day, task).parts()]


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its exit code (negative: the signal that killed it), how many seconds each task took that it
    began, the last one until the end, the last line that it said, and what it took with all that it began: seconds of
    CPU, and the most bytes of memory of one process."""

    code: int
    seconds: tuple[float, ...]
    said: str
    cpu: float
    peak: int


class RunFailed(Exception):
    """A run that had to come to its end did not: which task failed, and the last line that it said."""


def key() -> str:
    """What the ids of visitors are made with."""
    return os.environ.get("TANDEM_PSEUDONYM_KEY", "a key for the tests alone")


def make_company(folder: Path, days: int, households: int = HOUSEHOLDS) -> tuple[Lake, Path, list[Task]]:
    """A company, small unless told otherwise, of the demo's channels below a folder: its lake, its configuration, and
    the tasks of its day."""
    lake, config = Lake(folder / "data"), folder / "config"
    shutil.copytree(DEMO_CONFIG, config)
    # So few people have small audiences, and some have to be sent: those of the last audience too.
    audiences = config / "audiences.yml"
    small = audiences.read_text().replace("min_size: 50", "min_size: 5")
    audiences.write_text(small.rstrip() + "\n    destinations: [publisher]\n")
    prepare(lake.data / "demo", households=households, strangers=150, days=days)
    return lake, config, tasks_of(list(load_configuration(config).channels))


def run_whole(
    tasks: list[Task], config: Path, lake: Lake, day: date, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run tasks to their end. Raises RunFailed."""
    outcome = run_tasks(tasks, config, lake.data, day, environment=environment)
    if outcome.code:
        raise RunFailed(f"{tasks[len(outcome.seconds) - 1]} failed: {outcome.said}")
    sys.stdout.write(f"{day}: {tasks[0]} to {tasks[-1]}, {sum(outcome.seconds):.0f} s\n")
    sys.stdout.flush()
    return outcome


def run_tasks(
    tasks: list[Task],
    config: Path,
    data: Path,
    day: date,
    kill: tuple[int, float] | None = None,
    environment: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
) -> Outcome:
    """Run tasks in a process of their own. `kill` says where it is killed, with every process that it began: so many
    seconds after the beginning of the task of that number. `environment` is added to what it is given, `limits` are
    those of the module `resource` by name."""
    environment = os.environ | {
        "TANDEM_PSEUDONYM_KEY": key(), "TANDEM_CONFIG": str(config), "TANDEM_DATA": str(data),
        "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1",
    } | (environment or {})  # fmt: skip
    calls = json.dumps([(task.function, task.arguments) for task in tasks])
    began: list[float] = []
    last: deque[str] = deque(maxlen=1)
    with subprocess.Popen(
        [sys.executable, "-c", CALL, day.isoformat(), calls, json.dumps(limits or {})], cwd=PROJECT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        # Read as it comes and never from a file, which a limit of the process would hold for too.
        reader = threading.Thread(target=lambda: last.extend(filter(str.strip, process.stderr)))
        reader.start()
        timer = None
        for line in process.stdout:
            if line.strip() != str(len(began)):
                continue  # what a task itself says
            began.append(time.monotonic())
            if kill and kill[0] == len(began) - 1:
                timer = threading.Timer(kill[1], os.killpg, (process.pid, signal.SIGKILL))
                timer.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if timer:
            timer.cancel()
        reader.join()
    ends = [*began[1:], time.monotonic()]
    seconds = tuple(end - start for start, end in zip(began, ends, strict=False))
    said = last[0].strip() if last else ""
    return Outcome(process.returncode, seconds, said, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)
