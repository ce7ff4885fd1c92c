"""docs/first-hour.md: its commands are executed on its own files, and print what the page shows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include import ledger, pipeline
from include.__main__ import main
from include.lake import Lake
from include.report.summary import published_summary
from include.settings import PROJECT, settings
from tests.faults.flow import tasks_of

PAGE = (PROJECT / "docs" / "first-hour.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.DOTALL)
LEFT_OUT = "…"


@pytest.fixture
def my(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`cp -r docs/first-hour my`, and an empty DATA folder beside it."""
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path / "my"))
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield Path(shutil.copytree(PROJECT / "docs" / "first-hour", tmp_path / "my"))
    settings.cache_clear()


def shown(command: str) -> list[str]:
    """What the page shows after each call of a command."""
    return [text.partition("\n")[2] for _, text in BLOCKS if text.startswith(f"$ {command}\n")]


def yaml_blocks() -> list[str]:
    return [text for language, text in BLOCKS if language == "yaml"]


def is_shown(printed: str, expected: str) -> bool:
    """Whether the lines come in this order; where the page has … others may come between."""
    parts = [part.strip("\n") for part in re.split(rf"^\s*{LEFT_OUT}\n", expected, flags=re.MULTILINE)]
    return bool(
        re.fullmatch(
            r".*\n".join(map(re.escape, parts)) + r"\s*", printed.strip("\n") + "\n", flags=re.DOTALL
        )
    )


def test_the_page_shows_what_its_commands_print(my: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--config", str(my), "--data", str(my.parent / "data")]
    proposed, checked = shown("make check CONFIG=my")
    whole, corrected, audiences = yaml_blocks()

    assert main(["check", *folders]) == 0
    assert capsys.readouterr().out.strip() == proposed.strip()

    (my / "channels.yml").write_text(whole)
    assert main(["check", *folders]) == 0
    printed = capsys.readouterr().out
    assert is_shown(printed, checked), printed
    assert not is_shown(printed.replace("20.0%", "20.1%"), checked)

    day = date(2026, 3, 2)
    pipeline.open_run(day)
    ran, again = shown("make run CONFIG=my DATE=2026-03-02")
    counts = pipeline.extract(day, "members")
    assert counts == {"received": 40, "landed": 32, "quarantined": 8}
    assert re.search(r"extract +members .*32 landed, 8 quarantined", ran)
    pipeline.extract(day, "orders")
    capsys.readouterr()

    (my / "channels.yml").write_text(whole.replace("      observed_at: changed_on\n", corrected))
    assert main(["replay", *folders]) == 0
    (replayed,) = shown("make replay CONFIG=my")
    assert capsys.readouterr().out.strip() == replayed.strip()

    (my / "audiences.yml").write_text(audiences)
    for task in tasks_of(["members", "orders"]):
        task.call(day)
    lake = Lake(my.parent / "data")
    summary = published_summary(lake).splitlines()
    assert set(again.partition("Audiences")[2].splitlines()) - {"", LEFT_OUT} <= set(summary)
    entries = {(entry.step, entry.part): entry.note for entry in ledger.read(lake, day)}
    assert entries["extract", "members"] == "40 landed"
    assert entries["resolve", ""] in again

    (query, table) = re.search(r"\.sql\(\s*'(.*?)'\)\)\"\n(.*?)```", PAGE, flags=re.DOTALL).groups()
    with duckdb.connect(str(lake.current / "tandem.duckdb"), read_only=True) as connection:
        assert str(connection.sql(query)).strip() == table.strip()
