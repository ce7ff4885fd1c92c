"""The one place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

PROJECT = Path(__file__).resolve().parent.parent
DEMO_CONFIG = PROJECT / "include" / "demo" / "config"
DEFAULT_CONFIG = PROJECT / "include" / "config"
# Of a machine's memory, what DuckDB may take unless it is told: a quarter, within these bounds. A process takes up to
# two gigabytes more, so that it stays below seven.
LEAST_MEMORY, MOST_MEMORY = 1_200_000_000, 5_000_000_000
BEYOND_DUCKDB = 2_000_000_000
MOST_TASKS = 4
SIZE = r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B"
UNITS = {"": 10**3, "I": 2**10}
CGROUPS, CGROUPS_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
TARGETS = ("duckdb", "spark")


class SettingsError(Exception):
    """A variable of the environment that cannot be used. The message is one line: which, what was found, what is
    allowed."""


@dataclass(frozen=True)
class Settings:
    """Where a run reads and writes, and how much of the machine each engine may take."""

    config: Path
    data: Path
    target: str
    threads: int
    memory_limit: str
    parsed: Path | None = (
        None  # where dbt's parsed projects are kept for several lakes; else each keeps its own
    )
    # A cluster's address (spark://, k8s://, yarn), a Spark Connect server's (sc://) or a Spark Thrift server's
    # (thrift://); without one Spark runs inside the process that needs it.
    spark_master: str = ""
    # How many customers or visitors one task scores; more of them are shared by several tasks.
    rows_per_task: int = 1_000_000

    @property
    def demo_source(self) -> Path:
        """The folder that the demo's channel files are written to, `{demo}` in `channels.yml`."""
        return self.data / "demo"

    @property
    def limits(self) -> dict[str, int | str]:
        """What a connection to DuckDB is told of how much it may take."""
        return {"threads": self.threads, "memory_limit": self.memory_limit}


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Read `TANDEM_CONFIG`, `TANDEM_DATA`, `TANDEM_TARGET`, `TANDEM_THREADS`, `TANDEM_MEMORY_LIMIT`,
    `TANDEM_PARSED`, `TANDEM_SPARK_MASTER` (or `SPARK_REMOTE`, as Spark itself calls a Connect server),
    `TANDEM_ROWS_PER_TASK`.

    Relative paths are relative to the project folder. Without a limit of memory it is the machine's, see
    `memory_limit_of`. Raises SettingsError.
    """
    parsed = os.environ.get("TANDEM_PARSED", "")
    return Settings(
        config=(PROJECT / os.environ.get("TANDEM_CONFIG", str(DEMO_CONFIG))).resolve(),
        data=(PROJECT / os.environ.get("TANDEM_DATA", "data")).resolve(),
        target=_read("TANDEM_TARGET", "duckdb", "|".join(TARGETS), " or ".join(TARGETS)),
        threads=int(_read("TANDEM_THREADS", "2", r"[1-9]\d{0,3}", "a whole number from 1")),
        memory_limit=_read(
            "TANDEM_MEMORY_LIMIT",
            memory_limit_of(machine_memory()),
            SIZE,
            "a size like 1200MB",
        ),
        parsed=(PROJECT / parsed).resolve() if parsed else None,
        spark_master=os.environ.get("TANDEM_SPARK_MASTER") or os.environ.get("SPARK_REMOTE", ""),
        rows_per_task=int(
            _read("TANDEM_ROWS_PER_TASK", "1000000", r"[1-9]\d{0,11}", "a whole number from 1")
        ),
    )


def _read(name: str, default: str, pattern: str, allowed: str) -> str:
    found = os.environ.get(name) or default
    if not re.fullmatch(pattern, found, flags=re.IGNORECASE):
        raise SettingsError(f"{name}: found {found!r}, allowed: {allowed}")
    return found


def memory_limit_of(memory: int) -> str:
    """What DuckDB may take of a machine with so many bytes: 1200 MB of a small one, 5000 MB of a large one."""
    return f"{min(max(memory // 4, LEAST_MEMORY), MOST_MEMORY) // 1_000_000}MB"


def tasks_at_once(memory: int, limit: str) -> int:
    """How many tasks of a large company may run beside each other in so many bytes, each with DuckDB's `limit`."""
    task = gigabytes(limit) * 10**9 + BEYOND_DUCKDB
    return min(max(int(memory / task), 1), MOST_TASKS)


def gigabytes(limit: str) -> float:
    """A limit of memory, as it is given to DuckDB, in gigabytes of 1,000,000,000 bytes."""
    number, prefix, binary = re.fullmatch(SIZE, limit, flags=re.IGNORECASE).groups()
    return float(number) * UNITS[binary.upper()] ** ("KMGT".index(prefix.upper()) + 1) / 10**9


def machine_memory() -> int:
    """The bytes of memory of the machine, or of the container (or systemd's unit) if that may take fewer."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (file.read_text().strip() for file in _limits_of_groups() if file.exists())
    return min([memory, *(int(limit) for limit in limits if limit.isdigit())])


def _limits_of_groups() -> Iterator[Path]:
    """Where the kernel says what this process may take: of its control group and of those that this one lies in, of
    version 2 and of version 1 (man cgroups). A container sees its own group as the topmost."""
    groups = CGROUPS_OF_PROCESS.read_text().splitlines() if CGROUPS_OF_PROCESS.exists() else []
    for _, controllers, group in (line.split(":", 2) for line in groups):
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        inner = PurePosixPath(group.lstrip("/"))
        yield from (top / folder / name for folder in (inner, *inner.parents))


def pseudonym_key() -> bytes:
    """The secret that makes visitor ids: `TANDEM_PSEUDONYM_KEY`, or empty when none is set."""
    return os.environ.get("TANDEM_PSEUDONYM_KEY", "").encode()


def spark_password() -> str:
    """The password of the user of a Spark Thrift server: `TANDEM_SPARK_PASSWORD`, or empty when none is set."""
    return os.environ.get("TANDEM_SPARK_PASSWORD", "")


def earlier_keys() -> dict[int, bytes]:
    """The pseudonym keys of earlier epochs that are kept, by epoch: `TANDEM_PSEUDONYM_KEY_<epoch>`. Only an erasure
    and an access request read them, to find the visitors of then."""
    found = {re.fullmatch(r"TANDEM_PSEUDONYM_KEY_(\d+)", name): value for name, value in os.environ.items()}
    return {int(name[1]): value.encode() for name, value in found.items() if name and value}


def erasure_key() -> bytes:
    """The secret of the tombstones of erased people: `TANDEM_ERASURE_KEY`, or the pseudonym key when none is set. It
    has to stay when the pseudonym key changes, for what was hashed with it is gone."""
    return os.environ.get("TANDEM_ERASURE_KEY", "").encode() or pseudonym_key()
