"""`make faults`: kills the run of a day at random moments, and compares what it publishes with an undisturbed run.

    python -m tests.faults [--kills 200] [--seed 7] [--folder F]

Two business days of a small company are run. The second runs twice from the same state: once undisturbed, and once
killed with SIGKILL at moments drawn evenly over its time, each task at least once; what was killed is tried again, as
Airflow would. After every kill readers must find the release of the first day whole; at the end both runs must have
published the same release, with the same bytes where a file says nothing of the run itself.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from include.lake import Lake, hash_file
from include.publish import verify_release
from tests.company import table_digests
from tests.faults.flow import Task, make_company, run_tasks, run_whole

DAYS = (date(2017, 12, 1), date(2017, 12, 2))
# These differ from run to run though nothing that was published does.
ABOUT_THE_RUN = (
    "ops/run_costs",
    "ops/quality_results",
    "ops/releases",
    "tandem.duckdb",
    "report/",
    "manifest.json",
)


@dataclass(frozen=True)
class Published:
    """What readers see: the release, a digest of the values of each table, and a hash of the bytes of each file."""

    release: str
    values: dict[str, str]
    files: dict[str, str]


def main() -> int:
    """Returns the exit code: 1 when anything differs or was not whole."""
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="tandem-faults-"))
    kept = folder / "after_the_first_day"
    lake, config, tasks = make_company(folder, days=2)
    run_whole(tasks, config, lake, DAYS[0])
    shutil.copytree(lake.data, kept, symlinks=True)
    seconds = run_whole(tasks, config, lake, DAYS[1])
    undisturbed = _published(lake)
    # In the same place, because dbt's views name their files.
    shutil.rmtree(lake.data)
    kept.rename(lake.data)
    killed, problems = _strike(tasks, seconds, config, lake, options)
    problems += differences(undisturbed, _published(lake))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print(f"{killed} kills in {len(tasks)} tasks, {len(problems)} problems")
    if not problems and not options.folder:
        shutil.rmtree(folder)
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often the run is killed")
    parser.add_argument("--seed", type=int, default=7, help="of the moments")
    parser.add_argument("--folder", help="where to work; a temporary one when not given")
    return parser.parse_args()


def _strike(
    tasks: list[Task], seconds: tuple[float, ...], config: Path, lake: Lake, options: argparse.Namespace
) -> tuple[int, list[str]]:
    """Run the second day and kill it some times in each task, trying again what was killed. Returns how often it was
    killed, and what was wrong."""
    draw, killed, problems = random.Random(options.seed), 0, []
    more = draw.choices(range(len(tasks)), weights=seconds, k=max(0, options.kills - len(tasks)))
    strikes = Counter([*range(len(tasks)), *more])
    seen = {lake.current.resolve().name}
    for number, task in enumerate(tasks):
        longest, left, tries = seconds[number], strikes[number], 3 * strikes[number]
        while left and tries:
            tries -= 1
            outcome = run_tasks([task], config, lake.data, DAYS[1], kill=(0, draw.uniform(0, longest)))
            if outcome.code > 0:
                return killed, [*problems, f"{task} failed after {killed} kills: {outcome.said}"]
            if outcome.code == 0:
                # It ended before its moment came: the next one comes earlier.
                longest = min(longest, outcome.seconds[-1])
                continue
            left, killed = left - 1, killed + 1
            print(f"{killed}: killed in {task}, {outcome.seconds[-1]:.2f} s after it began", flush=True)
            problems += [f"after a kill in {task}: {problem}" for problem in verify_release(lake.current)]
            seen.add(lake.current.resolve().name)
        outcome = run_tasks([task], config, lake.data, DAYS[1])
        if outcome.code:
            return killed, [*problems, f"{task} failed after {killed} kills: {outcome.said}"]
    if len(seen) > 2:
        problems.append(f"readers saw {len(seen)} releases: {', '.join(sorted(seen))}")
    return killed, problems


def _published(lake: Lake) -> Published:
    release = lake.current.resolve()
    files = {
        path.relative_to(release).as_posix(): hash_file(path) for path in release.rglob("*") if path.is_file()
    }
    values = {name.replace(".", "/"): digest for name, digest in table_digests(release).items()}
    return Published(release.name, values, files)


def differences(left: Published, right: Published) -> list[str]:
    """How two runs differ in what they published, but for what is about the run itself."""
    found = [] if left.release == right.release else [f"release {right.release}, undisturbed {left.release}"]
    for what, one, other in (("values", left.values, right.values), ("bytes", left.files, right.files)):
        found += [
            f"{what} of {name} differ"
            for name in sorted(one.keys() | other.keys())
            if one.get(name) != other.get(name) and not name.startswith(ABOUT_THE_RUN)
        ]
    return found


if __name__ == "__main__":
    sys.exit(main())
