from __future__ import annotations

from include.benchmark import sessions
from include.benchmark.harness import measure


def test_the_model_pandas_and_polars_cut_the_same_events_into_the_same_visits(tmp_path):
    costs = measure(sessions.TOPIC, tmp_path / "bench", size=5000, repeats=1)
    # Visits of eight events, of which the sort sees all.
    assert costs["ours"].rows == costs["pandas"].rows == costs["polars"].rows
    assert 5000 / 9 < costs["ours"].rows < 5000 / 7
    assert costs["sort"].rows == 5000
    assert costs["ours"].digest == costs["pandas"].digest == costs["polars"].digest != ""
    assert costs["sort"].digest == ""
