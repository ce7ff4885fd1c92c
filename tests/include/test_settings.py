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


def test_a_container_counts_for_no_more_than_its_own_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = tmp_path / "memory.max"
    monkeypatch.setattr(settings, "CONTAINER_MEMORY", container)
    whole = settings.machine_memory()
    container.write_text("max\n")
    assert settings.machine_memory() == whole
    container.write_text("1000000\n")
    assert settings.machine_memory() == 1_000_000


def test_a_limit_that_is_given_holds_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MEMORY_LIMIT", "700MB")
    assert settings.settings.__wrapped__().memory_limit == "700MB"


@pytest.mark.parametrize(
    ("limit", "expected"), [("1200MB", 1.2), ("2.5 GB", 2.5), ("1GiB", 2**30 / 10**9), ("500kb", 0.0005)]
)
def test_a_limit_is_known_in_gigabytes(limit: str, expected: float) -> None:
    assert settings.gigabytes(limit) == pytest.approx(expected)
