"""Killed, crowded, out of space or not allowed to write: a run fails clearly, readers keep the last release, and the
next run publishes what an undisturbed one would have. `make faults` does such things to whole runs."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from include import pipeline
from include.config import Configuration
from include.lake import Lake
from include.launch import alone
from include.ledger import StepFailed
from include.publish import point_readers_to, seal_release, verify_release, write_release
from include.publish.release import current_release
from include.settings import PROJECT, Settings
from tests.company import ABOUT_THE_RUN, DAYS, Company, table_digests
from tests.faults.__main__ import NAMES
from tests.faults.flow import Task, run_tasks, tasks_of
from tests.faults.reliability import faults
from tests.include.quality.small_lake import DAY, SmallLake

NEXT_DAY = date(2017, 12, 2)
# What is killed here, at a moment drawn from so many seconds after it began.
STRUCK = {
    Task("open_run"): 0.3,
    Task("activate"): 0.3,
    Task("build", ("publish",)): 6.0,
    Task("write_release"): 0.05,
    Task("swap_release"): 1.0,
}


def test_every_test_of_the_list_of_faults_is_there() -> None:
    """And every fault has a test, or is done to a whole run."""
    listed = faults()
    assert {fault.whole for fault in listed if fault.whole} == set(NAMES)
    assert all(fault.tests or fault.whole for fault in listed)
    for name in {name for fault in listed for name in fault.tests}:
        path, _, test = name.partition("::")
        assert (PROJECT / path).exists(), name
        assert not test or f"def {test}(" in (PROJECT / path).read_text(), name


def child(code: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True
    )


def test_the_tasks_that_are_killed_are_those_of_the_dag() -> None:
    files = ("dags/customer_audiences.py", "include/airflow_spread.py")
    text = "".join((PROJECT / file).read_text() for file in files)
    called = {
        name
        for name in re.findall(r'"(\w+)"', text)
        if getattr(getattr(pipeline, name, None), "__module__", "") == pipeline.__name__
    }
    assert {task.function for task in tasks_of(["web"])} == called


def test_a_run_that_is_killed_publishes_what_it_would_have(two_days: Company, tmp_path: Path) -> None:
    data, draw = tmp_path / "data", random.Random(11)
    shutil.copytree(two_days.data, data, symlinks=True)
    lake = Lake(data)
    first, second = two_days.releases[:2]
    point_readers_to(lake, first)
    shutil.rmtree(lake.published / "releases" / second)
    codes = []
    for number, (task, seconds) in enumerate(STRUCK.items()):
        kill = (0, draw.uniform(0, seconds))
        outcome = run_tasks(list(STRUCK)[number:], two_days.config, data, DAYS[1], kill)
        codes.append(outcome.code)
        assert verify_release(lake.current) == ()
        rest = run_tasks([task], two_days.config, data, DAYS[1])
        assert rest.code == 0, f"{task}: {rest.said}"
    # The last may have ended before its moment came.
    assert codes[:4] == [-signal.SIGKILL] * 4
    assert codes[4] in (0, -signal.SIGKILL)
    assert current_release(lake).name == second
    digests = table_digests(lake.current)
    different = {name for name in digests if digests[name] != two_days.digests[1][name]}
    assert different <= ABOUT_THE_RUN
    assert not [path for path in (lake.published / "releases").iterdir() if path.name.startswith(".")]


CROWDED = """
import sys, time
from datetime import date
from pathlib import Path
from include.config import load_configuration
from include.lake import Lake
from include.ledger import StepFailed
from include.publish import seal_release, write_release

lake, configuration, start = Lake(Path(sys.argv[1])), load_configuration(Path(sys.argv[2])), float(sys.argv[3])
day = date(2017, 12, 1)
while time.time() < start:
    time.sleep(0.01)
for _ in range(4):
    try:
        print(seal_release(lake, day, configuration, write_release(lake, day, configuration)).release_id)
    except StepFailed as failure:
        print("failed:", failure)
"""


def test_two_runs_at_once_take_turns_and_publish_whole_releases(
    small: SmallLake, configuration: Configuration
) -> None:
    small.change(small.lake.table("cdp", "customers"), "select *, 1 as added from old")
    arguments = [small.lake.data, configuration.folder, time.time() + 6]
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", CROWDED, *map(str, arguments)],
            cwd=PROJECT,
            text=True,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = [line for process in crowd for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in crowd] == [0, 0]
    published = {line for line in said if not line.startswith("failed:")}
    assert published == {current_release(small.lake).name}
    assert {line.partition(": ")[2][:8] for line in said if line.startswith("failed:")} <= {"publish:"}
    assert verify_release(small.lake.current) == ()
    tables = [
        entry
        for entry in json.loads((small.lake.current / "manifest.json").read_text())["files"]
        if "table" in entry
    ]
    assert len(tables) == len(list((small.lake.root / "tables").glob("*/*.parquet"))) + 1


CROWDED_START = """
import sys, time
from pathlib import Path
from include.launch import RunFailed, alone

data, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0, start - time.time()))
try:
    with alone(data):
        time.sleep(float(sys.argv[3]))
except RunFailed as failure:
    sys.exit(str(failure))
"""


def test_of_runs_that_start_at_once_one_goes_on(tmp_path: Path) -> None:
    """Eight starts within a second, at offsets of no pattern; whoever is first holds the folder longer than that."""
    draw, start = random.Random(11), time.time() + 6
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", CROWDED_START, str(tmp_path), str(start + draw.random()), "4"],
            cwd=PROJECT, text=True, stderr=subprocess.PIPE,
        )
        for _ in range(8)
    ]  # fmt: skip
    said = [process.communicate()[1].strip() for process in crowd]
    assert sorted(process.returncode for process in crowd) == [0, *[1] * 7]
    busy = f"another run uses {tmp_path}: wait for it, or give another DATA folder"
    assert sorted(said) == ["", *[busy] * 7]


@pytest.mark.parametrize("day", [DAY, NEXT_DAY], ids=["the same day", "another day"])
def test_a_run_beside_another_ends_at_once_with_a_clear_line(
    day: date, configuration: Configuration, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "include", "run", "--config", str(configuration.folder)]
    with alone(tmp_path):
        done = subprocess.run(
            [*command, "--data", str(tmp_path), "--date", f"{day}"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"another run uses {tmp_path}: wait for it, or give another DATA folder"
    ]
    assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]  # Airflow did not start


def test_a_task_of_another_day_is_refused_once_a_new_run_has_begun(
    make_company: Callable[[str], Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    company = make_company("fence")
    settings = Settings(company.config, company.data, "duckdb", 2, "500MB")
    monkeypatch.setattr(pipeline, "settings", lambda: settings)
    pipeline.open_run(DAYS[0])
    orphan = company.lake.table("cdp", "customers").with_name("tmp_customers.parquet")
    orphan.parent.mkdir(parents=True)
    orphan.write_text("half")
    pipeline.open_run(DAYS[1])
    assert not orphan.exists()
    with pytest.raises(
        StepFailed, match="the run of 2017-12-02 began after that of 2017-12-01 and has the lake"
    ):
        pipeline.write_release(DAYS[0])


FULL_DISK = """
import resource, sys
from datetime import date
from pathlib import Path
from include.config import load_configuration
from include.lake import Lake
from include.publish import seal_release, verify_release, write_release
from include.publish.release import current_release

lake, configuration = Lake(Path(sys.argv[1])), load_configuration(Path(sys.argv[2]))
before = current_release(lake)
for limit in map(int, sys.argv[3:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        seal_release(lake, date(2017, 12, 2), configuration, write_release(lake, date(2017, 12, 2), configuration))
        print(limit, "published")
    except Exception as error:
        print(limit, type(error).__name__, str(error).splitlines()[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert verify_release(before) == () and (current_release(lake) == before or limit > 10**8)
"""


def test_a_full_disk_is_a_clear_failure_and_readers_keep_the_last_release(
    small: SmallLake, configuration: Configuration
) -> None:
    seal_release(small.lake, DAY, configuration, write_release(small.lake, DAY, configuration))
    limits = [1, 100, 5_000, 20_000, 100_000, 1_000_000, 10**9]
    done = child(FULL_DISK, small.lake.data, configuration.folder, *limits)
    assert done.returncode == 0, done.stderr
    *failed, last = done.stdout.splitlines()
    assert last == f"{10**9} published"
    assert len(failed) == len(limits) - 1
    for line in failed:
        assert re.search(r"File too large|too large|Could not write", line), line
    assert current_release(small.lake).name.startswith("2017-12-02")
    assert verify_release(small.lake.current) == ()


READ_ONLY = """
import os, sys
from datetime import date
from pathlib import Path
from include.config import load_configuration
from include.lake import Lake
from include.publish import seal_release, write_release

lake, configuration = Lake(Path(sys.argv[1])), load_configuration(Path(sys.argv[2]))
seal_release(lake, date(2017, 12, 1), configuration, write_release(lake, date(2017, 12, 1), configuration))
(lake.published / "releases").chmod(0o555)
(lake.data / ".publish.lock").chmod(0o666)
if os.geteuid() == 0:
    os.seteuid(65534)  # whom no folder's owner lets write there
write_release(lake, date(2017, 12, 2), configuration)
"""


def test_a_folder_that_cannot_be_written_to_is_named_and_readers_keep_the_last_release(
    small: SmallLake, configuration: Configuration
) -> None:
    with tempfile.TemporaryDirectory() as place:
        lake = Lake(Path(place) / "data")
        Path(place).chmod(0o755)  # the folder of the tests is closed to others
        shutil.copytree(small.lake.data, lake.data)
        done = child(READ_ONLY, lake.data, configuration.folder)
        (lake.published / "releases").chmod(0o755)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert re.fullmatch(
            r"PermissionError: .* Permission denied: '.*/releases/\.building-2017-12-02'", last
        ), last
        assert verify_release(lake.current) == ()
        assert current_release(lake).name.startswith("2017-12-01")
