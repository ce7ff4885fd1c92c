from __future__ import annotations

import json
import sys
from dataclasses import replace

import duckdb
import pytest

from include.benchmark import segment_json
from include.benchmark.harness import Cost, Ratio, digest_rows, measure
from include.benchmark.segment_events import write_events

TOPIC = segment_json.TOPIC


def test_every_way_to_read_segment_lines_writes_the_same_rows(tmp_path):
    costs = measure(TOPIC, tmp_path / "bench", size=2000, repeats=1)
    rows = {name: cost.rows for name, cost in costs.items()}
    assert rows == {
        "read_json": 2000, "tandem": 2000, "tandem_bad": 1996, "orjson": 2000, "tandem_grown": 8000,
    }  # fmt: skip
    assert costs["tandem"].digest == costs["orjson"].digest != ""
    assert costs["read_json"].digest == ""
    assert all(cost.cpu > 0 and cost.memory > 10_000_000 for cost in costs.values())
    if sys.platform == "linux":  # elsewhere the system does not tell
        lines = (tmp_path / "bench" / "inputs" / "good.jsonl").stat().st_size
        assert all(cost.read > lines and cost.written > 10_000 for cost in costs.values())


def test_variants_that_write_different_rows_fail_the_benchmark(tmp_path):
    variants = [replace(TOPIC.variant(name), rows="all") for name in ("read_json", "tandem_bad")]
    with pytest.raises(RuntimeError, match=r"group 'all' wrote \[1996, 2000\] rows"):
        measure(replace(TOPIC, variants=tuple(variants)), tmp_path / "bench", size=2000, repeats=1)


def test_a_digest_is_of_the_rows_in_any_order_and_of_every_value(tmp_path):
    def digest(rows: str, *columns: str) -> str:
        duckdb.sql(f"copy ({rows}) to '{tmp_path / 'rows.parquet'}' (format parquet)")
        return digest_rows([tmp_path / "rows.parquet"], columns)

    here = "select 1 as a, 'x' as b, map {'k': 'v', 'l': 'w'} as c union all select 2, null, null"
    there = "select null as c, 2::utinyint as a, null as b union all select map {'l': 'w', 'k': 'v'}, 1, 'x'"
    assert digest(here, "a", "b", "c") == digest(there, "a", "b", "c") != ""
    assert digest(here, "a", "b") != digest(here.replace("2, null", "2, 'x'"), "a", "b")
    assert digest(here, "a") != digest(f"{here} union all select 1, 'x', null", "a")
    assert digest(here, "a", "d") == "" == digest_rows([], ["a"])


def test_what_both_need_to_start_is_counted_of_neither():
    costs = {name: Cost(cpu, 1.0, 1, 1) for name, cpu in (("task", 10.0), ("bare", 4.0), ("start", 2.0))}
    assert Ratio("beyond the start", "task", "bare", beyond="start").measured(costs) == 4.0
    assert Ratio("as processes", "task", "bare").measured(costs) == 2.5


def test_events_are_the_same_every_time_and_damage_is_where_it_shall_be(tmp_path):
    for name in ("a", "b"):
        write_events(tmp_path / name, 3000)
    write_events(tmp_path / "bad", 3000, 0.01)
    good, bad = (tmp_path / "a").read_bytes(), (tmp_path / "bad").read_bytes().splitlines()
    assert good == (tmp_path / "b").read_bytes()
    events = [json.loads(line) for line in good.splitlines()]
    assert {event["type"] for event in events} == {"page", "track", "identify", "screen"}
    assert 700 < len(good) / len(events) < 950
    changed = [number for number, line in enumerate(good.splitlines()) if line != bad[number]]
    assert changed == list(range(50, 3000, 100))
