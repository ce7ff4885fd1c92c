"""Compares a backfill of thirty days in random order with a rebuild of their last: `make faults ONLY=shuffled`.

A company runs each of thirty days, later ones before earlier ones, and the last once more, as the next scheduled run
would. Another one runs the last day alone. What dbt makes of identities, customers, visitors and what both did has to
be equal; what is learned and published looks back on the runs before, which here were others.
"""

from __future__ import annotations

import random
import shutil
from datetime import date, timedelta
from pathlib import Path

from include.lake import Lake
from tests.company import table_digests
from tests.faults.flow import Task, make_company, run_whole
from tests.faults.scenarios import OF_EARLIER_RUNS, Finding

FIRST_DAY = date(2017, 12, 1)


def compare(folder: Path, days: int = 30) -> Finding:
    """Run the days in an order of no pattern, up to the gate of unify, beside a company that only runs the last."""
    lake, config, tasks = make_company(folder, days=days)
    # The shops are closed on the 25th, and some days so few people visit no site.
    channels = config / "channels.yml"
    channels.write_text(channels.read_text().replace("required: true", "required: false"))
    tasks = tasks[: tasks.index(Task("check", ("unify",))) + 1]
    rebuilt = Lake(folder / "rebuilt" / "data")
    shutil.copytree(lake.data, rebuilt.data)
    order = [FIRST_DAY + timedelta(days=number) for number in range(days)]
    last = order[-1]
    random.Random(days).shuffle(order)
    for day in (*order, last):
        run_whole(tasks, config, lake, day)
    run_whole(tasks, config, rebuilt, last)
    found, expected = _tables(lake), _tables(rebuilt)
    different = sorted(name for name in expected if found.get(name) != expected[name])
    return Finding(
        f"{days} days in random order, and the last once more: {len(expected)} tables, {len(different)} differ from a"
        " rebuild of the last day",
        tuple(f"{name} differs" for name in different),
        runs=days + 2,
        faults=days,
    )


def _tables(lake: Lake) -> dict[str, str]:
    digests = table_digests(lake.root / "tables")
    return {
        name: digest
        for name, digest in digests.items()
        if not name.replace(".", "/").startswith(OF_EARLIER_RUNS)
    }
