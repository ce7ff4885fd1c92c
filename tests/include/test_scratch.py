"""What a job keeps while it runs is gone afterwards, also when the job was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from include.scratch import scratch_folder, sweep_scratch
from include.settings import PROJECT

HOLDER = """
import sys, time
from pathlib import Path
from include.scratch import scratch_folder
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
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        sweep_scratch(tmp_path)
        (spilled,) = tmp_path.glob("job-*/spilled")
        process.kill()
    assert spilled.exists()
    sweep_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_of_a_job_stays(tmp_path: Path) -> None:
    (tmp_path / "made.duckdb").write_text("x")
    (tmp_path / ".job-new").mkdir()
    sweep_scratch(tmp_path)
    sweep_scratch(tmp_path / "none")
    assert {path.name for path in tmp_path.iterdir()} == {"made.duckdb", ".job-new"}
