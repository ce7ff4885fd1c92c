"""The faults of a whole run: each is done to the second day of a small company, and answers with what it did, what it
measured, and what did not hold."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.privacy.pseudonym import visitor_id
from include.publish import verify_release
from tests.faults.flow import RunFailed, Task, key, run_tasks
from tests.faults.world import DAYS, World, differences

LATE_BY = "2017-11-02"  # thirty days before the second day
SPIKE = 100
POISONED = 100_000
# What a company learned yesterday is an input of today: which segments there were, who was champion, what was told.
OF_EARLIER_RUNS = (
    "cdp/identity_health", "cdp/segments", "cdp/customer_segments", "cdp/customer_scores", "cdp/product_profiles",
    "cdp/next_best_actions", "cdp/purchase_triggers", "cdp/product_recommendations", "ops/model_cards",
    "both/", "ops/activation", "ops/deliveries", "dmp/lookalike_", "dmp/placements", "bridge/",
    # Where a row lay and when it came.
    "cdp/identity_changes", "cdp/customer_id_history", "ops/quarantine_summary", "ops/schema_drift",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What was done, what was measured, and every way in which it did not hold."""

    done: str
    problems: tuple[str, ...]


def killed(world: World, kills: int, seed: int) -> Finding:
    """SIGKILL at moments drawn evenly over the run's time, each task at least once; what was killed is tried again."""
    draw, struck, problems = random.Random(seed), 0, []
    more = draw.choices(range(len(world.tasks)), weights=world.seconds, k=max(0, kills - len(world.tasks)))
    strikes = Counter([*range(len(world.tasks)), *more])
    seen = {world.lake.current.resolve().name}
    for number, task in enumerate(world.tasks):
        longest, left, tries = world.seconds[number], strikes[number], 3 * strikes[number]
        while left and tries:
            tries -= 1
            moment = (0, draw.uniform(0, longest))
            outcome = run_tasks([task], world.config, world.lake.data, DAYS[1], kill=moment)
            if outcome.code > 0:
                raise RunFailed(f"{task} failed after {struck} kills: {outcome.said}")
            if outcome.code == 0:
                # It ended before its moment came: the next one comes earlier.
                longest = min(longest, outcome.seconds[-1])
                continue
            left, struck = left - 1, struck + 1
            problems += [
                f"after a kill in {task}: {problem}" for problem in verify_release(world.lake.current)
            ]
            seen.add(world.lake.current.resolve().name)
        world.run([task])
    if len(seen) > 2:
        problems.append(f"readers saw {len(seen)} releases: {', '.join(sorted(seen))}")
    problems += differences(world.undisturbed, world.published())
    return Finding(
        f"{struck} kills in {len(world.tasks)} tasks, readers' release whole after each", tuple(problems)
    )


def retried(world: World) -> Finding:
    """Every task runs twice, as Airflow does when an answer is lost."""
    world.run([task for task in world.tasks for _ in range(2)])
    problems = differences(world.undisturbed, world.published())
    return Finding(f"{len(world.tasks)} tasks twice each, the same bytes", tuple(problems))


def rubbish(world: World) -> Finding:
    """A channel delivers bytes that are nothing; the run stops, and is whole once the file is."""
    path = world.sources / "web" / f"events_{DAYS[1]}.jsonl.gz"
    good, before = path.read_bytes(), world.lake.current.resolve()
    path.write_bytes(random.Random(1).randbytes(200_000))
    said, problems = "", []
    try:
        world.run()
        problems.append("the run went on")
    except RunFailed as failed:
        said = str(failed)
    if "web" not in said:
        problems.append(f"the channel is not named: {said}")
    if world.lake.current.resolve() != before or verify_release(world.lake.current):
        problems.append("readers lost the release of the day before")
    path.write_bytes(good)
    world.run()
    problems += differences(world.undisturbed, world.published())
    stopped = said.partition(" failed on ")[0].rpartition(": ")[2]
    return Finding(f"stopped by {stopped}; after the mend the same bytes", tuple(problems))


def late(world: World) -> Finding:
    """A file of thirty days ago comes with the second day; the first run never saw it."""
    history = world.sources / "web" / "events_2017-11-30.jsonl.gz"
    lines = gzip.decompress(history.read_bytes()).splitlines(keepends=True)
    received_then = f'"receivedAt":"{LATE_BY}'.encode()
    then = [line for line in lines if received_then in line]
    kept = [line for line in lines if received_then not in line]
    _empty(world)
    history.write_bytes(gzip.compress(b"".join(kept), mtime=0))
    world.run(day=DAYS[0])
    _write_gzip(world.sources / "web" / f"events_{LATE_BY}.jsonl.gz", then)
    world.run()
    values, expected = world.published().values, world.undisturbed.values
    compared = [name for name in expected if not name.startswith((*OF_EARLIER_RUNS, "ops/"))]
    problems = [f"values of {name} differ" for name in compared if values.get(name) != expected[name]]
    if not then:
        problems.append(f"nothing happened on {LATE_BY}: nothing is shown")
    return Finding(
        f"{len(then)} events of {LATE_BY} a month late: {len(compared)} tables as if on time", tuple(problems)
    )


def spike(world: World) -> Finding:
    """A channel brings a hundred times its events, of browsers that nobody has seen."""
    path = world.sources / "web" / f"events_{DAYS[1]}.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    seen = [line for line in lines if _is_json(line) and b'"type":"identify"' not in line]
    strange = [_by_a_stranger(line, number) for number in range(1, SPIKE) for line in seen]
    _write_gzip(path, [*lines, *strange])
    world.run()
    now, before = world.published(), world.undisturbed
    problems = [
        f"values of cdp/{name} differ"
        for name in ("customers", "customer_records", "customer_identifiers", "customer_timeline")
        if now.values[f"cdp/{name}"] != before.values[f"cdp/{name}"]
    ]
    memory, cpu = now.peak / before.peak, sum(now.cpu.values()) / sum(before.cpu.values())
    if memory > 2:
        problems.append(f"{memory:.2f} times the memory")
    return Finding(
        f"{len(lines) + len(strange):,} events for {len(lines):,}: {memory:.2f} times the memory, {cpu:.2f} times the"
        f" CPU of the run ({now.cpu['extract web']:.1f} s for {before.cpu['extract web']:.1f} in extract),"
        " customers the same",
        tuple(problems),
    )


def poisoned(world: World) -> Finding:
    """A hundred thousand records of a new system name one e-mail, the one of a customer who was there before."""
    people = world.sources / "crm" / f"customers_{DAYS[1]}.csv"
    store = f"read_parquet('{world.lake.current}/cdp/customers.parquet')"
    victim, victim_id = duckdb.sql(
        f"select email, customer_id from {store} where email is not null order by 1 limit 1"
    ).fetchone()
    header = people.read_text().splitlines()[0]
    row = {
        "email_address": victim,
        "created_at": "2017-12-02T01:00:00Z",
        "updated_at": "2017-12-02T01:00:00Z",
    }
    names = [name.strip('"') for name in header.split(",")]
    rows = (
        ",".join(
            (row | {"id": f"x{number}", "customer_number": f"K9{number:07d}"}).get(name, "") for name in names
        )
        for number in range(POISONED)
    )
    people.write_text("\n".join([people.read_text().rstrip("\n"), *rows]) + "\n")
    tasks, _ = world.before(Task("build", ("unify",)))
    world.run(tasks)
    nodes = f"read_parquet('{world.lake.identity(DAYS[1], 'node_customers')}')"
    undisturbed = f"read_parquet('{world.undisturbed_nodes}')"
    sizes = (
        "select count(*), max(nodes) from ("
        "select count(*) as nodes from {} where customer_id is not null group by customer_id)"
    )
    customers, largest = duckdb.sql(sizes.format(nodes)).fetchone()
    customers_before, largest_before = duckdb.sql(sizes.format(undisturbed)).fetchone()
    (moved,) = duckdb.sql(
        f"select count(*) from {undisturbed} as undisturbed inner join {nodes} as nodes using (node_key) "
        f"where undisturbed.customer_id != nodes.customer_id and undisturbed.customer_id != '{victim_id}'"
    ).fetchone()
    problems = [f"{moved} records of others have another customer"] if moved else []
    if largest > largest_before:
        problems.append(f"the largest customer has {largest} records, {largest_before} undisturbed")
    if customers < customers_before + POISONED:
        problems.append(f"{customers} customers, {customers_before} undisturbed")
    return Finding(
        f"{POISONED:,} records with one e-mail: {customers:,} customers for {customers_before}, the largest of"
        f" {largest} records for {largest_before}, {moved} records of others moved",
        tuple(problems),
    )


def withdrawn(world: World) -> Finding:
    """Everybody withdraws their consent while the run is between stage and resolve."""
    before, after = world.before(Task("resolve"))
    world.run(before)
    _withdraw_everything(world)
    world.run(after)
    problems = differences(world.undisturbed, world.published())
    sent = _sent(world, 1)
    world.run(day=DAYS[2])
    agreed = {each for each in sent if each[-1] in _agreed(world, 2)}
    still, removed = sent & _sent(world, 2), _lines(world, "remove")
    if not sent - agreed:
        problems.append("nobody was sent before and stayed away: nothing is shown")
    if still - agreed:
        problems.append(f"{len(still - agreed)} are sent after they withdrew")
    if removed != len(sent):
        problems.append(f"{removed} removals of {len(sent)} who had been sent")
    return Finding(
        f"the run went on with what it had read; the next one removed {removed} of {len(sent)} who had been sent, and"
        f" of the {len(sent - agreed)} who did not agree again on that day it sent {len(still - agreed)}",
        tuple(problems),
    )


SCENARIOS: dict[str, Callable[[World], Finding]] = {
    "retried": retried,
    "rubbish": rubbish,
    "spike": spike,
    "poisoned": poisoned,
    "withdrawn": withdrawn,
    "late": late,
}


def _empty(world: World) -> None:
    """Take away all but the sources and their truth: the company as before its first day."""
    for path in world.lake.data.iterdir():
        if path.name not in ("demo", "demo_truth"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _write_gzip(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(gzip.compress(b"".join(lines), compresslevel=1, mtime=0))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _by_a_stranger(line: bytes, number: int) -> bytes:
    event = json.loads(line)
    event.pop("userId", None)
    event |= {
        "anonymousId": f"{event['anonymousId']}-{number}",
        "messageId": f"{event['messageId']}-{number}",
    }
    return json.dumps(event).encode() + b"\n"


def _withdraw_everything(world: World) -> None:
    """Append a refusal of all purposes of every cookie and customer number to the second day's consents."""
    events = f"read_parquet('{world.lake.root}/landing/events/*/*/*.parquet', union_by_name = true)"
    people = f"read_parquet('{world.lake.root}/landing/customers/*/*/*.parquet', union_by_name = true)"
    ids = duckdb.sql(
        f"""
        select distinct 'anonymous_id', anonymous_id from {events} where anonymous_id is not null
        union all select distinct 'customer_number', customer_number from {people} where customer_number is not null
        order by all
        """
    ).fetchall()
    path = world.sources / "consents" / f"consents_{DAYS[1]}.csv"
    rows = [
        f'"{kind}","{value}","{purpose}","denied","withdrawal","2017-12-02T23:59:59Z"'
        for kind, value in ids
        for purpose in ("advertising", "analytics", "email", "ad_user_data", "ad_personalization")
    ]
    path.write_text("\n".join([path.read_text().rstrip("\n"), *rows]) + "\n")


def _sent(world: World, day: int) -> set[tuple[str, ...]]:
    decisions = world.lake.activation(DAYS[day]) / "decisions.parquet"
    return set(
        duckdb.sql(
            f"select destination_id, audience_id, member_id from read_parquet('{decisions}') where reason is null"
        ).fetchall()
    )


def _agreed(world: World, day: int) -> set[str]:
    """Visitors of whom an event of a day says that they agree to advertising."""
    events = (
        f"read_parquet('{world.lake.root}/landing/events/*/date={DAYS[day]}/*.parquet', union_by_name = true)"
    )
    cookies = duckdb.sql(
        f"select distinct anonymous_id from {events} "
        "where anonymous_id is not null and (consent ->> 'advertising') = 'true'"
    ).fetchall()
    return {visitor_id(key().encode(), "anonymous_id", cookie) for (cookie,) in cookies}


def _lines(world: World, action: str) -> int:
    paths = (world.lake.current / "activation").glob(f"*/*/{action}.*")
    return sum(len(path.read_text().splitlines()) - (path.suffix == ".csv") for path in paths)
