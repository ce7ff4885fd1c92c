"""What the Makefile calls: `python -m include demo|run|check|plan|replay|ui|report`; `rollback` to an earlier release,
and `privacy`, which works off the queue of privacy requests."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path

from include.airflow_home import AirflowHome
from include.business_day import is_ahead
from include.config import ConfigError, Configuration, load_configuration
from include.config.errors import refusal_of
from include.lake import Lake
from include.launch import RunFailed, alone, run_dag, serve_ui
from include.ledger import StepFailed
from include.settings import DEMO_CONFIG, PROJECT, SettingsError, pseudonym_key, settings

DEMO_DAY = date(2017, 12, 1)


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    data = (PROJECT / options.data).resolve()
    config = (Path.cwd() / options.config).resolve() if options.config else DEMO_CONFIG
    os.environ |= {"TANDEM_CONFIG": str(config), "TANDEM_DATA": str(data)}
    try:
        _check_data(data)
        if options.command == "ui":
            if config == DEMO_CONFIG:
                _prepare_demo(data)
                return serve_ui(config, data, DEMO_DAY, schedule="", port=options.port)
            _check(config)
            return serve_ui(config, data, day=None, schedule=None, port=options.port)
        if options.command == "report":
            return _print_report(data)
        if options.command == "check":
            return _check_channels(config, options)
        if options.command == "plan":
            return _plan_identity(config, data, options)
        if options.command == "replay":
            return _replay(config, data, options)
        if options.command == "privacy":
            return _work_off_requests(config, data, options)
        if options.command == "rollback":
            return _roll_back(data, options.to)
        day = options.date or DEMO_DAY
        if is_ahead(day):
            raise RunFailed(f"DATE: {day} has not come yet: a run is about a day that has ended")
        _check(config)
        if config == DEMO_CONFIG:
            _prepare_demo(data)
        seconds = run_dag(config, data, day)
    except (ConfigError, RunFailed, SettingsError, StepFailed) as error:
        print(error, file=sys.stderr)
        return 1
    from include.report.summary import published_summary

    print(published_summary(Lake(data), day, seconds))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include", description=__doc__)
    parser.add_argument(
        "command",
        choices=["demo", "run", "check", "plan", "replay", "rollback", "ui", "report", "privacy"],
    )
    parser.add_argument("--config", help="folder with the configuration; the demo's when not given")
    parser.add_argument("--data", default="data", help="folder that everything is written to")
    parser.add_argument("--date", type=_day, help="business day, yyyy-mm-dd")
    parser.add_argument("--file", help="a file of yours to propose an entry of channels.yml for")
    parser.add_argument("--channel", help="the channel to replay; all when not given")
    parser.add_argument("--to", help="the release that readers are to see again")
    parser.add_argument("--port", type=_port, default=8080, help="port of the UI")
    request = parser.add_argument_group(
        "privacy", "a request to take in, or a decision; then the queue is worked off"
    )
    request.add_argument("--kind", help="access, erasure, objection or return")
    request.add_argument(
        "--id-type", default="email", help="what the person is known by: email, phone, device_id, ..."
    )
    request.add_argument(
        "--id", help="its value; - reads it from the standard input, so that no history keeps it"
    )
    request.add_argument("--purpose", help="of an objection")
    request.add_argument("--reason", default="")
    request.add_argument("--approve", help="a request that waits, or all")
    request.add_argument("--refuse", help="a request that waits, or all")
    request.add_argument("--by", default="", help="who decides")
    options = parser.parse_args(arguments)
    if options.command == "privacy" and not options.date:
        parser.error("privacy needs --date, the business day of what is done")
    if options.command == "run" and not (options.config and options.date):
        parser.error("run needs CONFIG and DATE: make run CONFIG=my/config DATE=2017-12-01")
    if options.command == "rollback" and not options.to:
        parser.error("rollback needs a release: python -m include rollback --to 2017-12-01_0123456789ab")
    return options


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2017-12-01") from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _check_data(data: Path) -> None:
    """Refuse a DATA folder that cannot be made, because it or a folder above it is a file."""
    nearest = next(place for place in (data, *data.parents) if place.exists())
    if not nearest.is_dir():
        raise RunFailed(f"DATA: {nearest} is not a folder")


def _check(config: Path) -> Configuration:
    if not config.is_dir():
        raise RunFailed(f"CONFIG: {config} is not a folder")
    configuration = load_configuration(config)
    configuration.require_channels()
    return configuration


def _check_channels(config: Path, options: argparse.Namespace) -> int:
    from include.extract.check import check_channels
    from include.extract.propose import propose

    if options.file or not (config / "channels.yml").exists():
        for text in propose(Path(options.file) if options.file else config, config):
            print(text, flush=True)
        return 0
    failed = 0
    for checked in check_channels(_check(config), options.date, settings()):
        print(checked, flush=True)
        failed += checked.verdict == "fail"
    return 1 if failed else 0


def _plan_identity(config: Path, data: Path, options: argparse.Namespace) -> int:
    from include.identity.plan import plan_identity, summary_of, write_plan

    if not config.is_dir():
        raise RunFailed(f"CONFIG: {config} is not a folder")
    rules = load_configuration(config).identity
    with alone(data):
        plan = plan_identity(Lake(data), options.date or date.max, rules, settings())
        page = write_plan(Lake(data), plan)
    print(summary_of(plan))
    print(page)
    return 0


def _replay(config: Path, data: Path, options: argparse.Namespace) -> int:
    from include.extract.replay import replay_channel, summary_of

    configuration = _check(config)
    if options.channel and options.channel not in configuration.channels:
        raise RunFailed(refusal_of(options.channel, configuration.channels, "CHANNEL"))
    chosen = [options.channel] if options.channel else list(configuration.channels)
    replayed = []
    with alone(data):
        for name in chosen:
            for file in replay_channel(
                configuration.channels[name],
                Lake(data),
                settings(),
                options.date,
                configuration.normalisation,
            ):
                print(file, flush=True)
                replayed.append(file)
    print(summary_of(replayed))
    return 0


def _work_off_requests(config: Path, data: Path, options: argparse.Namespace) -> int:
    from include import pipeline
    from include.privacy.requests.queue import decide, requests

    load_configuration(config)
    if not pseudonym_key():
        os.environ["TANDEM_PSEUDONYM_KEY"] = AirflowHome(data).environment(config)["TANDEM_PSEUDONYM_KEY"]
    value = sys.stdin.readline().strip() if options.id == "-" else options.id or ""
    decided = options.approve or options.refuse
    waiting = [each.request_id for each in requests(Lake(data)) if each.status == "waiting"]
    for request_id in (waiting if decided == "all" else [decided]) if decided else []:
        decide(Lake(data), request_id, options.by, approve=bool(options.approve))
    pipeline.receive_requests(
        options.date, options.kind or "", options.id_type, value, options.purpose or "", options.reason
    )
    print(pipeline.fulfil_requests(options.date))
    again = f"python -m include privacy --config {config} --data {data} --date {options.date}"
    for request in requests(Lake(data)):
        if request.is_open:
            print(f"{request}; {again} --approve {request.request_id} --by ...")
    return 0


def _roll_back(data: Path, release_id: str) -> int:
    from include.pipeline import roll_back

    try:
        day = date.fromisoformat(release_id.split("_")[0])
    except ValueError:
        raise RunFailed(f"{release_id!r} is no release: it is called like 2017-12-01_0123456789ab") from None
    with alone(data):
        print(roll_back(day, release_id))
    return 0


def _prepare_demo(data: Path) -> None:
    from include.demo import educational_use_note, prepare

    began = time.monotonic()
    summary = prepare(data / "demo")
    print(educational_use_note())
    rows = sum(summary.rows.values())
    seconds = time.monotonic() - began
    print(
        f"demo data: {rows:,} rows in {summary.files} files below {summary.folder}  ({seconds:.1f} s)",
        flush=True,
    )


def _print_report(data: Path) -> int:
    page = Lake(data).current / "report" / "index.html"
    if not page.exists():
        raise RunFailed(f"nothing is published in {data} yet: make demo, or make run")
    print(page.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
