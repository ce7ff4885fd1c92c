"""What a job keeps while it runs is gone afterwards, also when the job was killed."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from include.lake import Lake, scratch_folder, sweep_temporary
from include.settings import PROJECT

HOLDER = """
import sys, time
from pathlib import Path
from include.lake import scratch_folder
with scratch_folder(Path(sys.argv[1]), "job") as folder:
    (folder / "spilled").write_bytes(b"0" * 1000)
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_gone_when_its_job_has_ended(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "job") as folder:
        assert folder.name.startswith("job-")
        (folder / "deeper").mkdir()
        (folder / "deeper" / "spilled").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lake.scratch)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        sweep_temporary(lake)
        (spilled,) = lake.scratch.glob("job-*/spilled")
        process.kill()
    assert spilled.exists()
    sweep_temporary(lake)
    assert list(lake.scratch.iterdir()) == []


def test_what_is_no_folder_of_a_job_stays(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    sweep_temporary(lake)
    lake.scratch.mkdir()
    (lake.scratch / "made.duckdb").write_text("x")
    (lake.scratch / ".job-new").mkdir()
    sweep_temporary(lake)
    assert {path.name for path in lake.scratch.iterdir()} == {"made.duckdb", ".job-new"}


def test_a_folder_whose_job_ends_at_the_moment_of_the_sweep_stops_no_run(tmp_path: Path) -> None:
    lake = Lake(tmp_path)

    def work() -> int:
        kept = 0
        for _ in range(1000):
            with scratch_folder(lake.scratch, "job") as folder:
                (folder / "spilled").write_text("x")
                kept += (folder / "spilled").exists()
        return kept

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while not working.done():
            sweep_temporary(lake)
    assert working.result() == 1000
    sweep_temporary(lake)
    assert list(lake.scratch.iterdir()) == []
