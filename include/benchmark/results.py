"""What was measured last of each topic, kept beside the code (`measured/<topic>.json`): the page is made of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from include.benchmark.harness import Cost
from include.settings import PROJECT

MEASURED = Path(__file__).with_name("measured")
# What a measurement itself writes makes no other code of it.
NO_CODE = (":!docs", ":!include/benchmark/measured", ":!include/benchmark/accepted")


@dataclass(frozen=True)
class Occasion:
    """When something was measured, of which commit, on what machine, and what load that had at the start, None where
    nobody wrote it down."""

    day: str
    commit: str
    machine: str
    load: float | None

    @classmethod
    def now(cls) -> Occasion:
        """Read the clock, git and the machine; where there is no git, the commit is empty."""
        return cls(
            datetime.now(UTC).date().isoformat(), _commit(), describe_machine(), round(os.getloadavg()[0], 1)
        )

    def __str__(self) -> str:
        load = "load not written down" if self.load is None else f"load {self.load:.1f} at the start"
        return f"{dated(self.day, self.commit)}, {self.machine}, {load}"


@dataclass(frozen=True)
class Result:
    """One topic: its rows, how often each variant ran, and the median cost of each by its name."""

    size: int
    repeats: int
    occasion: Occasion
    costs: dict[str, Cost]


def keep(name: str, result: Result, folder: Path = MEASURED) -> Path:
    """Write the result of a topic in the place of the one before."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n")
    return path


def kept(folder: Path = MEASURED) -> dict[str, Result]:
    """The results that are kept, by topic."""
    return {path.stem: _read(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}


def _read(content: dict) -> Result:
    costs = {name: Cost(**cost) for name, cost in content["costs"].items()}
    return Result(**(content | {"occasion": Occasion(**content["occasion"]), "costs": costs}))


def dated(day: str, commit: str) -> str:
    return f"{day} at {commit}" if commit else day


def describe_machine() -> str:
    """One line: processor, cores, memory, system and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB, {platform.system()}"
        f" {platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The commit of the code, with a plus when the code differs from it; empty outside a repository."""

    def git(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True)

    try:
        commit = git("rev-parse", "--short", "HEAD")
        is_changed = git("diff", "--quiet", "HEAD", "--", ".", *NO_CODE).returncode
    except FileNotFoundError:
        return ""
    return "" if commit.returncode else commit.stdout.strip() + "+" * bool(is_changed)
