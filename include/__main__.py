"""What the Makefile calls: `python -m include demo|run|ui|report`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path

from include.config import ConfigError, load_configuration
from include.lake import Lake
from include.launch import RunFailed, run_dag, serve_ui
from include.settings import DEMO_CONFIG, PROJECT

DEMO_DAY = date(2017, 12, 1)


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    data = (PROJECT / options.data).resolve()
    config = (Path.cwd() / options.config).resolve() if options.config else DEMO_CONFIG
    os.environ |= {"TANDEM_CONFIG": str(config), "TANDEM_DATA": str(data)}
    try:
        if options.command == "ui":
            if config == DEMO_CONFIG:
                _prepare_demo(data)
                return serve_ui(config, data, DEMO_DAY, schedule="", port=options.port)
            _check(config)
            return serve_ui(config, data, day=None, schedule=None, port=options.port)
        if options.command == "report":
            return _print_report(data)
        day = options.date or DEMO_DAY
        _check(config)
        if config == DEMO_CONFIG:
            _prepare_demo(data)
        seconds = run_dag(config, data, day)
    except (ConfigError, RunFailed) as error:
        print(error, file=sys.stderr)
        return 1
    from include.report.summary import published_summary

    print(published_summary(Lake(data), day, seconds))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include", description=__doc__)
    parser.add_argument("command", choices=["demo", "run", "ui", "report"])
    parser.add_argument("--config", help="folder with the configuration; the demo's when not given")
    parser.add_argument("--data", default="data", help="folder that everything is written to")
    parser.add_argument("--date", type=_day, help="business day, yyyy-mm-dd")
    parser.add_argument("--port", type=int, default=8080, help="port of the UI")
    options = parser.parse_args(arguments)
    if options.command == "run" and not (options.config and options.date):
        parser.error("run needs CONFIG and DATE: make run CONFIG=my/config DATE=2017-12-01")
    return options


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2017-12-01") from None


def _check(config: Path) -> None:
    if not config.is_dir():
        raise RunFailed(f"CONFIG: {config} is not a folder")
    load_configuration(config).require_channels()


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
