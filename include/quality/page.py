"""The readable result of a gate: one self-contained HTML page, and an index of the day's gates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from include.lake import Lake, replacing
from include.ledger import STEPS
from include.quality.trend import HEIGHT, WIDTH, Key, Trend, key_of
from include.templates import fill

if TYPE_CHECKING:
    from include.quality.results import GateResult

TEMPLATES = Path(__file__).with_name("templates")


def write_page(path: Path, result: GateResult, trends: Mapping[Key, Trend]) -> None:
    """Write the page of a gate: what does not hold first, then everything that was checked, each with its trend."""
    ordered = sorted(
        result.results, key=lambda each: (each.success, each.severity != "stop", each.asset, each.expectation)
    )
    _write(
        path, "gate.html", result=result, trends=trends, width=WIDTH, height=HEIGHT,
        results=[(each, key_of(each)) for each in ordered],
    )  # fmt: skip


def write_index(folder: Path, day: date) -> None:
    """Write `index.html` beside the pages of a day, from the results kept of its gates."""
    lake = Lake(folder.parent.parent)
    gates = []
    for step in STEPS:
        kept = lake.ops(day, f"quality_{step}")
        if not kept.exists():
            continue
        rows = pq.read_table(kept, columns=["success", "severity"]).to_pylist()
        broken = [row["severity"] for row in rows if not row["success"]]
        gates.append(
            {"step": step, "checks": len(rows), "stops": broken.count("stop"), "warns": broken.count("warn")}
        )
    _write(folder / "index.html", "index.html", day=day, gates=gates)


def _write(path: Path, template: str, **values: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(fill(TEMPLATES / template, values), encoding="utf-8")
