"""A small company after its first day, and what an undisturbed second day publishes, which faults are held against."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from include.lake import Lake, hash_file
from tests.company import ABOUT_THE_RUN, table_digests
from tests.faults.flow import Task, make_company, run_whole

DAYS = (date(2017, 12, 1), date(2017, 12, 2), date(2017, 12, 3))
# What the names of files about the run begin with: tables, and what is made of all of them.
FILES_ABOUT_THE_RUN = (
    *(table.replace(".", "/") for table in sorted(ABOUT_THE_RUN)),
    "tandem.duckdb",
    "report/",
    "manifest.json",
)


# Columns that say in which file a row came: another one when it comes late.
PLACES = ("landed_on",)


@dataclass(frozen=True)
class Published:
    """What readers see: the release, a digest of the values of each table but for where its rows came from, a hash of
    the bytes of each file, and what the run took: CPU seconds by step and part, and the most memory of a process in
    bytes."""

    release: str
    values: dict[str, str]
    files: dict[str, str]
    cpu: dict[str, float]
    peak: int


@dataclass(frozen=True)
class World:
    """The company's lake and configuration, the tasks of its day, its state after the first day, and the undisturbed
    second day with the seconds that each task took and whose record was whose."""

    lake: Lake
    config: Path
    tasks: list[Task]
    after_the_first_day: Path
    undisturbed: Published
    seconds: tuple[float, ...]
    undisturbed_nodes: Path

    @property
    def sources(self) -> Path:
        """Where the files of the channels lie."""
        return self.lake.data / "demo"

    def reset(self) -> None:
        """Go back to the first day, in the same place, because dbt's views name their files."""
        shutil.rmtree(self.lake.data)
        shutil.copytree(self.after_the_first_day, self.lake.data, symlinks=True)

    def run(self, tasks: list[Task] | None = None, day: date = DAYS[1]) -> None:
        """Run tasks of a day, all when none are given. Raises RunFailed."""
        run_whole(self.tasks if tasks is None else tasks, self.config, self.lake, day)

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
    seconds = run_whole(tasks, config, lake, DAYS[1])
    nodes = folder / "undisturbed_nodes.parquet"
    shutil.copyfile(lake.identity(DAYS[1], "node_customers"), nodes)
    return World(lake, config, tasks, kept, published(lake), seconds, nodes)


def published(lake: Lake) -> Published:
    """What the current release of a lake holds."""
    release = lake.current.resolve()
    files = {
        path.relative_to(release).as_posix(): hash_file(path) for path in release.rglob("*") if path.is_file()
    }
    costs = duckdb.sql(
        f"select concat_ws(' ', step, part), sum(cpu_seconds), max(peak_memory_bytes) "
        f"from read_parquet('{release}/ops/run_costs.parquet') group by all order by all"
    ).fetchall()
    return Published(
        release.name,
        {name.replace(".", "/"): digest for name, digest in table_digests(release, PLACES).items()},
        files,
        {part: cpu for part, cpu, _ in costs},
        max(peak for *_, peak in costs),
    )


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
