"""The eight steps as functions of the business day: what a task of the DAG calls, one call each.

Each function reads the configuration, does its step through the package that owns it, and leaves a line in the
run's ledger. Nothing here knows of Airflow.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from include import ledger
from include.config import Configuration, dbt_variables, load_configuration
from include.lake import Lake, replacing, sweep_temporary
from include.ledger import SourceUnreachable, StepFailed
from include.privacy.epochs import hold_key_to_its_epoch
from include.privacy.requests.queue import no_erasure
from include.settings import pseudonym_key, settings

logger = logging.getLogger(__name__)

# What is learned by name: the module of each, and the function that does it in one process.
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

# Of these, and of expand, what scores everybody, and is tasks of its own for `train`, `score` and `gather` of a module:
# its step, and that module.
SPREAD = {
    "propensity": ("learn", "ml.propensity"),
    "recommendation": ("learn", "ml.recommendation"),
    "lookalikes": ("expand", "ml.lookalike"),
}

# In a path these would end a SQL string, or be taken for a pattern by DuckDB or a placeholder by dbt-duckdb.
UNUSABLE_IN_PATHS = "'*?[]{}$%"


def open_run(day: date) -> list[str]:
    """Check the whole configuration, begin the day's ledger, freeze what dbt is told, and name the channels.

    From here on the lake is this day's: a task of another day that still runs, or is tried again, is refused.

    Raises StepFailed when there is no channel, and ConfigError with every problem found.
    """
    lake = _lake()
    sweep_temporary(lake)
    lake.run_file(day, "ledger.jsonl").unlink(missing_ok=True)
    with _recorded(lake, day, "configure") as entry:
        if unusable := sorted(set(str(lake.root)) & set(UNUSABLE_IN_PATHS)):
            raise StepFailed(
                f"configure: the path of {lake.root} has {' '.join(unusable)} in it; choose another DATA folder"
            )
        configuration = load_configuration(settings().config)
        configuration.require_channels()
        if not pseudonym_key():
            raise StepFailed(
                "configure: no pseudonym key; set TANDEM_PSEUDONYM_KEY, which makes the visitor ids"
            )
        hold_key_to_its_epoch(lake, pseudonym_key(), configuration.privacy.key.epoch)
        frozen = {"configuration": configuration.hash, "dbt": dbt_variables(configuration, day, lake)}
        with replacing(lake.run_file(day, "run.json")) as path:
            path.write_text(json.dumps(frozen, indent=1, default=str))
        with replacing(lake.open_run) as path:
            path.write_text(json.dumps({"day": f"{day:%Y-%m-%d}"}))
        entry.note = f"{len(configuration.channels)} channels, {len(configuration.audiences)} audiences"
    return list(configuration.channels)


def extract(day: date, channel: str) -> dict[str, int]:
    """Land one channel's files up to the day. Returns the rows received, landed and quarantined."""
    from include.extract import extract_channel

    lake = _lake()
    with _recorded(lake, day, "extract", channel) as entry:
        configuration = _configuration(day)
        extracted = extract_channel(
            configuration.channels[channel], day, lake, settings(), configuration.normalisation
        )
        entry.rows = extracted.received
        entry.note = f"{extracted.landed:,} landed"
        if extracted.quarantined:
            entry.note += f", {extracted.quarantined:,} quarantined"
        if extracted.erased:
            entry.note += f", {extracted.erased:,} of erased people left out"
        if extracted.skipped_files:
            entry.note += f", {extracted.skipped_files:,} files known already"
    return {
        "received": extracted.received,
        "landed": extracted.landed,
        "quarantined": extracted.quarantined,
    }


def complete_landing(day: date) -> None:
    """Make sure that every record kind has a file to read, so that a missing channel is an empty table, forget what is
    older than it may be kept, and write down how the layouts of the channels' files changed."""
    from include.extract import complete_landing as complete
    from include.extract.drift import write_drift
    from include.privacy.requests.retention import expire

    lake = _lake()
    with _recorded(lake, day, "extract", "complete") as entry:
        complete(lake)
        forgotten = expire(lake, _configuration(day).privacy.retention, settings(), day)
        if forgotten:
            entry.note = "too old: " + ", ".join(
                f"{each.rows_removed:,} of {each.place}" for each in forgotten
            )
        write_drift(lake, day)


def normalise(day: date) -> str:
    """Bring the dictionaries of landed values up to date, which staging reads. Returns what was new and refused."""
    from include.normalise.landing import normalise_landing

    lake = _lake()
    with _recorded(lake, day, "extract", "normalise") as entry:
        normalised = normalise_landing(lake, _configuration(day).normalisation, settings())
        entry.rows = normalised.new
        entry.note = str(normalised)
    return entry.note


def is_new(day: date) -> bool:
    """Whether anything that the day's release depends on has changed since it was published."""
    from include.publish import find_unchanged_release

    lake = _lake()
    with _recorded(lake, day, "compare") as entry:
        release = find_unchanged_release(lake, day, _configuration(day))
        entry.note = f"nothing has changed since release {release}" if release else "there is something new"
    if release:
        serve_release(day)  # which a run that broke off there may still owe
    return release is None


def build(day: date, step: str) -> int:
    """Run the dbt models of a step. Returns how many models and tests ran."""
    from include.warehouse import run_dbt

    lake = _lake()
    with _recorded(lake, day, step, "dbt") as entry:
        _configuration(day)
        if step == "publish":
            ledger.write_run_costs(lake, day)
        variables = json.loads(lake.run_file(day, "run.json").read_text())["dbt"]
        result = run_dbt(step, lake, variables, pseudonym_key())
        entry.note = f"{result.nodes} models and tests"
        entry.details = {"seconds_in_models": round(result.seconds, 3)}
    return result.nodes


def resolve(day: date) -> int:
    """Find out which records are the same customer. Returns the number of customers."""
    from include.identity import resolve as resolve_identity

    lake = _lake()
    with _recorded(lake, day, "resolve") as entry:
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


def receive_requests(
    day: date, kind: str = "", id_type: str = "", id_value: str = "", purpose: str = "", reason: str = ""
) -> list[str]:
    """Take one privacy request in, unless `kind` is empty, and examine the whole queue. Returns a line for each request
    that waits for a person, without an identifier.

    Raises StepFailed, saying what is allowed, when it is no request.
    """
    from include.privacy.requests.fulfil import examine
    from include.privacy.requests.queue import Identifier, add, new_request

    lake, configuration = _lake(), load_configuration(settings().config)
    if kind:
        named = [Identifier(id_type, id_value)]
        add(lake, new_request(pseudonym_key(), kind, named, day, reason, purpose or None))
    open_requests = examine(lake, configuration, settings(), day)
    return [str(request) for request in open_requests if request.status == "waiting"]


def decide_requests(day: date, waiting: list[str], by: str, is_approved: bool) -> None:
    """Approve or refuse the privacy requests of these lines, as `receive_requests` gave them."""
    from include.privacy.requests.queue import decide

    for line in waiting:
        decide(_lake(), line.split(":")[0], by, is_approved)


def fulfil_requests(day: date) -> str:
    """Do every privacy request that needs no decision any more, and have the places where releases are served show them
    as they are now. Returns one line.

    An erasure ends a run that is open. Raises SourceUnreachable while a part of one is at work, and StepFailed when an
    erasure leaves something behind or such a place fails; the next run serves it again.
    """
    from include.launch import RunFailed, alone
    from include.privacy.requests.fulfil import fulfil
    from include.privacy.requests.queue import erasing
    from include.publish import serve_release as serve

    lake, configuration = _lake(), load_configuration(settings().config)
    try:
        with alone(lake.data), erasing(lake):
            fulfilled = fulfil(lake, configuration, settings(), day)
            logger.info("%s", serve(lake, configuration, settings()))
    except RunFailed as busy:
        raise SourceUnreachable(f"privacy: {busy}") from None
    logger.info("%s", fulfilled)
    return str(fulfilled)


def learn(day: date, what: str) -> str:
    """Run one of the tasks of `LEARNING`, which say what the company learns about its customers.

    A task without input writes empty tables, and its model card says why. Returns one line.
    """
    module, function = LEARNING[what]
    run = getattr(import_module(module), function)
    lake = _lake()
    with _recorded(lake, day, "learn", what) as entry:
        return _tell(entry, run(lake, day, _configuration(day).models))


def train(day: date, what: str) -> list[str]:
    """Train one of `SPREAD`. Returns the parts in which everybody is to be scored, none where nothing is."""
    from ml.spread import Part

    step, module = SPREAD[what]
    lake = _lake()
    with _recorded(lake, day, step, f"{what}, training") as entry:
        configuration = _configuration(day)
        told = configuration if step == "expand" else configuration.models
        parts = import_module(module).train(lake, day, told)
        entry.note = f"{parts} part{'s' * (parts != 1)} to score"
    return [str(Part(number, parts)) for number in range(parts)]


def score(day: date, what: str, part: str) -> None:
    """Score a part of everybody by what `train` has learned; parts may be scored side by side."""
    from ml.spread import Part

    step, module = SPREAD[what]
    lake = _lake()
    with _recorded(lake, day, step, f"{what}, part {part}"):
        _configuration(day)
        import_module(module).score(lake, day, Part.read(part))


def gather(day: date, what: str) -> str:
    """Make the tables of one of `SPREAD` of what its parts scored. Returns one line."""
    step, module = SPREAD[what]
    lake = _lake()
    with _recorded(lake, day, step, what) as entry:
        _configuration(day)
        return _tell(entry, import_module(module).gather(lake, day))


def measure_reach(day: date) -> str:
    """Say how many people each audience reaches, where, how often and together with which others, as far as that may
    be told."""
    from ml.reach import measure_reach as measure

    lake = _lake()
    with _recorded(lake, day, "expand", "reach") as entry:
        return _tell(entry, measure(lake, day, _configuration(day)))


def check(day: date, step: str) -> str:
    """The gate of a step. Returns the path of its readable result; raises StepFailed when it does not hold."""
    from include.quality import run_gate
    from include.quality.notices import tell_of_gate

    lake = _lake()
    with _recorded(lake, day, step, "gate") as entry:
        configuration = _configuration(day)
        release = lake.building_release(day) if step == "publish" else None
        try:
            result = run_gate(step, lake, day, configuration, release=release)
        except StepFailed as failure:
            tell_of_gate(configuration.publishing.notify, step, day, failure, settings())
            raise
        tell_of_gate(configuration.publishing.notify, step, day, result, settings())
        entry.note = f"{result.passed} expectations hold" + (
            f", {result.warned} warn" if result.warned else ""
        )
    return str(lake.quality_page(day, step))


def activate(day: date) -> str:
    """Write who is to be sent to which destination, and what changed since the day before, without sending it."""
    from include.activate.export import export_audiences

    lake = _lake()
    with _recorded(lake, day, "publish", "activate") as entry:
        return _tell(entry, export_audiences(lake, day, _configuration(day)))


def write_release(day: date) -> None:
    """Assemble the new release beside the old ones, where no reader looks."""
    from include.publish import write_release as write

    lake = _lake()
    with _recorded(lake, day, "publish", "write"):
        write(lake, day, _configuration(day))


def swap_release(day: date) -> str:
    """Seal the audited release and point readers to it. Returns the release id."""
    from include.activate.export import keep_activation
    from include.identity import forget_days
    from include.publish import forget_learned, keep_history, prune_releases, remember_inputs, seal_release

    lake = _lake()
    with _recorded(lake, day, "publish", "swap") as entry:
        configuration = _configuration(day)
        release = seal_release(lake, day, configuration, lake.building_release(day))
        keep_history(lake, day, release.path, configuration.privacy.keep_releases_days)
        keep_activation(lake, day, configuration.privacy.keep_releases_days)
        # From here on a day whose inputs stay the same is not run again.
        remember_inputs(lake, day, configuration, release.release_id)
        prune_releases(lake, configuration.privacy.keep_releases_days)
        forget_learned(lake, day, configuration.privacy)
        forget_days(lake, day, configuration.privacy.keep_releases_days)
        entry.note = f"release {release.release_id}"
    return release.release_id


def deliver(day: date) -> str:
    """Send destinations what they do not hold yet of the release that readers see. After a rollback it sends nothing:
    somebody may have withdrawn since that release."""
    from include.activate.deliver import deliver_release
    from include.publish import current_release, release_of

    lake = _lake()
    with _recorded(lake, day, "publish", "deliver") as entry:
        configuration, seen, published = _configuration(day), current_release(lake), release_of(lake, day)
        if seen is None or seen.name == published:
            return _tell(entry, deliver_release(lake, day, configuration))
        entry.status = "skipped"
        entry.note = f"readers see {seen.name} and not {published}: nothing is sent until the next run"
    return entry.note


def serve_release(day: date) -> str:
    """Make the places of `publishing.yml` show the release that readers see in DATA. Returns one line."""
    from include.publish import serve_release as serve

    lake = _lake()
    with _recorded(lake, day, "publish", "serve") as entry:
        entry.note = serve(lake, _configuration(day), settings())
    return entry.note


def roll_back(day: date, release_id: str) -> str:
    """Point readers to an earlier release, here and at the places of `publishing.yml`. Returns one line.

    `day` is the release's business day, in whose ledger it is noted. The next run moves forward again.
    """
    from include.publish import roll_back as roll

    lake = _lake()
    with _recorded(lake, day, "rollback", release_id) as entry:
        entry.note = roll(lake, release_id, load_configuration(settings().config), settings())
    return entry.note


@contextmanager
def _recorded(lake: Lake, day: date, step: str, part: str = "") -> Iterator[ledger.Entry]:
    """A part of a run at work: noted in the ledger, and never beside an erasure."""
    with ledger.recorded(lake, day, step, part) as entry, no_erasure(lake):
        yield entry


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

    Raises StepFailed when it has been edited since: half a run by one rule and half by another is neither's. So is a
    run that goes on in the tables of another day.
    """
    path = _lake().run_file(day, "run.json")
    if not path.exists() or not _lake().open_run.exists():
        raise StepFailed(
            f"no run of {day:%Y-%m-%d} is open (an erasure ends one that it meets): start the DAG from its first task"
        )
    _refuse_other_days(_lake(), day)
    checked = json.loads(path.read_text())["configuration"]
    configuration = _loaded(settings().config, _state_of(settings().config), checked)
    if configuration.hash != checked:
        raise StepFailed(f"the configuration in {settings().config} changed during the run: start it again")
    return configuration


def _refuse_other_days(lake: Lake, day: date) -> None:
    began = json.loads(lake.open_run.read_text())["day"]
    if began != f"{day:%Y-%m-%d}":
        raise StepFailed(
            f"the run of {began} began after that of {day:%Y-%m-%d} and has the lake: start the DAG of "
            f"{day:%Y-%m-%d} again from its first task"
        )


@lru_cache(maxsize=1)
def _loaded(folder: Path, state: str, checked: str) -> Configuration:
    """The configuration, read again only when a file of its folder has changed: a process runs many tasks."""
    return load_configuration(folder, checked=checked)


def _state_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.yml")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
