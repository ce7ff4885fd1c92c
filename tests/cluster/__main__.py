"""`python -m tests.cluster [--days N] [--folder F]`: the DAG across two Celery workers, one of which is lost.

A small company is run in one process, as `make run` does it. Then the same files are run by an Airflow with
PostgreSQL, Redis and two workers, as a backfill of the days; while customers of the first day are scored, part by part
on both, one worker is killed with all that it runs. The company's CRM is read from an object storage, and its releases
are served there. Ends with an error unless both workers have run tasks, the lost ones were tried again
on the other, and each day published the same.

The daily run of today comes first, as a new Airflow makes one: it finds no file of today, has to fail, and may leave
nothing behind that the days of the backfill show. A day takes about eight minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from include.airflow_home import AirflowHome
from include.lake import Lake, hash_file
from include.launch import DAG_ID, run_dag
from include.publish.reuse import release_of
from tests.cluster.services import (
    BUCKET,
    WORKERS,
    Cluster,
    bucket_of,
    cluster,
    lake_connection,
    object_storage,
)
from tests.company import ABOUT_THE_RUN, table_digests
from tests.faults.flow import make_company

FIRST_DAY = date(2017, 12, 1)
WAITED = 3_600  # seconds for a run
LOST, LEFT = WORKERS
PEOPLE = "20"  # that a task scores
SCORING = "learn.recommendation.score "

Rows = list[dict[str, Any]]


def main() -> int:
    """Returns the exit code: 1 when anything is not as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, help="where to work, and to go on; a temporary one when not given"
    )
    parser.add_argument("--port", type=int, default=8097, help="of the API; Redis takes the next one")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped as well
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="tandem-cluster-"))).resolve()
    days = [FIRST_DAY + timedelta(days=number) for number in range(options.days)]
    lake, config, alone = Lake(folder / "data"), folder / "config", Lake(folder / "alone")
    home = AirflowHome(lake.data)
    if not alone.data.exists():
        make_company(folder, days=options.days)
        _move_to_storage(config)
        shutil.copytree(lake.data, alone.data)
    with object_storage() as endpoint, patch.dict(os.environ, _told(endpoint)):
        for path in (lake.data / "demo" / "crm").iterdir():
            bucket_of(endpoint).upload_file(str(path), f"crm/{path.name}")
        for day in days:
            if release_of(alone, day) is None:
                print(f"{day}: alone, {run_dag(config, alone.data, day):.0f} s", flush=True)
        bucket_of(endpoint).objects.filter(Prefix="releases/").delete()
        with cluster(home, config, options.port) as running:
            problems = _run_across(running, days)
        for day in days:
            problems += _compare(f"{day}", _published(alone, day), _published(lake, day))
        served = json.load(bucket_of(endpoint).Object("releases/current.json").get()["Body"])
        problems += _compare("the release that is served", release_of(alone, days[-1]), served["release_id"])
        problems += _compare(
            "the files that are served",
            {
                path.relative_to(lake.current).as_posix(): hash_file(path)
                for path in lake.current.rglob("*")
                if path.is_file()
            },
            {
                each.key.removeprefix(f"releases/{served['release']}/"): sha256(
                    each.get()["Body"].read()
                ).hexdigest()
                for each in bucket_of(endpoint).objects.filter(Prefix=f"releases/{served['release']}/")
            },
        )
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print(f"{len(days)} days across {LOST} and {LEFT}, {LOST} lost: {len(problems)} problems")
    if not problems and not options.folder:
        shutil.rmtree(folder)
        shutil.rmtree(home.path)
    return 1 if problems else 0


def _told(endpoint: str) -> dict[str, str]:
    """What the environment tells both Airflows: one key of visitors, the object storage, and small parts."""
    return {
        "TANDEM_ROWS_PER_TASK": PEOPLE,
        "TANDEM_PSEUDONYM_KEY": "a key for the tests alone",
        "AIRFLOW_CONN_LAKE": lake_connection(endpoint),
    }


def _move_to_storage(config: Path) -> None:
    """Have the CRM deliver to the object storage, and releases be served there."""
    channels = (config / "channels.yml").read_text()
    here = 'path: "{demo}/crm/customers_{date}.csv"'
    there = f'path: "s3://{BUCKET}/crm/customers_{{date}}.csv", connection: lake'
    assert here in channels
    (config / "channels.yml").write_text(channels.replace(here, there))
    (config / "publishing.yml").write_text(f"storage: {{url: s3://{BUCKET}/releases, connection: lake}}\n")


def _run_across(running: Cluster, days: list[date]) -> list[str]:
    """Run the days on the workers, and lose one of them. Returns what is not as it has to be."""
    running.ask("PATCH", f"dags/{DAG_ID}", is_paused=False)
    today = _wait(running, "scheduled", lambda runs: runs[0] if runs and runs[0]["end_date"] else None)
    problems = _compare("the run of today, of which there is no file", "failed", today["state"])
    midnights = [f"{day + timedelta(days=1)}T00:00:00Z" for day in days]
    running.ask(
        "POST", "backfills",
        dag_id=DAG_ID, max_active_runs=1, run_backwards=False, from_date=midnights[0], to_date=midnights[-1],
    )  # fmt: skip
    lost = _lose_a_worker(running)
    for number, day in enumerate(days):
        run = _wait(running, "backfill", lambda runs, number=number: _nth_ended(runs, number))
        print(f"{day}: across, {run['duration']:.0f} s, {run['state']}", flush=True)
        problems += _compare(f"the run of {day}", "success", run["state"])
    tasks = _tasks(running, _runs(running, "backfill")[0])
    ran_on = Counter(task["hostname"] for task in tasks if task["hostname"])
    print(", ".join(f"{number} tasks on {name}" for name, number in sorted(ran_on.items())), flush=True)
    problems += _compare("who ran tasks of the first day", sorted(WORKERS), sorted(ran_on))
    again = {_name(task): (task["try_number"], task["hostname"]) for task in tasks}
    return problems + [
        problem for task in lost for problem in _compare(f"lost {task}", (2, LEFT), again.get(task))
    ]


def _lose_a_worker(running: Cluster) -> list[str]:
    """Kill a worker while it scores a part. Returns what it had begun and not ended."""

    def begun(runs: Rows) -> list[str]:
        found = _tasks(running, runs[0]) if runs else []
        return [_name(task) for task in found if (task["state"], task["hostname"]) == ("running", LOST)]

    _wait(running, "backfill", lambda runs: any(name.startswith(SCORING) for name in begun(runs)))
    running.lose(LOST)
    lost = begun(_runs(running, "backfill"))
    print(f"{LOST} is lost with {', '.join(lost)}", flush=True)
    return lost or ["nothing"]


def _published(lake: Lake, day: date) -> dict[str, str]:
    """A digest of the values of each table that a day has published, and the id of its release."""
    release = release_of(lake, day)
    if release is None:
        return {"release": "none"}
    digests = table_digests(lake.published / "releases" / release)
    return {"release": release} | {
        name: digest for name, digest in digests.items() if name not in ABOUT_THE_RUN
    }


def _wait(running: Cluster, run_type: str, found: Callable[[Rows], Any]) -> Any:
    """Ask for the runs of a type until there is what is looked for."""
    until = time.monotonic() + WAITED
    while time.monotonic() < until:
        if answer := found(_runs(running, run_type)):
            return answer
        time.sleep(2)
    raise SystemExit(f"nothing came of the {run_type} runs within {WAITED} seconds")


def _nth_ended(runs: Rows, number: int) -> dict[str, Any] | None:
    return runs[number] if len(runs) > number and runs[number]["state"] in ("success", "failed") else None


def _runs(running: Cluster, run_type: str) -> Rows:
    query = f"run_type={run_type}&order_by=logical_date&limit=50"
    return running.ask("GET", f"dags/{DAG_ID}/dagRuns?{query}")["dag_runs"]


def _tasks(running: Cluster, run: dict[str, Any]) -> Rows:
    path = f"dags/{DAG_ID}/dagRuns/{quote(run['dag_run_id'])}/taskInstances?limit=100"
    return running.ask("GET", path)["task_instances"]


def _name(task: dict[str, Any]) -> str:
    return f"{task['task_id']} {task['rendered_map_index'] or ''}".strip()


def _compare(what: str, expected: object, found: object) -> list[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted(expected.keys() | found.keys())
        return [p for name in names for p in _compare(f"{what}, {name}", expected.get(name), found.get(name))]
    return [] if expected == found else [f"{what}: {found!r} instead of {expected!r}"]


if __name__ == "__main__":
    sys.exit(main())
