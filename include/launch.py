"""Run the DAG through Airflow without a person, and tell the person at the terminal how it goes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from include import ledger
from include.airflow_home import AirflowHome
from include.lake import Lake
from include.settings import PROJECT

DAG_ID = "customer_audiences"


class RunFailed(Exception):
    """The run ended before it published. The message is one line: which step, why, where to look."""


def run_dag(config: Path, data: Path, day: date, rebuild: bool = False) -> float:
    """Run the DAG for one business day and print its progress. Returns the wall seconds of the whole run.

    Unless `rebuild` is asked for, a day whose inputs have not changed since it was published is not run again.

    Raises RunFailed when a step or a gate fails, or another run holds the DATA folder.
    """
    lake, home = Lake(data), AirflowHome(data)
    with alone(data):
        return _run_dag(lake, home, config, day, rebuild)


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the DATA folder for as long as something is written there. Raises RunFailed when another run holds it."""
    data.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(data / ".run.lock", timeout=0):
            yield
    except Timeout:
        raise RunFailed(f"another run uses {data}: wait for it, or give another DATA folder") from None


def _run_dag(lake: Lake, home: AirflowHome, config: Path, day: date, rebuild: bool) -> float:
    home.prepare()
    lake.run_file(day, "ledger.jsonl").unlink(missing_ok=True)
    log = lake.run_file(day, "airflow.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    parameters = {"day": day.isoformat(), "rebuild": rebuild}
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            ["airflow", "dags", "test", DAG_ID, "-c", json.dumps(parameters)],
            env=home.environment(config, day, schedule=""),
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            shown = 0
            while process.poll() is None:
                shown = _show_progress(lake, day, shown)
                time.sleep(0.2)
            _show_progress(lake, day, shown)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise RunFailed(reason_of(lake, day, log))
    return time.monotonic() - began


def serve_ui(config: Path, data: Path, day: date | None, schedule: str | None, port: int = 8080) -> int:
    """Serve the Airflow UI until interrupted; every process of it ends with this one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RunFailed(
                f"port {port} is taken: stop what uses it, or give another: make ui PORT=8081"
            ) from None
    home = AirflowHome(data)
    home.prepare()
    environment = home.environment(config, day, schedule) | {
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
    }
    password = json.loads((home.path / "passwords.json").read_text())["admin"]
    log = home.path / "ui.log"
    print(f"Airflow starts; its log: {_short(log)}", flush=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            ["airflow", "standalone"],
            env=environment,
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            _wait_for_port(process, port, log)
            print(f"Open http://localhost:{port}/dags/{DAG_ID}  user admin, password {password}", flush=True)
            print("Stop it with Ctrl-C.", flush=True)
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _stop_group(process)


def _wait_for_port(process: subprocess.Popen, port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RunFailed(f"Airflow did not start: see {_short(log)}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise RunFailed(f"Airflow did not answer on port {port} within five minutes: see {_short(log)}")


def _stop_group(process: subprocess.Popen) -> None:
    """Stop the whole process group: `standalone` alone would leave its children behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _show_progress(lake: Lake, day: date, shown: int) -> int:
    entries = ledger.read(lake, day)
    for entry in entries[shown:]:
        number = (
            f"{ledger.STEPS.index(entry.step) + 1}/{len(ledger.STEPS)}"
            if entry.step in ledger.STEPS
            else "   "
        )
        head = f"{number} {entry.step:<10} {entry.part:<20}"
        if entry.status == "running":
            if sys.stdout.isatty():
                print(f"\r{head} ...", end="", flush=True)
            continue
        rows = f"{entry.rows:>11,} rows" if entry.rows is not None else " " * 16
        mark = {"done": "", "skipped": "SKIPPED ", "failed": "FAILED "}[entry.status]
        start = "\r" if sys.stdout.isatty() else ""
        print(f"{start}{head} {rows} {entry.wall_seconds:>7.1f} s  {mark}{entry.note}"[:200], flush=True)
    return len(entries)


def reason_of(lake: Lake, day: date, log: Path) -> str:
    """One line on why the run of a day has failed: each part whose last try did, and where to look."""
    ended = {(entry.step, entry.part): entry for entry in ledger.read(lake, day)}
    failed = [
        f"{entry.step}{f' ({entry.part})' if entry.part else ''} failed: {entry.note}"
        for entry in ended.values()
        if entry.status == "failed"
    ]
    where = f"log: {_short(log)}"
    if failed:
        return "; ".join([*failed, where])
    errors = re.findall(r"^\w*(?:Error|Exception)\b.*$", log.read_text(errors="replace"), flags=re.MULTILINE)
    return f"Airflow could not run the DAG: {errors[-1] if errors else 'no error was logged'}; {where}"


def _short(path: Path) -> str:
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
