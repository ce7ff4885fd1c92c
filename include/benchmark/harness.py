"""Measures variants of one job as whole processes, in turns, and sets their figures against each other."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from include.benchmark.process import run
from include.settings import settings


@dataclass(frozen=True)
class Variant:
    """One way to do the job: `run` takes the folder of the inputs and a folder of its own to write to, and returns
    how many rows it wrote. Variants of the same `rows` group must write the same number. What does another job than
    before gets another name, so that what is kept of the old one is not shown for it."""

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
    """What one process took: CPU and wall seconds, the peak of its resident memory, and what it read and wrote, in
    bytes, None where that was not counted; and the `rows` it says it wrote, with their `digest` and what is `told` of
    them."""

    cpu: float
    wall: float
    memory: int
    rows: int
    read: int | None = None
    written: int | None = None
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
    with _asking(topic, folder) as ask:
        for _ in range(repeats):
            for variant in topic.variants:
                costs[variant.name].append(_run(topic, variant, folder, ask))
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


def digest_rows(files: Iterable[Path], columns: Sequence[str]) -> str:
    """A digest of some columns of Parquet files, as texts: the same for the same rows in any order, and for entries of
    maps in any order. Empty where there are no such files or columns: then the files are no result of the job."""
    listed = [str(path) for path in files]
    if not listed:
        return ""
    with duckdb.connect() as connection:
        rows = f"read_parquet({listed}, hive_partitioning = false)"
        kinds = dict(
            connection.execute(f"select column_name, column_type from (describe from {rows})").fetchall()
        )
        if not set(columns) <= set(kinds):
            return ""
        texts = [
            f"cast({f'list_sort(map_entries({name}))' if kinds[name].startswith('MAP') else name} as varchar)"
            for name in columns
        ]
        (total,) = connection.execute(
            f"select sum(cast(hash({', '.join(texts)}) as hugeint)) from {rows}"
        ).fetchone()
    return str(total)


def _run(topic: Topic, variant: Variant, folder: Path, ask: Callable[[str], str]) -> Cost:
    output = folder / "output"
    output.mkdir()
    usage = run(
        [sys.executable, "-m", "include.benchmark", topic.name, variant.name, str(folder)], listens=True
    )
    digest = ask("digest") if topic.digest else ""
    told = ask("tell") if topic.tell else ""
    _remove(output)
    rows = json.loads(usage.output)["rows"]
    return Cost(usage.cpu, usage.wall, usage.peak, rows, usage.read, usage.written, digest, told)


@contextmanager
def _asking(topic: Topic, folder: Path) -> Iterator[Callable[[str], str]]:
    """Asks what the topic says of the output that is there, in a process of its own, as the inputs are made: its memory
    shall not count for the variants after it. One process answers all, since most of an answer is its imports."""
    command = [sys.executable, "-m", "include.benchmark", topic.name, "answer", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(what: str) -> str:
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"{topic.name}: {what!r} of the output could not be told")
            return json.loads(answer)

        yield ask


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _median(costs: list[Cost]) -> Cost:
    def median(name: str) -> float | None:
        found = [value for cost in costs if (value := getattr(cost, name)) is not None]
        return statistics.median(found) if found else None

    seconds = {name: round(median(name), 2) for name in ("cpu", "wall")}
    moved = {name: None if (value := median(name)) is None else int(value) for name in ("read", "written")}
    return replace(costs[0], **seconds, memory=int(median("memory")), **moved)
