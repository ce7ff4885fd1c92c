"""What a destination holds, as far as it was told: the basis of what is still to be sent.

A destination holds what the last complete delivery of an audience left there: one file. While a delivery is under way,
or after one that broke off, it holds something between several: what all of them have it surely holds, what any of them
has it may hold.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from include.activate.files import Layout, rows_of, write_set
from include.lake import Lake, hash_file, replacing

LAYOUT, ACKNOWLEDGED = "layout.json", "acknowledged.txt"
NAME_CHARACTERS = 16


@dataclass(frozen=True)
class Held:
    """The folder of one destination and audience, with the files that it may hold and the requests of the delivery
    under way that it took."""

    folder: Path

    @property
    def layout(self) -> Layout | None:
        return Layout(self._said["file"], tuple(self._said["columns"])) if self._said else None

    @property
    def place(self) -> tuple[str, ...]:
        """What its rows were put into, as `Destination.place_of`: as much of it as was written down."""
        return tuple(part for part in self._said.get("place", ()) if part)

    @property
    def _said(self) -> dict[str, Any]:
        path = self.folder / LAYOUT
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def states(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.*") if path.name not in (LAYOUT, ACKNOWLEDGED))

    @property
    def acknowledged(self) -> frozenset[str]:
        path = self.folder / ACKNOWLEDGED
        return frozenset(path.read_text().split()) if path.exists() else frozenset()

    def acknowledge(self, key: str) -> None:
        """Remember that a request was taken."""
        with (self.folder / ACKNOWLEDGED).open("a") as handle:
            handle.write(key + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def holds(self, target: Path) -> bool:
        """Whether the destination surely holds this file and nothing else."""
        return [path.stem for path in self.states] == [_name(target)]

    def may_lapse(self, day: date, days: int | None) -> bool:
        """Whether the destination soon forgets members whom nobody tells it of again: half of the days are gone for
        which it may keep them."""
        told_on = self._said.get("told_on")
        if not days or not self.states:
            return False
        return told_on is None or day >= date.fromisoformat(told_on) + timedelta(days=(days + 1) // 2)

    def count(self, engine: duckdb.DuckDBPyConnection) -> int:
        """Rows that the destination may hold."""
        layout = self.layout
        if not layout or not self.states:
            return 0
        return engine.execute(f"select count(*) from ({self.perhaps(layout)})").fetchone()[0]

    def perhaps(self, layout: Layout) -> str:
        """SQL for the rows that the destination may hold; there is a state of it."""
        return " union ".join(f"(from {rows_of(path, layout)})" for path in self.states)

    def begin(
        self,
        engine: duckdb.DuckDBPyConnection,
        target: Path,
        layout: Layout,
        place: tuple[str, ...],
        scratch: Path,
        everybody: bool = False,
    ) -> tuple[dict[str, Path], dict[str, int]]:
        """Note that the destination is being brought to hold `target`. Returns the files to `remove` and to `add` for
        it, in this order, and their rows: nobody is missing from them, whatever became of earlier deliveries. With
        `everybody` who is held is added again too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = self._said.get("delivery", 0) + (_name(target) not in {path.stem for path in self.states})
        told_on = self._said.get("told_on")
        said = {
            "file": layout.file, "columns": list(layout.columns), "place": place, "delivery": number,
            "told_on": told_on,
        }  # fmt: skip
        with replacing(self.folder / LAYOUT) as temporary:
            temporary.write_text(json.dumps(said))
        if not self.states:
            write_set(
                engine, f"from {rows_of(target, layout)} where false", self._path("none", layout), layout
            )
        states = self.states
        surely = " intersect ".join(f"(from {rows_of(path, layout)})" for path in states)
        held = f"from {rows_of(target, layout)} where false" if everybody else f"from ({surely})"
        changes = {
            "remove": f"(from ({self.perhaps(layout)})) except (from {rows_of(target, layout)})",
            "add": f"(from {rows_of(target, layout)}) except ({held})",
        }
        paths = {action: scratch / f"{action}.{layout.file}" for action in changes}
        rows = {action: write_set(engine, changes[action], paths[action], layout) for action in changes}
        if _name(target) not in {path.stem for path in states}:
            # What was taken of another delivery says nothing of this one.
            (self.folder / ACKNOWLEDGED).unlink(missing_ok=True)
            with replacing(self._path(_name(target), layout)) as temporary:
                shutil.copyfile(target, temporary)
        return paths, rows

    @property
    def state(self) -> str:
        """Names the delivery and what the destination may hold, so that a request is only ever the same as one that is
        tried again: a release may come back after a rollback."""
        return "+".join([str(self._said["delivery"]), *(path.stem for path in self.states)])

    def settle(self, target: Path, told_on: date | None = None) -> None:
        """Note that the destination holds `target` and nothing else, and was told of everybody on a day, if it was."""
        if told_on is not None:
            said = self._said | {"told_on": f"{told_on:%Y-%m-%d}"}
            with replacing(self.folder / LAYOUT) as temporary:
                temporary.write_text(json.dumps(said))
        for path in self.states:
            if path.stem != _name(target):
                path.unlink()
        (self.folder / ACKNOWLEDGED).unlink(missing_ok=True)

    def forget(self) -> None:
        """Forget what is here: the destination holds nothing."""
        shutil.rmtree(self.folder)

    def _path(self, name: str, layout: Layout) -> Path:
        return self.folder / f"{name}.{layout.file}"


def held_audiences(lake: Lake) -> list[tuple[str, str]]:
    """Every destination and audience of it that something was sent of."""
    folder = lake.held("*", "*").parents[1]
    return sorted((path.parent.name, path.name) for path in folder.glob("*/*") if path.is_dir())


def _name(target: Path) -> str:
    return hash_file(target)[:NAME_CHARACTERS]
