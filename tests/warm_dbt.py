"""dbt for the tests: forked from a process that has it loaded, for to load it takes longer than what most tests ask of
it, and they call it a hundred times. The runs through Airflow in `tests/integration` call it as users do.

`python -m tests.warm_dbt` reads a call per line and answers each with its exit status.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any

from include.settings import PROJECT

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


class WarmDbt:
    """A stand-in for `include.warehouse.dbt.run_child`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, call_file: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        with self._lock, TemporaryDirectory() as folder:
            outputs = [Path(folder) / name for name in ("stdout", "stderr")]
            for path in outputs:
                path.touch()
            call = {"file": str(call_file), "environment": environment, "outputs": [*map(str, outputs)]}
            status = self._ask(json.dumps(call))
            return subprocess.CompletedProcess(["dbt"], status, *(path.read_text() for path in outputs))

    def close(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()

    def _ask(self, call: str) -> int:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_dbt"],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._process.stdin.write(f"{call}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that dbt is forked from ended: {self._process.wait()}")
        return int(answer)


def serve() -> None:
    """Fork a child for each call, in which dbt runs once, as in a new process."""
    manifests: dict[str, tuple[Manifest, Path]] = {}
    for contract in (Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags):
        contract.json_schema()  # dbt makes it of each before it reads a file, and keeps it
    for line in sys.stdin:
        call = json.loads(line)
        what = json.loads(Path(call["file"]).read_text())
        project, cache = Path(what["project"]), Path(what["parsed"])
        key = key_of(project)
        if not all((cache / key / name).exists() for name in (PARSED, WRITTEN)):
            manifests.pop(key, None)
        elif key not in manifests:
            manifests[key] = parsed_project(project, cache, what["options"])
            gc.collect()
            gc.freeze()
        pid = os.fork()
        if pid == 0:
            sys.exit(_run(call, manifests.get(key)))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


def _run(call: dict[str, Any], parsed: tuple[Manifest, Path] | None) -> int:
    os.environ.clear()
    os.environ.update(call["environment"])
    for number, path in enumerate(call["outputs"], start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    if parsed is not None:
        use(parsed[1].parent)
        child.parsed_project = lambda *_: parsed
    return child.main(Path(call["file"]))


if __name__ == "__main__":
    # Not loaded by the tests, which only ask this process. DuckDB is left to the children: its threads are not forked.
    from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags

    import include.warehouse.__main__ as child
    from include.warehouse.parsed import PARSED, WRITTEN, key_of, parsed_project, use

    serve()
