"""The process that dbt is loaded in: `python -m include.warehouse` runs each call of dbt in a child that it forks.

To load dbt takes longer than most that a small company asks of it. A line of standard input is a call; the answer is
a line when it has ended. A child ends with who asked for it: nobody else would wait for what it writes.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt_common.clients.jinja import template_cache

from include.settings import settings
from include.warehouse import child
from include.warehouse.parsed import is_parsed, key_of, parsed_project, use

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# The engine's adapter is left to the children: threads of DuckDB, and of what parses, do not live on after a fork.
CONTRACTS = (Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags)


def serve() -> None:
    """Answer calls until nobody asks any more. What this process takes itself is told with the next call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides, and gets it as well
    projects, told = Projects(), 0.0
    for contract in CONTRACTS:
        contract.json_schema()  # dbt makes it of each before it reads a file, and keeps it
    for line in sys.stdin:
        call = json.loads(line)
        os.environ.clear()
        os.environ.update(call["environment"])
        settings.cache_clear()
        file = Path(call["file"])
        parsed = None
        with suppress(Exception):  # whatever dbt raises of a project, the child meets it too and tells of it
            parsed = projects.find(json.loads(file.read_text()))
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            sys.exit(_run(file, parsed, writing))
        os.close(writing)
        answer = _answer_of(pid, _listen(pid, reading))
        used = time.process_time()
        answer["cpu_seconds"] += used - told
        told = used
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


class Projects:
    """The project that was called last, parsed. One that is not yet is left to the child, which keeps it in files."""

    def __init__(self) -> None:
        self._key = ""
        self._parsed: tuple[Manifest, Path] | None = None
        self._has_macros = False

    def find(self, call: dict[str, Any]) -> tuple[Manifest, Path] | None:
        project, cache = Path(call["project"]), Path(call["parsed"])
        key = key_of(project)
        if not is_parsed(cache / key):
            return None
        if key != self._key:
            self._key, self._parsed = key, parsed_project(project, cache, call["options"])
            self._has_macros = False
        else:
            use(cache / key)
            if self._has_macros:
                return self._parsed
            # For several calls it is worth while.
            for macro in self._parsed[0].macros.values():
                template_cache.get_node_template(macro)
            self._has_macros = True
        gc.collect()
        gc.freeze()  # what was parsed stays until the end: not to be looked through again and again
        return self._parsed


def _run(file: Path, parsed: tuple[Manifest, Path] | None, errors: int) -> int:
    """Be the child: nothing that it says may be taken for an answer."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, target in enumerate((nothing, nothing, errors)):
        os.dup2(target, number)
    return child.main(file, parsed)


def _listen(pid: int, reading: int) -> str:
    """What the child says of errors, until it has ended. It is killed when who asked is gone."""
    said = bytearray()
    while True:
        ready, _, _ = select.select([reading, sys.stdin], [], [])
        if reading not in ready:
            os.kill(pid, signal.SIGKILL)
            sys.exit(1)
        found = os.read(reading, 1 << 16)
        if not found:
            os.close(reading)
            return said.decode(errors="replace")
        said += found


def _answer_of(pid: int, said: str) -> dict[str, Any]:
    _, status, usage = os.wait4(pid, 0)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "stderr": said,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


if __name__ == "__main__":
    serve()
