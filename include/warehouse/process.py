"""The process that dbt is loaded in, seen from the one that calls it."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from include import ledger
from include.settings import PROJECT


class DbtProcess:
    """A process of this one that has dbt loaded, begun with the first call. It ends with this one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        atexit.register(self.close)

    def run(self, call_file: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run dbt once, in an environment that is given whole, as the call in the file says."""
        call = json.dumps({"file": str(call_file), "environment": environment})
        with self._lock:
            try:
                answer = self._ask(call)
            except BaseException:
                self.close()  # and with it what dbt is at
                raise
            if not answer:
                return subprocess.CompletedProcess(["dbt"], self.close() or 1, stderr="")
        ledger.count_cost(answer["cpu_seconds"], answer["peak_memory_bytes"])
        return subprocess.CompletedProcess(["dbt"], answer["status"], stderr=answer["stderr"])

    def close(self) -> int:
        """End the process, also when it has a call to answer; returns what it exits with."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return 0
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        return process.wait()

    def _ask(self, call: str) -> dict:
        """The answer to a call, empty when the process has ended without one."""
        # One that this process was forked with is not its own.
        if self._process is None or self._owner != os.getpid():
            self._process, self._owner = self._begin(), os.getpid()
        with suppress(BrokenPipeError):  # then it answers nothing
            self._process.stdin.write(f"{call}\n")
            self._process.stdin.flush()
        return json.loads(self._process.stdout.readline() or "{}")

    def _begin(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "include.warehouse"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


DBT = DbtProcess()
