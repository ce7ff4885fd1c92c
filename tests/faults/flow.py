"""The daily run as a list of calls, in an order that the DAG allows, each in a process that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from include.pipeline import LEARNING
from include.settings import PROJECT

CALL = """
import sys
from datetime import date
from include import pipeline
print("ready", flush=True)
getattr(pipeline, sys.argv[1])(date.fromisoformat(sys.argv[2]), *sys.argv[3:])
"""


@dataclass(frozen=True)
class Task:
    """One call of `include.pipeline`: a function and what it is given after the day."""

    function: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.function, *self.arguments))


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
        *(Task("learn", (name,)) for name in LEARNING), gate["learn"],
        build["segment"], gate["segment"],
        Task("expand"), build["expand"], Task("measure_reach"), gate["expand"],
        build["publish"], Task("write_release"), gate["publish"], Task("swap_release"), Task("serve_release"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a task ended: its exit code (negative: the signal that killed it), how many seconds after its imports, and
    the last line that it said."""

    code: int
    seconds: float
    said: str


def run_task(task: Task, config: Path, data: Path, day: date, kill_after: float | None = None) -> Outcome:
    """Run one task in a process of its own; `kill_after` seconds it is killed with every process that it began."""
    environment = {"TANDEM_PSEUDONYM_KEY": "a key for the tests alone"} | os.environ | {
        "TANDEM_CONFIG": str(config), "TANDEM_DATA": str(data), "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", CALL, task.function, day.isoformat(), *task.arguments],
        cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        process.stdout.readline()
        began = time.monotonic()
        try:
            _, errors = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate()
    lines = errors.strip().splitlines()
    return Outcome(process.returncode, time.monotonic() - began, lines[-1] if lines else "")
