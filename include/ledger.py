"""The run's ledger: which step runs, what it handled, what it cost. It feeds the progress shown and `run_costs`."""

from __future__ import annotations

import json
import logging
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from include.lake import Lake, earlier_days, replacing

logger = logging.getLogger(__name__)

STEPS = ("extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish")
LONGEST_NOTE = 1200  # characters, so that a line of the ledger is below a page in size


class StepFailed(Exception):
    """A step or gate that stops the run. The message is one line: what failed, why, where to look."""


class SourceUnreachable(StepFailed):
    """A source that did not answer, or broke off. Unlike any other failure of a step it may pass by itself, so the
    task is tried again."""


class DestinationUnreachable(SourceUnreachable):
    """The same of a destination: what it was to be sent is sent with the next try."""


@dataclass
class Entry:
    """One line of the ledger: `rows` counts what the step handled, seconds are wall and CPU time,
    `peak_memory_bytes` is the largest resident set so far of this process or of a child of it."""

    step: str
    part: str
    status: str = "running"
    rows: int | None = None
    note: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """What is done, and when it has ended what it handled and took."""
        place = f" (step {STEPS.index(self.step) + 1} of {len(STEPS)})" if self.step in STEPS else ""
        name = f"{self.step} {self.part}".strip() + place
        if self.status == "running":
            return f"{name} begins"
        rows = "" if self.rows is None else f", {self.rows:,} rows"
        took = (
            f"{self.wall_seconds:.1f} s, {self.cpu_seconds:.1f} of CPU, {self.peak_memory_bytes >> 20:,} MiB"
        )
        return f"{name} {self.status}{rows}, {took}" + f": {self.note}" * bool(self.note)


@contextmanager
def recorded(lake: Lake, day: date, step: str, part: str = "") -> Iterator[Entry]:
    """Write a line when the part begins and one when it ends, here and to the log, and turn its failure into one clear
    line.

    The caller sets `entry.rows` and `entry.note`. Appending lines below a page in size is atomic, so
    mapped tasks that run side by side share the file.
    """
    entry = Entry(step, part)
    _append(lake, day, entry)
    wall, cpu = time.monotonic(), _cpu_seconds()
    try:
        yield entry
        entry.status = entry.status if entry.status != "running" else "done"
    except BaseException as error:
        entry.status = "failed"
        entry.note = _line_of(error)
        raise
    finally:
        entry.wall_seconds = round(time.monotonic() - wall, 3)
        entry.cpu_seconds = round(_cpu_seconds() - cpu, 3)
        entry.peak_memory_bytes = _peak_memory_bytes()
        _append(lake, day, entry)


def read(lake: Lake, day: date) -> list[Entry]:
    """Every whole line of the day's ledger, in the order written."""
    path = lake.run_file(day, "ledger.jsonl")
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [Entry(**json.loads(line)) for line in lines if _is_whole(line)]


def write_run_costs(lake: Lake, day: date) -> None:
    """Write what the run has taken so far as rows of `run_costs`, which publish shows, and of the runs before it what
    they took after they had shown theirs."""
    _write_costs(lake, day)
    for path in earlier_days(lake.run_file(day, "ledger.jsonl")):
        then = date.fromisoformat(path.parent.name.removeprefix("date="))
        written = lake.ops(then, "run_costs")
        has_more = not written.exists() or written.stat().st_mtime < path.stat().st_mtime
        if has_more and any(entry.part == "swap" for entry in read(lake, then)):
            _write_costs(lake, then)


def _write_costs(lake: Lake, day: date) -> None:
    import duckdb

    rows = [
        (str(day), e.step, e.part, e.status, e.rows, e.wall_seconds, e.cpu_seconds, e.peak_memory_bytes)
        for e in read(lake, day)
        if e.status in ("done", "skipped", "failed")
    ]
    with duckdb.connect() as connection, replacing(lake.ops(day, "run_costs")) as path:
        connection.execute(
            "create table run_costs (as_of_date date, step varchar, part varchar, status varchar, rows bigint, "
            "wall_seconds double, cpu_seconds double, peak_memory_bytes bigint)"
        )
        if rows:
            connection.executemany("insert into run_costs values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"copy run_costs to '{path}' (format parquet)")


def _line_of(error: BaseException) -> str:
    """The first line of an error. Where it is too long its middle is left out, for its end says where to look."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if len(line) <= LONGEST_NOTE:
        return line
    half = LONGEST_NOTE // 2
    return f"{line[:half].rsplit(' ', 1)[0]} … {line[-half:].split(' ', 1)[-1]}"


def _is_whole(line: str) -> bool:
    """Whether a line is there to its end: of a disk that became full, half of it is."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _append(lake: Lake, day: date, entry: Entry) -> None:
    logger.info("%s: %s", day, str(entry))
    path = lake.run_file(day, "ledger.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        # Never behind half a line.
        handle.write(f"\n{json.dumps(asdict(entry), ensure_ascii=False)}\n")


def count_cost(cpu_seconds: float, peak_memory_bytes: int) -> None:
    """Count what a process took that works for this one and is no child of it."""
    _elsewhere.cpu_seconds += cpu_seconds
    _elsewhere.peak_memory_bytes = max(_elsewhere.peak_memory_bytes, peak_memory_bytes)


@dataclass
class _Cost:
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


_elsewhere = _Cost()


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    used = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return used + _elsewhere.cpu_seconds


def _peak_memory_bytes() -> int:
    own, children = (
        1024 * resource.getrusage(whose).ru_maxrss
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(own, children, _elsewhere.peak_memory_bytes)
