"""The eight steps as functions of the business day: what a task of the DAG calls, one call each.

Each function reads the configuration, does its step through the package that owns it, and leaves a line in the
run's ledger. Nothing here knows of Airflow.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import date
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from include import ledger
from include.config import Configuration, dbt_variables, load_configuration
from include.lake import Lake
from include.ledger import StepFailed
from include.privacy.epochs import hold_key_to_its_epoch
from include.settings import pseudonym_key, settings

logger = logging.getLogger(__name__)

# The tasks of learn by name: the module of each, and the function that does it.
LEARNING = {
    "value": ("ml.value", "value_customers"),
    "segmentation": ("ml.segmentation", "segment_customers"),
    "propensity": ("ml.propensity", "score_customers"),
    "recommendation": ("ml.recommendation", "recommend_products"),
    "product_profiles": ("ml.product_profiles", "profile_products"),
    "triggers": ("ml.triggers", "find_triggers"),
    "needs": ("ml.needs", "find_needs"),
    "offsite": ("ml.offsite", "find_offsite_interests"),
}


def open_run(day: date) -> list[str]:
    """Check the whole configuration, begin the day's ledger, freeze what dbt is told, and name the channels.

    Raises StepFailed when there is no channel, and ConfigError with every problem found.
    """
    lake = _lake()
    lake.run_file(day, "ledger.jsonl").unlink(missing_ok=True)
    with ledger.recorded(lake, day, "configure") as entry:
        configuration = load_configuration(settings().config)
        configuration.require_channels()
        if not pseudonym_key():
            raise StepFailed(
                "configure: no pseudonym key; set TANDEM_PSEUDONYM_KEY, which makes the visitor ids"
            )
        hold_key_to_its_epoch(lake, pseudonym_key(), configuration.privacy.key.epoch)
        path = lake.run_file(day, "run.json")
        path.write_text(
            json.dumps(
                {"configuration": configuration.hash, "dbt": dbt_variables(configuration, day, lake)},
                indent=1,
                default=str,
            )
        )
        entry.note = f"{len(configuration.channels)} channels, {len(configuration.audiences)} audiences"
    return list(configuration.channels)


def extract(day: date, channel: str) -> dict[str, int]:
    """Land one channel's files up to the day. Returns the rows received, landed and quarantined."""
    from include.extract import extract_channel

    lake = _lake()
    with ledger.recorded(lake, day, "extract", channel) as entry:
        extracted = extract_channel(_configuration(day).channels[channel], day, lake, settings())
        entry.rows = extracted.received
        entry.note = f"{extracted.landed:,} landed"
        if extracted.quarantined:
            entry.note += f", {extracted.quarantined:,} quarantined"
        if extracted.skipped_files:
            entry.note += f", {extracted.skipped_files:,} files known already"
    return {
        "received": extracted.received,
        "landed": extracted.landed,
        "quarantined": extracted.quarantined,
    }


def complete_landing(day: date) -> None:
    """Make sure that every record kind has a file to read, so that a missing channel is an empty table, and write
    down how the layouts of the channels' files changed."""
    from include.extract import complete_landing as complete
    from include.extract.drift import write_drift

    lake = _lake()
    with ledger.recorded(lake, day, "extract", "complete"):
        complete(lake)
        write_drift(lake, day)


def normalise(day: date) -> str:
    """Bring the dictionaries of landed values up to date, which staging reads. Returns what was new and refused."""
    from include.normalise.landing import normalise_landing

    lake = _lake()
    with ledger.recorded(lake, day, "extract", "normalise") as entry:
        normalised = normalise_landing(lake, _configuration(day).normalisation, settings())
        entry.rows = normalised.new
        entry.note = str(normalised)
    return entry.note


def is_new(day: date) -> bool:
    """Whether anything that the day's release depends on has changed since it was published."""
    from include.publish import find_unchanged_release

    lake = _lake()
    with ledger.recorded(lake, day, "compare") as entry:
        release = find_unchanged_release(lake, day, _configuration(day))
        entry.note = f"nothing has changed since release {release}" if release else "there is something new"
    return release is None


def build(day: date, step: str) -> int:
    """Run the dbt models of a step. Returns how many models and tests ran."""
    from include.warehouse import run_dbt

    lake = _lake()
    with ledger.recorded(lake, day, step, "dbt") as entry:
        _configuration(day)
        if step == "publish":
            write_run_costs(lake, day)
        variables = json.loads(lake.run_file(day, "run.json").read_text())["dbt"]
        result = run_dbt(step, lake, variables, pseudonym_key())
        entry.note = f"{result.nodes} models and tests"
        entry.details = {"seconds_in_models": round(result.seconds, 3)}
    return result.nodes


def resolve(day: date) -> int:
    """Find out which records are the same customer. Returns the number of customers."""
    from include.identity import resolve as resolve_identity

    lake = _lake()
    with ledger.recorded(lake, day, "resolve") as entry:
        resolved = resolve_identity(lake, day, _configuration(day).identity, settings())
        entry.rows = resolved.nodes
        entry.note = (
            f"{resolved.customers:,} customers; {resolved.blocked_edges:,} identifiers blocked, "
            f"{resolved.removed_edges:,} edges removed"
        )
    return resolved.customers


def plan_identity(day: date, config: str) -> str:
    """Show what the identity rules of another configuration folder would change. Returns the path of the plan's page.

    Raises ConfigError when they are not valid, and StepFailed when no day has been resolved yet.
    """
    from include.identity.plan import plan_identity as plan
    from include.identity.plan import summary_of, write_plan

    folder = Path(config) if config else settings().config
    if not folder.is_dir():
        raise StepFailed(f"plan: {folder} is not a folder")
    planned = plan(_lake(), day, load_configuration(folder).identity, settings())
    page = write_plan(_lake(), planned)
    logger.info("%s", summary_of(planned))
    return str(page)


def learn(day: date, what: str) -> str:
    """Run one of the tasks of `LEARNING`, which say what the company learns about its customers.

    A task without input writes empty tables, and its model card says why. Returns one line.
    """
    module, function = LEARNING[what]
    run = getattr(import_module(module), function)
    lake = _lake()
    with ledger.recorded(lake, day, "learn", what) as entry:
        return _tell(entry, run(lake, day, _configuration(day).models))


def expand(day: date) -> str:
    """Find the strangers who resemble the members of each audience that asks for look-alikes."""
    from ml.lookalike import expand_audiences

    lake = _lake()
    with ledger.recorded(lake, day, "expand", "look-alikes") as entry:
        return _tell(entry, expand_audiences(lake, day, _configuration(day)))


def measure_reach(day: date) -> str:
    """Say how many people each audience reaches, where, how often and together with which others, as far as that may
    be told."""
    from ml.reach import measure_reach as measure

    lake = _lake()
    with ledger.recorded(lake, day, "expand", "reach") as entry:
        return _tell(entry, measure(lake, day, _configuration(day)))


def check(day: date, step: str) -> str:
    """The gate of a step. Returns the path of its readable result; raises StepFailed when it does not hold."""
    from include.quality import run_gate

    lake = _lake()
    with ledger.recorded(lake, day, step, "gate") as entry:
        release = lake.building_release(day) if step == "publish" else None
        result = run_gate(step, lake, day, _configuration(day), release=release)
        entry.note = f"{result.passed} expectations hold" + (
            f", {result.warned} warn" if result.warned else ""
        )
    return str(lake.quality_page(day, step))


def write_release(day: date) -> None:
    """Assemble the new release beside the old ones, where no reader looks."""
    from include.publish import write_release as write

    lake = _lake()
    with ledger.recorded(lake, day, "publish", "write"):
        write(lake, day, _configuration(day))


def swap_release(day: date) -> str:
    """Seal the audited release and point readers to it. Returns the release id."""
    from include.publish import keep_history, prune_releases, remember_inputs, seal_release

    lake = _lake()
    with ledger.recorded(lake, day, "publish", "swap") as entry:
        configuration = _configuration(day)
        release = seal_release(lake, day, configuration, lake.building_release(day))
        remember_inputs(lake, day, configuration, release.release_id)
        keep_history(lake, day, release.path, configuration.privacy.keep_releases_days)
        prune_releases(lake, configuration.privacy.keep_releases_days)
        entry.note = f"release {release.release_id}"
    return release.release_id


def _tell(entry: ledger.Entry, summary: object) -> str:
    entry.rows = getattr(summary, "rows", None)
    entry.note = str(summary)
    if getattr(summary, "skipped", False):
        entry.status = "skipped"
    return entry.note


def _lake() -> Lake:
    return Lake(settings().data)


def _configuration(day: date) -> Configuration:
    """The configuration that the run began with.

    Raises StepFailed when it has been edited since: half a run by one rule and half by another is neither's.
    """
    configuration = _loaded(settings().config, _state_of(settings().config))
    path = _lake().run_file(day, "run.json")
    if not path.exists():
        raise StepFailed(f"no run of {day:%Y-%m-%d} is open: start the DAG from its first task")
    if json.loads(path.read_text())["configuration"] != configuration.hash:
        raise StepFailed(f"the configuration in {settings().config} changed during the run: start it again")
    return configuration


@lru_cache(maxsize=1)
def _loaded(folder: Path, state: str) -> Configuration:
    """The configuration, read again only when a file of its folder has changed: a process runs many tasks."""
    return load_configuration(folder)


def _state_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.yml")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def write_run_costs(lake: Lake, day: date) -> None:
    """Write what the run has taken so far as rows of `run_costs`, which publish shows."""
    import duckdb

    from include.lake import replacing

    done = [entry for entry in ledger.read(lake, day) if entry.status in ("done", "skipped", "failed")]
    rows = [
        (str(day), e.step, e.part, e.status, e.rows, e.wall_seconds, e.cpu_seconds, e.peak_memory_bytes)
        for e in done
    ]
    with duckdb.connect() as connection, replacing(lake.ops(day, "run_costs")) as path:
        connection.execute(
            "create table run_costs (as_of_date date, step varchar, part varchar, status varchar, rows bigint, "
            "wall_seconds double, cpu_seconds double, peak_memory_bytes bigint)"
        )
        if rows:
            connection.executemany("insert into run_costs values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"copy run_costs to '{path}' (format parquet)")
