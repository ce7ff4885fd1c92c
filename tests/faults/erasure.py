"""Compares the run after an erasure with the run of a company that never took the person in: `make faults ONLY=erased`.

A small company runs a day, erases one of its customers, who has bought and browsed, and runs the day again. Another one
has the same sources and no memory: nothing of the person ever lands there. Both must publish the same values in every
table, but for what is about the run and the request themselves.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb

from include.lake import Lake
from include.privacy.requests.tombstones import tombstones_path
from include.publish import verify_release
from tests.company import ABOUT_THE_RUN, table_digests
from tests.faults.flow import Task, make_company, run_whole
from tests.faults.scenarios import Finding
from tests.faults.world import published, rows_lost

DAY = date(2017, 12, 1)
# What is of the run and of the request: how long it took, what was received, what was done for whom.
OF_THE_RUN = ABOUT_THE_RUN | {"ops.privacy_requests"}


def compare(folder: Path) -> Finding:
    """Erase somebody of a company, and run the day again beside a company that never took them in."""
    erased, config, tasks = make_company(folder, days=1)
    never = Lake(folder / "never" / "data")
    shutil.copytree(erased.data, never.data)
    run_whole(tasks, config, erased, DAY)
    before, email = table_digests(erased.current), _somebody(erased)
    run_whole(
        [Task("receive_requests", ("erasure", "email", email)), Task("fulfil_requests")], config, erased, DAY
    )
    run_whole(tasks, config, erased, DAY)
    # By the tombstones alone, which are hashes, nothing of the person lands in the first run either.
    tombstones_path(never).parent.mkdir(parents=True)
    shutil.copyfile(tombstones_path(erased), tombstones_path(never))
    run_whole(tasks, config, never, DAY)
    after, expected = table_digests(erased.current), table_digests(never.current)
    different = sorted(
        name for name in after.keys() | expected.keys() if after.get(name) != expected.get(name)
    )
    different = [name for name in different if name not in OF_THE_RUN]
    changed = sum(before[name] != after.get(name) for name in before if name not in OF_THE_RUN)
    problems = [f"{name} differs" for name in different] + ["nothing changed"] * (not changed)
    return Finding(
        f"{len(after)} tables, {changed} changed by the erasure, {len(different)} differ from never having been",
        tuple(problems),
        runs=3,
        faults=1,
        lost=rows_lost(published(never), published(erased)),
        broken=len(verify_release(erased.current)[:1]),
    )


def _somebody(lake: Lake) -> str:
    """The e-mail address of the customer with the most records of those that have bought and browsed."""
    customers = f"read_parquet('{lake.current}/cdp/customers.parquet')"
    timeline = f"read_parquet('{lake.current}/cdp/customer_timeline.parquet')"
    (email,) = duckdb.sql(
        f"""
        select email
        from {customers} inner join {timeline} as timeline using (customer_id)
        where email is not null
        group by customer_id, email
        order by count(distinct timeline.channel) desc, count(*) desc, customer_id
        limit 1
        """
    ).fetchone()
    return email
