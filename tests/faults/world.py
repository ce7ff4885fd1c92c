"""A small company after its first day, and what an undisturbed second day publishes, which faults are held against."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyarrow.parquet import read_metadata

from include.lake import Lake, hash_file
from tests.company import ABOUT_THE_RUN, table_digests
from tests.faults.flow import Outcome, Task, make_company, run_tasks, run_whole

DAYS = (date(2017, 12, 1), date(2017, 12, 2), date(2017, 12, 3))
# What the names of files about the run begin with: tables, and what is made of all of them.
FILES_ABOUT_THE_RUN = (
    *(table.replace(".", "/") for table in sorted(ABOUT_THE_RUN)),
    "tandem.duckdb",
    "report/",
    "manifest.json",
)


# Columns that say in which file a row came, another one when it comes late; and an id that stays once it is given.
OF_ARRIVAL = ("landed_on", "exact_id")


@dataclass(frozen=True)
class Published:
    """What readers see: the release, a digest of the values of each table but for when and where its rows came, its
    rows, and a hash of the bytes of each file."""

    release: str
    values: dict[str, str]
    rows: dict[str, int]
    files: dict[str, str]


@dataclass(frozen=True)
class World:
    """The company's lake and configuration, the tasks of its day, its state after the first day, and the undisturbed
    second day with the seconds that each task took, the most memory in bytes, and whose record was whose."""

    lake: Lake
    config: Path
    tasks: list[Task]
    after_the_first_day: Path
    undisturbed: Published
    seconds: tuple[float, ...]
    peak: int
    undisturbed_nodes: Path

    @property
    def sources(self) -> Path:
        """Where the files of the channels lie."""
        return self.lake.data / "demo"

    def reset(self) -> None:
        """Go back to the first day, in the same place, because dbt's views name their files."""
        shutil.rmtree(self.lake.data)
        shutil.copytree(self.after_the_first_day, self.lake.data, symlinks=True)

    def run(
        self,
        tasks: list[Task] | None = None,
        day: date = DAYS[1],
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run tasks of a day to their end, all when none are given. Raises RunFailed."""
        return run_whole(self.tasks if tasks is None else tasks, self.config, self.lake, day, environment)

    def strike(
        self,
        tasks: list[Task],
        kill: tuple[int, float] | None = None,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Outcome:
        """Run tasks of the second day with a fault, however they end."""
        return run_tasks(tasks, self.config, self.lake.data, DAYS[1], kill, environment, limits)

    def before(self, task: Task) -> tuple[list[Task], list[Task]]:
        """The tasks before one, and the rest."""
        place = self.tasks.index(task)
        return self.tasks[:place], self.tasks[place:]

    def published(self) -> Published:
        return published(self.lake)


def make_world(folder: Path) -> World:
    """Make the company and run it for two days, the second one undisturbed."""
    lake, config, tasks = make_company(folder, days=3)
    run_whole(tasks, config, lake, DAYS[0])
    kept = folder / "after_the_first_day"
    shutil.copytree(lake.data, kept, symlinks=True)
    done = run_whole(tasks, config, lake, DAYS[1])
    nodes = folder / "undisturbed_nodes.parquet"
    shutil.copyfile(lake.identity(DAYS[1], "node_customers"), nodes)
    return World(lake, config, tasks, kept, published(lake), done.seconds, done.peak, nodes)


def published(lake: Lake) -> Published:
    """What the current release of a lake holds."""
    release = lake.current.resolve()
    files = {
        path.relative_to(release).as_posix(): hash_file(path) for path in release.rglob("*") if path.is_file()
    }
    tables = {
        f"{path.parent.name}/{path.stem}": read_metadata(path).num_rows
        for path in release.glob("*/*.parquet")
    }
    values = {name.replace(".", "/"): digest for name, digest in table_digests(release, OF_ARRIVAL).items()}
    return Published(release.name, values, tables, files)


def differences(left: Published, right: Published) -> list[str]:
    """How two runs differ in what they published, but for what is about the run itself."""
    found = [] if left.release == right.release else [f"release {right.release}, undisturbed {left.release}"]
    for what, one, other in (("values", left.values, right.values), ("bytes", left.files, right.files)):
        found += [
            f"{what} of {name} differ"
            for name in sorted(one.keys() | other.keys())
            if one.get(name) != other.get(name) and not name.startswith(FILES_ABOUT_THE_RUN)
        ]
    return found


def rows_lost(before: Published, now: Published) -> int:
    """How many rows fewer the tables have, but for those about the run itself."""
    return sum(
        max(0, rows - now.rows.get(name, 0))
        for name, rows in before.rows.items()
        if not name.startswith(FILES_ABOUT_THE_RUN)
    )
