"""dbt is loaded once for all calls of a process, and ends with who calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include import ledger
from include.lake import Lake
from include.ledger import StepFailed
from include.settings import PROJECT, settings
from include.warehouse import parse_manifest
from include.warehouse.dbt import manifest_path
from include.warehouse.process import DBT

# It parses a project that no cache has, which takes seconds, after saying that it begins.
CALLER = """
import sys
from pathlib import Path
from include.lake import Lake
from include.warehouse import parse_manifest
print("begins", flush=True)
parse_manifest(Lake(Path(sys.argv[1])))
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "data")


def test_calls_share_a_process_and_each_has_its_own_environment(lake: Lake, tmp_path: Path) -> None:
    parse_manifest(lake)
    process = DBT._process
    written = manifest_path(lake).read_bytes()
    manifest_path(lake).unlink()
    call = json.loads((lake.data / "dbt" / "parse.json").read_text())
    (tmp_path / "call.json").write_text(json.dumps(call))
    assert DBT.run(tmp_path / "call.json", dict(os.environ)).returncode == 0
    assert DBT._process is process
    assert manifest_path(lake).read_bytes() == written
    failed = DBT.run(tmp_path / "call.json", os.environ | {"TANDEM_TARGET": "mainframe"})
    assert failed.returncode != 0
    assert "TANDEM_TARGET: found 'mainframe'" in failed.stderr
    assert DBT._process is process


def test_what_dbt_takes_is_counted(lake: Lake) -> None:
    before, wall = ledger._cpu_seconds(), time.monotonic()
    parse_manifest(lake)
    assert 0.05 < ledger._cpu_seconds() - before < 2 * (time.monotonic() - wall) + 1
    assert ledger._peak_memory_bytes() > 50 << 20


def test_a_process_that_was_killed_is_begun_anew(lake: Lake) -> None:
    parse_manifest(lake)
    DBT._process.kill()
    with pytest.raises(StepFailed, match=r"^dbt parse: dbt ended with exit code -9; see .*dbt\.log$"):
        parse_manifest(lake)
    parse_manifest(lake)


def test_a_child_that_was_killed_is_a_failed_call(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel does where memory is short: what dbt runs in, and not the process that it is forked from."""
    parse_manifest(lake)
    process = DBT._process
    others = children_of(process.pid)
    # Where nothing is parsed yet, which takes seconds.
    monkeypatch.setenv("TANDEM_PARSED", str(lake.data / "parsed"))
    settings.cache_clear()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(parse_manifest, lake)
        assert wait_until(lambda: children_of(process.pid) - others)
        (child,) = children_of(process.pid) - others
        os.kill(child, signal.SIGKILL)
        with pytest.raises(StepFailed, match="dbt ended with exit code -9"):
            call.result()
    settings.cache_clear()
    assert DBT._process is process and process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_dbt_ends_with_the_process_that_called_it(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", CALLER, str(tmp_path / "data")]
    environment = os.environ | {"TANDEM_PARSED": str(tmp_path / "parsed")}
    caller = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert caller.stdout.readline() == "begins\n"
    log = tmp_path / "data" / "dbt" / "logs" / "dbt.log"
    assert wait_until(log.exists)  # dbt is at it
    caller.send_signal(number)
    assert caller.wait() == -number
    assert wait_until(lambda: not is_alive(caller.pid))
    assert not any((tmp_path / "parsed").glob("[!.]*"))


def children_of(process: int) -> set[int]:
    return set(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def is_alive(group: int) -> bool:
    """Whether there is a process of the group that has not ended."""
    stats = (path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists())
    fields = (stat.rpartition(")")[2].split() for stat in stats)
    return any(int(found[2]) == group and found[0] != "Z" for found in fields)


def wait_until(holds: Callable[[], object]) -> bool:
    for _ in range(1200):
        if holds():
            return True
        time.sleep(0.05)
    return False
