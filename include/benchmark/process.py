"""What a process takes, as the operating system counts it: all measured work is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from include.settings import PROJECT


@dataclass(frozen=True)
class Usage:
    """User and system CPU seconds, wall seconds, the peak of resident memory, and the bytes read and written, from disk
    or from what the system keeps of it in memory, None where the system does not tell. `output` is what the process
    said, when it was listened to."""

    cpu: float
    wall: float
    peak: int
    read: int | None
    written: int | None
    output: str = ""


def run(command: list[str], environment: dict[str, str] | None = None, *, listens: bool = False) -> Usage:
    """What a command and all processes below it took. Raises RuntimeError when it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE if listens else None, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    # It has ended, and its counters are there until it is waited for.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    read, written = transferred(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stdout:
        process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {process.returncode}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(usage.ru_utime + usage.ru_stime, wall, peak, read, written, output)


def transferred(process: int | str) -> tuple[int | None, int | None]:
    """The bytes that a process has read and written, where the system (Linux) tells."""
    counters = Path(f"/proc/{process}/io")
    if not counters.exists():
        return None, None
    found = dict(line.split(": ") for line in counters.read_text().splitlines())
    return int(found["rchar"]), int(found["wchar"])
