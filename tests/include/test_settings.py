"""How much memory DuckDB may take of a machine, and how many tasks at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from include import settings

GIGABYTE = 10**9


@pytest.mark.parametrize(("memory", "limit"), [(4, "1200MB"), (6, "1500MB"), (8, "2000MB"), (24, "5000MB")])
def test_a_larger_machine_gives_duckdb_more_memory_within_bounds(memory: int, limit: str) -> None:
    assert settings.memory_limit_of(memory * GIGABYTE) == limit


@pytest.mark.parametrize(
    ("memory", "limit", "tasks"),
    [
        (2, "1200MB", 1),
        (4, "1200MB", 1),
        (8, "2000MB", 2),
        (16, "4000MB", 2),
        (24, "5000MB", 3),
        (64, "5000MB", 4),
    ],
)
def test_as_many_tasks_run_at_once_as_there_is_memory_for(memory: int, limit: str, tasks: int) -> None:
    assert settings.tasks_at_once(memory * GIGABYTE, limit) == tasks


@pytest.mark.parametrize(
    ("group", "limit"),
    [
        ("0::/\n", "memory.max"),
        ("0::/work.slice/run.scope\n", "work.slice/memory.max"),
        ("0::/work.slice/run.scope\n", "work.slice/run.scope/memory.max"),
        ("9:name=systemd:/\n4:cpu,memory:/docker/ab\n0::/\n", "memory/memory.limit_in_bytes"),
        ("9:name=systemd:/\n4:cpu,memory:/docker/ab\n0::/\n", "memory/docker/ab/memory.limit_in_bytes"),
    ],
)
def test_a_container_counts_for_no_more_than_its_own_memory(
    group: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = tmp_path / "cgroup"
    monkeypatch.setattr(settings, "CGROUPS", tmp_path)
    monkeypatch.setattr(settings, "CGROUPS_OF_PROCESS", process)
    whole = settings.machine_memory()
    process.write_text(group)
    assert settings.machine_memory() == whole
    (tmp_path / limit).parent.mkdir(parents=True, exist_ok=True)
    for said, counted in (("max\n", whole), (f"{2**63 - 4096}\n", whole), ("1000000\n", 1_000_000)):
        (tmp_path / limit).write_text(said)
        assert settings.machine_memory() == counted


def test_a_limit_that_is_given_holds_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MEMORY_LIMIT", "700MB")
    assert settings.settings.__wrapped__().memory_limit == "700MB"


@pytest.mark.parametrize(
    ("limit", "expected"), [("1200MB", 1.2), ("2.5 GB", 2.5), ("1GiB", 2**30 / 10**9), ("500kb", 0.0005)]
)
def test_a_limit_is_known_in_gigabytes(limit: str, expected: float) -> None:
    assert settings.gigabytes(limit) == pytest.approx(expected)
