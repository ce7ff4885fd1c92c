from __future__ import annotations

from include.benchmark import profiles
from include.benchmark.harness import measure


def test_the_models_pandas_and_polars_choose_the_same_values(tmp_path):
    costs = measure(profiles.TOPIC, tmp_path / "bench", size=4000, repeats=1)
    assert (
        costs["ours"].rows == 4000 / 5
    )  # a value for each of four attributes of what twenty statements are about
    assert costs["sort"].rows == 4000
    assert costs["ours"].digest and costs["ours"].digest == costs["pandas"].digest == costs["polars"].digest
    assert costs["sort"].digest == ""
