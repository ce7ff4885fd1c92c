from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from include.benchmark.truth import compare_with_truth
from tests.include.benchmark.test_planted_interests import COLUMNS, ROWS, TRUTH


def write(folder: Path, **tables: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A finished run whose look-alikes were all refused."""
    rows = [
        ("call: product advice, resolved", 3.1, 2.5, 3.6, "raises"),
        ("call: loyalty points, new", 1.0, 0.8, 1.2, "none shown"),
    ]
    triggers = pd.DataFrame(rows, columns=["trigger", "effect", "low", "high", "verdict"]).assign(
        category="any", stage="any", sales_channel="online", window_days=7
    )
    planted = pd.DataFrame(
        {"trigger": ["advice_call_resolved", "points_call"], "hazard_multiplier": [3.0, 1.0]}
    )
    interests = pd.DataFrame(ROWS, columns=COLUMNS).assign(buyers=80, q_value=0.01)
    nobody = pd.DataFrame({"audience_id": [], "visitor_id": [], "percentile": []})
    strangers = pd.DataFrame(
        [("c", "s", "pets", 1.0, True, True)],
        columns=["cookie", "person_id", "taste", "affinity", "is_primary", "would_respond"],
    )
    features = pd.DataFrame({"visitor_id": ["v"], "feature": ["category:Pets"], "value": [1.0]})
    current = tmp_path / "published" / "current"
    write(current / "cdp", purchase_triggers=triggers)
    write(current / "bridge", offsite_interests=interests)
    write(current / "dmp", lookalike_members=nobody)
    write(tmp_path / "lake" / "staged", visitor_features=features, known_visitors=features[["visitor_id"]])
    write(tmp_path / "demo_truth", triggers=planted, post_purchase_interests=TRUTH, stranger_tastes=strangers)
    return tmp_path


def test_each_planted_effect_is_told_beside_what_was_found(data: Path) -> None:
    lines = compare_with_truth(data, b"key")
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads == [
        "triggers: 1 of 1 planted found; 2 of 2 intervals hold what is planted; 0 of 1 others claimed",
        "interests: 1 of 2 planted found; 3 of 4 intervals hold what is planted; "
        "1 of 3 found are not planted; 2 others asked",
        "look-alikes: none is published",
    ]
    assert "  dog food to Pets, 28 days: planted 3, found 2.50 (2.10 to 2.90), rises" in lines
    assert "  tea to Tea: planted 2, read by too few" in lines


def test_a_folder_without_a_demo_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "include.benchmark.truth", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run `make demo` first" in done.stderr
