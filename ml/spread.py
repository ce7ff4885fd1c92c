"""Learners that score everybody in parts: one task trains, each part is scored by a task of its own, wherever there is
room, and one task makes the table of what the parts wrote.

What passes between them lies in `lake.spread(day, task)`, which the next run sweeps.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import joblib
import pyarrow.parquet as pq

from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.settings import settings
from ml.registry import Summary


@dataclass(frozen=True)
class Part:
    """One of the parts in which everybody is scored, counted from 0."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.of}"

    @classmethod
    def read(cls, text: str) -> Part:
        """The part that `str` gave. Raises ValueError."""
        found = re.fullmatch(r"([1-9]\d*) of ([1-9]\d*)", text)
        if found is None or int(found[1]) > int(found[2]):
            raise ValueError(f"a part: found {text!r}, allowed: a text like '2 of 3'")
        return cls(int(found[1]) - 1, int(found[2]))


@dataclass(frozen=True)
class Spread:
    """What one learner's tasks hand to each other."""

    task: str
    folder: Path

    @classmethod
    def of(cls, lake: Lake, day: date, task: str) -> Spread:
        return cls(task, lake.spread(day, task))

    def begin(self) -> None:
        """Forget what an earlier try of the day left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def keep(self, name: str, value: Any) -> None:
        """Hand a value on, by pickle; our own processes alone read it."""
        content = io.BytesIO()
        joblib.dump(value, content)
        with replacing(self.folder / f"{name}.joblib") as path:
            path.write_bytes(content.getbuffer())

    def load(self, name: str) -> Any:
        """Raises StepFailed when nothing was handed on."""
        return joblib.load(self._there(self.folder / f"{name}.joblib", "train"))

    def hand_on(self, summary: Summary, edges: list[int] | None = None) -> int:
        """End the training: what is said of it, whose rows are not counted yet, and the rows with which parts begin and
        the last one ends, or nothing where nothing is to be scored. Returns how many parts score."""
        edges = edges or [0]
        self.keep("summary", (summary, edges))
        return len(edges) - 1

    def rows(self, part: Part) -> range:
        """The rows that a part scores."""
        _, edges = self.load("summary")
        return range(edges[part.number], edges[part.number + 1])

    def handed_on(self) -> tuple[Summary, list[Path]]:
        """What training said, and what each part wrote, in their order. Raises StepFailed when a part is missing."""
        summary, _ = self.load("summary")
        return summary, [self._there(self.path(part), "score") for part in self.parts()]

    def parts(self) -> list[Part]:
        """The parts that are to be scored."""
        _, edges = self.load("summary")
        return [Part(number, len(edges) - 1) for number in range(len(edges) - 1)]

    def path(self, part: Part) -> Path:
        """Where a part writes what it scored."""
        return self.folder / f"part-{part.number:05}-of-{part.of:05}.parquet"

    def _there(self, path: Path, task: str) -> Path:
        if not path.exists():
            raise StepFailed(
                f"{self.task}: {path.name} is not there; clear the task {task} of {self.task}, with those after it"
            )
        return path


def share(rows: int, block: int) -> list[int]:
    """Where the parts of so many rows begin, and the last one ends: as few parts as the settings allow, of whole blocks
    counted from the first row, so that what is scored block by block is the same to the last bit however many parts
    there are. A block has no more rows than a task may have."""
    most = settings().rows_per_task
    block = min(block, most)
    parts, blocks = -(-rows // most), -(-rows // block)
    return [min(rows, blocks * number // parts * block) for number in range(parts + 1)] if rows else [0]


def join_parts(paths: list[Path], path: Path) -> int:
    """Put tables of one schema one after the other, a row group at a time. Returns the number of rows."""
    rows = 0
    with replacing(path) as temporary:
        schema = pq.read_schema(paths[0])
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in _row_groups(paths):
                writer.write_table(table)
                rows += table.num_rows
    return rows


def _row_groups(paths: list[Path]) -> Iterator[Any]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, use_threads=False)


def in_one_process(
    train: Callable[[Lake, date, Any], int],
    score: Callable[[Lake, date, Part], None],
    gather: Callable[[Lake, date], Summary],
    lake: Lake,
    day: date,
    told: Any,
) -> Summary:
    """Train by what the configuration says, score every part and gather, one after the other."""
    parts = train(lake, day, told)
    for number in range(parts):
        score(lake, day, Part(number, parts))
    return gather(lake, day)
