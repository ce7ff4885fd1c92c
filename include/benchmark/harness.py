"""Measures variants of one job as whole processes, in turns, and sets their figures against each other."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.settings import settings


@dataclass(frozen=True)
class Variant:
    """One way to do the job: `run` takes the folder of the inputs and a folder of its own to write to, and returns
    how many rows it wrote. Variants of the same `rows` group must write the same number."""

    name: str
    text: str
    run: Callable[[Path, Path], int]
    rows: str = "all"


@dataclass(frozen=True)
class Ratio:
    """CPU of one variant over that of another, and what it shall be: `at_most` or `at_least`. What the variant `beyond`
    takes is counted of neither."""

    text: str
    variant: str
    other: str
    at_most: float | None = None
    at_least: float | None = None
    beyond: str | None = None

    def measured(self, costs: dict[str, Cost]) -> float:
        common = costs[self.beyond].cpu if self.beyond else 0.0
        return (costs[self.variant].cpu - common) / (costs[self.other].cpu - common)


@dataclass(frozen=True)
class Topic:
    """`prepare` writes the inputs of a size to a folder; `sizes` are numbers of rows by name; `digest` tells whether
    two variants of one `rows` group wrote the same, empty when it is not asked of a variant; `tell` says of what a
    variant wrote how good it is, in words."""

    name: str
    title: str
    text: str
    sizes: dict[str, int]
    prepare: Callable[[Path, int], None]
    variants: tuple[Variant, ...]
    ratios: tuple[Ratio, ...]
    digest: Callable[[Path], str] | None = None
    tell: Callable[[Path], str] | None = None

    def variant(self, name: str) -> Variant:
        return next(variant for variant in self.variants if variant.name == name)


@dataclass(frozen=True)
class Cost:
    """What one process took, as the operating system counted: user and system CPU seconds, wall seconds, the peak
    of its resident memory in bytes; and the `rows` it says it wrote, with their `digest` and what is `told` of them."""

    cpu: float
    wall: float
    memory: int
    rows: int
    digest: str = ""
    told: str = ""


def measure(topic: Topic, folder: Path, size: int, repeats: int) -> dict[str, Cost]:
    """The median cost of every variant; they run A B C A B C, so that a change of the machine's load meets all.

    Raises RuntimeError when a variant fails, or two of one group write different numbers of rows or digests.
    """
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    # In a process of its own: the peak memory of a process counts that of the one that started it.
    subprocess.run(
        [sys.executable, "-m", "include.benchmark", topic.name, "prepare", str(folder), str(size)], check=True
    )
    costs: dict[str, list[Cost]] = {variant.name: [] for variant in topic.variants}
    for _ in range(repeats):
        for variant in topic.variants:
            costs[variant.name].append(_run(topic, variant, folder))
    medians = {name: _median(found) for name, found in costs.items()}
    groups: dict[str, list[Cost]] = {}
    for variant in topic.variants:
        groups.setdefault(variant.rows, []).extend(costs[variant.name])
    for group, found in groups.items():
        if len(rows := {cost.rows for cost in found}) > 1:
            raise RuntimeError(f"{topic.name}: the variants of group {group!r} wrote {sorted(rows)} rows")
        if len(digests := {cost.digest for cost in found} - {""}) > 1:
            raise RuntimeError(f"{topic.name}: the variants of group {group!r} differ: {sorted(digests)}")
    return medians


def open_warehouse(inputs: Path, output: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB within the settings' limits that reads the inputs' `warehouse.duckdb` and spills below `output`."""
    connection = duckdb.connect(config=settings().limits | {"temp_directory": str(output / "spill")})
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"attach '{inputs / 'warehouse.duckdb'}' as warehouse (read_only)")
    return connection


def write_rows(connection: duckdb.DuckDBPyConnection, query: str, output: Path) -> int:
    """Write the rows of a query as Parquet. Returns their number."""
    (rows,) = connection.execute(
        f"copy ({query}) to '{output / 'rows.parquet'}' (format parquet, compression zstd)"
    ).fetchone()
    return rows


def _run(topic: Topic, variant: Variant, folder: Path) -> Cost:
    output = folder / "output"
    output.mkdir()
    command = [sys.executable, "-m", "include.benchmark", topic.name, variant.name, str(folder)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {process.returncode}")
    digest = _asked(topic, "digest", folder) if topic.digest else ""
    told = _asked(topic, "tell", folder) if topic.tell else ""
    _remove(output)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak, json.loads(answer)["rows"], digest, told)


def _asked(topic: Topic, what: str, folder: Path) -> str:
    """In a process of its own, as the inputs are made: its memory shall not count for the variants after it."""
    command = [sys.executable, "-m", "include.benchmark", topic.name, what, str(folder)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(answer)[what]


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        cpu=statistics.median(cost.cpu for cost in costs),
        wall=statistics.median(cost.wall for cost in costs),
        memory=int(statistics.median(cost.memory for cost in costs)),
        rows=costs[0].rows,
        digest=costs[0].digest,
        told=costs[0].told,
    )


def page(topic: Topic, costs: dict[str, Cost], size: int, repeats: int) -> str:
    """The figures of a topic as Markdown: one table of the variants, one of the ratios."""
    lines = [
        f"## {topic.title}",
        "",
        topic.text,
        "",
        f"{size:,} rows, medians of {repeats} runs in turns.",
        "",
        "| variant | | CPU s | wall s | peak memory MB | rows written |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for variant in topic.variants:
        cost = costs[variant.name]
        text = f"{variant.text}: {cost.told}" if cost.told else variant.text
        lines.append(
            f"| `{variant.name}` | {text} | {cost.cpu:.1f} | {cost.wall:.1f} | {cost.memory / 1e6:,.0f}"
            f" | {cost.rows:,} |"
        )
    lines += ["", "| CPU ratio | measured | target |", "|---|--:|--:|"]
    for ratio in topic.ratios:
        measured = ratio.measured(costs)
        lines.append(f"| {ratio.text} | {measured:.2f} | {_target(ratio, measured)} |")
    return "\n".join(lines) + "\n"


def _target(ratio: Ratio, measured: float) -> str:
    if ratio.at_most is not None:
        return f"at most {ratio.at_most}: {'reached' if measured <= ratio.at_most else 'missed'}"
    if ratio.at_least is not None:
        return f"at least {ratio.at_least}: {'reached' if measured >= ratio.at_least else 'missed'}"
    return ""


def describe_machine() -> str:
    """One line: processor, cores, memory, system and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB, {platform.system()}"
        f" {platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__},"
        f" load {os.getloadavg()[0]:.1f} at the start"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
