"""The faults of a whole run: each is done to the second day of a small company, and answers with what it did, what it
measured, and what did not hold."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from pathlib import Path

import duckdb
from pyarrow.parquet import read_schema

from include import ledger
from include.airflow_home import AirflowHome
from include.privacy.pseudonym import visitor_id
from include.publish import verify_release
from include.settings import PROJECT
from tests.faults.flow import Outcome, RunFailed, Task, key
from tests.faults.world import DAYS, OF_ARRIVAL, Published, World, differences, rows_lost

LATE = ("2017-11-25", "2017-11-02", "2017-10-02")  # seven, thirty and sixty-one days before the second day
TIMES = 3  # that each task runs
STARTS = 50
# Events of one day of browsers that nobody has seen, a third of one of them.
STRANGE = 600_000
MOST_MEMORY, MOST_CPU = 2, 1.3
POISONED = 100_000
WAVES = 20  # in which people withdraw their consent
SHARES = (4, 10)  # of the memory that the day takes
NO_MEMORY = r"memory|alloc"
# The bytes that a file may have while a task runs; at 0 the run's ledger has room for half a line.
LARGEST_FILE = {
    Task("open_run"): 20_000,
    Task("extract", ("web",)): 8_000,
    Task("build", ("stage",)): 1_000_000,
    Task("check", ("stage",)): 20_000,
    Task("resolve"): 20_000,
    Task("build", ("unify",)): 20_000_000,
    Task("check", ("unify",)): 0,
    Task("score", ("recommendation",)): 1_000,
    Task("learn", ("triggers",)): 20_000,
    Task("build", ("segment",)): 5_000_000,
    Task("gather", ("lookalikes",)): 17_000,
    Task("activate"): 18_500,
    Task("check", ("publish",)): 19_000,
    Task("swap_release"): 1_000_000,
}
HALF_A_LINE = 60
# And the bytes of addresses that a process may have.
ADDRESS_SPACE = {Task("resolve"): 500_000_000, Task("build", ("unify",)): 1_500_000_000}
NO_SPACE = r"too large|no space|could not write"
OF_CUSTOMERS = (
    "cdp/customers", "cdp/customer_records", "cdp/customer_identifiers", "cdp/customer_timeline",
)  # fmt: skip
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
    """What was done, what was measured, and every way in which it did not hold; runs begun, faults done to them, rows
    that they should have published and did not, and how often readers' release was not whole."""

    done: str
    problems: tuple[str, ...]
    runs: int = 0
    faults: int = 0
    lost: int = 0
    broken: int = 0


def killed(world: World, kills: int, seed: int) -> Finding:
    """SIGKILL at moments drawn evenly over the run's time, each task at least once; what was killed is tried again."""
    draw, struck, broken, problems = random.Random(seed), 0, 0, []
    more = draw.choices(range(len(world.tasks)), weights=world.seconds, k=max(0, kills - len(world.tasks)))
    strikes = Counter([*range(len(world.tasks)), *more])
    seen = {world.lake.current.resolve().name}
    for number, task in enumerate(world.tasks):
        longest, left, tries = world.seconds[number], strikes[number], 3 * strikes[number]
        while left and tries:
            tries -= 1
            moment = (0, draw.uniform(0, longest))
            outcome = world.strike([task], kill=moment)
            if outcome.code > 0:
                raise RunFailed(f"{task} failed after {struck} kills: {outcome.said}")
            if outcome.code == 0:
                # It ended before its moment came: the next one comes earlier.
                longest = min(longest, outcome.seconds[-1])
                continue
            left, struck = left - 1, struck + 1
            torn = verify_release(world.lake.current)
            broken += len(torn[:1])
            problems += [f"after a kill in {task}: {problem}" for problem in torn]
            seen.add(world.lake.current.resolve().name)
        world.run([task])
    if len(seen) > 2:
        problems.append(f"readers saw {len(seen)} releases: {', '.join(sorted(seen))}")
    done = f"{struck} kills in {len(world.tasks)} tasks, readers' release whole after each"
    return _compared(world, done, problems, runs=1, faults=struck, broken=broken)


def retried(world: World) -> Finding:
    """Every task runs three times, as Airflow does when an answer is lost; and the whole day with one thread."""
    world.run([task for task in world.tasks for _ in range(TIMES)])
    again = world.published()
    problems = [f"again: {problem}" for problem in differences(world.undisturbed, again)]
    world.reset()
    world.run(environment={"TANDEM_THREADS": "1"})
    done = f"{len(world.tasks)} tasks {TIMES} times each, and the day with one thread instead of two: the same bytes"
    faults = len(world.tasks) * (TIMES - 1) + 1
    finding = _compared(world, done, problems, runs=2, faults=faults)
    return replace(finding, lost=finding.lost + rows_lost(world.undisturbed, again))


def crowded(world: World) -> Finding:
    """Fifty runs are started within two seconds, as `make run` starts them, every second one of another day. The first
    of them begins before the others."""
    draw, begin = random.Random(STARTS), time.monotonic()
    offsets = [0.0, *sorted(draw.uniform(0, 2) for _ in range(STARTS - 1))]
    crowd = []
    for number, offset in enumerate(offsets):
        time.sleep(max(0, begin + offset - time.monotonic()))
        crowd.append(_start(world, DAYS[1 + number % 2]))
    said = [process.communicate()[1].strip().splitlines()[-1:] for process in crowd]
    codes = [process.returncode for process in crowd]
    shutil.rmtree(AirflowHome(world.lake.data).path, ignore_errors=True)
    busy = f"another run uses {world.lake.data}: wait for it, or give another DATA folder"
    went_on = [number for number, code in enumerate(codes) if code == 0]
    problems = [f"{len(went_on)} of {STARTS} starts went on"] * (len(went_on) != 1)
    problems += [
        f"start {number} ended with {codes[number]} and said {line}"
        for number, line in enumerate(said)
        if number not in went_on and (codes[number], line) != (1, [busy])
    ]
    if went_on != [0]:
        world.reset()
        world.run()
    done = (
        f"{STARTS} starts of two days within two seconds: {len(went_on)} went on and published the same bytes, the"
        " others ended at once with one clear line"
    )
    return _compared(world, done, problems, runs=1, faults=STARTS - 1)


def _start(world: World, day: date) -> subprocess.Popen[str]:
    options = ["--config", str(world.config), "--data", str(world.lake.data), "--date", f"{day}"]
    return subprocess.Popen(
        [sys.executable, "-m", "include", "run", *options],
        cwd=PROJECT,
        env=os.environ | {"TANDEM_PSEUDONYM_KEY": key()},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


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
    lost = _torn(world, before)
    problems += lost
    path.write_bytes(good)
    world.run()
    stopped = said.partition(" failed on ")[0].rpartition(": ")[2]
    done = f"stopped by {stopped}; after the mend the same bytes"
    return _compared(world, done, problems, runs=2, faults=1, broken=len(lost))


def late(world: World) -> Finding:
    """Events come with the second day that are one day late, a week, a month, and more than that; the first run never
    saw them."""
    web = world.sources / "web"
    history, yesterday = web / "events_2017-11-30.jsonl.gz", web / f"events_{DAYS[0]}.jsonl.gz"
    kept, of_yesterday = _lines_of(history), _lines_of(yesterday)
    # By the date of its name a file is late; the one of yesterday grows.
    files = {yesterday: of_yesterday}
    for day in LATE:
        files[web / f"events_{day}.jsonl.gz"] = [line for line in kept if _received_on(day, line)]
        kept = [line for line in kept if not _received_on(day, line)]
    came = {path.name[7:17]: len(lines) for path, lines in files.items()}
    came[str(DAYS[0])] -= len(of_yesterday) // 2
    _empty(world)
    _write_gzip(history, kept)
    _write_gzip(yesterday, of_yesterday[: len(of_yesterday) // 2])
    world.run(day=DAYS[0])
    for path, lines in files.items():
        _write_gzip(path, lines)
    world.run()
    now, expected = world.published(), world.undisturbed
    compared = [name for name in expected.values if not name.startswith((*OF_EARLIER_RUNS, "ops/"))]
    problems = [
        f"values of {name} differ" for name in compared if now.values.get(name) != expected.values[name]
    ]
    problems += [f"nothing happened on {day}: nothing is shown" for day, lines in came.items() if not lines]
    same = [name for name in compared if _bytes_of(now, name) == _bytes_of(expected, name)]
    problems += [
        f"bytes of {name} differ" for name in compared if name not in same and not _tells_arrival(world, name)
    ]
    return Finding(
        f"events of {', '.join(f'{day} ({lines})' for day, lines in came.items())} came on {DAYS[1]}: {len(compared)}"
        f" tables as if on time, {len(same)} of them byte by byte, the others but for where a row landed and an id that"
        " stays",
        tuple(problems),
        runs=2,
        faults=len(came),
        lost=sum(max(0, expected.rows[name] - now.rows.get(name, 0)) for name in compared),
        broken=len(verify_release(world.lake.current)[:1]),
    )


def spike(world: World) -> Finding:
    """A channel brings ten thousand times its events, a third of them of one browser. What it takes to take them in,
    when DuckDB may have no more memory than that takes undisturbed, is held against the day without them and against a
    tenth of them."""
    path = world.sources / "web" / f"events_{DAYS[1]}.jsonl.gz"
    lines = _lines_of(path)
    taken, held = [_take_in(world, {})], {}
    usual = max(each.peak for each in taken[0])
    held["TANDEM_MEMORY_LIMIT"] = f"{usual // 10**6}MB"
    for strange in (STRANGE // 10, STRANGE):
        world.reset()
        _write_gzip(path, chain(lines, _by_strangers(lines, strange)))
        taken.append(_take_in(world, held))
    world.run(world.before(Task("resolve"))[1], environment=held)
    now, before = world.published(), world.undisturbed
    problems = [
        f"values of {name} differ" for name in OF_CUSTOMERS if now.values[name] != before.values[name]
    ]
    memory = max(each.peak for each in taken[2]) / usual
    none, some, all_ = (sum(each.cpu for each in outcomes) for outcomes in taken)
    first, rest = (some - none) / (STRANGE // 10), (all_ - some) / (STRANGE - STRANGE // 10)
    if memory > MOST_MEMORY:
        problems.append(f"{memory:.2f} times the memory")
    if rest > MOST_CPU * first:
        problems.append(f"{rest / first:.2f} times the CPU of each event")
    torn = verify_release(world.lake.current)
    return Finding(
        f"{len(lines) + STRANGE:,} events for {len(lines)}, {STRANGE // 3:,} of them of one browser, and"
        f" {held['TANDEM_MEMORY_LIMIT']} for DuckDB: extract and stage, each task in a process of its own, took"
        f" {memory:.2f} times the memory and {all_:.0f} s of CPU for {none:.0f}, {1e6 * rest:.0f} µs for each event"
        f" where a tenth of them took {1e6 * first:.0f}; customers the same",
        (*problems, *torn),
        runs=1,
        faults=1,
        lost=sum(max(0, before.rows[name] - now.rows[name]) for name in OF_CUSTOMERS),
        broken=len(torn[:1]),
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
        runs=1,
        faults=1,
        lost=max(0, customers_before + POISONED - customers),
        broken=len(verify_release(world.lake.current)[:1]),
    )


def withdrawn(world: World) -> Finding:
    """Everybody withdraws their consent during the run, a few after each of twenty tasks."""
    before, rest = world.before(Task("check", ("extract",)))
    world.run(before)
    waves = _waves(world)
    for number, wave in enumerate(waves):
        _withdraw(world, wave)
        world.run(rest[len(rest) * number // WAVES : len(rest) * (number + 1) // WAVES])
    published = world.published()
    problems = differences(world.undisturbed, published)
    sent = _sent(world, 1)
    world.run(day=DAYS[2])
    still, removed = sent & _listed(world, "full"), _listed(world, "remove") - _listed(world, "add")
    struck = sum(bool(_visitors(wave) & {member for *_, member in sent}) for wave in waves)
    if struck < len(waves):
        problems.append(f"of {len(waves)} waves {struck} had somebody who was sent before")
    if still:
        problems.append(f"{len(still)} are sent after they withdrew")
    if removed != sent:
        problems.append(f"{len(removed & sent)} of {len(sent)} who had been sent are removed")
    return Finding(
        f"people who had been sent withdrew at each of {struck} points of the run, which went on with what it had read;"
        f" the next one removed {len(removed)} of {len(sent)} and sent {len(still)}",
        tuple(problems),
        runs=2,
        faults=len(waves),
        lost=rows_lost(world.undisturbed, published),
        broken=len(verify_release(world.lake.current)[:1]),
    )


def starved(world: World) -> Finding:
    """DuckDB may take a quarter of the memory that the day takes undisturbed, then a tenth; then some tasks have too
    small an address space. What fails runs again with enough."""
    ended, problems, lost, broken = Counter(), [], 0, 0
    for share in SHARES:
        world.reset()
        limit = f"{world.peak // share // 10**6}MB"
        readers, rest = world.lake.current.resolve(), world.tasks
        while rest and (outcome := world.strike(rest, environment={"TANDEM_MEMORY_LIMIT": limit})).code:
            number = len(outcome.seconds) - 1
            torn = _torn(world, readers)
            problems += _unclear(world, rest[number], outcome, NO_MEMORY) + torn
            broken += len(torn[:1])
            ended[limit] += 1
            world.run(rest[number : number + 1])
            rest = rest[number + 1 :]
        now = world.published()
        problems += [f"of {limit}: {problem}" for problem in differences(world.undisturbed, now)]
        lost += rows_lost(world.undisturbed, now)
        ended[limit] += 0
    world.reset()
    more, torn = _limit(world, ADDRESS_SPACE, "RLIMIT_AS", NO_MEMORY)
    done = (
        f"{', '.join(f'with {limit} {tasks} of {len(world.tasks)} tasks' for limit, tasks in ended.items())} ended with"
        f" one clear line and the others came to their end, where the day takes {world.peak // 10**6} MB; so did"
        f" {len(ADDRESS_SPACE)} with too small an address space; again with enough the same bytes"
    )
    faults = len(SHARES) + len(ADDRESS_SPACE)
    finding = _compared(world, done, problems + more, len(SHARES) + 1, faults, broken + torn)
    return replace(finding, lost=finding.lost + lost)


def full(world: World) -> Finding:
    """No file may become larger than so many bytes, a limit for each of some tasks; what fails runs again without."""
    problems, broken = _limit(world, LARGEST_FILE, "RLIMIT_FSIZE", NO_SPACE)
    least, most = min(filter(None, LARGEST_FILE.values())), max(LARGEST_FILE.values())
    done = (
        f"{len(LARGEST_FILE)} tasks with limits of {least:,} to {most:,}"
        " bytes for a file: each ended with one clear line, and readers kept their release; again without, the same"
        " bytes"
    )
    return _compared(world, done, problems, runs=1, faults=len(LARGEST_FILE), broken=broken)


SCENARIOS: dict[str, Callable[[World], Finding]] = {
    "retried": retried,
    "crowded": crowded,
    "rubbish": rubbish,
    "spike": spike,
    "poisoned": poisoned,
    "withdrawn": withdrawn,
    "late": late,
    "starved": starved,
    "full": full,
}


def _compared(
    world: World, done: str, problems: list[str], runs: int, faults: int, broken: int = 0
) -> Finding:
    """The finding about a day that has to publish what it does undisturbed."""
    now = world.published()
    return Finding(
        done,
        (*problems, *differences(world.undisturbed, now)),
        runs,
        faults,
        rows_lost(world.undisturbed, now),
        broken,
    )


def _limit(world: World, limits: dict[Task, int], resource: str, clear: str) -> tuple[list[str], int]:
    """Run the day; each of these tasks with a limit of the system first, which has to end it. Returns what did not
    hold, and how often readers' release was not whole."""
    problems, broken, begun = [], 0, 0
    for task, most in limits.items():
        place = world.tasks.index(task)
        if begun < place:
            world.run(world.tasks[begun:place])
        begun, readers = place, world.lake.current.resolve()
        most = most or world.lake.run_file(DAYS[1], "ledger.jsonl").stat().st_size + HALF_A_LINE
        outcome = world.strike([task], limits={resource: most})
        torn = _torn(world, readers)
        problems += _unclear(world, task, outcome, clear) + torn
        broken += len(torn[:1])
    world.run(world.tasks[begun:])
    return problems, broken


def _torn(world: World, readers: Path) -> list[str]:
    """In which way readers do not have this release any more."""
    moved = world.lake.current.resolve() != readers
    return ["readers have another release"] * moved + list(verify_release(world.lake.current))


def _unclear(world: World, task: Task, outcome: Outcome, clear: str) -> list[str]:
    """What is wrong with how a task ended that could not do its work: it fails and says why, in the line of the ledger
    that `make run` shows, or in its last one where the ledger has no room."""
    if outcome.code == 0:
        return [f"{task} came to its end: nothing is shown"]
    last = ledger.read(world.lake, DAYS[1])[-1:]
    said = next((entry.note for entry in last if entry.status == "failed"), outcome.said)
    if outcome.code < 0 or not re.search(clear, said, re.IGNORECASE):
        return [f"{task} ended with {outcome.code} and said {said!r}"]
    return []


def _bytes_of(published: Published, table: str) -> str | None:
    return published.files.get(f"{table}.parquet")


def _tells_arrival(world: World, table: str) -> bool:
    return bool(set(OF_ARRIVAL) & set(read_schema(world.lake.current / f"{table}.parquet").names))


def _empty(world: World) -> None:
    """Take away all but the sources and their truth: the company as before its first day."""
    for path in world.lake.data.iterdir():
        if path.name not in ("demo", "demo_truth"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _write_gzip(path: Path, lines: Iterable[bytes]) -> None:
    # Line by line: what this process once took would be counted to each that it starts (man getrusage, ru_maxrss).
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
        file.writelines(lines)


def _lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def _received_on(day: str, line: bytes) -> bool:
    return f'"receivedAt":"{day}'.encode() in line


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _by_strangers(lines: list[bytes], wanted: int) -> Iterator[bytes]:
    """So many copies of a day's events, of browsers that never say who they are; a third of them of one browser."""
    seen = [json.loads(line) for line in lines if _is_json(line) and b'"type":"identify"' not in line]
    nobodys = {"userId": None, "anonymousId": "BROWSER", "messageId": "MESSAGE"}
    texts = [json.dumps(event | nobodys).encode() + b"\n" for event in seen]
    for number in range(wanted):
        copy, which = divmod(number, len(seen))
        browser = f"{seen[which]['anonymousId']}-{copy}" if number >= wanted // 3 else "one"
        yield texts[which].replace(b"BROWSER", browser.encode()).replace(b"MESSAGE", b"copy-%d" % number)


def _take_in(world: World, environment: dict[str, str]) -> list[Outcome]:
    """Run extract and stage, and say what each of their tasks took from the web's events on."""
    before, _ = world.before(Task("extract", ("web",)))
    world.run(before)
    tasks, _ = world.before(Task("resolve"))
    return [world.run([task], environment=environment) for task in tasks[len(before) :]]


def _waves(world: World) -> list[list[tuple[str, str]]]:
    """Every cookie and customer number that came so far, in twenty parts; each has some who were sent the day
    before."""
    events = f"read_parquet('{world.lake.root}/landing/events/*/*/*.parquet', union_by_name = true)"
    people = f"read_parquet('{world.lake.root}/landing/customers/*/*/*.parquet', union_by_name = true)"
    ids = duckdb.sql(
        f"""
        select distinct 'anonymous_id', anonymous_id from {events} where anonymous_id is not null
        union all select distinct 'customer_number', customer_number from {people} where customer_number is not null
        order by all
        """
    ).fetchall()
    sent = {member for *_, member in _sent(world, 0)}
    ids.sort(key=lambda each: not _visitors([each]) & sent)
    return [ids[number::WAVES] for number in range(WAVES)]


def _visitors(ids: list[tuple[str, str]]) -> set[str]:
    return {visitor_id(key().encode(), kind, value) for kind, value in ids}


def _withdraw(world: World, ids: list[tuple[str, str]]) -> None:
    """Append a refusal of all purposes to the second day's consents, made while the run goes on: on the third, later
    than anything that is agreed to on that day."""
    path = world.sources / "consents" / f"consents_{DAYS[1]}.csv"
    rows = [
        f'"{kind}","{value}","{purpose}","denied","withdrawal","{DAYS[2]}T23:59:59Z"'
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


def _listed(world: World, action: str) -> set[tuple[str, ...]]:
    """Destination, audience and visitor of every line of readers' files that name visitors."""
    paths = (world.lake.current / "activation").glob(f"*/*/{action}.csv")
    return {
        (*path.parts[-3:-1], row["visitor"])
        for path in paths
        for row in csv.DictReader(path.read_text().splitlines())
        if "visitor" in row
    }
