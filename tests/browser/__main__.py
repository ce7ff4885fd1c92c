"""`python -m tests.browser [--folder F]`: what a data engineer does in the Airflow UI, with a real browser.

A small company of two days is made; the UI is started as `make ui` does. Somebody logs in, triggers the first day by
the form, waits until it has succeeded, and follows the links of its tasks to the report, to what a gate found and to
the models, in the light, in the dark and on a telephone. The day is run again for two channels alone. Then a file of
the second day is broken, and its run has to fail at the gate. Pictures of each are left in the folder to be looked at.
Ends with an error when one of these does not come about. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

from include.launch import DAG_ID
from include.settings import PROJECT
from tests.chromium import BROWSER
from tests.company import DAYS, Company, configure, make_channels

WAITED = 2_700  # seconds for a run
PATIENCE = 120_000  # milliseconds for a page
DESK, TELEPHONE = {"width": 1400, "height": 1000}, {"width": 390, "height": 844}
CHOSEN = ["crm", "loyalty"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("--folder", type=Path, default=PROJECT / ".airflow" / "browser")
    parser.add_argument("--port", type=int, default=8095)
    parser.add_argument("--browser", default=BROWSER)
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not (folder / "data").exists():
        make_channels(folder / "data")
        configure(folder)
        (folder / "config" / "publishing.yml").write_text("late_after_hours: 6\nnotify: [{to: log}]\n")
    company = Company(folder / "config", folder / "data", folder / "data" / "demo_truth")
    with _serving(company, options.port) as (address, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        page = browser.new_page(viewport=DESK, base_url=address)
        page.set_default_timeout(PATIENCE)
        _log_in(page, password)
        seen = Pictures(page, folder)
        first = _trigger(page, seen, DAYS[0])
        _expect(_state_of(page, first), "success", "the run of the first day")
        seen.take(f"/dags/{DAG_ID}/runs/{quote(first)}", "run")
        page.keyboard.press("g")
        seen.of("graph")
        page.keyboard.press("g")
        seen.take(f"/dags/{DAG_ID}/runs/{quote(first)}/tasks/unify.build", "log")
        _see_the_report(page, seen)
        for name, task in (("gate", "stage.gate"), ("models", "unify.build"), ("release", "publish.swap")):
            seen.take(f"/dags/{DAG_ID}/runs/{quote(first)}/tasks/{task}/details", f"task of {name}")
            seen.take(_link_of(page, first, task), name)
        again = _trigger(page, seen, DAYS[0], CHOSEN)
        _expect(_state_of(page, again), "success", "the run of two channels")
        _expect(_asked(page, again), CHOSEN, "the channels that were asked for data")
        _spoil(company.data / "demo" / "crm")
        second = _trigger(page, seen, DAYS[1])
        _expect(_state_of(page, second), "failed", "the run with a broken file")
        seen.take(f"/dags/{DAG_ID}/runs/{quote(second)}", "failed run")
        seen.take(f"/dags/{DAG_ID}/runs/{quote(second)}/tasks/extract.gate", "failed gate")
        seen.take(
            f"/dags/{DAG_ID}/runs/{quote(second)}/tasks/extract.gate/details", "links of the failed gate"
        )
        found = seen.take(_link_of(page, second, "extract.gate"), "result of the failed gate").locator("body")
        _expect(
            "quarantined_share_within_tolerance" in found.inner_text(),
            True,
            "the page says which expectation",
        )
        browser.close()
    return 0


class Pictures:
    """Opens pages and leaves a picture of each in the folder."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page, self._folder = page, folder

    def take(self, path: str, name: str) -> Page:
        self._page.goto(path)
        return self.of(name)

    def of(self, name: str) -> Page:
        self._page.wait_for_load_state("networkidle", timeout=PATIENCE)
        self._page.wait_for_timeout(5_000)
        path = self._folder / f"{name.replace(' ', '_')}.png"
        self._page.screenshot(path=path)
        print(path, flush=True)
        return self._page


def _see_the_report(page: Page, seen: Pictures) -> None:
    """The report inside the UI: at a desk, in the dark, and on a telephone."""
    report = seen.take("/plugin/tandem-report", "report").frame_locator("iframe").locator("h1")
    _expect(report.inner_text(), "The release of 1 December 2017", "the title of the report")
    page.emulate_media(color_scheme="dark")
    seen.take("/plugin/tandem-report", "report in the dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(TELEPHONE)
    seen.take("/plugin/tandem-report", "report on a telephone")
    page.set_viewport_size(DESK)


def _spoil(folder: Path) -> None:
    """Have the CRM deliver all that it has once more on the second day, and each row say a date that is none."""
    with min(folder.glob("customers_*.csv")).open(newline="") as file:
        header, *rows = csv.reader(file)
    at = header.index("updated_at")
    with (folder / f"customers_{DAYS[1]}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *([*row[:at], "yesterday", *row[at + 1 :]] for row in rows)])


@contextmanager
def _serving(company: Company, port: int) -> Iterator[tuple[str, str]]:
    """The UI of the company: its address and the password of admin."""
    command = ["-m", "include", "ui", "--config", company.config, "--data", company.data, "--port", port]
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=PROJECT,
        # Otherwise the first thing to run is the day before today, of which this company knows nothing.
        env=os.environ | {"TANDEM_SCHEDULE": ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            found = re.search(r"(http://\S+?)/dags.*password (\S+)", line)
            if found:
                yield found[1], found[2]
                return
        raise SystemExit("the UI did not start")
    finally:
        process.terminate()
        process.wait()


def _log_in(page: Page, password: str) -> None:
    page.goto("/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)


def _trigger(page: Page, seen: Pictures, day: date, channels: Sequence[str] = ()) -> str:
    """Trigger the DAG by its form for a business day, and for some channels alone; returns the id of the run."""
    before = {run["dag_run_id"] for run in _runs(page)}
    page.goto(f"/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=element_day]").fill(f"{day}")
    for channel in channels:
        form.locator("#element_channels input").first.fill(channel)
        page.keyboard.press("Enter")
    seen.of(f"form {day} {' '.join(channels)}".strip())
    form.get_by_role("button", name="Trigger").last.click()
    for _ in range(60):
        new = [run["dag_run_id"] for run in _runs(page) if run["dag_run_id"] not in before]
        if new:
            return new[0]
        time.sleep(2)
    raise SystemExit("the form did not start a run")


def _state_of(page: Page, run: str) -> str:
    """The state in which a run ended."""
    page.goto("about:blank")  # what the UI draws meanwhile takes half a core
    until = time.monotonic() + WAITED
    while time.monotonic() < until:
        (state,) = [each["state"] for each in _runs(page) if each["dag_run_id"] == run]
        if state in ("success", "failed"):
            return state
        time.sleep(5)
    raise SystemExit(f"{run} has not ended within {WAITED} seconds")


def _runs(page: Page) -> list[dict]:
    """The runs of the DAG; none when the API is too busy to say."""
    answer = page.request.get(f"/api/v2/dags/{DAG_ID}/dagRuns?limit=50", timeout=PATIENCE)
    return json.loads(answer.text())["dag_runs"] if answer.ok else []


def _asked(page: Page, run: str) -> list[str]:
    """The channels whose data a run has asked for, sorted."""
    tasks = _ask(page, f"dagRuns/{quote(run)}/taskInstances?task_id=extract.land&limit=50")["task_instances"]
    return sorted(task["rendered_map_index"] for task in tasks)


def _link_of(page: Page, run: str, task: str) -> str:
    """Where a task links to, which is one page."""
    links = _ask(page, f"dagRuns/{quote(run)}/taskInstances/{task}/links")["extra_links"]
    (link,) = filter(None, links.values())
    return link


def _ask(page: Page, path: str) -> dict[str, Any]:
    """What the API of the UI says of the DAG, with the login of the page."""
    return json.loads(page.request.get(f"/api/v2/dags/{DAG_ID}/{path}", timeout=PATIENCE).text())


def _expect(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise SystemExit(f"{what}: {found!r} instead of {expected!r}")
    print(f"{what}: {found}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
