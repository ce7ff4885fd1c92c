"""Compares the run after an erasure with the run of a company that never took the people in: `make faults
ONLY=erased,erased_many`.

A company runs a day, erases some of its customers, who have bought and browsed, and runs the day again. Another one has
the same sources and no memory: nothing of these people ever lands there. Both must publish the same values in every
table, but for what is about the run and the requests themselves.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb

from include.lake import Lake
from include.privacy.requests.queue import Identifier, add, decide, new_request, requests
from include.privacy.requests.tombstones import tombstones_path
from include.publish import verify_release
from tests.company import ABOUT_THE_RUN, table_digests
from tests.faults.flow import HOUSEHOLDS, Task, key, make_company, run_whole
from tests.faults.scenarios import Finding
from tests.faults.world import published, rows_lost

DAY = date(2017, 12, 1)
# What is of the run and of the request: how long it took, what was received, what was done for whom.
OF_THE_RUN = ABOUT_THE_RUN | {"ops.privacy_requests"}


def compare(folder: Path, people: int = 1, households: int = HOUSEHOLDS) -> Finding:
    """Erase so many people of a company, and run the day again beside a company that never took them in."""
    erased, config, tasks = make_company(folder, days=1, households=households)
    never = Lake(folder / "never" / "data")
    shutil.copytree(erased.data, never.data)
    run_whole(tasks, config, erased, DAY)
    before, customers = table_digests(erased.current), published(erased).rows["cdp/customers"]
    for email in _somebody(erased, people):
        add(erased, new_request(key().encode(), "erasure", [Identifier("email", email)], DAY))
    run_whole([Task("receive_requests")], config, erased, DAY)
    for waiting in [each for each in requests(erased) if each.status == "waiting"]:
        decide(erased, waiting.request_id, "the faults", True)
    done = run_whole([Task("fulfil_requests")], config, erased, DAY)
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
    still = sum(each.is_open for each in requests(erased))
    problems += [f"{still} of {people} requests are still open"] * bool(still)
    return Finding(
        f"{people:,} of {customers:,} customers in {done.cpu:.0f} s of CPU: {len(after)} tables, {changed} changed by"
        f" the erasure, {len(different)} differ from never having been",
        tuple(problems),
        runs=3,
        faults=1,
        lost=rows_lost(published(never), published(erased)),
        broken=len(verify_release(erased.current)[:1]),
    )


def _somebody(lake: Lake, people: int) -> list[str]:
    """The e-mail addresses of the customers with the most records of those that have bought and browsed."""
    customers = f"read_parquet('{lake.current}/cdp/customers.parquet')"
    timeline = f"read_parquet('{lake.current}/cdp/customer_timeline.parquet')"
    found = duckdb.sql(
        f"""
        select email
        from {customers} inner join {timeline} as timeline using (customer_id)
        where email is not null
        group by customer_id, email
        order by count(distinct timeline.channel) desc, count(*) desc, customer_id
        limit {people}
        """
    ).fetchall()
    return [email for (email,) in found]
